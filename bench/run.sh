#!/bin/bash
# SPDX-License-Identifier: MIT
# make bench: ratios to native of vm-run and of the distribution's qemu-system-riscv64, taken side by
# side in one run. The figure of a kernel is the host's user+sys CPU seconds of a whole boot that runs
# it, less those of a boot that runs nothing, over those of the same source run natively; medians.
# Everything goes to o/bench: table.md, results.tsv (with the guest's own clock), log/. Installs
# nothing. Figures never make it fail; a wrong checksum, a hang or a crash does.
#   --quick        one run of each instead of three       --runs N    N runs of each
#   --only NAME    one group (int fp mem call interp job boot) or one kernel; may be repeated
#   --readme       also puts the table into README.md between its bench marks
set -u
cd "$(dirname "$0")/.." || exit 1
runs=3 readme= only= failed=0
usage() { sed -n '/^#   --/s/^#   /  /p' "$0" >&2; exit 2; }
while [ $# -gt 0 ]; do
    case $1 in
    --quick) runs=1 ;;
    --runs) [ $# -gt 1 ] || usage; runs=$2; shift ;;
    --only) [ $# -gt 1 ] || usage; only="$only $2"; shift ;;
    --readme) readme=yes ;;
    *) usage ;;
    esac
    shift
done
[[ $runs =~ ^[1-9][0-9]*$ ]] || usage

. bench/common.sh
cross=${CROSS_CC:-riscv64-linux-gnu-gcc}
for c in "$cross" cc cpio gzip; do
    command -v "$c" >/dev/null || die "$c is missing: build/deps.sh bench guest installs it"
done
kernel=$(build/guest.sh kernel riscv64) && initrd=$(build/guest.sh initrd riscv64) || exit 1

out=o/bench
mkdir -p $out/native $out/riscv64 $out/log
rm -f $out/log/*

# wanted NAME: by name or by the group before the dash
wanted() { [ -z "$only" ] || [[ " $only " == *" $1 "* || " $only " == *" ${1%%-*} "* ]]; }

# Both sides without vectorization: RV64GC has no vectors, and what is measured is translation, not
# what the native compiler gains from SSE. The native C library keeps its own vector code.
flags="-O2 -fno-tree-vectorize -ffp-contract=off -Wall -Wextra"
build() # NAME
{
    local src=bench/kernels/$1.c native= newest
    [ "$1" != fp-fma ] || ! grep -qw fma /proc/cpuinfo || native=-mfma
    newest=$(ls -t "$src" bench/kernels/*.h bench/run.sh $out/native/"$1" $out/"$1".cpio.gz 2>/dev/null | head -n 1)
    [ "$newest" = $out/"$1".cpio.gz ] && return
    # shellcheck disable=SC2086
    cc $flags $native -o $out/native/"$1" "$src" -lm &&
        "$cross" $flags -static -o $out/riscv64/"$1" "$src" -lm || die "cannot build $1"
    mkdir -p $out/tree
    rm -rf $out/tree/*
    mkdir $out/tree/bench
    cp $out/riscv64/"$1" $out/tree/bench/kernel
    (cd $out/tree && find bench | cpio --quiet -o -H newc -R 0:0) | gzip -1 >$out/"$1".new &&
        mv $out/"$1".new $out/"$1".cpio.gz || die "cannot pack $1"
}

# boot WHO LOG INITRD APPEND: prints CPU seconds
boot()
{
    local who=$1 log=$2 rd=$3 append=$4
    set -- -M virt -smp 1 -m 512M -nographic -kernel "$kernel" -initrd "$rd" -append "console=ttyS0 $append"
    if [ "$who" = ours ]; then
        cpu "$log" o/rel/vm-run "$@"
    else
        cpu "$log" $peer -accel tcg "$@"
    fi
}

names=
for f in bench/kernels/*.c; do
    n=$(basename "$f" .c)
    ! wanted "$n" || names="$names $n"
done
jobs=
for n in $(awk '/^job-/ { print $1 }' bench/jobs); do
    ! wanted "$n" || jobs="$jobs $n"
done
[ -z "$jobs" ] || command -v busybox >/dev/null || die "busybox is missing: build/deps.sh bench installs it"
command_of() { sed -n "s/^$1  *//p" bench/jobs; }
: >$out/results.tsv

boots() # NAME INITRD APPEND MUST: medians into base_ours and base_peer
{
    local who i s
    for ((i = 1; i <= runs; i++)); do
        for who in $machines; do
            local log=$out/log/$1.$who.$i
            s=$(boot "$who" "$log" "$2" "$3") && grep -qa "$4" "$log" || bad "$who" "$1" "did not end well (status $?)" "$log"
            printf '%s\t%s\t%s\n' "$1" "$who" "$s" >>$out/results.tsv
        done
    done
}

of() { awk -v n="$1" -v w="$2" '$1 == n && $2 == w { print $3 }' $out/results.tsv | median; }

if wanted boot; then
    boots boot "$initrd" lathe.mode=test DONE
    echo "boot: vm-run $(of boot ours) s${peer:+, qemu $(of boot peer) s}"
fi
if [ -n "$names$jobs" ]; then
    for n in $names; do build "$n"; done
    boots nothing "$initrd" "$(job true)" 'STATUS 0'
    echo "boot that runs nothing: vm-run $(of nothing ours) s${peer:+, qemu $(of nothing peer) s}"
fi
for n in $names $jobs; do
    case $n in
    job-*) command=$(command_of "$n") native=(busybox sh -c "$command") rd=$initrd ;;
    *) command=/bench/kernel native=($out/native/"$n") rd=$out/initrd; cat "$initrd" $out/"$n".cpio.gz >"$rd" ;;
    esac
    for ((i = 1; i <= runs; i++)); do
        log=$out/log/$n.native.$i
        s=$(cpu "$log" "${native[@]}")
        case $n in # a kernel says its name, sum and clock; a job is its whole last line
        job-*) sum=$(tail -n 1 "$log") clock= ;;
        *) read -r _ sum clock <"$log" ;;
        esac
        [ -n "$sum" ] || die "$n says nothing natively: see $log"
        printf '%s\tnative\t%s\t%s\n' "$n" "$s" "$clock" >>$out/results.tsv
        for who in $machines; do
            log=$out/log/$n.$who.$i
            s=$(boot "$who" "$log" "$rd" "$(job "$command")")
            status=$?
            case $n in
            job-*) got=$(tr -d '\r' <"$log" | grep -xF -- "$sum" | tail -n 1) clock= ;;
            *) read -r got clock <<<"$(tr -d '\r' <"$log" | awk -v n="$n" '$1 == n { print $2, $3 }')" ;;
            esac
            if [ "$status" != 0 ]; then
                bad $who "$n" "status $status" "$log"
                s=
            elif [ "$got" != "$sum" ]; then
                bad $who "$n" "wrong checksum '$got', not $sum" "$log"
                s=
            fi
            printf '%s\t%s\t%s\t%s\n' "$n" $who "${s:-wrong}" "$clock" >>$out/results.tsv
        done
    done
    awk -F'\t' -v n="$n" '$1 == n { printf "%s%s %s s", $2 == "native" && s++ ? ", " : " ", $2, $3 } END { print "" }' \
        $out/results.tsv | sed "s/^/$n:/"
done

# ---- the table
{
    echo "| CPU time, ratio to native | native, s | vm-run | qemu-system | qemu / vm-run |"
    echo "|---|--:|--:|--:|--:|"
    awk -F'\t' '
        function med(key,    c, i, j, t, a, k) {
            c = split(all[key], a, " ")
            for (i = 2; i <= c; i++)
                for (j = i; j > 1 && a[j] + 0 < a[j - 1] + 0; j--) { t = a[j]; a[j] = a[j - 1]; a[j - 1] = t }
            for (i = 1; i <= c; i++) if (a[i] == "wrong") return "wrong"
            return c == 0 ? "" : c % 2 ? a[(c + 1) / 2] : (a[c / 2] + a[c / 2 + 1]) / 2
        }
        function f(x, d) { return x == "" ? "-" : x == "wrong" ? x : sprintf("%.*f", d, x) }
        function over(a, b) { return a == "" || b == "" || a == "wrong" || b == "wrong" ? "" : a / b }
        function net(n, w,    t, b) {
            t = med(n "\t" w); b = med("nothing\t" w)
            return t == "" || t == "wrong" ? t : over(t - b, med(n "\tnative"))
        }
        { key = $1 "\t" $2; all[key] = all[key] " " $3
          if (!($1 in seen)) { seen[$1] = 1; order[++count] = $1 } }
        function add(g, o, p) {
            if (o != "" && o != "wrong" && o > 0) { ours[g] += log(o); got[g]++ }
            if (p != "" && p != "wrong" && p > 0) { peer[g] += log(p); both[g]++ }
        }
        function mean(g,    o, p) {
            o = got[g] ? exp(ours[g] / got[g]) : ""; p = both[g] ? exp(peer[g] / both[g]) : ""
            printf "| **%s, geometric mean** | | **%s** | **%s** | **%s** |\n", g, f(o, 2), f(p, 2), f(over(p, o), 1)
        }
        END {
            for (i = 1; i <= count; i++) {
                n = order[i]
                if (n == "nothing") continue
                if (n == "boot") {
                    o = med("boot\tours"); p = med("boot\tpeer")
                    printf "| Linux boots to its first program, s | | %s | %s | %s |\n", f(o, 2), f(p, 2), f(over(p, o), 1)
                    continue
                }
                g = n; sub(/-.*/, "", g)
                if (last != "" && g != last) mean(last)
                last = g
                o = net(n, "ours"); p = net(n, "peer")
                printf "| %s | %s | %s | %s | %s |\n", n, f(med(n "\tnative"), 2), f(o, 2), f(p, 1), f(over(p, o), 1)
                add(g, o, p)
                if (g != "fp") add("all integer", o, p)
            }
            if (last != "") mean(last)
            if (got["all integer"] > got[last]) mean("all integer")
        }' $out/results.tsv
    echo
    echo "$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1), medians of $runs, ${peer:+$($peer --version | head -n 1 | sed 's/ (.*//; s/emulator version //'), }guest Debian riscv64 Linux, 1 CPU."
} >$out/table.md
echo
cat $out/table.md
if [ -n "$readme" ]; then
    grep -q '<!-- bench -->' README.md && grep -q '<!-- /bench -->' README.md || die "README.md has no bench marks"
    awk -v table=$out/table.md '
        /<!-- bench -->/ { print; while ((getline line <table) > 0) print line; skip = 1 }
        /<!-- \/bench -->/ { skip = 0 }
        !skip' README.md >$out/README && cat $out/README >README.md
fi
[ $failed = 0 ] || echo "bench: vm-run gave wrong results: see above" >&2
exit $failed
