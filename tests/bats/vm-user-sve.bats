#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# SVE of vm-user beside qemu-aarch64 at several vector lengths: compiled loops, intrinsics, signal frames,
# prctl, properties of -cpu.

bats_require_minimum_version 1.5.0

setup_file()
{
    command -v aarch64-linux-gnu-gcc >/dev/null || skip "aarch64-linux-gnu-gcc is missing"
    export SOURCES=$PWD/tests/linux
    cd "$BATS_FILE_TMPDIR"
    aarch64-linux-gnu-gcc -O2 -march=armv8.2-a+sve -static -o sve "$SOURCES/sve.c"
    aarch64-linux-gnu-gcc -O2 -march=armv8.2-a+sve -static -o faults "$SOURCES/sve_faults.c"
    aarch64-linux-gnu-gcc -O3 -ffast-math -march=armv8.2-a+sve -static -o kernels "$SOURCES/sve_kernels.c" -lm
    aarch64-linux-gnu-gcc -O3 -ffast-math -march=armv8.5-a+sve2+sve2-bitperm+i8mm -static -o kernels2 "$SOURCES/sve_kernels.c" -lm
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
        same kernels2 $vl
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
    run vm-user -cpu max,sve2=off ./kernels2
    [ "$status" -eq 132 ] # SIGILL
    run vm-user -cpu max,sve-max-vq=17 ./sve child
    [ "$status" -ne 0 ]
    [[ "$output" == *sve-max-vq* ]]
    run vm-user -cpu max,sve-default-vector-length=40 ./sve child
    [ "$status" -ne 0 ]
    [[ "$output" == *"multiple of 16"* ]]
}

# qemu-aarch64 7.2 ends with a failed assertion where nothing is loaded from where nothing is
@test "loads and stores at the end of memory fault as a whole or not at all" {
    cat >expected <<'END'
load: done, memory same
load across: fault in page 2, z4 same, memory same
load of what is there: done, memory same
load of one more: fault in page 2, z4 same, memory same
load of nothing: done, memory same
load of wider lanes: done, memory same
load of wider lanes across: fault in page 2, z4 same, memory same
store: done, memory other
store across: fault in page 2, z4 same, memory same
store of what is there: done, memory other
store of a few across: fault in page 2, z4 same, memory same
store of a few between pages: done, memory other
store of nothing: done, memory same
store of narrower lanes across: fault in page 2, z4 same, memory same
pairs across: fault in page 2, z4 same, memory same
pairs stored across: fault in page 2, z4 same, memory same
whole register across: fault in page 2, z4 same, memory same
whole register stored across: fault in page 2, z4 same, memory same
one lane for all: done, memory same
one lane for all across: fault in page 2, z4 same, memory same
no lane for all across: done, memory same
gather: done, memory same
gather across: fault in page 2, z4 same, memory same
scatter: done, memory other
first-faulting across: done, z4 eb 00, ffr 3, memory same
first-faulting at once: fault in page 2, z4 same, memory same
non-faulting at once: done, z4 00 00, ffr 0, memory same
END
    for vl in 16 32 256; do
        vm-user -cpu max,sve-default-vector-length=$vl ./faults >out
        sed '/faulting/!s/done, .*memory/done, memory/' out | uniq | head -27 | diff expected -
        # of all lanes of words the first
        grep -qx 'first-faulting gather: done, z4 e4 00, ffr 4, memory same' out
    done
    vm-user -accel interp -cpu max,sve-default-vector-length=256 ./faults | diff out -
}

# qemu-aarch64 7.2 looks at the tags of the fewest of them
@test "loads and stores that reach memory of another tag fault" {
    aarch64-linux-gnu-gcc -O2 -march=armv8.5-a+sve+memtag -static -o tags "$SOURCES/sve_tags.c"
    cat >expected <<'END'
load: done
load by a plain address: fault 9
load of nothing by a plain address: done
load across: fault 9
load before the end: done
store: done
store across: fault 9
pairs: done
pairs across: fault 9
whole register: done
one for all: fault 9
gather: done
gather across: fault 9
scatter across: fault 9
END
    for vl in 16 64 256; do
        vm-user -cpu max,sve-default-vector-length=$vl ./tags | diff expected -
    done
}
