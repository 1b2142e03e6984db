#!/bin/bash
# SPDX-License-Identifier: MIT
# vm-user beside the distribution's qemu-user and native programs, for each ISA in one run: the kernels
# of bench/kernels and the programs of bench/programs, which come from Debian's packages (native: this
# machine's own, where it has them). Figures are user CPU seconds of the whole emulator, user and system
# for the group sys; medians. Everything goes to o/bench-user: table.md, results.tsv, log/. Figures never
# make it fail; a wrong result, a hang or a crash does.
#   --quick        one run of each instead of three       --runs N    N runs of each
#   --only NAME    one group (int fp vec mem call interp prog sys) or one row; may be repeated
#   --isa NAME     one ISA (riscv64 aarch64) instead of all
#   --readme       also puts the table into README.md between its bench-user marks
set -u
cd "$(dirname "$0")/.." || exit 1
runs=3 readme= only= failed=0 isas="riscv64 aarch64"
usage() { sed -n '/^#   --/s/^#   /  /p' "$0" >&2; exit 2; }
while [ $# -gt 0 ]; do
    case $1 in
    --quick) runs=1 ;;
    --runs) [ $# -gt 1 ] || usage; runs=$2; shift ;;
    --only) [ $# -gt 1 ] || usage; only="$only $2"; shift ;;
    --isa) [[ " $isas " == *" ${2:-} "* ]] || usage; isas=$2; shift ;;
    --readme) readme=yes ;;
    *) usage ;;
    esac
    shift
done
[[ $runs =~ ^[1-9][0-9]*$ ]] || usage

peer=qemu-${isas%% *}
. bench/common.sh
out=$PWD/o/bench-user
mkdir -p "$out"/{native,log,work}
rm -f "$out"/log/*
: >"$out/results.tsv"
for isa in $isas; do
    mkdir -p "$out/$isa"
    command -v "$isa-linux-gnu-gcc" >/dev/null || die "$isa-linux-gnu-gcc is missing: build/deps.sh bench installs it"
done
# of an ISA: the other emulator, if there; Debian's name
peer_of() { command -v "qemu-$1"; }
debian_of() { case $1 in aarch64) echo arm64 ;; *) echo "$1" ;; esac; }

wanted() { [ -z "$only" ] || [[ " $only " == *" $1 "* || " $only " == *" ${1%%-*} "* ]]; }

# row NAME WHO WANT COMMAND...: runs it, notes its figure, prints what it said
row()
{
    local name=$1 who=$2 want=$3 log=$out/log/$1.$2.$i t said status # who: native, ours-ISA, peer-ISA
    shift 3
    t=$(cd "$out/work" && times "$log" "$@")
    status=$?
    said=$(head -n 1 "$log" | tr -cd '[:print:]\n' | awk '{ print $1, $2 }')
    case $name in sys-*) t=$(echo "$t" | awk '{ print $1 + $2 }') ;; *) t=${t% *} ;; esac
    if [ $status != 0 ]; then
        bad "$who" "$name" "status $status" "$log"
        t=wrong
    elif [ -n "$want" ] && [ "$said" != "$want" ]; then
        bad "$who" "$name" "said '$said', not '$want'" "$log"
        t=wrong
    fi
    printf '%s\t%s\t%s\n' "$name" "$who" "$t" >>"$out/results.tsv"
    echo "$said"
}

show()
{
    awk -F'\t' -v n="$1" '$1 == n { printf "%s %s %s s", s++ ? "," : "", $2, $3 } END { print "" }' \
        "$out/results.tsv" | sed "s/^/$1:/"
}

# One kernel for all: only the group vec is for the compilers' vectors.
for src in bench/kernels/*.c; do
    n=$(basename "$src" .c) fma= flags="-ffp-contract=off -Wall -Wextra"
    wanted "$n" || continue
    case $n in vec-*) flags="-O3 $flags" ;; *) flags="-O2 -fno-tree-vectorize $flags" ;; esac
    [ "$n" != fp-fma ] || ! grep -qw fma /proc/cpuinfo || fma=-mfma
    # shellcheck disable=SC2086
    cc $flags $fma -o "$out/native/$n" "$src" -lm || die "cannot build $n"
    for isa in $isas; do
        # shellcheck disable=SC2086
        "$isa-linux-gnu-gcc" $flags -static -o "$out/$isa/$n" "$src" -lm || die "cannot build $n"
    done
    for ((i = 1; i <= runs; i++)); do
        sum=$(row "$n" native '' "$out/native/$n")
        for isa in $isas; do
            row "$n" "ours-$isa" "$sum" "$PWD/o/rel/vm-user" "$out/$isa/$n" >/dev/null
            peer=$(peer_of "$isa") && row "$n" "peer-$isa" "$sum" "$peer" "$out/$isa/$n" >/dev/null
        done
    done
    show "$n"
done

# ---- programs: name, file natively ("-": not compared), file of the guest, arguments; @NAME is work/NAME
programs=$(awk '/^[a-z]+-/ { print $1 }' bench/programs)
list=
for n in $programs; do ! wanted "$n" || list="$list $n"; done
if [ -n "$list" ]; then
    declare -A root
    for isa in $isas; do
        # shellcheck disable=SC2046
        root[$isa]=$(build/guest.sh sysroot "$(debian_of "$isa")" $(sed -n "s/^packages \(all\|$isa\) //p" bench/programs)) || exit 1
    done
    (cd "$out/work" && sh ../../../bench/inputs.sh) || die "cannot make the inputs"
    for n in $list; do
        read -r _ native guest args <<<"$(grep "^$n " bench/programs)"
        for ((i = 1; i <= runs; i++)); do
            if [ "$native" != - ] && command -v "$native" >/dev/null; then
                eval "row $n native '' $native $args" >/dev/null
            fi
            for isa in $isas; do
                want= file=$(ls -d ${root[$isa]}/$guest 2>/dev/null | head -n 1)
                [ -n "$file" ] || die "$n: no $guest in ${root[$isa]}"
                peer=$(peer_of "$isa") && ! grep -qx "alone $n" bench/programs &&
                    want=$(eval "row $n peer-$isa '' $peer -L ${root[$isa]} $file $args")
                eval "row $n ours-$isa \"\$want\" $PWD/o/rel/vm-user -L ${root[$isa]} $file $args" >/dev/null
            done
        done
        show "$n"
    done
fi

# ---- the tables
for isa in $isas; do
    peer=$(peer_of "$isa")
    echo "| CPU time, $isa | native, s | vm-user, s | ratio to native | qemu-user, s | qemu / vm-user |"
    echo "|---|--:|--:|--:|--:|--:|"
    awk -F'\t' -v isa="$isa" '
        function med(key,    c, i, j, t, a) {
            c = split(all[key], a, " ")
            for (i = 2; i <= c; i++)
                for (j = i; j > 1 && a[j] + 0 < a[j - 1] + 0; j--) { t = a[j]; a[j] = a[j - 1]; a[j - 1] = t }
            for (i = 1; i <= c; i++) if (a[i] == "wrong") return ""
            return c == 0 ? "" : c % 2 ? a[(c + 1) / 2] : (a[c / 2] + a[c / 2 + 1]) / 2
        }
        function f(x, d) { return x == "" ? "-" : sprintf("%.*f", d, x) }
        function over(a, b) { return a == "" || b == "" || b + 0 == 0 ? "" : a / b }
        function mean(g) {
            printf "| **%s, geometric mean** | | | **%s** | | **%s** |\n", g,
                f(nr[g] ? exp(r[g] / nr[g]) : "", 2), f(np[g] ? exp(p[g] / np[g]) : "", 1)
        }
        { key = $1 "\t" $2; all[key] = all[key] " " $3
          if (!($1 in seen)) { seen[$1] = 1; order[++count] = $1 } }
        END {
            for (i = 1; i <= count; i++) {
                n = order[i]; g = n; sub(/-.*/, "", g)
                if (last != "" && g != last) mean(last)
                last = g
                a = med(n "\tnative"); o = med(n "\tours-" isa); q = med(n "\tpeer-" isa)
                printf "| %s | %s | %s | %s | %s | %s |\n", n, f(a, 2), f(o, 2), f(over(o, a), 2), f(q, 2), f(over(q, o), 1)
                x = over(o, a); if (x != "" && x > 0) { r[g] += log(x); nr[g]++ }
                x = over(q, o); if (x != "" && x > 0) { p[g] += log(x); np[g]++ }
            }
            if (last != "") mean(last)
        }' "$out/results.tsv"
    echo
    echo "$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1), user CPU seconds (sys-*: with the system's), medians of $runs${peer:+, $($peer --version | head -n 1 | sed 's/ (.*//; s/qemu-.* version /QEMU /')}, $isa programs; native programs are this machine's own versions."
    echo
done >"$out/table.md"
echo
cat "$out/table.md"
if [ -n "$readme" ]; then
    grep -q '<!-- bench-user -->' README.md && grep -q '<!-- /bench-user -->' README.md || die "README.md has no bench-user marks"
    awk -v table="$out/table.md" '
        /<!-- bench-user -->/ { print; while ((getline line <table) > 0) print line; skip = 1 }
        /<!-- \/bench-user -->/ { skip = 0 }
        !skip' README.md >"$out/README" && cat "$out/README" >README.md
fi
[ $failed = 0 ] || echo "bench: vm-user gave wrong results: see above" >&2
exit $failed
