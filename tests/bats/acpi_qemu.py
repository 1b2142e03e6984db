#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes the ACPI and SMBIOS tables that a QEMU would give its firmware, without running a guest.

usage: acpi_qemu.py DIR QEMU OPTION...

The machine is started under qtest; fw_cfg's files are read by its DMA. Before that the few registers
that firmware programs and the tables depend on are set: the PM block and, on q35, the ECAM window
(with NO_SETUP in the environment nothing is). The loader's commands are followed here, and each table
goes to DIR/NAME.aml (ssdt.aml, ssdt-2.aml ...), the fw_cfg files themselves to DIR/fw/, SMBIOS to
DIR/smbios.bin (dmidecode's dump form).
"""
import base64
import os
import struct
import subprocess
import sys

RAM, ACCESS = 0x400000, 0x100000


class Qtest:
    def __init__(self, command):
        self.process = subprocess.Popen(command + ['-qtest', 'stdio', '-qtest-log', '/dev/null'],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(self, line):
        self.process.stdin.write(line + '\n')
        self.process.stdin.flush()
        for answer in self.process.stdout:
            if answer.startswith('IRQ'):
                continue
            words = answer.split()
            if words[0] != 'OK':
                sys.exit(f'{line}: {answer}')
            return words[1] if len(words) > 1 else ''
        sys.exit(f'QEMU ended: status {self.process.wait()}')

    def read(self, addr, size):
        return base64.b64decode(self.ask(f'b64read {addr:#x} {size:#x}')) if size else b''

    def write(self, addr, data):
        self.ask(f'write {addr:#x} {len(data):#x} 0x{data.hex()}')


class FwCfg:
    """dma: ('port', 0x514) or ('mmio', address)"""

    def __init__(self, qtest, mmio, scratch):
        self.q, self.mmio, self.scratch = qtest, mmio, scratch
        count, = struct.unpack('>I', self.get(0x19, 4))
        data = self.get(0x19, 4 + 64 * count)
        self.files = {}
        for i in range(count):
            size, select, _, name = struct.unpack_from('>IHH56s', data, 4 + 64 * i)
            self.files[name.split(b'\0')[0].decode()] = select, size

    def get(self, select, size):
        at = self.scratch
        self.q.write(at, struct.pack('>IIQ', select << 16 | 8 | 2, size, at + 0x1000))
        if self.mmio is None:
            self.q.ask(f'outl 0x514 {self.swap(at >> 32):#x}')
            self.q.ask(f'outl 0x518 {self.swap(at & 0xffffffff):#x}')
        else:
            self.q.ask(f'writel {self.mmio + 16:#x} {self.swap(at >> 32):#x}')
            self.q.ask(f'writel {self.mmio + 20:#x} {self.swap(at & 0xffffffff):#x}')
        assert self.q.read(at, 4) == b'\0\0\0\0', 'fw_cfg DMA failed'
        return self.q.read(at + 0x1000, size)

    @staticmethod
    def swap(value):
        return struct.unpack('<I', struct.pack('>I', value))[0]

    def file(self, name):
        select, size = self.files[name]
        return self.get(select, size)


def pci_write(q, devfn, reg, value):
    q.ask(f'outl 0xcf8 {0x80000000 | devfn << 8 | reg:#x}')
    q.ask(f'outl 0xcfc {value:#x}')


def pci_read(q, devfn, reg):
    q.ask(f'outl 0xcf8 {0x80000000 | devfn << 8 | reg:#x}')
    return int(q.ask('inl 0xcfc'), 16)


def setup_x86(q):
    bridge = pci_read(q, 0, 0)
    if bridge == 0x29c08086:
        pci_write(q, 0, 0x64, 0)
        pci_write(q, 0, 0x60, 0xb0000001)
        pci_write(q, 31 << 3, 0x40, 0x601)
        pci_write(q, 31 << 3, 0x44, 0x80)
    elif bridge == 0x12378086:
        pci_write(q, 1 << 3 | 3, 0x40, 0x601)
        pci_write(q, 1 << 3 | 3, 0x80, 1)


def follow(loader, files):
    """Lays out files as the loader has it; addresses are what a plain allocator would give."""
    where, memory = {}, {}
    at = RAM
    for i in range(0, len(loader), 128):
        op, = struct.unpack_from('<I', loader, i)
        name = loader[i + 4:i + 60].split(b'\0')[0].decode()
        if op == 1:
            align, = struct.unpack_from('<I', loader, i + 60)
            at = (at + align - 1) & -align
            where[name] = at
            memory[name] = bytearray(files(name))
            at += len(memory[name])
        elif op == 2:
            source = loader[i + 60:i + 116].split(b'\0')[0].decode()
            offset, size = struct.unpack_from('<IB', loader, i + 116)
            value = int.from_bytes(memory[name][offset:offset + size], 'little') + where[source]
            memory[name][offset:offset + size] = value.to_bytes(size, 'little')
        elif op == 3:
            offset, start, length = struct.unpack_from('<III', loader, i + 60)
            memory[name][offset] = 0
            memory[name][offset] = -sum(memory[name][start:start + length]) & 255
    return where, memory


def split(where, memory, directory):
    tables, base = memory['etc/acpi/tables'], where['etc/acpi/tables']
    rsdp = memory['etc/acpi/rsdp']
    seen = {}

    def put(name, data):
        seen[name] = seen.get(name, 0) + 1
        if seen[name] > 1:
            name = f'{name}-{seen[name]}'
        with open(os.path.join(directory, name + '.aml'), 'wb') as f:
            f.write(data)

    def at(address):
        offset = address - base
        length, = struct.unpack_from('<I', tables, offset + 4)
        return bytes(tables[offset:offset + length])

    put('rsdp', bytes(rsdp))
    if rsdp[15] >= 2 and struct.unpack_from('<Q', rsdp, 24)[0]:
        root, kind, width = at(struct.unpack_from('<Q', rsdp, 24)[0]), '<Q', 8
    else:
        root, kind, width = at(struct.unpack_from('<I', rsdp, 16)[0]), '<I', 4
    put(root[:4].decode().lower(), root)
    for i in range(36, len(root), width):
        table = at(struct.unpack_from(kind, root, i)[0])
        put(table[:4].decode().lower().strip(), table)
        if table[:4] == b'FACP':
            facs, dsdt = struct.unpack_from('<II', table, 36)
            if len(table) > 148 and struct.unpack_from('<Q', table, 140)[0]:
                dsdt, = struct.unpack_from('<Q', table, 140)
            if facs:
                put('facs', at(facs))
            put('dsdt', at(dsdt))


def smbios(fw, directory):
    anchor = bytearray(fw.file('etc/smbios/smbios-anchor'))
    tables = fw.file('etc/smbios/smbios-tables')
    if anchor[:4] == b'_SM_':
        struct.pack_into('<I', anchor, 0x18, 32)
        anchor[0x15] = 0
        anchor[0x15] = -sum(anchor[0x10:0x1f]) & 255
        anchor[4] = 0
        anchor[4] = -sum(anchor[:anchor[5]]) & 255
    else:
        struct.pack_into('<Q', anchor, 0x10, 32)
        anchor[5] = 0
        anchor[5] = -sum(anchor[:anchor[6]]) & 255
    with open(os.path.join(directory, 'smbios.bin'), 'wb') as f:
        f.write(bytes(anchor).ljust(32, b'\0') + tables)


def main():
    directory, qemu, *options = sys.argv[1:]
    os.makedirs(os.path.join(directory, 'fw'), exist_ok=True)
    arm = 'aarch64' in qemu
    q = Qtest([qemu, '-accel', os.environ.get('ACCEL', 'tcg'), '-S', '-display', 'none'] + options)
    if not arm and 'NO_SETUP' not in os.environ:
        setup_x86(q)
    mmio = 0x9020000 if arm else 0xfef00000 + 0 if 'microvm' in ' '.join(options) and \
        'NO_PORTS' in os.environ else None
    fw = FwCfg(q, mmio, 0x40100000 if arm else ACCESS)
    for name in fw.files:
        if name.startswith('etc/'):
            path = os.path.join(directory, 'fw', name.replace('/', '_'))
            with open(path, 'wb') as f:
                f.write(fw.file(name))
    if 'etc/table-loader' in fw.files:
        split(*follow(fw.file('etc/table-loader'), fw.file), directory)
    if 'etc/smbios/smbios-tables' in fw.files:
        smbios(fw, directory)
    q.process.kill()
    q.process.wait()


main()
