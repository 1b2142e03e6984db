# boards: memory map, devices, boot protocol; the grammar of -M, -smp, -m and -device
machines_uses := acpi base block bus chardev crypto devices fdt load monitor net state virtio
machines_pkgs := glib-2.0
