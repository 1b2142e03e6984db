#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# Peers that do not keep to the protocol: each ends alone, and the others are served as before.

load common

setup()
{
    cd "$BATS_TEST_TMPDIR"
    truncate -s 4M d.raw
}

teardown()
{
    # shellcheck disable=SC2046
    kill $(cat ./*.pid 2>/dev/null) 2>/dev/null || true
}

@test "clients that lie, stall or vanish harm nobody" {
    nbd -f raw -k n.sock --handshake-limit=2 d.raw 2>err >/dev/null &
    echo $! >n.pid
    wait_for listens n.sock
    /usr/bin/python3 - n.sock "$!" <<'PY'
import nbd, os, socket, struct, sys, time
path, pid = sys.argv[1], int(sys.argv[2])
def sock():
    s = socket.socket(socket.AF_UNIX); s.connect(path); s.settimeout(60); return s
def recv(s, n):
    b = b""
    while len(b) < n:
        d = s.recv(n - len(b))
        if not d: return b
        b += d
    return b
def go(s):
    assert recv(s, 18)[:8] == b"NBDMAGIC"
    s.sendall(struct.pack(">I", 3) + b"IHAVEOPT" + struct.pack(">II", 1, 0))
    assert len(recv(s, 10)) == 10
def request(kind, offset, length, flags=0, cookie=1):
    return struct.pack(">IHHQQI", 0x25609513, flags, kind, cookie, offset, length)
def reply(s):
    magic, error, cookie = struct.unpack(">IIQ", recv(s, 16))
    assert magic == 0x67446698
    return error
good = nbd.NBD(); good.connect_unix(path)
def still():
    good.pwrite(b"x" * 512, 0); assert good.pread(512, 0) == b"x" * 512

# garbage instead of a handshake, of an option, of a request
for rubbish in (b"GET / HTTP/1.0\r\n\r\n" * 10, struct.pack(">I", 3) + b"X" * 64,
                struct.pack(">I", 3) + b"IHAVEOPT" + struct.pack(">II", 7, 0xffffffff)):
    s = sock(); recv(s, 18); s.sendall(rubbish); assert recv(s, 1) == b""; s.close(); still()
s = sock(); go(s); s.sendall(b"\xff" * 28); assert recv(s, 1) == b""; still()
# too long, beyond the end, unknown
s = sock(); go(s)
s.sendall(request(0, 0, 33 << 20)); assert reply(s) == 22
s.sendall(request(0, 1 << 62, 512)); assert reply(s) == 22
s.sendall(request(1, (4 << 20) - 1, 2) + b"ab"); e = reply(s); assert e == 28, e
s.sendall(request(99, 0, 0)); assert reply(s) == 22
s.sendall(request(3, 5, 5)); assert reply(s) == 22
s.sendall(request(0, 0, 512, 0x8000)); assert reply(s) == 22
s.sendall(request(1, 0, 40 << 20)); s.sendall(bytes(40 << 20)); assert reply(s) == 28
s.sendall(request(0, 0, 512)); assert reply(s) == 0 and len(recv(s, 512)) == 512
s.close(); still()
# half a write, then gone; a thousand requests and gone before the answers
s = sock(); go(s); s.sendall(request(1, 0, 1 << 20) + b"half"); s.close(); still()
s = sock(); go(s); s.sendall(request(0, 0, 65536) * 1000); s.close(); still()
# many at once that never take their answers
idle = []
for i in range(20):
    s = sock(); go(s)
    s.setblocking(False)
    try:
        while True: s.send(request(0, 0, 1 << 20) * 10)
    except BlockingIOError: pass
    idle.append(s)
still()
rss = int([l for l in open(f"/proc/{pid}/status") if l.startswith("VmRSS")][0].split()[1])
assert rss < 20 * 5000 + 50000, rss
for s in idle: s.close()
# slow ones: cut off in time
s = sock(); recv(s, 18); begin = time.time()
try:
    for byte in struct.pack(">I", 3) + b"IHAVEOPT" + bytes(100): s.send(bytes([byte])); time.sleep(0.2)
    assert recv(s, 1) == b""
except (BrokenPipeError, ConnectionResetError): pass
assert 1 < time.time() - begin < 50
still()
fds = len(os.listdir(f"/proc/{pid}/fd"))
for i in range(200):
    s = sock(); s.close()
for i in range(100):
    if len(os.listdir(f"/proc/{pid}/fd")) <= fds: break
    time.sleep(0.1)
else: assert False, "descriptors are left"
still()
PY
    grep -q "it did not choose an export in time" err
    grep -q "a request begins with 0xffffffff" err
}

# lying BYTES-AFTER-HANDSHAKE...: a server of one export that answers each request with the next word
lying()
{
    cat >liar.py <<'PY'
import socket, struct, sys
s = socket.socket(socket.AF_UNIX); s.bind("l.sock"); s.listen()
size = int(sys.argv[1]); mode = sys.argv[2]
def recv(c, n):
    b = b""
    while len(b) < n:
        d = c.recv(n - len(b))
        if not d: raise EOFError
        b += d
    return b
def rep(c, o, t, d=b""): c.sendall(struct.pack(">QIII", 0x3e889045565a9, o, t, len(d)) + d)
while True:
    c, _ = s.accept()
    try:
        c.sendall(b"NBDMAGICIHAVEOPT" + struct.pack(">H", 3)); recv(c, 4)
        while True:
            _, o, n = struct.unpack(">QII", recv(c, 16)); recv(c, n)
            if o == 8: rep(c, 8, 1)
            elif o == 10: rep(c, 10, 4, struct.pack(">I", 5) + b"base:allocation"); rep(c, 10, 1)
            elif o == 7:
                rep(c, 7, 3, struct.pack(">HQH", 0, size, 0xff)); rep(c, 7, 1); break
            else: rep(c, o, 0x80000001)
        while True:
            m, f, k, cookie, off, n = struct.unpack(">IHHQQI", recv(c, 28))
            if k == 2: break
            def chunk(t, d, fl=1): c.sendall(struct.pack(">IHHQI", 0x668e33ef, fl, t, cookie, len(d)) + d)
            if k == 7 and mode == "endless": chunk(5, struct.pack(">III", 5, 0, 0))
            elif k == 7 and mode == "large": chunk(5, struct.pack(">III", 5, 0xffffffff, 3))
            elif k == 7: chunk(5, struct.pack(">III", 5, n, 0))
            elif mode == "beyond": chunk(1, struct.pack(">Q", off + n) + b"x" * 512)
            elif mode == "short": chunk(0, b"")
            elif mode == "stranger": cookie += 1; chunk(0, b"")
            elif mode == "bomb": c.sendall(struct.pack(">IHHQI", 0x668e33ef, 1, 1, cookie, 0xffffffff))
            elif mode == "vanish": c.close(); break
            else: chunk(1, struct.pack(">Q", off) + b"\0" * n)
    except (EOFError, OSError): pass
PY
    rm -f l.sock
    python3 liar.py "$1" "$2" &
    echo $! >l.pid
    wait_for listens l.sock
}

@test "servers that lie about data, extents or sizes end in a clear error" {
    local mode
    for mode in beyond short stranger bomb vanish endless; do
        lying 1048576 $mode
        run timeout 60 img convert -f raw -O raw "nbd+unix:///?socket=l.sock" out.raw
        echo "$mode: $output"
        [ "$status" -eq 1 ]
        [[ $output == *"nbd+unix://"*"socket="* ]]
        kill "$(cat l.pid)"
    done
    lying 1048576 large
    timeout 60 img convert -f raw -O raw "nbd+unix:///?socket=l.sock" out.raw
    [ "$(stat -c %s out.raw)" = 1048576 ]
    kill "$(cat l.pid)"
    lying 9223372036854775807 plain
    run timeout 60 img info "nbd+unix:///?socket=l.sock"
    [ "$status" -le 1 ]
}
