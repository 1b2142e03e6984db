#!/bin/sh
# SPDX-License-Identifier: MIT
# Makes what the programs of bench/programs work on, in the current folder; always the same.
set -eu
source_of()
{
    i=0
    while [ $i -lt "$1" ]; do
        i=$((i + 1))
        echo "int f$i(int *a, int n) { int s = $i; for (int i = 0; i < n; i++) { s = s * 31 + a[i];" \
            "if (s & $i) a[i] ^= s; else s -= a[(i * $i) % n]; } switch (n & 7) { case 0: return s;" \
            "case 1: return s * 2; case 2: return s / 3; case 3: return a[0]; default: return s ^ n; } }"
    done
}
source_of 250 >large.c
source_of 4 >small.c
cat >work.py <<'END'
def fib(n):
    return n if n < 2 else fib(n - 1) + fib(n - 2)
d = {}
for i in range(300000):
    d[i] = str(i) * 2
words = sorted(d.values())
print(fib(24), len(words), sum(len(x) for x in words))
END
cat >work.pl <<'END'
my %n; my $s = 0;
for my $i (1 .. 400000) { my $k = ($i * 7919) % 10007; $n{"k$k"} += $i; $s += length("$i"); }
my @k = sort { $n{$a} <=> $n{$b} || $a cmp $b } keys %n;
print scalar(@k), " $s\n";
END
cat >work.lua <<'END'
local x, y, vx, vy, s = 1.0, 0.0, 0.0, 1.0, 0.0
for i = 1, 3000000 do
    local r2 = x * x + y * y
    local k = -0.001 / (r2 * math.sqrt(r2))
    vx, vy = vx + x * k, vy + y * k
    x, y = x + vx * 0.001, y + vy * 0.001
    s = s + x
end
print(string.format("%.9f %.9f", s, y))
END
cat >work.sql <<'END'
create table t(a integer primary key, b text, c real);
with recursive n(i) as (select 1 union all select i + 1 from n where i < 150000)
insert into t select i, 'row ' || (i * 7919 % 10007), i / 3.0 from n;
create index u on t(b);
select count(*), sum(c) > 0 from (select b, sum(c) as c from t group by b order by 2 desc);
END
echo 'scale=2500; 4*a(1)
quit' >work.bc
sed -i 's/^scale/define a(x) { auto n, s, t, d; t = x; s = x; for (n = 3; n < 1500; n += 2) { t = -t * x * x; s += t \/ n; }; return s; }\nscale/' work.bc
i=0
: >text
while [ $i -lt 60 ]; do cat large.c work.py work.pl work.lua >>text; i=$((i + 1)); done
head -c 64000000 /dev/zero >blob
cat >forks.sh <<'END'
i=0
while [ $i -lt 1000 ]; do (exit 3); i=$((i + 1)); done
echo $i $?
END
cat >execs.sh <<'END'
i=0
n=0
while [ $i -lt 200 ]; do
    "$BASH" -c 'exit 3'
    [ $? != 3 ] || n=$((n + 1))
    i=$((i + 1))
done
echo $i $n
END
