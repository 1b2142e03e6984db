#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# -serial and -chardev: a guest without an operating system that sends back what it reads, each
# letter's successor ("HAL" comes back as "IBM"), and powers off at a dot.

load common

setup_file()
{
    command -v riscv64-linux-gnu-gcc >/dev/null || skip "riscv64-linux-gnu-gcc is not installed"
    command -v python3 >/dev/null || skip "python3 is not installed"
    export GUEST=$BATS_FILE_TMPDIR/guest
    cat >"$GUEST.S" <<'END'
.globl _start
_start:
    li s0, 0x10000000
    li s1, '.'
1:  lbu t0, 5(s0)
    andi t0, t0, 1
    beqz t0, 1b
    lbu a0, (s0)
    beq a0, s1, 3f
    addi a0, a0, 1
2:  lbu t0, 5(s0)
    andi t0, t0, 0x20
    beqz t0, 2b
    sb a0, (s0)
    j 1b
3:  li t0, 0x5555
    li t1, 0x100000
    sw t0, (t1)
4:  j 4b
END
    riscv64-linux-gnu-gcc -nostdlib -static -no-pie -march=rv64gc -mabi=lp64d -mcmodel=medany \
        -Wl,-N,-Ttext=0x80000000,--build-id=none -o "$GUEST" "$GUEST.S"
}

setup()
{
    cd "$BATS_TEST_TMPDIR" || return
}

teardown()
{
    [ -z "$pid" ] || kill "$pid" 2>/dev/null || true
}

# start OPTION...: the machine in the background
start()
{
    timeout -k 5 120 vm-run -display none -bios none -kernel "$GUEST" "$@" </dev/null >out 2>err 3>&- &
    pid=$!
}

ended()
{
    local status=0
    wait "$pid" || status=$?
    cat out err
    pid=
    return $status
}

# talk KIND ADDRESS TEXT [ANSWER]: sends TEXT, waits for ANSWER
talk()
{
    timeout 90 python3 - "$@" <<'END'
import os, socket, sys, time
kind, where, text = sys.argv[1:4]
answer = sys.argv[4].encode() if len(sys.argv) > 4 else b""
def opened():
    if kind == "unix":
        s = socket.socket(socket.AF_UNIX); s.connect(where); return s.fileno(), s
    if kind == "tcp":
        s = socket.create_connection(("127.0.0.1", int(where))); return s.fileno(), s
    return os.open(where, os.O_RDWR | os.O_NOCTTY), None
for attempt in range(600):
    try:
        fd, keep = opened(); break
    except OSError:
        time.sleep(0.1)
os.write(fd, text.encode())
got = b""
while len(got) < len(answer):
    b = os.read(fd, 100)
    if not b:
        break
    got += b
sys.exit(0 if got == answer else f"got {got}")
END
}

@test "a unix socket: one peer after another talks to the guest" {
    start -serial unix:s,server,nowait
    talk unix s HAL IBM
    talk unix s abc bcd
    talk unix s .
    ended
    [ ! -e s ]
}

@test "the machine waits for its socket's first peer, and says so" {
    start -chardev socket,id=c0,path=s,server=on -serial chardev:c0
    talk unix s HAL. IBM
    ended >said
    grep "waiting for connection on: unix:s,server=on" said
}

@test "waiting for a peer is ended by a signal" {
    vm-run -display none -bios none -kernel "$GUEST" -serial unix:s,server=on 2>err 3>&- &
    pid=$!
    wait_for [ -s err ]
    kill -TERM "$pid"
    wait "$pid"
    [ ! -e s ]
}

@test "a client connects again when its server has come back" {
    start -serial unix:s,reconnect=1
    for text in HAL abc; do
        timeout 90 python3 - $text <<'END'
import os, socket, sys
if os.path.exists("s"): os.unlink("s")
l = socket.socket(socket.AF_UNIX); l.bind("s"); l.listen(1)
c, _ = l.accept()
c.sendall(sys.argv[1].encode())
want = bytes(b + 1 for b in sys.argv[1].encode())
got = b""
while len(got) < len(want): got += c.recv(100)
assert got == want
if sys.argv[1] == "abc": c.sendall(b".")
END
    done
    ended
}

@test "a TCP port and a log file" {
    port=$(free_port)
    start -chardev socket,id=c,host=127.0.0.1,port="$port",server=on,wait=off,logfile=log -serial chardev:c
    talk tcp "$port" HAL IBM
    talk tcp "$port" .
    ended
    [ "$(cat log)" = IBM ]
}

@test "an inherited listening socket" {
    timeout 60 python3 - "$GUEST" <<'END'
import os, socket, subprocess, sys
l = socket.socket(socket.AF_UNIX); l.bind("s"); l.listen(1)
p = subprocess.Popen(["vm-run", "-display", "none", "-bios", "none", "-kernel", sys.argv[1], "-serial",
    "chardev:c", "-chardev", f"socket,id=c,fd={l.fileno()},server=on,wait=off"], pass_fds=[l.fileno()])
c = socket.socket(socket.AF_UNIX); c.connect("s"); c.sendall(b"HAL")
got = b""
while len(got) < 3: got += c.recv(10)
assert got == b"IBM"
c.sendall(b".")
assert p.wait() == 0
END
}

@test "a pty by its link, opened twice" {
    start -chardev pty,id=c,path=tty -serial chardev:c
    talk pty tty HAL IBM
    talk pty tty abc bcd
    talk pty tty . # alone, as what nobody has read from a pty goes with the machine
    ended >said
    grep "char device redirected to /dev/pts/" said
    [ ! -L tty ]
}

@test "two FIFOs" {
    mkfifo p.in p.out
    start -serial pipe:p
    timeout 90 sh -c 'printf HAL >p.in'
    [ "$(timeout 90 head -c 3 p.out)" = IBM ]
    timeout 90 sh -c 'printf . >p.in'
    ended
}

@test "input from a file, output to another" {
    printf HAL. >in
    start -chardev file,id=f,path=result,input-path=in -serial chardev:f
    ended
    [ "$(cat result)" = IBM ]
}

@test "wrong words are one line with status 2" {
    for args in '-chardev socket,path=x' '-chardev socket,id=a' '-chardev nonesuch,id=a' '-serial chardev:none' \
        '-serial unix:s,sever=on' '-serial vc' '-chardev null,id=a -chardev null,id=a' '-serial tcp:1'; do
        run vm-run -display none -bios none -kernel "$GUEST" $args
        [ "$status" -eq 2 ]
        [ "${#lines[@]}" -eq 1 ]
    done
}

@test "a back end has one user unless it is shared" {
    run vm-run -display none -bios none -kernel "$GUEST" -chardev null,id=a -serial none -serial chardev:a
    [ "$status" -eq 2 ]
    run vm-run -bios none -kernel "$GUEST" -chardev null,id=a -serial chardev:a -serial chardev:a
    [ "$status" -eq 2 ]
    [[ $output == *"a is in use already"* ]]
}

@test "a socket that cannot be is one line with status 1 that names it" {
    for args in '-serial unix:none/s' '-serial unix:none/s,server=on' '-serial pipe:none' '-serial file:none/f'; do
        run vm-run -display none -bios none -kernel "$GUEST" $args
        [ "$status" -eq 1 ]
        [ "${#lines[@]}" -eq 1 ]
        [[ $output == *none* ]]
    done
}
