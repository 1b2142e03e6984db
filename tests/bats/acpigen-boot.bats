#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# A Debian kernel under Debian's QEMU, with acpigen's tables in the place of QEMU's: it takes them without a
# word, and our methods add and remove devices.

load acpi
load common

setup()
{
    needs qemu-system-x86_64 python3
    K=$(build/guest.sh kernel amd64) && I=$(build/guest.sh initrd amd64) || skip "no guest can be fetched"
    here=$BATS_TEST_DIRNAME
    cd "$BATS_TEST_TMPDIR"
}

# linux SCRIPT OPTION...: runs the script in the guest; its console is in the file log
linux()
{
    local script
    script=$(printf %s "$1" | base64 -w0)
    shift
    timeout 200 qemu-system-x86_64 -accel tcg -display none -monitor none "$@" -serial stdio -kernel "$K" \
        -initrd initrd -append "console=ttyS0 lathe.mode=jobs lathe.cmd=$script" </dev/null >log 2>&1
}

# Nothing in the log that Linux says when it does not like tables.
quiet()
{
    ! grep -iE '(ACPI|DMI|SMBIOS|PCI|HPET|SRAT|NUMA).*(error|warning|exception|invalid|bug:|fail)|firmware (bug|warn|error)' log ||
        { cat log; return 1; }
}

@test "Linux takes our DSDT, MADT, SRAT and more, a user's table and SMBIOS without a complaint" {
    options="-M pc-q35-7.0 -nodefaults -smp 2,maxcpus=4 -m 512,slots=2,maxmem=2G -device pvpanic
        -device pcie-root-port,id=r1,chassis=1 -device virtio-rng-pci,bus=r1,acpi-index=7"
    acpigen $options -serial stdio -device vmgenid -o t
    python3 "$here/acpi_upgrade.py" initrd "$I" t/dsdt.aml t/apic.aml t/srat.aml t/hpet.aml t/mcfg.aml t/waet.aml
    # each of our structures as a file of its own
    python3 - <<'END'
d, at, n = open('t/smbios.bin', 'rb').read()[32:], 0, 0
while at < len(d) and d[at] != 127:
    end = at + d[at + 1]
    while d[end:end + 2] != b'\0\0':
        end += 1
    open(f's{n}', 'wb').write(d[at:end + 2])
    at, n = end + 2, n + 1
END
    files=
    for f in s?; do
        files="$files -smbios file=$f"
    done
    linux 'cat /proc/interrupts; ls /sys/bus/acpi/devices; cat /sys/class/dmi/id/product_name; nproc
        cat /sys/firmware/acpi/tables/SSDT | wc -c; echo END' $options $files -acpitable file=t/ssdt.aml
    quiet
    for name in DSDT APIC SRAT HPET MCFG WAET; do
        grep -q "Table Upgrade: override \[$name-BOCHS" log || { echo "no $name"; cat log; false; }
    done
    grep -q 'DMI: QEMU Standard PC (Q35 + ICH9, 2009)' log
    grep -q 'ACPI: SSDT .*LATH' log
    grep -q 'Allowing 4 CPUs, 2 hotplug CPUs' log
    grep -q 'ACPI: \\_SB_.LNKA: new interrupt link\|PCI: Interrupt link LNKA configured' log
    grep -q 'QEMU0001:00' log
    grep -q 'STATUS 0' log
}

@test "a CPU, a PCI device and memory are added, and the device is taken out again, by our methods" {
    options="-M pc-q35-7.0 -nodefaults -smp 2,maxcpus=4 -m 512,slots=2,maxmem=2G
        -device pcie-root-port,id=r1,chassis=1 -device pcie-root-port,id=r2,chassis=2"
    acpigen $options -serial stdio -o t
    python3 "$here/acpi_upgrade.py" initrd "$I" t/dsdt.aml t/apic.aml t/srat.aml
    script='echo READY
        is() { n=0; until eval "$1"; do n=$((n+1)); [ $n -lt 300 ] || return 1; sleep 0.1; done; echo "$2"; }
        is "[ -e /sys/devices/system/cpu/cpu2 ]" GOT-CPU
        is "[ -e /sys/bus/pci/devices/0000:02:00.0 ]" GOT-PCI
        is "[ \$(ls -d /sys/devices/system/memory/memory* | wc -l) -gt 4 ]" GOT-MEMORY
        cat /sys/bus/acpi/devices/PNP0C80:00/status
        is "[ ! -e /sys/bus/pci/devices/0000:02:00.0 ]" LOST-PCI'
    linux "$script" $options -qmp unix:qmp,server=on,wait=off &
    wait_for grep -q '^READY' log
    python3 - <<'END'
import json, socket, time
s = socket.socket(socket.AF_UNIX)
s.connect('qmp')
f = s.makefile('rw')
f.readline()
def do(command, **arguments):
    f.write(json.dumps({'execute': command, 'arguments': arguments}) + '\n')
    f.flush()
    while True:
        answer = json.loads(f.readline())
        if 'event' not in answer:
            assert 'return' in answer, answer
            return
def said(text):
    end = time.time() + 60
    while text not in open('log', errors='replace').read():
        assert time.time() < end, text
        time.sleep(0.1)
do('qmp_capabilities')
do('device_add', driver='qemu64-x86_64-cpu', id='c2', **{'socket-id': 0, 'core-id': 2, 'die-id': 0, 'thread-id': 0})
do('device_add', driver='virtio-rng-pci', id='rng', bus='r2')
do('object-add', **{'qom-type': 'memory-backend-ram', 'id': 'm', 'size': 256 << 20})
do('device_add', driver='pc-dimm', id='d', memdev='m')
said('GOT-MEMORY')
do('device_del', id='rng')
said('LOST-PCI')
END
    wait
    quiet
    for text in GOT-CPU GOT-PCI GOT-MEMORY LOST-PCI 'CPU2 has been hot-added'; do
        grep -q "$text" log || { echo "no $text"; cat log; false; }
    done
    grep -q '^15' log
}
