/* SPDX-License-Identifier: MIT */
/* ringbuf: the last size= bytes of output, for a monitor to read, which gives the input too. */
#include "base/error.h"
#include "chardev/chardev_priv.h"


#define DEFAULT_SIZE (UINT64_C(64) << 10)
#define SIZE_LIMIT (UINT64_C(1) << 30)

typedef struct {
    GMutex lock; /* of all but in */
    uint8_t *ring;
    size_t size; /* a power of two */
    uint64_t written, read; /* counts; written - read <= size */
    GByteArray *in; /* main thread */
} Ringbuf;

static bool ringbuf_open(Chardev *c, Options *o, GError **error)
{
    uint64_t size = DEFAULT_SIZE;
    if (!options_get_size(o, "size", 1, &size, error) || !options_done(o, error))
        return false;
    if (!size || size & (size - 1) || size > SIZE_LIMIT)
        return fail_usage(error, "size= is a power of two up to 1G");
    Ringbuf *r = g_new0(Ringbuf, 1);
    g_mutex_init(&r->lock);
    r->size = size;
    r->ring = g_malloc(size);
    r->in = g_byte_array_new();
    c->priv = r;
    return true;
}

static size_t ringbuf_write(Chardev *c, const uint8_t *buf, size_t len)
{
    Ringbuf *r = c->priv;
    g_mutex_lock(&r->lock);
    for (size_t i = 0; i < len; i++)
        r->ring[r->written++ & (r->size - 1)] = buf[i];
    if (r->written - r->read > r->size)
        r->read = r->written - r->size;
    g_mutex_unlock(&r->lock);
    return len;
}

static void ringbuf_accept_input(Chardev *c)
{
    Ringbuf *r = c->priv;
    size_t n;
    while (r->in->len && (n = chardev_room(c)) > 0) {
        n = MIN(n, r->in->len);
        g_autofree uint8_t *chunk = g_memdup2(r->in->data, n);
        g_byte_array_remove_range(r->in, 0, (guint)n);
        chardev_deliver(c, chunk, n);
    }
}

static void ringbuf_close(Chardev *c)
{
    Ringbuf *r = c->priv;
    if (!r)
        return;
    g_byte_array_unref(r->in);
    g_free(r->ring);
    g_mutex_clear(&r->lock);
    g_free(r);
}

const ChardevType ringbuf_chardev = {
    .name = "ringbuf",
    .usage = "ringbuf",
    .summary = "the latest output, kept for a monitor to read",
    .open = ringbuf_open,
    .write = ringbuf_write,
    .accept_input = ringbuf_accept_input,
    .close = ringbuf_close,
};

GBytes *chardev_ringbuf_read(Chardev *c, size_t max, GError **error)
{
    if (c->type != &ringbuf_chardev) {
        fail_usage(error, "%s is not a ringbuf", c->label);
        return NULL;
    }
    Ringbuf *r = c->priv;
    g_mutex_lock(&r->lock);
    size_t n = (size_t)MIN(max, r->written - r->read);
    uint8_t *out = g_malloc(n);
    for (size_t i = 0; i < n; i++)
        out[i] = r->ring[r->read++ & (r->size - 1)];
    g_mutex_unlock(&r->lock);
    return g_bytes_new_take(out, n);
}

bool chardev_ringbuf_input(Chardev *c, const void *buf, size_t len, GError **error)
{
    if (c->type != &ringbuf_chardev)
        return fail_usage(error, "%s is not a ringbuf", c->label);
    Ringbuf *r = c->priv;
    if (len > CHARDEV_BUFFER_MAX - r->in->len)
        return fail(error, "%s: the guest does not read, %u bytes are waiting", c->label,
                    r->in->len);
    g_byte_array_append(r->in, buf, (guint)len);
    ringbuf_accept_input(c);
    return true;
}
