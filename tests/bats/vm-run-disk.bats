#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# Disks on virtio-blk: what a guest writes is in the host's file, and the other way round.

load common

setup_file()
{
    KERNEL=$(build/guest.sh kernel riscv64) && INITRD=$(build/guest.sh initrd-io riscv64) ||
        skip "no guest can be fetched"
    export KERNEL INITRD
}

setup()
{
    cd "$BATS_TEST_TMPDIR"
    truncate -s 64M disk.img
}

# job SCRIPT [OPTION]...: runs the script in a guest
job()
{
    local encoded
    encoded=$(base64 -w0 <<<"$1")
    shift
    run timeout 120 vm-run -nographic -m 512 -kernel "$KERNEL" -initrd "$INITRD" \
        -append "console=ttyS0 quiet lathe.mode=jobs lathe.cmd=$encoded" "$@" </dev/null
    echo "$output" | tail -n 40
}

usage()
{
    run timeout 60 vm-run -nographic -kernel "$KERNEL" "$@" </dev/null
    [ "$status" -ne 0 ]
    [ "${#lines[@]}" -eq 1 ]
}

sum_of()
{
    md5sum "$@" | cut -d ' ' -f 1
}

# Writes 24 MiB, starts again, reads them back; prints their sum.
rewrite='
if [ "$(dd if=/dev/vda bs=512 skip=8192 count=1 2>/dev/null | head -c 4)" = DONE ]; then
    echo "AGAIN $(dd if=/dev/vda bs=64k skip=128 count=384 2>/dev/null | md5sum)"
    exit 0
fi
dd if=/dev/urandom of=/tmp/data bs=1M count=24 2>/dev/null
echo "FIRST $(md5sum </tmp/data)"
dd if=/tmp/data of=/dev/vda bs=64k seek=128 2>/dev/null
echo DONE | dd of=/dev/vda bs=512 seek=8192 conv=sync 2>/dev/null
sync
reboot -f'

check_rewrite()
{
    [ "$status" -eq 0 ]
    sum=$(dd if=disk.img bs=1M skip=8 count=24 2>/dev/null | sum_of)
    [[ $output == *"FIRST $sum"*"AGAIN $sum"*"STATUS 0"* ]]
}

@test "what a guest writes is there after a reboot, and in the host's file" {
    job "$rewrite" -drive file=disk.img,format=raw,if=virtio
    check_rewrite
}

@test "the same over packed rings, several queues and CPUs, without indirect tables or indexes" {
    job "$rewrite" -smp 2 -drive file=disk.img,format=raw,if=none,id=d0 \
        -device virtio-blk-device,drive=d0,packed=on,num-queues=2
    check_rewrite
    truncate -s 0 disk.img
    truncate -s 64M disk.img
    job "$rewrite" -drive file=disk.img,format=raw,if=none,id=d0 \
        -device virtio-blk-device,drive=d0,indirect_desc=off,event_idx=off,queue-size=8
    check_rewrite
    truncate -s 0 disk.img
    truncate -s 64M disk.img
    job "$rewrite" -drive file=disk.img,format=raw,if=none,id=d0 \
        -device virtio-blk-device,drive=d0,packed=on,event_idx=off,indirect_desc=off,write-cache=off
    check_rewrite
}

@test "qcow2 images: on a backing file, with snapshots, compressed below, subclusters, and -snapshot" {
    head -c 8M /dev/urandom >disk.img
    truncate -s 64M disk.img
    img convert -c -f raw -O qcow2 disk.img base.qcow2
    base=$(sum_of base.qcow2)
    for o in cluster_size=65536 extended_l2=on lazy_refcounts=on,cluster_size=4k; do
        img create -q -f qcow2 -o $o -b base.qcow2 -F qcow2 top.qcow2
        img snapshot -c before top.qcow2
        job "$rewrite" -drive file=top.qcow2,if=virtio,discard=unmap
        [ "$status" -eq 0 ]
        qemu-img check top.qcow2
        qemu-img convert -O raw top.qcow2 out.img
        sum=$(dd if=out.img bs=1M skip=8 count=24 2>/dev/null | sum_of)
        [[ $output == *"FIRST $sum"*"AGAIN $sum"*"STATUS 0"* ]]
        cmp -n 4194304 out.img disk.img
        img snapshot -a before top.qcow2
        qemu-img compare -F raw top.qcow2 disk.img
    done
    [ "$base" = "$(sum_of base.qcow2)" ]
    top=$(sum_of top.qcow2)
    job 'echo changed | dd of=/dev/vda conv=sync && sync && head -n 1 /dev/vda' -snapshot top.qcow2
    [[ $output == *changed*"STATUS 0"* ]]
    [ "$top" = "$(sum_of top.qcow2)" ]
}

@test "encrypted disks: LUKS in qcow2 and alone, with -object secret, and without it a clear error" {
    secret=(--object secret,id=s0,data=hunter2)
    inside=driver=qcow2,encrypt.key-secret=s0,file.filename=disk.qcow2
    img create -q "${secret[@]}" -f qcow2 -o encrypt.format=luks,encrypt.key-secret=s0,encrypt.iter-time=50 disk.qcow2 64M
    job "$rewrite" "${secret[@]/--/-}" -drive file=disk.qcow2,if=virtio,encrypt.key-secret=s0 -sandbox on
    qemu-img check "${secret[@]}" --image-opts $inside
    qemu-img convert "${secret[@]}" --image-opts $inside -O raw disk.img
    check_rewrite
    [ "$(grep -c DONE disk.qcow2)" = 0 ]
    img convert "${secret[@]}" --image-opts $inside -O luks -o key-secret=s0,iter-time=50 disk.luks
    job 'dd if=/dev/vda bs=512 skip=8192 count=1 2>/dev/null | head -c 4; echo; echo MORE | dd of=/dev/vda bs=512 conv=sync' \
        -object secret,id=s0,data=hunter2 -drive driver=luks,key-secret=s0,file.filename=disk.luks,if=virtio
    [[ $output == *DONE*"STATUS 0"* ]]
    qemu-img convert "${secret[@]}" --image-opts driver=luks,key-secret=s0,file.filename=disk.luks -O raw disk.img
    [ "$(head -c 4 disk.img)" = MORE ]
    usage -drive file=disk.qcow2,if=virtio
    [[ $output == *"encrypt.key-secret' is required"* ]]
    usage -object secret,id=s0,data=other -drive file=disk.qcow2,if=virtio,encrypt.key-secret=s0
    [[ $output == *"Invalid password, cannot unlock any keyslot"* ]]
    usage -object secret,id=s0,data=QQQ,format=base64 -drive file=disk.qcow2,if=virtio,encrypt.key-secret=s0
    [[ $output != *QQQ* ]]
}

@test "a disk that an NBD server exports, in the clear and encrypted" {
    nbd -f raw -k "$PWD/n.sock" --pid-file n.pid --fork disk.img
    job "$rewrite" -drive "file=nbd+unix:///?socket=$PWD/n.sock,format=raw,if=virtio"
    kill "$(cat n.pid)"
    check_rewrite
    rm disk.img
    truncate -s 64M disk.img
    psktool -u guest -p keys.psk 2>/dev/null
    nbd -f raw -k "$PWD/t.sock" --pid-file t.pid --fork --object "tls-creds-psk,id=t,endpoint=server,dir=$PWD" \
        --tls-creds t disk.img
    job "$rewrite" -object "tls-creds-psk,id=c,endpoint=client,dir=$PWD,username=guest" \
        -blockdev "driver=nbd,node-name=n,server.type=unix,server.path=$PWD/t.sock,tls-creds=c" \
        -device virtio-blk-device,drive=n
    kill "$(cat t.pid)"
    check_rewrite
}

@test "-blockdev, disks of several devices in order, serial numbers and sizes" {
    truncate -s 1M b.img
    echo second >b.img
    truncate -s 1M b.img
    job 'cat /sys/block/vda/size /sys/block/vda/serial /sys/block/vdb/size /sys/block/vdb/serial
        head -n 1 /dev/vdb; cat /sys/block/vdb/queue/physical_block_size' \
        -blockdev driver=file,filename=disk.img,node-name=f0 \
        -blockdev driver=raw,file=f0,node-name=n0 \
        -device virtio-blk-device,drive=n0,serial=one \
        -drive file=b.img,format=raw,if=none,id=b \
        -device virtio-blk-device,drive=b,serial=two,physical_block_size=4096
    [[ $output == *131072*one*2048*two*second*4096*"STATUS 0"* ]]
}

@test "an ext4 file system from the host is read, written and clean afterwards" {
    command -v mke2fs >/dev/null || skip "e2fsprogs is not installed"
    mkdir tree
    head -c 3000000 /dev/urandom >tree/data
    mke2fs -q -t ext4 -d tree disk.img
    job 'mkdir /mnt && mount -t ext4 /dev/vda /mnt && md5sum </mnt/data && cp /mnt/data /mnt/copy &&
        sync && cat /mnt/copy /mnt/data >/mnt/both && umount /mnt' disk.img
    [[ $output == *"$(sum_of tree/data)"*"STATUS 0"* ]]
    e2fsck -fn disk.img
    [ "$(debugfs -R 'cat /both' disk.img 2>/dev/null | sum_of)" = \
        "$(cat tree/data tree/data | sum_of)" ]
}

@test "discard gives space back, and reads as zeroes" {
    head -c 64M /dev/urandom >disk.img
    before=$(stat -c %b disk.img)
    job 'blkdiscard -o 16777216 -l 33554432 /dev/vda && dd if=/dev/vda bs=1M skip=16 count=32 |
        md5sum' -drive file=disk.img,format=raw,discard=unmap
    [[ $output == *"$(head -c 32M /dev/zero | sum_of)"*"STATUS 0"* ]]
    [ "$(stat -c %b disk.img)" -le $((before - 60000)) ]
}

@test "a read-only disk refuses writes and stays as it is" {
    head -c 64M /dev/urandom >disk.img
    before=$(sum_of disk.img)
    chmod a-w disk.img
    job 'cat /sys/block/vda/ro; dd if=/dev/zero of=/dev/vda bs=4k count=1 conv=fsync; echo "write $?"
        md5sum </dev/vda' -drive file=disk.img,format=raw,readonly=on
    [[ $output == *1*"write 1"*"$before"*"STATUS 0"* ]]
    [ "$(sum_of disk.img)" = "$before" ]
}

@test "snapshot=on and -snapshot leave the file untouched" {
    head -c 64M /dev/urandom >disk.img
    before=$(sum_of disk.img)
    script='echo changed | dd of=/dev/vda bs=512 conv=sync,fsync && echo 3 >/proc/sys/vm/drop_caches &&
        dd if=/dev/vda bs=512 count=1 | head -n 1'
    job "$script" -drive file=disk.img,format=raw,snapshot=on
    [[ $output == *changed*"STATUS 0"* ]]
    [ "$(sum_of disk.img)" = "$before" ]
    job "$script" -snapshot -drive file=disk.img,format=raw
    [[ $output == *changed*"STATUS 0"* ]]
    [ "$(sum_of disk.img)" = "$before" ]
}

@test "a second vm-run on a disk names the first" {
    timeout 120 vm-run -nographic -kernel "$KERNEL" -drive file=disk.img,format=raw </dev/null \
        >first.log 2>&1 3>&- &
    wait_for grep -qa Linux first.log
    pid=$(pgrep -P $!)
    run timeout 60 vm-run -nographic -kernel "$KERNEL" -drive file=disk.img,format=raw </dev/null
    kill -INT "$pid"
    wait $!
    [ "$status" -eq 1 ]
    [[ $output == *disk.img* ]]
    [[ $output == *"$pid"* ]]
}

@test "a full host disk with werror=report is an error in the guest, and nothing else" {
    mkdir small
    mount -t tmpfs -o size=8M none small || skip "cannot mount a tmpfs"
    truncate -s 64M small/disk.img
    job 'dd if=/dev/zero bs=1M count=16 2>/dev/null | tr "\0" x >/tmp/x
        dd if=/tmp/x of=/dev/vda bs=1M conv=fsync; echo "write $?"' \
        -drive file=small/disk.img,format=raw,werror=report
    umount small
    [ "$status" -eq 0 ]
    [[ $output == *"write 1"*"STATUS 0"* ]]
}

@test "random bytes reach the guest, from the host's generator and from a file" {
    yes lathe | head -c 65536 >bytes
    job 'head -c 4096 /dev/hwrng | md5sum; cat /sys/class/misc/hw_random/rng_current' \
        -object rng-builtin,id=r -device virtio-rng-device,rng=r
    [[ $output == *virtio_rng*"STATUS 0"* ]]
    job 'head -c 60 /dev/hwrng' -object rng-random,id=r,filename=bytes -device virtio-rng-device,rng=r
    [[ $output == *lathe*lathe*"STATUS 0"* ]]
}

@test "a named port and a console carry bytes to back ends of -chardev" {
    job 'cat /sys/class/virtio-ports/*/name
        port=$(grep -l org.lathe.test /sys/class/virtio-ports/*/name | cut -d / -f 5)
        seq 1 20000 >/dev/$port
        echo "from the console" >/dev/hvc0' \
        -chardev file,id=p,path=port -chardev file,id=c,path=console -device virtio-serial-device \
        -device virtconsole,chardev=c -device virtserialport,chardev=p,name=org.lathe.test
    [[ $output == *org.lathe.test*"STATUS 0"* ]]
    cmp port <(seq 1 20000)
    grep -q "from the console" console
    usage -device virtio-serial-device -device virtserialport,chardev=nowhere
    [[ $output == *nowhere* ]]
}

@test "wrong words are one line that says which" {
    usage -drive file=none.img,format=raw
    [[ $output == *none.img* ]]
    usage -device virtio-blk-device,drive=d9
    [[ $output == *d9* ]]
    usage -device virtio-blk-device
    [[ $output == *drive* ]]
    usage -drive file=disk.img,format=raw,if=none,id=d0 -device virtio-blk-device,drive=d0,seriall=x
    [[ $output == *"did you mean 'serial'"* ]]
    usage -drive file=disk.img,format=raw,if=none,id=d0 -device virtio-blk-devic,drive=d0
    [[ $output == *"did you mean 'virtio-blk-device'"* ]]
    usage -drive file=disk.img,format=raw,if=none,id=d0 -device virtio-blk-device,drive=d0 \
        -device virtio-blk-device,drive=d0
    [[ $output == *"'d0' is already in use"* ]]
    usage -drive file=disk.img,format=raw,if=none,id=d0 -drive file=disk.img,format=raw,if=none,id=d0
    [[ $output == *d0* ]]
    usage -drive file=disk.img,format=vmdk
    [[ $output == *"'vmdk' is not there yet"* ]]
    usage -drive file=disk.img,format=raw,if=floppy
    [[ $output == *if=virtio* ]]
    usage -device virtio-rng-device,rng=r9
    [[ $output == *r9* ]]
    usage -drive file=disk.img,format=raw,if=none,id=d0 \
        -device virtio-blk-device,drive=d0,bus=virtio-mmio-bus.8
    [[ $output == *virtio-mmio-bus.8* ]]
    usage -object rng-builtin,id=r $(printf -- '-device virtio-rng-device,rng=r %.0s' {1..9})
    [[ $output == *"no slot is free"* ]]
}

# on_pci DEVICE...: a disk on PCI is written, read back, and where it sits is told.
on_pci()
{
    job 'ls -l /sys/bus/virtio/devices/virtio0; dd if=/dev/urandom of=/tmp/x bs=1M count=4 2>/dev/null
        dd if=/tmp/x of=/dev/vda bs=1M conv=fsync 2>/dev/null; echo 3 >/proc/sys/vm/drop_caches
        [ "$(md5sum </tmp/x)" = "$(head -c 4194304 /dev/vda | md5sum)" ] && echo SAME' \
        -drive file=disk.img,format=raw,if=none,id=d "$@"
    [[ "$output" == *SAME* ]]
}

@test "a disk on PCI works with modern drivers, with legacy ones, and behind a root port" {
    on_pci -device virtio-blk-pci,drive=d,addr=7
    [[ "$output" == *0000:00:07.0* ]]
    on_pci -device virtio-blk-pci,drive=d,disable-modern=on
    on_pci -device pcie-root-port,id=rp,slot=1 -device virtio-blk,drive=d,bus=rp
    [[ "$output" == *0000:01:00.0* ]]
}

@test "PCI places that are taken or not there, and modes that exclude each other, are one line" {
    local d="-drive file=disk.img,format=raw,if=none,id=d"
    usage $d -device virtio-blk-pci,drive=d,addr=0
    [[ "$output" == *"slot 0 function 0 of pcie.0 is not free"* ]]
    usage $d -device virtio-blk-pci,drive=d,addr=20
    [[ "$output" == *"addr=20: expected SLOT or SLOT.FUNCTION"* ]]
    usage $d -device virtio-blk-pci,drive=d,bus=rp9
    [[ "$output" == *"Bus 'rp9' not found; there are pcie.0"* ]]
    usage $d -device virtio-blk-pci,drive=d,disable-modern=on,disable-legacy=on
    [[ "$output" == *"neither modern nor legacy"* ]]
}

# scsi_job SCRIPT [OPTION]...: a guest with SCSI drivers
scsi_job()
{
    local encoded
    encoded=$(base64 -w0 <<<"$1")
    shift
    run timeout 120 vm-run -nographic -m 512 -kernel "$KERNEL" -initrd "$INITRD" \
        -append "console=ttyS0 quiet lathe.load=scsi lathe.mode=jobs lathe.cmd=$encoded" "$@" \
        </dev/null
    echo "$output" | tail -n 40
}

scsi_rewrite='dd if=/dev/urandom of=/tmp/x bs=1M count=12 2>/dev/null
dd if=/tmp/x of=/dev/sda bs=1M conv=fsync 2>/dev/null; echo 3 >/proc/sys/vm/drop_caches
cmp -n 12582912 /tmp/x /dev/sda && echo SAME; md5sum </tmp/x
blkdiscard -o 4194304 -l 4194304 /dev/sda && dd if=/dev/sda bs=1M skip=4 count=4 2>/dev/null | md5sum
ls -d /sys/block/sda/device/scsi_disk/*'

@test "SCSI disks are written, read back and discarded, on both kinds of slots and many queues" {
    local device zero
    zero=$(head -c 4M /dev/zero | sum_of)
    for device in virtio-scsi-device virtio-scsi-pci,num_queues=2 virtio-scsi-pci,packed=on; do
        rm -f disk.img
        truncate -s 64M disk.img
        scsi_job "$scsi_rewrite" -smp 2 -drive file=disk.img,format=raw,if=none,id=d,discard=unmap \
            -device "$device,id=s" -device scsi-hd,drive=d,bus=s.0,scsi-id=5,lun=3
        [[ $output == *SAME*"$zero"*0:0:5:3*"STATUS 0"* ]]
        [ "$(stat -c %b disk.img)" -le $((8 * 2048 + 64)) ]
    done
}

@test "if=scsi and -cdrom bring a SCSI controller; a disc is read, ejected and put back" {
    yes disc | head -c 65536 >disc.iso
    scsi_job 'cd /proc/sys/dev/cdrom; echo 0 >autoclose; echo 1 >autoeject
        md5sum </dev/sr0; sleep 1; head -c 5 /dev/sr0; echo "ejected $?"
        echo 0 >autoeject; echo 1 >autoclose; head -c 5 /dev/sr0
        head -c 5 /dev/sr1; echo "empty $?"; cat /sys/block/sda/size; echo x >/dev/sr0; echo "write $?"' \
        -drive file=disk.img,format=raw,if=scsi -cdrom disc.iso -drive if=scsi,media=cdrom
    [[ $output == *"$(sum_of disc.iso)"*"ejected 1"*disc*"empty 1"*131072*"write 1"*"STATUS 0"* ]]
    usage -drive if=none,media=cdrom,id=e -device virtio-blk-device,drive=e
    [[ $output == *"Device needs media, but drive 'e' is empty"* ]]
}

@test "a disc is taken out and changed in the monitor" {
    command -v socat >/dev/null || skip "socat is not installed"
    local encoded
    yes first | head -c 65536 >a.iso
    yes other | head -c 131072 >b.iso
    encoded=$(base64 -w0 <<<'head -c 5 /dev/sr0; echo " READY"
        while head -c 1 /dev/sr0 >/dev/null 2>&1; do sleep 0.1; done; echo OUT
        until [ "$(head -c 5 /dev/sr0 2>/dev/null)" = other ]; do sleep 0.1; done; echo CHANGED
        cat /sys/block/sr0/size')
    timeout 120 vm-run -nographic -m 512 -kernel "$KERNEL" -initrd "$INITRD" \
        -append "console=ttyS0 quiet lathe.load=scsi lathe.mode=jobs lathe.cmd=$encoded" \
        -drive file=a.iso,format=raw,media=cdrom,id=cd \
        -monitor unix:m.sock,server=on,wait=off </dev/null >guest.log 2>&1 3>&- &
    await READY
    monitor 'eject -f cd'
    await OUT
    monitor 'change cd b.iso raw'
    await "STATUS 0"
    wait $!
    grep -qa CHANGED guest.log
    grep -qa ^256 guest.log
}

# monitor COMMAND: to the monitor at m.sock.
monitor()
{
    echo "$1" | socat -t 2 - UNIX-CONNECT:m.sock >/dev/null
}

# await TEXT: in the guest's output.
await()
{
    wait_for grep -qa "$1" guest.log || { cat guest.log; return 1; }
}

@test "SCSI disks come, grow and go while the guest runs" {
    command -v socat >/dev/null || skip "socat is not installed"
    local script encoded
    script='echo READY; while [ ! -b /dev/sda ]; do sleep 0.1; done
        dd if=/dev/urandom of=/dev/sda bs=1M count=4 conv=fsync 2>/dev/null; echo PLUGGED
        while [ "$(cat /sys/block/sda/size)" = 131072 ]; do sleep 0.1; done
        echo "SIZE $(cat /sys/block/sda/size)"
        while [ -e /sys/block/sda ]; do sleep 0.1; done; echo GONE'
    encoded=$(base64 -w0 <<<"$script")
    timeout 120 vm-run -nographic -m 512 -kernel "$KERNEL" -initrd "$INITRD" \
        -append "console=ttyS0 quiet lathe.load=scsi lathe.mode=jobs lathe.cmd=$encoded" \
        -device virtio-scsi-pci,id=s -drive file=disk.img,format=raw,if=none,id=d \
        -monitor unix:m.sock,server=on,wait=off </dev/null >guest.log 2>&1 3>&- &
    await READY
    monitor 'device_add scsi-hd,drive=d,bus=s.0,id=hd'
    await PLUGGED
    monitor 'block_resize d 128'
    await "SIZE 262144"
    monitor 'device_del hd'
    await "STATUS 0"
    wait $!
    [ "$(stat -c %s disk.img)" -eq $((128 << 20)) ]
}
