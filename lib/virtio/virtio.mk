# virtio: features, status, queues with their threads; the MMIO transport
virtio_uses := base bus pci state vring
virtio_pkgs := glib-2.0
