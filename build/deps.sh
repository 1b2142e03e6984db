#!/bin/sh
# SPDX-License-Identifier: MIT
# Installs what is missing for the parts named (default: build test), quietly when nothing
# is. The one list of packages that Lathe needs:
packages='
build  gcc libc6-dev make pkg-config libglib2.0-dev libjson-c-dev libfdt-dev zlib1g-dev libzstd-dev
build  liburing-dev libslirp-dev libseccomp-dev libgnutls28-dev nettle-dev
test   bats mandoc bsdextrautils device-tree-compiler cpio gzip xz-utils debian-archive-keyring
test   libmpfr-dev socat procps e2fsprogs cryptsetup-bin
test   qemu-utils qemu-guest-agent python3 openssh-client passt openssl zstd
test   nbdkit libnbd-bin python3-libnbd gnutls-bin
test   gcc-riscv64-linux-gnu libc6-dev-riscv64-cross qemu-system-misc qemu-user
test   gcc-aarch64-linux-gnu libc6-dev-arm64-cross
test   qemu-system-arm dt-schema
test   acpica-tools dmidecode qemu-system-x86 uidmap
guest  cpio gzip xz-utils debian-archive-keyring
bench  busybox-static qemu-system-misc qemu-user gcc-riscv64-linux-gnu libc6-dev-riscv64-cross
bench  gcc-aarch64-linux-gnu libc6-dev-arm64-cross
bench  nbdkit
bench  bc openssl perl python3 sqlite3 xz-utils zstd qemu-utils libnbd-bin
soak   clang debootstrap fio git qemu-system-x86 libvirt-clients libvirt-daemon libvirt-daemon-driver-qemu secilc
'
[ $# -gt 0 ] || set -- build test
wanted=
for part; do
    list=$(echo "$packages" | awk -v part="$part" '$1 == part { $1 = ""; print }')
    [ -n "$list" ] || { echo "deps.sh: no part '$part' (build test guest bench soak)" >&2; exit 2; }
    wanted="$wanted $list"
done
# shellcheck disable=SC2086
set -- $(echo $wanted | tr ' ' '\n' | sort -u)
if ! command -v dpkg-query >/dev/null; then
    echo "deps.sh: not a Debian system: install what Debian calls: $*" >&2
    exit 0
fi
missing=
for p; do
    case $(dpkg-query -W -f '${db:Status-Abbrev}' "$p" 2>/dev/null) in
    ?i*) ;;
    *) missing="$missing $p" ;;
    esac
done
[ -n "$missing" ] || exit 0
if [ "$(id -u)" = 0 ]; then
    root=
elif command -v sudo >/dev/null; then
    root=sudo
else
    echo "deps.sh: neither root nor sudo is at hand; as root: apt-get install$missing" \
        "(DEPS=no tries without)" >&2
    exit 1
fi
echo "deps.sh: installing$missing" >&2
log=$(mktemp)
trap 'rm -f "$log"' EXIT
install()
{
    # shellcheck disable=SC2086
    $root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends \
        -o DPkg::Lock::Timeout=300 $missing >"$log" 2>&1 </dev/null
}
# the lists may be absent or stale: only then fetch them
install || { $root apt-get update -q >"$log" 2>&1 && install; } || {
    tail -n 20 "$log" >&2
    echo "deps.sh: could not install:$missing" >&2
    exit 1
}
