/* SPDX-License-Identifier: MIT */
/* Lines of the -qtest protocol against a small bus with a real interrupt controller and a clock. */
#include "qtest/qtest.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static Device *find(void *opaque, const char *name)
{
    return strcmp(name, "plic") ? NULL : opaque;
}

static void send(void *opaque, const char *line, size_t len)
{
    if (!len || line[len - 1] != '\n')
        g_error("an answer that is no line");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!size)
        return 0;
    BusSpace *space = bus_space_new("fuzz", false);
    BusClock *clock = bus_clock_new_manual();
    bus_ram_new(space, "ram", 0x1000, 0x2000, 0, 0, NULL);
    Device *dev = device_new(device_type_find("plic"), "plic");
    DeviceEnv denv = {.space = space, .clock = clock};
    device_set_u64(dev, "contexts", 2, NULL);
    device_place(dev, 0, 0xc000000);
    device_start(dev, &denv, NULL);
    QtestEnv env = {.space = space, .ports = data[0] & 1 ? space : NULL, .clock = clock,
                    .big_endian = data[0] & 2, .device = find, .send = send, .opaque = dev};
    Qtest *q = qtest_new(&env);
    /* The first byte also says where the input is cut in two. */
    size_t cut = 1 + (size - 1) * (data[0] >> 2) / 64;
    qtest_feed(q, data + 1, cut - 1);
    qtest_feed(q, data + cut, size - cut);
    qtest_free(q);
    device_free(dev);
    bus_clock_free(clock);
    bus_space_free(space);
    return 0;
}
