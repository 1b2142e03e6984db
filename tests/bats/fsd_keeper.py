#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Whoever starts fsd, for tests: keeps its descriptors, kills it when asked, and starts it again:
   fsd_keeper.py SOCKET PROGRAM ARGUMENT...
Commands come line by line on standard input: kill (SIGKILL, then it is started again), term (the
same with SIGTERM), names (of what is kept), stop (kill, and stay without until) start, exit. Each is
answered by a line, "ok" or the names; the first "ok" says that SOCKET is there."""
import array, os, select, signal, socket, subprocess, sys, tempfile

listener = socket.socket(socket.AF_UNIX)
listener.bind(sys.argv[1])
listener.listen(8)
folder = tempfile.mkdtemp()
store = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
store.bind(folder + "/notify")
kept = {}


def start():
    fds = [listener.fileno()] + list(kept.values())
    names = ":".join(["socket"] + list(kept))

    def child():
        high = [os.dup2(fd, 500 + i) for i, fd in enumerate(fds)]
        for i, fd in enumerate(high):
            os.dup2(fd, 3 + i)
        os.closerange(3 + len(fds), 1000)
        os.environ.update(LISTEN_FDS=str(len(fds)), LISTEN_FDNAMES=names,
                          LISTEN_PID=str(os.getpid()), NOTIFY_SOCKET=folder + "/notify",
                          FDSTORE="200")
        os.execvp(sys.argv[2], sys.argv[2:])
    pid = os.fork()
    if pid == 0:
        try:
            child()
        finally:
            os._exit(127)
    return pid


def drain():
    while True:
        try:
            text, control, _, _ = store.recvmsg(4096, 4096, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return
        words = dict(line.partition("=")[::2] for line in text.decode().split("\n"))
        fds = array.array("i")
        for level, kind, data in control:
            fds.frombytes(data[:len(data) // 4 * 4])
        if "FDSTORE" in words:
            assert words["FDNAME"] not in kept, words
            kept[words["FDNAME"]] = fds[0]
        elif "FDSTOREREMOVE" in words:
            fd = kept.pop(words["FDNAME"], None)
            if fd is not None:
                os.close(fd)


def stop(number):
    global pid
    os.kill(pid, number)
    while True:
        drain()
        if os.waitpid(pid, os.WNOHANG)[0]:
            break
        select.select([store], [], [], 0.01)
    drain()
    pid = 0


pid = start()
print("ok", flush=True)
while True:
    ready, _, _ = select.select([store, sys.stdin], [], [])
    drain()
    if sys.stdin not in ready:
        continue
    word = sys.stdin.readline().strip()
    said = "ok"
    if word in ("kill", "term"):
        stop(signal.SIGKILL if word == "kill" else signal.SIGTERM)
        pid = start()
    elif word == "stop":
        stop(signal.SIGKILL)
    elif word == "start":
        pid = start()
    elif word == "names":
        said = " ".join(sorted(kept))
    elif word in ("exit", ""):
        break
    else:
        raise SystemExit("what is " + word)
    print(said, flush=True)
if pid:
    os.kill(pid, signal.SIGTERM)
    os.waitpid(pid, 0)
os.unlink(folder + "/notify")
os.rmdir(folder)
os.unlink(sys.argv[1])
