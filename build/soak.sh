#!/bin/sh
# SPDX-License-Identifier: MIT
# make soak: each fuzz target for SOAK_SECONDS (600) with what it finds kept in o/soak/,
# every tests/soak/* program, and bats again with LATHE_SOAK=1.
set -u
: "${MAKE:=make}" "${SOAK_SECONDS:=600}"
failed=0
$MAKE --no-print-directory MODE=fuzz fuzzers || exit 1
for line in $($MAKE --no-print-directory -s MODE=fuzz list | awk '$2 ~ /\/fuzz\/[^\/]*$/ { print $2 ":" $3 }'); do
    program=${line%%:*} corpus=${line#*:}
    case $program in o/fuzz/fuzz/*) ;; *) continue ;; esac
    keep=o/soak/${program##*/}
    mkdir -p "$keep/corpus"
    [ -d "$corpus" ] || corpus=
    echo "soak: ${program##*/} for $SOAK_SECONDS s"
    # shellcheck disable=SC2086
    "$program" -max_total_time="$SOAK_SECONDS" -rss_limit_mb=2048 -timeout=20 -verbosity=0 \
        -artifact_prefix="$keep/" "$keep/corpus" $corpus || failed=1
done
$MAKE --no-print-directory all || exit 1
for t in tests/soak/*; do
    [ -x "$t" ] || continue
    echo "soak: $t"
    PATH="$PWD/o/rel:$PATH" "$t" || { echo "soak: $t failed"; failed=1; }
done
for t in tests/bats/*.bats; do
    [ -e "$t" ] || continue
    PATH="$PWD/o/rel:$PATH" LATHE_SOAK=1 LATHE_O="$PWD/o/rel" bats "$t" || failed=1
done
exit $failed
