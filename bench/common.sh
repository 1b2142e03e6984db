# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# What the scripts here share; they include it from the top folder, and set out, runs and failed.
# peer may be set before. Makes it empty if it is not there, and sets machines, the list of ours and peer.

die() { echo "bench: $*" >&2; exit 1; }

peer=${peer:-qemu-system-riscv64}
command -v $peer >/dev/null || { echo "bench: no $peer: its column stays empty" >&2; peer=; }
machines="ours${peer:+ peer}"
${MAKE:-make} --no-print-directory -s MODE=rel all || exit 1

# times LOG COMMAND...: runs it, prints user and system CPU seconds; status of the command
times()
{
    local log=$1 TIMEFORMAT='%3U %3S' t status
    shift
    t=$({ time timeout -k 5 "${BENCH_TIMEOUT:-600}" "$@" </dev/null >"$log" 2>&1; } 2>&1; echo " $?")
    status=${t##* }
    echo "$t" | awk 'NF >= 2 { print $1, $2; exit }'
    return "$status"
}

# cpu LOG COMMAND...: the same, their sum
cpu()
{
    local t status
    t=$(times "$@")
    status=$?
    echo "$t" | awk '{ print $1 + $2 }'
    return "$status"
}

median() { sort -n | awk '{ v[NR] = $1 } END { print NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2 }'; }

job() { echo "lathe.mode=jobs lathe.cmd=$(printf %s "$1" | base64 -w0)"; }


bad() # WHO NAME WHAT LOG
{
    echo "bench: $1 $2: $3; output in $4" >&2
    [ "$1" != ours ] || failed=1
}

