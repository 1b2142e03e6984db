#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Random option sets: dtb_random.py SEED COUNT. dtbgen must take each or refuse it in one line with status 2, as
QEMU takes or refuses it (where there is a QEMU), and what both take must be the same tree.

What is known to differ: QEMU fails, for want of host memory or by bugs of its own, in words that IGNORED
lists; where memory covers devices of or1k-sim, it says nothing."""

import random
import shutil
import subprocess
import sys

IGNORED = ("Cannot allocate memory", "unnamed-gpio-out", "assert", "Unexpected error")
EXCEPT = ["/ model", "/cpus/cpu#* riscv,*", "/cpus/cpu#* mmu-type", "/pmu", "/platform-bus@4000000"]
VERSIONS = "2.6 2.9 2.12 3.0 4.1 5.0 5.2 6.0 6.1 6.2 7.0".split()


def maybe(r, chance, *words):
    return list(words) if r.random() < chance else []


def smp(r):
    """Three in four that may be; the rest by chance."""
    names = ["sockets", "clusters", "cores", "threads"]
    if r.random() < 0.75:
        levels = {name: r.choice([1, 1, 1, 2, 2, 3, 4]) for name in names if r.random() < 0.5}
        total = 1
        for n in levels.values():
            total *= n
        total *= r.choice([1, 1, 2, 3]) if len(levels) < 3 else 1
        words = [str(r.choice([total, total, total - 1 or 1]))] + [f"{name}={n}" for name, n in levels.items()]
        return ["-smp", ",".join(words + [f"maxcpus={total}"])]
    if r.random() < 0.1:
        names.append("dies")
    words = maybe(r, 0.7, str(r.choice([1, 2, 3, 4, 6, 8, 12, 16, 130])))
    words += [f"{name}={r.choice([1, 1, 2, 2, 3, 4])}" for name in names if r.random() < 0.3]
    words += maybe(r, 0.15, f"maxcpus={r.choice([2, 4, 8, 16])}")
    return ["-smp", ",".join(words)] if words else []


def numa(r):
    nodes = r.choice([0, 0, 0, 1, 2, 2, 3, 4])
    if not nodes:
        return maybe(r, 0.5, "-m", r.choice(["64", "128M", "1G", "3G", "1.5G", "6G", "1G,slots=2,maxmem=4G"]))
    out = ["-m", f"{256 * nodes}M"]
    old = r.random() < 0.2
    for i in range(nodes):
        size = 256 if r.random() < 0.97 else 128
        if old:
            out += ["-numa", f"node,mem={size}M"]
        else:
            out += ["-object", f"memory-backend-ram,id=m{i},size={size}M"]
            cpus = f",cpus={r.randrange(4)}" if r.random() < 0.2 else ""
            out += ["-numa", f"node,memdev=m{i}{cpus}"]
    if nodes > 1 and r.random() < 0.5:
        for i in range(nodes):
            for k in range(nodes):
                if i < k or (i != k and r.random() < 0.1):
                    out += ["-numa", f"dist,src={i},dst={k},val={r.choice([9, 15, 20, 20, 30, 30])}"]
    if r.random() < 0.2:
        out += ["-numa", f"cpu,node-id={r.randrange(nodes + 1)},{r.choice(['socket', 'core', 'die'])}-id=0"]
    return out


def arm(r, isa):
    props = [f"{name}={r.choice(['on', 'off'])}"
             for name in ("secure", "virtualization", "highmem", "its", "acpi", "ras", "mte")
             if r.random() < 0.25]
    props += maybe(r, 0.5, "gic-version=" + r.choice(["2", "3", "3", "max"]))
    if "virtualization=on" in props and "gic-version=max" in props:
        props.remove("gic-version=max")  # a GICv4 in later QEMUs
    props += maybe(r, 0.2, "iommu=" + r.choice(["smmuv3", "none"]))
    cpus = ["cortex-a15", "cortex-a7", "max"]
    if isa == "aarch64":
        cpus += ["cortex-a53", "cortex-a57", "cortex-a57,pmu=off", "cortex-a72", "a64fx", "neoverse-n1", "max,sve=off"]
    return [",".join(["virt-" + r.choice(VERSIONS)] + props)] + maybe(r, 0.8, "-cpu", r.choice(cpus)) + smp(r) + numa(r)


def riscv(r):
    props = maybe(r, 0.5, "aia=" + r.choice(["none", "aplic", "aplic-imsic"]))
    props += maybe(r, 0.3, "aclint=" + r.choice(["on", "off"]))
    props += maybe(r, 0.3, f"aia-guests={r.randrange(9)}")
    return [",".join(["virt"] + props)] + smp(r) + numa(r)


def options(r):
    isa = r.choice(["aarch64"] * 5 + ["arm"] * 2 + ["riscv64"] * 4 + ["or1k"])
    if isa == "or1k":
        out = ["or1k-sim", "-smp", str(r.randrange(1, 6)), "-m", r.choice(["1", "64", "2G"]), "-kernel", "kernel", "-append", "x"]
    else:
        out = riscv(r) if isa == "riscv64" else arm(r, isa)
        if r.random() < 0.3:
            out += ["-kernel", "kernel"] + maybe(r, 0.5, "-initrd", "initrd") + maybe(r, 0.5, "-append", "a b")
    if isa == "riscv64":
        out += ["-bios", "none"]
    return isa, out


def run(argv):
    return subprocess.run(argv, capture_output=True, text=True, errors="replace", timeout=120)


def check(isa, words, here, counts):
    board, rest = words[0], words[1:]
    told = f"dtbgen --arch {isa} -M {' '.join(words)}"
    ours = run(["dtbgen", "--arch", isa, "-M", board, *rest, "-o", "ours.dtb"])
    line = ours.stderr.rstrip("\n")
    if ours.returncode not in (0, 2) or (ours.returncode and (not line or "\n" in line)):
        return f"{told}\nstatus {ours.returncode}: {line}"
    qemu = f"qemu-system-{isa}"
    if not shutil.which(qemu):
        return None
    counts["with QEMU"] += 1
    theirs = run([qemu, "-display", "none", "-M", f"{board},dumpdtb=theirs.dtb", *rest])
    if theirs.returncode < 0 or any(word in theirs.stderr for word in IGNORED):
        counts["QEMU failed"] += 1
        return None
    if (ours.returncode == 0) != (theirs.returncode == 0):
        return f"{told}\nours: {line or 'taken'}\nQEMU: {theirs.stderr.splitlines()[-1:]}"
    if ours.returncode:
        counts["refused"] += 1
        return None
    counts["compared"] += 1
    same = run([sys.executable, f"{here}/dtb_same.py", "ours.dtb", "theirs.dtb",
                *[word for path in EXCEPT for word in ("--except", path)]])
    return f"{told}\n{same.stdout[:2000]}" if same.returncode else None


def main():
    seed, count = int(sys.argv[1]), int(sys.argv[2])
    here = sys.argv[0].rsplit("/", 1)[0]
    for name, size in (("kernel", 4096), ("initrd", 100000)):
        with open(name, "wb") as f:
            f.write(bytes(size))
    failed = 0
    counts = dict.fromkeys(("with QEMU", "QEMU failed", "refused", "compared"), 0)
    for n in range(count):
        r = random.Random(seed * 1000003 + n)
        isa, words = options(r)
        wrong = check(isa, words, here, counts)
        if wrong:
            print(f"set {n}: {wrong}", flush=True)
            failed += 1
    print(f"{count} sets, {failed} wrong;", ", ".join(f"{n} {what}" for what, n in counts.items()))
    return bool(failed)


sys.exit(main())
