#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# One command in a guest: its streams and its exit status.

bats_require_minimum_version 1.5.0

setup_file()
{
    KERNEL=$(build/guest.sh kernel riscv64) && INITRD=$(build/guest.sh initrd riscv64) &&
        BOX=$(build/guest.sh package riscv64 busybox-static) || skip "no guest can be fetched"
    export KERNEL INITRD BOX
}

setup()
{
    cd "$BATS_TEST_TMPDIR"
}

guest()
{
    timeout 120 vm-run -kernel "$KERNEL" -initrd "$INITRD" "$@"
}

# A folder with busybox, its shell and a file.
root_folder()
{
    mkdir -p root/bin
    cp "$BOX"/usr/bin/busybox root/bin/ 2>/dev/null || cp "$BOX"/bin/busybox root/bin/
    for a in sh cat ls; do
        ln -s busybox root/bin/$a
    done
    echo here >root/hello
}

@test "the command's output, errors and exit status are vm-run's" {
    for code in 0 7; do
        run --separate-stderr guest --exec "uname -m; echo bad >&2; exit $code" </dev/null
        [ "$status" -eq $code ]
        [ "${lines[0]}" = riscv64 ]
    done
    guest --exec 'echo out; echo bad >&2' </dev/null >out 2>err || echo "status $?"
    cat out err
    [ "$(cat out err)" = "$(printf 'out\nbad')" ]
}

@test "a command killed by a signal ends with 128 and its number" {
    run -137 guest --exec 'kill -9 $$' </dev/null
}

@test "standard input reaches the command, to its end" {
    head -c 3000000 /dev/urandom >data
    run guest --exec 'md5sum' <data
    [ "$status" -eq 0 ]
    [ "${output%% *}" = "$(md5sum <data | cut -d ' ' -f 1)" ]
}

@test "a large output comes whole" {
    guest --exec 'dd if=/dev/zero bs=1M count=32 2>/dev/null' </dev/null >out
    [ "$(stat -c %s out)" -eq 33554432 ]
}

@test "a folder is the root, alone or beside an initial RAM disk" {
    root_folder
    run timeout 120 vm-run -kernel "$KERNEL" --root root --exec 'cat /hello' </dev/null
    [ "$status:$output" = 0:here ]
    run guest --root root --exec 'cat /hello; ls -d /.lathe' </dev/null
    [[ "$output" == here* ]]
    [ "$status" -ne 0 ]
}

@test "a disk image is the root, and what is written there stays" {
    root_folder
    mke2fs -q -t ext4 -d root disk.img 32M
    run guest --root disk.img --exec 'cat /hello; echo more >/new; exit 5' </dev/null
    [ "$status:$output" = 5:here ]
    [ "$(debugfs -R 'cat /new' disk.img 2>/dev/null)" = more ]
    e2fsck -fn disk.img
}

@test "a guest's panic is told, with status 125" {
    run guest --exec 'echo c >/proc/sysrq-trigger' </dev/null
    [ "$status" -eq 125 ]
    [[ "$output" == *"Kernel panic - not syncing: sysrq triggered crash"* ]]
}

@test "a guest that powers off before the command ends is told" {
    run guest --exec 'poweroff -f' </dev/null
    [ "$status" -eq 125 ]
    [[ "$output" == *"the guest stopped before the command ended"* ]]
}

@test "the time of --timeout over is status 124, an interrupt 130" {
    run guest --timeout 3 --exec 'echo begun; sleep 100' </dev/null
    [ "$status" -eq 124 ]
    [[ "$output" == *"time of --timeout is over"* ]]
    run timeout -s INT --preserve-status 4 vm-run -kernel "$KERNEL" -initrd "$INITRD" \
        --exec 'echo begun; sleep 100' </dev/null
    [ "$status" -eq 130 ]
}

@test "what is missing or wrong is one line" {
    for words in "--exec true" "-kernel $KERNEL --exec true" "--root x" \
        "-kernel $KERNEL -initrd $INITRD --root nowhere --exec true" \
        "-kernel $KERNEL -initrd $INITRD --timeout soon --exec true"; do
        run timeout 60 vm-run $words </dev/null
        [ "$status" -ne 0 ]
        [ "${#lines[@]}" -eq 1 ]
    done
    mkdir -p empty
    run -2 vm-run -kernel "$KERNEL" --root empty --exec true </dev/null
    [[ "$output" == *"neither a shell nor busybox"* ]]
    truncate -s 1M blank.img
    run guest --root blank.img --exec true </dev/null
    [ "$status" -eq 125 ]
    [[ "$output" == *"no file system with a shell"* ]]
}
