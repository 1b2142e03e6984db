#!/bin/sh
# SPDX-License-Identifier: MIT
# Fetches real guests from Debian's archive and prints where they are. Nothing foreign is
# run; what is fetched stays in GUEST_CACHE (default o/guests) and is used from there
# without a network. The mirror is the machine's own (or GUEST_MIRROR).
#   guest.sh kernel ARCH         the kernel image
#   guest.sh initrd ARCH         a tiny initrd; the kernel command line says what it does:
#       lathe.mode=test          START, the md5 of 1 MiB of zeros, DONE, power off (default)
#       lathe.mode=shell         a shell on the console
#       lathe.mode=jobs lathe.cmd=BASE64   runs that script, prints "STATUS n", powers off
#   guest.sh initrd-io ARCH      the same with modules for virtio and ext4 loaded, udhcpc's script, and
#                                further groups of modules if the command line says
#                                lathe.load=GROUP[,GROUP...]
#   guest.sh initrd-ssh ARCH     that with an ssh server, /usr/sbin/dropbear, and its libraries
#   guest.sh installer ARCH      Debian's installer: the kernel, then its initrd (two lines)
#   guest.sh opensbi             OpenSBI's fw_dynamic.bin (fw_jump and ELF files beside it)
#   guest.sh uboot riscv64      U-Boot for machine mode, then for supervisor mode (two lines)
#   guest.sh package ARCH NAME   any package, unpacked: its folder
#   guest.sh sysroot ARCH PACKAGE...  these packages and all they depend on, unpacked into one folder
# GUEST_SUITE: packages of that release of Debian.
set -eu
cache=${GUEST_CACHE:-o/guests}
mkdir -p "$cache"
cache=$(cd "$cache" && pwd)
tmp=

die()
{
    echo "guest.sh: $*" >&2
    exit 1
}

# One at a time: parallel tests share the cache.
exec 9>"$cache/lock"
flock 9
trap '[ -z "$tmp" ] || rm -rf "$tmp"' EXIT
trap 'exit 1' HUP INT TERM

suite_of()
{
    case ${GUEST_SUITE:+given}$1 in
    given*) echo "$GUEST_SUITE" ;;
    riscv64) echo trixie ;;
    amd64 | arm64 | armhf | armel | i386 | mips64el | mipsel | ppc64el | s390x) echo bookworm ;;
    *) die "no Debian archive for '$1'" ;;
    esac
}

mirror()
{
    if [ -n "${GUEST_MIRROR-}" ]; then
        echo "$GUEST_MIRROR"
        return
    fi
    # the repository of this machine whose address ends in /debian: the main archive
    m=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 2>/dev/null |
        grep -m 1 -E '/debian/?$') || die "no Debian mirror in the apt sources: set GUEST_MIRROR"
    echo "$m"
}

# A private apt state for ARCH; sets APT_CONFIG.
apt_state()
{
    for c in apt-get apt-cache dpkg-deb; do
        command -v $c >/dev/null || die "$c is needed to fetch guests"
    done
    keys=/usr/share/keyrings/debian-archive-keyring.gpg
    [ -f $keys ] || die "$keys is missing: install debian-archive-keyring"
    suite=$(suite_of "$1")
    d=$cache/apt-$suite-$1
    mkdir -p "$d/state/lists/partial" "$d/cache/archives/partial" "$d/etc/parts" "$d/etc/prefs"
    : >"$d/status"
    : >"$d/preferences"
    source=$(mirror)
    echo "deb [signed-by=$keys] $source $suite main" >"$d/sources.list"
    cat >"$d/apt.conf" <<END
Dir::State "$d/state";
Dir::State::status "$d/status";
Dir::Cache "$d/cache";
Dir::Etc::SourceList "$d/sources.list";
Dir::Etc::SourceParts "$d/etc/parts";
Dir::Etc::Preferences "$d/preferences";
Dir::Etc::PreferencesParts "$d/etc/prefs";
APT::Architecture "$1";
APT::Architectures { "$1"; };
APT::Sandbox::User "root";
Acquire::Languages "none";
Acquire::Retries "3";
END
    export APT_CONFIG="$d/apt.conf"
    ls "$d/state/lists/"*Packages* >/dev/null 2>&1 || apt_update
}

apt_update()
{
    apt-get update -q >"$cache/apt.log" 2>&1 9>&- && ! grep -q '^[EW]: Failed' "$cache/apt.log" ||
        { tail -n 5 "$cache/apt.log" >&2; die "apt-get update failed"; }
}

# package ARCH NAME: sets $dir to the unpacked package.
package()
{
    dir=$cache/$1/$2
    [ ! -d "$dir" ] || return 0
    apt_state "$1"
    tmp=$cache/tmp.$$
    mkdir -p "$tmp/root" "$cache/$1"
    cd "$tmp"
    apt-get download -q "$2" >"$cache/apt.log" 2>&1 9>&- || {
        apt_update
        apt-get download -q "$2" >"$cache/apt.log" 2>&1 9>&-
    } || { tail -n 5 "$cache/apt.log" >&2; die "cannot fetch $2 for $1"; }
    dpkg-deb -x ./*.deb root || die "cannot unpack $2"
    mv root "$dir"
    cd "$cache"
    rm -rf "$tmp"
    tmp=
}

# newest ARCH REGEX...: sets $name to the newest package that matches, the first regex
# that matches any wins.
newest()
{
    arch=$1
    shift
    apt_state "$arch"
    for regex; do
        name=$(apt-cache pkgnames linux-image- | grep -E "^$regex\$" | sort -V | tail -n 1)
        [ -z "$name" ] || return 0
    done
    die "no package for $arch matches $*"
}

kernel()
{
    # where the name of the kernel package is kept: a cached kernel needs no apt
    known=$cache/$1/kernel
    if [ ! -e "$known" ]; then
        case $1 in
        riscv64) newest "$1" 'linux-image-6\.12\.[0-9.]+\+deb13-riscv64' 'linux-image-[0-9.]+\+deb13-riscv64' ;;
        arm64 | amd64) newest "$1" "linux-image-6\\.1\\.0-[0-9]+-$1-unsigned" ;;
        armhf) newest "$1" 'linux-image-6\.1\.0-[0-9]+-armmp-lpae' ;;
        i386) newest "$1" 'linux-image-6\.1\.0-[0-9]+-686-pae-unsigned' ;;
        ppc64el) newest "$1" 'linux-image-6\.1\.0-[0-9]+-powerpc64le' ;;
        s390x) newest "$1" 'linux-image-6\.1\.0-[0-9]+-s390x' ;;
        mipsel) newest "$1" 'linux-image-6\.1\.0-[0-9]+-4kc-malta' ;;
        mips64el) newest "$1" 'linux-image-6\.1\.0-[0-9]+-5kc-malta' ;;
        *) die "no kernel known for '$1'" ;;
        esac
        package "$1" "$name"
        (cd "$cache/$1" && ls "$name"/boot/vmlinu[xz]-*) >"$known.tmp" || die "$name holds no kernel"
        mv "$known.tmp" "$known"
    fi
    echo "$cache/$1/$(cat "$known")"
}

init_script()
{
    cat <<'END'
#!/bin/busybox sh
/bin/busybox mkdir -p /proc /sys /dev /tmp /etc /root
/bin/busybox --install -s /bin
export PATH=/bin HOME=/root
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
exec </dev/console >/dev/console 2>&1
mode=test cmd=
for word in $(cat /proc/cmdline); do
    case $word in
    lathe.mode=*) mode=${word#*=} ;;
    lathe.cmd=*) cmd=${word#*=} ;;
    esac
done
case $mode in
shell)
    echo "alias poweroff='poweroff -f' reboot='reboot -f' halt='poweroff -f'" >/etc/shrc
    export ENV=/etc/shrc PS1='lathe:\w# '
    cd /root
    echo "$(uname -srm), $(nproc) CPUs, $(awk '/MemTotal/ { print int($2 / 1024) }' /proc/meminfo) MiB. poweroff ends it."
    setsid cttyhack sh
    ;;
jobs)
    echo "$cmd" | base64 -d >/tmp/job
    sh /tmp/job
    echo "STATUS $?"
    ;;
*)
    echo START
    dd if=/dev/zero bs=1024 count=1024 2>/dev/null | md5sum
    echo DONE
    ;;
esac
poweroff -f
END
}

# pack ROOT FILE: a cpio archive of the folder, always the same.
pack()
{
    command -v cpio >/dev/null || die "cpio is needed: build/deps.sh guest"
    find "$1" -exec touch -h -d @0 {} +
    (cd "$1" && find . | LC_ALL=C sort | cpio --quiet --reproducible -o -H newc -R 0:0) >"$2.cpio" ||
        die "cpio failed"
    gzip -n -9 <"$2.cpio" >"$2"
    rm "$2.cpio"
}

initrd()
{
    sum=$(init_script | cksum | cut -d ' ' -f 1)
    out=$cache/$1/initrd-$sum.gz
    if [ ! -f "$out" ]; then
        package "$1" busybox-static
        box=$dir/bin/busybox
        [ -f "$box" ] || box=$dir/usr/bin/busybox
        [ -f "$box" ] || die "busybox-static for $1 holds no busybox"
        tmp=$cache/tmp.$$
        mkdir -p "$tmp/root/bin" "$tmp/root/dev"
        cp "$box" "$tmp/root/bin/busybox"
        init_script >"$tmp/root/init"
        chmod 755 "$tmp/root/init" "$tmp/root/bin/busybox"
        # not root: the kernel's own initramfs has one too
        mknod "$tmp/root/dev/console" c 5 1 2>/dev/null || :
        pack "$tmp/root" "$tmp/cpio.gz"
        mv "$tmp/cpio.gz" "$out"
        rm -rf "$tmp"
        tmp=
    fi
    echo "$out"
}

# The modules of initrd-io, a group a line in the order they are loaded; those built in are not found.
# "base" is always loaded.
io_modules="
base virtio virtio_ring virtio_pci_modern_dev virtio_pci_legacy_dev virtio_pci virtio_mmio virtio_blk virtio-rng
base virtio_console virtio_balloon failover net_failover virtio_net crc16 crc32c_generic libcrc32c mbcache jbd2 ext4
e1000e e1000e
nvme nvme-keyring nvme-auth nvme-core nvme
scsi scsi_common scsi_mod sd_mod cdrom sr_mod virtio_scsi
fwcfg qemu_fw_cfg
vsock vsock vmw_vsock_virtio_transport_common vmw_vsock_virtio_transport
fs fuse virtiofs
"

io_init_script()
{
    cat <<'END'
#!/bin/busybox sh
b=/bin/busybox
$b mkdir -p /proc
$b mount -t proc proc /proc
groups=base
for word in $($b cat /proc/cmdline); do
    case $word in
    lathe.load=*) groups="base $(echo "${word#*=}" | $b tr , ' ')" ;;
    esac
done
for g in $groups; do
    for m in /modules/$g/*.ko; do
        [ -e $m ] || continue
        $b insmod $m || echo "cannot load $m"
    done
done
$b umount /proc
exec /init.tiny
END
}

# What udhcpc calls when it has an address.
dhcp_script()
{
    cat <<'END'
#!/bin/sh
case $1 in
bound | renew)
    ifconfig $interface $ip netmask $subnet up
    for r in $router; do route add default gw $r; done
    for d in $dns; do echo "nameserver $d"; done >/etc/resolv.conf
    ;;
*) ifconfig $interface up ;;
esac
END
}

# io_unpack DIR PACKAGE: the modules of that kernel into folders named after their groups.
io_unpack()
{
    find "$2" -name '*.ko*' >"$tmp/all"
    n=10
    for word in $(echo "$io_modules" | sed 's/^\([a-z0-9]*\) /=\1 /'); do
        case $word in
        =*) mkdir -p "$1/${word#=}"; group=$1/${word#=}; continue ;;
        esac
        ko=$(grep "/$word\.ko" "$tmp/all" | head -n 1) || :
        case $ko in
        *.xz) xz -dc "$ko" >"$group/$n-$word.ko" ;;
        ?*) cp "$ko" "$group/$n-$word.ko" ;;
        esac
        n=$((n + 1))
    done
}

initrd_io()
{
    kernel "$1" >/dev/null
    tiny=$(initrd "$1")
    known=$(cat "$cache/$1/kernel")
    sum=$({ init_script; io_init_script; dhcp_script; echo "$io_modules $known"; } | cksum | cut -d ' ' -f 1)
    out=$cache/$1/initrd-io-$sum.gz
    if [ ! -f "$out" ]; then
        command -v xz >/dev/null || die "xz is needed"
        tmp=$cache/tmp.$$
        mkdir -p "$tmp/root/modules"
        io_unpack "$tmp/root/modules" "$cache/$1/${known%%/*}"
        io_init_script >"$tmp/root/init"
        init_script >"$tmp/root/init.tiny"
        mkdir -p "$tmp/root/etc/udhcpc"
        dhcp_script >"$tmp/root/etc/udhcpc/default.script"
        chmod 755 "$tmp/root/init" "$tmp/root/init.tiny" "$tmp/root/etc/udhcpc/default.script"
        pack "$tmp/root" "$tmp/cpio.gz"
        cat "$tiny" "$tmp/cpio.gz" >"$tmp/both.gz"
        mv "$tmp/both.gz" "$out"
        rm -rf "$tmp"
        tmp=
    fi
    echo "$out"
}

# dropbear and the libraries it names, without what they come with.
initrd_ssh()
{
    io=$(initrd_io "$1")
    out=$cache/$1/initrd-ssh-${io##*-}
    if [ ! -f "$out" ]; then
        for p in dropbear-bin libtomcrypt1 libtommath1 libgmp10 libcrypt1 zlib1g libc6; do
            package "$1" $p
        done
        tmp=$cache/tmp.$$
        mkdir -p "$tmp/root/usr/sbin" "$tmp/root/lib" "$tmp/root/etc/dropbear"
        cp "$cache/$1/dropbear-bin/usr/sbin/dropbear" "$tmp/root/usr/sbin/"
        for l in 'ld-linux*' libc.so.6 libcrypt.so.1 libz.so.1 libtomcrypt.so.1 libtommath.so.1 \
            libgmp.so.10; do
            f=$(find "$cache/$1"/lib* "$cache/$1/zlib1g" -path '*/lib/*' -name "$l" | head -n 1)
            [ -n "$f" ] || die "no $l for $1"
            cp -L "$f" "$tmp/root/lib/"
        done
        echo 'root:x:0:0:root:/root:/bin/sh' >"$tmp/root/etc/passwd"
        echo /bin/sh >"$tmp/root/etc/shells"
        pack "$tmp/root" "$tmp/ssh.gz"
        cat "$io" "$tmp/ssh.gz" >"$tmp/both.gz"
        mv "$tmp/both.gz" "$out"
        rm -rf "$tmp"
        tmp=
    fi
    echo "$out"
}

installer()
{
    case $(suite_of "$1") in
    trixie) n=13 ;;
    *) n=12 ;;
    esac
    package "$1" "debian-installer-$n-netboot-$1"
    i=$(find "$dir" -path '*/text/*' -name initrd.gz | head -n 1)
    [ -n "$i" ] || i=$(find "$dir" -name initrd.gz | head -n 1)
    [ -f "${i%/*}/linux" ] || die "debian-installer-$n-netboot-$1 is not laid out as expected"
    echo "${i%/*}/linux"
    echo "$i"
}

opensbi()
{
    package riscv64 opensbi
    f=$(find "$dir" -path '*/generic/fw_dynamic.bin' | head -n 1)
    [ -n "$f" ] || die "opensbi holds no generic/fw_dynamic.bin"
    echo "$f"
}

uboot()
{
    package "$1" u-boot-qemu
    for f in qemu-$1 qemu-$1_smode; do
        [ -f "$dir/usr/lib/u-boot/$f/u-boot.bin" ] || die "u-boot-qemu holds no $f/u-boot.bin"
        echo "$dir/usr/lib/u-boot/$f/u-boot.bin"
    done
}

# Packages are unpacked, not configured: programs run, services were never set up.
sysroot()
{
    arch=$1
    shift
    known=$(printf '%s ' ${GUEST_SUITE-} "$@" | cksum | cut -d ' ' -f 1)
    out=$cache/$arch/sysroot-$known
    if [ ! -d "$out" ]; then
        apt_state "$arch"
        tmp=$cache/tmp.$$
        mkdir -p "$tmp/root/usr" "$tmp/archives/partial" "$cache/$arch"
        for f in bin sbin lib; do
            mkdir -p "$tmp/root/usr/$f"
            ln -s usr/$f "$tmp/root/$f"
        done
        fetch()
        {
            apt-get install -q -y --no-install-recommends --download-only \
                -o Dir::Cache::archives="$tmp/archives" "$@" >"$cache/apt.log" 2>&1 9>&-
        }
        fetch "$@" || { apt_update; fetch "$@"; } ||
            { tail -n 5 "$cache/apt.log" >&2; die "cannot fetch $* for $arch"; }
        for deb in "$tmp"/archives/*.deb; do
            dpkg-deb --fsys-tarfile "$deb" | tar -x -C "$tmp/root" --keep-directory-symlink ||
                die "cannot unpack $deb"
        done
        mv "$tmp/root" "$out"
        rm -rf "$tmp"
        tmp=
    fi
    echo "$out"
}

case ${1-}:$# in
sysroot:[3-9] | sysroot:[1-9][0-9]) "$@" ;;
kernel:2 | initrd:2 | installer:2 | uboot:2) "$@" ;;
initrd-io:2) initrd_io "$2" ;;
initrd-ssh:2) initrd_ssh "$2" ;;
opensbi:1) opensbi ;;
package:3) package "$2" "$3" && echo "$dir" ;;
*) sed -n 's/^#   \(guest.sh.*\)/usage: \1/p' "$0" >&2; exit 2 ;;
esac
