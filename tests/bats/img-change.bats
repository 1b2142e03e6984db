#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# What img makes and changes, seen by Debian's qemu-img, and the other way round.

load common

setup() { cd "$BATS_TEST_TMPDIR"; }

io() { qemu-io "$@" >/dev/null; }

good() # IMAGE...
{
    for i; do
        qemu-img check -q "$i" || { qemu-img check "$i"; return 1; }
        img check -q "$i"
    done
}

equal() { qemu-img compare -q "$@"; }

source_disk()
{
    img create -q -f raw src.raw 24M
    io -f raw -c "write -P 1 0 3M" -c "write -P 2 10M 100k" -c "write -P 3 23M 1M" src.raw
    head -c 2M /dev/urandom | dd of=src.raw bs=1M seek=5 conv=notrunc status=none
}

@test "images converted with every option pass qemu-img check and compare equal, in both directions" {
    source_disk
    for o in compat=0.10 compat=1.1 cluster_size=512 cluster_size=2M refcount_bits=1 refcount_bits=64 \
        lazy_refcounts=on extended_l2=on compression_type=zstd preallocation=metadata preallocation=falloc \
        preallocation=full data_file=out.data data_file=out2.data,data_file_raw=on; do
        for how in "" -c -W; do
            case $how$o in -c*data_file*) continue ;; esac
            # shellcheck disable=SC2086
            img convert -f raw $how -O qcow2 -o $o src.raw ours.qcow2
            good ours.qcow2
            equal -f raw -F qcow2 src.raw ours.qcow2
            img compare -q -f raw src.raw ours.qcow2
        done
        qemu-img convert -f raw -O qcow2 -o $o src.raw theirs.qcow2
        img convert -O raw theirs.qcow2 back.raw
        cmp back.raw src.raw
        rm -f ./*.qcow2 ./*.data
    done
    img convert -f raw -c -O qcow2 src.raw one.qcow2
    img convert -f raw -c -O qcow2 src.raw two.qcow2
    cmp one.qcow2 two.qcow2
}

@test "holes stay holes, -S 0 fills them, several sources are one disk" {
    truncate -s 1T huge.raw
    io -f raw -c "write 512G 64k" huge.raw
    img convert -f raw -O qcow2 huge.raw huge.qcow2
    [ "$(stat -c %b huge.qcow2)" -lt 4000 ]
    img convert -O raw huge.qcow2 back.raw
    [ "$(stat -c %s back.raw)" = $((1 << 40)) ] && [ "$(stat -c %b back.raw)" -lt 1000 ]
    source_disk
    img convert -f raw -S 0 -O raw src.raw full.raw
    [ "$(stat -c %b full.raw)" -ge 49152 ]
    img convert -f raw -O raw src.raw src.raw both.raw
    cat src.raw src.raw | cmp - both.raw
    img create -q -f raw there.raw 30M
    img convert -n -f raw -O raw src.raw there.raw
    cmp -n 25165824 src.raw there.raw
}

@test "layers: commit, rebase and convert -B keep what a reader sees" {
    source_disk
    img convert -f raw -O qcow2 src.raw base.qcow2
    img create -q -f qcow2 -b base.qcow2 -F qcow2 top.qcow2 30M
    io -c "write -P 7 1M 64k" -c "write -z 5M 64k" -c "write -P 8 28M 1M" top.qcow2
    img convert -O raw top.qcow2 want.raw
    qemu-img convert -O raw top.qcow2 theirs.raw
    cmp want.raw theirs.raw
    img convert -O qcow2 -B base.qcow2 -F qcow2 top.qcow2 layer.qcow2
    good layer.qcow2
    equal -F raw layer.qcow2 want.raw
    [ "$(stat -c %b layer.qcow2)" -lt 6000 ]
    cp base.qcow2 other.qcow2
    io -c "write -P 9 0 2M" other.qcow2
    img rebase -b other.qcow2 -F qcow2 top.qcow2
    good top.qcow2
    equal -F raw top.qcow2 want.raw
    img rebase -u -b base.qcow2 -F qcow2 layer.qcow2
    img rebase -b "" layer.qcow2
    equal -F raw layer.qcow2 want.raw
    ! img info layer.qcow2 | grep -q backing
    img commit top.qcow2
    good top.qcow2 other.qcow2
    equal -F raw other.qcow2 want.raw
    equal top.qcow2 other.qcow2
}

@test "snapshots taken, listed, applied and deleted by either are the other's too" {
    source_disk
    img convert -f raw -O qcow2 src.raw disk.qcow2
    img snapshot -c one disk.qcow2
    io -c "write -P 9 0 8M" disk.qcow2
    qemu-img snapshot -c two disk.qcow2
    io -c "write -P 4 0 24M" disk.qcow2
    good disk.qcow2
    [ "$(img snapshot -l disk.qcow2 | wc -l)" = 4 ]
    img convert -l one -O raw disk.qcow2 one.raw
    cmp one.raw src.raw
    img snapshot -a one disk.qcow2
    good disk.qcow2
    equal -F raw disk.qcow2 src.raw
    qemu-img snapshot -a two disk.qcow2
    img snapshot -d two disk.qcow2
    img snapshot -d one disk.qcow2
    good disk.qcow2
    run img snapshot -d one disk.qcow2
    [ "$status" = 1 ] && [[ $output == *"no snapshot 'one'"* ]]
}

@test "bitmaps are kept, merged and copied" {
    img create -q -f qcow2 disk.qcow2 10M
    img bitmap --add -g 64k disk.qcow2 a
    io -c "write 1M 1M" disk.qcow2
    img bitmap --add --merge a --disable disk.qcow2 b
    img convert --bitmaps -O qcow2 disk.qcow2 copy.qcow2
    good disk.qcow2 copy.qcow2
    for f in disk copy; do
        qemu-img info --output=json $f.qcow2 | python3 -c '
import json, sys
b = {x["name"]: x["flags"] for x in json.load(sys.stdin)["format-specific"]["data"]["bitmaps"]}
assert b == {"a": ["auto"], "b": []}, b'
        # dirty bits as a server shows them: 1M at 1M
        qemu-nbd --fork -r -k "$PWD/s" -B b -f qcow2 $f.qcow2
        qemu-img map --output=json --image-opts \
            "driver=nbd,server.type=unix,server.path=$PWD/s,x-dirty-bitmap=qemu:dirty-bitmap:b" >map.json
        python3 -c '
import json
m = [(e["start"], e["length"]) for e in json.load(open("map.json")) if not e["data"]]
assert m == [(1 << 20, 1 << 20)], m'
    done
    img bitmap --remove disk.qcow2 a
    img bitmap --clear disk.qcow2 b
    good disk.qcow2
}

@test "resizing and amending" {
    source_disk
    img convert -f raw -O qcow2 src.raw disk.qcow2
    img resize disk.qcow2 +8M
    run img resize disk.qcow2 24M
    [ "$status" = 1 ] && [[ $output == *--shrink* ]]
    img resize --shrink disk.qcow2 24M
    good disk.qcow2
    equal -F raw disk.qcow2 src.raw
    img resize --preallocation=full disk.qcow2 25M
    good disk.qcow2
    for o in refcount_bits=8 refcount_bits=16 lazy_refcounts=on lazy_refcounts=off compat=0.10 compat=1.1; do
        img amend -f qcow2 -o $o disk.qcow2
        good disk.qcow2
    done
    img resize --shrink disk.qcow2 24M
    equal -F raw disk.qcow2 src.raw
}

@test "leaks and damage are found, mended, and named" {
    img create -q -f qcow2 disk.qcow2 10M
    io -c "write 0 1M" disk.qcow2
    # the count of a cluster that is in use becomes 2, then 0 (the block lies at 0x20000)
    printf '\0\2' | dd of=disk.qcow2 bs=1 seek=$((0x20000 + 2 * 6)) conv=notrunc status=none
    run img check disk.qcow2
    [ "$status" = 3 ] && [[ $output == *"Leaked cluster 6 refcount=2 reference=1"* ]]
    run img check -r leaks disk.qcow2
    [ "$status" = 0 ]
    good disk.qcow2
    printf '\0\0' | dd of=disk.qcow2 bs=1 seek=$((0x20000 + 2 * 6)) conv=notrunc status=none
    run img check disk.qcow2
    [ "$status" = 2 ] && [[ $output == *"ERROR cluster 6 refcount=0 reference=1"* ]]
    img check -r all disk.qcow2
    good disk.qcow2
    # an L2 table where the header is
    python3 - <<'PY'
import struct
f = open("disk.qcow2", "r+b")
h = f.read(104)
l1 = struct.unpack(">Q", h[40:48])[0]
f.seek(l1)
f.write(struct.pack(">Q", 1 << 63 | 0x7000000000))
PY
    run timeout 10 img check disk.qcow2
    [ "$status" = 2 ] && [[ $output == *"lies past the end of the file"* ]]
    run timeout 10 img convert -O raw disk.qcow2 x.raw
    [ "$status" = 1 ] && [[ $output == *"corrupt"* ]] && [ ! -e x.raw ]
}

@test "an image cannot show any file as its disk: raw backing files are named as such; loops end" {
    source_disk
    qemu-img create -q -f qcow2 -u -b "$PWD/src.raw" -F raw top.qcow2 24M
    equal -F raw top.qcow2 src.raw
    # the same without the format, as an old or a hostile image has it
    python3 -c '
d = bytearray(open("top.qcow2", "rb").read())
at = d.index(b"\xe2\x79\x2a\xca")
d[at:at + 4] = b"LATH"
open("top.qcow2", "wb").write(d)'
    run img convert -O raw top.qcow2 out.raw
    [ "$status" = 1 ] && [[ $output == *"looks like raw data"*"rebase -u"* ]] && [ ! -e out.raw ]
    img rebase -u -b src.raw -F raw top.qcow2
    img compare -q -F raw top.qcow2 src.raw
    img create -q -f qcow2 loop.qcow2 1M
    img rebase -u -b loop.qcow2 -F qcow2 loop.qcow2
    run timeout 10 img map loop.qcow2
    [ "$status" = 1 ] && [ "${#lines[@]}" -le 2 ] && [ "${#output}" -lt 200 ]
    run timeout 10 img info --backing-chain loop.qcow2
    [ "$status" = 1 ] && [[ $output == *"infinite loop"* ]]
}

@test "a full disk, an unreadable source, a signal: a message, and nothing half made is left" {
    source_disk
    [ "$(id -u)" != 0 ] || {
        mkdir full
        mount -t tmpfs -o size=4M none full 2>/dev/null && {
            run img convert -f raw -O qcow2 src.raw full/x.qcow2
            left=$(ls full)
            umount full
            [ "$status" = 1 ] && [[ $output == *"No space left"* ]] && [ -z "$left" ]
        }
    }
    run img convert -f raw -O qcow2 nothing.raw x.qcow2
    [ "$status" = 1 ] && [[ $output == *"nothing.raw"* ]] && [ ! -e x.qcow2 ]
    img convert -f raw -r 1M -O qcow2 src.raw x.qcow2 2>err &
    pid=$!
    wait_for [ -e x.qcow2 ]
    sleep 0.3
    kill -INT $pid
    ! wait $pid
    [ ! -e x.qcow2 ] && grep -q interrupted err
}

@test "one image is not written by two, and the message says who has it" {
    img create -q -f qcow2 disk.qcow2 10M
    qemu-img bench -w -c 100000000 -f qcow2 disk.qcow2 >/dev/null 2>&1 &
    pid=$!
    wait_for eval '! qemu-img info disk.qcow2'
    run img info disk.qcow2
    kill $pid
    [ "$status" = 1 ] && [[ $output == *"in use by qemu-img (pid $pid)"* ]]
    img info -U disk.qcow2
}

@test "an image with a bitmap that was not closed is mended without losing what the bitmap has" {
    qemu-img create -q -f qcow2 -o lazy_refcounts=on lazy.qcow2 8M
    qemu-img bitmap --add -g 512 lazy.qcow2 b0
    qemu-io -c "write -P 1 0 1M" lazy.qcow2 >/dev/null
    qemu-io -c "write -P 2 1M 1M" -c abort lazy.qcow2 >/dev/null 2>&1 || true
    img bitmap --add lazy.qcow2 b1
    qemu-img check -q lazy.qcow2
    img bitmap --remove lazy.qcow2 b0
    qemu-img check -q lazy.qcow2
    qemu-io -r -c "read -P 1 0 1M" -c "read -P 2 1M 1M" lazy.qcow2 >/dev/null
}
