#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A guest over restarts of its daemon: fsd_restart.py SCENARIO SHARE FSD-OPTION... Says what went wrong, or "good"."""
import errno, fcntl, os, random, struct, subprocess, sys, time
from fsd_front import Front

HERE = os.path.dirname(os.path.abspath(__file__))
(LOOKUP, SETATTR, MKDIR, UNLINK, RMDIR, RENAME, LINK, OPEN, READ, WRITE, RELEASE, FLUSH, OPENDIR, READDIR, RELEASEDIR, SETLK,
 CREATE, GETATTR, TMPFILE) = (1, 4, 9, 10, 11, 12, 13, 14, 15, 16, 18, 25, 27, 28, 29, 32, 35, 3, 51)


class Guest:
    def __init__(self, share, options):
        self.share = share
        self.keeper = subprocess.Popen([sys.executable, HERE + "/fsd_keeper.py", "s", "fsd", "-d", "--shared-dir=" + share]
                                       + options, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.keeper.stdout.readline()
        self.f = Front("s")

    def tell(self, word):
        self.keeper.stdin.write(word + "\n")
        self.keeper.stdin.flush()
        return self.keeper.stdout.readline().strip()

    def restart(self, how="kill"):
        self.tell(how)
        self.f.connect()

    def kept(self):
        """What the keeper has, but for the memory; it takes things a little later than they are put."""
        return [n for n in self.tell("names").split() if n != "fsd.state"]

    def end(self):
        self.tell("exit")
        self.keeper.stdin.close()
        self.keeper.wait()

    # ---- requests: results, or OSError

    def create(self, name, node=1, flags=os.O_RDWR | os.O_EXCL, mode=0o644):
        self.f.post(CREATE, node, struct.pack("<IIII", flags | os.O_CREAT, 0o100000 | mode, 0, 0) + name.encode() + b"\0")
        return self.created()

    def created(self):
        out = self.f.wait()
        return struct.unpack_from("<Q", out)[0], struct.unpack_from("<Q", out, 128)[0]

    def open(self, node, flags=os.O_RDWR, opcode=OPEN):
        return struct.unpack_from("<Q", self.f.request(opcode, node, struct.pack("<II", flags, 0)))[0]

    def write(self, node, fh, text, at=0):
        self.f.request(WRITE, node, struct.pack("<QQIIQII", fh, at, len(text), 0, 0, 0, 0) + text.encode())

    def read(self, node, fh, at=0):
        return self.f.request(READ, node, struct.pack("<QQIIQII", fh, at, 60000, 0, 0, 0, 0)).decode()

    def release(self, node, fh, opcode=RELEASE):
        self.f.request(opcode, node, struct.pack("<QIIQ", fh, 0, 0, 0))

    def names(self, op, node, *names, fixed=b""):
        return self.f.request(op, node, fixed + b"".join(n.encode() + b"\0" for n in names))

    def attr(self, node, fh=0):
        a = struct.unpack_from("<QQQQQQIIIIIII", self.f.request(GETATTR, node, struct.pack("<IIQ", 1 if fh else 0, 0, fh)), 16)
        return {"size": a[1], "mode": a[9], "nlink": a[10]}

    def lock(self, node, fh, owner, kind, flock=0):
        self.f.request(SETLK, node, struct.pack("<QQQQIIII", fh, owner, 0, 99, kind, 1, flock, 0))

    def list(self, node, fh, at, room):
        data, found, pos = self.f.request(READDIR, node, struct.pack("<QQIIQII", fh, at, room, 0, 0, 0, 0)), [], 0
        while pos < len(data):
            _, at, size, _ = struct.unpack_from("<QQII", data, pos)
            found.append(data[pos + 24:pos + 24 + size].decode())
            pos += (24 + size + 7) & ~7
        return found, at


def same(is_, want):
    if is_ != want:
        raise SystemExit("line %d: %r, and not %r" % (sys._getframe(1).f_lineno, is_, want))


def fails(name, call, *args, **more):
    try:
        call(*args, **more)
    except OSError as e:
        return same(errno.errorcode[e.errno], name)
    raise SystemExit("line %d: %s was expected" % (sys._getframe(1).f_lineno, name))


def host_locked(path, kind):
    """Whether somebody else has it; kind: "posix" or "flock"."""
    with open(path, "r+") as f:
        try:
            (fcntl.lockf if kind == "posix" else fcntl.flock)(f, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return True
        return False


# ---- Scenarios


def files(g, how):
    """Open files, also such as have no name any more, names that changed, modes that forbid."""
    a, ha = g.create("a")
    b, hb = g.create("b")
    c, hc = g.create("c", flags=os.O_RDWR | os.O_APPEND)
    r, hr = g.create("r", mode=0o444)
    g.write(a, ha, "first")
    g.write(b, hb, "gone")
    g.write(c, hc, "one ")
    g.names(UNLINK, 1, "b")
    g.names(RENAME, 1, "a", "moved", fixed=struct.pack("<Q", 1))
    g.f.request(SETATTR, c, struct.pack("<IIQQQQQQIIIIIIII", 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0))
    d = struct.unpack_from("<Q", g.names(MKDIR, 1, "d", fixed=struct.pack("<II", 0o755, 0)))[0]
    e, he = g.create("e", d)
    g.f.post(TMPFILE, d, struct.pack("<IIII", os.O_RDWR | os.O_EXCL, 0o100600, 0, 0) + b"x\0")
    t, ht = g.created()
    g.write(t, ht, "nameless")
    for turn in range(3):
        g.restart(how)
        same(g.read(a, ha), "first" + "+" * turn)
        g.write(a, ha, "+", 5 + turn)
        same(g.read(b, hb), "gone" + "-" * turn)
        g.write(b, hb, "-", 4 + turn)
        same(g.attr(b, hb), {"size": 5 + turn, "mode": 0o100644, "nlink": 0})
        same(g.attr(b)["nlink"], 0)
        g.write(c, hc, "x", 4 + turn)
        g.write(r, hr, "written", 0)
        same(g.read(t, ht), "nameless")
        same(g.attr(e, he)["size"], 0)
        n, hn = g.create("new%d" % turn, d)
        same(n in (a, b, c, d, e, r, t), False)
        g.release(n, hn)
        same(g.f.lookup(1, "moved"), a)
        fails("ENOENT", g.f.lookup, 1, "b")
    same(open(g.share + "/moved").read(), "first+++")
    for node, fh in (a, ha), (b, hb), (c, hc), (r, hr), (e, he), (t, ht):
        g.release(node, fh)
        fails("EBADF", g.read, node, fh)
    g.restart(how)
    fails("EBADF", g.read, a, ha)
    same(g.read(a, g.open(a)), "first+++")


def locks(g, how):
    """Locks hold through the restart, on the host as well, and end when they should."""
    a, ha = g.create("a")
    b, hb = g.create("b")
    g.lock(a, ha, 7, fcntl.F_WRLCK)
    g.lock(b, hb, 0, fcntl.F_WRLCK, 1)
    for _ in range(3):
        g.restart(how)
        same((host_locked(g.share + "/a", "posix"), host_locked(g.share + "/b", "flock")), (True, True))
        g.lock(a, ha, 7, fcntl.F_WRLCK)
        other = g.open(a)
        fails("EAGAIN", g.lock, a, other, 8, fcntl.F_WRLCK)
        g.release(a, other)
        other = g.open(b)
        fails("EAGAIN", g.lock, b, other, 0, fcntl.F_WRLCK, 1)
        g.release(b, other)
    same(len(g.kept()), 2)
    g.f.request(FLUSH, a, struct.pack("<QIIQ", ha, 0, 0, 7))
    same(host_locked(g.share + "/a", "posix"), False)
    g.release(b, hb)
    same(host_locked(g.share + "/b", "flock"), False)
    g.restart(how)
    same((host_locked(g.share + "/a", "posix"), host_locked(g.share + "/b", "flock")), (False, False))
    same(g.kept(), [])


def folders(g, how):
    """A listing goes on where it was."""
    want = {".", ".."} | {"name-%d" % i for i in range(500)}
    os.mkdir(g.share + "/d")
    for name in want - {".", ".."}:
        open(g.share + "/d/" + name, "w").close()
    d = g.f.lookup(1, "d")
    fh, found, at = g.open(d, 0, OPENDIR), [], 0
    while True:
        some, at = g.list(d, fh, at, 3000)
        if not some:
            break
        found += some
        g.restart(how)
    same((len(found), set(found)), (len(want), want))
    g.release(d, fh, RELEASEDIR)


def told(g, node, fh):
    seen = set()
    for _ in range(20):
        try:
            seen |= set(g.read(node, fh)[:-1].split("\0"))
        except OSError as e:
            if e.errno != errno.EAGAIN or seen:
                break
    return sorted(seen)


def changes(g, how):
    """Changes of others are told to who reads, after a restart as well, and what may have been missed."""
    os.makedirs(g.share + "/d/e")
    d = g.f.lookup(1, "d")
    g.f.lookup(d, "e")
    events = g.f.lookup(1, ".fsd-events")
    fh = g.open(events, os.O_RDONLY)
    open(g.share + "/d/before", "w").close()
    same(told(g, events, fh), ["d/before"])
    g.restart(how)
    same(told(g, events, fh), ["/"])
    open(g.share + "/d/e/after", "w").close()
    same(told(g, events, fh), ["d/e/after"])
    g.create("own", d)
    open(g.share + "/top", "w").close()
    same(told(g, events, fh), ["top"])


def requests(g, how):
    """Requests under way, taken up by the next daemon whether or not the last one had done them."""
    log, hl = g.create("log", flags=os.O_WRONLY | os.O_APPEND)
    text = ""
    for i in range(60):
        g.f.post(CREATE, 1, struct.pack("<IIII", os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o100644, 0, 0) + b"f%d\0" % i)
        time.sleep(random.random() / 2000)
        g.restart(how)
        node, fh = g.created()
        g.f.post(WRITE, log, struct.pack("<QQIIQII", hl, len(text), 5, 0, 0, 0, 0) + b"%04d\n" % i)
        text += "%04d\n" % i
        time.sleep(random.random() / 2000)
        g.restart(how)
        g.f.wait()
        g.f.post(RENAME, 1, struct.pack("<Q", 1) + b"f%d\0g%d\0" % (i, i))
        time.sleep(random.random() / 2000)
        g.restart(how)
        g.f.wait()
        same(g.f.lookup(1, "g%d" % i), node)
        if i % 2:
            g.f.post(UNLINK, 1, b"g%d\0" % i)
            time.sleep(random.random() / 2000)
            g.restart(how)
            g.f.wait()
        g.write(node, fh, "still")
        g.release(node, fh)
    same(open(g.share + "/log").read(), text)
    same(sorted(os.listdir(g.share)), sorted(["log"] + ["g%d" % i for i in range(0, 60, 2)]))
    # one that no daemon had seen
    g.tell("stop")
    g.f.post(MKDIR, 1, struct.pack("<II", 0o755, 0) + b"late\0")
    g.tell("start")
    g.f.connect()
    g.f.wait()
    same(os.path.isdir(g.share + "/late"), True)


def mounts(g, how):
    """Another file system below the share, at "m" and by a second way at "deep/m": mounts have other numbers after a restart."""
    m, deep = g.f.lookup(1, "m"), g.f.lookup(1, "deep")
    m2 = g.f.lookup(deep, "m")
    same(len({m, m2, deep}), 3)
    d = struct.unpack_from("<Q", g.names(MKDIR, m, "d", fixed=struct.pack("<II", 0o755, 0)))[0]
    a, ha = g.create("a", d)
    b, hb = g.create("b", m2)
    c, hc = g.create("c", m2)
    g.write(a, ha, "text")
    g.write(c, hc, "gone")
    g.names(UNLINK, m2, "c")
    for _ in range(3):
        g.restart(how)
        same(g.read(a, ha), "text")
        g.write(b, hb, "more")
        same(g.read(c, hc), "gone")
        same(g.attr(a)["size"], 4)
        same((g.f.lookup(1, "m"), g.f.lookup(m, "d"), g.f.lookup(d, "a"), g.f.lookup(m2, "b")), (m, d, a, b))
        same(g.f.lookup(g.f.lookup(deep, "m"), "b"), b)


def other(g, how):
    """Another directory, then other options ("start" says which): all is forgotten, and what the guest asks is an error."""
    a, ha = g.create("a")
    g.restart(how)
    g.write(a, ha, "here")
    for word in "other", "other --readonly":
        with open("start", "w") as f:
            f.write(word)
        g.restart(how)
        fails("EIO", g.read, a, ha)
        g.f.s.close()
        g.f = Front("s")
    fails("EROFS", g.create, "b")


def again(g, how):
    """A machine that goes away, or begins anew, leaves nothing behind."""
    a, ha = g.create("a")
    g.lock(a, ha, 7, fcntl.F_WRLCK)
    g.restart(how)
    g.f.s.close()
    g.f = Front("s")
    fails("EBADF", g.read, a, ha)
    same(host_locked(g.share + "/a", "posix"), False)
    g.restart(how)
    fails("EBADF", g.read, a, ha)
    same(g.kept(), [])


g = Guest(sys.argv[2], sys.argv[4:])
globals()[sys.argv[1]](g, sys.argv[3])
g.end()
print("good")
