#!/bin/bash
# SPDX-License-Identifier: MIT
# How fast a guest's data moves: vm-run against the distribution's qemu-system-riscv64, with the same
# kernel, initrd and command lines, taken in turn in one run; medians, in MB/s by the guest's clock.
# What moved is compared by checksum. Everything goes to o/bench: io.md, io.tsv, log/io-*. Installs
# nothing. Figures never make it fail; wrong data, a hang or a crash does.
#   --quick        one run of each instead of three       --runs N    N runs of each
#   --only NAME    one part (net, disk) or one line (net-user, net-e1000e, net-passt, disk-virtio-blk-pci-none,
#                  disk-nvme-writeback...); may be repeated
#   --mb N         how much is moved each way (64)    --seconds S   of each measure of a disk (1.5)
#   --dir D        where the disks' image lies (/dev/shm: the host's own disk is not to be measured)
#   --readme       also puts the table into README.md between its bench-io marks
set -u
cd "$(dirname "$0")/.." || exit 1
runs=3 only= failed=0 mb=64 seconds=1.5 readme= dir=/dev/shm
usage() { sed -n '/^#   --/s/^#   /  /p' "$0" >&2; exit 2; }
while [ $# -gt 0 ]; do
    case $1 in
    --quick) runs=1 ;;
    --runs) [ $# -gt 1 ] || usage; runs=$2; shift ;;
    --only) [ $# -gt 1 ] || usage; only="$only $2"; shift ;;
    --readme) readme=yes ;;
    --dir) [ $# -gt 1 ] || usage; dir=$2; shift ;;
    --seconds) [ $# -gt 1 ] || usage; seconds=$2; shift ;;
    --mb) [ $# -gt 1 ] || usage; mb=$2; shift ;;
    *) usage ;;
    esac
    shift
done
[[ $runs =~ ^[1-9][0-9]*$ && $mb =~ ^[1-9][0-9]*$ && $seconds =~ ^[0-9.]+$ ]] || usage

out=o/bench
. bench/common.sh
for c in python3 base64 md5sum; do
    command -v $c >/dev/null || die "$c is missing"
done
kernel=$(build/guest.sh kernel riscv64) && initrd=$(build/guest.sh initrd-io riscv64) || exit 1
mkdir -p $out/log $out/io
rm -f $out/log/io-*
: >$out/io.tsv
pids= load= card=
image=
trap '[ -z "$pids" ] || kill $pids 2>/dev/null; [ -z "$image" ] || rm -f "$image"' EXIT

wanted() { [ -z "$only" ] || [[ " $only " == *" $1 "* || " $only " == *" ${1%%-*} "* ]]; }

# run WHO LOG SCRIPT OPTION...: one boot that runs the script
run()
{
    local who=$1 log=$2 script=$3
    shift 3
    local modules=${load:+lathe.load=$load }
    if [ "${1-}" = -append-load ]; then
        modules="lathe.load=$2 "
        shift 2
    fi
    set -- -M virt -smp 1 -m 1G -nographic -kernel "$kernel" -initrd "$initrd" \
        -append "console=ttyS0 quiet $modules$(job "$script")" "$@"
    if [ "$who" = ours ]; then
        cpu "$log" o/rel/vm-run "$@"
    else
        cpu "$log" $peer -accel tcg "$@"
    fi
}

# record NAME WHO LOG: lines "RATE what seconds bytes" of the guest's become io.tsv
record()
{
    tr -d '\r' <"$3" | awk -v n="$1" -v w="$2" '$1 == "RATE" && $3 > 0 {
        printf "%s-%s\t%s\t%.2f\n", n, $2, w, $4 / $3 / 1e6 }' >>$out/io.tsv
}

# A guest's words: timed NAME BYTES COMMAND...
timed='timed() {
    n=$1 b=$2; shift 2
    read s x </proc/uptime; "$@" || echo FAILED; read e x </proc/uptime
    echo RATE $n $(awk "BEGIN { print $e - $s }") $b
}'

# ---- network: a file in and out over HTTP, the host's end being one Python server

serve()
{
    head -c $((mb * 786432)) /dev/urandom | base64 -w0 >$out/io/file # text: see busybox wget
    sum=$(md5sum <$out/io/file | cut -d ' ' -f 1)
    cat >$out/io/server.py <<'END'
import http.server, os
class Handler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args): pass
    def do_POST(self):
        left = int(self.headers['Content-Length'])
        with open('posted', 'wb') as f:
            while left:
                data = self.rfile.read1(min(left, 1 << 20))
                if not data: break
                f.write(data)
                left -= len(data)
        self.send_response(200)
        self.end_headers()
server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Handler)
print(server.server_port, flush=True)
server.serve_forever()
END
    rm -f $out/io/port
    (cd $out/io && exec python3 server.py >port 2>server.log) &
    pids="$pids $!"
    for _ in $(seq 100); do
        [ ! -s $out/io/port ] || break
        sleep 0.1
    done
    port=$(cat $out/io/port) && [ -n "$port" ] || die "the HTTP server does not start: $out/io/server.log"
}

# net_case NAME HOST NETDEV [BEFORE]: BEFORE is run first, in this shell
net_case()
{
    local name=$1 host=$2 netdev=$3 before=${4-:} who i log
    wanted "$name" || return 0
    for ((i = 1; i <= runs; i++)); do
        for who in $machines; do
            log=$out/log/io-$name.$who.$i
            rm -f $out/io/posted
            $before
            run "$who" "$log" "$timed
                udhcpc -i eth0 -n -q >/dev/null 2>&1
                timed in $((mb * 1048576)) wget -q -O /tmp/f http://$host:$port/file
                md5sum </tmp/f
                timed out $((mb * 1048576)) wget -q -O /dev/null --post-file=/tmp/f http://$host:$port/" \
                -netdev "$netdev" -device "${card:-virtio-net-device},netdev=n0" >>$out/io/cpu &&
                grep -qa "$sum" "$log" && ! grep -qa FAILED "$log" &&
                [ "$(md5sum <$out/io/posted | cut -d ' ' -f 1)" = "$sum" ] ||
                bad "$who" "$name" "did not move what it should" "$log"
            record "$name" "$who" "$log"
        done
    done
}

start_passt()
{
    rm -f $out/io/passt.sock
    passt --foreground --one-off --socket "$PWD/$out/io/passt.sock" -a 10.8.0.2 -n 24 -g 10.8.0.1 \
        -M 52:54:00:00:00:01 -D none --runas "$(id -u)" >$out/io/passt.log 2>&1 &
    pids="$pids $!"
    for _ in $(seq 50); do
        [ ! -S $out/io/passt.sock ] || break
        sleep 0.1
    done
}

part_net()
{
    wanted net-user || wanted net-e1000e || wanted net-passt || return 0
    serve
    net_case net-user 10.0.2.2 user,id=n0
    load=e1000e card=e1000e,romfile= net_case net-e1000e 10.0.2.2 user,id=n0
    if command -v passt >/dev/null; then
        net_case net-passt 10.8.0.1 "stream,id=n0,server=off,addr.type=unix,addr.path=$out/io/passt.sock" \
            start_passt
    elif wanted net-passt; then
        echo "bench: no passt: its lines stay out" >&2
    fi
}

# ---- disks: direct I/O of a small static program (bench/io/diskio.c) in the guest, on a raw file

disk_size=256 # MiB

# disk_case DEVICE CACHE
disk_case()
{
    local device=$1 cache=$2 name=disk-$1-$2 who i log options=drive=d0
    wanted "$name" || return 0
    [ "$device" != nvme ] || options="$options,serial=bench"
    for ((i = 1; i <= runs; i++)); do
        for who in $machines; do
            log=$out/log/io-$name.$who.$i
            initrd=$out/io/initrd run "$who" "$log" "d=/dev/vda; [ -e \$d ] || d=/dev/nvme0n1
                /diskio \$d $seconds" -append-load nvme \
                -drive "file=$image,format=raw,if=none,id=d0,cache=$cache" \
                -device "$device,$options" >>$out/io/cpu && grep -qa DISKIO-DONE "$log" ||
                bad "$who" "$name" "did not do its requests" "$log"
            record "$name" "$who" "$log"
        done
    done
}

part_disk()
{
    local cross=riscv64-linux-gnu-gcc device cache
    wanted disk || [[ " $only" == *" disk-"* ]] || return 0
    command -v $cross >/dev/null && command -v cpio >/dev/null || {
        echo "bench: no $cross or cpio: the disks stay out" >&2
        return 0
    }
    mkdir -p $out/io/tree
    $cross -O2 -static -o $out/io/tree/diskio bench/io/diskio.c || die "cannot build diskio"
    { cat "$initrd"; (cd $out/io/tree && echo diskio | cpio --quiet -o -H newc -R 0:0) | gzip -1; } >$out/io/initrd
    image=$(mktemp "$dir/lathe-bench-XXXXXX") && head -c ${disk_size}M /dev/urandom >"$image" ||
        die "no room for an image in $dir"
    for device in virtio-blk-pci virtio-blk-device nvme; do
        for cache in none writeback; do
            disk_case $device $cache
        done
    done
}

part_net
part_disk

# ---- the table
of() { awk -F'\t' -v n="$1" -v w="$2" '$1 == n && $2 == w { print $3 }' $out/io.tsv | median; }
{
    echo "| MB/s | vm-run | qemu-system | vm-run / qemu |"
    echo "|---|--:|--:|--:|"
    for n in $(cut -f 1 $out/io.tsv | awk '!seen[$0]++'); do
        echo "$n $(of "$n" ours) ${peer:+$(of "$n" peer)}" | awk '{
            printf "| %s | %.1f | %s | %s |\n", $1, $2, $3 ? sprintf("%.1f", $3) : "-",
                   $3 ? sprintf("%.2f", $2 / $3) : "-" }'
    done
    echo
    echo "$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1), medians of $runs; disks: direct I/O in the guest, image in $dir, sequential 256 KiB 4 at a time, random 4 KiB 32 at a time (randread1: one at a time); network: $mb MiB each way; ${peer:+$($peer --version | head -n 1 | sed 's/ (.*//; s/emulator version //'), }guest Debian riscv64 Linux, 1 CPU. A ratio above 100 is no speed: there the peer's device stalls until the guest's driver waits no more."
} >$out/io.md
cat $out/io.md
if [ -n "$readme" ]; then
    grep -q '^<!-- bench-io -->$' README.md && grep -q '^<!-- /bench-io -->$' README.md ||
        die "README.md has no bench-io marks"
    awk -v table=$out/io.md '
        /^<!-- bench-io -->$/ { print; while ((getline line < table) > 0) print line; skip = 1 }
        /^<!-- \/bench-io -->$/ { skip = 0 }
        !skip' README.md >$out/README && cat $out/README >README.md
fi
[ $failed = 0 ] || echo "bench: vm-run moved wrong data: see above" >&2
exit $failed
