#!/bin/sh
# SPDX-License-Identifier: MIT
# program.sh NAME PROGRAM [CORPUS]: one unit test (GTest, TAP), a fuzz replay or a bats file.
case $2 in
*.bats) set -- "$1" bats --tap "$2" ;;
*/fuzz/*)
    [ -d "${3-}" ] && set -- "$1" "$2" "$3" || set -- "$1" "$2"
    case $2 in
    o/fuzz/*) set -- "$1" "$2" -runs=10000 ${3+"$3"}; export CHECK_PLAIN=1 ;;
    esac
    ;;
*) set -- "$1" "$2" --tap ;;
esac
exec build/runtest.sh "$@"
