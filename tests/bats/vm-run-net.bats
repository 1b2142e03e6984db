#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# Network cards: a guest gets an address, files go both ways whole, connections come in.

load common

setup_file()
{
    KERNEL=$(build/guest.sh kernel riscv64) && INITRD=$(build/guest.sh initrd-io riscv64) ||
        skip "no guest can be fetched"
    cat >"$BATS_FILE_TMPDIR/server.py" <<'END'
# Serves the folder; what is POSTed becomes the file "posted". The port is the first line.
import http.server, socket, sys
class Handler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args): pass
    def do_POST(self):
        left = int(self.headers['Content-Length'])
        with open('posted', 'wb') as f:
            while left:
                data = self.rfile.read(min(left, 1 << 20))
                if not data: break
                f.write(data)
                left -= len(data)
        self.send_response(200)
        self.end_headers()
class Server(http.server.ThreadingHTTPServer):
    address_family = socket.AF_INET6 if sys.argv[1:] == ['6'] else socket.AF_INET
server = Server(('::1' if sys.argv[1:] == ['6'] else '127.0.0.1', 0), Handler)
print(server.server_port, flush=True)
server.serve_forever()
END
    export KERNEL INITRD
}

setup()
{
    cd "$BATS_TEST_TMPDIR"
    pids=
}

teardown()
{
    for p in $pids; do
        kill "$p" 2>/dev/null || :
    done
}

# guest SCRIPT [OPTION]...: runs the script in a guest that has an address
guest()
{
    local encoded script=$1
    [ "${net-user}" != user ] || script="udhcpc -i eth0 -n -q >/dev/null 2>&1 || exit 9
$1"
    encoded=$(base64 -w0 <<<"$script")
    shift
    timeout 120 vm-run -nographic -m 512 -kernel "$KERNEL" -initrd "$INITRD" \
        -append "console=ttyS0 quiet ${load:+lathe.load=$load} lathe.mode=jobs lathe.cmd=$encoded" "$@" </dev/null
}

job()
{
    run guest "$@"
    echo "$output" | tail -n 40
}

# serve [6]: sets $port to that of a server of this folder, over IPv6
serve()
{
    python3 "$BATS_FILE_TMPDIR/server.py" "$@" >port 2>server.log &
    pids="$pids $!"
    wait_for [ -s port ]
    port=$(cat port)
}

sum_of() { md5sum "$@" | cut -d ' ' -f 1; }

@test "a guest gets an address, a route and a name server by DHCP" {
    job 'ip addr show eth0; ip route; cat /etc/resolv.conf; cat /sys/class/net/eth0/address' -nic user
    [ "$status" -eq 0 ]
    [[ $output == *"inet 10.0.2.15/24"*"default via 10.0.2.2"*"nameserver 10.0.2.3"*52:54:00:12:34:56* ]]
}

@test "100 MB come in and go out whole" {
    serve
    # text: busybox ends what it posts at the first zero
    head -c 78643200 /dev/urandom | base64 -w0 >file
    sum=$(sum_of file)
    job "wget -q -O /tmp/f http://10.0.2.2:$port/file && md5sum /tmp/f
        wget -q -O /dev/null --post-file=/tmp/f http://10.0.2.2:$port/" \
        -netdev user,id=n0 -device virtio-net-device,netdev=n0
    [[ $output == *"$sum  /tmp/f"*"STATUS 0"* ]]
    [ "$(sum_of posted)" = "$sum" ]
}

@test "files are whole over packed rings and without merged buffers, checksums or indexes" {
    serve
    head -c 3000000 /dev/urandom | base64 -w0 >file
    sum=$(sum_of file)
    for props in packed=on mrg_rxbuf=off csum=off,guest_csum=off event_idx=off,indirect_desc=off; do
        rm -f posted
        job "wget -q -O /tmp/f http://10.0.2.2:$port/file && md5sum /tmp/f
            wget -q -O /dev/null --post-file=/tmp/f http://10.0.2.2:$port/" \
            -netdev user,id=n0 -device "virtio-net-device,netdev=n0,$props"
        [[ $output == *"$sum  /tmp/f"*"STATUS 0"* ]]
        [ "$(sum_of posted)" = "$sum" ]
    done
}

@test "files are whole over IPv6" {
    python3 -c 'import socket; socket.socket(socket.AF_INET6).bind(("::1", 0))' || skip "no IPv6 here"
    serve 6
    head -c 9000000 /dev/urandom | base64 -w0 >file
    sum=$(sum_of file)
    job "n=0; until ip -6 addr show eth0 | grep -q fec0; do n=\$((n + 1)); [ \$n -lt 30 ] || exit 8; sleep 1; done
        sleep 2; wget -q -O /tmp/f 'http://[fec0::2]:$port/file' && md5sum /tmp/f
        wget -q -O /dev/null --post-file=/tmp/f 'http://[fec0::2]:$port/'" -nic user
    [[ $output == *"$sum  /tmp/f"*"STATUS 0"* ]]
    [ "$(sum_of posted)" = "$sum" ]
}

@test "hostfwd leads to a guest's server" {
    p=$(free_port) q=$(free_port)
    guest 'mkdir /tmp/www; echo hello from the guest >/tmp/www/index.html
        httpd -p 80 -h /tmp/www; nc -l -p 7 </dev/null >/tmp/end; cat /tmp/end' \
        -nic "user,hostfwd=tcp:127.0.0.1:$p-:80,hostfwd=tcp:127.0.0.1:$q-:7" >log 2>&1 &
    pids="$pids $!"
    fetch() { python3 -c 'import sys, urllib.request
print(urllib.request.urlopen(sys.argv[1], timeout=20).read().decode())' "http://127.0.0.1:$p/"; }
    wait_for fetch
    run fetch
    [ "$output" = "hello from the guest
" ] || [ "$output" = "hello from the guest" ]
    # a connection is taken here before anyone listens in the guest
    told() { bash -c "echo the end >/dev/tcp/127.0.0.1/$q"; sleep 0.5; grep -q STATUS log; }
    wait_for told
    grep -q 'the end' log
}

@test "ssh logs in through hostfwd" {
    initrd=$("$BATS_TEST_DIRNAME/../../build/guest.sh" initrd-ssh riscv64) || skip "no ssh server can be fetched"
    command -v ssh >/dev/null || skip "no ssh"
    p=$(free_port)
    ssh-keygen -q -t ed25519 -N '' -f key
    INITRD=$initrd guest "mkdir -p /root/.ssh; chmod 700 /root /root/.ssh
        echo '$(cat key.pub)' >/root/.ssh/authorized_keys
        mkdir -p /dev/pts; mount -t devpts devpts /dev/pts
        /usr/sbin/dropbear -R -s -E; while [ ! -e /tmp/end ]; do sleep 1; done" \
        -nic "user,hostfwd=tcp:127.0.0.1:$p-:22" >log 2>&1 &
    pids="$pids $!"
    remote() { timeout 60 ssh -i key -p "$p" -o StrictHostKeyChecking=no -o UserKnownHostsFile=known \
        -o ConnectTimeout=20 -o BatchMode=yes -o LogLevel=ERROR root@127.0.0.1 "$@"; }
    wait_for remote true
    head -c 2000000 /dev/urandom >data
    [ "$(remote uname -m)" = riscv64 ]
    [ "$(remote 'md5sum' <data | cut -d ' ' -f 1)" = "$(sum_of data)" ]
    remote 'cat >/tmp/data; cat /tmp/data' <data >back
    cmp data back
    remote touch /tmp/end
    wait_for grep -q 'STATUS 0' log
}

@test "two machines exchange files over a stream socket" {
    net=none
    common='ifconfig eth0 10.9.0.$me up; n=0
        until ping -c 1 -W 1 10.9.0.$((3 - me)) >/dev/null; do n=$((n + 1)); [ $n -lt 60 ] || exit 9; done
        dd if=/dev/urandom of=/tmp/f bs=1M count=8 2>/dev/null; md5sum </tmp/f | sed s/^/$me:own:/'
    guest "me=1; $common; nc -l -p 99 >/tmp/g; md5sum </tmp/g | sed s/^/1:got:/
        until nc 10.9.0.2 99 </tmp/f; do sleep 0.2; done" \
        -nic stream,server=on,addr.type=unix,addr.path=s >log1 2>&1 &
    pids="$pids $!"
    wait_for [ -S s ]
    job "me=2; $common; until nc 10.9.0.1 99 </tmp/f; do sleep 0.2; done; nc -l -p 99 >/tmp/g
        md5sum </tmp/g | sed s/^/2:got:/" \
        -nic stream,mac=52:54:00:00:00:02,addr.type=unix,addr.path=s
    wait_for grep -q STATUS log1
    cat log1
    sum() { tr -d '\r' | sed -n "s/^$1:\([0-9a-f]*\).*/\1/p"; }
    one=$(sum 1:own <log1) two=$(sum 2:own <<<"$output")
    [ -n "$one" ] && [ -n "$two" ]
    [ "$(sum 1:got <log1)" = "$two" ]
    [ "$(sum 2:got <<<"$output")" = "$one" ]
}

@test "passt carries a guest's packets" {
    command -v passt >/dev/null || skip "no passt"
    serve
    head -c 3000000 /dev/urandom | base64 -w0 >file
    passt --foreground --socket "$PWD/passt.sock" -a 10.8.0.2 -n 24 -g 10.8.0.1 -M 52:54:00:00:00:01 \
        -D none --runas "$(id -u)" >passt.log 2>&1 &
    pids="$pids $!"
    wait_for [ -S passt.sock ]
    job "wget -q -O /tmp/f http://10.8.0.1:$port/file && md5sum /tmp/f
        wget -q -O /dev/null --post-file=/tmp/f http://10.8.0.1:$port/" \
        -netdev stream,id=n0,addr.type=unix,addr.path=passt.sock -device virtio-net-device,netdev=n0
    cat passt.log
    [[ $output == *"$(sum_of file)  /tmp/f"*"STATUS 0"* ]]
    [ "$(sum_of posted)" = "$(sum_of file)" ]
}

@test "an e1000e card moves 20 MB in and out whole, large frames and odd settings too" {
    load=e1000e
    serve
    head -c 15000000 /dev/urandom | base64 -w0 >file
    sum=$(sum_of file)
    transfer="wget -q -O /tmp/f http://10.0.2.2:$port/file && md5sum /tmp/f
        wget -q -O /dev/null --post-file=/tmp/f http://10.0.2.2:$port/ || exit 7
        cat /sys/class/net/eth0/statistics/*_errors | sort -u"
    job "$transfer; readlink /sys/class/net/eth0/device/driver; ip addr show eth0
        cat /sys/class/net/eth0/speed" -nic user,model=e1000e
    [[ $output == *"$sum  /tmp/f"*"drivers/e1000e"*"inet 10.0.2.15/24"*1000*"STATUS 0"* ]]
    [ "$(sum_of posted)" = "$sum" ]
    # frames of 4000 bytes have their headers split off by this driver
    rm posted
    job "ip link set eth0 down; ip link set eth0 mtu 4000 up; sleep 1; route add default gw 10.0.2.2
        $transfer" -netdev user,id=n0 -device e1000e,netdev=n0,addr=5,mac=52:54:00:00:00:09
    [[ $output == *"$sum  /tmp/f"*"STATUS 0"* ]]
    [ "$(sum_of posted)" = "$sum" ]
}

@test "two e1000e cards exchange frames of 4000 bytes over a stream socket" {
    load=e1000e net=none
    common='ip link set eth0 mtu 4000; ifconfig eth0 10.9.0.$me up; n=0
        until ping -c 1 -W 1 10.9.0.$((3 - me)) >/dev/null; do n=$((n + 1)); [ $n -lt 60 ] || exit 9; done'
    guest "me=1; $common; ping -c 3 -s 3900 10.9.0.2; nc -l -p 99 >/tmp/g; md5sum </tmp/g" \
        -nic stream,model=e1000e,server=on,addr.type=unix,addr.path=s >log1 2>&1 &
    pids="$pids $!"
    wait_for [ -S s ]
    job "me=2; $common; dd if=/dev/urandom of=/tmp/f bs=1M count=8 2>/dev/null; md5sum </tmp/f
        until nc 10.9.0.1 99 </tmp/f; do sleep 0.2; done" \
        -nic stream,model=e1000e,mac=52:54:00:00:00:02,addr.type=unix,addr.path=s
    wait_for grep -q STATUS log1
    cat log1
    grep -q '3 packets received' log1
    sum=$(grep -o '[0-9a-f]\{32\}' log1)
    [ -n "$sum" ]
    [[ $output == *"$sum"* ]]
}

@test "an e1000e card's link goes down and up by set_link" {
    command -v socat >/dev/null || skip "no socat"
    load=e1000e net=none
    guest 'ip link set eth0 up; c=/sys/class/net/eth0/carrier
        until [ "$(cat $c)" = 1 ]; do sleep 0.1; done; echo LINK1
        until [ "$(cat $c)" = 0 ]; do sleep 0.1; done; echo LINK2
        until [ "$(cat $c)" = 1 ]; do sleep 0.1; done; echo LINK3
        udhcpc -i eth0 -n -q' -netdev user,id=n0 -device e1000e,netdev=n0 \
        -monitor unix:mon,server=on,wait=off >log 2>&1 &
    pids="$pids $!"
    tell() { echo "$1" | socat -t1 - UNIX-CONNECT:mon; }
    wait_for grep -q LINK1 log
    tell 'set_link n0 off'
    wait_for grep -q LINK2 log
    tell 'set_link n0 on'
    wait_for grep -q 'lease of 10.0.2.15' log
    wait_for grep -q 'STATUS 0' log
}

@test "U-Boot gets an address with an e1000e card" {
    uboot=$("$BATS_TEST_DIRNAME/../../build/guest.sh" uboot riscv64 | tail -n 1)
    [ -n "$uboot" ] || skip "no U-Boot can be fetched"
    : >log
    # what is typed while it is busy with the network is lost
    { wait_for grep -q '^=> ' log; sleep 1; echo 'ping 10.0.2.2'
        wait_for grep -q 'is alive' log; sleep 1; echo poweroff; } |
        timeout 100 vm-run --arch riscv64 -nographic -m 256 -kernel "$uboot" -nic user,model=e1000e >log 2>&1
    grep -q 'DHCP client bound to address 10.0.2.15' log
    grep -q 'host 10.0.2.2 is alive' log
}

@test "restrict=on keeps a guest from the host" {
    serve
    echo secret >file
    job "wget -T 5 -q -O - http://10.0.2.2:$port/file && echo REACHED" -nic user,restrict=on
    [[ $output != *REACHED* && $output != *secret* ]]
    [[ $output == *"STATUS 1"* ]]
}

@test "no card is there without asking or with -nic none, and cards have addresses in turn" {
    net=none
    job 'ls /sys/class/net' -nic none
    [[ $output != *eth0* && $output == *"STATUS 0"* ]]
    job 'cat /sys/class/net/eth*/address' -nic user -nic user,mac=52:54:00:12:34:57 -netdev user,id=a \
        -device virtio-net-device,netdev=a
    [[ $output == *52:54:00:12:34:56*52:54:00:12:34:57*52:54:00:12:34:58* ]]
}

@test "a back end without a card is a warning, a wrong one an error" {
    net=none
    job true -netdev user,id=lone
    [ "$status" -eq 0 ]
    [[ $output == *"warning: netdev lone has no peer"* ]]
    for args in '-device virtio-net-device,netdev=none' '-nic user,model=rtl8139' \
        '-netdev user,id=a -device virtio-net-device,netdev=a -device virtio-net-device,netdev=a' \
        '-device virtio-net-device,mac=1' '-device virtio-net-device,queues=2' \
        '-device virtio-net-device,rx_queue_size=100' '-device virtio-net-device,duplex=no'; do
        # shellcheck disable=SC2086
        run timeout 60 vm-run -nographic -kernel "$KERNEL" $args </dev/null
        echo "$args: $output"
        [ "$status" -ne 0 ]
        [ "${#lines[@]}" -eq 1 ]
        [[ $output != *__nic* ]] # a name that no user has given
    done
}
