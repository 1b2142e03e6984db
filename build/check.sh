#!/bin/sh
# SPDX-License-Identifier: MIT
# What `make check` runs. Environment: MAKE, MODE, TESTS (names, by commas: libraries, bats
# files by the start of their name, or layers headers house man docs), DEPS=no.
# The last line is "N passed, N failed[, N skipped]"; the status is 1 if any failed.
set -u
: "${MAKE:=make}" "${MODE:=rel}" "${TESTS:=}" "${DEPS:=}"
export CHECK_OUT="$PWD/o/$MODE/check"
started=$(date +%s)
rm -rf "$CHECK_OUT"
mkdir -p "$CHECK_OUT"

MAKEFLAGS=" ${MAKEFLAGS-} "
case " ${MAKEFLAGS-} " in
*" -j"[0-9]*) jobs=$(printf '%s\n' "$MAKEFLAGS" | sed 's/.* -j\([0-9][0-9]*\).*/\1/') par= ;;
*" -j "* | *"--jobserver"*) jobs=$(nproc) par= ;;
*) jobs=$(nproc) par=-j$jobs ;;
esac

wanted()
{
    case ",$TESTS," in
    ,, | *,"$1",*) ;;
    *) return 1 ;;
    esac
}

plain()
{
    CHECK_PLAIN=1 build/runtest.sh "$@"
}

mk()
{
    # shellcheck disable=SC2086
    $MAKE --no-print-directory $par "$@"
}

# at_once LIST: runs each line's program (name, program, corpus), as many at once as there are CPUs.
at_once()
{
    xargs -P "$jobs" -L 1 build/program.sh <"$1"
    while read -r name _; do
        [ -f "$CHECK_OUT/$name.sum" ] || plain "$name" false
    done <"$1"
}

# programs MODE: builds the selected unit tests and fuzz replays of a mode and runs them.
programs()
{
    mode=$1
    list=$CHECK_OUT/list.$mode
    mk -s MODE="$mode" list | while read -r lib program corpus; do
        ! wanted "$lib" || echo "$mode:${program#o/"$mode"/} $program${corpus:+ $corpus}"
    done | sed 's,^\([^ ]*\)/,\1-,' >"$list"
    [ -s "$list" ] || return 0
    # shellcheck disable=SC2046
    CHECK_PLAIN=build build/runtest.sh "$mode:build" \
        $MAKE --no-print-directory $par -k MODE="$mode" $(awk '{ print $2 }' "$list")
    G_DEBUG=fatal-warnings at_once "$list"
}

# The bats files that were asked for, by name and path. Those that take longest come first, so that none
# is left running alone at the end.
bats_files()
{
    for f in tests/bats/vm-run-boot.bats tests/bats/vm-run-disk.bats tests/bats/vm-run-net.bats \
        tests/bats/vm-run-hotplug.bats tests/bats/*.bats; do
        [ -e "$f" ] || continue
        base=${f##*/}
        pick=no
        [ -n "$TESTS" ] || pick=yes
        for t in $(echo "$TESTS" | tr , ' '); do
            case $base in
            "$t".bats | "$t"-*.bats) pick=yes ;;
            esac
        done
        [ $pick = no ] || echo "bats-${base%.bats} $f"
    done | awk '!seen[$0]++'
}

if [ "$DEPS" != no ] && ! build/deps.sh build test; then
    plain deps false
    # go on with what can be run, if anything can
    if ! command -v "${CC:-cc}" >/dev/null || ! mk -s packages >/dev/null 2>&1; then
        echo "0 passed, 1 failed"
        exit 1
    fi
fi

! wanted layers || plain layers build/layers.sh check
! wanted headers || plain headers $MAKE --no-print-directory $par -k MODE="$MODE" headers
if wanted house; then
    for t in build/tests/*.sh; do
        t_name=${t##*/}
        build/runtest.sh "house-${t_name%.sh}" "$t"
    done
fi
programs "$MODE"

bats_files >"$CHECK_OUT/list.bats"
if [ -s "$CHECK_OUT/list.bats" ] || wanted docs; then
    CHECK_PLAIN=build build/runtest.sh "$MODE:tools" \
        $MAKE --no-print-directory $par -k MODE="$MODE" all
fi
if [ -s "$CHECK_OUT/list.bats" ]; then
    PATH="$PWD/o/$MODE:$PATH" LATHE_O="$PWD/o/$MODE" at_once "$CHECK_OUT/list.bats"
fi
if wanted man && ls man/*.1 >/dev/null 2>&1; then
    for f in man/*.1; do
        m=${f##*/}
        plain "man-${m%.1}" mandoc -Tlint -W warning "$f"
    done
fi
if wanted docs; then
    for d in tools/*/; do
        [ -d "$d" ] || continue
        t=${d#tools/}; t=${t%/}
        plain "docs-$t" build/docs.sh "o/$MODE/$t" "man/$t.1"
    done
fi
[ "$MODE" = asan ] || programs asan

seconds=$(($(date +%s) - started))
longest=$(cat "$CHECK_OUT"/*.time 2>/dev/null | sort -rn | head -n 5 |
    awk '$1 > 9 { printf "%s%s %d s", n++ ? ", " : "", $2, $1 }')
[ -z "$longest" ] || printf '  %-40s %s\n' "longest" "$longest"
printf '  %-40s %d min %02d s\n' "time" $((seconds / 60)) $((seconds % 60))
cat "$CHECK_OUT"/*.sum 2>/dev/null | awk '
    { good += $1; bad += $2; skip += $3 }
    END {
        if (!NR) print "nothing to test: no such name in TESTS"
        printf "%d passed, %d failed", good, NR ? bad : 1
        if (skip) printf ", %d skipped", skip
        print ""
        exit bad > 0 || !NR
    }'
