#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# The short form of tests/soak/crash.

@test "what a guest has synced outlives a vm-run that is killed" {
    command -v mke2fs >/dev/null || skip "e2fsprogs is not installed"
    build/guest.sh kernel riscv64 && build/guest.sh initrd-io riscv64 || skip "no guest can be fetched"
    run env CRASH_DIR="$BATS_TEST_TMPDIR" CRASH_KILLS=1 CRASH_CACHES=writeback \
        CRASH_DEVICES="virtio-blk-device virtio-scsi-pci" timeout 200 tests/soak/crash
    echo "$output"
    [ "$status" -eq 0 ]
}
