#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# Small guests without an operating system, entered in machine mode. Each tells what it saw as a
# failure code through the board's test device: vm-run's exit status.

setup_file()
{
    command -v riscv64-linux-gnu-gcc >/dev/null || skip "riscv64-linux-gnu-gcc is not installed"
}

# guest: runs the assembly on standard input; "finish REG" ends it, traps in M-mode end it with
# 100 + mcause (32 or more: 200)
guest()
{
    local name=$BATS_TEST_TMPDIR/guest
    {
        cat <<'END'
.macro finish reg
    slli t5, \reg, 16
    li t6, 0x3333
    or t5, t5, t6
    li t6, 0x100000
    sw t5, (t6)
1:  j 1b
.endm
.globl _start
_start:
    la t0, trapped
    csrw mtvec, t0
    j main
.balign 4
trapped:
    csrr a0, mcause
    li t0, 32
    bltu a0, t0, 2f
    li a0, 100
2:  addi a0, a0, 100
    finish a0
main:
END
        cat
    } >"$name.S"
    riscv64-linux-gnu-gcc -nostdlib -static -no-pie -march=rv64gc_zicsr_zifencei -mabi=lp64d -mcmodel=medany \
        -Wl,-N,-Ttext=0x80000000,--build-id=none -o "$name.elf" "$name.S"
    run timeout -k 5 "${limit:-20}" vm-run "$@" -nographic -bios none -kernel "$name.elf" </dev/null
}

# paging: a table that maps the RAM's gigabyte onto itself, and supervisor mode
paging='
    la s0, table
    li t0, (0x80000 << 10) | 0xcf
    sd t0, 16(s0)
    li t0, -1
    csrw pmpaddr0, t0
    li t0, 0x1f
    csrw pmpcfg0, t0
    srli t0, s0, 12
    li t1, 8 << 60
    or t0, t0, t1
    csrw satp, t0
    sfence.vma
    li t0, 3 << 11
    csrc mstatus, t0
    li t0, 1 << 11
    csrs mstatus, t0
    la t0, super
    csrw mepc, t0
    mret
.balign 4096
table: .zero 4096
super:
'

@test "a failure code is the exit status" {
    guest <<<'li a0, 42
        finish a0'
    [ "$status" -eq 42 ]
    guest <<<'li a0, 256
        finish a0'
    [ "$status" -eq 1 ]
}

@test "a pass through the test device is exit status 0" {
    guest <<<'li t0, 0x5555
        li t1, 0x100000
        sw t0, (t1)
        1: j 1b'
    [ "$status" -eq 0 ]
}

@test "a jump into nothing is an instruction access fault" {
    guest <<<'li t0, 0x40000000
        jr t0'
    [ "$status" -eq 101 ]
}

@test "a load from nothing is a load access fault, a store a store access fault" {
    guest <<<'li t0, 0x18000000
        ld t1, (t0)'
    [ "$status" -eq 105 ]
    guest <<<'li t0, 0x18000000
        sd t1, (t0)'
    [ "$status" -eq 107 ]
}

@test "an instruction that does not exist is an illegal instruction" {
    guest <<<'.word 0'
    [ "$status" -eq 102 ]
}

@test "a guest that only traps, for ever, is still ended by a signal" {
    limit=3 guest <<<'li t0, 0x40000000
        csrw mtvec, t0
        ecall'
    [ "$status" -eq 124 ]
}

@test "a page table that points at itself at every level is a page fault" {
    guest <<<"$paging"'
        la s0, table
        srli t0, s0, 12
        slli t0, t0, 10
        ori t0, t0, 1
        sd t0, (s0)
        sfence.vma
        ld t1, (zero)'
    [ "$status" -eq 113 ]
}

@test "a guest changes its page table through that table" {
    guest <<<"$paging"'
        li t0, 0x40100000
        la s0, table
        li t1, 0xc7
        sd t1, 8(s0)
        sfence.vma
        li t1, (77 << 16) | 0x3333
        sw t1, (t0)
        1: j 1b'
    [ "$status" -eq 77 ]
}

@test "code that rewrites itself runs as rewritten, a thousand times" {
    guest <<<'li s0, 1000
        li s2, 0
    again:
        li a0, 0
        andi t1, s0, 63
        slli t1, t1, 20
        li t0, 0x513
        or t1, t1, t0
        la t2, patch
        sw t1, (t2)
        fence.i
        call victim
        andi t1, s0, 63
        bne a0, t1, wrong
        addi s2, s2, 1
        addi s0, s0, -1
        bnez s0, again
        li t0, 1000
        bne s2, t0, wrong
        li a0, 55
        finish a0
    wrong:
        li a0, 66
        finish a0
    .option push
    .option norvc
    .balign 4
    victim:
    patch:
        addi a0, zero, 0
        ret
    .option pop'
    [ "$status" -eq 55 ]
}
