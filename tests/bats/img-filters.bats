#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# Filters by --image-opts and json:, beside Debian's qemu-img and qemu-io with the same option trees.

load common

setup()
{
    cd "$BATS_TEST_TMPDIR"
    img create -q -f raw a.raw 4M
    qemu-io -f raw -c "write -P 1 0 1M" -c "write -P 2 3M 100k" a.raw >/dev/null
    cp a.raw b.raw
}

# Both programs read the same tree alike.
both()
{
    img convert --image-opts -O raw "$1" ours.raw
    qemu-img convert --image-opts -O raw "$1" theirs.raw
    cmp ours.raw theirs.raw
    cmp ours.raw a.raw
}


@test "trees of filters are read as QEMU reads them" {
    both "driver=preallocate,prealloc-size=1M,file.driver=raw,file.file.driver=file,file.file.filename=a.raw"
    both "driver=blkdebug,align=4k,image.driver=raw,image.file.driver=file,image.file.filename=a.raw"
    both "driver=quorum,vote-threshold=2,children.0.driver=raw,children.0.file.driver=file,children.0.file.filename=a.raw,children.1.driver=raw,children.1.file.driver=file,children.1.file.filename=b.raw"
    both "driver=blkverify,test.driver=raw,test.file.driver=file,test.file.filename=a.raw,raw.driver=raw,raw.file.driver=file,raw.file.filename=b.raw"
    img convert -O raw 'json:{"driver": "quorum", "vote-threshold": 1, "read-pattern": "fifo", "children": [
        {"driver": "raw", "file": {"driver": "file", "filename": "a.raw"}},
        {"driver": "raw", "file.driver": "file", "file.filename": "b.raw"}]}' ours.raw
    cmp ours.raw a.raw
    img convert --image-opts -O raw driver=throttle,limits.bps-total=100M,file.driver=raw,file.file.driver=file,file.file.filename=a.raw ours.raw
    cmp ours.raw a.raw
}

@test "a throttle group that is an object is read as QEMU reads it, and holds" {
    local group=throttle-group,id=g,x-bps-total=2097152 tree=driver=throttle,throttle-group=g,file.driver=raw,file.file.driver=file,file.file.filename=a.raw
    qemu-img convert -O raw --object $group --image-opts $tree theirs.raw
    img convert -O raw --object $group --image-opts $tree ours.raw
    cmp ours.raw theirs.raw
    local start=${EPOCHREALTIME/./}
    img bench -q -c 20 -s 64k -d 1 --object $group --image-opts $tree
    # 1.25 MiB at 2 MiB a second, less the tenth of a second that is free
    [ $((${EPOCHREALTIME/./} - start)) -ge 400000 ]
    run img bench -c 1 --object $group,x-bps-read=1 --image-opts $tree
    [ "$status" != 0 ] && [[ $output == *exclude* ]]
    run img bench -c 1 --image-opts $tree
    [ "$status" != 0 ] && [[ $output == *"no group is called that"* ]]
}

# Reads through blkdebug with these rules: the same success or failure with both.
same_verdict()
{
    local tree="driver=raw,file.driver=blkdebug,$1,file.image.driver=file,file.image.filename=a.raw" ours=0 theirs=0
    img bench -q --image-opts -c 1 -s 64k -o "$2" "$tree" 2>err || ours=1
    qemu-io -r -c "read $2 64k" --image-opts "$tree" >out 2>&1 || theirs=1
    [ $ours = $theirs ] || { echo "$1 at $2: $ours, QEMU $theirs"; cat err out; return 1; }
    [ $ours = "$3" ]
}

@test "blkdebug fails what it fails with QEMU" {
    local r=file.inject-error.0
    same_verdict $r.event=read_aio,$r.errno=28 0 1
    same_verdict $r.event=none 0 1
    same_verdict $r.event=none,$r.iotype=write 0 0
    same_verdict $r.event=none,$r.sector=16 0 1
    same_verdict $r.event=none,$r.sector=16 64k 0
    same_verdict $r.event=read_aio,$r.state=2 0 0
    same_verdict $r.event=read_aio,$r.state=1 0 1
    printf '[inject-error]\nevent = "read_aio"\nsector = "256"\n' >rules
    same_verdict file.config=rules 64k 0
    same_verdict file.config=rules 128k 1
    run img bench -q -f raw -c 1 -o 128k blkdebug:rules:a.raw
    [ "$status" = 1 ]
    img bench -q -f raw -c 1 blkdebug:rules:a.raw
}

@test "compress and copy-on-read make images that qemu-img finds good" {
    img create -q -f qcow2 t.qcow2 4M
    img convert -n -f raw --target-image-opts a.raw driver=compress,file.driver=qcow2,file.file.filename=t.qcow2
    qemu-img check t.qcow2 >out
    grep -q '100.00% compressed' out
    qemu-img compare -q -f raw -F qcow2 a.raw t.qcow2
    img create -q -f qcow2 -b a.raw -F raw top.qcow2
    img bench -q -w --image-opts -c 1 -o 3M --pattern 7 driver=copy-on-read,file.driver=qcow2,file.file.filename=top.qcow2
    qemu-io -f raw -c "write -P 7 3M 4k" b.raw >/dev/null
    qemu-img check -q top.qcow2
    qemu-img compare -q -f raw -F qcow2 b.raw top.qcow2
}

@test "a log of writes is one that QEMU appends to, and gives the disk" {
    cp a.raw before.raw
    truncate -s 0 log
    local tree=driver=blklogwrites,file.driver=file,file.filename=a.raw,log.driver=file,log.filename=log
    img bench -q -w --image-opts -c 9 -o 64k --pattern 0x33 --flush-interval 4 -d 2 $tree
    qemu-io -c "write -P 9 2M 8k" -c flush --image-opts $tree,log-append=on >/dev/null
    img bench -q -w --image-opts -c 2 -o 300k --pattern 0x44 $tree,log-append=on
    python3 - <<'END'
import struct
log, disk = open("log", "rb").read(), bytearray(open("before.raw", "rb").read())
magic, version, entries, size = struct.unpack_from("<QQQI", log)
assert (magic, version, size) == (0x6a736677736872, 1, 512)
at = size
for _ in range(entries):
    start, sectors, flags, _ = struct.unpack_from("<QQQQ", log, at)
    at += size
    if flags & 4:
        continue
    disk[start * size:(start + sectors) * size] = log[at:at + sectors * size]
    at += sectors * size
assert disk == open("a.raw", "rb").read()
END
}

@test "the view of copy-before-write reads as the disk was" {
    img create -q -f qcow2 t.qcow2 4M
    local cbw='"driver": "copy-before-write", "target": {"driver": "qcow2", "file": {"driver": "file", "filename": "t.qcow2"}}, "file": {"driver": "raw", "file": {"driver": "file", "filename": "a.raw"}}'
    img convert -O raw "json:{\"driver\": \"snapshot-access\", \"file\": {$cbw}}" view.raw
    cmp view.raw a.raw
    img bench -q -w -c 3 -s 64k --pattern 5 "json:{$cbw}"
    # what was overwritten is in the target, and nothing else
    qemu-img map --output=json t.qcow2 | python3 -c 'import json, sys
print(sum(e["length"] for e in json.load(sys.stdin) if e["present"]))' >sum
    [ "$(cat sum)" = 196608 ]
    cmp -n 196608 b.raw <(qemu-img convert -f qcow2 -O raw t.qcow2 old.raw && head -c 196608 old.raw)
    cmp -i 196608 a.raw b.raw
}

@test "bench prints what qemu-img prints, and writes what it says" {
    qemu-img bench -f raw -c 40 -s 8k -S 16k -o 64k -d 4 -w --pattern 65 --flush-interval 10 a.raw | sed 's/in [0-9.]* s/in T s/' >theirs
    img bench -f raw -c 40 -s 8k -S 16k -o 64k -d 4 -w --pattern 65 --flush-interval 10 b.raw | sed 's/in [0-9.]* s/in T s/' >ours
    diff theirs ours
    cmp a.raw b.raw
    img bench -q -f raw -n -t none -c 10 a.raw
    img bench -q -f raw -i io_uring --no-drain -U -c 10 a.raw
    run img bench -f raw --flush-interval 100 a.raw
    [ "$status" = 1 ] && [[ $output == *"only available in write tests"* ]]
    run img bench -f raw -w --flush-interval 2 a.raw
    [ "$status" = 1 ] && [[ $output == *"smaller than depth"* ]]
}
