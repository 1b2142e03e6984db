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

@test "what is wrong with a share is said in a line" {
    run -2 --separate-stderr vm-run -nographic -kernel "$KERNEL" -chardev null,id=n -device vhost-user-fs-pci,chardev=n,tag=t
    [[ "$stderr" == *"chardev= must be a socket that is connected to the sharing process"* ]]
    run -2 --separate-stderr vm-run -nographic -kernel "$KERNEL" -chardev null,id=n -device vhost-user-fs-pci,chardev=n
    [[ "$stderr" == *"missing tag property"* ]]
    run -2 --separate-stderr vm-run -nographic -kernel "$KERNEL" -chardev null,id=n \
        -device "vhost-user-fs-pci,chardev=n,tag=$(printf 'x%.0s' {1..37})"
    [[ "$stderr" == *"tag property must be 36 bytes or less"* ]]
}
