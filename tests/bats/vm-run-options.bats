#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# vm-run's options and what it says when they are wrong. No guest runs here.

setup()
{
    d=$BATS_TEST_TMPDIR
    # a RISC-V Linux image's header and nothing behind it
    printf '\0\0\0\0\0\0\0\0\0\0\040\0\0\0\0\0\0\0\1\0\0\0\0\0\0\0\0\0\0\0\0\0\2\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0RISCV\0\0\0RSC\005\0\0\0\0' >"$d/Image"
    # an aarch64 ELF header
    printf '\177ELF\2\1\1\0\0\0\0\0\0\0\0\0\2\0\267\0\1\0\0\0' >"$d/aarch64.elf"
    head -c 64 /dev/zero >>"$d/aarch64.elf"
}

one_line()
{
    [ "${#lines[@]}" -eq 1 ]
}

@test "the help is one screen with the examples last" {
    run vm-run -h
    [ "$status" -eq 0 ]
    [ "${#lines[@]}" -le 40 ]
    [[ ${lines[-1]} == *dumpdtb* ]]
    [ "$(vm-run --help)" = "$output" ]
}

@test "the version is told with -V, -version and --version" {
    run vm-run -V
    [ "$status" -eq 0 ]
    [[ $output == "vm-run (Lathe) "* ]]
    [ "$(vm-run -version)" = "$output" ]
    [ "$(vm-run --version)" = "$output" ]
}

@test "an unknown option is named and the nearest suggested" {
    run vm-run -kernle x
    [ "$status" -eq 2 ]
    one_line
    [[ $output == *"'-kernle'"*"-kernel?"* ]]
}

@test "a misuse is exit status 1 under a qemu name" {
    ln -s "$(command -v vm-run)" "$d/qemu-system-riscv64"
    run "$d/qemu-system-riscv64" -nonsense
    [ "$status" -eq 1 ]
    [[ $output == "qemu-system-riscv64: "* ]]
}

@test "the version under a qemu name is what scripts read" {
    ln -s "$(command -v vm-run)" "$d/qemu-system-riscv64"
    run "$d/qemu-system-riscv64" -version
    [ "$status" -eq 0 ]
    [[ $output == "QEMU emulator version 7.0"* ]]
}

@test "an option without its value is a misuse" {
    for opt in -kernel -m --append; do
        run vm-run $opt
        [ "$status" -eq 2 ]
        one_line
        [[ $output == *"needs a value"* ]]
    done
}

@test "a value after an equals sign belongs to a two-dash option" {
    run vm-run --kernel=/nonexistent/Image
    [ "$status" -eq 1 ]
    [[ $output == *"/nonexistent/Image"*"No such file"* ]]
    run vm-run --nographic=yes
    [ "$status" -eq 2 ]
}

@test "nothing to run is said in one line" {
    run vm-run
    [ "$status" -eq 2 ]
    one_line
    [[ $output == *"give -kernel or -bios"* ]]
    run vm-run --arch riscv64 -M virt
    [ "$status" -eq 2 ]
    one_line
    [[ $output == *"give -kernel or -bios"* ]]
}

@test "a kernel that is not there, empty, a directory or cut short is named" {
    : >"$d/empty"
    for f in "$d/none" "$d/empty" "$d" "$d/aarch64.elf"; do
        run vm-run -nographic -kernel "$f"
        [ "$status" -eq 1 ]
        one_line
        [[ $output == *"$f"* ]]
    done
    gzip -c "$d/Image" | head -c 30 >"$d/cut.gz"
    run vm-run -kernel "$d/cut.gz"
    [ "$status" -eq 1 ]
    [[ $output == *cut.gz*"ends in the middle"* ]]
}

@test "a kernel for another ISA than the one asked for is refused" {
    run vm-run --arch aarch64 -kernel "$d/Image"
    [ "$status" -eq 2 ]
    one_line
    run vm-run --arch nonesuch -kernel "$d/Image"
    [ "$status" -eq 2 ]
    [[ $output == *"no guest ISA 'nonesuch'"*riscv64* ]]
}

@test "a raw file does not say what it is for" {
    printf 'just words that are no kernel' >"$d/raw"
    run vm-run -kernel "$d/raw"
    [ "$status" -eq 2 ]
    one_line
    [[ $output == *"--arch"* ]]
}

@test "more memory or CPUs than the board takes is one line" {
    for args in '-m 100000000G' '-m lots' '-smp 100000' '-smp 0' '-smp many'; do
        run vm-run $args -kernel "$d/Image"
        [ "$status" -eq 2 ]
        one_line
    done
}

@test "no memory at all stands for the default" {
    vm-run --arch riscv64 -m 0 -M virt,dumpdtb="$d/none.dtb"
    vm-run --arch riscv64 -M virt,dumpdtb="$d/default.dtb"
    command -v dtc >/dev/null || skip "dtc is not installed"
    [ "$(dtc -q "$d/none.dtb" | grep -A3 memory@)" = "$(dtc -q "$d/default.dtb" | grep -A3 memory@)" ]
}

@test "memory that the host cannot even reserve is one line" {
    run vm-run -m 1000000G -kernel "$d/Image"
    [ "$status" -eq 1 ]
    one_line
}

@test "an unknown board or CPU is named" {
    run vm-run -M nonesuch -kernel "$d/Image"
    [ "$status" -eq 2 ]
    one_line
    [[ $output == *nonesuch* ]]
    run vm-run -cpu nonesuch -kernel "$d/Image"
    [ "$status" -eq 2 ]
    [[ $output == *nonesuch* ]]
}

@test "KVM is said not to be there, and kvm:tcg takes the other" {
    run vm-run -accel kvm -kernel "$d/Image"
    [ "$status" -eq 2 ]
    one_line
    [[ $output == *"kvm is not there yet"* ]]
    run vm-run -accel kvm:tcg -M virt,dumpdtb="$d/t.dtb" -kernel "$d/Image"
    [ "$status" -eq 0 ]
}

@test "accelerator properties are checked" {
    for a in nonesuch jit,tb-size=x tcg,thread=maybe tcg,foo=1; do
        run vm-run -accel $a -kernel "$d/Image"
        [ "$status" -eq 2 ]
        one_line
    done
    run vm-run -accel verify -smp 2 -kernel "$d/Image"
    [ "$status" -eq 2 ]
}

@test "what is not there yet says so" {
    for args in '-device virtio-gpu-device' '-display gtk' '-serial vc' '-nic user,model=usb-ehci' '-netdev vde,id=n'; do
        run timeout 20 vm-run $args -kernel "$d/Image"
        [ "$status" -eq 2 ]
        one_line
        [[ $output == *"yet"* ]]
    done
}

@test "wrong words of -netdev, -nic and -net are one line" {
    for args in '-netdev user' '-netdev usr,id=n' '-netdev user,id=n,hostfwd=tcp:1' '-net user' \
        '-nic user,mac=1' '-netdev stream,id=n,addr.type=unix,addr.path=/x,colour=red' '-netdev hubport,id=n,hubid=0'; do
        run vm-run $args -kernel "$d/Image"
        [ "$status" -eq 2 ]
        one_line
    done
}

@test "the lists go to standard output" {
    for args in '-M help' '-machine help' '-cpu help' '-accel help' '-d help' '-serial help' \
        '-drive help' '-device help' '-device virtio-blk-device,help' '-chardev help' '-netdev help'; do
        run vm-run $args
        [ "$status" -eq 0 ]
        [ -n "$output" ]
    done
    vm-run -M help | grep -q virt
    vm-run -accel help | grep -q verify
}

@test "the device tree is written and dtc takes it" {
    command -v dtc >/dev/null || skip "dtc is not installed"
    vm-run --arch riscv64 -M virt,dumpdtb="$d/virt.dtb" -smp 3 -m 1G
    dtc -q "$d/virt.dtb" >"$d/virt.dts"
    [ "$(grep -c 'device_type = "cpu"' "$d/virt.dts")" -eq 3 ]
}

@test "an unknown log category is named" {
    run vm-run -d nonesuch -kernel "$d/Image"
    [ "$status" -eq 2 ]
    [[ $output == *nonesuch* ]]
}
