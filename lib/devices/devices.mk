# every device model, each with its own FDT description beside it
devices_uses := base bus chardev fdt state
devices_pkgs := glib-2.0
