#!/bin/sh
# SPDX-License-Identifier: MIT
# Tests build/runtest.sh: what counts as passed, failed and skipped.
top=$(cd "$(dirname "$0")/../.." && pwd)
dir=$(mktemp -d) || exit 2
trap 'rm -rf "$dir"' EXIT
n=0

# expect "passed failed skipped" TITLE SHELL-TEXT
expect()
{
    n=$((n + 1))
    CHECK_OUT=$dir CHECK_TIMEOUT=2 CHECK_PLAIN='' "$top/build/runtest.sh" x sh -c "$3" >"$dir/out"
    if [ "$(cat "$dir/x.sum")" = "$1" ]; then
        echo "ok $n - $2"
    else
        echo "not ok $n - $2"
        echo "# wanted $1, got $(cat "$dir/x.sum")"
    fi
}
echo 1..9
expect '2 0 0' 'good results pass' 'echo 1..2; echo ok 1 a; echo ok 2 b'
expect '1 0 1' 'a skip is neither' 'echo 1..2; echo ok 1 a; echo "ok 2 b # SKIP no tool"'
expect '1 1 0' 'a failed result fails' 'echo 1..2; echo ok 1 a; echo not ok 2 b; exit 1'
expect '1 1 0' 'a missing result fails' 'echo 1..2; echo ok 1 a'
expect '1 1 0' 'a crash fails' 'echo 1..1; echo ok 1 a; kill -SEGV $$'
expect '1 1 0' 'a bad status fails' 'echo 1..1; echo ok 1 a; exit 3'
expect '0 1 0' 'no plan fails' 'true'
expect '1 1 0' 'a time-out fails' 'echo 1..1; echo ok 1 a; exec sleep 60'
expect '0 1 0' 'a failure that also has a bad status is one' 'echo 1..1; echo not ok 1; echo why; exit 1'
