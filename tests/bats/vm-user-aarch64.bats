#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# What is aarch64's own: CPU models and their features, branch targets, encodings that are not there.
# Beside qemu-aarch64, whose differences from the manual and the kernel are told where they are left out.

bats_require_minimum_version 1.5.0

setup_file()
{
    CROSS=aarch64-linux-gnu-gcc
    command -v $CROSS >/dev/null || skip "$CROSS is missing"
    SOURCES=$PWD/tests/linux/aarch64
    DECODE=$PWD/lib/guest/arm
    export CROSS SOURCES DECODE
    cd "$BATS_FILE_TMPDIR"
    for p in "$SOURCES"/*.c; do
        $CROSS -O1 -static -march=armv8.5-a+memtag -o "$(basename "$p" .c)" "$p" -lpthread
    done
}

setup()
{
    cd "$BATS_FILE_TMPDIR"
    command -v qemu-aarch64 >/dev/null || skip "qemu-aarch64 is missing"
}

# Lines of id, without what is not to be compared: field NAME BITS clears BITS there.
id_of()
{
    local name value list=$1
    shift
    "$@" ./id | while read -r name value; do
        for f in $list; do
            [ "${f%%=*}" != "$name" ] || value=$(printf %016x $((0x$value & ~${f#*=})))
        done
        printf '%s %s\n' "$name" "$value"
    done | sort
}

@test "named models have the features, ID registers and HWCAP that they should" {
    # HWCAP_SSBS (bit 28) is the kernel's for PFR1.SSBS of 2, which neoverse-n1 has; qemu-aarch64 never says it
    for model in cortex-a35 cortex-a53 cortex-a57 cortex-a72 cortex-a76 neoverse-n1; do
        id_of "hwcap=0x10000000" qemu-aarch64 -cpu $model >right
        id_of "hwcap=0x10000000" vm-user -cpu $model >ours
        # SSBS as a register goes with PFR1.SSBS of 2; cortex-a76 has 1
        [ $model != cortex-a76 ] || sed -i '/S3_3_C4_C2_6/d' right
        diff right ours
    done
}

@test "max has what qemu-aarch64's max has, but for what is not there yet" {
    # Not there: SVE (22), SME and their ID fields. qemu-aarch64 does not tell DIT (24), SSBS (28), DGH and
    # MTE3, which it has. Pointer authentication is by a function of the implementation's own: fields API and
    # GPI, not APA and GPA. Lines of caches and of DC ZVA have 64 bytes here.
    local fields="hwcap=0x11400000 hwcap2=0x7fc09e7e S3_0_C0_C4_0=0xf00000000 S3_0_C0_C4_1=0xf000000"
    fields+=" S3_0_C0_C4_4=-1 S3_0_C0_C4_5=-1 S3_0_C0_C6_1=0xff000ff0 CTR_EL0=-1 DCZID_EL0=-1"
    id_of "$fields" qemu-aarch64 -cpu max >right
    id_of "$fields" vm-user >ours
    diff right ours
    vm-user -cpu max,pauth-impdef=off ./id | grep "S3_0_C0_C6_1 0011101101211012"
}

@test "a feature that is off is not seen, nor is what needs it" {
    vm-user -cpu max,fp16=off,pauth=off ./id >out
    grep "S3_0_C0_C4_0 .*000011$" out
    hwcap=$(sed -n 's/^hwcap //p' out)
    # fphp asimdhp, asimdfhm, paca pacg
    [ $((0x$hwcap & 0xc0800600)) = 0 ]
    run -126 vm-user -cpu max,fp17=off ./id
    [[ "$output" == *fp17* && "$output" == *fp16* ]]
    run -126 vm-user -cpu cortex-a77 ./id
    [[ "$output" == *"did you mean 'cortex-a"* ]]
}

@test "branches to guarded pages reach only what is a target of theirs" {
    # The kernel's code is ILL_ILLOPC. BTYPE is not kept while no page is guarded.
    qemu-aarch64 -cpu max ./bti | sed 's,4/2/,4/1/,g; /plain d42/d' >right
    vm-user ./bti | sed '/plain d42/d' >ours
    diff right ours
    [ "$(grep -c guarded right)" = 10 ]
    vm-user -cpu max,bti=off ./bti >off
    [ "$(sed -n '1p;$p' off)" = $'bti 0\nmprotect -1' ]
}

@test "the encodings that are no instructions raise SIGILL, and no others" {
    cat "$DECODE"/a64_*.decode | awk '/^a64_/ {
        v = ""
        for (i = 2; i <= NF && $i ~ /^[01.]+$/; i++)
            v = v $i
        value = mask = 0
        for (i = 1; i <= 32; i++) {
            value = value * 2 + (substr(v, i, 1) == "1")
            mask = mask * 2 + (substr(v, i, 1) != ".")
        }
        printf "%x %x\n", value, mask
    }' >patterns
    # and all of MRS, MSR, SYS, barriers and hints
    printf '%s\n' "d5300000 fff00000" "d5100000 fff00000" "d5080000 fff80000" "d5280000 fff80000" \
        "d5030000 ffff0000" "d5000000 fff80000" >system
    for seed in 1 2 3; do
        for list in patterns system; do
            qemu-aarch64 -cpu max ./undefined $list 60000 $seed >right
            vm-user ./undefined $list 60000 $seed >ours
            diff right ours
            [ "$(grep -c ' 1$' right)" -gt 10000 ]
        done
    done
}

@test "subnormals are flushed under FPCR.FZ, with the flags that belong to it" {
    diff <(qemu-aarch64 ./flush) <(vm-user ./flush)
    vm-user ./flush | grep -x "loop 0x1.f91bd1b62b9dp-20 10"
}

@test "a top byte of addresses is ignored, by prctl in system calls too; faults are told as by a kernel" {
    # the host does not tell qemu-aarch64 an address that is none
    diff <(qemu-aarch64 -cpu max ./tagged | grep -v nowhere) <(vm-user ./tagged | grep -v nowhere)
    vm-user ./tagged 1 >out
    # ESR_EL1: translation and permission faults, with WnR for stores and atomics; alignment
    [ "$(sed -n '/^read nothing/,/^atomic/p' out | head -3)" = "read nothing 11 1 8 8 92000007
write read-only 11 2 10 10 9200004f
atomic read-only 11 2 20 20 9200004f" ]
    grep -x "nowhere 11 1 678 678 92000047" out
    grep "^misaligned 7 1 .* 92000021$" out
}

@test "memory tags: chosen, stored, checked, moved, inherited" {
    # qemu-aarch64 tells of DC ZVA that nothing is mapped, and makes its blocks as long as it likes
    diff <(qemu-aarch64 -cpu max ./mte | grep -v ^zva) <(vm-user ./mte | grep -v ^zva)
    [ "$(vm-user ./mte | grep ^zva)" = $'zva fine\nzva 11 9 0' ]
    [ "$(vm-user -cpu max,mte=off ./mte)" = "mte 0" ]
    [ "$(vm-user -accel interp ./mte)" = "$(vm-user ./mte)" ]
}
