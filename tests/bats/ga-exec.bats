#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# Programs run by the guest agent: guest-exec beside Debian's qemu-ga, and lathe-exec-*.

load common
load ga

setup()
{
    ga_here
    cat >more.py <<-'END'
	import base64, time
	from ga_same import Agent
	def exec_status(agent, pid):
	    end = time.monotonic() + 90
	    while time.monotonic() < end:
	        got = agent.get("guest-exec-status", {"pid": pid})
	        if got["exited"]:
	            return got
	        time.sleep(0.02)
	    raise TimeoutError(pid)
	def run(agent, **args):
	    args = {k.replace("_", "-"): v for k, v in args.items()}
	    answer = agent.ask("guest-exec", args)
	    return answer if "error" in answer else exec_status(agent, answer["return"]["pid"])
	def stream(agent, path, *arg, **args):
	    args = {k.replace("_", "-"): v for k, v in args.items()}
	    return agent.get("lathe-exec-start", {"path": path, "arg": list(arg), **args})["handle"]
	def read_all(agent, h, wait=10000):
	    out, err = b"", b""
	    while True:
	        got = agent.get("lathe-exec-read", {"handle": h, "wait-ms": wait})
	        out += base64.b64decode(got.get("out-data", ""))
	        err += base64.b64decode(got.get("err-data", ""))
	        if got["eof"]:
	            return out, err, got
	END
    export PYTHONPATH=$PYTHONPATH:$PWD
}

teardown()
{
    ga_gone
}

@test "programs get what qemu-ga gives them, and are told of as it does" {
    both
    /usr/bin/python3 - <<'PY'
from more import *
ours, theirs = Agent("ours.sock"), Agent("theirs.sock")
def both(**args):
    a, b = run(ours, **args), run(theirs, **args)
    assert a == b, (str(args)[:200], str(a)[:500], str(b)[:500])
    return a
sh = lambda script: dict(path="/bin/sh", arg=["-c", script])
both(path="/nope"); both(path="true"); both(path="/tmp"); both(path=""); both(path="/etc/passwd")
both(capture_output=True, **sh("echo hi; echo err >&2; exit 3"))
both(capture_output=False, **sh("echo hi; echo err >&2; exit 3"))
both(capture_output=True, **sh("kill -9 $$"))
both(**sh("kill -TERM $$; exit 5"))
big = both(capture_output=True, **sh("head -c 17000000 /dev/zero; echo y >&2"))
assert big["out-truncated"] and not big["err-truncated"] and len(big["out-data"]) == (16 << 20) // 3 * 4 + 4
both(path="cat", input_data="aGVsbG8=", capture_output=True)
both(path="cat", input_data="", capture_output=True)
both(path="cat", capture_output=True)
both(path="true", input_data="AAAA" * 100000, capture_output=True)
both(path="cat", input_data=base64.b64encode(bytes(3000000)).decode(), capture_output=True)
both(path="env", env=["A=b", "C=d"], capture_output=True)
both(path="env", env=[], capture_output=True)
both(path="env", env=["PATH=/nope"], capture_output=True)
both(capture_output=True, **sh("pwd; umask; grep -E 'Sig(Blk|Cgt)' /proc/self/status"))
for signal in "PIPE", "TERM", "INT", "HUP":
    both(**sh(f"kill -{signal} $$; exit 5"))
both(capture_output=True, path="ls", arg=["/proc/self/fd"])
both(**sh("sleep 3 & exit 4"))
PY
}

@test "capture-output may be a word, as of later versions of qemu-ga" {
    start ga ours
    /usr/bin/python3 - <<'PY'
from more import *
a = Agent("ours.sock")
sh = dict(path="sh", arg=["-c", "echo hi; echo err >&2; exit 3"])
for word, out, err in (("none", None, None), ("stdout", b"hi\n", None), ("stderr", None, b"err\n"),
                       ("separated", b"hi\n", b"err\n"), ("merged", b"hi\nerr\n", None)):
    got = run(a, capture_output=word, **sh)
    for key, want in ("out-data", out), ("err-data", err):
        assert (base64.b64decode(got[key]) if key in got else None) == want, (word, got)
assert "does not accept value 'x'" in a.error("guest-exec", {"path": "sh", "capture-output": "x"})["desc"]
PY
}

@test "a status is given once, and those never asked for are forgotten in the end" {
    start ga ours
    /usr/bin/python3 - "$pid" <<'PY'
import sys
from more import *
a = Agent("ours.sock")
first = a.get("guest-exec", {"path": "true"})["pid"]
for i in range(1200):
    pid = a.get("guest-exec", {"path": "true"})["pid"]
    if i % 50 == 0:
        exec_status(a, pid)
        assert a.error("guest-exec-status", {"pid": pid})["desc"] == "Invalid parameter 'pid'"
assert a.error("guest-exec-status", {"pid": first})["desc"] == "Invalid parameter 'pid'"
children = open(f"/proc/{sys.argv[1]}/task/{sys.argv[1]}/children").read().split()
assert len(children) < 256, children
PY
}

@test "output is read as it comes, input is written meanwhile, and signals arrive" {
    start ga ours
    /usr/bin/python3 - <<'PY'
from more import *
a = Agent("ours.sock")
h = stream(a, "cat", input=True)
assert a.get("lathe-exec-read", {"handle": h}) == {"exited": False, "eof": False}
for word in b"one", b"two\0\xff", b"three" * 10000:
    assert a.get("lathe-exec-write", {"handle": h, "data": base64.b64encode(word).decode()})["count"] == len(word)
    got = b""
    while len(got) < len(word):
        got += base64.b64decode(a.get("lathe-exec-read", {"handle": h, "wait-ms": 9000})["out-data"])
    assert got == word
a.get("lathe-exec-write", {"handle": h, "last": True})
assert "closed" in a.error("lathe-exec-write", {"handle": h, "data": "AAAA"})["desc"]
assert read_all(a, h) == (b"", b"", {"exited": True, "exitcode": 0, "eof": True})
a.get("lathe-exec-close", {"handle": h})
assert "has not been found" in a.error("lathe-exec-read", {"handle": h})["desc"]

h = stream(a, "sh", "-c", "trap 'echo got; exit 9' USR1; echo ready; while :; do sleep 0.1; done")
assert base64.b64decode(a.get("lathe-exec-read", {"handle": h, "wait-ms": 10000})["out-data"]) == b"ready\n"
a.get("lathe-exec-signal", {"handle": h, "signal": 10, "group": False})
out, err, got = read_all(a, h)
assert (out, got["exitcode"]) == (b"got\n", 9), (out, got)
assert "has ended" in a.error("lathe-exec-signal", {"handle": h, "signal": 9})["desc"]

# it waits, but not longer
h = stream(a, "sleep", "60")
start = time.monotonic()
assert a.get("lathe-exec-read", {"handle": h, "wait-ms": 300}) == {"exited": False, "eof": False}
assert time.monotonic() - start >= 0.3
a.get("lathe-exec-signal", {"handle": h, "signal": 15})
assert read_all(a, h)[2] == {"exited": True, "signal": 15, "eof": True}
PY
}

@test "any amount of output goes through, at the pace of its reader" {
    start ga ours
    /usr/bin/python3 - "$pid" <<'PY'
import hashlib, os, sys
from more import *
a = Agent("ours.sock")
h = stream(a, "sh", "-c", "head -c 100000000 /dev/zero | tr '\\0' x; echo end >&2")
time.sleep(0.5)
peak = [int(l.split()[1]) for l in open(f"/proc/{sys.argv[1]}/status") if l.startswith("VmRSS")][0]
assert peak < 10 << 10 or not os.environ["LATHE_O"].endswith("/rel"), peak
out, err, got = read_all(a, h)
assert len(out) == 100000000 and out.count(b"x") == len(out) and err == b"end\n" and got["exitcode"] == 0
# into one that reads slowly
h = stream(a, "sh", "-c", "sleep 1; md5sum", input=True)
data, sent = bytes(range(256)) * 40000, 0
while sent < len(data):
    piece = base64.b64encode(data[sent:sent + (1 << 20)]).decode()
    n = a.get("lathe-exec-write", {"handle": h, "data": piece, "last": sent + (1 << 20) >= len(data)})["count"]
    sent += n
    if not n:
        time.sleep(0.05)
assert read_all(a, h)[0].split()[0].decode() == hashlib.md5(data).hexdigest()
PY
}

@test "a program that is out of time is ended with its children" {
    start ga ours
    /usr/bin/python3 - <<'PY'
from more import *
a = Agent("ours.sock")
start = time.monotonic()
h = stream(a, "sh", "-c", "sleep 100; true", timeout_ms=300)
out, err, got = read_all(a, h)
assert got == {"exited": True, "signal": 15, "timed-out": True, "eof": True}, got
h = stream(a, "sh", "-c", "trap '' TERM; while :; do sleep 0.2; done", timeout_ms=300)
out, err, got = read_all(a, h)
assert got == {"exited": True, "signal": 9, "timed-out": True, "eof": True}, got
assert time.monotonic() - start < 60
# one that ends in time is not
h = stream(a, "true", timeout_ms=60000)
assert read_all(a, h)[2] == {"exited": True, "exitcode": 0, "eof": True}
PY
}

@test "closing ends a program, and so does the agent's end" {
    start ga ours
    /usr/bin/python3 - <<'PY'
from more import *
a = Agent("ours.sock")
pids = []
for end in True, False:
    got = a.get("lathe-exec-start", {"path": "sleep", "arg": ["1000"]})
    pids.append(got["pid"])
    if end:
        a.get("lathe-exec-close", {"handle": got["handle"]})
open("pids", "w").write(" ".join(map(str, pids)) + "\n")
PY
    read -r closed open <pids
    wait_for sh -c "! kill -0 $closed"
    kill -0 "$open"
    kill "$pid"
    wait "$pid" || true
    wait_for sh -c "! kill -0 $open || grep -q '^State:.Z' /proc/$open/status"
}

@test "too many programs are refused, those that ended make room" {
    start ga ours
    /usr/bin/python3 - <<'PY'
from more import *
a = Agent("ours.sock")
for i in range(64):
    h = stream(a, "sleep", "1000")
assert "64 programs are running" in a.error("lathe-exec-start", {"path": "true"})["desc"]
a.get("lathe-exec-signal", {"handle": h, "signal": 9})
read_all(a, h)
stream(a, "true")
PY
}
