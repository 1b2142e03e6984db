#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# What goes wrong on the way: full disks, bad sectors, others at the same image, signals. Each time one
# clear message, the exit status, and nothing half-written under its final name.

load common

setup()
{
    cd "$BATS_TEST_TMPDIR"
    ulimit -c 0
    head -c 12M /dev/urandom >p.raw
    truncate -s 16M p.raw
    img convert -f raw -O qcow2 p.raw p.qcow2
}

limited() { (ulimit -f 5000 && "$@"); }

@test "a disk that gets full: status 1, the reason, and no output is left" {
    for c in "convert -f raw -O qcow2 p.raw x" "convert -c -f raw -O qcow2 p.raw x" "convert -O raw p.qcow2 x" \
        "dd -O qcow2 if=p.qcow2 of=x" "create -q -f qcow2 -o preallocation=full x 16M" "create -q -f raw x 16M"; do
        # shellcheck disable=SC2086
        run limited img $c
        [ "$status" = 1 ]
        [[ $output = *"File too large"* ]]
        [ ! -e x ]
    done
    run bash -c 'ulimit -f 5000; img convert -O qcow2 - x <<<"$(head -c 9M /dev/zero | tr "\0" x)"; echo $?'
    [ ! -e x ]
}

@test "a full disk while an image is changed leaves it as it was, or sound" {
    img create -q -f qcow2 -b p.qcow2 -F qcow2 top.qcow2
    qemu-io -c "write -P 7 1M 1M" top.qcow2 >/dev/null
    qemu-img convert -O raw top.qcow2 want.raw
    run limited img rebase -b "" top.qcow2
    [ "$status" = 1 ] && [[ $output = *"File too large"* ]]
    qemu-img check -q top.qcow2
    qemu-img compare -q -F raw top.qcow2 want.raw
    head -c 24M /dev/urandom >p2.raw
    img convert -f raw -O qcow2 p2.raw over.qcow2
    img rebase -u -b p.qcow2 -F qcow2 over.qcow2
    run limited img commit over.qcow2
    [ "$status" = 1 ] && [[ $output = *"File too large"* ]]
    qemu-img check -q over.qcow2
    qemu-img check -q p.qcow2
    qemu-img compare -q -F raw over.qcow2 p2.raw
}

@test "a bad sector ends the copy, or with --salvage is zeroes and a warning" {
    printf '[inject-error]\nevent = "read_aio"\nerrno = "5"\nsector = "8192"\n' >bad.conf
    bad=driver=blkdebug,config=bad.conf,image.driver=file,image.filename=p.raw
    for how in "" -c -W; do
        # shellcheck disable=SC2086
        run img convert $how --image-opts -O qcow2 $bad x.qcow2
        [ "$status" = 1 ] && [ "$output" = "img: error while reading at byte 4194304: Input/output error" ]
        [ ! -e x.qcow2 ]
    done
    run img convert --salvage --image-opts -O qcow2 $bad x.qcow2
    [ "$status" = 0 ] && [ "$output" = "img: warning: error while reading offset 4194304: Input/output error" ]
    cp p.raw want.raw
    dd if=/dev/zero of=want.raw bs=512 seek=8192 count=1 conv=notrunc status=none
    qemu-img compare -q -f raw want.raw x.qcow2
    run img convert -q --salvage --image-opts -O qcow2 $bad x.qcow2
    [ "$status" = 0 ] && [ -z "$output" ]
    run img compare --image-opts $bad driver=raw,file.filename=p.raw
    [ "$status" = 4 ] && [[ $output = *"Error while reading offset 4194304: Input/output error" ]]
}

@test "two writers: the second is told who the first is, and disturbs nothing" {
    img convert -r 1M -f raw -O qcow2 p.raw x.qcow2 &
    pid=$!
    wait_for test -s x.qcow2
    told() { run img convert -f raw -O qcow2 p.raw x.qcow2; [[ $output = *"in use by img (pid $pid)"* ]]; }
    wait_for told
    [ "$status" = 1 ]
    run qemu-img convert -f raw -O qcow2 p.raw x.qcow2
    [ "$status" = 1 ] && [[ $output = *"lock"* ]]
    kill $pid
    wait $pid && false
    [ ! -e x.qcow2 ]
}

@test "SIGINT and SIGTERM: said, status 1, the output is removed; sent twice at once too" {
    for signal in INT TERM "INT INT"; do
        for c in "convert -r 1M -f raw -O qcow2" "convert -r 1M -f raw -O raw" "convert -c -r 1M -f raw -O qcow2"; do
            # shellcheck disable=SC2086
            env --default-signal=INT img $c p.raw x 2>err &
            pid=$!
            wait_for test -e x
            for s in $signal; do kill -"$s" $pid; done
            wait $pid || status=$?
            [ "$status" = 1 ] && [ "$(cat err)" = "img: interrupted; x is not complete" ]
            [ ! -e x ]
        done
    done
}

@test "a commit or rebase that is interrupted can be done again" {
    img create -q -f qcow2 -b p.qcow2 -F qcow2 top.qcow2
    for i in 1 2 3 4 5 6; do qemu-io -c "write -P $i $((i * 2))M 1M" top.qcow2 >/dev/null; done
    qemu-img convert -O raw top.qcow2 want.raw
    begin=$EPOCHREALTIME
    env --default-signal=INT img commit --progress=fd:7 -r 1M top.qcow2 7>seen 2>err &
    pid=$!
    wait_for grep -q '^[1-9]' seen
    kill -INT $pid
    wait $pid && false
    [[ $(cat err) = "img: interrupted; top.qcow2 "* ]]
    qemu-img check -q top.qcow2
    qemu-img check -q p.qcow2
    qemu-img compare -q -F raw top.qcow2 want.raw
    begin=${EPOCHREALTIME/./}
    img commit -q -r 3M top.qcow2
    [ $((${EPOCHREALTIME/./} - begin)) -ge 1500000 ]
    qemu-img compare -q -F raw p.qcow2 want.raw
    qemu-img compare -q -F raw top.qcow2 want.raw
}

@test "an output that somebody removes meanwhile is no success" {
    img convert -r 4M -f raw -O qcow2 p.raw x.qcow2 2>err &
    pid=$!
    wait_for test -s x.qcow2
    rm x.qcow2
    status=0
    wait $pid || status=$?
    [ "$status" = 1 ] && [ "$(cat err)" = "img: x.qcow2: somebody removed it meanwhile" ]
}
