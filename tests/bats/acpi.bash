# SPDX-License-Identifier: MIT
# What tests of acpigen share.

# table DIR NAME OFFSET SIZE: a little-endian number in a table
number()
{
    python3 -c 'import sys; d = open(sys.argv[1], "rb").read(); o = int(sys.argv[2], 0)
print(hex(int.from_bytes(d[o:o + int(sys.argv[3])], "little")))' "$1/$2.aml" "$3" "$4"
}

# text DIR NAME OFFSET SIZE: bytes as hexadecimal digits
bytes()
{
    python3 -c 'import sys; d = open(sys.argv[1], "rb").read(); o = int(sys.argv[2], 0)
print(d[o:o + int(sys.argv[3])].hex())' "$1/$2" "$3" "$4"
}

needs()
{
    local program
    for program; do
        command -v "$program" >/dev/null || skip "$program is not installed"
    done
}

# same_as_qemu [-k DIFFERENCE]... QEMU OPTION...: acpigen's tables are those that QEMU gives its firmware
same_as_qemu()
{
    local known=() n=$((++SAME))
    while [ "$1" = -k ]; do
        known+=("$2")
        shift 2
    done
    local qemu=$1
    shift
    acpigen "$@" -o "$BATS_TEST_TMPDIR/ours$n"
    timeout 120 python3 "$BATS_TEST_DIRNAME/acpi_qemu.py" "$BATS_TEST_TMPDIR/theirs$n" "$qemu" -monitor none "$@" \
        2>"$BATS_TEST_TMPDIR/err" || { cat "$BATS_TEST_TMPDIR/err"; return 1; }
    python3 "$BATS_TEST_DIRNAME/acpi_same.py" "$BATS_TEST_TMPDIR/ours$n" "$BATS_TEST_TMPDIR/theirs$n" "${known[@]}" ||
        { echo "$*"; return 1; }
}
