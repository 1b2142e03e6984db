# the Linux user ABI for vm-user: loading, memory maps, system calls, signals, threads; one file an ISA
linux_uses := base load translate guest
linux_pkgs := glib-2.0
