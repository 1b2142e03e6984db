#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# What firmware needs, with real firmware and real guests: fw_cfg, flash, loader, U-Boot.

load common

setup()
{
    cd "$BATS_TEST_DIRNAME/../.." || return 1
    T=$BATS_TEST_TMPDIR
}

# Runs vm-run with the arguments after the first, types the first at U-Boot's prompt, then what ends
# the machine in every mode (the finisher). Nothing is typed but at a prompt: commands eat what comes
# meanwhile, and an empty line repeats the one before.
at_prompt()
{
    text=$1
    shift
    rm -f "$T/in.in" "$T/in.out"
    mkfifo "$T/in.in" "$T/in.out"
    timeout 200 vm-run --arch riscv64 -M virt -m 512M -display none -serial pipe:"$T/in" "$@" 9>&- 3>&- &
    pid=$!
    exec 7<>"$T/in.in"
    cat "$T/in.out" >"$T/out" 3>&- &
    wait_for stops_countdown
    printf '%s\n' "$text" >&7
    wait_for grep -qa "^=>  *${text%% *}" "$T/out"
    wait_for prompts
    printf 'mw.l 100000 5555\n' >&7
    wait $pid
    exec 7>&-
}

# What stopped the countdown may stand after it.
prompts() { tail -n 1 "$T/out" | grep -qa '^=>  *$'; }

stops_countdown()
{
    ! prompts || return 0
    ! grep -qa 'U-Boot 20' "$T/out" || printf ' ' >&7
    return 1
}

uboot()
{
    files=$(build/guest.sh uboot riscv64) || skip "no U-Boot can be fetched"
    M_MODE=$(echo "$files" | head -n 1)
    S_MODE=$(echo "$files" | tail -n 1)
}

@test "U-Boot in supervisor mode comes to its prompt on the built-in SBI" {
    uboot
    at_prompt version -kernel "$S_MODE"
    grep -a '^U-Boot 20' "$T/out"
    grep -a '=>  *version' "$T/out"
}

@test "U-Boot in supervisor mode comes to its prompt on OpenSBI" {
    uboot
    fw=$(build/guest.sh opensbi) || skip "no OpenSBI"
    at_prompt version -bios "$fw" -kernel "$S_MODE"
    grep -a 'OpenSBI' "$T/out"
    grep -a '=>  *version' "$T/out"
}

@test "U-Boot in machine mode is firmware, and finds the flash" {
    uboot
    at_prompt flinfo -bios "$M_MODE"
    grep -a 'Bank # 2: CFI conformant flash' "$T/out"
    grep -a 'Intel Extended command set, Manufacturer ID: 0x89' "$T/out"
}

@test "what U-Boot erases and programs in flash is there in the next run" {
    uboot
    truncate -s 32M "$T/flash1"
    at_prompt 'mw.l 80400000 12345678 40; protect off 22040000 +20000; erase 22040000 +20000; cp.l 80400000 22040000 40' \
        -bios "$M_MODE" -drive if=pflash,unit=1,format=raw,file="$T/flash1"
    [ "$(od -An -tx4 -j $((0x40000)) -N4 "$T/flash1" | tr -d ' ')" = 12345678 ]
    at_prompt 'md.l 22040000 4' -bios "$M_MODE" -drive if=pflash,unit=1,format=raw,file="$T/flash1"
    grep -a '^22040000: 12345678 12345678 12345678 12345678' "$T/out"
}

# A program that runs anywhere and has the finisher end the machine with code 5:
# lui t0,0x100; lui t1,0x53; addiw t1,t1,0x333; sw t1,0(t0); j .
finisher()
{
    printf '\267\002\020\000\067\063\005\000\033\003\063\063\043\240\142\000\157\000\000\000'
}

@test "the first flash runs when there is no -bios, also as -pflash and -M pflash0=" {
    finisher >"$T/code"
    truncate -s 32M "$T/code"
    for how in "-drive if=pflash,format=raw,unit=0,readonly=on,file=$T/code" "-pflash $T/code" \
        "-blockdev driver=file,node-name=code,filename=$T/code -M virt,pflash0=code"; do
        # shellcheck disable=SC2086
        run timeout 30 vm-run -M virt -display none $how
        [ "$status" -eq 5 ]
    done
}

@test "a loader puts bytes and starts a CPU" {
    finisher >"$T/code"
    run timeout 30 vm-run -M virt -display none -device loader,file="$T/code",addr=0x80100000,cpu-num=0
    [ "$status" -eq 5 ]
    run timeout 30 vm-run --arch riscv64 -M virt -display none -bios none -kernel "$T/code" \
        -device loader,addr=0x80000010,data=0x6f,data-len=4
    [ "$status" -eq 5 ]
    run timeout 30 vm-run -M virt -display none -device loader,file="$T/code"
    [ "$status" -eq 2 ]
    [[ $output == *"addr="* ]]
    run vm-run -M virt -device help
    [[ $output == *'name "loader"'* ]]
}

@test "a drive that is no flash's size is refused with the way out" {
    truncate -s 1M "$T/small"
    run timeout 30 vm-run -M virt -display none -pflash "$T/small"
    [ "$status" -eq 1 ]
    [[ $output == *"requires 33554432 bytes"* ]]
    [[ $output == *"truncate -s 32M"* ]]
    run timeout 30 vm-run -M virt -display none -drive if=pflash,unit=2,format=raw,file="$T/small"
    [ "$status" -eq 2 ]
}

@test "Linux shows fw_cfg's files" {
    kernel=$(build/guest.sh kernel riscv64) && initrd=$(build/guest.sh initrd-io riscv64) ||
        skip "no guest can be fetched"
    printf 'from a file' >"$T/file"
    job='cd /sys/firmware/qemu_fw_cfg; cat rev; echo; find by_name | sort
cat by_name/opt/org.test/a/raw; echo; cat by_name/opt/b/raw; echo; cat by_name/opt/b/size'
    run timeout 300 vm-run -nographic -kernel "$kernel" -initrd "$initrd" \
        -fw_cfg name=opt/org.test/a,string=hello-guest -fw_cfg opt/b,file="$T/file" \
        -append "console=ttyS0 lathe.mode=jobs lathe.load=fwcfg lathe.cmd=$(printf '%s' "$job" | base64 -w0)" </dev/null
    [ "$status" -eq 0 ]
    [[ $output == *by_name/bootorder* ]]
    [[ $output == *hello-guest* ]]
    [[ $output == *"from a file"* ]]
    [[ $output == *"STATUS 0"* ]]
}

@test "a fw_cfg name outside of opt/ is taken with a warning" {
    run timeout 30 vm-run -M virt -accel qtest -qtest stdio -display none -fw_cfg mine,string=x </dev/null
    [ "$status" -eq 0 ]
    [[ $output == *'should begin with "opt/"'* ]]
}
