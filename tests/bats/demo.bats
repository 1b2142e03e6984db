#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# make demo, as a user at a terminal sees it: script(1) gives it a terminal and keeps what is on it.

load common

setup()
{
    command -v script >/dev/null || skip "script is not installed"
    build/guest.sh kernel riscv64 >/dev/null && build/guest.sh initrd riscv64 >/dev/null ||
        skip "no guest can be fetched"
    [ -x o/rel/vm-run ] || skip "the demo runs o/rel/vm-run, which is not built"
    screen=$BATS_TEST_TMPDIR/screen keys=$BATS_TEST_TMPDIR/keys
    : >"$screen"
    mkfifo "$keys"
    # MAKE=: since it is built; the terminal's size is asked for by the guest's shell
    timeout -k 5 300 script -qefc "env MAKE=: DEPS=no build/demo.sh" "$screen" <"$keys" >/dev/null 2>&1 3>&- &
    demo=$!
    exec 7>"$keys"
}

teardown()
{
    exec 7>&-
    [ -z "${demo-}" ] || kill "$demo" 2>/dev/null || :
}

# sees TEXT: waits until it is on the screen
sees()
{
    wait_for grep -qaF -- "$1" "$screen" || { tail -n 30 "$screen"; return 1; }
}

types()
{
    printf '%s\r' "$1" >&7
}

@test "the demo boots to a shell that computes, and ends at poweroff" {
    sees "Quit: poweroff"
    sees "2 CPUs"
    sees "lathe:~# "
    types 'echo machine=$(uname -m)'
    sees "machine=riscv64"
    types 'grep -c ^processor /proc/cpuinfo; grep isa /proc/cpuinfo'
    sees "rv64imafdc"
    types "awk 'BEGIN { for (i = 1; i <= 1000; i++) s += 1 / i; printf \"h=%.9f\\n\", s }'"
    sees "h=7.485470861"
    types poweroff
    wait "$demo"
    demo=
    grep -qa "reboot: Power down" "$screen"
}

@test "Ctrl-a x ends the demo at once" {
    sees "lathe:~# "
    printf '\001x' >&7
    wait "$demo"
    demo=
    ! grep -qa "Power down" "$screen"
}

@test "Ctrl-c goes to the guest and ends what runs there" {
    sees "lathe:~# "
    types 'echo beg""un; sleep 1000; echo after=$?'
    sees begun
    sleep 1
    printf '\003' >&7
    types 'echo still=$((40 + 2))'
    sees "still=42"
    printf '\001x' >&7
    wait "$demo"
    demo=
}
