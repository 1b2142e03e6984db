#!/bin/bash
# SPDX-License-Identifier: MIT
# fsd and the distribution's virtiofsd (which has one request queue) behind the same front end (bench/fs.c), in turns, on the same folder in
# memory (FS_BENCH_DIR): operations or MiB a second and ratios, median of FS_BENCH_RUNS, at 1 and 4 queues. Needs root, as that one does.
set -eu
o=${LATHE_O:-o/rel} runs=${FS_BENCH_RUNS:-3} seconds=${FS_BENCH_SECONDS:-1}
peer=/usr/lib/qemu/virtiofsd
${MAKE:-make} -s "$o/bench/fs" "$o/fsd"
[ -x $peer ] || { echo "fs: $peer is not there"; exit 0; }
[ "$(id -u)" = 0 ] || { echo "fs: needs root"; exit 0; }
dir=$(mktemp -d "${FS_BENCH_DIR:-/dev/shm}/fs-bench-XXXXXX")
trap 'rm -rf "$dir"' EXIT
for queues in 1 4; do
    for run in $(seq "$runs"); do
        for who in fsd peer; do
            rm -rf "$dir/share" "$dir/s"
            mkdir "$dir/share"
            if [ $who = fsd ]; then
                "$o/fsd" --once --socket-path="$dir/s" --shared-dir="$dir/share" &
            else
                $peer --socket-path="$dir/s" -o source="$dir/share" >/dev/null 2>&1 &
            fi
            for _ in $(seq 100); do [ ! -S "$dir/s" ] || break; sleep 0.05; done
            timeout 300 "$o/bench/fs" "$dir/s" $queues "$seconds" | sed "s/^/$queues $who /"
            wait
        done
    done
done | python3 -c '
import statistics, sys
all, order = {}, []
for line in sys.stdin:
    queues, who, test, value = line.split()
    if (queues, test) not in order:
        order.append((queues, test))
    all.setdefault((queues, test, who), []).append(float(value))
print("%-7s %-16s %12s %12s %7s" % ("queues", "test", "fsd", "virtiofsd", "ratio"))
product, n = 1, 0
for q, t in order:
    a, b = (statistics.median(all.get((q, t, w), [0])) for w in ("fsd", "peer"))
    print("%-7s %-16s %12.0f %12s %7s" % (q, t, a, "%.0f" % b if b else "-", "%.2f" % (a / b) if b else "-"))
    if b and t in ("storm", "tree", "missing", "readdir", "readdirplus"):
        product, n = product * a / b, n + 1
if n:
    print("metadata, geometric mean: %.2f" % product ** (1 / n))'
