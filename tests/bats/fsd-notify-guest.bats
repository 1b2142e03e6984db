#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# fsd --notify and fsd-notify: what others do to the shared directory comes to the guest, what the
# guest does itself does not come back, and watchers of inotify in a real guest wake.

bats_require_minimum_version 1.5.0

load common

TOP=$PWD

setup()
{
    cd "$BATS_TEST_TMPDIR"
    chmod 755 . ..
    mkdir -p share/sub/deep
    chmod -R 777 share
    printf text >share/file
    unshare -rm true 2>/dev/null || skip "no namespaces here"
}

teardown()
{
    # shellcheck disable=SC2046
    kill $(cat ./*.pid 2>/dev/null) 2>/dev/null || true
}

# serve OPTIONS...: in the background on s
serve()
{
    "${AS[@]}" "${FSD:-fsd}" --socket-path=s --shared-dir=share "$@" 3>&- >out 2>&1 &
    echo $! >serve.pid
    wait_for listens s
    sleep 0.1
    ! grep -q 'watching the shared directory' out || skip "$(cat out)"
}

front()
{
    python3 "$BATS_TEST_DIRNAME/fsd_front.py" s "$@"
}

everything()
{
    run front ls: ls:sub ls:sub/deep watch create:own:x unlink:own \
        setxattr:file:user.fsd.touch:x mkdir:mine events \
        host:'echo more >>share/file; mkdir share/new; echo x >share/sub/deep/f' events \
        host:'mv share/sub/deep/f share/sub/g; rm share/sub/g;
            chmod 700 share/sub; chmod 755 share' events \
        host:'mv share/sub share/renamed' events host:'touch share/renamed/deep/again' events \
        host:'mv share/renamed/deep .; touch deep/outside; rmdir share/renamed' events \
        setxattr:file:user.fsd.touch:x create:mine2:x events
    cat out
    echo "$output"
    [ "${lines[3]}" = "events" ]
    [ "${lines[4]}" = "events file new sub/deep/f" ]
    [ "${lines[5]}" = "events . sub sub/deep/f sub/g" ]
    [ "${lines[6]}" = "events renamed sub" ]
    [ "${lines[7]}" = "events renamed/deep/again" ]
    [[ ${lines[8]} == "events "*"renamed"* && ${lines[8]} != *outside* ]]
    [ "${lines[9]}" = "events" ]
    [ "${#lines[@]}" = 10 ]
}

@test "changes of others come with their paths, the guest's own do not, and nothing loops" {
    serve --notify
    everything
    run python3 -c 'import os; print(os.listxattr("share/file"))'
    [ "$output" = "[]" ]
}

@test "the same by file handles, without namespaces, in a chroot, and for a user" {
    for options in --inode-file-handles=prefer --sandbox=none --sandbox=chroot; do
        [ "$(id -u)" = 0 ] || [ $options = --sandbox=none ] || continue
        rm -rf share deep
        mkdir -p share/sub/deep
        printf text >share/file
        serve --notify $options
        everything
        kill "$(cat serve.pid)"
        wait "$(cat serve.pid)"
    done
    [ "$(id -u)" = 0 ] || return 0
    rm -rf share deep
    mkdir -p share/sub/deep
    printf text >share/file
    chmod -R a+rwX share .
    chown -R 4321:4321 share .
    cp "$(command -v fsd)" fsd-copy
    AS=(setpriv --reuid 4321 --regid 4321 --clear-groups)
    FSD=./fsd-copy serve --notify
    everything
}

@test "the file of events is there when asked for, in no list, for one reader" {
    serve
    run front stat:.fsd-events
    [ "$output" = ENOENT ]
    kill "$(cat serve.pid)"
    wait "$(cat serve.pid)"
    serve --notify --xattr
    run front ls: stat:.fsd-events watch watch getxattr:.fsd-events:user.a \
        setxattr:.fsd-events:user.a:v cat:.fsd-events \
        unlink:.fsd-events setxattr:file:user.other:v getxattr:file:user.other
    echo "$output"
    [ "${lines[0]}" = ". .. file sub" ]
    [ "${lines[1]}" = "100400 0:0 0" ]
    [ "${lines[2]}" = EBUSY ]
    [ "${lines[3]}" = ENODATA ]
    [ "${lines[4]}" = EPERM ]
    [ "${lines[5]}" = EBUSY ]
    [ "${lines[6]}" = ENOENT ]
    [ "${lines[7]}" = v ]
    # the next machine can read again, and one that goes while it waits holds nobody up
    run front watch events
    [ "$output" = events ]
}

@test "more than can be kept says that anything may have changed" {
    serve --notify
    [ "$(cat /proc/sys/fs/fanotify/max_queued_events)" -le 20000 ] || skip "a long queue of events"
    run front ls: watch host:'cd share && seq 30000 | xargs touch' events
    [[ ${lines[1]} == "events "* && " ${lines[1]} " == *" / "* ]]
}

@test "watchers in a guest wake when the host writes, makes and removes files" {
    KERNEL=$(cd "$TOP" && build/guest.sh kernel riscv64) &&
        INITRD=$(cd "$TOP" && build/guest.sh initrd-io riscv64) || skip "no guest can be fetched"
    command -v riscv64-linux-gnu-gcc >/dev/null || skip "no compiler for the guest"
    local cc=(riscv64-linux-gnu-gcc -O1 -static -D_GNU_SOURCE)
    "${cc[@]}" -o share/fsd-notify "$TOP/tools/fsd-notify/main.c"
    "${cc[@]}" -o share/inotify-guest "$BATS_TEST_DIRNAME/inotify-guest.c"
    for cache in auto always; do
        rm -f share/[ownm]* share/.end share/ready
        printf text >share/file
        echo gone >share/removed
        local how=(--share share:tag,notify) # with the default, auto
        if [ $cache = always ]; then
            serve --notify --cache=$cache
            how=(-chardev socket,id=c,path=s -device vhost-user-fs-pci,chardev=c,tag=tag)
        fi
        timeout 300 vm-run -nographic -m 512 -kernel "$KERNEL" -initrd "$INITRD" "${how[@]}" \
            -append "console=ttyS0 quiet lathe.load=fs lathe.mode=jobs \
lathe.cmd=$(base64 -w0 <<'JOB'
mkdir /m; mount -t virtiofs tag /m; cd /m
cat file removed; ls none; ls sub
./inotify-guest /m /m/sub >/tmp/events &
watcher=$!
./fsd-notify /m &
while ! grep -q watching /tmp/events; do usleep 50000; done
echo own >/m/own; rm /m/own
echo >/m/ready
wait $watcher
kill %2
sed 's/^/EVENT /' /tmp/events
echo "FILE $(cat file)"; echo "SUB $(ls sub | tr '\n' ' ')"; [ ! -e removed ] && echo GONE; cat none
JOB
)" </dev/null >log 2>&1 3>&- &
        echo $! >vm.pid
        wait_for [ -e share/ready ]
        sleep 1
        echo more >>share/file
        echo there >share/none
        rm share/removed
        mkdir share/sub/made
        sleep 1
        : >share/.end
        wait "$(cat vm.pid)"
        tr -d '\r' <log >log.text
        cat log.text
        for line in "EVENT /m file attrib" "EVENT /m none attrib" "EVENT /m . attrib" \
            "EVENT /m/sub made attrib" "FILE textmore" "GONE" "there" "STATUS 0"; do
            grep -qxF "$line" log.text
        done
        grep -qE '^SUB (deep made|made deep) $' log.text
        # its own: made and removed once, and not told again
        [ "$(grep -c '^EVENT /m own attrib' log.text)" = 0 ]
        [ "$(grep -c '^EVENT /m own create' log.text)" = 1 ]
        # nothing loops
        [ "$(grep -c '^EVENT' log.text)" -lt 30 ]
        rm -rf share/sub/made
    done
    kill "$(cat serve.pid)"
}
