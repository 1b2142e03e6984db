# boards: memory map, devices, boot protocol; the grammar of -M, -smp and -m
machines_uses := base bus chardev devices fdt state
machines_pkgs := glib-2.0
