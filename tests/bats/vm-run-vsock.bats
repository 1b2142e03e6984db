#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# Streams between guest and host over AF_VSOCK and Unix sockets.

bats_require_minimum_version 1.5.0

load common

setup_file()
{
    command -v riscv64-linux-gnu-gcc >/dev/null || skip "riscv64-linux-gnu-gcc is not installed"
    command -v socat >/dev/null || skip "socat is not installed"
    KERNEL=$(build/guest.sh kernel riscv64) && INITRD=$(build/guest.sh initrd-io riscv64) ||
        skip "no guest can be fetched"
    mkdir "$BATS_FILE_TMPDIR/tree"
    riscv64-linux-gnu-gcc -O1 -static -o "$BATS_FILE_TMPDIR/tree/vsock" tests/bats/vsock-guest.c
    (cd "$BATS_FILE_TMPDIR/tree" && echo vsock | cpio --quiet -o -H newc -R 0:0 | gzip) >"$BATS_FILE_TMPDIR/more"
    cat "$INITRD" "$BATS_FILE_TMPDIR/more" >"$BATS_FILE_TMPDIR/initrd"
    export KERNEL INITRD=$BATS_FILE_TMPDIR/initrd
}

setup()
{
    cd "$BATS_TEST_TMPDIR"
    head -c 5000000 /dev/urandom >data
}

teardown()
{
    [ -z "${pid-}" ] || kill "$pid" 2>/dev/null || :
    [ -z "${peer-}" ] || kill "$peer" 2>/dev/null || :
}

# guest FORM SCRIPT: in the background, its console in "log"
guest()
{
    timeout 120 vm-run -nographic -m 512 -kernel "$KERNEL" -initrd "$INITRD" \
        -append "console=ttyS0 quiet lathe.mode=jobs lathe.load=vsock lathe.cmd=$(base64 -w0 <<<"$2")" \
        -device "$1,guest-cid=7,path=$PWD/v" </dev/null >log 2>&1 3>&- &
    pid=$!
}

@test "a host program calls one in the guest, and each end's end is seen" {
    for form in virtio-vsock-pci virtio-vsock-device; do
        : >log
        guest $form '/vsock serve 1234'
        wait_for grep -q SERVING log
        { echo 'CONNECT 1234'; cat data; } | timeout 90 socat -t 20 - UNIX-CONNECT:v >back
        [[ "$(head -n 1 back)" =~ ^OK\ [0-9]+$ ]]
        tail -n +2 back | cmp - data
        wait $pid
        grep -q 'STATUS 0' log
    done
}

@test "a program in the guest calls one of the host" {
    timeout 120 socat -t 20 UNIX-LISTEN:v_99 EXEC:'md5sum' &
    peer=$!
    wait_for [ -S v_99 ]
    guest virtio-vsock-pci 'head -c 3000000 /dev/zero | /vsock send 99'
    wait $pid
    grep -q "$(head -c 3000000 /dev/zero | md5sum)" log
    grep -q 'STATUS 0' log
}

@test "calls that nobody takes are refused at once, both ways" {
    guest virtio-vsock-pci '/vsock send 98 </dev/null; echo REFUSED; sleep 20'
    wait_for grep -q REFUSED log
    grep -q 'connect: Connection reset by peer' log
    [ -z "$(echo 'CONNECT 5' | timeout 10 socat -t 5 - UNIX-CONNECT:v)" ]
    [ -z "$(echo 'nonsense' | timeout 10 socat -t 5 - UNIX-CONNECT:v)" ]
    kill -0 $pid
}

@test "what is missing or taken is one line" {
    run -2 vm-run -kernel "$KERNEL" -nographic -device virtio-vsock-pci,path=v </dev/null
    [[ "$output" == *"guest-cid"* ]]
    run -2 vm-run -kernel "$KERNEL" -nographic -device virtio-vsock-pci,guest-cid=2,path=v </dev/null
    run -1 vm-run -kernel "$KERNEL" -nographic -device virtio-vsock-pci,guest-cid=3,path=no/v </dev/null
    [[ "$output" == *"no/v"* ]]
    [ "${#lines[@]}" -eq 1 ]
}
