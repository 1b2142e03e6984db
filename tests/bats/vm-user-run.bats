#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# Programs built here for an ISA, beside the same built for this machine: what they print and how they
# end must be the same. The file's name says which ISA (vm-user-run-ISA.bats, a link), else riscv64.

bats_require_minimum_version 1.5.0

setup_file()
{
    # LOADER: the dynamic linker; MODEL: one of -cpu help; HWCAP; SERVICE: what only the vDSO may do
    case $BATS_TEST_FILENAME in
    *-aarch64.bats)
        ISA=aarch64 DEBIAN=arm64 LOADER=ld-linux-aarch64.so.1 MODEL=cortex-a53 HWCAP=8fb SERVICE=0x02000071
        ;;
    *)
        ISA=riscv64 DEBIAN=riscv64 LOADER=ld-linux-riscv64-lp64d.so.1 MODEL=rv64 HWCAP=112d SERVICE=0x0710000b
        ;;
    esac
    export ISA DEBIAN LOADER MODEL HWCAP SERVICE
    CROSS=$ISA-linux-gnu-gcc
    command -v $CROSS >/dev/null || skip "$CROSS is missing"
    SOURCES=$PWD/tests/linux CORPUS=$PWD/lib/load/corpus_program
    LD=/usr/$ISA-linux-gnu
    TOP=$PWD
    export CROSS SOURCES LD CORPUS TOP
    cd "$BATS_FILE_TMPDIR"
    for p in signals threads; do
        $CROSS -O2 -static -o $p "$SOURCES/$p.c" -lpthread 2>/dev/null
        gcc -O2 -o $p.native "$SOURCES/$p.c" -lpthread 2>/dev/null
    done
    cat >show.c <<'END'
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/utsname.h>
int main(int argc, char **argv)
{
    struct utsname u;
    uname(&u);
    for (int i = 0; i < argc; i++)
        printf("[%s]", argv[i]);
    printf(" %s", u.machine);
    if (argc > 1 && !strcmp(argv[1], "env"))
        printf(" X=%s LD_X=%s", getenv("X"), getenv("LD_X"));
    if (argc > 1 && !strcmp(argv[1], "aux"))
        printf(" %s %lu %lx %d", (char *)getauxval(AT_EXECFN), getauxval(AT_PAGESZ),
               getauxval(AT_HWCAP), getauxval(AT_RANDOM) != 0);
    if (argc > 1 && !strcmp(argv[1], "release"))
        printf(" %s", u.release);
    putchar('\n');
    return argc > 2 ? atoi(argv[2]) : 0;
}
END
    $CROSS -O2 -static -o show show.c
    $CROSS -O2 -o show.dynamic show.c
}

setup()
{
    cd "$BATS_FILE_TMPDIR"
}

same()
{
    timeout 60 ./"$1".native >native.out
    timeout 120 vm-user "${@:2}" ./"$1" >guest.out
    diff native.out guest.out
}

@test "signals: faults, timers, restarted calls, masks, stacks, ends" {
    same signals
}

@test "signals with the interpreter" {
    same signals -accel interp
}

@test "threads, locks, children, programs that are started" {
    same threads
}

@test "threads with the interpreter" {
    same threads -accel interp
}

@test "a program is run both ways and compared" {
    run vm-user -accel verify ./show a
    [ "$status" -eq 0 ]
    [ "$output" = "[./show][a] $ISA" ]
}

@test "static, movable and dynamic programs get their arguments and give their status" {
    run vm-user ./show '' 3 'two words'
    [ "$status" -eq 3 ]
    [ "$output" = "[./show][][3][two words] $ISA" ]
    run vm-user $LD/lib/$LOADER --library-path $LD/lib ./show.dynamic x 4
    [ "$status" -eq 4 ]
    [ "$output" = "[./show.dynamic][x][4] $ISA" ]
    run vm-user -L $LD ./show.dynamic x 250
    [ "$status" -eq 250 ]
    [ "$output" = "[./show.dynamic][x][250] $ISA" ]
    QEMU_LD_PREFIX=$LD run vm-user ./show.dynamic
    [ "$status" -eq 0 ]
}

@test "-0, -E, -U and -r say what the program sees" {
    run vm-user -0 other ./show x
    [ "$output" = "[other][x] $ISA" ]
    X=1 LD_X=2 run vm-user -U LD_X -E X=new,er ./show env
    [ "$output" = "[./show][env] $ISA X=new,er LD_X=(null)" ]
    QEMU_SET_ENV=X=5,LD_X=6 QEMU_ARGV0=me run vm-user ./show env
    [ "$output" = "[me][env] $ISA X=5 LD_X=6" ]
    run vm-user -r 9.8.7-x ./show release
    [ "$output" = "[./show][release] $ISA 9.8.7-x" ]
}

@test "the auxiliary vector is the guest's" {
    run vm-user -cpu $MODEL ./show aux
    [ "$output" = "[./show][aux] $ISA ./show 4096 $HWCAP 1" ]
}

@test "a program started by the guest is run in the same way, a script and a host program too" {
    box=$(cd "$TOP" && build/guest.sh package $DEBIAN busybox-static) || skip "no busybox can be fetched"
    mkdir -p bin
    cp "$(find "$box" -path '*bin/busybox')" bin/sh
    printf '#!%s -e\necho "script $0 $1"; exec ./show "$2" 4\n' "$PWD/bin/sh" >script
    chmod +x script
    # -L and -D are found from other folders too
    mkdir -p here
    ln -sf "$LD" here/root
    run vm-user -L here/root -strace -D here/log bin/sh -c 'cd /; exec "$0"/show.dynamic x 5' "$PWD"
    [ "$status" -eq 5 ]
    grep -q 'exit_group(5)' here/log
    run vm-user bin/sh -c './script a b; echo $?; ./show.native 2>/dev/null || /bin/echo host; uname -m'
    echo "$output"
    [ "${lines[0]}" = "script ./script a" ]
    [ "${lines[1]}" = "[./show][b][4] $ISA" ]
    [ "${lines[2]}" = 4 ]
    [ "${lines[3]}" = host ]
}

@test "the clocks are read without system calls, and only the vDSO may do that" {
    cat >clock.c <<'END'
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <sys/time.h>
#include <time.h>
static sigjmp_buf back;
static void illegal(int signal) { siglongjmp(back, 1); }
int main(void)
{
    struct timespec a, b, c = {0};
    struct timeval v;
    clock_gettime(CLOCK_REALTIME, &a);
    gettimeofday(&v, NULL);
    clock_gettime(CLOCK_REALTIME, &b);
    clock_getres(CLOCK_MONOTONIC, &c);
    printf("%d", a.tv_sec <= v.tv_sec && v.tv_sec <= b.tv_sec && b.tv_sec + 1 >= time(NULL));
    printf(" %ld %d\n", c.tv_nsec, clock_gettime(77, &a));
    signal(SIGILL, illegal);
    if (!sigsetjmp(back, 1))
        __asm__ volatile(".word " SERVICE);
    else
        puts("illegal");
}
END
    $CROSS -O2 -DSERVICE="\"$SERVICE\"" -o clock clock.c
    run vm-user -strace -D log.clock -L $LD ./clock
    [ "${lines[0]}" = "1 1 -1" ]
    [ "${lines[1]}" = illegal ]
    ! grep -E "clock_get|gettimeofday" log.clock
}

@test "what cannot be run says why in one line, with the status a shell expects" {
    try()
    {
        run "-$1" --separate-stderr vm-user "${@:3}"
        echo "$stderr"
        [ "${#stderr_lines[@]}" -eq 1 ]
        [[ "$stderr" == "vm-user: "*"$2"* ]]
    }
    try 127 "./none: No such file or directory" ./none
    try 126 "Is a directory" /tmp
    : >empty
    try 126 "empty: empty file" ./empty
    echo text >text
    try 126 "text: not an ELF file" ./text
    head -c 100 show >short
    try 126 "ELF program headers at offset" ./short
    head -c 5000 show >cut
    try 126 "past the end of the file" ./cut
    try 126 "x86_64" /bin/true
    try 126 "within or below the one before" "$CORPUS/overlap"
    try 127 "interpreter cannot be used (is -L right?): /lib/$LOADER: No such file" \
        ./show.dynamic
    try 126 "not a regular file" /dev/null
    chmod 000 text
    [ "$(id -u)" = 0 ] || try 126 "Permission denied" ./text
    try 2 "unknown option -Q" -Q ./show
    try 2 "is -strace meant" -stracee ./show
    try 2 "-L /nonexistent: not a directory" -L /nonexistent ./show
    try 2 "no program given"
    try 2 "-s" -s
    try 2 "-B 0x1000" -B 0x1000 ./show
    try 2 "-g: this option is not there yet" -g 1234 ./show
    try 126 "too small" -s 1k ./show "$(head -c 131000 /dev/zero | tr '\0' a)"
}

@test "hostile files: headers with any one byte changed end in a message or in the program's own end" {
    head -c 65536 show >base
    for at in $(seq 16 4 175); do
        cp show changed
        printf '\377\177\377' | dd of=changed bs=1 seek="$at" conv=notrunc status=none
        timeout 20 vm-user ./changed >out 2>&1 </dev/null && status=0 || status=$?
        [ "$status" -ne 124 ]
        ! grep -q "bug in vm-user" out || { cat out; echo "at $at"; false; }
    done
}

@test "-strace shows calls, their arguments and results" {
    run vm-user -strace ./show
    [[ "$output" == *"exit_group(0)"* ]]
    [[ "$output" == *"write(1, "* ]]
    vm-user -strace -D log.%d ./show >/dev/null
    grep -q "exit_group(0)" log.*
}

@test "-perfmap names translated code after the program's functions" {
    printf 'int work(int n) { int s = 0; while (n--) s = s * 3 + n; return s; }\nint main(int c, char **v) { return work(c * 100000) == 1; }\n' >named.c
    $CROSS -O1 -fno-inline -static -o named named.c
    vm-user -perfmap ./named &
    wait $!
    grep -qE '^[0-9a-f]+ [0-9a-f]+ work\+0x[0-9a-f]+ \[named\]$' /tmp/perf-$!.map
    rm /tmp/perf-$!.map
}

@test "one static file runs programs where there is nothing else, not even /proc" {
    [ "$(id -u)" = 0 ] || skip "chroot needs root"
    # the file for aarch64 wants the same at the same time
    (cd "$TOP" && flock o make --no-print-directory -s o/rel/vm-user.static 2>/dev/null)
    mkdir -p bare
    cp "$TOP/o/rel/vm-user.static" bare/vm-user
    cp show bare/
    run chroot bare /vm-user /show x 9
    [ "$status" -eq 9 ]
    [ "$output" = "[/show][x][9] $ISA" ]
}

@test "help, version, models" {
    run vm-user --help
    [ "$status" -eq 0 ]
    [ "${#lines[@]}" -le 40 ]
    run vm-user --version
    [[ "${lines[0]}" == "vm-user "* ]]
    ln -sf "$(command -v vm-user)" qemu-$ISA
    run ./qemu-$ISA -version
    [[ "${lines[0]}" == "qemu version 7.0"* ]]
    run -127 ./qemu-$ISA ./none
    [[ "$output" == "qemu-$ISA: ./none: "* ]]
    run vm-user -cpu help
    [[ "$output" == *$MODEL* ]]
    run vm-user -cpu nonsense ./show
    [ "$status" -ne 0 ]
    [[ "$output" == *nonsense* ]]
}
