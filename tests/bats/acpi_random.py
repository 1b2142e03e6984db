#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""acpi_random.py SEED COUNT: random option sets for acpigen.

Each ends with tables or with a usage error in one line, never by a signal; tables that come out are read
back by acpigen itself, and those of every tenth set by iasl, whose warnings count (but 6035: QEMUVGID, the
name that guests know the generation id by, does not end in hexadecimal digits).
"""
import glob
import os
import random
import shutil
import subprocess
import sys
import tempfile


BOARDS = ['q35', 'q35', 'pc', 'microvm', 'virt', 'pc-q35-6.2', 'pc-q35-6.0', 'pc-q35-2.9', 'pc-i440fx-6.2', 'pc-i440fx-2.8',
          'virt-6.2', 'virt-4.2', 'virt-2.6']
PROPS = {'q35': ['i8042=off', 'hpet=off', 'nvdimm=on', 'hmat=on', 'smbios-ep=3-0', 'x-oem-id=A', 'max-ram-below-4g=1G', 'sata=off'],
         'microvm': ['pcie=on', 'ioapic2=off', 'rtc=off', 'usb=on', 'x-oem-id=ABCDEF'],
         'virt': ['gic-version=3', 'gic-version=max', 'iommu=smmuv3', 'nvdimm=on', 'secure=on', 'virtualization=on', 'highmem=off']}
WRONG_PROPS = ['smbios-ep=5', 'x-oem-id=TOOLONG', 'max-ram-below-4g=9G', 'max-ram-below-4g=x', 'gic-version=9', 'foo=bar', 'hpet=maybe']
PCI = ['virtio-net-pci', 'virtio-blk-pci,drive=x', 'e1000', 'e1000e,acpi-index=5', 'pci-bridge,id=b{n},chassis_nr={n}', 'qemu-xhci',
       'pxb,id=p{n},bus_nr={x}', 'virtio-scsi-pci,addr=3.1', 'pcie-root-port,id=r{n},chassis={n}']
PC = PCI + ['pvpanic', 'acpi-erst', 'tpm-tis', 'tpm-crb,ppi=off', 'isa-serial', 'isa-parallel', 'VGA', 'vmgenid', 'intel-iommu',
            'vmgenid,guid=324e6eaf-d1d1-4bf6-bf41-b9bb6c91fb87', 'virtio-iommu-pci', 'pcie-pci-bridge,id=b{n}']
WRONG_DEVICES = ['nonsense', 'vmgenid,guid=1234', 'virtio-rng-pci,bus=r{p}', 'e1000,bus=b{p},addr=2', 'qemu-xhci,addr=1f',
                 'pcie-root-port,id=s{n},bus=p{p},chassis={n}', 'pc-dimm,memdev=m1,slot=200', 'nvdimm,memdev=m1,label-size=2M',
                 'isa-serial,index=9', 'e1000e,acpi-index=20000', 'amd-iommu,id=q,addr=2.1', 'virtio-net-pci,addr=45',
                 'xio3130-downstream,bus=r{p},id=d{n}']


def choose(r):
    wrong = r.choice([0, 0, 0.1, 0.4])  # how often something odd is said
    board = r.choice(BOARDS)
    kind = 'virt' if board.startswith('virt') else 'microvm' if board == 'microvm' else 'q35'
    props = [p for p in PROPS[kind] if r.random() < 0.15 and not (board.startswith('pc-') and p == 'sata=off')]
    props += [p for p in WRONG_PROPS if r.random() < wrong / 4]
    options = ['-M', ','.join([board] + props)]
    most = {'virt': 8, 'microvm': 288, 'q35': 255}[kind]
    cpus = r.choice([c for c in (1, 2, 3, 4, 7, 8, 64, 255, 288) if c <= most] + ([512, 0] if r.random() < wrong else []))
    more = min(most, cpus + r.choice([0, 1, 5]))
    options += ['-smp', r.choice([f'{cpus}', f'{cpus},maxcpus={more}', f'{cpus},sockets={more},cores=1,threads=1,maxcpus={more}',
                                  f'{cpus},sockets=1,cores={more},threads=1,maxcpus={more}'] +
                                 (['4,sockets=3', '2,maxcpus=1', 'cores=0', 'x'] if r.random() < wrong else []))]
    sizes = ['128', '1G', '2G', '3G', '1G,slots=4,maxmem=8G', '1G,slots=256,maxmem=100G'] + ([] if kind == 'virt' else ['3584M', '16G', '9T'])
    options += ['-m', r.choice(sizes + (['0', '61T', '4k', '1G,maxmem=512M', '99999P'] if r.random() < wrong else []))]
    if r.random() < 0.5:
        options.append('-nodefaults')
    if r.random() < 0.3:
        models = ['cortex-a57', 'max'] if kind == 'virt' else ['qemu64', 'Haswell', 'EPYC-v3', 'max', 'qemu64,+sse2,model=3']
        options += ['-cpu', r.choice(models + (['nonsense', 'qemu64,family=700'] if r.random() < wrong else []))]
    for i in range(2):
        options += ['-object', f'memory-backend-ram,id=m{i},size={r.choice(["128M", "1G"])}']
    devices = {'q35': PC, 'microvm': ['virtio-net-device', 'virtio-rng-device'],
               'virt': ['virtio-net-pci', 'pcie-root-port,id=r{n},chassis={n}', 'pxb-pcie,id=p{n},bus_nr={x}', 'virtio-iommu-pci']}[kind]
    one = ('iommu', 'tpm', 'vmgenid', 'erst', 'pvpanic')
    seen = set()
    for n in range(r.choice([0, 1, 3, 6])):
        device = r.choice(WRONG_DEVICES if r.random() < wrong else devices).format(n=n, p=r.randrange(n + 1), x=r.randrange(1, 256))
        again = {w for w in one if w in device}
        if again & seen and r.random() > wrong:
            continue
        seen |= again
        options += ['-device', device]
    if 'slots=' in options[options.index('-m') + 1] and r.random() < 0.5:
        options += ['-device', 'pc-dimm,memdev=m0']
    if r.random() < 0.1:
        options += ['-numa', 'node,nodeid=0', '-numa', f'node,nodeid={r.choice([1, 5, 200])}']
        options += ['-numa', f'dist,src=0,dst=1,val={r.choice([10, 20, 254, 300])}']
    smbios = ['type=1,serial=x', 'type=11,value=' + 'v' * r.choice([1, 3000]), 'type=2', 'type=17,speed=3200', 'type=41,kind=sas', 'type=8',
              'type=3,sku=' + 'k' * 200, 'type=0,release=1.3', 'type=9,slot_id=7']
    odd = ['type=0,release=1.300', 'type=4,processor-id=0xffffffffffffffffff', 'type=9,slot_id=70000', 'type=41,pcidev=nobody', 'type=5', '']
    for _ in range(r.choice([0, 0, 1, 3])):
        options += ['-smbios', r.choice(odd if r.random() < wrong else smbios)]
    if r.random() < 0.2:
        options += ['-acpitable', r.choice(['file=/etc/passwd', 'sig=TOOLONG,data=/dev/null', ''] if r.random() < wrong
                                           else ['sig=SLIC,data=/dev/null', 'sig=USER,data=/etc/passwd'])]
    if r.random() < 0.2:
        options += ['-global', r.choice(['ICH9-LPC.s4_val=300', 'x'] if r.random() < wrong
                                        else ['PIIX4_PM.disable_s3=1', 'ICH9-LPC.disable_s4=1', 'a.b=c'])]
    return options


def main():
    seed, count = int(sys.argv[1]), int(sys.argv[2])
    made = 0
    for i in range(count):
        r = random.Random(seed * 100003 + i)
        options = choose(r)
        folder = tempfile.mkdtemp()
        done = subprocess.run(['acpigen', *options, '-o', folder + '/t', '--list'], capture_output=True, text=True, timeout=60)
        text = f'set {seed}/{i}: acpigen ' + ' '.join(options) + '\n' + done.stdout + done.stderr
        if done.returncode == 0:
            made += 1
            assert not done.stderr, text
            assert subprocess.run(['acpigen', '--diff', folder + '/t', folder + '/t']).returncode == 0, text
            if i % 10 == 0 and shutil.which('iasl'):
                for table in glob.glob(folder + '/t/[ds]sdt*.aml'):
                    subprocess.run(['iasl', '-d', table], check=True, capture_output=True)
                    again = subprocess.run(['iasl', '-vs', '-vw', '6035', table[:-4] + '.dsl'], capture_output=True, text=True)
                    out = again.stdout + again.stderr
                    assert again.returncode == 0 and 'Warning ' not in out and 'Error ' not in out, text + out
        else:
            assert done.returncode in (1, 2), text
            lines = done.stderr.splitlines()
            assert len(lines) in (1, 2) and lines[0].startswith('acpigen: ') and len(lines[0]) > 20, text
            assert not os.path.exists(folder + '/t'), text
        shutil.rmtree(folder)
    print(f'{count} sets, {made} made tables')
    assert made > count // 3, 'too few sets make sense'


main()
