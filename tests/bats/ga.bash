# SPDX-License-Identifier: MIT
# Agents for the bats files of ga: started in a folder of the test's own, ended with it. `load common` goes
# before it, since it waits.

# what makes an agent run as somebody else; in front of one in the background, whose $! is then its own
as=()

# for setup: the test's folder becomes the current one
ga_here()
{
    cd "$BATS_TEST_TMPDIR" || return
    dir=$PWD ga=ga
    export PYTHONPATH=$BATS_TEST_DIRNAME QGA_CONF=$PWD/ga.conf
    echo '[general]' >ga.conf
    pids=
}

# for setup: agents run as nobody, so that a mistake in one of them changes nothing here
ga_as_nobody()
{
    # where nobody can go
    dir=$(mktemp -d) ga=$dir/ga
    chmod 777 "$dir"
    cp "$LATHE_O/ga" "$ga"
    chmod 755 "$ga"
    export PYTHONPATH=$BATS_TEST_DIRNAME QGA_CONF=$dir/ga.conf
    echo '[general]' >"$dir/ga.conf"
    [ "$(id -u)" != 0 ] || as=(setpriv --reuid=65534 --regid=65534 --clear-groups)
    pids=
}

# for teardown
ga_gone()
{
    # shellcheck disable=SC2086
    [ -z "$pids" ] || kill $pids 2>/dev/null || true
    [ "$dir" = "$BATS_TEST_TMPDIR" ] || rm -rf "$dir"
}

# start PROGRAM NAME ARGUMENTS...: an agent at $dir/NAME.sock with its state in $dir/NAME, its process ID in $pid
start()
{
    local program=$1 name=$2
    shift 2
    [ -d "$dir/$name" ] || mkdir -m 777 "$dir/$name"
    "${as[@]}" "$program" -m unix-listen -p "$dir/$name.sock" -t "$dir/$name" "$@" >"$dir/$name.log" 2>&1 3>&- &
    pid=$!
    pids="$pids $pid"
    wait_for listens "$dir/$name.sock"
}

# both: Debian's agent as theirs, and ours
both()
{
    [ -x /usr/sbin/qemu-ga ] || skip "no qemu-ga"
    start /usr/sbin/qemu-ga theirs
    start "$ga" ours
}
