#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# Facts of tables, each by its offset in the specification, and what dmidecode and acpiexec make of them.

load acpi

setup()
{
    needs python3
    cd "$BATS_TEST_TMPDIR"
}

@test "FADT says whether there is a keyboard controller, on q35 only" {
    acpigen -M q35 -o q
    [ "$(number q facp 8 1)" = 0x3 ]
    [ "$(number q facp 4 4)" = 0xf4 ]
    [ "$(number q facp 109 2)" = 0x2 ]
    acpigen -M q35,i8042=off,vmport=off -o no
    [ "$(number no facp 109 2)" = 0x0 ]
    acpigen -M pc -o pc
    [ "$(number pc facp 8 1)" = 0x1 ]
    [ "$(number pc facp 4 4)" = 0x74 ]
    [ "$(number pc facp 109 2)" = 0x0 ]
    [ "$(acpigen -M q35,i8042=off --json | grep -c 'KBD_')" -eq 0 ]
    [ "$(acpigen -M q35 --json | grep -c 'KBD_')" -gt 0 ]
}

@test "ERST has 27 instructions in 912 bytes" {
    acpigen -M q35 -object memory-backend-ram,id=e,size=256K -device acpi-erst,memdev=e -o e
    [ "$(number e erst 4 4)" = 0x390 ]
    [ "$(number e erst 44 4)" = 0x1b ]
}

@test "processor-id= is the ID of type 4, and a CPU model has its own" {
    needs dmidecode
    acpigen -M q35 -smbios type=4,processor-id=0x0FABFBFF000306A9 --smbios-dump s
    dmidecode --from-dump s | grep -q "ID: A9 06 03 00 FF FB AB 0F"
    acpigen -M q35 -cpu Haswell --smbios-dump s
    dmidecode --from-dump s | grep -q "ID: C4 06 03 00 FD FB 8B 07"
    acpigen -M q35 -cpu qemu64,family=6,model=26,stepping=5,-sse2 --smbios-dump s
    dmidecode --from-dump s | grep -q "ID: A5 06 01 00 FD FB 8B 03"
}

@test "9 TiB are 576 memory devices, and no handle is given twice" {
    needs dmidecode
    acpigen -M q35 -m 9T --smbios-dump s
    dmidecode --from-dump s >text
    [ "$(grep -c 'DMI type 17,' text)" -eq 576 ]
    grep -q "Handle 0x1100, DMI type 17" text
    grep -q "Handle 0x133F, DMI type 17" text
    grep -q "Handle 0x1340, DMI type 19" text
    grep -q "Handle 0x1341, DMI type 19" text
    [ "$(grep -c '^Handle' text)" -eq 584 ] # and firmware adds its own type 0
    [ -z "$(grep '^Handle' text | cut -d, -f1 | sort | uniq -d)" ]
    acpigen -M q35 -m 1T --smbios-dump s
    dmidecode --from-dump s >text
    [ "$(grep -c 'DMI type 17,' text)" -eq 64 ]
    grep -q "Handle 0x1300, DMI type 19" text
}

@test "more memory than there are handles for is refused, as is what the old entry point cannot say" {
    run acpigen -M q35 -m 61T --smbios-dump s
    [ "$status" -eq 2 ]
    [[ $output == *"more than SMBIOS has handles for"* ]]
    run acpigen -M q35 -m 30T --smbios-dump s
    [ "$status" -eq 2 ]
    [[ $output == *"smbios-entry-point-type to 64"* ]]
    acpigen -M q35,smbios-ep=3-0 -m 59T --smbios-dump s
    needs dmidecode
    [ "$(dmidecode --from-dump s | grep -c 'DMI type 17,')" -eq 3776 ]
}

@test "the entry point is 2.8, or 3.0 by either name of the option" {
    for o in "" ,smbios-entry-point-type=32 ,smbios-ep=2-1; do
        acpigen -M q35$o --smbios-dump s
        [ "$(head -c 4 s)" = _SM_ ]
    done
    for o in ,smbios-entry-point-type=64 ,smbios-ep=3-0 ,smbios-ep=3.0; do
        acpigen -M q35$o --smbios-dump s
        [ "$(head -c 5 s)" = _SM3_ ]
    done
    run acpigen -M q35,smbios-ep=4-0 --smbios-dump s
    [ "$status" -eq 2 ]
    [[ $output == *"does not accept value '4-0'"* ]]
}

@test "OEM ids are padded with NUL and limited" {
    acpigen -M q35,x-oem-id=ABC,x-oem-table-id=DEF -o t
    for name in rsdt facp apic dsdt; do
        [ "$(bytes t $name.aml 10 14)" = 4142430000004445460000000000 ]
    done
    [ "$(bytes t rsdp.aml 9 6)" = 414243000000 ]
    run acpigen -M q35,x-oem-id=ABCDEFG -o x
    [ "$status" -eq 2 ]
    [[ $output == *"x-oem-id value is bigger than 6 bytes"* ]]
    run acpigen -M microvm,x-oem-table-id=ABCDEFGHI -o x
    [ "$status" -eq 2 ]
    [[ $output == *"x-oem-table-id value is bigger than 8 bytes"* ]]
    [ ! -e x ]
}

@test "RSDT and FADT take over the identity of a user's SLIC" {
    acpigen -M pc -acpitable sig=SLIC,oem_id='CRASH ',oem_table_id=ME,data=/dev/null -o t
    for name in rsdt facp slic; do
        [ "$(bytes t $name.aml 10 14)" = 4352415348204d45000000000000 ]
    done
    [ "$(bytes t apic.aml 10 6)" = 424f43485320 ]
    [ "$(stat -c %s t/slic.aml)" -eq 36 ]
}

@test "VIOT: 88 bytes, a PCI range behind a virtio-iommu of 16" {
    acpigen -M q35 -nodefaults -device virtio-rng-pci -device virtio-iommu-pci -o t
    [ "$(number t viot 4 4)" = 0x58 ]
    [ "$(number t viot 36 2)" = 0x2 ]
    [ "$(number t viot 38 2)" = 0x30 ]
    [ "$(bytes t viot.aml 48 8)" = 0300100000001000 ]
    [ "$(bytes t viot.aml 64 4)" = 01001800 ]
    [ "$(number t viot 80 2)" = 0x30 ]
    acpigen -M virt -nodefaults -device virtio-iommu-pci -o a
    [ "$(number a viot 52 4)" = 0x80000 ]
    run acpigen -M q35 -device virtio-iommu-pci -device intel-iommu -o x
    [ "$status" -eq 2 ]
    [[ $output == *"at most one IOMMU device is permitted"* ]]
}

@test "root ports behind a PXB have their pins swizzled by their slot" {
    needs acpiexec iasl
    acpigen -M q35 -nodefaults -device pxb-pcie,id=p,bus_nr=64 -device pcie-root-port,id=r1,bus=p,chassis=1 \
        -device pcie-root-port,id=r2,bus=p,chassis=2 -o t
    python3 "$BATS_TEST_DIRNAME/acpi_eval.py" t >all
    # slots 0 to 2, pin A: links E, F, G
    grep -F 'PC40._PRT[0]' all | tr '[' '\n' | grep -o 'LNK[A-H]' | head -n 9 | tr '\n' ' ' |
        grep -x "LNKE LNKF LNKG LNKH LNKF LNKG LNKH LNKE LNKG "
    grep -F 'PCI0._CRS =' all | grep -q '00 00 00 00 3F 00 00 00 40 00'
    acpigen -M pc -nodefaults -device pxb,id=p,bus_nr=64 -o p
    python3 "$BATS_TEST_DIRNAME/acpi_eval.py" p >all
    grep -F 'PC40._PRT[0]' all | tr '[' '\n' | grep -o 'LNK[A-H]' | head -n 9 | tr '\n' ' ' |
        grep -x "LNKD LNKA LNKB LNKC LNKA LNKB LNKC LNKD LNKB "
}

@test "acpi-index is told for a function that no bus is asked about" {
    needs acpiexec
    acpigen -M q35 -nodefaults -device e1000e,acpi-index=11,addr=5 -o t
    acpigen -M q35 -nodefaults -device e1000e,acpi-index=11,addr=5 --json | grep -q 'S28_._DSM'
    run acpigen -M q35 -device e1000e,acpi-index=16384 -o x
    [ "$status" -eq 2 ]
    [[ $output == *acpi-index*16383* ]]
}

@test "CPUs beyond 255 are x2APICs and devices" {
    acpigen -M q35 -smp 4,maxcpus=288 -o t
    # 255 of 8 bytes, 33 of 16, then an I/O APIC, five overrides, two NMI structures
    [ "$(number t apic 4 4)" = "$(printf 0x%x $((44 + 255 * 8 + 33 * 16 + 12 + 5 * 10 + 12)))" ]
    [ "$(number t apic $((44 + 255 * 8)) 2)" = 0x1009 ]
    needs acpiexec iasl
    python3 "$BATS_TEST_DIRNAME/acpi_eval.py" t >all
    grep -F 'C11F._UID' all | grep -q 11F
}
