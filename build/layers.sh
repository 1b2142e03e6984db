#!/bin/sh
# SPDX-License-Identifier: MIT
# The layer check. lib/N/N.mk says `N_uses := a b`: what N's files may include besides
# their own; tools/T/T.mk says `T_libs := ...`. Commands, from the top folder (or LAYERS_ROOT):
#   order    libraries in link order, users first; fails on a cycle
#   check    every #include "x/y.h" against those lines, as file:line: message
#   floors   the picture: a library stands one floor above the highest it uses
set -u
cd "${LAYERS_ROOT:-.}" || exit 2

# Prints "name used" pairs, and "name name" for each library.
pairs()
{
    for d in lib/*/; do
        [ -d "$d" ] || continue
        n=${d#lib/}; n=${n%/}
        echo "$n $n"
        [ -f "lib/$n/$n.mk" ] || continue
        words "$n" uses "lib/$n/$n.mk" | while read -r u; do
            [ ! -d "lib/$u" ] || echo "$n $u"
        done
    done
}

# words NAME KIND FILE: the words of NAME_KIND, lines ending in \ joined.
words()
{
    sed -e ':a' -e '/\\$/N; s/\\\n/ /; ta' -e 's/#.*//' "$3" | awk -v want="${1}_$2" '
        { gsub(/[:+?]*=/, " & ") }
        $1 == want && $2 ~ /=/ { for (i = 3; i <= NF; i++) print $i }'
}

order()
{
    cycle=$(pairs | tsort 2>&1 >/dev/null | sed 's/^tsort: //; s/^-: //' | tr '\n' ' ')
    if [ -n "$cycle" ]; then
        echo "lib: the N_uses lines make a cycle: $cycle" >&2
        return 1
    fi
    pairs | tsort
}

check()
{
    bad=0
    order >/dev/null || bad=1
    for d in lib/*/; do
        [ -d "$d" ] || continue
        n=${d#lib/}; n=${n%/}
        if [ ! -f "lib/$n/$n.mk" ] || ! grep -q "^${n}_uses *[:+?]*=" "lib/$n/$n.mk"; then
            echo "lib/$n/$n.mk: no line ${n}_uses := ..."
            bad=1
            continue
        fi
        includes "lib/$n" "$n" "$(words "$n" uses "lib/$n/$n.mk" | tr '\n' ' ')" || bad=1
    done
    for d in tools/*/; do
        [ -d "$d" ] || continue
        n=${d#tools/}; n=${n%/}
        if [ ! -f "tools/$n/$n.mk" ]; then
            echo "tools/$n/$n.mk: missing"
            bad=1
            continue
        fi
        includes "tools/$n" "" "$(words "$n" libs "tools/$n/$n.mk" | tr '\n' ' ')" || bad=1
    done
    return $bad
}

# includes DIR SELF USES
includes()
{
    find "$1" -name '*.[chS]' -o -name '*.def' -o -name '*.decode' | sort | while read -r f; do
        awk -v self="$2" -v uses="$3" -v mk="$1/${1##*/}.mk" '
            function say(text) { printf "%s:%d: %s\n", FILENAME, FNR, text; bad = 1 }
            function dirof(p) { return p ~ /\// ? substr(p, 1, match(p, /\/[^\/]*$/) - 1) : "" }
            function inside(a, b) { return index(a "/", b "/") == 1 }
            BEGIN {
                n = split(uses, w, " ")
                for (i = 1; i <= n; i++) may[w[i]] = 1
                if (self != "") may[self] = 1
            }
            /^[ \t]*#[ \t]*include[ \t]*"/ {
                p = $0; sub(/^[^"]*"/, "", p); sub(/".*/, "", p)
                if (p ~ /^gen\//) p = substr(p, 5)
                if (p ~ /\.\.\//) { say("include \"" p "\" climbs out with .."); next }
                if (p !~ /\//) {
                    if (self != "") say("include \"" p "\" is not relative to lib/: write \"" self "/...\"")
                    next
                }
                top = p; sub(/\/.*/, "", top)
                if (!(top in may)) { say("includes \"" p "\", but " mk " does not list " top); next }
                if (p ~ /_priv\.h$/) {
                    here = dirof(FILENAME); there = "lib/" dirof(p)
                    if (!inside(here, there) && !inside(there, here))
                        say("includes \"" p "\", which is private to " there)
                }
            }
            END { exit bad }' "$f" || echo bad >&3
    done 3>&1 >&4 | { ! grep -q bad; }
} 4>&1

floors()
{
    order >/dev/null || return 1
    pairs | awk '
        { if ($1 == $2) all[++n] = $1; else uses[$1] = uses[$1] " " $2 }
        function floor(l,    w, k, i, f, best) {
            if (l in memo) return memo[l]
            k = split(uses[l], w, " "); best = 0
            for (i = 1; i <= k; i++) { f = floor(w[i]) + 1; if (f > best) best = f }
            return memo[l] = best
        }
        END { top = 0
            for (i = 1; i <= n; i++) {
                f = floor(all[i])
                row[f] = row[f] "  " all[i]
                if (f > top) top = f
            }
            for (f = top; f >= 0; f--) printf "floor %d %s\n", f, row[f]
        }'
    # shellcheck disable=SC2012
    [ ! -d tools ] || echo "tools     $(ls tools | tr '\n' ' ')"
}

case ${1-} in
order | check | floors) "$1" ;;
*) echo "usage: build/layers.sh order|check|floors" >&2; exit 2 ;;
esac
