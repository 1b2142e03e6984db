# SPDX-License-Identifier: MIT
# What soak tests of shared directories have in common: fsd on a socket, and Debian guests (amd64 in
# qemu-system, riscv64 in vm-run) which mount "share" on /r/mnt below a read-only "root" of Debian
# programs, and run a script that lies there. The sourcing script sets $dir, its own folder, and $o,
# where the programs are.

fs_needs()
{
    local c
    for c; do
        command -v "$c" >/dev/null || { echo "${0##*/}: $c is needed"; exit 1; }
    done
}

# fs_root ARCH PACKAGE...: a folder with these programs, into which the rest can be mounted
fs_root()
{
    local root=$dir/root-$1 from
    if [ ! -d "$root" ]; then
        from=$(build/guest.sh sysroot "$@" dash bash coreutils)
        cp -al "$from" "$root"
        mkdir -p "$root"/{mnt,dev,proc,sys,tmp,etc}
        [ -e "$root/bin/sh" ] || ln -s dash "$root/bin/sh"
    fi
    echo "$root"
}

# fs_serve NAME FOLDER OPTION...: sets $fsd; the socket is $dir/NAME.sock, what it says
# $dir/NAME.fsd
fs_serve()
{
    local name=$1 folder=$2
    shift 2
    rm -f "$dir/$name.sock"
    "$o/fsd" --socket-path="$dir/$name.sock" --shared-dir="$folder" "$@" \
        >"$dir/$name.fsd" 2>&1 &
    fsd=$!
    for _ in $(seq 200); do [ ! -S "$dir/$name.sock" ] || return 0; sleep 0.1; done
    cat "$dir/$name.fsd"
    return 1
}

# What the guest's kernel is told: the first lines of its work, the rest being a file of the share.
fs_append()
{
    local first='mkdir /r; mount -t virtiofs root /r 2>/dev/null || mkdir /r/mnt
mount -t virtiofs share /r/mnt && sh /r/mnt/job'
    echo "console=ttyS0 quiet panic=-1 lathe.load=fs lathe.mode=jobs" \
        "lathe.cmd=$(base64 -w0 <<<"$first")"
}

# fs_qemu NAME TAG...: amd64; the socket of TAG is $dir/NAME-TAG.sock. Its console is
# $dir/NAME.console
fs_qemu()
{
    local name=$1 tag n=0 devices=()
    shift
    for tag; do
        devices+=(-chardev "socket,id=c$n,path=$dir/$name-$tag.sock"
            -device "vhost-user-fs-pci,chardev=c$n,tag=$tag,queue-size=1024")
        n=$((n + 1))
    done
    exec timeout "${FS_LIMIT:-1800}" qemu-system-x86_64 -accel "${FS_ACCEL:-tcg}" -m 1G -smp 2 \
        -display none -no-reboot \
        -kernel "$(build/guest.sh kernel amd64)" -initrd "$(build/guest.sh initrd-io amd64)" \
        -append "$(fs_append)" -serial "file:$dir/$name.console" \
        -object memory-backend-memfd,id=mem,size=1G,share=on -numa node,memdev=mem \
        "${devices[@]}" </dev/null
}

# fs_vm_run NAME SHARE...: riscv64; SHARE as for --share, or @TAG for the socket $dir/NAME-TAG.sock.
# Its console is $dir/NAME.console
fs_vm_run()
{
    local name=$1 share shares=()
    shift
    for share; do
        case $share in
        @*) shares+=(-chardev "socket,id=${share#@},path=$dir/$name-${share#@}.sock"
            -device "vhost-user-fs-pci,chardev=${share#@},tag=${share#@}") ;;
        *) shares+=(--share "$share") ;;
        esac
    done
    PATH=$(cd "$o" && pwd):$PATH exec timeout "${FS_LIMIT:-1800}" vm-run -nographic -m 1G -smp 2 \
        -kernel "$(build/guest.sh kernel riscv64)" -initrd "$(build/guest.sh initrd-io riscv64)" \
        -append "$(fs_append)" "${shares[@]}" </dev/null >"$dir/$name.console" 2>&1
}

# fs_wait SECONDS COMMAND...: until it succeeds
fs_wait()
{
    local end=$((SECONDS + $1))
    shift
    until "$@" >/dev/null 2>&1; do
        [ $SECONDS -lt $end ] || return 1
        sleep 0.2
    done
}

# Whether the guest's script ended well; else its console.
fs_done()
{
    tr -d '\r' <"$dir/$1.console" | grep -qE '^STATUS 0([^0-9]|$)' && return 0
    tail -n 40 "$dir/$1.console"
    cat "$dir/$1"*.fsd 2>/dev/null
    echo "${0##*/}: $1 failed"
    return 1
}
