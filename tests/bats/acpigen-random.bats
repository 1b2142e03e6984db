#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# Random option sets never crash, and what comes out is good.

load acpi

@test "two hundred random option sets give tables or an error" {
    needs python3
    python3 "$BATS_TEST_DIRNAME/acpi_random.py" "${ACPI_SEED:-1}" "${ACPI_SETS:-200}"
}
