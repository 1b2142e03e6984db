#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# Directories shared over vhost-user, by the distribution's virtiofsd and by fsd.

bats_require_minimum_version 1.5.0

load common

setup_file()
{
    VIRTIOFSD=/usr/lib/qemu/virtiofsd
    KERNEL=$(build/guest.sh kernel riscv64) && INITRD=$(build/guest.sh initrd-io riscv64) ||
        skip "no guest can be fetched"
    export VIRTIOFSD KERNEL INITRD
}

setup()
{
    cd "$BATS_TEST_TMPDIR"
    mkdir shared
    echo hello >shared/f
    daemon=
}

# the distribution's daemon, which ends with its machine
virtiofsd()
{
    [ -x $VIRTIOFSD ] || skip "$VIRTIOFSD is not installed"
    [ "$(id -u)" = 0 ] || skip "$VIRTIOFSD wants to be run by root"
    $VIRTIOFSD --socket-path=s -o "source=$PWD/shared" -o sandbox=chroot >daemon.log 2>&1 3>&- &
    daemon=$!
    wait_for listens s
}

teardown()
{
    [ -z "${pid-}" ] || kill "$pid" 2>/dev/null || :
    [ -z "$daemon" ] || kill $daemon 2>/dev/null || :
}

# guest SCRIPT OPTION...: its console in "log"
guest()
{
    timeout 100 vm-run -nographic -m 512 -kernel "$KERNEL" -initrd "$INITRD" \
        -append "console=ttyS0 quiet lathe.mode=jobs lathe.cmd=$(base64 -w0 <<<"mkdir /m; mount -t virtiofs tag /m && $1")" \
        "${@:2}" </dev/null >log 2>&1 3>&-
}

@test "a guest reads and writes a shared directory, by either transport" {
    for form in vhost-user-fs-pci vhost-user-fs-device; do
        virtiofsd
        guest 'cat /m/f; head -c 20000000 /dev/urandom >/m/big; mkdir -p /m/d/e; ln -s f /m/d/l; md5sum /m/big
               umount /m; mount -t virtiofs tag /m; md5sum /m/big; stat -c %s /m/big; ls /m/none; rm -r /m/d; sync' \
            -chardev socket,id=c,path=s -device "$form,chardev=c,tag=tag"
        grep -q '^hello' log
        [ "$(grep -c "^$(md5sum <shared/big | cut -d ' ' -f 1)" log)" = 2 ]
        grep -q '^20000000' log
        grep -q "No such file" log
        grep -q 'STATUS 0' log
        [ ! -e shared/d ]
        wait $daemon || :
    done
}

@test "--share starts an fsd for each, which ends with the machine" {
    mkdir other
    guest 'cat /m/f; echo out >/m/g; mkdir /o; mount -t virtiofs other /o; touch /o/no; ls /o' \
        --share "$PWD/shared:tag" --share other,readonly
    grep -q '^hello' log
    [ "$(cat shared/g)" = out ]
    grep -q 'Read-only file system' log
    [ ! -e other/no ]
    ! pgrep -f "fsd --shared-dir=$PWD" || false
    run -1 --separate-stderr vm-run -nographic -kernel "$KERNEL" --share /no/such:x
    [[ "$stderr" == *"--share /no/such:x: there is no such folder: /no/such"* ]]
}

@test "what the sharing process leaves behind ends with an error, and the guest goes on" {
    virtiofsd
    guest 'echo READY; while cat /m/f >/dev/null 2>/dev/null; do usleep 20000; echo 3 >/proc/sys/vm/drop_caches; done
           stat /m/other; echo AND ON; dmesg | grep -c hung' \
        -chardev socket,id=c,path=s -device vhost-user-fs-pci,chardev=c,tag=tag &
    pid=$!
    wait_for grep -q READY log
    kill -9 $daemon
    wait $pid
    grep -q 'AND ON' log
    grep -q "Transport endpoint is not connected" log
    grep -q "the process that shares 'tag' has gone" log
}

fsd_of() { pgrep -f "fsd --shared-dir=$PWD/shared"; }

# sure_kill: the fsd of this share, and waits for the next
sure_kill()
{
    local old
    old=$(fsd_of)
    kill -9 "$old"
    wait_for another_than "$old"
}
another_than() { local now; now=$(fsd_of) && [ "$now" != "$1" ]; }

@test "an fsd that dies is started again, where vm-run itself may start nothing; one that dies too often is not" {
    guest 'echo READY; until [ -e /m/go ]; do usleep 100000; umount /m; mount -t virtiofs tag /m; done
           cat /m/f; echo AND ON; until cat /m/f 2>&1 | grep "not connected"; do usleep 100000; done' \
        --share "$PWD/shared:tag" -sandbox on,spawn=deny &
    pid=$!
    wait_for grep -q READY log
    sure_kill
    touch shared/go
    wait_for grep -q 'AND ON' log
    for i in 1 2 3 4; do
        sure_kill
    done
    kill -9 "$(fsd_of)"
    wait $pid
    grep -q '^hello' log
    grep -q "share $PWD/shared:tag: fsd was killed by signal 9, and was started again" log
    grep -q "share $PWD/shared:tag: fsd was killed by signal 9, 6 times in 10 seconds: it is not started again" log
    grep -q "the process that shares 'tag' has gone" log
}

@test "nothing is left of a share when vm-run is killed" {
    export TMPDIR=$PWD/tmp
    mkdir tmp
    guest 'echo READY; sleep 1000' --share "$PWD/shared:tag" &
    pid=
    wait_for grep -q READY log
    [ -n "$(ls tmp)" ]
    for p in $(pgrep -x vm-run); do
        ! grep -q "$PWD/shared:tag" "/proc/$p/cmdline" || kill -9 "$p"
    done
    wait_for eval '! fsd_of && [ -z "$(ls tmp)" ]'
}

# The work: files are made, renamed, locked, removed, and one grows by a line at a time, each as if it counted.
@test "an fsd that is killed under load loses nothing that was acknowledged" {
    guest 'cd /m; exec 9>>held; echo READY; i=0; while [ ! -e stop ]; do
               echo $i >>lines && echo $i >&9 && mkdir d.$i && echo $i >d.$i/n && mv d.$i e.$i &&
               [ "$(cat e.$i/n)" = $i ] && rm -r e.$i || echo "BAD at $i"
               i=$((i + 1)); done; echo "COUNT $i"; cd /; exec 9>&-; umount /m' \
        --share "$PWD/shared:tag" &
    pid=$!
    wait_for grep -q READY log
    for i in 1 2 3 4 5 6 7 8; do
        sleep 2.2
        sure_kill
    done
    sleep 0.3
    touch shared/stop
    wait $pid
    ! grep -q 'BAD' log || { cat log; false; }
    count=$(sed -n 's/^COUNT \([0-9]*\).*/\1/p' log)
    [ "$count" -gt 20 ]
    diff <(seq 0 $((count - 1))) shared/lines
    diff <(seq 0 $((count - 1))) shared/held
    [ "$(ls shared)" = "$(printf '%s\n' f held lines stop)" ]
    [ "$(grep -c 'was started again' log)" = 8 ]
}

@test "what is wrong with a share is said in a line" {
    run -2 --separate-stderr vm-run -nographic -kernel "$KERNEL" -chardev null,id=n -device vhost-user-fs-pci,chardev=n,tag=t
    [[ "$stderr" == *"chardev= must be a socket that is connected to the sharing process"* ]]
    run -2 --separate-stderr vm-run -nographic -kernel "$KERNEL" -chardev null,id=n -device vhost-user-fs-pci,chardev=n
    [[ "$stderr" == *"missing tag property"* ]]
    run -2 --separate-stderr vm-run -nographic -kernel "$KERNEL" -chardev null,id=n \
        -device "vhost-user-fs-pci,chardev=n,tag=$(printf 'x%.0s' {1..37})"
    [[ "$stderr" == *"tag property must be 36 bytes or less"* ]]
}
