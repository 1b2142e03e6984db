#!/bin/bash
# SPDX-License-Identifier: MIT
# fsd beside the distribution's virtiofsd and beside the host's own file system, in one run: a front end of
# its own (bench/fsload.c) asks all of them the same, so that daemons are measured and no guest. The
# files are in memory. Everything goes to o/bench-fsd: table.md, results.tsv. Figures never make it fail.
# Debian's virtiofsd has one queue for requests: it stands beside ours with one and with four.
#   --quick        half a second a cell instead of two       --runs N    N rounds (1)
#   --only WORD    cells with WORD in their name; may be repeated
#   --dir D        where the files are (/dev/shm)             --readme    also into README.md, between its bench-fsd marks
set -u
cd "$(dirname "$0")/.." || exit 1
runs=1 only= failed=0 dir=/dev/shm readme= seconds=2
usage() { sed -n '/^#   --/s/^#   /  /p' "$0" >&2; exit 2; }
while [ $# -gt 0 ]; do
    case $1 in
    --quick) seconds=0.5 ;;
    --runs) [ $# -gt 1 ] || usage; runs=$2; shift ;;
    --only) [ $# -gt 1 ] || usage; only="$only $2"; shift ;;
    --dir) [ $# -gt 1 ] || usage; dir=$2; shift ;;
    --readme) readme=yes ;;
    *) usage ;;
    esac
    shift
done
[[ $runs =~ ^[1-9][0-9]*$ ]] || usage
peer=/usr/lib/qemu/virtiofsd
. bench/common.sh
out=$PWD/o/bench-fsd
mkdir -p "$out"
: >"$out/results.tsv"
o=${LATHE_O:-o/rel}
${MAKE:-make} -s "$o/bench/fsload" "$o/fsd" || exit 1
load=$o/bench/fsload
work=$(mktemp -d "$dir/lathe-fsd-XXXXXX") || exit 1
pid=
trap '[ -z "$pid" ] || kill $pid 2>/dev/null; rm -rf "$work"' EXIT
mkdir "$work/ours" "$work/peer" "$work/host"

# daemon WHO: it waits for a front end on $work/s
daemon()
{
    rm -f "$work/s"
    case $1 in
    ours) "${FSD:-$o/fsd}" --socket-path="$work/s" --shared-dir="$work/ours" >"$work/log" 2>&1 & ;;
    peer) $peer --socket-path="$work/s" -o source="$work/peer" -o sandbox=chroot >"$work/log" 2>&1 & ;;
    esac
    pid=$!
    for _ in $(seq 100); do [ ! -S "$work/s" ] || return 0; sleep 0.02; done
}

# cell WORKLOAD QUEUES
cell()
{
    local name="$1, $2 queues" i who rate
    [ "$2" != 1 ] || name="$1, 1 queue"
    [ -z "$only" ] || { for i in $only; do [[ $name != *$i* ]] || break; done; [[ $name == *$i* ]]; } || return 0
    for ((i = 0; i < runs; i++)); do
        for who in ours peer host; do
            local to=$work/s queues=$2
            [ $who != peer ] || queues=1
            if [ $who = host ]; then to=$work/host; elif [ $who = peer ] && [ ! -x $peer ]; then continue; else daemon $who; fi
            rate=$(timeout 60 "$load" "$to" "$1" $queues $seconds 2>"$out/error") || {
                bad "$who" "$name" "failed" "$out/error"
                rate=0
            }
            [ $who = host ] || { kill $pid 2>/dev/null; wait $pid 2>/dev/null; pid=; }
            printf '%s\t%s\t%s\n' "$name" "$who" "$rate" >>"$out/results.tsv"
        done
    done
}

for queues in 1 4; do
    for job in seqread seqwrite randread randwrite stat create small list; do cell $job $queues; done
done

value() { awk -F'\t' -v n="$1" -v w="$2" '$1 == n && $2 == w { print $3 }' "$out/results.tsv" | median; }
{
    echo "| job | ours | virtiofsd | ours/virtiofsd | host | ours/host |"
    echo "|---|---|---|---|---|---|"
    cut -f1 "$out/results.tsv" | awk '!s[$0]++' | while read -r n; do
        awk -v n="$n" -v a="$(value "$n" ours)" -v b="$(value "$n" peer)" -v c="$(value "$n" host)" 'BEGIN {
            printf "| %s | %d | %d | %.2f | %d | %.2f |\n", n, a, b, b ? a / b : 0, c, c ? a / c : 0 }'
    done
} | tee "$out/table.md"
awk -F'|' 'NR > 2 && $5 > 0 { if (!least || $5 < least) least = $5; s += log($5); n++
        if ($2 ~ /stat|create|small|list/) { m += log($5); k++ } }
    END { if (n) printf "\nOf virtiofsd: %.2f in geometric mean, least %.2f", exp(s / n), least
          if (k) printf "; metadata %.2f", exp(m / k)
          print ". seqread, seqwrite: MiB/s; small: files/s; list: entries/s; else operations/s." }' "$out/table.md" | tee -a "$out/table.md"
if [ -n "$readme" ]; then
    awk -v table="$out/table.md" '/<!-- bench-fsd -->/ { print; while ((getline l < table) > 0) print l; skip = 1; next }
        /<!-- bench-fsd end -->/ { skip = 0 } !skip' README.md >"$out/README" && cp "$out/README" README.md
fi
exit $failed
