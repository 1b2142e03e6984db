#!/bin/bash
# SPDX-License-Identifier: MIT
# img beside the distribution's qemu-img, nbdcopy (with qemu-nbd where there is a format) and plain cp
# and dd, in one run: wall-clock seconds and the CPU's (user and system), medians, ratios to qemu-img,
# the largest resident size (about 13 MiB are the measuring program's own), and how the output's size
# on disk compares. Where others work on the machine the CPU's ratio says more. Files lie in memory unless --dir says
# otherwise, so that programs are measured and not a disk. What was converted is compared. Everything
# goes to o/bench-img: table.md, results.tsv. Figures never make it fail; a wrong result does.
#   --quick        one run of each instead of three       --runs N    N runs of each
#   --only NAME    one row, by the start of its name; may be repeated
#   --mb N         size of the data (512)                  --dir D     where files are (/dev/shm)
#   --readme       also puts the table into README.md between its bench-img marks
set -u
cd "$(dirname "$0")/.." || exit 1
runs=3 only= failed=0 mb=512 dir=/dev/shm readme=
usage() { sed -n '/^#   --/s/^#   /  /p' "$0" >&2; exit 2; }
while [ $# -gt 0 ]; do
    case $1 in
    --quick) runs=1 ;;
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

peer=qemu-img
. bench/common.sh
out=$PWD/o/bench-img
mkdir -p "$out"
: >"$out/results.tsv"
img=$PWD/o/rel/img
work=$(mktemp -d "$dir/lathe-img-XXXXXX") || exit 1
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
command -v nbdcopy >/dev/null && nbdcopy=yes || nbdcopy=

wanted()
{
    [ -n "$only" ] || return 0
    local o
    for o in $only; do [[ $1 != "$o"* ]] || return 0; done
    return 1
}

# one NAME WHO COMMAND...: seconds, of the CPU, resident KiB, and KiB of output into results.tsv
one()
{
    local name=$1 who=$2 t
    shift 2
    if ! t=$(python3 - "$@" <<'PY'
import os, resource, subprocess, sys, time
begin = time.monotonic()
status = subprocess.call(sys.argv[1:], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
wall, use = time.monotonic() - begin, resource.getrusage(resource.RUSAGE_CHILDREN)
print(f"{wall:.4f} {use.ru_utime + use.ru_stime:.4f} {use.ru_maxrss}")
sys.exit(status)
PY
    ); then
        bad "$who" "$name" "failed" "$*"
        t="wrong 0 0"
    fi
    # shellcheck disable=SC2086
    printf '%s\t%s\t%s\t%s\t%s\t%s\n' "$name" "$who" $t "$(stat -c %b out 2>/dev/null || echo 0)" \
        >>"$out/results.tsv"
}

# row NAME OURS-COMMAND... -- PREPARE: both, in turn; %T is the tool, prepare runs before each
row()
{
    local name=$1 i who tool words prepare=
    shift
    wanted "$name" || return 0
    words=()
    while [ $# -gt 0 ] && [ "$1" != -- ]; do words+=("$1"); shift; done
    [ $# -eq 0 ] || { shift; prepare=$*; }
    for ((i = 0; i < runs; i++)); do
        for who in ours peer; do
            tool=$img
            [ $who = ours ] || tool=$peer
            eval "$prepare"
            one "$name" $who "$tool" "${words[@]}"
        done
    done
    [ "${check-}" = "" ] || { eval "$check" || { bad ours "$name" "another result" "$work"; failed=1; }; }
}

# other NAME WHO COMMAND...: a third way to the same end
other()
{
    local name=$1 who=$2 i
    shift 2
    wanted "$name" || return 0
    for ((i = 0; i < runs; i++)); do
        rm -f out
        eval "${made-}"
        one "$name" "$who" "$@"
    done
}

echo "bench: making $mb MB of data" >&2
# half text and binaries, half noise, holes between
tar cf - /usr/bin /usr/lib/x86_64-linux-gnu 2>/dev/null | head -c $((mb / 2))M >src.raw
head -c $((mb / 2))M /dev/urandom >>src.raw
truncate -s $((2 * mb))M src.raw
qemu-img convert -f raw -O qcow2 src.raw src.qcow2
qemu-img convert -f raw -c -O qcow2 src.raw zlib.qcow2
qemu-img convert -f raw -c -O qcow2 -o compression_type=zstd src.raw zstd.qcow2

check='qemu-img compare -q -f raw src.raw -F $f out'
f=qcow2 row raw-qcow2 convert -f raw -O qcow2 src.raw out -- rm -f out
f=raw row qcow2-raw convert -O raw src.qcow2 out -- rm -f out
f=raw row raw-raw convert -f raw -O raw src.raw out -- rm -f out
f=qcow2 row qcow2-qcow2 convert -O qcow2 src.qcow2 out -- rm -f out
f=qcow2 row raw-zlib convert -f raw -c -O qcow2 src.raw out -- rm -f out
f=qcow2 row raw-zstd convert -f raw -c -O qcow2 -o compression_type=zstd src.raw out -- rm -f out
f=raw row zlib-raw convert -O raw zlib.qcow2 out -- rm -f out
f=raw row zstd-raw convert -O raw zstd.qcow2 out -- rm -f out
check=
other raw-raw cp cp --sparse=always src.raw out
other raw-raw dd dd if=src.raw of=out bs=1M conv=sparse
if [ -n "$nbdcopy" ]; then
    other raw-raw nbdcopy nbdcopy src.raw out
    other qcow2-raw nbdcopy nbdcopy -- [ qemu-nbd -r -f qcow2 src.qcow2 ] out
    other zlib-raw nbdcopy nbdcopy -- [ qemu-nbd -r -f qcow2 zlib.qcow2 ] out
    other zstd-raw nbdcopy nbdcopy -- [ qemu-nbd -r -f qcow2 zstd.qcow2 ] out
    made='qemu-img create -q -f qcow2 out $(stat -c %s src.raw)'
    other raw-qcow2 nbdcopy nbdcopy src.raw -- [ qemu-nbd -f qcow2 out ]
    other qcow2-qcow2 nbdcopy nbdcopy -- [ qemu-nbd -r -f qcow2 src.qcow2 ] [ qemu-nbd -f qcow2 out ]
    made=
fi
# pipes: one has no qemu-img to compare with
other pipe-raw-qcow2 img sh -c "cat src.raw | $img convert -O qcow2 - out"
other pipe-qcow2-raw img sh -c "$img convert -O raw src.qcow2 - | cat >out"
row compare compare -f raw src.raw src.qcow2
row check check src.qcow2

if wanted sparse || wanted big; then
    truncate -s 1T sparse.raw
    for at in 0 100 300 500 700 1000; do
        dd if=/dev/urandom of=sparse.raw bs=64k count=1 seek=$((at * 16384)) conv=notrunc status=none
    done
    qemu-img convert -f raw -O qcow2 sparse.raw sparse.qcow2
    row sparse-raw-qcow2 convert -f raw -O qcow2 sparse.raw out -- rm -f out
    row sparse-qcow2-raw convert -O raw sparse.qcow2 out -- rm -f out
    row sparse-map map --output=json sparse.qcow2
    row sparse-compare compare -f raw sparse.raw sparse.qcow2
    row sparse-check check sparse.qcow2
    # tables of a full terabyte, without its data: check's memory is per TiB
    if wanted big; then
        qemu-img create -q -f qcow2 -o preallocation=metadata big.qcow2 1T
        row big-map map --output=json big.qcow2
        row big-check check big.qcow2
    fi
    rm -f sparse.* big.*
fi
if wanted chain; then
    qemu-img convert -f raw -O qcow2 src.raw c0.qcow2
    for i in 1 2 3 4 5 6 7 8 9 10; do
        qemu-img create -q -f qcow2 -b c$((i - 1)).qcow2 -F qcow2 c$i.qcow2
        qemu-io -c "write -P $i $((i * 3))M 2M" c$i.qcow2 >/dev/null
    done
    row chain-convert convert -O raw c10.qcow2 out -- rm -f out
    row chain-map map --output=json c10.qcow2
    rm -f c*.qcow2
fi
row create create -q -f qcow2 new.qcow2 100G -- rm -f new.qcow2
row info info src.qcow2
row snapshot snapshot -c s src.qcow2 -- 'qemu-img snapshot -d s src.qcow2 2>/dev/null'
row resize resize -q src.qcow2 +1G

cd - >/dev/null || exit 1
others() { awk -F'\t' '$2 != "ours" && $2 != "peer" && !s[$2]++ { print $2 }' "$out/results.tsv"; }
value() { awk -F'\t' -v n="$1" -v w="$2" -v c="$3" '$1 == n && $2 == w { print $c }' "$out/results.tsv" | median; }
{
    echo "| job | ours, s | qemu-img, s | ours/qemu-img | of the CPU | ours, MiB | qemu-img, MiB | size | others, s |"
    echo "|---|---|---|---|---|---|---|---|---|"
    for n in $(cut -f1 "$out/results.tsv" | awk '!s[$0]++'); do
        more=
        for w in $(others); do
            v=$(value "$n" "$w" 3)
            [ -z "$v" ] || [ "$v" = 0 ] || more="$more $w $(printf %.2f "$v")"
        done
        a=$(value "$n" ours 3) b=$(value "$n" peer 3)
        awk -v n="$n" -v a="$a" -v b="$b" -v c="$(value "$n" ours 4)" -v d="$(value "$n" peer 4)" -v m="${more# }" \
            -v x="$(value "$n" ours 5)" -v y="$(value "$n" peer 5)" -v s="$(value "$n" ours 6)" \
            -v t="$(value "$n" peer 6)" 'BEGIN {
            if (a == 0 && b == 0) { # no such thing with qemu-img
                printf "| %s | - | - | - | - | - | - |  | %s |\n", n, m
                exit
            }
            printf "| %s | %.3f | %.3f | %.2f | %.2f | %d | %d | %s | %s |\n", n, a, b, b ? a / b : 0, d ? c / d : 0,
                x / 1024, y / 1024, s && t ? sprintf("%.3f", s / t) : "", m }'
    done
} | tee "$out/table.md"
if [ -n "$readme" ]; then
    awk -v table="$out/table.md" '/<!-- bench-img -->/ { print; while ((getline l < table) > 0) print l; skip = 1; next }
        /<!-- bench-img end -->/ { skip = 0 } !skip' README.md >"$out/README" && cp "$out/README" README.md
fi
exit $failed
