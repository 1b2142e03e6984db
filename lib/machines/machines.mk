# boards: memory map, devices, boot protocol; the grammar of -M, -smp and -m
machines_uses := base bus chardev devices fdt load state
machines_pkgs := glib-2.0
