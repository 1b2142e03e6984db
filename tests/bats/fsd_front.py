#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A machine's end of vhost-user and FUSE, written from the protocols alone: fsd_front.py SOCKET [OPTION] WORD...
   uid=N               requests after it are that user's
   mkdir:NAME  create:NAME:TEXT  cat:NAME  ls:NAME  unlink:NAME  stat:NAME  getxattr:NAME:KEY  setxattr:NAME:KEY:VALUE
   watch               open the file of events
   events              what it tells until there is nothing for a while
   host:COMMAND        a shell command of the host
   wait                stay connected until standard input ends
Results go to standard output, a failed word is the name of its errno. Names are paths below the share; ".." goes up by a
request for that very name."""
import array, ctypes, errno, mmap, os, socket, struct, subprocess, sys

PAGE = 4096
SIZE = 1 << 20
DESC, AVAIL, USED, IN, OUT = 0, 0x4000, 0x8000, 0x10000, 0x40000


class Front:
    def __init__(self, path):
        self.path = path
        self.fd = os.memfd_create("guest")
        os.ftruncate(self.fd, SIZE)
        self.m = mmap.mmap(self.fd, SIZE)
        self.avail = ctypes.c_uint16.from_buffer(self.m, AVAIL + 0x2000 + 2)
        self.unique, self.uid, self.busy = 0, 0, False
        self.at = 0
        self.connect()
        init = struct.pack("<IIIII11I", 7, 38, 65536, 0x7fffffff, 0, *[0] * 11)
        self.request(26, 0, init)

    def connect(self):
        """Also again, when the daemon is another one: what has no answer is put again."""
        self.s = socket.socket(socket.AF_UNIX)
        self.s.settimeout(60)
        self.s.connect(self.path)
        self.busy = self.busy and not self.answered()
        self.kick, self.call, self.at = os.eventfd(0), os.eventfd(0), 0
        self.m[AVAIL:IN] = bytes(IN - AVAIL)
        self.ask(1)  # GET_FEATURES
        self.tell(2, struct.pack("<Q", 1 << 32 | 1 << 30))  # VERSION_1, PROTOCOL_FEATURES
        self.tell(16, struct.pack("<Q", 0))
        self.tell(3)
        base = 0x7f0000000000
        self.tell(5, struct.pack("<IIQQQQ", 1, 0, 0, SIZE, base, 0), [self.fd])
        for queue in (0, 1):
            self.tell(8, struct.pack("<II", queue, 128))
            off = queue * 0x2000
            self.tell(9, struct.pack("<IIQQQQ", queue, 0, base + DESC + off, base + USED + off, base + AVAIL + off, 0))
            self.tell(10, struct.pack("<II", queue, 0))
            self.tell(13, struct.pack("<Q", queue), [self.call if queue else os.eventfd(0)])
            self.tell(12, struct.pack("<Q", queue), [self.kick if queue else os.eventfd(0)])
            self.tell(18, struct.pack("<II", queue, 1))
        if self.busy:
            self.put()

    def tell(self, request, payload=b"", fds=()):
        control = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
        self.s.sendmsg([struct.pack("<III", request, 1, len(payload)) + payload], control)

    def ask(self, request):
        self.tell(request)
        head = self.s.recv(12, socket.MSG_WAITALL)
        return self.s.recv(struct.unpack("<III", head)[2], socket.MSG_WAITALL)

    def request(self, opcode, node, arg, room=65536):
        self.post(opcode, node, arg, room)
        return self.wait()

    def post(self, opcode, node, arg, room=65536):
        self.unique += 1
        self.m[OUT:OUT + 16] = bytes(16)
        data = struct.pack("<IIQQIIIHH", 40 + len(arg), opcode, self.unique, node, self.uid, self.uid, 1, 0, 0) + arg
        self.m[IN:IN + len(data)] = data
        off = 0x2000
        self.m[DESC + off:DESC + off + 32] = struct.pack("<QIHHQIHH", IN, len(data), 1, 1, OUT, room, 2, 0)
        self.busy = True
        self.put()

    def put(self):
        struct.pack_into("<H", self.m, AVAIL + 0x2000 + 4 + 2 * (self.at % 128), 0)
        self.at += 1
        self.avail.value = self.at & 0xffff  # at once: struct.pack_into clears it first, which may be seen
        os.eventfd_write(self.kick, 1)

    def answered(self):
        return struct.unpack_from("<H", self.m, USED + 0x2000 + 2)[0] == self.at & 0xffff

    def wait(self):
        while self.busy and not self.answered():
            os.eventfd_read(self.call)
        self.busy = False
        size, error, unique = struct.unpack_from("<IiQ", self.m, OUT)
        assert unique == self.unique, (unique, self.unique)
        if error:
            raise OSError(-error, "")
        return self.m[OUT + 16:OUT + size]

    def lookup(self, node, name):
        return struct.unpack_from("<Q", self.request(1, node, name.encode() + b"\0"))[0]

    def walk(self, path):
        node = 1
        for name in path.split("/"):
            if name:
                node = self.lookup(node, name)
        return node

    def parent(self, path):
        folder, _, name = path.rpartition("/")
        return self.walk(folder), name.encode() + b"\0"

    def do(self, word, *args):
        if word == "mkdir":
            node, name = self.parent(args[0])
            self.request(9, node, struct.pack("<II", 0o755, 0) + name)
        elif word == "create":
            node, name = self.parent(args[0])
            out = self.request(35, node, struct.pack("<IIII", os.O_RDWR | os.O_CREAT, 0o644, 0, 0) + name)
            fh = struct.unpack_from("<Q", out, 128)[0]
            text = args[1].encode()
            self.request(16, struct.unpack_from("<Q", out)[0], struct.pack("<QQIIQII", fh, 0, len(text), 0, 0, 0, 0) + text)
            self.request(18, 1, struct.pack("<QIIQ", fh, 0, 0, 0))
        elif word == "cat":
            node = self.walk(args[0])
            fh = struct.unpack_from("<Q", self.request(14, node, struct.pack("<II", 0, 0)))[0]
            print(self.request(15, node, struct.pack("<QQIIQII", fh, 0, 60000, 0, 0, 0, 0)).decode())
        elif word == "ls":
            node = self.walk(args[0])
            fh = struct.unpack_from("<Q", self.request(27, node, struct.pack("<II", 0, 0)))[0]
            data, names, at = self.request(28, node, struct.pack("<QQIIQII", fh, 0, 60000, 0, 0, 0, 0)), [], 0
            while at < len(data):
                size = struct.unpack_from("<QQII", data, at)[2]
                names.append(data[at + 24:at + 24 + size].decode())
                at += (24 + size + 7) & ~7
            print(*sorted(names))
        elif word == "stat":
            attr = struct.unpack_from("<QQQQQQIIIIIII", self.request(3, self.walk(args[0]), bytes(16)), 16)
            print("%o %d:%d %d" % (attr[9], attr[11], attr[12], attr[1]))
        elif word == "unlink":
            node, name = self.parent(args[0])
            self.request(10, node, name)
        elif word == "setxattr":
            value = args[2].encode()
            self.request(21, self.walk(args[0]), struct.pack("<IIII", len(value), 0, 0, 0) + args[1].encode() + b"\0" + value)
        elif word == "getxattr":
            print(self.request(22, self.walk(args[0]), struct.pack("<II", 1000, 0) + args[1].encode() + b"\0").decode())
        elif word == "watch":
            self.events = self.walk(".fsd-events")
            out = self.request(14, self.events, struct.pack("<II", 0, 0))
            self.fh = struct.unpack_from("<Q", out)[0]
        elif word == "events":
            seen = []
            while True:
                try:
                    read = struct.pack("<QQIIQII", self.fh, 0, 60000, 0, 0, 0, 0)
                    seen += self.request(15, self.events, read).split(b"\0")[:-1]
                except OSError as e:
                    assert e.errno == errno.EAGAIN
                    break
            print("events", *sorted({s.decode() for s in seen}))
        elif word == "host":
            subprocess.run(args[0], shell=True, check=True)
        elif word == "wait":
            sys.stdout.flush()
            sys.stdin.read()
        else:
            raise SystemExit("what is " + word)


def main():
    f = Front(sys.argv[1])
    for word in sys.argv[2:]:
        if word.startswith("uid="):
            f.uid = int(word[4:])
            continue
        try:
            f.do(*word.split(":"))
        except OSError as e:
            print(errno.errorcode[e.errno])
        sys.stdout.flush()


if __name__ == "__main__":
    main()
