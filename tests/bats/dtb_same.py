#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Compares device trees property by property: dtb_same.py A.dtb B.dtb [--except PATTERN]...

Order makes no difference, CPUs are numbered by their reg (names of QEMU's are decimal), phandles are replaced by the paths they stand for, random seeds are left out.
PATTERN is "PATH PROPERTY" or "PATH", with * for anything: what is known to differ. Prints the
differences, "< " in A alone and "> " in B alone; status 1 if there are any."""

import fnmatch
import struct
import sys

SEEDS = {"rng-seed", "kaslr-seed"}
# Where phandles are: every n-th cell from the k-th on, of a property of that name.
REFERENCES = {
    "interrupt-parent": (1, 0), "regmap": (1, 0), "cpu": (1, 0), "clocks": (1, 0), "gpios": (3, 0),
    "interrupts-extended": (2, 0), "msi-parent": (1, 0), "msi-map": (4, 1), "iommu-map": (4, 1),
    "riscv,children": (1, 0), "riscv,delegate": (3, 0),
}


def parse(path):
    data = open(path, "rb").read()
    magic, _, structs, strings = struct.unpack(">4I", data[:16])
    assert magic == 0xD00DFEED, path
    tree, stack, at = {}, [], structs
    while True:
        (token,) = struct.unpack(">I", data[at:at + 4])
        at += 4
        if token == 1:
            end = data.index(b"\0", at)
            stack.append(data[at:end].decode())
            tree["/".join(stack) or "/"] = {}
            at = (end + 4) & ~3
        elif token == 2:
            stack.pop()
        elif token == 3:
            length, name = struct.unpack(">2I", data[at:at + 8])
            end = data.index(b"\0", strings + name)
            tree["/".join(stack) or "/"][data[strings + name:end].decode()] = \
                data[at + 8:at + 8 + length]
            at = (at + 8 + length + 3) & ~3
        elif token == 9:
            return tree


def rename_cpus(tree):
    cpus = [p for p, props in tree.items() if props.get("device_type") == b"cpu\0"]
    cpus.sort(key=lambda p: tree[p]["reg"])
    names = {p: f"/cpus/cpu#{i}" for i, p in enumerate(cpus)}

    def new(path):
        head = "/".join(path.split("/")[:3])
        return names[head] + path[len(head):] if head in names else path

    return {new(path): props for path, props in tree.items()}


def lines(tree):
    paths = {props["phandle"]: path for path, props in tree.items() if "phandle" in props}
    out = set()
    for path, props in tree.items():
        out.add(path)
        for name, value in props.items():
            if name == "phandle" or name in SEEDS:
                continue
            words = [value[i:i + 4] for i in range(0, len(value), 4)]
            if name == "interrupt-map":  # 3 cells of address, the pin, and then the parent
                step = len(words) // 16
                where = {i for i in range(len(words)) if i % step == 4}
            elif name in REFERENCES:
                step, first = REFERENCES[name]
                where = {i for i in range(len(words)) if i % step == first}
            else:
                where = set()
            text = " ".join("&" + paths.get(w, "nothing") if i in where else w.hex()
                            for i, w in enumerate(words))
            out.add(f"{path} {name} {text}".rstrip())
    return out


def main():
    files = sys.argv[1:3]
    known = [sys.argv[i + 1] for i, a in enumerate(sys.argv) if a == "--except"]
    a, b = (lines(rename_cpus(parse(f))) for f in files)

    def excused(line):
        words = line.split(" ")
        return any(fnmatch.fnmatchcase(" ".join(words[:2]), k) or fnmatch.fnmatchcase(words[0], k)
                   for k in known)

    different = False
    for mark, only in (("<", a - b), (">", b - a)):
        for line in sorted(only):
            if not excused(line):
                print(mark, line)
                different = True
    return different


sys.exit(main())
