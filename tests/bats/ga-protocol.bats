#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# The guest agent's protocol and its ways to the host: beside Debian's qemu-ga, which is given the same bytes.

load common
load ga

setup()
{
    ga_here
    mkdir names
    ln -s "$(command -v ga)" names/qemu-ga
}

teardown()
{
    [ ! -f ga.pid ] || kill "$(cat ga.pid)" 2>/dev/null || true
    ga_gone
}

@test "the same bytes get the same answers as from qemu-ga" {
    both
    /usr/bin/python3 - <<'PY'
from ga_same import Agent
scripts = [
    # without 0xFF in front of it, which qemu-ga calls stray
    b'{"execute":"guest-ping"}', b'{"execute":"guest-sync-delimited","arguments":{"id":5}}\n',
    b'{"execute":"guest-ping"}{"execute":"guest-ping","id":"a"}\n', b'[1]\n', b'5\n', b'"x"\n', b'{}\n',
    b'{"execute":5}\n', b'{"execute":"guest-ping","foo":1}\n', b'{"execute":"guest-ping","arguments":[]}\n',
    b'{"execute":"guest-ping","arguments":{"a":1}}\n', b'{"execute":"guest-ping","arguments":null}\n',
    b'{"execute":"guest-sync","arguments":{"id":"x"}}\n', b'{"execute":"guest-sync","arguments":{"id":1.5}}\n',
    b'{"execute":"guest-sync","arguments":{"id":1,"b":2}}\n', b'{"execute":"guest-sync"}\n',
    b'{"execute":"guest-sync","arguments":{"id":9223372036854775807}}\n',
    b'{"execute":"guest-sync","arguments":{"id":9223372036854775808}}\n', b"{'execute':'guest-ping'}\n",
    b'{"id":7,"execute":"nope"}\n', b'{"execute":"guest-ping","id":{"a":[1]}}\n', b'{"control":"x"}\n',
    b'{"execute":"guest-exec"}\n', b'{"execute":"guest-exec","arguments":{"path":5}}\n',
    b'{"execute":"guest-exec","arguments":{"path":"/nope/nope"}}\n',
    b'{"execute":"guest-exec","arguments":{"path":"a","arg":"b"}}\n',
    b'{"execute":"guest-exec","arguments":{"path":"a","arg":[5]}}\n',
    b'{"execute":"guest-exec","arguments":{"path":"/bin/cat","input-data":"!!"}}\n',
    b'{"execute":"guest-exec-status","arguments":{"pid":1}}\n',
    b'{"execute":"guest-file-close","arguments":{"handle":5}}\n',
    b'{"execute":"guest-file-open","arguments":{"path":"/","mode":"rw"}}\n',
    b'{"execute":"guest-file-open","arguments":{"path":"' + b'x' * 1000000 + b'"}}\n',
    b'{"execute":"guest-ping","arguments":' + b'{"a":' * 600 + b'1' + b'}' * 600 + b'}\n',
]
def answer(agent, script):
    agent.socket.sendall(script)
    end = b'{"execute":"guest-sync","arguments":{"id":4711}}\n'
    agent.socket.sendall(end)
    answers = []
    while True:
        a = agent.answer_bytes()
        if a == b'{"return": 4711}':
            return answers
        answers.append(a)
import json
def answer_bytes(self):
    while b"\n" not in self.bytes:
        got = self.socket.recv(1 << 16)
        assert got, "the agent is gone"
        self.bytes += got
    line, self.bytes = self.bytes.split(b"\n", 1)
    return line
Agent.answer_bytes = answer_bytes
ours, theirs = Agent("ours.sock"), Agent("theirs.sock")
for s in scripts:
    a, b = answer(ours, s), answer(theirs, s)
    mark = lambda l: [x[:1] == b"\xff" for x in l]
    load = lambda l: [json.loads(x.lstrip(b"\xff")) for x in l]
    assert mark(a) == mark(b) and load(a) == load(b), (s[:100], a, b)
PY
}

@test "after nonsense, half lines and 0xFF in odd places the agent is still there" {
    start ga ours
    /usr/bin/python3 - <<'PY'
from ga_same import Agent
for junk in (b'\xff' * 1000, b'{"execute":"guest-pi\xff', b'}', b'{"a":1 2}\n', b'[' * 100000 + b'\n', b'\x00\x01\n',
             b'{"execute":"guest-ping\\ud800"}\n', b'{"execute":"gu\x01est"}\n', b'tru}\n', b'nul\n', b'"\xff"\n',
             b'\xff{"execute":"guest-p\xffing"}\n', bytes(range(256)) * 64 + b'\n'):
    a = Agent("ours.sock")
    a.socket.sendall(junk)
    a.socket.sendall(b'\xff{"execute":"guest-sync-delimited","arguments":{"id":77}}\n')
    got = b''
    while not got.endswith(b'\xff{"return": 77}\n'):
        more = a.socket.recv(65536)
        assert more, (junk[:50], got[-200:])
        got += more
    a.socket.close()
# what one peer began is not the next one's
a = Agent("ours.sock")
a.socket.sendall(b'{"execute":"guest-ping","id":[[[')
a.socket.close()
assert Agent("ours.sock").get("guest-ping") == {}
PY
}

@test "a request that never ends is refused at 64 MiB, and memory goes back" {
    start ga ours
    /usr/bin/python3 - "$pid" <<'PY'
import os, sys
from ga_same import Agent
a = Agent("ours.sock")
a.socket.sendall(b'{"execute":"' + b'x' * (66 << 20) + b'"}\n')
error = a.answer()["error"]
assert error == {"class": "GenericError", "desc": "JSON token size limit exceeded"}, error
assert a.get("guest-ping") == {}
rss = [int(l.split()[1]) for l in open(f"/proc/{sys.argv[1]}/status") if l.startswith("VmRSS")][0]
assert rss < 16 << 10 or not os.environ["LATHE_O"].endswith("/rel"), rss
PY
}

@test "a host that fetches no answers stops its own requests alone" {
    start ga ours
    head -c 1000000 /dev/urandom >big
    /usr/bin/python3 - "$pid" <<'PY'
import os, sys, time
from ga_same import Agent
a = Agent("ours.sock")
h = a.get("guest-file-open", {"path": "big"})
pair = (b'{"execute":"guest-file-seek","arguments":{"handle":%d,"offset":0,"whence":0}}'
        b'{"execute":"guest-file-read","arguments":{"handle":%d,"count":1000000}}')
a.socket.sendall(300 * (pair % (h, h)))
time.sleep(1)
peak = [int(l.split()[1]) for l in open(f"/proc/{sys.argv[1]}/status") if l.startswith("VmHWM")][0]
assert peak < 32 << 10 or not os.environ["LATHE_O"].endswith("/rel"), peak
for i in range(300):
    a.answer()
    assert a.answer()["return"]["count"] == 1000000
PY
}

@test "answers still come after the host has closed its side, and hosts come one after the other" {
    start ga ours
    for _ in 1 2 3; do
        [ "$(printf '{"execute":"guest-ping"}{"execute":"guest-ping","id":1}' | socat -t 30 - UNIX:ours.sock)" = \
            "$(printf '{"return": {}}\n{"return": {}, "id": 1}')" ]
    done
    # one waits until the other goes
    socat - UNIX:ours.sock < <(sleep 1) &
    [ "$(ga --connect ours.sock guest-ping)" = '{"return": {}}' ]
}

@test "guest-info names what qemu-ga names, and no additions of ours" {
    both
    /usr/bin/python3 - <<'PY'
from ga_same import Agent
a, b = [{c["name"]: c for c in Agent(p).get("guest-info")["supported_commands"]} for p in ("ours.sock", "theirs.sock")]
assert not set(b) - set(a) - {"guest-get-devices"}, set(b) - set(a)
assert not [n for n in a if n.startswith("lathe")]
for n in set(a) & set(b):
    assert a[n]["success-response"] == b[n]["success-response"], n
PY
}

@test "commands can be blocked, and all but some" {
    start ga ours -b guest-exec,guest-file-open
    run ga --connect ours.sock guest-exec '{"path": "/bin/true"}'
    [ "$status" = 1 ]
    [ "$output" = '{"error": {"class": "CommandNotFound", "desc": "Command guest-exec has been disabled"}}' ]
    ga --connect ours.sock guest-info | grep -F '{"enabled": false, "name": "guest-file-open"'
    kill "$pid"
    wait_for test ! -e ours.sock
    start ga ours --allow=guest-sync,guest-sync-delimited,guest-ping
    ga --connect ours.sock guest-ping
    run ga --connect ours.sock guest-exec '{"path": "/bin/true"}'
    [ "$status" = 1 ]
    run ga --connect ours.sock lathe-exec-start '{"path": "/bin/true"}'
    [ "$status" = 1 ]
    ga -b help | grep -x guest-exec
}

@test "a virtio port is waited for, and comes again after it went" {
    # a pseudo terminal stands for it: it goes when its other side does
    ga -p "$PWD/port" -t "$PWD" 2>log 3>&- &
    pids="$pids $!"
    wait_for grep -q 'waiting for it' log
    for _ in 1 2; do
        socat PTY,link=port,raw,echo=0 UNIX-LISTEN:host.sock 3>&- &
        local relay=$!
        wait_for listens host.sock
        wait_for timeout 60 ga --connect host.sock guest-ping
        kill "$relay" 2>/dev/null || true
        wait "$relay" || true
        rm -f port host.sock
    done
    run ./names/qemu-ga -p "$PWD/port" -t "$PWD"
    [ "$status" = 1 ]
    [[ $output == *"$PWD/port: No such file"* ]]
}

@test "a serial line is made raw" {
    socat PTY,link=line,echo=1,icanon=1 UNIX-LISTEN:host.sock 3>&- &
    pids="$pids $!"
    wait_for test -e line
    ga -m isa-serial -p "$PWD/line" -t "$PWD" 3>&- &
    pids="$pids $!"
    wait_for sh -c 'stty -F line | grep -q -- -icanon && stty -F line | grep -q -- -echo'
    [ "$(timeout 60 ga --connect host.sock guest-ping)" = '{"return": {}}' ]
}

@test "a socket can be given by a service manager, which keeps it" {
    /usr/bin/python3 - <<'PY'
import os, socket, subprocess
s = socket.socket(socket.AF_UNIX)
s.bind("given.sock")
s.listen(5)
pid = os.fork()
if not pid:
    os.dup2(s.fileno(), 3, inheritable=True)
    os.environ.update(LISTEN_FDS="1", LISTEN_PID=str(os.getpid()))
    os.execvp("ga", ["ga", "-t", os.getcwd()])
try:
    got = subprocess.run(["ga", "--connect", "given.sock", "guest-ping"], stdout=subprocess.PIPE, timeout=60)
    assert got.stdout == b'{"return": {}}\n', got
finally:
    os.kill(pid, 15)
    os.waitpid(pid, 0)
assert os.path.exists("given.sock")
PY
}

@test "options may come from a key file, which can be printed and which the command line overrules" {
    [ -x /usr/sbin/qemu-ga ] || skip "no qemu-ga"
    cat >ga.conf <<-'END'
	[general]
	daemon=true
	method=isa-serial
	path=/dev/ttyS7
	verbose=true
	block-rpcs=guest-exec
	statedir=/tmp
	END
    ./names/qemu-ga -D -m unix-listen -v -F/x/y -b a -l /log -r >a
    /usr/sbin/qemu-ga -D -m unix-listen -v -F/x/y -b a -l /log -r >b
    diff a b
    ga -c a -D | grep -x 'path=/dev/ttyS7'
    ga --freeze-timeout=7 -D | grep -x 'freeze-timeout=7'
    printf '[general]\nmethod=pigeon\n' >ga.conf
    run ga -D
    [ "$status" = 2 ]
    [[ $output == *"ga.conf: there is no method 'pigeon'"* ]]
    run ga -c none.conf
    [ "$status" = 2 ]
    run ga --freeze-timeout=x
    [ "$status" = 2 ]
    run ga --bogus
    [ "$status" = 2 ]
    run ga -m unix-listen
    [ "$status" = 2 ]
    run ./names/qemu-ga -m unix-listen
    [ "$status" = 1 ]
}

@test "it goes into the background when it is ready, once, and leaves nothing behind" {
    ga -m unix-listen -p ours.sock -t "$PWD" -f ga.pid -l ga.log -d -v
    ga --connect ours.sock guest-ping
    [ "$(readlink /proc/"$(cat ga.pid)"/cwd)" = / ]
    run ga -m unix-listen -p other.sock -t "$PWD" -f ga.pid -d
    [ "$status" = 1 ]
    [[ $output == *"ga.pid: an agent is running already"* ]]
    [ ! -e other.sock ]
    kill "$(cat ga.pid)"
    wait_for test ! -e ga.pid
    [ ! -e ours.sock ]
    grep -q 'a host connected' ga.log
}

@test "one command can be sent, and its status is the answer's" {
    start ga ours
    [ "$(ga --connect ours.sock guest-sync '{"id": 5}')" = '{"return": 5}' ]
    [ "$(ga --connect "unix:$PWD/ours.sock" guest-ping)" = '{"return": {}}' ]
    run ga --connect ours.sock nope
    [ "$status" = 1 ]
    [[ $output == *'"class": "CommandNotFound"'* ]]
    run ga --connect ours.sock guest-ping '[1]'
    [ "$status" = 2 ]
    run ga --connect ours.sock
    [ "$status" = 2 ]
    run ga --connect none.sock guest-ping
    [ "$status" = 1 ]
    [[ $output == *none.sock* ]]
    # Debian's agent, too
    [ -x /usr/sbin/qemu-ga ] || skip "no qemu-ga"
    start /usr/sbin/qemu-ga theirs
    [ "$(ga --connect theirs.sock guest-sync '{"id": 5}')" = '{"return": 5}' ]
}

@test "it starts in no time and is small" {
    [[ $LATHE_O == */rel ]] || skip "sanitizers take time and memory"
    start ga ours
    ga --connect ours.sock guest-ping
    local rss
    rss=$(awk '/^VmRSS/ { print $2 }' "/proc/$pid/status")
    echo "$rss kB"
    [ "$rss" -lt 6144 ]
    # the fastest of some, as the machine may be busy: from its start to its first answer
    /usr/bin/python3 - <<'PY'
import os, socket, subprocess, time
best = 1
for i in range(20):
    here, there = socket.socketpair()
    name = socket.socket(socket.AF_UNIX)
    name.bind(f"s{i}")
    name.listen(1)
    c = socket.socket(socket.AF_UNIX)
    c.connect(f"s{i}")
    c.sendall(b'{"execute":"guest-ping"}\n')
    def give():
        os.dup2(name.fileno(), 3)
        os.set_inheritable(3, True)
        os.environ.update(LISTEN_FDS="1", LISTEN_PID=str(os.getpid()))
    begin = time.monotonic()
    p = subprocess.Popen(["sh", "-c", f"LISTEN_PID=$$ LISTEN_FDS=1 exec ga -t {os.getcwd()}"],
                         preexec_fn=give, close_fds=False)
    assert c.recv(100) == b'{"return": {}}\n'
    best = min(best, time.monotonic() - begin)
    p.terminate()
    p.wait()
print(f"{best * 1000:.1f} ms with a shell before it")
assert best < 0.02, best
PY
}
