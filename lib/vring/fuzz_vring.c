/* SPDX-License-Identifier: MIT */
/*
 * Any bytes as guest memory with a ring in it. Input: flags u8, size u8, then RAM from its start;
 * the ring's parts are at fixed offsets. Buffers that come out are written and read whole: they
 * must be host memory of ours, and there must be an end to them.
 */
#include "vring/vring.h"

#include <string.h>

#define RAM UINT64_C(0x1000)
#define RAM_SIZE UINT64_C(0x4000)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void use(Vring *ring, VringChain *chain)
{
    unsigned sum = 0;
    uint64_t bytes = 0;
    for (unsigned i = 0; i < chain->out_count; i++) {
        const uint8_t *p = chain->out[i].iov_base;
        bytes += chain->out[i].iov_len;
        sum += p[0] + p[chain->out[i].iov_len - 1];
    }
    g_assert(bytes == chain->out_bytes);
    bytes = 0;
    for (unsigned i = 0; i < chain->in_count; i++) {
        bytes += chain->in[i].iov_len;
        memset(chain->in[i].iov_base, (int)(sum & 0xff), MIN(chain->in[i].iov_len, 64));
    }
    g_assert(bytes == chain->in_bytes && chain->in_count + chain->out_count <= VRING_MAX_SIZE);
    uint8_t head[16];
    vring_chain_take(chain, head, sizeof head);
    vring_chain_take_last(chain);
    vring_chain_fill(chain, sum & 31, head, sizeof head);
    vring_push(ring, chain, (uint32_t)MIN(chain->in_bytes, 512));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    BusSpace *space = bus_space_new("fuzz", false);
    BusRegion *ram = bus_ram_new(space, "ram", RAM, RAM_SIZE, 0, 0, NULL);
    if (ram) {
        memcpy(bus_ram_host(ram), data + 2, MIN(size - 2, RAM_SIZE));
        VringConfig config = {RAM, RAM + 0x400, RAM + 0x600, (uint16_t)(data[1] % 65), data[0] & 7};
        Vring ring;
        VringChain chain[2] = {{0}};
        if (vring_start(&ring, space, &config, NULL)) {
            for (unsigned i = 0; i < 300; i++) {
                VringChain *c = &chain[i & 1];
                if (vring_pop(&ring, c) != VRING_GOT)
                    break;
                if (!(data[0] & 8) || i & 1)
                    use(&ring, c);
                if (i % 3 == 0) {
                    vring_flush(&ring);
                    vring_notify(&ring, i & 4);
                }
            }
        }
        vring_chain_clear(&chain[0]);
        vring_chain_clear(&chain[1]);
    }
    bus_space_free(space);
    return 0;
}
