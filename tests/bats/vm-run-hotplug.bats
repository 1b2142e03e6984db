#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# Cards and disks that go while a guest uses them, and disks without room. Debian's kernel for riscv64
# knows no hot plugging of PCI Express, so a card vanishes by surprise, and the guest looks for it anew.
# Linux's virtio drivers wait for ever for a device that is gone to say that it is reset, and for requests
# it had (NVMe's does not), or read ones from it and start a
# conversation in its control queue: so a card has none here, is
# forgotten when there is one in its place again; a disk
# comes back in another port.

load common

setup_file()
{
    for c in python3 cpio; do
        command -v $c >/dev/null || skip "$c is not installed"
    done
    KERNEL=$(build/guest.sh kernel riscv64) && INITRD=$(build/guest.sh initrd-io riscv64) ||
        skip "no guest can be fetched"
    export KERNEL INITRD
    cat >"$BATS_FILE_TMPDIR/mon.py" <<'END'
# mon.py COMMAND...: types them into the monitor at ./mon, prints what is answered
import socket, sys, time
s = socket.socket(socket.AF_UNIX)
s.connect('mon')
s.settimeout(90)
def answer():
    seen = b''
    while not seen.endswith(b'(qemu) '):
        got = s.recv(65536)
        if not got: break
        seen += got
    return seen.decode(errors='replace')
answer()
for command in sys.argv[1:]:
    s.sendall(command.encode() + b'\n')
    print(answer())
END
    cat >"$BATS_FILE_TMPDIR/server.py" <<'END'
# Sends zeroes without end at /big, 3000000 bytes at /small. The port is the first line.
import http.server
class Handler(http.server.BaseHTTPRequestHandler):
    def log_message(self, *args): pass
    def do_GET(self):
        self.send_response(200)
        big = self.path == '/big'
        self.send_header('Content-Length', str(1 << 40 if big else 3000000))
        self.end_headers()
        try:
            for _ in range(1 << 20 if big else 1):
                self.wfile.write(bytes(1 << 20) if big else b'lathe ' * 500000)
        except OSError: pass
server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Handler)
print(server.server_port, flush=True)
server.serve_forever()
END
}

setup()
{
    cd "$BATS_TEST_TMPDIR"
    pids=
    small=
}

teardown()
{
    for p in $pids; do
        kill "$p" 2>/dev/null || :
    done
    [ -z "$small" ] || umount -l "$small"
    tail -n 60 serial err 2>/dev/null || :
}

said() { tr -d '\r' <serial | grep -qa "^$1"; }

monitor()
{
    run python3 "$BATS_FILE_TMPDIR/mon.py" "$@"
    echo "$output"
}

# begin SCRIPT [OPTION]...: a guest that runs the script, in the background. The script is in the initrd,
# as kernel command lines are short.
begin()
{
    printf '%s\n%s\n' "$card" "$1" >job.sh
    { cat "$INITRD"; echo job.sh | cpio -o -H newc -R 0:0 2>/dev/null | gzip; } >initrd
    shift
    rm -f serial mon
    timeout 200 vm-run -display none -serial file:serial -monitor unix:mon,server=on,wait=off -m 512 \
        -kernel "$KERNEL" -initrd initrd \
        -append "console=ttyS0 quiet lathe.mode=jobs lathe.load=nvme lathe.cmd=$(base64 -w0 <<<'sh /job.sh')" \
        "$@" </dev/null >out 2>err 3>&- &
    vm=$!
    pids="$pids $vm"
}

# vm-run ends by itself, in order, when the guest has powered off.
ends()
{
    wait_for said STATUS
    said 'STATUS 0'
    wait $vm
}

# What the guest does when the card behind the root port is not there any more, and when it may be again.
# put_back gives a new card the addresses of the old one.
card='
at=/sys/bus/pci/devices/0000:01:00.0
there() { [ "$(od -An -tx2 -N2 $at/config 2>/dev/null | tr -d " ")" != ffff ]; }
until_gone() { n=0; while there; do n=$((n + 1)); [ $n -lt 600 ] || exit 7; usleep 100000; done; echo GONE; }
until_there() { n=0; until there; do n=$((n + 1)); [ $n -lt 600 ] || exit 7; usleep 100000; done; }
note() { dd if=$at/config of=/tmp/config bs=1 count=64 2>/dev/null; }
put_back() {
    dd if=/tmp/config of=$at/config bs=4 skip=4 seek=4 count=6 conv=notrunc 2>/dev/null
    dd if=/tmp/config of=$at/config bs=4 skip=1 seek=1 count=1 conv=notrunc 2>/dev/null
}
forget() { echo 1 >$at/remove; echo FORGOTTEN; }
look() { n=0; until [ -e "$1" ]; do echo 1 >/sys/bus/pci/rescan; n=$((n + 1)); [ $n -lt 300 ] || exit 8; usleep 200000; done; }
'

serve()
{
    python3 "$BATS_FILE_TMPDIR/server.py" >port 2>server.log 3>&- &
    pids="$pids $!"
    wait_for [ -s port ]
    port=$(cat port)
}

@test "a network card goes under traffic and comes back, twice" {
    serve
    begin "for i in 1 2 3; do
            udhcpc -i eth0 -n -q >/dev/null 2>&1 || exit 9
            wget -q -O - http://10.0.2.2:$port/small | md5sum | sed s/^/SUM:\$i:/
            [ \$i -lt 3 ] || exit 0
            note
            wget -q -O /dev/null http://10.0.2.2:$port/big & pid=\$!
            sleep 1
            echo TRAFFIC\$i
            until_gone; until_there
            kill \$pid
            put_back; forget; look \$at
        done" -device pcie-root-port,id=rp -netdev user,id=n0 -device virtio-net-pci,netdev=n0,id=card,bus=rp,ctrl_vq=off,status=off
    sum=$(yes 'lathe ' | head -n 500000 | tr -d '\n' | md5sum | cut -d ' ' -f 1)
    for i in 1 2; do
        wait_for said "SUM:$i:$sum"
        wait_for said TRAFFIC$i
        monitor 'device_del card' 'info status'
        [[ $output == *running* ]]
        wait_for bash -c "[ \$(grep -ac GONE serial) = $i ]"
        [ $i = 1 ] || monitor 'netdev_del n0' 'netdev_add user,id=n0' 'info network' # a new back end too
        monitor 'device_add virtio-net-pci,netdev=n0,id=card,bus=rp,ctrl_vq=off,status=off'
        [[ $output != *rror* ]]
    done
    wait_for said "SUM:3:$sum"
    ends
}

@test "a card loses its link under traffic and gets it back; its back end cannot be taken away" {
    serve
    sum=$(yes 'lathe ' | head -n 500000 | tr -d '\n' | md5sum | cut -d ' ' -f 1)
    begin "udhcpc -i eth0 -n -q >/dev/null 2>&1 || exit 9
        wget -q -O /dev/null http://10.0.2.2:$port/big & pid=\$!
        sleep 1; echo TRAFFIC
        until [ \$(cat /sys/class/net/eth0/carrier) = 0 ]; do usleep 100000; done; echo DOWN
        until [ \$(cat /sys/class/net/eth0/carrier) = 1 ]; do usleep 100000; done; echo UP
        sleep 1; kill \$pid
        wget -q -O - http://10.0.2.2:$port/small | md5sum | sed s/^/SUM:/
        wget -q -O /dev/null http://10.0.2.2:$port/big & pid=\$!
        sleep 1; echo AGAIN; sleep 2; kill \$pid
        wget -q -O - http://10.0.2.2:$port/small | md5sum | sed s/^/LAST:/" \
        -device pcie-root-port,id=rp -netdev user,id=n0 -device virtio-net-pci,netdev=n0,id=card,bus=rp
    wait_for said TRAFFIC
    monitor 'set_link n0 off'
    wait_for said DOWN
    monitor 'set_link n0 on'
    wait_for said SUM
    wait_for said AGAIN
    monitor 'netdev_del n0' 'info network'
    [[ $output == *"in use by a card"*"n0: user"* ]]
    ends
    [ "$(tr -d '\r' <serial | grep -ac "^\(SUM\|LAST\):$sum")" = 2 ]
}

# What a guest with a disk at $d does; $1 comes when the disk is gone, $2 is where the next one appears.
writes()
{
    cat <<END
        dd if=/dev/urandom of=/tmp/x bs=1M count=8 2>/dev/null
        echo "SUM:\$(md5sum </tmp/x)"
        disks=\$(ls /sys/block)
        dd if=/tmp/x of=\$d bs=1M conv=fsync 2>/dev/null && echo FLUSHED
        (while dd if=/tmp/x of=\$d bs=1M seek=16 oflag=direct 2>/tmp/err; do :; done; echo WRITER) &
        sleep 1; echo TRAFFIC
        until_gone
        $1
        look $2
        until [ "\$(ls /sys/block)" != "\$disks" ]; do usleep 100000; done; sleep 1
        for d in /dev/vdb /dev/nvme?n1; do [ ! -b \$d ] || break; done
        dd if=\$d bs=1M count=8 2>/dev/null | md5sum | sed s/^/BACK:/
        dd if=/tmp/x of=\$d bs=1M seek=40 conv=fsync 2>/dev/null && echo WORKS
        echo END
END
}

# came_back: what was flushed is there, and so is what came later
came_back()
{
    sum=$(tr -d '\r' <serial | sed -n 's/^SUM:\([0-9a-f]*\).*/\1/p')
    said "BACK:$sum"
    said WORKS
    [ "$(head -c 8M disk.img | md5sum | cut -d ' ' -f 1)" = "$sum" ]
    [ "$(dd if=disk.img bs=1M skip=40 count=8 2>/dev/null | md5sum | cut -d ' ' -f 1)" = "$sum" ]
}

@test "an NVMe disk goes under writes: errors in the guest, what was flushed is in the file" {
    truncate -s 64M disk.img
    begin "d=/dev/nvme0n1; $(writes 'forget; wait; disks=' '$at')" -device pcie-root-port,id=rp \
        -blockdev driver=file,filename=disk.img,node-name=d -device nvme,drive=d,id=card,bus=rp,serial=x
    wait_for said TRAFFIC
    monitor 'device_del card' 'info status'
    [[ $output == *running* ]]
    wait_for said FORGOTTEN
    wait_for said WRITER
    monitor 'device_add nvme,drive=d,id=card,bus=rp,serial=x'
    [[ $output != *rror* ]]
    ends
    came_back
}

@test "a virtio disk goes under writes, and comes back in another port" {
    truncate -s 64M disk.img
    begin "d=/dev/vda; $(writes : /sys/bus/pci/devices/0000:02:00.0)" \
        -device pcie-root-port,id=rp,addr=2 -device pcie-root-port,id=rp2,addr=3 \
        -blockdev driver=file,filename=disk.img,node-name=d -device virtio-blk-pci,drive=d,id=card,bus=rp
    wait_for said TRAFFIC
    monitor 'device_del card' 'info status'
    [[ $output == *running* ]]
    wait_for said GONE
    monitor 'device_add virtio-blk-pci,drive=d,id=card,bus=rp2'
    [[ $output != *rror* ]]
    wait_for said END
    # not by the guest: newer kernels reset each virtio device then, and wait for the one that is gone
    monitor quit
    wait $vm
    came_back
}

@test "a disk without room stops the machine; with room it goes on and nothing is lost" {
    mkdir full
    mount -t tmpfs -o size=8M none full || skip "cannot mount a tmpfs"
    small=$PWD/full
    for device in virtio-blk-pci nvme,serial=x virtio-blk-device; do
        rm -f full/disk.img serial
        mount -o remount,size=8M full
        truncate -s 64M full/disk.img
        begin 'd=/dev/vda; [ -e $d ] || d=/dev/nvme0n1
            dd if=/dev/urandom of=/tmp/x bs=1M count=24 2>/dev/null; echo "SUM:$(md5sum </tmp/x)"
            dd if=/tmp/x of=$d bs=1M conv=fsync; echo "WRITE:$?"' \
            -drive file=full/disk.img,format=raw,if=none,id=d -device "$device,drive=d,id=card"
        stopped() { python3 "$BATS_FILE_TMPDIR/mon.py" 'info status' | grep -q 'paused (io-error)'; }
        wait_for said SUM
        wait_for stopped
        monitor cont
        wait_for stopped
        grep -q 'warning: card: a write failed: No space left on device' err
        mount -o remount,size=80M full
        again() { stopped && python3 "$BATS_FILE_TMPDIR/mon.py" cont; said STATUS; }
        wait_for again
        ends
        said 'WRITE:0'
        sum=$(tr -d '\r' <serial | sed -n 's/^SUM:\([0-9a-f]*\).*/\1/p')
        [ "$(head -c 24M full/disk.img | md5sum | cut -d ' ' -f 1)" = "$sum" ]
    done
}
