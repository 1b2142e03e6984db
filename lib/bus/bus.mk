# address spaces (RAM, MMIO, overlap, alias), DMA views, page flags, interrupt lines, the machine clock
bus_uses := base
bus_pkgs := glib-2.0
