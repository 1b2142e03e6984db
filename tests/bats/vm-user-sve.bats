#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# SVE of vm-user beside qemu-aarch64 at several vector lengths: compiled loops, intrinsics, signal frames,
# prctl, properties of -cpu.

bats_require_minimum_version 1.5.0

setup_file()
{
    command -v aarch64-linux-gnu-gcc >/dev/null || skip "aarch64-linux-gnu-gcc is missing"
    SOURCES=$PWD/tests/linux
    cd "$BATS_FILE_TMPDIR"
    aarch64-linux-gnu-gcc -O2 -march=armv8.2-a+sve -static -o sve "$SOURCES/sve.c"
    aarch64-linux-gnu-gcc -O3 -ffast-math -march=armv8.2-a+sve -static -o kernels "$SOURCES/sve_kernels.c" -lm
}

setup()
{
    cd "$BATS_FILE_TMPDIR"
}

# program, vector length, options of ours
same()
{
    command -v qemu-aarch64 >/dev/null || skip "qemu-aarch64 is missing"
    timeout 60 qemu-aarch64 -cpu "max,sve-max-vq=16,sve-default-vector-length=$2" ./"$1" >right.out
    timeout 60 vm-user -cpu "max,sve-max-vq=16,sve-default-vector-length=$2" "${@:3}" ./"$1" >ours.out
    diff right.out ours.out
}

@test "compiled loops and intrinsics give the same at all lengths" {
    for vl in 16 32 48 64 128 256; do
        same kernels $vl
    done
}

@test "compiled loops and intrinsics with the interpreter, and both ways compared" {
    same kernels 32 -accel interp
    same kernels 64 -accel verify
}

@test "signal frames show Z and P registers and take them back, with lengths set by prctl" {
    same sve 64
    same sve 16 -accel interp
}

@test "a vector length is handed on by execve as prctl said" {
    run vm-user -cpu max,sve-max-vq=16,sve-default-vector-length=64 ./sve exec
    [ "$status" -eq 0 ]
    printf '%s\n' "${lines[@]: -8}" | tee now
    diff - now <<'END'
child: 40
child: 40
set 40010: 10 0, then 100
child: 10
child: 40
set 20020: 20020 0, then 20020
child: 20020
child: 20020
END
}

@test "lengths are what -cpu says" {
    length()
    {
        run vm-user -cpu "$1" ./sve child
        [ "${lines[0]}" = "child: $2" ]
    }
    length max,sve-max-vq=1 10
    length max,sve-max-vq=3,sve-default-vector-length=256 30
    length max,sve512=on,sve-default-vector-length=48 20
    length max,sve256=off,sve-default-vector-length=32 10
    length max,sve=off ffffffff
    length cortex-a53 ffffffff
    run vm-user -cpu max,sve-max-vq=17 ./sve child
    [ "$status" -ne 0 ]
    [[ "$output" == *sve-max-vq* ]]
    run vm-user -cpu max,sve-default-vector-length=40 ./sve child
    [ "$status" -ne 0 ]
    [[ "$output" == *"multiple of 16"* ]]
}
