#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# -qtest: a test drives the machine in place of its CPUs, as users of QEMU know it.

load common

setup()
{
    cd "$BATS_TEST_TMPDIR" || return 1
}

qtest()
{
    run timeout 60 vm-run -M virt -accel qtest -qtest stdio -display none "$@"
}

@test "commands on standard input are answered, and its end ends the machine" {
    qtest <<END
endianness
readl 0x10001000
writeq 0x80000000 0x1122334455667788
read 0x80000000 4
clock_step 100
inb 0
nonsense
END
    [ "$status" -eq 0 ]
    [ "${lines[0]}" = "OK little" ]
    [ "${lines[1]}" = "OK 0x0000000074726976" ]
    [ "${lines[2]}" = OK ]
    [ "${lines[3]}" = "OK 0x88776655" ]
    [ "${lines[4]}" = "OK 100" ]
    [[ ${lines[5]} == "FAIL "* ]]
    [[ ${lines[6]} == "FAIL Unknown command 'nonsense'" ]]
}

@test "-machine accel=qtest is the same, interrupts are told, the log has both directions" {
    run timeout 60 vm-run -machine virt,accel=qtest -qtest stdio -qtest-log log -display none <<END
irq_intercept_in plic
writeb 0x10000001 2
readb 0x10000002
END
    [ "$status" -eq 0 ]
    [ "$output" = "OK
IRQ raise 10
OK
IRQ lower 10
OK 0x0000000000000002" ]
    grep -q '^\[R +[0-9.]*\] irq_intercept_in plic$' log
    grep -q '^\[S +[0-9.]*\] IRQ raise 10$' log
}

@test "a socket carries it, and a guest's power-off ends the machine" {
    command -v socat >/dev/null || skip "no socat"
    vm-run -M virt -accel qtest -qtest unix:q,server=on,wait=off -display none &
    pid=$!
    wait_for [ -S q ]
    run socat -t 5 - UNIX-CONNECT:q <<END
readl 0x10001000
END
    [ "$output" = "OK 0x0000000074726976" ]
    echo "writel 0x100000 0x5555" | socat -t 5 - UNIX-CONNECT:q
    wait $pid
}

@test "beside running CPUs memory and devices can be reached, the clock cannot be moved" {
    head -c 4096 /dev/zero >kernel
    run timeout 60 vm-run --arch riscv64 -M virt -bios none -kernel kernel -qtest stdio -display none <<END
readl 0x10001000
clock_step 1
writel 0x100000 0x73333
END
    [ "$status" -eq 7 ]
    [[ $output == "OK 0x0000000074726976"*"FAIL "* ]]
}

# The same lines in the other program, where it is installed; its log goes to standard error.
compare()
{
    command -v qemu-system-riscv64 >/dev/null || skip "qemu-system-riscv64 is not installed"
    local pid
    mkfifo in
    timeout 90 qemu-system-riscv64 -M virt -S -qtest stdio -display none -serial null -monitor null \
        "$@" <in 2>/dev/null >theirs 3>&- &
    pid=$!
    exec 7>in
    cat lines >&7
    answered() { [ "$(wc -l <theirs)" -ge "$(wc -l <lines)" ] || ! kill -0 $pid; }
    wait_for answered || :
    kill $pid || :
    wait $pid || :
    exec 7>&-
    [ -s theirs ] || skip "its -qtest does not work here"
    timeout 60 vm-run -M virt -accel qtest -qtest stdio -display none "$@" <lines >ours
    diff theirs ours
}

@test "flash answers as QEMU's does: query, identifier, erase, program, buffer" {
    truncate -s 32M flash.img
    f=0x20000000
    cat >lines <<END
readl $f
writel $f 0x00980098
read $f 0x180
readb 0x20000040
readw 0x20000044
writel $f 0x00ff00ff
writel $f 0x00900090
readq $f
readb 0x20000001
writel 0x20040000 0x00200020
readl 0x20040000
writel 0x20040000 0x00d000d0
readl 0x20040000
writel 0x20040000 0x00ff00ff
read 0x2003fff8 0x10
writel 0x20040010 0x00400040
readl 0x20040010
writel 0x20040010 0x12345678
writel 0x20040010 0x00ff00ff
readl 0x20040010
writel 0x20040000 0x00e800e8
readl 0x20040000
writel 0x20040000 0x00010001
writel 0x20040100 0x11111111
writel 0x20040104 0x22222222
writel 0x20040000 0x00d000d0
readl 0x20040000
writel 0x20040000 0x00ff00ff
read 0x200400f8 0x10
END
    compare -drive if=pflash,file=flash.img,format=raw,snapshot=on
}

@test "fw_cfg answers as QEMU's does: signature, identity, DMA register, CPUs" {
    cat >lines <<END
writew 0x10100008 0x0000
readl 0x10100000
readq 0x10100000
writew 0x10100008 0x0100
readl 0x10100000
readq 0x10100010
readl 0x10100014
readw 0x10100008
writew 0x10100008 0x0500
readl 0x10100000
writew 0x10100008 0xff3f
readq 0x10100000
writew 0x10100008 0x0000
readb 0x10100000
readb 0x10100000
readw 0x10100000
END
    compare -smp 3
}

@test "the other registers of the board answer as QEMU's do" {
    cat >lines <<END
readb 0x10000001
readb 0x10000002
readb 0x10000005
writeb 0x10000007 0x5a
readb 0x10000007
readl 0x10008000
readl 0x10008008
readl 0xc000028
writel 0xc000028 7
readl 0xc000028
readl 0xc001000
readl 0x2000000
writel 0x2000000 1
readl 0x2000000
readl 0x100000
readl 0x101010
writel 0x101010 1
readl 0x101010
readl 0x101018
readl 0x1000
readl 0x1018
END
    compare -bios none
}

@test "fw_cfg's boot order has QEMU's paths, by bootindex" {
    truncate -s 1M a.img b.img
    devices="-blockdev driver=file,filename=a.img,node-name=a -blockdev driver=file,filename=b.img,node-name=b
        -blockdev driver=null-co,node-name=c,size=1048576 -device virtio-blk-device,drive=a,bootindex=2
        -device virtio-blk-pci,drive=b,bootindex=1 -device nvme,serial=1,drive=c,bootindex=3,addr=5"
    command -v xxd >/dev/null || skip "no xxd"
    # the first file, as names go
    # shellcheck disable=SC2086
    qtest $devices < <(echo writew 0x10100008 0x2000; for _ in $(seq 20); do echo read 0x10100000 8; done)
    [ "$status" -eq 0 ]
    text=$(echo "$output" | sed -n 's/^OK 0x//p' | xxd -r -p | tr -d '\0')
    [ "$text" = "/pci@ffffffffffffffff/scsi@1/disk@0,0
/virtio-mmio@0000000010008000/disk@0,0
/pci@ffffffffffffffff/pci1b36,0010@5/namespace@1,0" ]
    # shellcheck disable=SC2086
    qtest $devices -device virtio-rng-pci -blockdev driver=null-co,node-name=d -device virtio-blk-pci,drive=d,bootindex=3 </dev/null
    [ "$status" -eq 2 ]
    [[ $output == *"bootindex 3 has already been used"* ]]
}
