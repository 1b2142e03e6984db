#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# Real programs from Debian's packages: their output is known, or this machine's own programs check it.
# tests/soak/user-programs goes on from here. The file's name says for which ISA
# (vm-user-programs-ISA.bats, a link), else riscv64.

setup_file()
{
    case $BATS_TEST_FILENAME in
    *-aarch64.bats) ISA=aarch64 DEBIAN=arm64 ;;
    *) ISA=riscv64 DEBIAN=riscv64 ;;
    esac
    ROOT=$(build/guest.sh sysroot $DEBIAN bash dash coreutils perl-base lua5.4 sqlite3 bc xz-utils zstd \
        openssl) || skip "no packages can be fetched"
    TOP=$PWD
    export ROOT TOP ISA
    cd "$BATS_FILE_TMPDIR"
    head -c 3000000 "$ROOT/usr/lib/$ISA-linux-gnu/libc.so.6" >blob
    cat "$ROOT"/usr/share/doc/*/copyright >text
}

setup()
{
    cd "$BATS_FILE_TMPDIR"
}

# The program of that name, in the guest's root.
guest()
{
    timeout "${GUEST_TIMEOUT:-120}" vm-user -L "$ROOT" "$ROOT/usr/bin/$1" "${@:2}"
}

@test "bash: loops, pipes, substitution, many forks" {
    run guest bash -c 'i=0; s=0; while [ $i -lt 200 ]; do s=$((s + $(echo $i))); i=$((i+1)); done; echo $s
        printf "%s\n" c a b | sort | tr -d "\n"; echo; (exit 5); echo $?; trap "echo bye" EXIT; kill -l 15'
    [ "$status" -eq 0 ]
    [ "$output" = $'19900\nabc\n5\nTERM\nbye' ]
}

@test "programs with guarded branches and signed return addresses" {
    [ $ISA = aarch64 ] || skip "of aarch64"
    cd "$TOP"
    ROOT=$(GUEST_SUITE=trixie build/guest.sh sysroot arm64 bash coreutils perl-base openssl) ||
        skip "no packages can be fetched"
    cd "$BATS_FILE_TMPDIR"
    readelf -n "$ROOT/usr/bin/bash" | grep "BTI, PAC"
    run guest bash -c 'for i in 1 2 3; do echo $i | cat; done; (exit 3) || trap "echo bye" EXIT; kill -l 15'
    [ "$output" = $'1\n2\n3\nTERM\nbye' ]
    [ "$(guest openssl dgst -sha512 -r blob | cut -d ' ' -f 1)" = "$(sha512sum blob | cut -d ' ' -f 1)" ]
    [ "$(guest perl -e 'local $SIG{ALRM} = sub { die "late\n" }; alarm 1; eval { 1 while 1 }; print $@')" = late ]
    # the loader asks for guarded pages; with another function for codes it is all the same
    vm-user -strace -L "$ROOT" "$ROOT/usr/bin/true" 2>&1 | grep "mprotect.*PROT_READ|PROT_EXEC|PROT_BTI) = 0"
    [ "$(vm-user -cpu max,pauth-impdef=off -L "$ROOT" "$ROOT/usr/bin/bash" -c 'echo $((6 * 7))')" = 42 ]
}

@test "coreutils: sums, sorting, listing as this machine's have them" {
    diff <(guest sha512sum blob text) <(sha512sum blob text)
    diff <(guest md5sum blob) <(md5sum blob)
    diff <(LC_ALL=C guest sort text) <(LC_ALL=C sort text)
    diff <(guest wc text) <(wc text)
    cd /etc
    diff <(LC_ALL=C guest ls -ln --time-style=+%s) <(LC_ALL=C ls -ln --time-style=+%s)
    cd "$BATS_FILE_TMPDIR"
    diff <(guest stat -c '%n %s %a %u %g %i %h %Y %F' . blob /dev/null) \
        <(stat -c '%n %s %a %u %g %i %h %Y %F' . blob /dev/null)
    [ "$(guest nproc)" = "$(nproc)" ]
    [ "$(guest factor 18446744073709551557 600851475143)" = \
        $'18446744073709551557: 18446744073709551557\n600851475143: 71 839 1471 6857' ]
}

@test "compressors: what they pack this machine unpacks, and the other way round" {
    guest xz -T2 --block-size=256KiB -c blob | xz -dc | cmp - blob
    xz -c text | guest xz -dc | cmp - text
    guest zstd -q -T4 -c blob >blob.zst
    guest zstd -q -dc blob.zst | cmp - blob
}

@test "openssl: digests, ciphers, signatures" {
    [ "$(guest openssl dgst -sha3-256 -r blob | cut -d ' ' -f 1)" = \
        "$(openssl dgst -sha3-256 -r blob | cut -d ' ' -f 1)" ]
    for c in aes-256-ctr chacha20 camellia-128-cbc; do
        guest openssl enc -$c -pbkdf2 -pass pass:x -in blob -out blob.enc
        openssl enc -d -$c -pbkdf2 -pass pass:x -in blob.enc | cmp - blob
    done
    guest openssl genpkey -algorithm ed25519 -out key
    guest openssl pkey -in key -pubout -out pub
    guest openssl pkeyutl -sign -rawin -inkey key -in text -out signature
    openssl pkeyutl -verify -rawin -pubin -inkey pub -in text -sigfile signature
}

@test "lua and bc: arithmetic to the last digit" {
    [ "$(guest lua5.4 -e 'local s = 0 for i = 1, 100000 do s = s + math.sin(i) / i end print(string.format("%.15f", s))')" = 1.070805652123411 ]
    [ "$(guest lua5.4 -e 'print(1e308 * 10, -(0/0) ~= 0/0, 7 // -2, 7 % -2, 2^53, 1 << 62, math.tointeger(3.0))')" = \
        $'inf\ttrue\t-4\t-1\t9.007199254741e+15\t4611686018427387904\t3' ]
    [[ "$(echo 'scale=60; 4*a(1)' | guest bc -l)" == 3.14159265358979323846264338327950288419716939937510582097494* ]]
    [ "$(echo '2^2203-1' | BC_LINE_LENGTH=0 guest bc)" = "$(python3 -c 'print(2**2203-1)')" ]
}

@test "perl and sqlite: sorting, hashes, a database on disk" {
    [ "$(guest perl -e 'my %h; $h{$_ % 97} += $_ for 1 .. 20000; print join(",", map { $h{$_} } (sort { $a <=> $b } keys %h)[0, 50, 96]), "\n"')" = \
        2068137,2058455,2067931 ]
    guest sqlite3 db 'create table t(a, b); with recursive n(i) as (select 1 union all select i + 1 from n where i < 20000)
        insert into t select i, i * i from n; create index x on t(b);'
    [ "$(guest sqlite3 db 'select count(*), sum(a), max(b) from t; pragma integrity_check')" = \
        $'20000|200010000|400000000\nok' ]
}
