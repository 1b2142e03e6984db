#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Evaluates every device's _HID _CID _UID _ADR _STA _CRS _PRT and so on with acpiexec.

usage: acpi_eval.py DIR              prints "PATH = VALUE" lines of DIR/dsdt.aml and DIR/ssdt*.aml
       acpi_eval.py DIR OTHER [RE]   the same for both; prints lines that only one has, and fails if
                                     there are any but those that match RE

An evaluation that ends in an exception is an error.
"""
import glob
import os
import re
import subprocess
import sys
import tempfile

WANTED = {'_HID', '_CID', '_UID', '_ADR', '_STA', '_CRS', '_PRS', '_PRT', '_BBN', '_SEG', '_PXM', '_CCA', '_MAT',
          '_SUN', '_S3_', '_S4_', '_S5_', '_S1D', '_S2D', '_S3D', '_FDI', '_FDE', '_DDN', '_STR', '_CBA', '_AEI'}
SLICE = 32


def run(files, commands):
    # an answer may wait for more input: quit ends it
    done = subprocess.run(['acpiexec'] + files, input='\n'.join(commands + ['quit']) + '\n', text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=120, errors='replace')
    return done.stdout


def namespace(files):
    """[(path, type, is_method_or_package_elements)]"""
    stack, objects = [], []
    for line in run(files, ['namespace']).splitlines():
        m = re.match(r'\s*(\d+)\s+(\S{4}) (\w+)\s+0x[0-9a-f]+ 00\d(.*)', line)
        if not m:
            continue
        depth, name, kind, rest = int(m[1]), m[2], m[3], m[4]
        del stack[depth:]
        stack.append(name)
        objects.append(('\\' + '.'.join(stack), kind, rest))
    return objects


def slices(objects, folder):
    """A table with methods that give parts of large _PRTs, since acpiexec's buffer is small."""
    text, commands = [], []
    for n, (path, kind, rest) in enumerate(o for o in objects if o[0].endswith('._PRT')):
        text.append(f'External ({path}, {"MethodObj" if kind == "Method" else "PkgObj"})')
        call = path + (' ()' if kind == 'Method' else '')
        text.append(f'''Method (\\TS{n:02X}, 1, Serialized) {{ Local0 = {call} Local1 = Package ({SLICE}) {{ }} Local2 = 0
            While (Local2 < {SLICE}) {{ Local1 [Local2] = DerefOf (Local0 [Local2 + Arg0]) Local2++ }}
            Return (Local1) }}''')
        for k in range(0, 128, SLICE):
            commands.append((f'{path}[{k}]', f'evaluate \\TS{n:02X} {k:x}'))
    if not text:
        return [], []
    source = os.path.join(folder, 'slices.dsl')
    with open(source, 'w') as f:
        f.write('DefinitionBlock ("", "SSDT", 2, "TEST", "SLICES", 1) {\n' + '\n'.join(text) + '\n}\n')
    subprocess.run(['iasl', '-p', source[:-4], source], check=True, stdout=subprocess.DEVNULL,
                   stderr=subprocess.DEVNULL)
    return [source[:-4] + '.aml'], commands


def values(text):
    """What "evaluate" printed, one string a command."""
    results, current = [], None
    for line in text.splitlines():
        if re.match(r'(- )?Evaluating ', line):
            current = []
            results.append(current)
        elif current is not None:
            line = re.sub(r'^\W*\[\w+ Context\]', '', line)
            if re.match(r'(- )?(Evaluation of|Input file|ACPI: No outst|%)', line) or not line.strip():
                if 'failed' in line or 'No object was returned' in line:
                    current.append(line)
                continue
            if 'Outstanding' in line:
                continue
            current.append(line)
    out = []
    for r in results:
        joined = re.sub(r'- (evaluate|quit).*', '', ' '.join(r))
        joined = re.sub(r'//.*?(?=\s+[0-9A-F]{4}:|$)', '', joined)
        joined = re.sub(r'0x[0-9a-f]{8,}', '', joined)
        out.append(re.sub(r'\s+', ' ', joined).strip())
    return out


def evaluate(folder):
    files = sorted(glob.glob(os.path.join(folder, 'dsdt.aml')) + glob.glob(os.path.join(folder, 'ssdt*.aml')))
    objects = namespace(files)
    assert objects, run(files, ['namespace'])
    lines = {}
    with tempfile.TemporaryDirectory() as scratch:
        more, sliced = slices(objects, scratch)
        commands = list(sliced)
        for path, kind, rest in objects:
            name = path.rsplit('.', 1)[-1].lstrip('\\')
            if kind in ('Device', 'Processor'):
                lines[path] = 'Device'
            if name in WANTED and name != '_PRT':
                commands.append((path, f'evaluate {path}'))
        text = run(files + more, [c for _, c in commands])
        got = values(text)
        assert len(got) == len(commands), (len(got), len(commands), text[-3000:])
        for (path, _), value in zip(commands, got):
            lines[path] = value
            if 'failed' in value or 'AE_' in value:
                sys.exit(f'{path}: {value}')
    for line in text.splitlines():
        if 'ACPI Error' in line or 'ACPI Warning' in line or 'ACPI Exception' in line:
            sys.exit(line)
    return lines


def main():
    ours = evaluate(sys.argv[1])
    if len(sys.argv) < 3:
        for path, value in ours.items():
            print(path, '=', value)
        return
    theirs = evaluate(sys.argv[2])
    known = re.compile(sys.argv[3] if len(sys.argv) > 3 else '$^')
    bad = False
    for path in sorted(set(ours) | set(theirs)):
        a, b = ours.get(path), theirs.get(path)
        if a != b and not known.search(path):
            bad = True
            print(f'{path}\n  ours   {a}\n  theirs {b}')
    sys.exit(bad)


main()
