/* SPDX-License-Identifier: MIT */
/* The back end for tests: output is kept in a buffer, input is given by the test. */
#include "chardev/chardev_priv.h"

typedef struct Memory {
    GMutex lock;
    GByteArray *out;
    GByteArray *in; /* main thread only */
} Memory;

static bool memory_open(Chardev *c, Options *o, GError **error)
{
    Memory *m = g_new0(Memory, 1);
    g_mutex_init(&m->lock);
    m->out = g_byte_array_new();
    m->in = g_byte_array_new();
    c->priv = m;
    return true;
}

static size_t memory_write(Chardev *c, const uint8_t *buf, size_t len)
{
    Memory *m = c->priv;
    g_mutex_lock(&m->lock);
    size_t n = MIN(len, CHARDEV_BUFFER_MAX - m->out->len);
    g_byte_array_append(m->out, buf, n);
    g_mutex_unlock(&m->lock);
    return n;
}

static void memory_accept_input(Chardev *c)
{
    Memory *m = c->priv;
    size_t n;
    while (m->in->len && (n = chardev_room(c)) > 0) {
        n = MIN(n, m->in->len);
        g_autofree uint8_t *chunk = g_memdup2(m->in->data, n);
        g_byte_array_remove_range(m->in, 0, n);
        chardev_deliver(c, chunk, n);
    }
}

static void memory_close(Chardev *c)
{
    Memory *m = c->priv;
    g_byte_array_unref(m->out);
    g_byte_array_unref(m->in);
    g_mutex_clear(&m->lock);
    g_free(m);
}

const ChardevType memory_chardev = {
    .name = "memory",
    .summary = "a buffer, for tests",
    .open = memory_open,
    .write = memory_write,
    .accept_input = memory_accept_input,
    .close = memory_close,
};

Chardev *chardev_memory_new(void)
{
    return chardev_new(&memory_chardev, "memory", NULL, NULL, NULL);
}

GBytes *chardev_memory_take_output(Chardev *c)
{
    g_assert(c->type == &memory_chardev);
    Memory *m = c->priv;
    g_mutex_lock(&m->lock);
    GBytes *bytes = g_bytes_new(m->out->data, m->out->len);
    g_byte_array_set_size(m->out, 0);
    g_mutex_unlock(&m->lock);
    return bytes;
}

void chardev_memory_input(Chardev *c, const void *buf, size_t len)
{
    g_assert(c->type == &memory_chardev);
    Memory *m = c->priv;
    g_byte_array_append(m->in, buf, len);
    memory_accept_input(c);
}
