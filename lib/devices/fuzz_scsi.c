/* SPDX-License-Identifier: MIT */
/* Commands with their data, one after the other, to a SCSI disk and an optical drive: a record is a
 * byte of choices, the size of the buffer, 16 bytes of CDB and as many bytes of data as the size says,
 * as far as there are. What a command says it moved must be within its buffer. */
#include "devices/scsi/scsi.h"

#include "base/bytes.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { RECORD = 19, CDB = 16, PIECES = 3 };

typedef struct {
    BlockGraph *graph;
    BusSpace *space;
    ScsiBus bus;
    DeviceDrive drives[2];
    Device *units[2];
} Env;

static void env_init(Env *e)
{
    static const char *const types[] = { "scsi-hd", "scsi-cd" };
    *e = (Env){ .graph = block_graph_new(), .space = bus_space_new("f", false) };
    scsi_bus_init(&e->bus, 4);
    DeviceEnv env = { .space = e->space };
    for (unsigned i = 0; i < 2; i++) {
        g_autofree char *node = g_strdup_printf("driver=null-co,node-name=n%u,size=1M,read-zeroes=on", i);
        e->drives[i] = (DeviceDrive){ .id = "d", .node = block_blockdev(e->graph, node, NULL) };
        e->units[i] = device_new(device_type_find(types[i]), types[i]);
        if (!device_set_drive(e->units[i], "drive", &e->drives[i], NULL) ||
            !scsi_bus_plug(&e->bus, e->units[i], NULL) ||
            !device_start(e->units[i], &env, NULL))
            abort();
    }
}

static void env_clear(Env *e)
{
    for (unsigned i = 0; i < 2; i++) {
        scsi_bus_unplug(&e->bus, e->units[i]);
        device_free(e->units[i]);
    }
    scsi_bus_clear(&e->bus);
    bus_space_free(e->space);
    block_graph_free(e->graph);
}

typedef struct {
    ScsiRequest scsi;
    GMutex lock;
    GCond cond;
    bool over;
} Waiting;

static void done(ScsiRequest *req)
{
    Waiting *w = (Waiting *)(void *)req;
    g_mutex_lock(&w->lock);
    w->over = true;
    g_cond_signal(&w->cond);
    g_mutex_unlock(&w->lock);
}

/* buf has len bytes, in as many pieces as there may be. */
static void run(Env *e, const uint8_t *record, uint8_t *buf, size_t len)
{
    Waiting w = { .scsi = { .bytes = len, .to_guest = record[0] & 2, .done = done } };
    struct iovec iov[PIECES];
    bool exists;
    size_t at = 0;
    g_mutex_init(&w.lock);
    g_cond_init(&w.cond);
    memcpy(w.scsi.cdb, record + 3, CDB);
    for (unsigned i = 0; i < PIECES && at < len; i++) {
        size_t n = i == PIECES - 1 ? len - at : MIN(len - at, len / 3 + 1);
        iov[i] = (struct iovec){ buf + at, n };
        at += n;
        w.scsi.iovcnt = i + 1;
    }
    w.scsi.iov = iov;
    ScsiDisk *d = scsi_bus_find(&e->bus, record[0] & 1, record[0] >> 2 & 1, &exists);
    if (!d) {
        scsi_submit_absent(&e->bus, record[0] & 1, &w.scsi);
    } else if (!scsi_submit(d, &w.scsi)) {
        g_mutex_lock(&w.lock);
        while (!w.over)
            g_cond_wait(&w.cond, &w.lock);
        g_mutex_unlock(&w.lock);
    }
    if (w.scsi.moved > len)
        abort();
    scsi_request_clear(&w.scsi);
    g_mutex_clear(&w.lock);
    g_cond_clear(&w.cond);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    Env e;
    env_init(&e);
    while (size >= RECORD) {
        size_t len = ld_le16(data + 1) % 8192, have = MIN(len, size - RECORD);
        uint8_t *buf = g_malloc0(len); /* of that size, so that a sanitizer sees its end */
        if (have)
            memcpy(buf, data + RECORD, have);
        run(&e, data, buf, len);
        g_free(buf);
        size_t used = RECORD + (data[0] & 2 ? 0 : have);
        data += used;
        size -= used;
    }
    env_clear(&e);
    return 0;
}
