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
    G_DEBUG=fatal-warnings xargs -P "$jobs" -L 1 build/program.sh <"$list"
    while read -r name _; do
        [ -f "$CHECK_OUT/$name.sum" ] || plain "$name" false
    done <"$list"
}

bats_files()
{
    for f in tests/bats/*.bats; do
        [ -e "$f" ] || continue
        base=${f##*/}
        pick=no
        [ -n "$TESTS" ] || pick=yes
        for t in $(echo "$TESTS" | tr , ' '); do
            case $base in
            "$t".bats | "$t"-*.bats) pick=yes ;;
            esac
        done
        [ $pick = no ] || echo "$f"
    done
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

bats=$(bats_files)
if [ -n "$bats" ] || wanted docs; then
    CHECK_PLAIN=build build/runtest.sh "$MODE:tools" \
        $MAKE --no-print-directory $par -k MODE="$MODE" all
fi
for f in $bats; do
    b=${f##*/}
    PATH="$PWD/o/$MODE:$PATH" LATHE_O="$PWD/o/$MODE" build/runtest.sh "bats-${b%.bats}" \
        bats --tap "$f"
done
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
