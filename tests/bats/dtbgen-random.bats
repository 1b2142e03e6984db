# SPDX-License-Identifier: MIT
# Options by chance: nothing crashes, and QEMU takes and refuses the same. RANDOM_SEED=N RANDOM_COUNT=N for other
# and more of them.

@test "two hundred random machines are described or refused as QEMU does" {
    cd "$BATS_TEST_TMPDIR"
    python3 "$BATS_TEST_DIRNAME/dtb_random.py" "${RANDOM_SEED:-1}" "${RANDOM_COUNT:-200}"
}
