#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# A disk image alone: what vm-run makes of it.

bats_require_minimum_version 1.5.0

setup_file()
{
    KERNEL=$(build/guest.sh kernel riscv64) && INITRD=$(build/guest.sh initrd riscv64) &&
        UBOOT=$(build/guest.sh uboot riscv64) || skip "no guest can be fetched"
    LOADERS=${UBOOT##*
}
    LOADERS=${LOADERS%/*/*}
    export KERNEL INITRD LOADERS
}

setup()
{
    cd "$BATS_TEST_TMPDIR"
}

# A disk with one partition: ext4 with what a boot loader looks for.
make_disk()
{
    mkdir -p root/extlinux root/boot
    cp "$KERNEL" root/boot/vmlinux
    cp "$INITRD" root/boot/initrd
    printf '%s\n' 'default one' 'label one' ' kernel /boot/vmlinux' ' initrd /boot/initrd' \
        ' append console=ttyS0 quiet lathe.mode=test' >root/extlinux/extlinux.conf
    truncate -s 100M disk.img
    mke2fs -q -t ext4 -d root -E offset=1048576 disk.img 95M
    # the table: bootable, Linux, from sector 2048 on, 95 MiB
    printf '\200\0\0\0\203\0\0\0\0\010\0\0\0\370\002\0' |
        dd of=disk.img bs=1 seek=446 conv=notrunc status=none
    printf '\125\252' | dd of=disk.img bs=1 seek=510 conv=notrunc status=none
}

@test "a disk image alone boots through U-Boot to the guest's power-off" {
    make_disk
    run timeout 100 vm-run -L "$LOADERS" disk.img </dev/null
    [ "$status" -eq 0 ]
    [[ "$output" == *"b6d81b360a5672d80c27430f39153e2c"* ]]
    [[ "$output" == *"Found /extlinux/extlinux.conf"* ]]
}

@test "--print-argv writes out what a short command line means" {
    truncate -s 1M "a b.img"
    run -0 vm-run -L "$LOADERS" "a b.img" -smp 2 --print-argv
    [[ "$output" == "vm-run -arch riscv64 -smp 2 -m 1G -kernel $LOADERS/qemu-riscv64_smode/u-boot.bin"* ]]
    [[ "$output" == *"'media=disk,file=a b.img'"* ]]
    [[ "$output" == *"-nic user"* ]]
    # what it prints means itself
    local long=$output
    run -0 sh -c "$long --print-argv"
    [ "$output" = "$long" ]
    run -0 vm-run -kernel x --print-argv
    [ "$output" = "vm-run -kernel x" ]
}

@test "without a boot loader it is said what is missing" {
    truncate -s 1M disk.img
    run -2 vm-run --arch riscv32 disk.img # which has none
    [[ "$output" == *"the package u-boot-qemu has it"* ]]
}
