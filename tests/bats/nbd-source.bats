#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# NBD servers as disks for img and others: servers that are not ours, names of all kinds, servers that
# go away and come back.

load common

setup()
{
    cd "$BATS_TEST_TMPDIR"
    head -c 3000000 /dev/urandom >d.raw
    truncate -s 8M d.raw
    sock=$PWD/s.sock uri="nbd+unix:///?socket=$PWD/s.sock"
}

teardown()
{
    # shellcheck disable=SC2046
    kill $(cat ./*.pid 2>/dev/null) 2>/dev/null || true
}

theirs() { nbdkit -U "$sock" -P s.pid "$@" && wait_for test -S "$sock"; }
stop() { kill "$(cat "$1.pid")"; wait_for test ! -e "/proc/$(cat "$1.pid")"; rm -f "$1.sock"; }

@test "disks are read from and written to nbdkit and qemu-nbd" {
    theirs file d.raw
    img convert -f raw -O raw "$uri" out.raw
    cmp d.raw out.raw
    img compare -f raw "$uri" out.raw
    stop s
    theirs memory 8M
    img convert -n -f raw -O raw d.raw "$uri"
    nbdcopy "$uri" out.raw
    cmp d.raw out.raw
    stop s
    theirs --filter=nozero memory 8M
    img convert -n -f raw -O raw d.raw "$uri"
    img compare -f raw d.raw "$uri"
    stop s
    qemu-img create -q -f qcow2 q.qcow2 8M
    qemu-nbd -t -k "$sock" --pid-file s.pid --fork -f qcow2 q.qcow2
    img convert -n -f raw -O raw d.raw "$uri"
    stop s
    img compare d.raw q.qcow2
    qemu-img check -q q.qcow2
}

@test "old servers, servers without structured replies and with large blocks work" {
    local mask
    theirs -o file d.raw
    img compare -f raw d.raw "$uri"
    stop s
    theirs --no-sr file d.raw
    img compare -f raw d.raw "$uri"
    stop s
    for mask in 0 1; do
        theirs --mask-handshake=$mask file d.raw
        img compare -f raw d.raw "$uri"
        stop s
    done
    theirs --filter=blocksize-policy memory 8M blocksize-minimum=4k blocksize-preferred=64k blocksize-error-policy=error
    img convert -n -f raw -O raw d.raw "$uri"
    img compare -f raw d.raw "$uri"
    qemu-io -f raw -c "write -P 3 100 1000" "$uri" >/dev/null
    img convert -f raw -O raw "$uri" out.raw
    [ "$(od -An -tu1 -j 100 -N 1 out.raw)" -eq 3 ]
    stop s
    theirs memory 1000001
    img info "$uri" | grep -q '(1000448 bytes)'
    img convert -f raw -O raw "$uri" out.raw
}

@test "names of exports are read as QEMU reads them" {
    theirs -e name memory 1M
    local port name
    for name in "nbd+unix:///name?socket=$sock" "nbd:unix:$sock:exportname=name" \
        "json:{\"driver\": \"nbd\", \"path\": \"$sock\", \"export\": \"name\"}"; do
        img info --output=json "$name" >ours
        qemu-img info --output=json "$name" >theirs
        diff theirs ours
    done
    for name in "driver=nbd,server.type=unix,server.path=$sock,export=name" "driver=nbd,path=$sock"; do
        img info --output=json --image-opts "$name" >ours
        qemu-img info --output=json --image-opts "$name" >theirs
        diff theirs ours
    done
    stop s
    port=$(free_port)
    nbdkit -i 127.0.0.1 -p "$port" -P s.pid memory 1M
    for name in "nbd://127.0.0.1:$port" "nbd://127.0.0.1:$port/" "nbd:127.0.0.1:$port" "nbd://localhost:$port/x"; do
        img info "$name" >ours
        qemu-img info "$name" >theirs
        diff theirs ours
    done
    run img info nbd://127.0.0.1:1
    [ "$status" -eq 1 ]
    [[ $output == *"Connection refused"* ]]
    run img info "nbd+unix:///?sock=x"
    [[ $output == *"socket=PATH is missing"* ]]
}

@test "what a server refuses is told in its words" {
    qemu-img create -q -f raw r.raw 1M
    qemu-nbd -t -r -k "$sock" --pid-file s.pid --fork -f raw -x there r.raw
    run img info "nbd+unix:///none?socket=$sock"
    [ "$status" -eq 1 ]
    [[ $output == *"Requested export not available"*"server reported: export 'none' not present"* ]]
    run img convert -n -f raw -O raw d.raw "nbd+unix:///there?socket=$sock"
    [ "$status" -eq 1 ]
    [[ $output == *"write access denied"* ]]
}

@test "a server that comes later is waited for, one that went away is found again" {
    (sleep 1; nbdkit -U "$sock" -P s.pid file d.raw) &
    img convert --image-opts -O raw "driver=raw,file.driver=nbd,file.path=$sock,file.open-timeout=60" out.raw
    cmp d.raw out.raw
    wait
    img bench -c 400000 -d 8 -s 4k --image-opts \
        "driver=raw,file.driver=nbd,file.path=$sock,file.reconnect-delay=60" >bench.out 2>bench.err &
    local pid=$! i
    for i in 1 2 3; do
        sleep 0.3
        stop s
        theirs file d.raw
    done
    wait $pid
    grep -q "trying to connect again" bench.err
    img bench -c 4000000 -d 8 -s 4k --image-opts "driver=raw,file.driver=nbd,file.path=$sock" >bench.out 2>bench.err &
    pid=$!
    sleep 0.5
    stop s
    run wait $pid
    [ "$status" -eq 1 ]
    grep -Eq "connection was lost|endpoint shutdown" bench.err
}

@test "chains and formats lie on exports" {
    img create -q -f qcow2 base.qcow2 8M
    img convert -n -f raw -O qcow2 d.raw base.qcow2
    theirs file base.qcow2
    img create -q -f qcow2 -F qcow2 -b "$uri" top.qcow2
    img compare d.raw top.qcow2
    qemu-img compare -q d.raw top.qcow2
    img info "$uri" | grep -q 'file format: qcow2'
}

@test "a command in brackets stands for the disk it serves" {
    img convert -f raw -O raw [ nbdkit file d.raw ] out.raw
    cmp d.raw out.raw
    img convert -f raw -O qcow2 d.raw d.qcow2
    img compare d.raw [ nbd -r -f qcow2 d.qcow2 ]
    img info --output=json [ qemu-nbd -r -f raw d.qcow2 ] | grep -q '"format": "qcow2"'
    img convert -n -f raw -O raw d.raw [ nbdkit memory 8M ]
    run img info [ /nonexistent/server ]
    [ "$status" -eq 1 ]
    [[ $output == *"/nonexistent/server: No such file"* ]]
    run img info [ nbdkit
    [ "$status" -eq 2 ]
    [[ $output == *"a ] is missing"* ]]
    ! pgrep -f "nbdkit file $PWD" || false
}
