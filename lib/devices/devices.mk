# every device model, each with its own FDT description beside it
devices_uses := base block bus chardev fdt net pci state vhost virtio
devices_pkgs := glib-2.0
