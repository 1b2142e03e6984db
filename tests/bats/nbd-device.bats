#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# Kernel devices as far as no kernel is needed; tests/soak/nbd-device has one.

load common

setup()
{
    cd "$BATS_TEST_TMPDIR"
    truncate -s 1M d.raw
}

@test "devices that cannot be are refused by name" {
    run nbd -d auto
    [ "$status" -eq 2 ]
    [[ $output == *"-d wants the device's name"* ]]
    local word
    for word in sda /dev/sda /dev/nbd /dev/nbd1p1 /dev/nbd-1 /dev/nbd99999999; do
        run nbd -d $word
        [ "$status" -eq 2 ]
        [[ $output == *"'$word': /dev/nbdN or auto is wanted"* ]]
        run nbd -c $word -f raw d.raw
        [ "$status" -eq 2 ]
    done
    run nbd -d /dev/nbd1048575
    [ "$status" -eq 1 ]
    [ "$output" = "nbd: Cannot open /dev/nbd1048575: No such file or directory" ]
}

@test "without a client in the kernel that is said, and the image is left alone" {
    [ ! -e /sys/module/nbd ] && [ ! -e /sys/block/nbd0 ] || skip "this kernel has one"
    run nbd -c auto -f raw d.raw
    [ "$status" -eq 1 ]
    [[ $output == *"this kernel has no NBD client"*"hint: modprobe nbd"* ]]
    run nbd -c auto -f raw none.raw
    [ "$status" -eq 1 ]
    [[ $output == *"none.raw"*"No such file"* ]]
    qemu-img info d.raw >/dev/null # nobody holds a lock on it
}
