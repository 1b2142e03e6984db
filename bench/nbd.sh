#!/bin/bash
# SPDX-License-Identifier: MIT
# nbd beside the distribution's nbdkit and qemu-nbd, and beside what a bare pair of such sockets (with TLS: a
# bare gnutls loop) moves here, from memory and from and to the same disk, in one run: operations a second, medians, as ratios. The disk is a file in
# memory, a copy for each server, so that servers are measured and not a disk; the client is bench/io/nbdload.c
# for all. Everything goes to o/bench-nbd: table.md, results.tsv. Figures never make it fail.
#   --quick        half a second a cell instead of two       --runs N    N rounds (1)
#   --only WORD    cells with WORD in their name; may be repeated
#   --mb N         size of the disk (512)                     --dir D     where it is (/dev/shm)
#   --readme       also puts the table into README.md between its bench-nbd marks
set -u
cd "$(dirname "$0")/.." || exit 1
runs=1 only= failed=0 mb=512 dir=/dev/shm readme= seconds=2
usage() { sed -n '/^#   --/s/^#   /  /p' "$0" >&2; exit 2; }
while [ $# -gt 0 ]; do
    case $1 in
    --quick) seconds=0.5 ;;
    --runs) [ $# -gt 1 ] || usage; runs=$2; shift ;;
    --only) [ $# -gt 1 ] || usage; only="$only $2"; shift ;;
    --mb) [ $# -gt 1 ] || usage; mb=$2; shift ;;
    --dir) [ $# -gt 1 ] || usage; dir=$2; shift ;;
    --readme) readme=yes ;;
    *) usage ;;
    esac
    shift
done
[[ $runs =~ ^[1-9][0-9]*$ && $mb =~ ^[1-9][0-9]*$ ]] || usage

peer=qemu-nbd
. bench/common.sh
out=$PWD/o/bench-nbd
mkdir -p "$out"
: >"$out/results.tsv"
nbd=${NBD:-$PWD/o/rel/nbd}
${CC:-cc} -O2 -o "$out/nbdload" bench/io/nbdload.c -lgnutls -lpthread || exit 1
load=$out/nbdload
work=$(mktemp -d "$dir/lathe-nbd-XXXXXX") || exit 1
pids=
cleanup()
{
    # shellcheck disable=SC2086
    [ -z "$pids" ] || kill $pids 2>/dev/null
    rm -rf "$work"
}
trap cleanup EXIT

head -c "${mb}M" /dev/urandom >"$work/ours.raw"
servers=ours
mkdir "$work/tls"
echo "bench:$(head -c 32 /dev/urandom | od -An -tx1 | tr -d ' \n')" >"$work/tls/keys.psk"

# start NAME PORT COMMAND...: it listens on a Unix socket and on a port
start() { "${@:2}" >"$work/$1.log" 2>&1 & pids="$pids $!"; }
up() # ADDRESS
{
    for _ in $(seq 100); do "$load" "$1" read 4096 1 1 0 ${2-} >/dev/null 2>&1 && return 0; sleep 0.1; done
    die "$1 does not answer: $(cat "$work"/*.log)"
}

port=$((20000 + $$ % 20000))
psk=$work/tls/keys.psk
creds=tls-creds-psk,id=t,dir=$work/tls,endpoint=server
start ours "$nbd" -f raw -k "$work/ours.sock" "$work/ours.raw"
peers=
if command -v nbdkit >/dev/null; then
    peers="$peers nbdkit"
    cp "$work/ours.raw" "$work/nbdkit.raw"
    start nbdkit nbdkit -f -U "$work/nbdkit.sock" file "$work/nbdkit.raw"
fi
if [ -n "$peer" ]; then
    peers="$peers qemu-nbd"
    cp "$work/ours.raw" "$work/qemu-nbd.raw"
    start qemu-nbd qemu-nbd -f raw -k "$work/qemu-nbd.sock" -t -e 0 "$work/qemu-nbd.raw"
fi
for s in $servers $peers; do up "unix:$work/$s.sock"; done

# again NAME WHERE: the same servers on another kind of connection
again()
{
    # shellcheck disable=SC2086
    kill $pids; wait $pids 2>/dev/null; pids=
    case $1 in
    tcp)
        start ours "$nbd" -f raw -b 127.0.0.1 -p $port "$work/ours.raw"
        [[ $peers != *nbdkit* ]] || start nbdkit nbdkit -f -i 127.0.0.1 -p $((port + 1)) file "$work/nbdkit.raw"
        [[ $peers != *qemu-nbd* ]] ||
            start qemu-nbd qemu-nbd -f raw -b 127.0.0.1 -p $((port + 2)) -t -e 0 "$work/qemu-nbd.raw"
        ;;
    tls)
        start ours "$nbd" -f raw -b 127.0.0.1 -p $port --object "$creds" --tls-creds t "$work/ours.raw"
        [[ $peers != *nbdkit* ]] || start nbdkit nbdkit -f -i 127.0.0.1 -p $((port + 1)) --tls=require \
            --tls-psk="$psk" file "$work/nbdkit.raw"
        [[ $peers != *qemu-nbd* ]] || start qemu-nbd qemu-nbd -f raw -b 127.0.0.1 -p $((port + 2)) -t -e 0 \
            --object "$creds" --tls-creds t "$work/qemu-nbd.raw"
        ;;
    esac
    for s in $servers $peers; do up "$(address "$1" "$s")" "$([ "$1" != tls ] || echo "$psk")"; done
}

address()
{
    case $1-$2 in
    unix-*) echo "unix:$work/$2.sock" ;;
    *-ours) echo "tcp:127.0.0.1:$port" ;;
    *-nbdkit) echo "tcp:127.0.0.1:$((port + 1))" ;;
    *) echo "tcp:127.0.0.1:$((port + 2))" ;;
    esac
}

wanted()
{
    [ -n "$only" ] || return 0
    local o
    for o in $only; do [[ $1 != *"$o"* ]] || return 0; done
    return 1
}

# cell WHERE WHAT BYTES DEPTH CONNECTIONS
cell()
{
    local name="$1 $2 $(($3 / 1024))K, depth $4, $5 conn." i who rate
    shift
    wanted "$name" || return 0
    for ((i = 0; i < runs; i++)); do
        for who in $servers $peers bare work; do
            local to
            to=echo:$([ "$where" = unix ] && echo unix || echo tcp)
            case $who in
            bare) ;;
            work) to=$to:$work/ours.raw ;;
            *) to=$(address "$where" "$who") ;;
            esac
            # shellcheck disable=SC2046
            rate=$("$load" "$to" "$@" "$seconds" $([ "$where" != tls ] || echo "$psk") 2>"$out/error") || {
                bad "$who" "$name" "failed" "$out/error"
                rate="0 0"
            }
            printf '%s\t%s\t%s\n' "$name" "$who" "${rate% *}" >>"$out/results.tsv"
        done
    done
}

for where in unix tcp tls; do
    [ -z "$only" ] || [[ $only == *$where* || $only != *unix* && $only != *t[cl]* ]] || continue
    [ $where = unix ] || again $where
    for what in randread randwrite; do
        for depth in 1 16 64; do cell $where $what 4096 $depth 1; done
        for depth in 1 16; do cell $where $what 65536 $depth 1; done
        for depth in 1 16; do cell $where $what 1048576 $depth 1; done
        cell $where $what 4096 16 4
        cell $where $what 1048576 4 4
    done
done

value() { awk -F'\t' -v n="$1" -v w="$2" '$1 == n && $2 == w { print $3 }' "$out/results.tsv" | median; }
{
    echo "| job | ours, op/s | nbdkit | qemu-nbd | ours/better | bare | bare with the disk | ours of that |"
    echo "|---|---|---|---|---|---|---|---|"
    cut -f1 "$out/results.tsv" | awk '!s[$0]++' | while read -r n; do
        awk -v n="$n" -v a="$(value "$n" ours)" -v b="$(value "$n" nbdkit)" -v c="$(value "$n" qemu-nbd)" \
            -v d="$(value "$n" bare)" -v e="$(value "$n" work)" 'BEGIN { m = b > c ? b : c
            printf "| %s | %d | %d | %d | %.2f | %d | %d | %.2f |\n", n, a, b, c, m ? a / m : 0, d, e, e ? a / e : 0 }'
    done
} | tee "$out/table.md"
awk -F'|' 'NR > 2 && $6 > 0 { s += log($6); n++; if (!least || $6 < least) least = $6 }
    $2 ~ /tls/ && $3 > 0 && $7 > 0 && $9 > 0 { t += log($3 / $7); u += log($9); k++ }
    END { if (n) printf "\nAgainst the better of the two: %.2f in geometric mean, least %.2f", exp(s / n), least
          if (k) printf "; with TLS %.2f of the bare gnutls loop, %.2f of one that reads and writes the disk", exp(t / k), exp(u / k)
          print "." }' "$out/table.md" | tee -a "$out/table.md"
if [ -n "$readme" ]; then
    awk -v table="$out/table.md" '/<!-- bench-nbd -->/ { print; while ((getline l < table) > 0) print l; skip = 1; next }
        /<!-- bench-nbd end -->/ { skip = 0 } !skip' README.md >"$out/README" && cp "$out/README" README.md
fi
exit $failed
