#!/bin/sh
# SPDX-License-Identifier: MIT
# runtest.sh NAME COMMAND...: runs one test program under a time limit, reads its TAP and
# writes $CHECK_OUT/NAME.sum ("passed failed skipped") beside its whole output NAME.log.
# Prints one line, and the output if something failed. A crash, a time-out, a status other
# than 0 without a failed result, and results missing from the plan are one failure each
# program. How many seconds it took is in NAME.time. With CHECK_PLAIN=1 the command speaks no
# TAP: its status is the one result. With CHECK_PLAIN=build only a failure counts and is seen.
# Exits 0 always: the .sum file is the verdict.
name=$1
shift
limit=${CHECK_TIMEOUT:-1000}
log=$CHECK_OUT/$name.log
began=$(date +%s)
timeout -k 10 "$limit" "$@" >"$log" 2>&1 </dev/null
status=$?
echo "$(($(date +%s) - began)) $name" >"$CHECK_OUT/$name.time"
if [ "${CHECK_PLAIN-}" = build ] && [ $status = 0 ]; then
    rm -f "$log"
    exit 0
elif [ -n "${CHECK_PLAIN-}" ]; then
    [ $status = 0 ] && sum='1 0 0' || sum='0 1 0'
else
    # mawk stops at invalid bytes in no locale: C keeps every awk quiet
    sum=$(LC_ALL=C awk -v status=$status '
        /^1\.\.[0-9]+/ { plan = substr($1, 4) + 0; planned = 1; next }
        /^not ok/ { if ($0 ~ /# *TODO/) skip++; else bad++; next }
        /^ok/ { if ($0 ~ /# *[Ss][Kk][Ii][Pp]/) skip++; else good++ }
        /^Bail out!/ { bailed = 1 }
        END {
            seen = good + bad + skip
            if (!bad && (status || bailed || !planned || seen < plan)) bad++
            print good + 0, bad + 0, skip + 0
        }' "$log")
fi
echo "$sum" >"$CHECK_OUT/$name.sum"
# shellcheck disable=SC2086
set -- $sum
if [ "$2" = 0 ]; then
    printf '  %-40s %s passed%s\n' "$name" "$1" "$([ "$3" = 0 ] || echo ", $3 skipped")"
    exit 0
fi
why="status $status"
[ $status != 124 ] || why="stopped after $limit s"
{
    printf '  %-40s %s passed, %s FAILED (%s)\n' "$name" "$1" "$2" "$why"
    LC_ALL=C grep -av '^ok ' "$log" | tail -n 80 | sed 's/^/    | /'
} >"$log.failed"
# others run beside this one: its lines stay together
flock "$CHECK_OUT" cat "$log.failed"
rm -f "$log.failed"
