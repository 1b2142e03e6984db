#!/bin/sh
# SPDX-License-Identifier: MIT
# make demo: a real Debian riscv64 kernel, booted by vm-run to a shell on this terminal.
set -eu
: "${MAKE:=make}" "${DEPS:=}"
[ "$DEPS" = no ] || build/deps.sh build guest
$MAKE --no-print-directory -j"$(nproc)" MODE=rel all
[ -x o/rel/vm-run ] || { echo "demo: there is no tools/vm-run here yet" >&2; exit 1; }
kernel=$(build/guest.sh kernel riscv64)
initrd=$(build/guest.sh initrd riscv64)
echo "Lathe: Debian's riscv64 Linux on 2 emulated CPUs, translated to this machine. Quit: poweroff, or Ctrl-a x."
exec o/rel/vm-run -M virt -m 512M -smp 2 -nographic -kernel "$kernel" -initrd "$initrd" \
    -append 'console=ttyS0 lathe.mode=shell'
