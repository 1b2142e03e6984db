#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# System calls of vm-user's guests: the programs in tests/linux print what calls do; as guests they
# print the same as when they are native programs of the host. And -strace, -L.

bats_require_minimum_version 1.5.0

# The file's name says which ISA (vm-user-calls-ISA.bats, a link), else riscv64.
case $BATS_TEST_FILENAME in
*-aarch64.bats)
    CROSS=aarch64-linux-gnu
    # flags of open are converted; the others are the ISA's own
    OWN='O_(DIRECT|DIRECTORY|NOFOLLOW|LARGEFILE)|PROT_(BTI|MTE)|SIGSTKSZ|E(SR|XTRA)_MAGIC|ELF_(NGREG|PRARGSZ)'
    ;;
*)
    CROSS=riscv64-linux-gnu OWN=none
    ;;
esac

setup_file()
{
    command -v $CROSS-gcc >/dev/null || skip "no cross compiler"
}

setup()
{
    SOURCES=$PWD/tests/linux
    cd "$BATS_TEST_TMPDIR"
}

# The program NAME for both: ./guest and ./native.
compile()
{
    $CROSS-gcc -O1 -static -pthread -w -o guest "$SOURCES/$1.c" -lrt
    ${CC:-gcc} -O1 -static -pthread -w -o native "$SOURCES/$1.c" -lrt
}

# NAME [LINES...]: its output as a guest is that of the native program and has these lines.
same()
{
    compile "$1"
    shift
    mkdir a b
    (cd a && timeout 60 ../native) >expected 3>&- 4>&-
    (cd b && timeout 60 vm-user ../guest) >found 3>&- 4>&-
    diff expected found
    for line; do
        grep -qxF "$line" found
    done
}

all_yes()
{
    if grep -v ': yes$' "$1"; then
        return 1
    fi
}

@test "files, attributes, descriptors are as natively" {
    same files "same file: 1 1" "copy_file_range: 50000" "seals: 10" "dup high again: 1023"
}

@test "epoll, poll, select, signalfd, timerfd, inotify are as natively" {
    same waiting "wait: 200" "200 are right" "still blocked: 1"
}

@test "sockets, their options and messages are as natively" {
    same sockets "character 1 cloexec 1" "self 1 uid 1" "helloworld"
}

@test "System V IPC, message queues, futexes are as natively" {
    same ipc "mode 640 uid 1 nsems 4 otime 1 ctime 1" "over there" "owner 1"
}

@test "io_uring, AIO, userfaultfd are as natively" {
    same async
}

@test "processes, limits, clocks are as natively, and calls are interrupted only where they wait" {
    same process "interrupted wrongly: 0" "child has it: 1"
}

@test "a process with as many mappings as there can be goes on" {
    same crowded "full: ENOMEM" "many lines: 1"
}

@test "namespaces, Landlock, BPF, perf, keys, fanotify are as natively" {
    same system "getrandom: 32"
}

@test "structures that are passed on are alike" {
    same layouts
    [ "$(wc -l <found)" -gt 70 ]
}

# Constants of the kernel's headers, but for those that are known to differ.
@test "constants are alike" {
    for header in errno fcntl ioctls mman poll resource signal siginfo socket sockios stat statfs termbits; do
        echo "#include <asm/$header.h>"
    done >headers.c
    for header in aio_abi eventpoll fs fuse futex in io_uring loop mempolicy prctl sched socket \
        userfaultfd; do
        echo "#include <linux/$header.h>"
    done >>headers.c
    for cc in gcc $CROSS-gcc; do
        $cc -include signal.h -E -dM headers.c |
            grep -E '^#define (E[A-Z]|O_|F_|SO_|SOL_|MAP_|PROT_|MADV|POLL|RLIM|SIOC|TI?OC|TC|SA_|SIG|FS_IOC|CLONE|EPOLL|PR_|MCL|MS_|AF_|FUTEX)' |
            grep -vE '_H(_)? ?$|EPOLL_PACKED|MAP_32BIT|SA_RESTORER|SIGRTMAX|O_TMPFILE_MASK|_HUGE' |
            grep -vE "^#define ($OWN) " |
            sort >constants.$cc
    done
    [ "$(wc -l <constants.gcc)" -gt 600 ]
    diff constants.gcc constants.$CROSS-gcc
}

@test "a guest sees itself, and nothing of vm-user" {
    compile own
    LATHE_TEST=1 timeout 60 vm-user ./guest one 'two words' >found 3>&- 4>&-
    all_yes found
    [ "$(wc -l <found)" -gt 40 ]
    [ "$(grep -cx "started again: yes" found)" = 2 ]
}

@test "-strace shows calls with names and errors" {
    compile files
    timeout 60 vm-user -strace ./guest >/dev/null 2>log 3>&- 4>&-
    for line in 'openat\(AT_FDCWD, "file", O_RDWR\|O_CREAT\|O_EXCL, 0640\) = [0-9]+' \
        'openat\(AT_FDCWD, "file", O_RDONLY\|O_CREAT\|O_EXCL, 0600\) = -1 EEXIST \(File exists\)' \
        'newfstatat\(AT_FDCWD, "missing", 0x[0-9a-f]+, 0\) = -1 ENOENT \(No such file or directory\)' \
        'write\([0-9]+, "hello, world\\n", 13\) = 13' 'exit_group\(0\) = \?'; do
        grep -xE "[0-9]+ $line" log
    done
    # nothing but lines of the three kinds
    if grep -vE '^[0-9]+ ([a-z0-9_]+\(.*(\) = .+|<unfinished \.\.\.>)|<\.\.\. [a-z0-9_]+ resumed>.*\) = .+|--- SIG.* ---)$' log; then
        false
    fi
}

@test "-strace shows a signal, and a call that waits in two lines" {
    compile waiting
    timeout 60 vm-user -strace ./guest 2>log >/dev/null 3>&- 4>&-
    grep -E '^[0-9]+ --- SIGUSR1 \{si_signo=SIGUSR1, si_code=SI_USER, si_pid=[0-9]+, si_uid=[0-9]+\} ---$' log
    grep -E '^[0-9]+ rt_sigsuspend\(\[\], 8 <unfinished \.\.\.>$' log
    grep -E '^[0-9]+ <\.\.\. rt_sigsuspend resumed>\) = -1 EINTR' log
}

@test "-d unimp names calls that are not there" {
    compile own
    LATHE_TEST=1 timeout 60 vm-user -d unimp ./guest >/dev/null 2>log 3>&- 4>&-
    grep -x 'system call rseq is not there' log
    grep -x 'system call 2000 is not known' log
}

@test "the log's file is no descriptor of the guest" {
    compile own
    LATHE_TEST=1 timeout 60 vm-user -D log -strace ./guest one >found 3>&- 4>&-
    all_yes found
    grep -q 'getdents64(' log
    [ "$(tail -n 1 log | cut -d ' ' -f 2-)" = "exit_group(0) = ?" ]
}

@test "reading below -L: links stay inside, new files do not" {
    cat >look.c <<'END'
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>
int main(int n, char **v)
{
    struct stat s;
    char text[100];
    for (int i = 1; i < n; i++) {
        int fd = open(v[i], O_RDWR | (i == 1 ? O_CREAT : 0), 0600);
        ssize_t size = read(fd, text, sizeof text);
        printf("%s: %d %d %.*s\n", v[i], fd >= 0, stat(v[i], &s), size < 0 ? 0 : (int)size, text);
        close(fd);
    }
    return access("/only-here/there", F_OK) || !access("/only-here/missing", F_OK);
}
END
    $CROSS-gcc -static -o look look.c
    mkdir -p root/only-here root/etc
    echo inside >root/only-here/there
    ln -s /only-here/there root/etc/link
    ln -s /only-here root/etc/dir
    run timeout 60 vm-user -L root ./look "$PWD/new" /only-here/there /etc/link /etc/dir/there "$PWD/look.c"
    [ "$status" = 0 ]
    [ "${lines[1]}" = "/only-here/there: 1 0 inside" ]
    [ "${lines[2]}" = "/etc/link: 1 0 inside" ]
    [ "${lines[3]}" = "/etc/dir/there: 1 0 inside" ]
    [ -e new ] && [ ! -e "root$PWD/new" ]
}

@test "the log of a program goes on in those that it starts" {
    compile own
    echo old >log
    LATHE_TEST=1 timeout 60 vm-user -D log -strace ./guest one 'two words' >found 3>&- 4>&-
    all_yes found
    grep -q 'close_range(3, ' log
    [ "$(tail -n 1 log | cut -d ' ' -f 2-)" = "exit_group(0) = ?" ]
    [ "$(grep -c execve log)" -ge 1 ]
    if grep -x old log; then
        false
    fi
}

@test "calls with senseless arguments are answered" {
    $CROSS-gcc -O1 -static -w -o guest "$SOURCES/poke.c"
    chmod 755 guest . && mkdir -m 777 empty && cd empty
    timeout -k 5 100 vm-user ../guest "${POKE_SEED:-1}" "${POKE_CHILDREN:-10}" >../found 2>../errors 3>&- 4>&-
    [ "$(cat ../found)" = "${POKE_CHILDREN:-10} children" ] # and none ended by a signal
    if grep -iE 'vm-user:|glib|sanitizer' ../errors; then
        false
    fi
}
