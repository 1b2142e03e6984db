#!/bin/sh
# SPDX-License-Identifier: MIT
# Tests build/layers.sh on made-up trees: what must pass, and what must fail and how.
top=$(cd "$(dirname "$0")/../.." && pwd)
dir=$(mktemp -d) || exit 2
trap 'rm -rf "$dir"' EXIT
n=0

# A good tree: b uses a, a/sub has a private header, tool t uses b.
tree()
{
    rm -rf "$dir/t"
    mkdir -p "$dir/t/lib/a/sub" "$dir/t/lib/b" "$dir/t/lib/a/other" "$dir/t/tools/t"
    cd "$dir/t" || exit 2
    echo 'a_uses :=' >lib/a/a.mk
    printf 'b_uses := \\\n  a # the ground\n' >lib/b/b.mk
    echo 't_libs := b' >tools/t/t.mk
    touch lib/a/a.h lib/a/a_priv.h lib/a/sub/s_priv.h lib/b/b.h
    echo '#include "a/a.h"' >lib/b/b.c
    printf '#include "a/a_priv.h"\n#include "a/sub/s_priv.h"\n' >lib/a/sub/s.c
    printf '#include "b/b.h"\n#include "local.h"\n' >tools/t/main.c
}

# expect COMMAND STATUS TEXT TITLE
expect()
{
    n=$((n + 1))
    got=$(LAYERS_ROOT=$dir/t "$top/build/layers.sh" "$1" 2>&1)
    status=$?
    case $got in
    *"$3"*) found=yes ;;
    *) found=no ;;
    esac
    if [ $status = "$2" ] && [ $found = yes ]; then
        echo "ok $n - $4"
    else
        echo "not ok $n - $4"
        echo "# wanted (status $2): $3"
        echo "$got" | sed "s/^/# got (status $status): /"
    fi
}

echo 1..13
tree
expect check 0 '' 'a good tree passes'
expect order 0 'b
a' 'users come before what they use'
expect floors 0 'floor 1   b' 'a floor is one above the highest used'
tree
printf '\n#include "b/b.h"\n' >lib/a/a.c
expect check 1 'lib/a/a.c:2: includes "b/b.h", but lib/a/a.mk does not list b' 'an include upwards fails'
tree
echo '  #  include "a/a_priv.h"' >lib/b/b.c
expect check 1 'lib/b/b.c:1: includes "a/a_priv.h", which is private to lib/a' "another folder's private header fails"
tree
echo '#include "a/sub/s_priv.h"' >lib/a/other/o.c
expect check 1 'lib/a/other/o.c:1: includes "a/sub/s_priv.h", which is private to lib/a/sub' "a sibling's private header fails"
tree
echo '#include "a/a.h"' >tools/t/main.c
expect check 1 'tools/t/main.c:1: includes "a/a.h", but tools/t/t.mk does not list a' 'a tool names what it includes'
tree
echo 'a_uses := b' >lib/a/a.mk
expect check 1 'the N_uses lines make a cycle' 'a cycle fails'
expect order 1 'the N_uses lines make a cycle' 'a cycle has no order'
tree
rm lib/b/b.mk
expect check 1 'lib/b/b.mk: no line b_uses := ...' 'a missing fragment fails'
tree
echo '#include "s_priv.h"' >lib/a/sub/s.c
expect check 1 'include "s_priv.h" is not relative to lib/' 'an include relative to the file fails'
tree
echo '#include "b/../a/a.h"' >lib/b/b.h
expect check 1 'lib/b/b.h:1: include "b/../a/a.h" climbs out' 'an include with .. fails'
tree
echo 'b_uses := a nowhere' >lib/b/b.mk
expect check 0 '' 'a library that is not there yet may be listed'
