# SPDX-License-Identifier: MIT
# A guest on a board with NUMA nodes, each with interrupt controllers and timers of its own.
bats_require_minimum_version 1.5.0
load common

@test "a guest knows two nodes, and its disk interrupts through the second one's controller" {
    kernel=$(build/guest.sh kernel riscv64) initrd=$(build/guest.sh initrd-io riscv64)
    cd "$BATS_TEST_TMPDIR"
    head -c 3M /dev/urandom >disk
    script='md5sum /dev/vda; cat /sys/devices/system/node/node1/cpulist /sys/devices/system/node/node1/distance; grep virtio /proc/interrupts'
    timeout 400 vm-run --arch riscv64 -M virt -smp 4 -m 768M -numa node,mem=512M -numa node,mem=256M \
        -numa dist,src=0,dst=1,val=25 -kernel "$kernel" -initrd "$initrd" -drive file=disk,format=raw,if=virtio \
        -append "console=ttyS0 lathe.mode=jobs lathe.cmd=$(base64 -w0 <<<"$script")" -nographic </dev/null >log
    cat log | tr -d '\r' >text
    grep 'smp: Brought up 2 nodes, 4 CPUs' text
    grep "^$(md5sum <disk | cut -d' ' -f1) " text
    grep -x 2-3 text
    grep -x '25 10' text
    # the virtio slots are wired to the second controller; some of its interrupts came
    awk '/virtio/ { for (i = 2; i <= 5; i++) n += $i } END { exit !(n > 0) }' text
    grep -x 'STATUS 0' text
}

@test "memory from files is refused until it is there" {
    echo none >"$BATS_TEST_TMPDIR/kernel"
    run -1 vm-run --arch riscv64 -M virt,memory-backend=a -object memory-backend-file,id=a,size=64M,mem-path=/tmp \
        -kernel "$BATS_TEST_TMPDIR/kernel" -bios none -nographic
    [[ $output == *"memory from files is not there yet"* ]]
}
