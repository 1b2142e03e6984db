#!/bin/sh
# SPDX-License-Identifier: MIT
# Tests build/decode.c: decoders it makes are compiled and run; inputs that must fail
# (bad-*.decode) give the message that their "# expect: LINE: MESSAGE" line states.
cd "$(dirname "$0")" || exit 2
dir=$(mktemp -d) || exit 2
trap 'rm -rf "$dir"' EXIT
: "${HOSTCC:=cc}"
count=$(grep '1\.\.' decode_run.c | tr -dc '0-9.\n' | sed 's/1\.\.//')
set -- bad-*.decode
echo "1..$(($# + count))"
$HOSTCC -O1 -g -std=gnu11 -fsanitize=address,undefined -fno-sanitize-recover=undefined \
    ../decode.c -o "$dir/decode" || exit 1
for i in good good16 good64; do
    "$dir/decode" --prefix $i -o "$dir/$i.inc" $i.decode || exit 1
done
$HOSTCC -std=gnu11 -Wall -Wextra -Wshadow -Wno-unused-parameter -Werror -fsanitize=undefined \
    -fno-sanitize-recover=undefined -I"$dir" decode_run.c -o "$dir/run" || exit 1
"$dir/run" | sed 1d
n=$count
for f; do
    n=$((n + 1))
    want="$f:$(sed -n 's/^# expect: //p' "$f")"
    got=$("$dir/decode" -o "$dir/out.inc" "$f" 2>&1)
    status=$?
    if [ "$status" = 1 ] && [ "$got" = "$want" ] && [ ! -e "$dir/out.inc" ]; then
        echo "ok $n - decode refuses $f"
    else
        echo "not ok $n - decode refuses $f"
        echo "# wanted (status 1): $want"
        echo "# got (status $status): $got"
    fi
done
