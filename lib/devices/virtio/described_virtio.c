/* SPDX-License-Identifier: MIT */
/* Virtio devices of boards that are only described; PCI functions carry them, as they carry others. */
#include "devices/device.h"

#define VIRTIO_OF(symbol, text, one, about)                                                        \
    const DeviceType described_virtio_##symbol##_type = {                                          \
        .name = text,                                                                              \
        .summary = about,                                                                          \
        .size = sizeof(Device),                                                                    \
        .described = true,                                                                         \
        .single = one,                                                                             \
        .slot = "virtio",                                                                          \
    }

#define VIRTIO(symbol, text, about) VIRTIO_OF(symbol, text, NULL, about)

VIRTIO(gpu, "virtio-gpu-device", "graphics card");
VIRTIO(keyboard, "virtio-keyboard-device", "keyboard");
VIRTIO(mouse, "virtio-mouse-device", "mouse");
VIRTIO(tablet, "virtio-tablet-device", "tablet");
VIRTIO(input_host, "virtio-input-host-device", "input device of the host");
VIRTIO(p9, "virtio-9p-device", "shared folder over 9P");
VIRTIO(crypto, "virtio-crypto-device", "ciphers");
VIRTIO(pmem, "virtio-pmem-device", "persistent memory");
VIRTIO(mem, "virtio-mem-device", "memory that grows");
VIRTIO_OF(iommu, "virtio-iommu-device", "IOMMU", "I/O memory management unit");
VIRTIO(user_blk, "vhost-user-blk-device", "disk of another process");
VIRTIO(user_net, "vhost-user-net-device", "network card of another process");
