#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# Memory that a guest frees is the host's again.

load common

setup_file()
{
    KERNEL=$(build/guest.sh kernel riscv64) && INITRD=$(build/guest.sh initrd-io riscv64) ||
        skip "no guest can be fetched"
    export KERNEL INITRD
}

# MiB of the guest's memory that process $1 has
resident() { awk '/^RssShmem/ { print int($2 / 1024) }' "/proc/$1/status"; }

@test "free page reporting gives the host back what a guest has freed" {
    cd "$BATS_TEST_TMPDIR"
    script='dd if=/dev/zero of=/tmp/f bs=1M count=250 2>/dev/null; echo FULL; read -r word
        rm /tmp/f; echo FREED; read -r word'
    mkfifo keys
    vm-run -nographic -m 512 -kernel "$KERNEL" -initrd "$INITRD" \
        -append "console=ttyS0 quiet lathe.mode=jobs lathe.cmd=$(base64 -w0 <<<"$script")" \
        -device virtio-balloon-device,free-page-reporting=on <keys >log 2>&1 3>&- &
    pid=$!
    exec 7>keys
    wait_for grep -q FULL log
    full=$(resident $pid)
    echo >&7
    # Linux reports what is free in large pieces: most of the 250 MiB
    given_back() { now=$(resident $pid); [ "$now" -lt $((full - 150)) ]; }
    wait_for given_back || :
    kill $pid
    exec 7>&-
    cat log
    echo "full $full MiB, then $now MiB"
    [ "$full" -ge 250 ] && [ "$now" -lt $((full - 150)) ]
}
