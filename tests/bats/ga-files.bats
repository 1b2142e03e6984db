#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# guest-file-*: beside Debian's qemu-ga, and what it does not do.

load common
load ga

setup()
{
    ga_here
}

teardown()
{
    ga_gone
}

@test "files are opened, read, written and sought in as qemu-ga does it" {
    both
    /usr/bin/python3 - <<'PY'
import base64, os
from ga_same import Agent
ours, theirs = Agent("ours.sock"), Agent("theirs.sock")
text = base64.b64encode(b"hello world").decode()

def both(command, **given):
    given = {k.replace("_", "-"): v for k, v in given.items()}
    answers = []
    for agent, name in ((ours, "ours"), (theirs, "theirs")):
        args = {k: v.replace("@", name) if type(v) is str else v for k, v in given.items()}
        a = agent.ask(command, args)
        if "error" in a:
            a["error"]["desc"] = a["error"]["desc"].replace(name, "@")
        answers.append(a)
    assert answers[0] == answers[1], (command, given, answers)
    return answers[0].get("return")

F = os.getcwd() + "/@/file"
for path, mode in ("/nope", "r"), ("/", "w"), (F, "q"), (F, "rw"), (F, ""), (F, "r"), (F, "r+"):
    both("guest-file-open", path=path, mode=mode)
os.umask(0o77)
for mode in "w", "wb", "a", "ab", "r", "rb", "r+", "rb+", "r+b", "w+", "wb+", "w+b", "a+", "ab+", "a+b":
    both("guest-file-close", handle=both("guest-file-open", path=F, mode=mode))
assert os.stat("ours/file").st_mode == os.stat("theirs/file").st_mode
h = both("guest-file-open", path=F, mode="w+")
for count in None, 3, 0, -3, 300:
    both("guest-file-write", handle=h, buf_b64=text, **({} if count is None else {"count": count}))
for wrong in "!!!", "\u00e4":
    both("guest-file-write", handle=h, buf_b64=wrong)
both("guest-file-write", handle=h, buf_b64="")
both("guest-file-flush", handle=h)
for whence in 0, 1, 2, 3, -1, "set", "cur", "end", "x", True, None, 1.5, [], {}:
    both("guest-file-seek", handle=h, offset=0, whence=whence)
both("guest-file-seek", handle=h, offset=-1, whence=0)
both("guest-file-seek", handle=h, offset=5, whence=0)
for count in 3, 6, 1, None, 0, -1, 48 << 20, (48 << 20) + 1:
    both("guest-file-read", handle=h, **({} if count is None else {"count": count}))
both("guest-file-write", handle=h, buf_b64=text)
both("guest-file-read", handle=h)
both("guest-file-close", handle=h)
for command in "close", "read", "flush":
    both("guest-file-" + command, handle=h)
both("guest-file-flush", handle=1 << 40)
both("guest-file-read", handle=both("guest-file-open", path="/"))
h = both("guest-file-open", path=F, mode="r")
both("guest-file-write", handle=h, buf_b64=text)
both("guest-file-read", handle=h, count=2)
both("guest-file-close", handle=h)
both("guest-file-read", handle=both("guest-file-open", path=F, mode="w"))
h = both("guest-file-open", path=F, mode="a")
both("guest-file-write", handle=h, buf_b64=text)
both("guest-file-seek", handle=h, offset=0, whence=0)
both("guest-file-write", handle=h, buf_b64=text)
both("guest-file-seek", handle=h, offset=0, whence="cur")
both("guest-file-flush", handle=h)
assert open("ours/file").read() == open("theirs/file").read() == "hello world" * 2
PY
}

@test "a file above the limit of a line goes through in pieces, both ways" {
    start ga ours
    head -c 100000000 /dev/urandom >big
    /usr/bin/python3 - "$PWD" <<'PY'
import base64, sys
from ga_same import Agent
a = Agent("ours.sock")
r = a.get("guest-file-open", {"path": sys.argv[1] + "/big"})
w = a.get("guest-file-open", {"path": sys.argv[1] + "/copy", "mode": "w"})
while True:
    got = a.get("guest-file-read", {"handle": r, "count": 7 << 20})
    assert len(base64.b64decode(got["buf-b64"])) == got["count"]
    put = a.get("guest-file-write", {"handle": w, "buf-b64": got["buf-b64"]})
    assert put["count"] == got["count"]
    if got["eof"]:
        break
a.get("guest-file-close", {"handle": w})
PY
    cmp big copy
    local rss
    rss=$(awk '/^VmRSS/ { print $2 }' "/proc/$pid/status")
    echo "$rss kB"
    [ "$rss" -lt 8192 ] || [[ $LATHE_O != */rel ]]
}

@test "a full disk is told by the write that meets it" {
    start ga ours
    local h
    h=$(ga --connect ours.sock guest-file-open '{"path": "/dev/full", "mode": "w"}' | tr -dc 0-9)
    run ga --connect ours.sock guest-file-write "{\"handle\": $h, \"buf-b64\": \"QUJD\"}"
    [ "$status" = 1 ]
    [[ $output == *'failed to write to file: No space left on device'* ]]
}

@test "no FIFO, terminal or slow device stops the agent" {
    start ga ours
    mkfifo fifo
    local h
    h=$(timeout 60 ga --connect ours.sock guest-file-open "{\"path\": \"$PWD/fifo\"}" | tr -dc 0-9)
    exec 7<>fifo
    [ "$(timeout 60 ga --connect ours.sock guest-file-read "{\"handle\": $h}")" = \
        '{"return": {"count": 0, "buf-b64": "", "eof": false}}' ]
    echo hi >fifo
    [ "$(ga --connect ours.sock guest-file-read "{\"handle\": $h}")" = \
        '{"return": {"count": 3, "buf-b64": "aGkK", "eof": false}}' ]
}

@test "an agent that is started again gives out no handle for a second time" {
    start ga ours
    local a b
    a=$(ga --connect ours.sock guest-file-open '{"path": "/etc/passwd"}' | tr -dc 0-9)
    [ "$a" = 1000 ]
    kill "$pid"
    wait_for test ! -e ours.sock
    start ga ours
    run ga --connect ours.sock guest-file-read "{\"handle\": $a}"
    [ "$status" = 1 ]
    b=$(ga --connect ours.sock guest-file-open '{"path": "/etc/passwd"}' | tr -dc 0-9)
    [ "$b" -gt "$a" ]
    # and qemu-ga after it neither
    [ -x /usr/sbin/qemu-ga ] || skip "no qemu-ga"
    kill "$pid"
    wait_for test ! -e ours.sock
    start /usr/sbin/qemu-ga ours
    [ "$(ga --connect ours.sock guest-file-open '{"path": "/etc/passwd"}' | tr -dc 0-9)" -gt "$b" ]
}

@test "a host that closes nothing gets an error in the end, and the agent stays" {
    start ga ours
    /usr/bin/python3 - <<'PY'
from ga_same import Agent
a = Agent("ours.sock")
handles = []
while True:
    answer = a.ask("guest-file-open", {"path": "/dev/null"})
    if "error" in answer:
        break
    handles.append(answer["return"])
assert len(handles) == 512 and "512 files are open already" in answer["error"]["desc"], answer
a.get("guest-file-close", {"handle": handles[7]})
a.get("guest-file-open", {"path": "/dev/null"})
PY
    ga --connect ours.sock guest-ping
}
