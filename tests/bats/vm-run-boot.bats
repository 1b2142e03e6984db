#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# Real guests boot, compute, end, and start again.

load common

setup_file()
{
    KERNEL=$(build/guest.sh kernel riscv64) && INITRD=$(build/guest.sh initrd riscv64) ||
        skip "no guest can be fetched"
    export KERNEL INITRD
}

boot()
{
    run timeout 300 vm-run -nographic -kernel "$KERNEL" -initrd "$INITRD" "$@" </dev/null
}

@test "Linux boots on the built-in SBI, computes and powers off" {
    boot -append "console=ttyS0 lathe.mode=test"
    [ "$status" -eq 0 ]
    [[ $output == *b6d81b360a5672d80c27430f39153e2c* ]]
    [[ $output == *DONE* ]]
    [[ $output == *"SBI specification v2.0"* ]]
}

@test "all CPUs of four come up" {
    boot -smp 4 -append "console=ttyS0 lathe.mode=jobs lathe.cmd=$(printf nproc | base64 -w0)"
    [ "$status" -eq 0 ]
    [[ $output == *"Brought up 1 node, 4 CPUs"* ]]
    [[ $output == *"STATUS 0"* ]]
}

@test "Linux boots on OpenSBI" {
    fw=$(build/guest.sh opensbi) || skip "no OpenSBI"
    boot -bios "$fw" -append "console=ttyS0 lathe.mode=test"
    [ "$status" -eq 0 ]
    [[ $output == *OpenSBI* ]]
    [[ $output == *DONE* ]]
}

@test "two and four CPUs boot as one does, on OpenSBI too" {
    fw=$(build/guest.sh opensbi) || skip "no OpenSBI"
    for n in 2 4; do
        boot -smp $n -append "console=ttyS0 lathe.mode=test"
        [ "$status" -eq 0 ]
        [[ $output == *b6d81b360a5672d80c27430f39153e2c*DONE* ]]
        boot -smp $n -bios "$fw" -append "console=ttyS0 lathe.mode=test"
        [ "$status" -eq 0 ]
        [[ $output == *OpenSBI*b6d81b360a5672d80c27430f39153e2c*DONE* ]]
    done
}

@test "OpenSBI's fw_jump, binary and ELF, boots too" {
    fw=$(build/guest.sh opensbi) || skip "no OpenSBI"
    for f in fw_jump.bin fw_jump.elf fw_dynamic.elf; do
        boot -bios "${fw%/*}/$f" -append "console=ttyS0 lathe.mode=test"
        [ "$status" -eq 0 ]
        [[ $output == *OpenSBI*DONE* ]]
    done
}

@test "Debian's installer asks its first question, and the next one when it is answered" {
    files=$(build/guest.sh installer riscv64) || skip "no installer can be fetched"
    screen=$BATS_TEST_TMPDIR/screen
    mkfifo "$BATS_TEST_TMPDIR/keys"
    timeout -k 5 300 vm-run -m 1G -smp 2 -nographic -kernel "${files%%$'\n'*}" \
        -initrd "${files##*$'\n'}" -append 'console=ttyS0 TERM=vt102' <"$BATS_TEST_TMPDIR/keys" >"$screen" 2>&1 3>&- &
    pid=$!
    exec 7>"$BATS_TEST_TMPDIR/keys"
    for text in "Select a language" "Select your location"; do
        wait_for grep -qaF "$text" "$screen" || { tail -c 2000 "$screen"; false; }
        sleep 1
        printf '\r' >&7
    done
    printf '\001x' >&7
    exec 7>&-
    wait $pid
}

@test "the interpreter boots the same" {
    boot -accel interp -append "console=ttyS0 lathe.mode=test"
    [ "$status" -eq 0 ]
    [[ $output == *b6d81b360a5672d80c27430f39153e2c*DONE* ]]
}

@test "compiled and interpreted code do the same, all through a boot" {
    # a minute or more: whole with LATHE_SOAK=1, else its first 30 seconds, without a word if the
    # host is slow
    if [ -n "${LATHE_SOAK-}" ]; then
        boot -accel verify -append "console=ttyS0 lathe.mode=test"
        [ "$status" -eq 0 ]
        [[ $output == *DONE* ]]
    else
        run timeout -s INT 30 vm-run -nographic -accel verify -kernel "$KERNEL" -initrd "$INITRD" \
            -append console=ttyS0 </dev/null
        [ "$status" -eq 124 ] || [[ $output == *DONE* ]]
    fi
    [[ $output != *differs* ]]
}

@test "a kernel cut short never boots, and says what it lacks or ends with a signal" {
    head -c 3000000 "$KERNEL" >"$BATS_TEST_TMPDIR/cut"
    run timeout -k 60 5 vm-run -nographic -kernel "$BATS_TEST_TMPDIR/cut" </dev/null
    [ "$status" -eq 1 ] || [ "$status" -eq 124 ]
    [[ $output != *DONE* ]]
}

@test "a command line of 64 KiB gets a warning, and Linux boots with what it reads" {
    long=$(head -c 65536 /dev/zero | tr '\0' x)
    boot -append "console=ttyS0 lathe.mode=test $long"
    [[ $output == *"warning"*"1023"* ]]
    [[ $output == *DONE* ]]
}

@test "programs read the time, cycle and instruction counters" {
    command -v riscv64-linux-gnu-gcc >/dev/null || skip "riscv64-linux-gnu-gcc is not installed"
    cd "$BATS_TEST_TMPDIR"
    mkdir tree
    riscv64-linux-gnu-gcc -O1 -nostdlib -static -march=rv64gc_zicsr -x c -o tree/counters - <<<'void _start(void)
    {
        unsigned long a, b, c;
        __asm__ volatile("rdtime %0; rdcycle %1; rdinstret %2" : "=r"(a), "=r"(b), "=r"(c));
        register long a0 __asm__("a0") = a && b && c ? 33 : 1, a7 __asm__("a7") = 93;
        __asm__ volatile("ecall" : : "r"(a0), "r"(a7));
    }'
    (cd tree && echo counters | cpio --quiet -o -H newc -R 0:0) | gzip >more
    cat "$INITRD" more >initrd
    INITRD=$PWD/initrd
    for n in 1 4; do # each CPU has to allow it
        boot -smp $n -append "console=ttyS0 lathe.mode=jobs lathe.cmd=$(printf '
            for i in 0 1 2 3 4 5 6 7; do /counters & done
            for j in 1 2 3 4 5 6 7 8; do wait %%$j; [ $? = 33 ] || exit 1; done' | base64 -w0)"
        [[ $output == *"STATUS 0"* ]]
    done
}

@test "a reboot starts the guest again, and ends it with -no-reboot" {
    cmd=$(printf 'reboot -f' | base64 -w0)
    boot -no-reboot -append "console=ttyS0 lathe.mode=jobs lathe.cmd=$cmd"
    [ "$status" -eq 0 ]
    [ "$(grep -c 'Linux version' <<<"$output")" -eq 1 ]
    # again and again, until we end it: at least two starts
    : >"$BATS_TEST_TMPDIR/log"
    timeout -k 5 120 vm-run -nographic -kernel "$KERNEL" -initrd "$INITRD" \
        -append "console=ttyS0 lathe.mode=jobs lathe.cmd=$cmd" \
        </dev/null >"$BATS_TEST_TMPDIR/log" 2>&1 3>&- &
    pid=$!
    started_twice() { [ "$(grep -ac 'Linux version' "$BATS_TEST_TMPDIR/log")" -ge 2 ]; }
    wait_for started_twice
    kill -INT $pid
    wait $pid
}

@test "a kernel that does not fit into RAM is one line" {
    boot -m 8
    [ "$status" -ne 0 ]
    [ "${#lines[@]}" -eq 1 ]
    [[ $output == *"$(basename "$KERNEL")"* ]]
}

@test "Ctrl-a x quits from a pipe" {
    cd "$BATS_TEST_TMPDIR"
    mkfifo keys
    timeout 100 vm-run -nographic -kernel "$KERNEL" <keys >log 2>&1 3>&- &
    pid=$!
    exec 7>keys # which stays open: it is not its end that ends the machine
    wait_for grep -qa 'Linux version' log
    printf '\001x' >&7
    wait $pid
    exec 7>&-
}

# in_pipe NAME OPTION...: vm-run with its output in a pipe, its messages in NAME.err
in_pipe()
{
    local name=$1
    shift
    : >"$name.err"
    timeout 150 vm-run -M virt -pidfile "$name.pid" "$@" </dev/null 2>"$name.err" 3>&- | cat >"$name.out" 3>&- &
}

@test "a guest that writes nothing for ten seconds gets one hint on standard error, where somebody looks" {
    command -v riscv64-linux-gnu-gcc >/dev/null || skip "riscv64-linux-gnu-gcc is not installed"
    cd "$BATS_TEST_TMPDIR"
    echo '.globl _start; _start: wfi; j _start' >mute.S
    riscv64-linux-gnu-gcc -nostdlib -static -no-pie -Wl,-N,-Ttext=0x80200000,--build-id=none -o mute mute.S
    in_pipe stopped -nographic -kernel mute -S
    in_pipe bare -nographic -kernel mute -bios none
    in_pipe elsewhere -display none -serial null -monitor none -kernel mute
    in_pipe talks -nographic -kernel "$KERNEL" # until it finds no root, and stays
    timeout 150 vm-run -M virt -pidfile file.pid -nographic -kernel mute </dev/null >file.out 2>file.err 3>&- &
    in_pipe mute -nographic -kernel mute
    wait_for grep -q '^vm-run: hint: the guest has written nothing for 10 seconds' mute.err
    sleep 1
    kill -INT $(cat ./*.pid)
    wait || :
    [ "$(wc -l <mute.err)" -eq 1 ]
    [ ! -s mute.out ]
    grep -qa panic talks.out
    for name in stopped bare elsewhere talks file; do
        [ -z "$(grep hint $name.err)" ]
    done
}

@test "an interrupt quits cleanly" {
    cd "$BATS_TEST_TMPDIR"
    vm-run -nographic -kernel "$KERNEL" </dev/null >log 3>&- &
    pid=$!
    wait_for grep -qa 'Linux version' log
    kill -INT $pid
    wait $pid
}
