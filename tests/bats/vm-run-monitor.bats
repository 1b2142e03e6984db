#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# The monitor and the options of the process, with a guest without an operating system: it writes
# "boot", then a letter a tenth of a second by the machine's clock; it answers to keys: '.' powers
# off, 'r' resets, 'f' fails.

load common

setup_file()
{
    command -v riscv64-linux-gnu-gcc >/dev/null || skip "riscv64-linux-gnu-gcc is not installed"
    command -v python3 >/dev/null || skip "python3 is not installed"
    command -v socat >/dev/null || skip "socat is not installed"
    export GUEST=$BATS_FILE_TMPDIR/guest
    cat >"$GUEST.S" <<'END'
.globl _start
_start:
    csrr t0, mhartid
    bnez t0, halt
    li s0, 0x10000000
    li s2, 0x200bff8
    la s3, boot
1:  lbu a0, (s3)
    beqz a0, tick
    sb a0, (s0)
    addi s3, s3, 1
    j 1b
tick:
    ld s4, (s2)
    li t0, 1000000
    add s4, s4, t0
2:  lbu t0, 5(s0)
    andi t0, t0, 1
    bnez t0, key
    ld t0, (s2)
    bltu t0, s4, 2b
    li a0, 't'
    sb a0, (s0)
    j tick
key:
    lbu a0, (s0)
    li t1, 0x100000
    li t0, '.'
    beq a0, t0, off
    li t0, 'r'
    beq a0, t0, again
    li t0, 'f'
    beq a0, t0, failed
    addi a0, a0, 1
    sb a0, (s0)
    j 2b
off:
    li t0, 0x5555
    sw t0, (t1)
    j halt
again:
    li t0, 0x7777
    sw t0, (t1)
    j halt
failed:
    li t0, 0x73333
    sw t0, (t1)
halt:
    wfi
    j halt
boot: .asciz "boot"
END
    riscv64-linux-gnu-gcc -nostdlib -static -no-pie -march=rv64gc -mabi=lp64d -mcmodel=medany \
        -Wl,-N,-Ttext=0x80000000,--build-id=none -o "$GUEST" "$GUEST.S"
    cat >"$BATS_FILE_TMPDIR/mon.py" <<'END'
# mon.py SOCKET COMMAND...: types the commands and prints what is answered
import socket, sys, time
s = socket.socket(socket.AF_UNIX)
for attempt in range(600):
    try:
        s.connect(sys.argv[1]); break
    except OSError:
        time.sleep(0.05)
s.settimeout(60)
def answer():
    seen = b""
    while not seen.endswith(b"(qemu) "):
        piece = s.recv(65536)
        if not piece:
            break
        seen += piece.replace(b"\r", b"")
    return seen.decode().replace("\r", "")
sys.stdout.write(answer())
for command in sys.argv[2:]:
    if command.startswith("sleep "):
        time.sleep(float(command[6:]))
        continue
    try:
        s.sendall(command.encode() + b"\n")
        sys.stdout.write(answer())
    except OSError:
        break
END
}

setup()
{
    cd "$BATS_TEST_TMPDIR" || return
}

teardown()
{
    [ -z "$pid" ] || kill "$pid" 2>/dev/null || true
}

# start OPTION...: the machine in the background, its monitor on ./mon, its serial port in ./serial
start()
{
    timeout -k 5 120 vm-run -display none -bios none -kernel "$GUEST" -serial file:serial \
        -monitor unix:mon,server=on,wait=off "$@" </dev/null >out 2>err 3>&- &
    pid=$!
}

# monitor COMMAND...: what is answered
monitor()
{
    run timeout 90 python3 "$BATS_FILE_TMPDIR/mon.py" mon "$@"
    [ "$status" -eq 0 ]
}

ended()
{
    local status=0
    wait "$pid" || status=$?
    cat out err
    pid=
    return $status
}

# sees TEXT [FILE]: waits until it is there
sees()
{
    wait_for grep -qaF -- "$1" "${2-serial}" || { cat "${2-serial}" out err; return 1; }
}

ticks()
{
    tr -dc t <serial | wc -c
}

# refused STATUS TEXT OPTION...
refused()
{
    local code=$1 text=$2
    shift 2
    run timeout 60 vm-run -display none -monitor none -bios none -kernel "$GUEST" "$@" </dev/null
    echo "$output"
    [ "$status" -eq "$code" ]
    [[ $output == *"$text"* ]]
}

@test "the monitor greets, lists its commands and quits with status 0" {
    start
    sees boot
    monitor help 'help info' 'help cont' quit
    [[ $output == "Lathe "*" monitor - type 'help' for more information"* ]]
    [[ $output == *"(qemu) help"* ]]
    [[ $output == *"system_reset -- "* ]]
    [[ $output == *"info registers [-a] -- "* ]]
    [[ $output == *"cont|c -- "* ]]
    ended
}

@test "info shows state, CPUs, registers, memory map, devices and back ends" {
    truncate -s 4M disk.img
    start -smp 2 -drive file=disk.img,format=raw,id=d0 -name box,process=boxed -uuid \
        550E8400-e29b-41d4-a716-446655440000 -device virtio-serial-device,id=vs
    sees boot
    monitor 'info status' 'info name' 'info uuid' 'info version' 'info cpus' 'info registers -a' \
        'info mtree' 'info qtree' 'info block' 'info blockstats' 'info chardev' 'info network' \
        'info jit'
    for text in 'VM status: running' $'\nbox\n' 550e8400-e29b-41d4-a716-446655440000 \
        '* CPU #0: on' $'\nCPU#1\n' 'mhartid  0000000000000001' 'x8/s0    0000000010000000' \
        '(ram): ram' 'dev: virtio-blk-device' 'drive = "d0"' 'bus: vs.0' \
        'd0 (#block0): disk.img (raw)' 'd0: rd_bytes=' 'serial0: filename=file:serial' \
        'code bytes used'; do
        [[ $output == *"$text"* ]] || { echo "missing: $text"; echo "$output"; return 1; }
    done
    child=$(ps -o pid= --ppid "$pid")
    [ "$(cat "/proc/${child// /}/comm")" = boxed ]
    monitor q
    ended
}

@test "memory and registers are shown and computed with, and memory is saved" {
    start
    sees boot
    monitor stop 'p/x $s0+8' 'xp/8xb 0x80000000' 'x/2xw 0x80000000' 'x/s 0' 'x/4xg 0x40' \
        "pmemsave 0x80000000 8192 $PWD/saved" 'memsave 0 100 nowhere' 'x $nosuch' 'print/x 1<<40'
    echo "$output"
    [[ $output == *0x10000008* ]]
    [[ $output == *"0000000080000000: 0x"* ]]
    [[ $output == *"cannot access memory at 0x40"* ]]
    [[ $output == *"there is no memory at 0x0"* ]]
    [[ $output == *"no register '\$nosuch'"* ]]
    [[ $output == *0x10000000000* ]]
    [ "$(stat -c %s saved)" -eq 8192 ]
    [ ! -e nowhere ]
    riscv64-linux-gnu-objcopy -O binary "$GUEST" flat
    cmp -n "$(stat -c %s flat)" flat saved
    monitor quit
    ended
}

@test "stop makes the guest's clock stand still and cont lets it go on" {
    start
    sees ttt
    monitor stop 'info status'
    [[ $output == *"VM status: paused"* ]]
    local before from after tenths
    before=$(ticks)
    sleep 1
    [ "$(ticks)" -eq "$before" ]
    from=$(date +%s%N)
    monitor cont 'info status' 'sleep 0.5'
    [[ $output == *"VM status: running"* ]]
    # the second that it was stopped is not made up for
    after=$(ticks)
    tenths=$((($(date +%s%N) - from) / 100000000))
    [ "$after" -le $((before + tenths + 2)) ]
    sees_ticks $((before + 1))
    monitor quit
    ended
}

@test "system_reset boots again, also while stopped, and a guest's own reset does" {
    start
    sees boott
    monitor system_reset 'sleep 0.3'
    sees_boots 2
    monitor stop system_reset 'sleep 0.2' 'info status'
    [[ $output == *"VM status: paused"* ]]
    [ "$(grep -ao boot serial | wc -l)" -eq 2 ]
    monitor cont
    sees_boots 3
    monitor quit
    ended
}

boots() { [ "$(grep -ao boot serial | wc -l)" -ge "$1" ]; }
sees_boots() { wait_for boots "$1" || { cat serial; return 1; }; }
ticked() { [ "$(ticks)" -ge "$1" ]; }
sees_ticks() { wait_for ticked "$1"; }
status_is() { timeout 90 python3 "$BATS_FILE_TMPDIR/mon.py" mon 'info status' | grep -qF "$1"; }

@test "-S waits for cont" {
    start -S
    monitor 'info status' 'info registers'
    [[ $output == *"paused (prelaunch)"* ]]
    [ ! -s serial ]
    monitor system_reset 'info status' cont 'info status'
    [[ $output == *"paused (prelaunch)"*"VM status: running"* ]]
    sees boott
    monitor quit
    ended
}

@test "after power-off -no-shutdown leaves a machine that answers and can be reset" {
    timeout -k 5 120 vm-run -display none -bios none -kernel "$GUEST" -no-shutdown \
        -monitor unix:mon,server=on,wait=off -chardev socket,id=s,path=ser,server=on,wait=off,logfile=serial \
        -serial chardev:s </dev/null >out 2>err 3>&- &
    pid=$!
    sees boot
    printf . | socat -t1 - UNIX-CONNECT:ser >/dev/null
    wait_for status_is 'paused (shutdown)'
    monitor 'info status' cont system_reset 'info status' cont 'info status'
    echo "$output"
    [[ $output == *"paused (shutdown)"*"system_reset comes first"*"VM status: paused"*running* ]]
    sees_boots 2
    printf r | socat -t1 - UNIX-CONNECT:ser >/dev/null
    sees_boots 3
    monitor quit
    ended
}

@test "-action says what reboot, power-off and failure lead to" {
    run timeout 60 vm-run -nographic -bios none -kernel "$GUEST" -action reboot=shutdown <<<r
    [ "$status" -eq 0 ]
    run timeout 60 vm-run -nographic -bios none -kernel "$GUEST" <<<f
    [ "$status" -eq 7 ]
    timeout -k 5 120 vm-run -display none -bios none -kernel "$GUEST" -action panic=pause \
        -monitor unix:mon,server=on,wait=off -chardev socket,id=s,path=ser,server=on,wait=off,logfile=serial \
        -serial chardev:s </dev/null >out 2>err 3>&- &
    pid=$!
    sees boot
    printf f | socat -t1 - UNIX-CONNECT:ser >/dev/null
    wait_for status_is guest-panicked
    monitor quit
    ended
}

@test "commands that make no sense here say so in one line" {
    start
    sees boot
    monitor frobnicate 'info statsu' system_powerdown 'device_add virtio-blk' 'device_del nosuch' \
        'hostfwd_add tcp::5555-:22' 'netdev_add user,id=n0' 'netdev_add user,id=n0' \
        'set_link n0 maybe' 'set_link n0 off' 'info network' 'netdev_del n0' 'block_resize d 1G' \
        'drive_add 0 file=x' 'log nosuch' 'chardev-remove serial0' x 'cpu 9' quit
    echo "$output"
    for text in "unknown command: 'frobnicate'" "did you mean 'info status'" 'no power button' \
        'no free slot takes devices' "Device 'nosuch' not found" \
        'no netdev with user networking' 'there are two' 'on or off is wanted' '(no link)' \
        "there is no disk 'd'" 'if=none is wanted' "unknown log category 'nosuch'" \
        'serial0 is in use' "'addr' is missing" 'there is no CPU 9'; do
        [[ $output == *"$text"* ]] || { echo "missing: $text"; return 1; }
    done
    ended
}

@test "a device is plugged in, seen and asked to go while the machine runs" {
    truncate -s 2M a.img
    start -device pcie-root-port,id=rp
    sees boot
    monitor 'drive_add 0 if=none,id=d,file=a.img,format=raw' \
        'device_add virtio-blk-pci,drive=d,id=vd,bus=rp,bootindex=1' 'info qtree' 'info block' \
        'device_add virtio-rng-pci,bus=rp' 'device_add virtio-blk-pci,drive=d' 'device_del rp'
    echo "$output"
    [[ $output == *'dev: virtio-blk-device, id "vd"'*'d (#block'*a.img* ]]
    [ "$(grep -c '^Error: ' <<<"$output")" -eq 3 ]
    monitor 'device_del vd' quit
    ended
}

@test "the terminal of -nographic has the serial port and, after Ctrl-a c, the monitor" {
    cat >term.py <<'END'
import os, pty, sys, time, select
pid, fd = pty.fork()
if pid == 0:
    os.execvp("vm-run", ["vm-run"] + sys.argv[1:])
seen = b""
def sees(text):
    global seen
    end = time.time() + 60
    while text not in seen:
        if time.time() > end or not select.select([fd], [], [], 60)[0]:
            print("never seen:", text, seen); sys.exit(1)
        try:
            piece = os.read(fd, 4096)
        except OSError:
            piece = b""
        if not piece:
            print("gone:", seen); sys.exit(1)
        seen += piece.replace(b"\r", b"")
sees(b"boott")
assert b"(qemu)" not in seen
os.write(fd, b"\x01c")
sees(b"for more information\n(qemu) ")
os.write(fd, b"info sta\t\r")
sees(b"VM status: running\n(qemu) ")
os.write(fd, b"\x01cA")
sees(b"B")
seen = b""
os.write(fd, b"\x01c")
sees(b"(qemu) ")
assert b"more information" not in seen
os.write(fd, b"quit\r")
status = os.waitpid(pid, 0)[1]
print("status", os.waitstatus_to_exitcode(status))
END
    run timeout 120 python3 term.py -nographic -bios none -kernel "$GUEST"
    echo "$output"
    [[ $output == *"status 0"* ]]
}

@test "a monitor may share a back end (mux=on, -mon) or have the terminal alone" {
    timeout -k 5 120 vm-run -display none -bios none -kernel "$GUEST" \
        -chardev socket,id=c,path=sock,server=on,wait=off,mux=on -serial chardev:c \
        -mon chardev=c,mode=readline </dev/null >out 2>err 3>&- &
    pid=$!
    run bash -c "{ sleep 1; printf '\001c'; sleep 0.3; printf 'info status\nquit\n'; sleep 1; } |
        socat -t3 - UNIX-CONNECT:sock,retry=300,interval=0.1"
    [[ $output == *"(qemu) "*"VM status: running"* ]]
    ended
    run timeout 60 vm-run -display none -bios none -kernel "$GUEST" -monitor stdio <<<$'info status\nquit'
    [ "$status" -eq 0 ]
    [[ $output == *"VM status: running"* ]]
}

@test "-pidfile is locked while the machine runs and gone after it" {
    start -pidfile run.pid
    sees boot
    [ "$(cat run.pid)" -gt 1 ]
    [ "$(readlink "/proc/$(cat run.pid)/exe")" = "$(readlink -f "$(command -v vm-run)")" ]
    refused 1 "another process has it locked" -pidfile run.pid
    [ -e run.pid ]
    monitor quit
    ended
    [ ! -e run.pid ]
    refused 1 "-pidfile $PWD/no/such: No such file" -pidfile "$PWD/no/such"
    echo 99999 >run.pid
    rm serial
    start -pidfile run.pid
    sees boot
    kill "$(cat run.pid)"
    ended
    [ ! -e run.pid ]
}

@test "-daemonize returns when the machine answers, or with its error" {
    timeout 60 vm-run -display none -bios none -kernel "$GUEST" -daemonize -pidfile run.pid \
        -serial file:serial -monitor unix:mon,server=on,wait=off </dev/null >out 2>err
    [ -S mon ]
    daemon=$(cat run.pid)
    [ "$(ps -o ppid= -p "$daemon")" -ne $$ ]
    [ "$(readlink "/proc/$daemon/fd/1")" = /dev/null ]
    [ "$(readlink "/proc/$daemon/cwd")" = / ]
    sees boot
    monitor quit
    gone() { ! kill -0 "$daemon"; }
    wait_for gone
    [ ! -e run.pid ]
    refused 1 "nosuch.img" -daemonize -drive file=nosuch.img,format=raw
    refused 2 "-nographic wants a terminal" -daemonize -nographic
    refused 2 "stdio is the terminal's" -daemonize -serial mon:stdio
    run pgrep -f "$BATS_TEST_TMPDIR"
    [ -z "$output" ]
}

@test "-readconfig stands for the options of its groups" {
    truncate -s 2M a,b.img
    cat >box.conf <<'END'
# a machine
[machine]
  type = "virt"
[memory]
  size = "64"
[smp-opts]
  cpus = "2"
[name]
  guest = "from file"

[drive "disk0"]
  file = "a,b.img"
  format = "raw"
  if = "none"

[device "vd"]
  driver = "virtio-blk-device"
  drive = "disk0"
  bootindex = "3"

[chardev "c0"]
  backend = "ringbuf"
  size = "4096"
END
    start -readconfig box.conf
    sees boot
    monitor 'info name' 'info cpus' 'info block' 'info chardev' 'info qtree' 'info mtree' quit
    echo "$output"
    [[ $output == *"from file"*"CPU #1"*"disk0 ("*"a,b.img"*"c0: "*'dev: virtio-blk-device, id "vd"'*"bootindex = 3"* ]]
    [[ $output == *"0000000080000000-0000000083ffffff (ram)"* ]]
    ended
    printf '[drive "x"]\n file = a.img\n' >bad.conf
    refused 2 'bad.conf:2: key = "value" is wanted' -readconfig bad.conf
    printf '\n[drvie "x"]\n' >bad.conf
    refused 2 'bad.conf:2: there is no group [drvie]; did you mean [drive]?' -readconfig bad.conf
    printf 'file = "x"\n' >bad.conf
    refused 2 'bad.conf:1: a [group] comes first' -readconfig bad.conf
    refused 1 'nosuch.conf: No such file' -readconfig nosuch.conf
}

@test "-global sets what a device is not told otherwise, and bootindex is given once" {
    truncate -s 2M a.img
    refused 2 "-global goldfish_rtc.nosuch=1: Property 'goldfish_rtc.nosuch' not found" \
        -global goldfish_rtc.nosuch=1
    start -drive file=a.img,format=raw,if=none,id=d -global virtio-blk-device.num-queues=2 \
        -global driver=virtio-blk,property=queue-size,value=64 -global virtio-blk.share-rw=on \
        -device virtio-blk-device,drive=d,num-queues=4
    sees boot
    monitor 'info qtree' quit
    [[ $output == *"num-queues = 4"*"queue-size = 64"*"share-rw = on"* ]]
    ended
    refused 2 "there is no device 'virtio-blk-devic'; did you mean" -global virtio-blk-devic.x=1
    refused 2 "DRIVER.PROPERTY=VALUE is wanted" -global what
    refused 2 "'on' or 'off'" -global virtio-blk.share-rw=maybe -drive file=a.img,format=raw
    refused 2 "bootindex 1 has already been used" -drive file=a.img,format=raw,if=none,id=d \
        -device virtio-blk-device,drive=d,bootindex=1 -blockdev driver=null-co,node-name=n \
        -device virtio-blk-device,drive=n,bootindex=1
}

@test "wrong values of the process options each get a clear error" {
    refused 2 "-action reboot=maybe: " -action reboot=maybe
    refused 2 "-rtc base=tomorrow: base=tomorrow: utc, localtime or a date" -rtc base=tomorrow
    refused 2 "-uuid 12: it looks like" -uuid 12
    refused 2 "-boot order=z: order=z: 'z' is no drive" -boot order=z
    refused 2 "-msg when=now: " -msg when=now
    refused 2 "-mon chardev=nosuch: there is no -chardev" -mon chardev=nosuch
    refused 2 "QMP is not there yet" -chardev null,id=c -mon chardev=c,mode=control
    refused 2 "-monitor: 'tcp:': HOST:PORT is wanted" -monitor tcp:
    refused 2 "-runas nosuchuser: there is no such user" -runas nosuchuser
    refused 2 "-sandbox on,spawn=maybe: " -sandbox on,spawn=maybe
    refused 2 "-name a,nosuch=b: " -name a,nosuch=b
    run timeout 60 vm-run -msg timestamp=on -kernel /nosuch
    [[ $output =~ ^20[0-9-]+T[0-9:]+\.[0-9]+Z\ vm-run:\ .*nosuch ]]
}

@test "-chroot and -runas hold once the machine is up" {
    [ "$(id -u)" -eq 0 ] || skip "only root may"
    mkdir jail
    start -chroot jail -runas 65534:65533 -pidfile run.pid
    sees boot
    daemon=$(cat run.pid)
    [ "$(readlink "/proc/$daemon/root")" = "$PWD/jail" ]
    [[ $(grep ^Uid: "/proc/$daemon/status") == *65534*65534*65534* ]]
    [[ $(grep ^Gid: "/proc/$daemon/status") == *65533*65533*65533* ]]
    [ "$(awk '/^Groups:/ { print $2 }' "/proc/$daemon/status")" = 65533 ]
    monitor 'info status' quit
    [[ $output == *running* ]]
    ended
    refused 1 "-chroot $PWD/none: " -chroot "$PWD/none"
}

@test "-rtc says what the guest's clock shows" {
    cd "$BATS_TEST_DIRNAME/../.."
    kernel=$(build/guest.sh kernel riscv64) && initrd=$(build/guest.sh initrd riscv64) ||
        skip "no guest can be fetched"
    script=$(printf 'cat /sys/class/rtc/rtc0/date' | base64 -w0)
    run timeout 120 vm-run -kernel "$kernel" -initrd "$initrd" -nographic -rtc base=2001-02-03,clock=vm \
        -append "console=ttyS0 lathe.mode=jobs lathe.cmd=$script" </dev/null
    echo "$output" | tail -5
    [[ $output == *2001-02-03* ]]
}

@test "under -sandbox each thread has the filter and the guest runs as before" {
    grep -q '^Seccomp:' /proc/self/status || skip "this kernel tells nothing of filters"
    truncate -s 2M a.img
    start -pidfile run.pid -drive file=a.img,format=raw -smp 2 \
        -sandbox on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny
    sees boott
    threads=$(cat "/proc/$(cat run.pid)"/task/*/status | grep '^Seccomp:')
    [ "$(wc -l <<<"$threads")" -ge 3 ]
    [ -z "$(grep -v '2$' <<<"$threads")" ]
    monitor 'info status' system_reset
    [[ $output == *running* ]]
    sees_boots 2
    monitor quit
    ended
}

@test "under -sandbox Linux boots and its disk takes what is written" {
    kernel=$(cd "$BATS_TEST_DIRNAME/../.." && build/guest.sh kernel riscv64) &&
        initrd=$(cd "$BATS_TEST_DIRNAME/../.." && build/guest.sh initrd-io riscv64) ||
        skip "no guest can be fetched"
    truncate -s 8M disk.img
    script=$(printf 'echo written-here | dd of=/dev/vda bs=512 conv=sync,fsync; dd if=/dev/vda bs=12 count=1' |
        base64 -w0)
    run timeout 120 vm-run -m 512M -kernel "$kernel" -initrd "$initrd" -nographic \
        -append "console=ttyS0 lathe.mode=jobs lathe.cmd=$script" \
        -drive file=disk.img,format=raw -sandbox on,spawn=deny,elevateprivileges=deny </dev/null
    echo "$output" | tail -5
    [ "$status" -eq 0 ]
    [ "$(head -c 12 disk.img)" = written-here ]
}
