#!/bin/bash
# SPDX-License-Identifier: MIT
# ga-vm-initrd.sh OUT AGENT...: an initrd of Debian's amd64 kernel with modules for disks of all kinds, busybox,
# these agents with their libraries, and the programs that agents run. Its init starts the agent whose name
# is on the command line (ga.agent=NAME) and repeats it if it ends; ga.args has its arguments, with commas.
set -eu
out=$1
shift
top=$(dirname "$(dirname "$(build/guest.sh kernel amd64)")")
[ -d "$top/lib/modules" ] || top=$(dirname "$top")
version=$(basename "$top"/lib/modules/*)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
r=$work/root
mkdir -p "$r"/{bin,sbin,usr/bin,usr/sbin,etc/pam.d,etc/hooks,proc,sys,dev,run,tmp,mnt,mnt2,root,modules,lib,lib64,home/user,var/log,var/run}

# A module after those it depends on, once.
module()
{
    local name=$1 file dep
    [ ! -e "$r/modules/$name.ko" ] || return 0
    file=$(find "$top/lib/modules/$version" \( -name "$name.ko" -o -name "${name//_/-}.ko" \) -print -quit)
    [ -n "$file" ] || return 0
    for dep in $(grep -a -o 'depends=[a-zA-Z0-9_,-]*' "$file" | head -n 1 | sed 's/^depends=//; s/,/ /g'); do
        module "$dep"
    done
    cp "$file" "$r/modules/$name.ko"
    echo "$name" >>"$r/modules/order"
}

# A program with its libraries, in its own place.
program()
{
    local file lib
    file=$(readlink -f "$(command -v "$1")")
    cp "$file" "$r/${2:-usr/bin}/$(basename "$1")"
    for lib in $(ldd "$file" 2>/dev/null | grep -o '/[^ ]*'); do
        mkdir -p "$r$(dirname "$lib")"
        cp -L "$lib" "$r$lib"
    done
}

for m in virtio_pci virtio_blk virtio_scsi virtio_net virtio_console sd_mod sr_mod ata_piix ahci nvme ehci_pci usb_storage \
    crc32c_generic crc32c_intel ext4 dm_mod loop vmw_vsock_virtio_transport; do
    module $m
done
cp /usr/bin/busybox "$r/bin/busybox"
for a in "$@"; do
    program "$a" usr/sbin
done
for p in chpasswd mke2fs hwclock fstrim; do
    program "$p" usr/sbin
done
# NSS and PAM are loaded, not linked
for lib in libnss_files.so.2 libnss_compat.so.2; do
    [ ! -e "/lib/x86_64-linux-gnu/$lib" ] || cp -L "/lib/x86_64-linux-gnu/$lib" "$r/lib/x86_64-linux-gnu/"
done
mkdir -p "$r/lib/x86_64-linux-gnu/security"
for lib in pam_unix pam_permit pam_deny; do
    cp -L "/lib/x86_64-linux-gnu/security/$lib.so" "$r/lib/x86_64-linux-gnu/security/"
    for l in $(ldd "/lib/x86_64-linux-gnu/security/$lib.so" | grep -o '/[^ ]*'); do
        mkdir -p "$r$(dirname "$l")"
        cp -L "$l" "$r$l"
    done
done
echo 'password required pam_unix.so sha512' >"$r/etc/pam.d/chpasswd"
echo 'password required pam_unix.so sha512' >"$r/etc/pam.d/common-password"
printf 'root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000::/home/user:/bin/sh\n' >"$r/etc/passwd"
printf 'root:*:19000:0:99999:7:::\nuser:*:19000:0:99999:7:::\n' >"$r/etc/shadow"
printf 'root:x:0:\nuser:x:1000:\n' >"$r/etc/group"
printf 'passwd: files\nshadow: files\ngroup: files\nhosts: files\n' >"$r/etc/nsswitch.conf"
cp /usr/lib/os-release "$r/etc/os-release"
echo vm >"$r/etc/hostname"
chown -R 1000:1000 "$r/home/user"

# hooks write what they were told and what the file systems then did
cat >"$r/etc/hooks/hook" <<'END'
#!/bin/sh
echo "$1" >>/run/hooks
END
# as a machine without an init has it
cat >"$r/sbin/shutdown" <<'END'
#!/bin/sh
echo "SHUTDOWN $*" >/dev/console
case $1 in
-r) reboot -f ;;
*) poweroff -f ;;
esac
END
cat >"$r/init" <<'END'
#!/bin/busybox sh
export PATH=/usr/sbin:/usr/bin:/sbin:/bin
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mount -t tmpfs tmp /run
mount -t tmpfs tmp /tmp
hostname vm
ip link set lo up
for m in $(cat /modules/order); do insmod /modules/$m.ko 2>/dev/null; done
for w in 1 2 3 4 5 6 7 8 9 10; do
    [ -e /dev/vda ] && [ -e /dev/sda ] && break
    sleep 0.5
done
mkdir -p /dev/virtio-ports /run/ga
for p in /sys/class/virtio-ports/*; do ln -s "/dev/$(basename $p)" "/dev/virtio-ports/$(cat $p/name)"; done
mke2fs -q -F -t ext4 /dev/vda && mount -t ext4 /dev/vda /mnt
mke2fs -q -F -t ext4 /dev/vdb && mount -t ext4 -o discard /dev/vdb /mnt2
for x in $(cat /proc/cmdline); do
    case $x in
    ga.agent=*) agent=${x#*=} ;;
    ga.args=*) args=$(echo "${x#ga.args=}" | tr , ' ') ;;
    esac
done
echo READY >/dev/console
while :; do
    $agent -t /run/ga -f /run/ga.pid $args >/run/ga.log 2>&1
    echo "AGENT ENDED $?" >/dev/console
    tail -n 3 /run/ga.log >/dev/console
    sleep 1
done
END
chmod 755 "$r/init" "$r/etc/hooks/hook" "$r/sbin/shutdown"
(cd "$r" && find . | cpio -o -H newc --quiet | gzip -1) >"$out"
