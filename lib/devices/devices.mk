# every device model, each with its own FDT and ACPI description beside it
devices_uses := acpi base block bus chardev fdt net pci state vhost virtio
devices_pkgs := glib-2.0
