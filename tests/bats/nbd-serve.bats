#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# nbd as a server: how it is started and ended, and what clients that are not ours see of it.

load common

setup()
{
    cd "$BATS_TEST_TMPDIR"
    mkdir -p names
    ln -sf "$(command -v nbd)" names/qemu-nbd
    img create -q -f qcow2 d.qcow2 8M
    qemu-io -c "write -P 1 0 1M" -c "write -P 2 3M 100k" d.qcow2 >/dev/null
}

teardown()
{
    # shellcheck disable=SC2046
    kill $(cat ./*.pid 2>/dev/null) 2>/dev/null || true
}

# serve NAME ARGUMENTS...: in the background on NAME.sock
serve()
{
    local name=$1
    shift
    nbd -k "$name.sock" --pid-file "$name.pid" --fork "$@"
    uri="nbd+unix:///?socket=$PWD/$name.sock"
}

# reads BYTE RANGE: that and nothing else is there
reads()
{
    run qemu-io -r -f raw -c "read -P $1 $2" "$uri"
    echo "$output"
    [ "$status" -eq 0 ]
    [[ $output == *"read "* && $output != *failed* ]]
}

@test "an image is served on a socket of its own, and its URI is printed" {
    nbd -r -f qcow2 d.qcow2 >out &
    local pid=$!
    wait_for test -s out
    local uri
    uri=$(cat out)
    [[ $uri == nbd+unix:///?socket=/*/* ]]
    local path=${uri#*socket=}
    [ "$(stat -c %a "$path")" = 700 ] || [ "$(stat -c %a "$(dirname "$path")")" = 700 ]
    nbdinfo "$uri" | grep -q 'export-size: 8388608'
    kill $pid
    wait $pid
    [ ! -e "$path" ]
}

@test "a command is served, and its status is ours" {
    run nbd -r d.qcow2 --run 'nbdcopy "$uri" out.raw && test -S "$unixsocket" && exit 7'
    [ "$status" -eq 7 ]
    qemu-img compare -q -F raw d.qcow2 out.raw
    run nbd -r d.qcow2 -x name -p "$(free_port)" --run 'echo "$uri $exportname $port $nbd"'
    [ "$status" -eq 0 ]
    [[ $output =~ nbd://127.0.0.1:[0-9]+/name\ name\ [0-9]+\ nbd:127.0.0.1:[0-9]+ ]]
    run nbd d.qcow2 --run 'kill -9 $$'
    [ "$status" -eq 137 ]
}

@test "nbdinfo sees of an export what it sees of qemu-nbd's" {
    qemu-img bitmap --add d.qcow2 b0
    qemu-nbd -r -A -B b0 -D "a disk" -x foo -t -k "$PWD/q.sock" --pid-file q.pid --fork d.qcow2
    nbdinfo --json "nbd+unix:///foo?socket=$PWD/q.sock" | sed 's/q\.sock/X/; /block_size_preferred/d' >theirs
    kill "$(cat q.pid)"
    serve n -e 1 -r -A -B b0 -D "a disk" -x foo d.qcow2
    nbdinfo --json "nbd+unix:///foo?socket=$PWD/n.sock" | sed 's/n\.sock/X/; /block_size_preferred/d' >ours
    diff theirs ours
}

@test "a list of exports is told as qemu-nbd -L tells it" {
    serve n -r -A -D "text of it" -x some d.qcow2
    nbd -L -k n.sock >ours
    qemu-nbd -L -k "$PWD/n.sock" >theirs
    diff theirs ours
    nbdkit -U "$PWD/k.sock" -P k.pid --exportname=other memory 1M
    nbd list -k k.sock >ours
    qemu-nbd -L -k "$PWD/k.sock" >theirs
    diff theirs ours
    nbd list "$uri" >ours
    nbd list -k n.sock | diff - ours
    nbd list --json -k n.sock | python3 -c 'import json, sys
e = json.load(sys.stdin)[0]
assert e["name"] == "some" and e["size"] == 8 << 20 and "readonly" in e["flags"] and len(e["contexts"]) == 2'
    run nbd -L -k none.sock
    [ "$status" -eq 1 ]
    [[ $output == *none.sock*"No such file"* ]]
}

@test "what clients write is there, by every command of the protocol" {
    serve n -f qcow2 --discard=unmap d.qcow2
    /usr/bin/python3 - "$uri" <<'PY'
import nbd, os, sys
h = nbd.NBD()
h.add_meta_context("base:allocation")
h.connect_uri(sys.argv[1])
assert h.can_multi_conn() and h.can_fua() and h.can_fast_zero() and h.can_cache()
data = os.urandom(200000)
h.pwrite(data, 12345, nbd.CMD_FLAG_FUA)
assert h.pread(200000, 12345) == data
h.flush()
h.zero(65536, 0)
assert h.pread(65536, 0) == bytes(65536)
h.zero(65536, 65536, nbd.CMD_FLAG_NO_HOLE)
h.trim(1 << 20, 2 << 20)
h.cache(1 << 20, 0)
found = []
h.block_status(8 << 20, 0, lambda context, offset, entries, err: found.append(entries))
assert sum(found[0][::2]) == 8 << 20, found
got = []
h.pread_structured(4 << 20, 0, lambda buf, offset, status, err: got.append((offset, len(buf), status)))
assert sum(l for o, l, s in got) == 4 << 20
for call in (lambda: h.pread(512, 8 << 20), lambda: h.zero(512, (8 << 20) - 1)):
    try:
        call()
        assert False
    except nbd.Error:
        pass
h.shutdown()
PY
    kill "$(cat n.pid)"
    wait_for test ! -e n.sock
    qemu-img check -q d.qcow2
}

@test "copies in both directions arrive whole" {
    head -c 5000000 /dev/urandom >s.raw
    truncate -s 8M s.raw
    serve n -f qcow2 d.qcow2
    nbdcopy s.raw "$uri"
    nbdcopy "$uri" t.raw
    cmp s.raw t.raw
    qemu-img convert -f raw -O raw "$uri" t.raw
    img compare -f raw "$uri" t.raw
    kill "$(cat n.pid)"
    wait_for test ! -e n.sock
    nbdcopy -- [ nbd -r -f qcow2 d.qcow2 ] u.raw
    cmp s.raw u.raw
}

@test "sockets that a service manager gives are used, and nothing else is listened on" {
    nbdinfo --size -- [ nbd -r -f qcow2 d.qcow2 ] >out
    [ "$(cat out)" = 8388608 ]
    run env LISTEN_FDS=1 LISTEN_PID=1 nbd -r d.qcow2 --run true
    [ "$status" -eq 0 ]
    run python3 -c '
import os, socket
s = socket.socket(socket.AF_UNIX); s.bind("x.sock"); s.listen()
os.dup2(s.fileno(), 3)
os.environ["LISTEN_FDS"] = "1"; os.environ["LISTEN_PID"] = str(os.getpid())
os.execvp("nbd", ["nbd", "-k", "y.sock", "d.qcow2"])'
    [ "$status" -eq 2 ]
    [[ $output == *"do not go with sockets that were given"* ]]
}

@test "under the name qemu-nbd it serves one client and then ends" {
    PATH=$PWD/names:$PATH
    [[ $(qemu-nbd --version | head -n 1) == "qemu-nbd 7.0.0"* ]]
    qemu-nbd --help | grep -q selinux
    qemu-nbd -k "$PWD/q.sock" -r -f qcow2 d.qcow2 &
    local pid=$!
    wait_for listens q.sock
    nbdinfo --size "nbd+unix:///?socket=$PWD/q.sock"
    wait $pid
    run qemu-nbd -k q.sock d.qcow2
    [ "$status" -eq 1 ]
    [[ $output == *"socket path must be absolute"* ]]
    run qemu-nbd
    [ "$status" -eq 1 ]
    [[ $output == *"Invalid number of arguments"* ]]
}

@test "no more clients are let in than -e says" {
    serve n -e 1 -r d.qcow2
    exec 5<>/dev/null
    /usr/bin/python3 - n.sock <<'PY'
import nbd, sys, threading, time
a = nbd.NBD(); a.connect_unix(sys.argv[1])
assert not a.can_multi_conn()
done = []
def other():
    b = nbd.NBD(); b.connect_unix(sys.argv[1]); done.append(1); b.shutdown()
t = threading.Thread(target=other); t.start()
time.sleep(0.5)
assert not done
a.shutdown()
t.join(60)
assert done
PY
}

@test "parts of an image are exported: from an offset, a snapshot, a layer that is thrown away" {
    serve o -r -o 3M d.qcow2
    [ "$(nbdinfo --size "$uri")" = $((5 << 20)) ]
    reads 2 "0 100k"
    kill "$(cat o.pid)"
    wait_for test ! -e o.sock
    qemu-img snapshot -c s1 d.qcow2
    qemu-io -c "write -P 9 0 64k" d.qcow2 >/dev/null
    serve l -l s1 d.qcow2
    reads 1 "0 64k"
    serve m -l snapshot.name=s1 d.qcow2
    reads 1 "0 64k"
    run nbd -l none d.qcow2
    [ "$status" -eq 1 ]
    [[ $output == *"Failed to load snapshot"* ]]
    kill "$(cat l.pid)" "$(cat m.pid)"
    wait_for test ! -e l.sock -a ! -e m.sock
    cp d.qcow2 before.qcow2
    serve s -s -f qcow2 d.qcow2
    qemu-io -f raw -c "write -P 7 0 64k" -c "read -P 7 0 64k" "$uri"
    kill "$(cat s.pid)"
    wait_for test ! -e s.sock
    cmp d.qcow2 before.qcow2
}

@test "several disks are served by one server" {
    img create -q -f raw b.raw 1M
    serve n -r d.qcow2 b.raw
    [ "$(nbdinfo --size "nbd+unix:///b.raw?socket=$PWD/n.sock")" = 1048576 ]
    [ "$(nbdinfo --size "nbd+unix:///d.qcow2?socket=$PWD/n.sock")" = 8388608 ]
    run nbdinfo "nbd+unix:///none?socket=$PWD/n.sock"
    [ "$status" -eq 1 ]
    nbd -k x.sock --pid-file x.pid --fork \
        --blockdev driver=qcow2,node-name=q,file.driver=file,file.filename=d.qcow2 \
        --export node-name=q,name=a,read-only=on 2>err && false
    grep -q read-only err
    kill "$(cat n.pid)"
    wait_for test ! -e n.sock
    nbd -k y.sock --pid-file y.pid --fork \
        --blockdev driver=qcow2,node-name=q,file.driver=file,file.filename=d.qcow2 \
        --export node-name=q,name=a,writable=on --export node-name=q,name=b,description=second
    qemu-io -f raw -c "write -P 6 0 64k" "nbd+unix:///a?socket=$PWD/y.sock"
    qemu-io -r -f raw -c "read -P 6 0 64k" "nbd+unix:///b?socket=$PWD/y.sock"
}

@test "a bitmap and the depth of data are told; the cache of block status is not polluted (B2)" {
    qemu-img create -q -f raw sparse.raw 1M
    serve n --allocation-depth -r -f raw sparse.raw
    for client in img qemu-img; do
        $client map --output=json --image-opts driver=nbd,server.type=unix,server.path=n.sock >first
        $client map --output=json --image-opts \
            driver=nbd,server.type=unix,server.path=n.sock,x-dirty-bitmap=qemu:allocation-depth >depth
        $client map --output=json --image-opts \
            driver=nbd,server.type=unix,server.path=n.sock,x-dirty-bitmap=qemu:allocation-depth >depth2
        $client map --output=json --image-opts driver=nbd,server.type=unix,server.path=n.sock >last
        cmp first last
        cmp depth depth2
        grep -q '"zero": true, "data": false' first
    done
    qemu-img bitmap --add d.qcow2 b1
    qemu-io -c "write 1M 64k" d.qcow2 >/dev/null
    serve b -r -B b1 d.qcow2
    img map --output=json --image-opts driver=nbd,server.type=unix,server.path=b.sock,x-dirty-bitmap=qemu:dirty-bitmap:b1 >ours
    qemu-img map --output=json --image-opts driver=nbd,server.type=unix,server.path=b.sock,x-dirty-bitmap=qemu:dirty-bitmap:b1 >theirs
    diff theirs ours
    grep -q '"start": 1048576, "length": 65536.*"data": false' ours
    run nbd -r -B none d.qcow2
    [ "$status" -eq 1 ]
    [[ $output == *"Bitmap 'none' is not found"* ]]
}

@test "it ends when it is told to, and what was answered is on the disk" {
    serve n -f qcow2 --cache=writeback d.qcow2
    /usr/bin/python3 - n.sock n.pid <<'PY'
import nbd, os, signal, sys, time
h = nbd.NBD(); h.connect_unix(sys.argv[1])
done = 0
pid = int(open(sys.argv[2]).read())
try:
    for i in range(8 << 4):
        if i == 40:
            os.kill(pid, signal.SIGTERM)
        h.pwrite(bytes([i & 255]) * 65536, i << 16)
        done = i + 1
except nbd.Error:
    pass
open("done", "w").write(str(done))
PY
    wait_for test ! -e n.sock
    qemu-img check -q d.qcow2
    python3 - <<'PY'
import subprocess
done = int(open("done").read())
assert done >= 40
subprocess.check_call(["qemu-img", "convert", "-O", "raw", "d.qcow2", "d.raw"])
d = open("d.raw", "rb").read()
for i in range(done):
    assert d[i << 16:(i + 1) << 16] == bytes([i & 255]) * 65536, i
PY
}

@test "it ends with its parent when it is asked to" {
    sh -c 'nbd --exit-with-parent -k p.sock --pid-file p.pid -r d.qcow2 & until [ -S p.sock ]; do sleep 0.1; done'
    wait_for test ! -e p.sock
}

@test "wrong words end in one line that names them" {
    run nbd --shard=3 d.qcow2
    [ "$status" -eq 2 ]
    [[ ${lines[0]} == "nbd: unrecognized option '--shard=3' (did you mean '--shared'?)" ]]
    run nbd none.qcow2
    [ "$status" -eq 1 ]
    [ "$output" = "nbd: none.qcow2: No such file or directory" ]
    run nbd -e x d.qcow2
    [[ $output == *"Invalid shared device number 'x'"* ]]
    run nbd -L d.qcow2
    [[ $output == *"List mode is incompatible with a file name"* ]]
    run nbd --tls-hostname=x -L
    [[ $output == *"--tls-hostname is not permitted without --tls-creds"* ]]
    run nbd -k a.sock -p 3 d.qcow2
    [ "$status" -eq 2 ]
    serve n -r d.qcow2
    run nbd -k n.sock -r d.qcow2
    [ "$status" -eq 1 ]
    [[ $output == *n.sock*"in use"* ]]
    run nbd -b 0.0.0.0 -p "$(free_port)" -r d.qcow2 --run true
    [ "$status" -eq 0 ]
    [[ $output == *"warning: whoever reaches this host can read"* ]]
}
