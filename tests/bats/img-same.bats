#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# Every verb with its options beside Debian's qemu-img: the same status, the same output, the same disks
# afterwards. Left out is where qemu-img is at odds with its own manual (dd with skip and count, bench -q)
# or where this one takes more (formats of backing files are guessed under the name img only).

setup_file()
{
    cd "$BATS_FILE_TMPDIR"
    mkdir bin fx
    ln -s "$(command -v img)" bin/qemu-img
    cd fx
    exec >/dev/null
    truncate -s 10M a.raw
    qemu-io -f raw -c "write -P 1 0 1M" -c "write -P 2 5M 64k" a.raw
    cp a.raw b.raw
    qemu-io -f raw -c "write -P 3 7M 512" b.raw
    qemu-img convert -f raw -O qcow2 a.raw a.qcow2
    qemu-img convert -f raw -O qcow2 b.raw b.qcow2
    qemu-img convert -c -f raw -O qcow2 a.raw c.qcow2
    qemu-img create -f qcow2 -b a.qcow2 -F qcow2 top.qcow2
    qemu-io -c "write -P 9 2M 1M" -c "write -z 5M 64k" top.qcow2
    qemu-img create -f qcow2 -b top.qcow2 -F qcow2 top2.qcow2
    qemu-io -c "write -P 8 3M 1M" top2.qcow2
    cp a.qcow2 snap.qcow2
    qemu-img snapshot -c s1 snap.qcow2
    qemu-io -c "write -P 7 8M 64k" snap.qcow2
    qemu-img snapshot -c s2 snap.qcow2
    cp a.qcow2 bm.qcow2
    qemu-img bitmap --add bm.qcow2 b0
    qemu-img bitmap --add -g 64k bm.qcow2 b1
    qemu-io -c "write 1M 256k" bm.qcow2
    cp a.qcow2 leak.qcow2
    head -c 200000 /dev/zero >>leak.qcow2
    head -c 1000 /dev/urandom >odd.raw
    truncate -s 20M big.raw
    truncate -s 0 empty
    qemu-img create -f qcow2 -o preallocation=metadata pre.qcow2 10M
    qemu-img create -f qcow2 -o compat=0.10 v2.qcow2 10M
    qemu-img create -f qcow2 new.qcow2 10M
}

# Names of files that are not as they were, or new.
changed()
{
    diff -rq "$BATS_FILE_TMPDIR/fx" w | sed -n 's/^Only in w: //p; s/^Files .* and w\/\(.*\) differ$/\1/p'
}

# Runs qemu-img with these arguments in w, as PATH has it; what can be seen of it.
seen()
{
    local f status=0
    (cd w && eval "qemu-img $1") 2>err || status=$?
    echo "status $status"
    for f in $(changed); do
        echo "changed $f"
        (cd w && /usr/bin/qemu-img info "$f" | sed 1d && /usr/bin/qemu-img convert -O raw "$f" ../flat)
        [ ! -e flat ] || sha1sum <flat
        rm -rf "w/$f" flat
        [ ! -e "$BATS_FILE_TMPDIR/fx/$f" ] || cp -p --sparse=always "$BATS_FILE_TMPDIR/fx/$f" w/
    done
}

# Reads lines of arguments; runs each with both programs, on the same files.
same()
{
    local line failed=0
    cd "$BATS_TEST_TMPDIR"
    cp -a --sparse=always "$BATS_FILE_TMPDIR/fx" w
    while IFS= read -r line; do
        for who in theirs ours; do
            [ $who = theirs ] && path=/usr/bin:/bin || path=$BATS_FILE_TMPDIR/bin:/usr/bin:/bin
            PATH=$path seen "$line" 2>&1 | sed 's/disk size: .*//; s/"actual-size": [0-9]*//; s/completed in .*//
                s/[0-9-]* [0-9:]* \([0-9:.]*  *[0-9]*\)$/DATE \1/; s/"\(vm-clock\|date\)-n*sec": [0-9]*//' >$who
        done
        cmp -s theirs ours || {
            echo "== qemu-img $line"
            diff theirs ours
            cat err
            failed=1
        }
    done
    return $failed
}

@test "amend is the same" {
    same <<'EOF'
amend -o compat=0.10 a.qcow2
amend -f qcow2 -o lazy_refcounts=on a.qcow2
amend -p -f qcow2 -o lazy_refcounts=on a.qcow2
amend -q -t none -o size=20M a.qcow2
amend -o size=20M a.qcow2
amend -o cluster_size=128k a.qcow2
amend -o foo=bar a.qcow2
amend -o refcount_bits=8 a.qcow2
amend -o help -f qcow2
amend -o help
amend a.qcow2
amend -o
amend -f raw -o size=1M a.raw
amend --force -o compat=1.1 v2.qcow2
amend --image-opts -o compat=1.1 driver=qcow2,file.filename=v2.qcow2
amend -f qcow2 --image-opts -o compat=1.1 driver=qcow2,file.filename=v2.qcow2
amend -o compat=1.1 nope.qcow2
amend -o compat=1.1 a.qcow2 b.qcow2
amend -o backing_file=b.qcow2,backing_fmt=qcow2 top.qcow2
amend -t foo -o compat=1.1 a.qcow2
EOF
}

@test "bench is the same" {
    same <<'EOF'
bench -c 100 a.qcow2
bench -c 10 -d 1 -s 512 -S 1024 -o 4096 a.qcow2
bench -c 10 -w a.qcow2
bench -c 10 -w --pattern=256 a.qcow2
bench -c 10 -w --flush-interval=2 a.qcow2
bench -c 10 -w --flush-interval=2 --no-drain a.qcow2
bench -c 10 --flush-interval=2 a.qcow2
bench -c 10 --no-drain a.qcow2
bench -c 10 -w --no-drain a.qcow2
bench -c 10 -i threads a.qcow2
bench -c 10 -i foo a.qcow2
bench -c 10 -i io_uring a.qcow2
bench -c 10 -n a.qcow2
bench -c 10 -n -t none a.qcow2
bench -c 10 -U a.qcow2
bench -c 10 -U -w a.qcow2
bench -c x a.qcow2
bench -c 0 a.qcow2
bench -d x a.qcow2
bench -s x a.qcow2
bench -S x a.qcow2
bench -o x a.qcow2
bench -t foo a.qcow2
bench
bench -c 10 nope
EOF
}

@test "bitmap is the same" {
    same <<'EOF'
bitmap --add a.qcow2 b0
bitmap --add -g 32k a.qcow2 b0
bitmap --add -g 3k a.qcow2 b0
bitmap --add bm.qcow2 b0
bitmap --remove bm.qcow2 b0
bitmap --remove bm.qcow2 nope
bitmap --clear bm.qcow2 b0
bitmap --enable bm.qcow2 b0
bitmap --disable bm.qcow2 b0
bitmap --disable --enable --clear bm.qcow2 b0
bitmap --merge b1 bm.qcow2 b0
bitmap --merge nope bm.qcow2 b0
bitmap --add --merge b1 -F qcow2 a.qcow2 n
bitmap --add -b bm.qcow2 a.qcow2 n
bitmap a.qcow2 n
bitmap --add a.qcow2
bitmap --add a.raw n
bitmap --add -f raw a.raw n
bitmap --enable -g 64k bm.qcow2 b0
bitmap --add v2.qcow2 n
bitmap --add --image-opts driver=qcow2,file.filename=a.qcow2 n
bitmap --add a.qcow2 n m
EOF
}

@test "check is the same" {
    same <<'EOF'
check a.qcow2
check -q a.qcow2
check --output=json a.qcow2
check --output json a.qcow2
check --output=human a.qcow2
check --output=foo a.qcow2
check leak.qcow2
check -r leaks leak.qcow2
check -r foo a.qcow2
check -r all -q leak.qcow2
check -r all --output=json leak.qcow2
check a.raw
check -f raw a.raw
check -f qcow2 a.raw
check -T none a.qcow2
check -T foo a.qcow2
check -U a.qcow2
check -U -r all a.qcow2
check
check a.qcow2 b.qcow2
check nope
check --image-opts driver=qcow2,file.filename=a.qcow2
check c.qcow2
check pre.qcow2
check snap.qcow2
check empty
EOF
}

@test "commit is the same" {
    same <<'EOF'
commit top.qcow2
commit -q top.qcow2
commit -d top.qcow2
commit -b a.qcow2 top2.qcow2
commit -b top.qcow2 top2.qcow2
commit -b nope top2.qcow2
commit -b top2.qcow2 top2.qcow2
commit -r 100M top.qcow2
commit -r 100k -d new.qcow2
commit -r foo top.qcow2
commit -r 0 top.qcow2
commit a.qcow2
commit a.raw
commit -f raw a.raw
commit
commit nope
commit --image-opts driver=qcow2,file.filename=top.qcow2
commit top.qcow2 top2.qcow2
commit top2.qcow2
commit -d top2.qcow2
EOF
}

@test "compare is the same" {
    same <<'EOF'
compare a.raw a.qcow2
compare -f raw a.raw a.qcow2
compare -f raw -F qcow2 a.raw a.qcow2
compare -s a.qcow2 c.qcow2
compare -s -f raw a.raw c.qcow2
compare -s top.qcow2 a.qcow2
compare a.qcow2 b.qcow2
compare -q a.qcow2 b.qcow2
compare -p a.qcow2 c.qcow2
compare -s -f raw -F raw a.raw big.raw
compare -f raw -F raw a.raw big.raw
compare -f raw -F raw big.raw a.raw
compare -s pre.qcow2 new.qcow2
compare pre.qcow2 new.qcow2
compare -s v2.qcow2 new.qcow2
compare -s new.qcow2 pre.qcow2
compare -f raw -F raw odd.raw odd.raw
compare nope a.qcow2
compare a.qcow2 nope
compare a.qcow2
compare -T none a.qcow2 c.qcow2
compare -T foo a.qcow2 c.qcow2
compare --image-opts driver=qcow2,file.filename=a.qcow2 driver=qcow2,file.filename=b.qcow2
compare -U a.qcow2 c.qcow2
EOF
}

@test "convert is the same" {
    same <<'EOF'
convert a.qcow2 o.raw
convert -O qcow2 a.qcow2 o.qcow2
convert -q -p -O qcow2 a.qcow2 o.qcow2
convert -C -O raw -f raw a.raw o.raw
convert -C -c -O qcow2 -f raw a.raw o.raw
convert -C -S 4k -O raw -f raw a.raw o.raw
convert -C -S 0 -O raw -f raw a.raw o.raw
convert -C -r 1M -O raw -f raw a.raw o.raw
convert -C -O qcow2 a.qcow2 o.qcow2
convert -n -O raw -f raw a.raw new.raw
convert -n -O qcow2 -f raw a.raw new.qcow2
convert -n -O qcow2 -f raw big.raw new.qcow2
convert -n --target-is-zero -O qcow2 -f raw a.raw new.qcow2
convert --target-is-zero -O qcow2 -f raw a.raw o.qcow2
convert --target-image-opts -O qcow2 -f raw a.raw driver=qcow2,file.filename=new.qcow2
convert -n --target-image-opts -O qcow2 -f raw a.raw driver=qcow2,file.filename=new.qcow2
convert -n --target-image-opts -f raw a.raw driver=qcow2,file.filename=new.qcow2
convert --image-opts -O qcow2 driver=qcow2,file.filename=a.qcow2 o.qcow2
convert --image-opts -f qcow2 -O qcow2 driver=qcow2,file.filename=a.qcow2 o.qcow2
convert --bitmaps -O qcow2 bm.qcow2 o.qcow2
convert --bitmaps -c -O qcow2 bm.qcow2 o.qcow2
convert --skip-broken-bitmaps -O qcow2 bm.qcow2 o.qcow2
convert --bitmaps --skip-broken-bitmaps -O qcow2 bm.qcow2 o.qcow2
convert -B a.qcow2 -F qcow2 -O qcow2 top.qcow2 o.qcow2
convert -B a.qcow2 -O qcow2 top.qcow2 o.qcow2
convert -B a.qcow2 -F foo -O qcow2 top.qcow2 o.qcow2
convert -F qcow2 -O qcow2 top.qcow2 o.qcow2
convert -B a.qcow2 -F qcow2 -O raw top.qcow2 o.raw
convert -B a.qcow2 -F qcow2 -n -O qcow2 top.qcow2 new.qcow2
convert -B a.qcow2 -F qcow2 -O qcow2 top.qcow2 top2.qcow2 o.qcow2
convert -o backing_file=a.qcow2,backing_fmt=qcow2 -O qcow2 top.qcow2 o.qcow2
convert -o compat=0.10,cluster_size=4k -O qcow2 a.qcow2 o.qcow2
convert -o compat=0.10 -o cluster_size=4k -O qcow2 a.qcow2 o.qcow2
convert -o foo=bar -O qcow2 a.qcow2 o.qcow2
convert -o help -O qcow2
convert -o help -O qcow2 a.qcow2 o.qcow2
convert -o help a.qcow2 o.qcow2
convert -o size=20M -O qcow2 a.qcow2 o.qcow2
convert -o size=5M -O qcow2 a.qcow2 o.qcow2
convert -o preallocation=full -O qcow2 a.qcow2 o.qcow2
convert -n -o compat=0.10 -O qcow2 a.qcow2 new.qcow2
convert -l s1 -O qcow2 snap.qcow2 o.qcow2
convert -l snapshot.name=s1 -O qcow2 snap.qcow2 o.qcow2
convert -l snapshot.id=2 -O qcow2 snap.qcow2 o.qcow2
convert -l snapshot.id=1,snapshot.name=s1 -O qcow2 snap.qcow2 o.qcow2
convert -l snapshot.id=1,snapshot.name=s2 -O qcow2 snap.qcow2 o.qcow2
convert -l snapshot.foo=1 -O qcow2 snap.qcow2 o.qcow2
convert -l nope -O qcow2 snap.qcow2 o.qcow2
convert -l s1 -O qcow2 snap.qcow2 a.qcow2 o.qcow2
convert -S 64k -O raw a.qcow2 o.raw
convert -S 0 -O raw a.qcow2 o.raw
convert -S 0 -O qcow2 a.qcow2 o.qcow2
convert -S 1000 -O raw a.qcow2 o.raw
convert -S 511 -O raw a.qcow2 o.raw
convert -S 4097 -O raw a.qcow2 o.raw
convert -S 6k -O raw a.qcow2 o.raw
convert -S 3M -O raw a.qcow2 o.raw
convert -S 16M -O raw a.qcow2 o.raw
convert -S 32M -O raw a.qcow2 o.raw
convert -S foo -O raw a.qcow2 o.raw
convert -r 100M -O raw a.qcow2 o.raw
convert -r foo -O raw a.qcow2 o.raw
convert -m 1 -O raw a.qcow2 o.raw
convert -m 0 -O raw a.qcow2 o.raw
convert -m 16 -O raw a.qcow2 o.raw
convert -m 17 -O raw a.qcow2 o.raw
convert -m x -O raw a.qcow2 o.raw
convert -W -O raw a.qcow2 o.raw
convert -W -c -O qcow2 a.qcow2 o.qcow2
convert --salvage -O raw a.qcow2 o.raw
convert --salvage -C -O raw a.qcow2 o.raw
convert -c -O raw a.qcow2 o.raw
convert -c -O foo a.qcow2 o.raw
convert -O foo a.qcow2 o.raw
convert -O qcow2 nope o.qcow2
convert -O qcow2 a.qcow2
convert -O qcow2
convert -O qcow2 a.qcow2 /nonexistent/o.qcow2
convert -O qcow2 a.qcow2 a.qcow2
convert -O qcow2 a.qcow2 b.qcow2 o.qcow2
convert -f raw -O qcow2 odd.raw odd.raw o.qcow2
convert -f raw -O raw odd.raw o.raw
convert -f raw -O qcow2 empty o.qcow2
convert -t none -T none -O qcow2 a.qcow2 o.qcow2
convert -T foo -O qcow2 a.qcow2 o.qcow2
convert -t directsync -O qcow2 a.qcow2 o.qcow2
convert -U -O qcow2 a.qcow2 o.qcow2
convert -c -o compression_type=zstd -O qcow2 a.qcow2 o.qcow2
convert -c -O qcow2 top2.qcow2 o.qcow2
convert a.qcow2 a.qcow2 o.raw
convert -O luks a.qcow2 o.luks
convert --foo a.qcow2 o
convert -Z a.qcow2 o
EOF
}

@test "create is the same" {
    same <<'EOF'
create -f qcow2 o.qcow2 1M
create -q -f qcow2 o.qcow2 1M
create -f qcow2 o.qcow2
create -f qcow2 -b a.qcow2 -F qcow2 o.qcow2
create -f qcow2 -b a.qcow2 -F qcow2 o.qcow2 20M
create -f qcow2 -b a.qcow2 o.qcow2
create -f qcow2 -b a.raw o.qcow2
create -f qcow2 -b a.raw -F raw o.qcow2
create -f qcow2 -b nope -F qcow2 o.qcow2
create -u -f qcow2 -b nope -F qcow2 o.qcow2
create -u -f qcow2 -b nope -F qcow2 o.qcow2 1M
create -f raw -b a.raw -F raw o.raw
create -f qcow2 -o size=5M o.qcow2
create -f qcow2 -o size=5M o.qcow2 6M
create -f qcow2 -o cluster_size=3k o.qcow2 6M
create -f qcow2 -o cluster_size=4M o.qcow2 6M
create -f qcow2 -o foo=1 o.qcow2 6M
create -f qcow2 -o compat=0.9 o.qcow2 6M
create -f qcow2 -o refcount_bits=3 o.qcow2 6M
create -f qcow2 -o compat=0.10,refcount_bits=8 o.qcow2 6M
create -f qcow2 -o compat=0.10,lazy_refcounts=on o.qcow2 6M
create -f qcow2 -o compression_type=foo o.qcow2 6M
create -f qcow2 -o preallocation=foo o.qcow2 6M
create -f qcow2 -o extended_l2=on o.qcow2 6M
create -f qcow2 -o extended_l2=on,cluster_size=4k o.qcow2 6M
create -f qcow2 -o help
create -f raw -o help
create -f qcow2 -o help o.qcow2
create -f foo o 1M
create -f qcow2 o.qcow2 -1
create -f qcow2 o.qcow2 foo
create -f qcow2 o.qcow2 1000
create -f qcow2 o.qcow2 1.5G
create -f qcow2 o.qcow2 1b
create -f qcow2 o.qcow2 8E
create -f qcow2 o.qcow2 9E
create -f qcow2 o.qcow2 1M 2M
create -f qcow2
create
create -f raw o.raw 1000
create -f raw -o preallocation=falloc o.raw 1M
create -f raw -o preallocation=full o.raw 1M
create -f qcow2 -b o.qcow2 -F qcow2 o.qcow2
create -f qcow2 /nonexistent/o.qcow2 1M
create -f qcow2 -o encryption=on o.qcow2 1M
EOF
}

@test "dd is the same" {
    same <<'EOF'
dd if=a.raw of=o.raw
dd -f raw if=a.raw of=o.raw bs=1M count=2
dd -f raw if=a.raw of=o.raw bs=1M skip=100
dd -O qcow2 if=a.qcow2 of=o.qcow2
dd -O qcow2 if=a.qcow2 of=o.qcow2 bs=3000 count=7
dd -O qcow2 if=a.qcow2 of=o.qcow2 bs=0
dd -O qcow2 if=a.qcow2 of=o.qcow2 bs=3G
dd -O qcow2 if=a.qcow2 of=o.qcow2 count=0
dd -O qcow2 if=a.qcow2
dd of=o.qcow2
dd
dd if=a.qcow2 of=o.raw foo=1
dd if=a.qcow2 of=o.raw foo
dd if=a.qcow2 of=o.raw bs=x
dd if=nope of=o.raw
dd -O foo if=a.raw of=o.raw
dd -U if=a.qcow2 of=o.raw
dd --image-opts if=driver=qcow2,file.filename=a.qcow2 of=o.raw
dd -f raw if=odd.raw of=o.raw
dd -n if=a.qcow2 of=new.qcow2
EOF
}

@test "info is the same" {
    same <<'EOF'
info a.qcow2
info a.raw
info -f raw a.raw
info -f raw a.qcow2
info --output=json a.qcow2
info --output=json snap.qcow2
info snap.qcow2
info bm.qcow2
info --output=json bm.qcow2
info --backing-chain top2.qcow2
info --backing-chain --output=json top2.qcow2
info top.qcow2
info --output=foo a.qcow2
info nope
info
info a.qcow2 b.qcow2
info --image-opts driver=qcow2,file.filename=a.qcow2
info empty
info odd.raw
info -U a.qcow2
info v2.qcow2
info -f foo a.qcow2
info -T none a.qcow2
EOF
}

@test "map is the same" {
    same <<'EOF'
map a.qcow2
map --output=json a.qcow2
map a.raw
map -f raw --output=json a.raw
map c.qcow2
map --output=json c.qcow2
map top2.qcow2
map --output=json top2.qcow2
map --start-offset=1M --output=json top2.qcow2
map -s 1M -l 2M --output=json top2.qcow2
map --start-offset=1M --max-length=100k top2.qcow2
map --start-offset=x top2.qcow2
map --max-length=x top2.qcow2
map --start-offset=100M top2.qcow2
map --start-offset=100M --output=json top2.qcow2
map --output=json pre.qcow2
map pre.qcow2
map nope
map
map --output=json snap.qcow2
map -U --output=json a.qcow2
EOF
}

@test "measure is the same" {
    same <<'EOF'
measure --size 1G -O qcow2
measure --size 1G -O raw
measure --size 1G
measure --size 1G -O foo
measure -O qcow2 a.qcow2
measure -O raw a.qcow2
measure -O qcow2 --output=json a.qcow2
measure -O qcow2 -o cluster_size=4k a.qcow2
measure -O qcow2 -o preallocation=full a.qcow2
measure -O qcow2 -o compat=0.10 --size 3G
measure -O qcow2 -o foo=1 --size 3G
measure -O qcow2 -o extended_l2=on --size 3G
measure -O qcow2 -l s1 snap.qcow2
measure -O qcow2 -l nope snap.qcow2
measure -O qcow2 snap.qcow2
measure -O qcow2 bm.qcow2
measure -O qcow2 top2.qcow2
measure -O qcow2 -f raw a.raw
measure -O qcow2
measure --size 1G a.qcow2
measure --size x
measure --size 1G -f raw
measure --size 1G -l foo
measure --size 1G -o help -O qcow2
measure -O qcow2 -o size=3G a.qcow2
measure -O qcow2 c.qcow2
EOF
}

@test "rebase is the same" {
    same <<'EOF'
rebase -b b.qcow2 -F qcow2 top.qcow2
rebase -b "" top.qcow2
rebase -u -b "" top.qcow2
rebase -u -b b.qcow2 -F qcow2 top.qcow2
rebase -u -b nope -F qcow2 top.qcow2
rebase -b nope -F qcow2 top.qcow2
rebase -u -b b.qcow2 top.qcow2
rebase -b a.raw -F raw top.qcow2
rebase -b a.qcow2 -F qcow2 top2.qcow2
rebase -b big.raw -F raw top.qcow2
rebase -b a.qcow2 -F qcow2 a.qcow2
rebase -b a.qcow2 -F qcow2 b.qcow2
rebase -b top2.qcow2 -F qcow2 top.qcow2
rebase top.qcow2
rebase -b b.qcow2
rebase -t foo -b b.qcow2 -F qcow2 top.qcow2
rebase -T foo -b b.qcow2 -F qcow2 top.qcow2
rebase -F foo -b b.qcow2 top.qcow2
rebase -b a.raw -F raw a.raw
rebase -f raw -b a.raw -F raw a.raw
rebase -U -b b.qcow2 -F qcow2 top.qcow2
rebase -U -u -b b.qcow2 -F qcow2 top.qcow2
rebase --image-opts -b b.qcow2 -F qcow2 driver=qcow2,file.filename=top.qcow2
EOF
}

@test "resize is the same" {
    same <<'EOF'
resize a.qcow2 20M
resize a.qcow2 +5M
resize a.qcow2 -5M
resize --shrink a.qcow2 -5M
resize --shrink a.qcow2 5M
resize --shrink a.qcow2 -50M
resize -q a.qcow2 20M
resize a.raw 20M
resize -f raw a.raw 20M
resize -f raw a.raw 5M
resize --shrink -f raw a.raw 5M
resize --preallocation=full a.qcow2 20M
resize --preallocation=metadata a.qcow2 20M
resize --preallocation=foo a.qcow2 20M
resize --preallocation=falloc -f raw a.raw 20M
resize --preallocation=falloc --shrink -f raw a.raw 5M
resize a.qcow2 foo
resize a.qcow2 10M
resize a.qcow2 +0
resize a.qcow2 1000
resize a.qcow2
resize
resize 20M
resize nope 20M
resize snap.qcow2 20M
resize --shrink snap.qcow2 5M
resize a.qcow2 20M b.qcow2
resize --image-opts driver=qcow2,file.filename=a.qcow2 20M
resize bm.qcow2 20M
resize top.qcow2 20M
resize a.qcow2 +1E
resize -t none a.qcow2 20M
EOF
}

@test "snapshot is the same" {
    same <<'EOF'
snapshot -l snap.qcow2
snapshot -c n snap.qcow2
snapshot -q -c n snap.qcow2
snapshot -c s1 snap.qcow2
snapshot -a s1 snap.qcow2
snapshot -a nope snap.qcow2
snapshot -d s1 snap.qcow2
snapshot -d nope snap.qcow2
snapshot -l a.qcow2
snapshot -l a.raw
snapshot -c n -f raw a.raw
snapshot -c n a.raw
snapshot -l -c n snap.qcow2
snapshot -a s1 -d s1 snap.qcow2
snapshot -U -l snap.qcow2
snapshot -U -c n snap.qcow2
snapshot -l nope
snapshot
snapshot -l a.qcow2 b.qcow2
snapshot --image-opts -l driver=qcow2,file.filename=snap.qcow2
EOF
}
