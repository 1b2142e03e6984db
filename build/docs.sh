#!/bin/sh
# SPDX-License-Identifier: MIT
# docs.sh PROGRAM PAGE: each --option (and each -option that starts a line) of the
# program's --help stands in its man page.
"$1" --help >/dev/null || { echo "$1 --help fails"; exit 1; }
[ -f "$2" ] || { echo "$2 is missing"; exit 1; }
page=$(mandoc -T ascii "$2" | col -b)
missing=0
for option in $({ "$1" --help | grep -oE -e '--[A-Za-z][A-Za-z0-9-]*'
    "$1" --help | sed -n 's/^ *\(-[A-Za-z][A-Za-z0-9-]*\).*/\1/p'; } | sort -u); do
    printf '%s\n' "$page" | grep -qE -e "(^|[^A-Za-z0-9-])$option([^A-Za-z0-9-]|\$)" ||
        { echo "$option is in $1 --help but not in $2"; missing=1; }
done
exit $missing
