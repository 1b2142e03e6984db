#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""acpi_upgrade.py OUT INITRD TABLE.aml...: an initrd whose tables Linux puts in the place of firmware's.

They get a higher OEM revision, without which the kernel keeps what it has.
"""
import os
import struct
import sys


def entry(name, data=b'', mode=0o100644):
    name = name.encode() + b'\0'
    fields = (1, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name), 0)
    out = b'070701' + b''.join(b'%08x' % f for f in fields) + name
    out += b'\0' * (-len(out) % 4) + data
    return out + b'\0' * (-len(out) % 4)


out, initrd, *tables = sys.argv[1:]
cpio = b''.join(entry(d, mode=0o40755) for d in ('kernel', 'kernel/firmware', 'kernel/firmware/acpi'))
for path in tables:
    table = bytearray(open(path, 'rb').read())
    struct.pack_into('<I', table, 24, 0x1000)
    table[9] = 0
    table[9] = -sum(table) & 255
    cpio += entry('kernel/firmware/acpi/' + os.path.basename(path), bytes(table))
cpio += entry('TRAILER!!!')
with open(out, 'wb') as f:
    f.write(cpio + b'\0' * (-len(cpio) % 512) + open(initrd, 'rb').read())
