#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# fsd killed and started again by somebody who keeps its descriptors (fsd_keeper.py): the guest (fsd_restart.py) goes on.

load common

setup()
{
    cd "$BATS_TEST_TMPDIR"
    chmod 755 . ..
    mkdir -p share
    chmod 777 share
}

# over SCENARIO HOW OPTIONS...: all ways in which that may be confined
over()
{
    local scenario=$1 how=$2 kinds=none kind
    shift 2
    if [ "$(id -u)" = 0 ]; then
        kinds="none chroot namespace"
    elif unshare -rm true 2>/dev/null; then
        kinds="none namespace"
    fi
    for kind in $kinds; do
        find share -mindepth 1 -delete
        run python3 "$BATS_TEST_DIRNAME/fsd_restart.py" "$scenario" share "$how" --sandbox="$kind" "$@"
        echo "$kind: $output"
        [ "${lines[-1]}" = good ]
        case $output in *"what is open is not kept"* | *forgotten*) return 1 ;; esac
    done
}

@test "open files go on after a kill, with and without names" {
    over files kill
    [[ $output == *"goes on with "*" files, 6 open"* ]]
}

@test "open files go on after an orderly end" {
    over files term
}

@test "open files go on by file handles" {
    [ "$(id -u)" = 0 ] || skip "needs root"
    over files kill --inode-file-handles=mandatory
}

@test "few descriptors are enough" {
    over files kill --rlimit-nofile=100
}

@test "locks hold, and end with their owners" {
    over locks kill --posix-lock --flock
    over locks term --posix-lock --flock
}

@test "a listing goes on where it was" {
    over folders kill
}

@test "changes of others are told after a restart as before" {
    over changes kill --notify
}

@test "requests that were under way are done once" {
    over requests kill
}

@test "other file systems below the share are found again" {
    [ "$(id -u)" = 0 ] || skip "needs root"
    unshare -m true 2>/dev/null || skip "no namespaces here"
    local kind
    for kind in none chroot namespace namespace:--inode-file-handles=mandatory chroot:--inode-file-handles=mandatory; do
        rm -rf share
        mkdir -p share/m share/deep/m
        run unshare -m sh -e -c 'mount -t tmpfs none share/m
            mount -t tmpfs none share/deep
            mkdir share/deep/m
            mount --bind share/m share/deep/m
            exec python3 "$@"' sh "$BATS_TEST_DIRNAME/fsd_restart.py" mounts share kill --sandbox="${kind%%:*}" \
            $(echo "$kind" | sed -n 's/.*://p')
        echo "$kind: $output"
        [ "${lines[-1]}" = good ]
    done
}

@test "a machine that ends or begins anew leaves nothing" {
    over again kill --posix-lock
}

@test "the memory of another directory or other options is forgotten with a line" {
    mkdir other bin
    echo share >start
    # shellcheck disable=SC2016
    printf '#!/bin/sh\nexec %s -d --sandbox=none $(cat start)\n' "$(command -v fsd)" >bin/fsd
    chmod 755 bin/fsd
    PATH=$PWD/bin:$PATH run python3 "$BATS_TEST_DIRNAME/fsd_restart.py" other share kill
    echo "$output"
    [ "${lines[-1]}" = good ]
    [[ $output == *"goes on with 1 files, 1 open"*"is forgotten: it is of another directory"*"is forgotten: it was made with other options"* ]]
}
