#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# Memory that a guest frees is the host's again.

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
    script='dd if=/dev/zero of=/tmp/f bs=1M count=250 2>/dev/null; echo FULL; sleep 2
        rm /tmp/f; echo FREED; sleep 20'
    vm-run -nographic -m 512 -kernel "$KERNEL" -initrd "$INITRD" \
        -append "console=ttyS0 quiet lathe.mode=jobs lathe.cmd=$(base64 -w0 <<<"$script")" \
        -device virtio-balloon-device,free-page-reporting=on </dev/null >log 2>&1 &
    pid=$!
    for _ in $(seq 300); do ! grep -q FULL log || break; sleep 0.1; done
    full=$(resident $pid)
    # Linux reports what is free in large pieces: most of the 250 MiB
    for _ in $(seq 150); do
        now=$(resident $pid)
        [ "$now" -ge $((full - 150)) ] || break
        sleep 0.2
    done
    kill $pid
    cat log
    echo "full $full MiB, then $now MiB"
    [ "$full" -ge 250 ] && [ "$now" -lt $((full - 150)) ]
}
