#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Compares two folders of tables: static ones and SMBIOS byte by byte, namespaces by what they evaluate to.

usage: acpi_same.py OURS THEIRS [DIFFERENCE...]

Left out of the comparison, as it cannot be the same: addresses of tables, checksums, and who made a
table (creator). Explained, as DIFFERENCE names them:
  fillers    SRAT: QEMU adds ranges of length 0 that are not enabled
  smmu       IORT: the range of bus 0 counts one function too few or too many (it is counted less one)
  port       SMBIOS: type 8 has handles from 0x800 here, from 0 there, where type 0 has one, too
  pxb        further host bridges of Q35: the lines that its pins are routed to, 16 and up, are told
Always: memory modules are described by one 64-bit range, CPUs are Devices (Processor objects are
deprecated), a PCI host bridge has no _ADR beside its _HID, _STR is UTF-16.
"""
import os
import re
import subprocess
import sys

NAMES = r'CPUS\.C[0-9A-F]{3}\._(HID|UID)$|PCI0\._ADR$|MHPC\.MP[0-9A-F]{2}\._CRS$|TPM_\._STR$'


def masked(name, data):
    d = bytearray(data)

    def clear(start, end):
        d[start:end] = bytes(len(d[start:end]))
    if name == 'rsdp.aml':
        clear(8, 9)
        clear(16, 20)
        clear(24, 33)
    elif name != 'facs.aml':
        clear(9, 10)
        clear(28, 36)
    if name == 'facp.aml':
        clear(36, 44)
        clear(140, 148)
    elif name in ('rsdt.aml', 'xsdt.aml'):
        clear(36, len(d))
    elif name == 'tpm2.aml':
        clear(68, 76)
    elif name == 'tcpa.aml':
        clear(42, 50)
    return d


def without_fillers(d):
    out, at = bytearray(d[:48]), 48
    while at < len(d):
        length = d[at + 1]
        if not (d[at] == 1 and d[at + 28] == 0):
            out += d[at:at + length]
        at += length
    out[4:8] = bytes(4)
    return out


def main():
    ours, theirs, *known = sys.argv[1:]
    here = os.path.dirname(os.path.abspath(__file__))
    bad = []
    a, b = ({f for f in os.listdir(x) if f.endswith('.aml')} for x in (ours, theirs))
    if a != b:
        bad.append(f'tables only ours: {sorted(a - b)}, only theirs: {sorted(b - a)}')
    for name in sorted(a & b):
        if re.match('[ds]sdt', name):
            continue
        x, y = (masked(name, open(os.path.join(d, name), 'rb').read()) for d in (ours, theirs))
        if name == 'srat.aml' and 'fillers' in known:
            x, y = without_fillers(x), without_fillers(y)
        if name == 'iort.aml' and 'smmu' in known:
            x[0xc8:0xca] = y[0xc8:0xca] = b'\0\0'
        if x != y:
            at = next((i for i in range(min(len(x), len(y))) if x[i] != y[i]), min(len(x), len(y)))
            bad.append(f'{name}: {len(x)} and {len(y)} bytes, from {at:#x} on: '
                       f'{x[at:at + 8].hex()} and {y[at:at + 8].hex()}')
    x, y = (open(p, 'rb').read() if os.path.exists(p) else b''
            for p in (os.path.join(d, 'smbios.bin') for d in (ours, theirs)))
    if x != y:
        places = [i for i in range(min(len(x), len(y))) if x[i] != y[i]]
        port = 'port' in known and len(x) == len(y) and len(places) == 1 and x[places[0]] == 8
        if not port:
            bad.append(f'SMBIOS: {len(x)} and {len(y)} bytes, at {[hex(p) for p in places[:8]]}')
    names = NAMES + (r'|PC[0-9A-F]{2}\._PRT' if 'pxb' in known else '')
    done = subprocess.run([sys.executable, os.path.join(here, 'acpi_eval.py'), ours, theirs, names],
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode:
        bad.append(done.stdout)
    print('\n'.join(bad))
    sys.exit(bool(bad))


main()
