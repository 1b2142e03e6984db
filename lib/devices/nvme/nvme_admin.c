/* SPDX-License-Identifier: MIT */
/*
 * The admin commands (NVM Express 1.4, 5): queues made and deleted, Identify, features, logs. Left out:
 * namespace management, firmware, formatting, security, self-tests.
 */
#include "devices/nvme/nvme_priv.h"

#include "base/bytes.h"

#include <stdio.h>
#include <string.h>

enum {
    DELETE_SQ = 0x00,
    CREATE_SQ = 0x01,
    GET_LOG = 0x02,
    DELETE_CQ = 0x04,
    CREATE_CQ = 0x05,
    IDENTIFY = 0x06,
    ABORT = 0x08,
    SET_FEATURES = 0x09,
    GET_FEATURES = 0x0a,
    ASYNC_EVENT = 0x0c,
};

enum {
    F_ARBITRATION = 0x1,
    F_POWER = 0x2,
    F_TEMPERATURE = 0x4,
    F_ERROR_RECOVERY = 0x5,
    F_WRITE_CACHE = 0x6,
    F_QUEUES = 0x7,
    F_COALESCING = 0x8,
    F_VECTOR = 0x9,
    F_ATOMICITY = 0xa,
    F_EVENTS = 0xb,
};

enum { ALL_NAMESPACES = 0xffffffff, KELVIN = 273, WARM = 60, HOT = 75 };

/* ---- Queues ----------------------------------------------------------------------------- */

/* The base of a queue to be made: in one stretch, on a page. */
static unsigned check_queue(const NvmeCommand *c, unsigned qid, bool there)
{
    uint32_t size = (nvme_dword(c, 10) >> 16) + 1;
    if (!qid || qid > c->n->max_pairs || there)
        return NVME_BAD_QID | NVME_DNR;
    if (size < 2 || size > NVME_ENTRIES)
        return NVME_BAD_QSIZE | NVME_DNR;
    if (!(nvme_dword(c, 11) & 1) || ld_le64(c->raw + 24) & (NVME_PAGE - 1))
        return NVME_BAD_FIELD | NVME_DNR;
    return NVME_OK;
}

static unsigned create_cq(NvmeCommand *c)
{
    Nvme *n = c->n;
    unsigned qid = nvme_dword(c, 10) & 0xffff, vector = nvme_dword(c, 11) >> 16;
    unsigned status = check_queue(c, qid, qid < NVME_QUEUES && n->cq[qid].size);
    bool interrupts = nvme_dword(c, 11) & 2;
    if (status != NVME_OK)
        return status;
    if (interrupts && vector >= MAX(n->vectors, 1))
        return NVME_BAD_VECTOR | NVME_DNR;
    n->cq[qid] = (NvmeCq){ .base = ld_le64(c->raw + 24), .phase = 1, .interrupts = interrupts,
                           .size = (uint16_t)((nvme_dword(c, 10) >> 16) + 1),
                           .vector = (uint16_t)vector };
    return NVME_OK;
}

static unsigned create_sq(NvmeCommand *c)
{
    Nvme *n = c->n;
    unsigned qid = nvme_dword(c, 10) & 0xffff, cqid = nvme_dword(c, 11) >> 16;
    unsigned status = check_queue(c, qid, qid < NVME_QUEUES && n->sq[qid].size);
    if (status != NVME_OK)
        return status;
    if (!cqid || cqid >= NVME_QUEUES || !n->cq[cqid].size)
        return NVME_BAD_CQ | NVME_DNR;
    n->sq[qid] = (NvmeSq){ .base = ld_le64(c->raw + 24), .cqid = (uint16_t)cqid,
                           .size = (uint16_t)((nvme_dword(c, 10) >> 16) + 1) };
    n->cq[cqid].users++;
    return NVME_OK;
}

static unsigned delete_sq(NvmeCommand *c)
{
    Nvme *n = c->n;
    unsigned qid = nvme_dword(c, 10) & 0xffff;
    if (!qid || qid >= NVME_QUEUES || !n->sq[qid].size)
        return NVME_BAD_QID | NVME_DNR;
    n->sq[qid].tail = n->sq[qid].head; /* what was not taken is dropped */
    nvme_drain_sq(n, &n->sq[qid]);
    n->cq[n->sq[qid].cqid].users--;
    n->sq[qid] = (NvmeSq){0};
    return NVME_OK;
}

static unsigned delete_cq(NvmeCommand *c)
{
    Nvme *n = c->n;
    unsigned qid = nvme_dword(c, 10) & 0xffff;
    if (!qid || qid >= NVME_QUEUES || !n->cq[qid].size)
        return NVME_BAD_QID | NVME_DNR;
    if (n->cq[qid].users)
        return NVME_BAD_DELETION | NVME_DNR;
    n->cq[qid] = (NvmeCq){0};
    nvme_irq_update(n);
    return NVME_OK;
}

static unsigned locked(NvmeCommand *c, unsigned (*f)(NvmeCommand *c))
{
    pthread_mutex_lock(&c->n->lock);
    unsigned status = f(c);
    pthread_mutex_unlock(&c->n->lock);
    return status;
}

/* ---- Identify ------------------------------------------------------------------------------ */

/* Text as the specification wants it: padded with spaces. */
static void put_text(uint8_t *at, size_t len, const char *text)
{
    memset(at, ' ', len);
    memcpy(at, text, strnlen(text, len));
}

static void identify_controller(const Nvme *n, uint8_t *d)
{
    st_le16(d + 0, 0x1b36);
    st_le16(d + 2, 0x1af4);
    put_text(d + 4, 20, n->serial);
    put_text(d + 24, 40, "Lathe NVMe Ctrl");
    put_text(d + 64, 8, "1.0");
    d[72] = 6;                         /* recommended burst */
    d[77] = NVME_MDTS;
    st_le32(d + 80, 0x00010400);
    st_le32(d + 96, 0);                /* no notices of changes */
    d[258] = 3;                        /* aborts at once */
    d[259] = NVME_AERS - 1;
    d[260] = 1 << 1 | 1;               /* one firmware slot, read-only */
    d[261] = 1 << 2 | 1;               /* logs by namespace, and longer ones */
    d[262] = 0;                        /* errors remembered */
    st_le16(d + 266, KELVIN + WARM);
    st_le16(d + 268, KELVIN + HOT);
    d[512] = 0x66;                     /* entries of 64 and 16 bytes */
    d[513] = 0x44;
    st_le32(d + 516, 1);               /* namespaces */
    st_le16(d + 520, 1 << 2 | 1 << 3); /* dataset management, write zeroes */
    d[525] = !n->read_only;            /* a volatile write cache */
    snprintf((char *)d + 768, 256, "nqn.2014-08.org.nvmexpress:lathe:%s", n->serial);
    st_le16(d + 2048, 0x09c4);         /* power state 0: 25 W */
}

static void identify_namespace(const Nvme *n, uint8_t *d)
{
    uint64_t blocks = nvme_blocks(n);
    st_le64(d + 0, blocks);
    st_le64(d + 8, blocks);
    st_le64(d + 16, blocks);
    d[24] = 1;                         /* thin: deallocation is of use */
    d[33] = 1 << 3;                    /* deallocation by write zeroes */
    d[128 + 2] = (uint8_t)__builtin_ctz(n->block_size);
}

/* One identifier has to be there: a UUID made of the serial number, so that it stays. */
static void identify_descriptors(const Nvme *n, uint8_t *d)
{
    g_autofree char *sum = g_compute_checksum_for_string(G_CHECKSUM_SHA256, n->serial, -1);
    d[0] = 3;
    d[1] = 16;
    for (unsigned i = 0; i < 16; i++)
        d[4 + i] = (uint8_t)(g_ascii_xdigit_value(sum[2 * i]) << 4 |
                             g_ascii_xdigit_value(sum[2 * i + 1]));
    d[4 + 6] = (d[4 + 6] & 0x0f) | 0x80;
    d[4 + 8] = (d[4 + 8] & 0x3f) | 0x80;
}

static unsigned identify(NvmeCommand *c)
{
    enum { NAMESPACE = 0, CONTROLLER = 1, ACTIVE = 2, DESCRIPTORS = 3 };
    uint8_t data[NVME_PAGE] = {0};
    uint32_t ns = nvme_dword(c, 1), what = nvme_dword(c, 10) & 0xff;
    switch (what) {
    case NAMESPACE:
        if (ns != 1 && ns != ALL_NAMESPACES)
            return NVME_BAD_NAMESPACE | NVME_DNR;
        identify_namespace(c->n, data);
        break;
    case CONTROLLER: identify_controller(c->n, data); break;
    case ACTIVE:
        if (ns >= ALL_NAMESPACES - 1)
            return NVME_BAD_NAMESPACE | NVME_DNR;
        st_le32(data, ns < 1);
        break;
    case DESCRIPTORS:
        if (ns != 1)
            return NVME_BAD_NAMESPACE | NVME_DNR;
        identify_descriptors(c->n, data);
        break;
    default: return NVME_BAD_FIELD | NVME_DNR;
    }
    return nvme_give(c, data, sizeof data);
}

/* ---- Features -------------------------------------------------------------------------------- */

static unsigned get_features(NvmeCommand *c)
{
    Nvme *n = c->n;
    uint32_t id = nvme_dword(c, 10) & 0xff;
    bool initial = (nvme_dword(c, 10) >> 8 & 7) == 1;
    switch (id) {
    case F_ARBITRATION: case F_POWER: case F_ERROR_RECOVERY: case F_COALESCING: case F_VECTOR:
    case F_ATOMICITY: case F_EVENTS:
        c->result = initial ? 0 : n->features[id];
        return NVME_OK;
    case F_TEMPERATURE:
        c->result = initial || !n->features[id] ? KELVIN + WARM : n->features[id];
        return NVME_OK;
    case F_WRITE_CACHE: c->result = !block_user_writethrough(n->user); return NVME_OK;
    case F_QUEUES: c->result = (n->max_pairs - 1) * 0x10001; return NVME_OK;
    default: return NVME_BAD_FIELD | NVME_DNR;
    }
}

static unsigned set_features(NvmeCommand *c)
{
    Nvme *n = c->n;
    uint32_t id = nvme_dword(c, 10) & 0xff, value = nvme_dword(c, 11);
    if (nvme_dword(c, 10) >> 31)
        return NVME_NOT_SAVEABLE | NVME_DNR;
    switch (id) {
    case F_ARBITRATION: case F_ERROR_RECOVERY: case F_TEMPERATURE: case F_COALESCING:
    case F_VECTOR: case F_ATOMICITY: case F_EVENTS: case F_POWER:
        n->features[id] = value;
        return NVME_OK;
    case F_WRITE_CACHE:
        block_user_set_writethrough(n->user, !(value & 1));
        return NVME_OK;
    case F_QUEUES:
        if ((value & 0xffff) == 0xffff || value >> 16 == 0xffff)
            return NVME_BAD_FIELD | NVME_DNR;
        c->result = (n->max_pairs - 1) * 0x10001;
        return NVME_OK;
    default: return NVME_BAD_FIELD | NVME_DNR;
    }
}

/* ---- Logs -------------------------------------------------------------------------------------- */

static void log_health(const Nvme *n, uint8_t *d)
{
    st_le16(d + 1, KELVIN + 30);
    d[3] = 100; /* spare left */
    d[4] = 10;
    st_le64(d + 32, __atomic_load_n(&n->read_units, __ATOMIC_RELAXED) / 1000);
    st_le64(d + 48, __atomic_load_n(&n->written_units, __ATOMIC_RELAXED) / 1000);
    st_le64(d + 64, __atomic_load_n(&n->reads, __ATOMIC_RELAXED));
    st_le64(d + 80, __atomic_load_n(&n->writes, __ATOMIC_RELAXED));
}

static unsigned get_log(NvmeCommand *c)
{
    enum { ERRORS = 1, HEALTH = 2, FIRMWARE = 3, LOG_MAX = 512 };
    uint8_t log[LOG_MAX] = {0};
    uint64_t len = ((nvme_dword(c, 10) >> 16) | (uint64_t)(nvme_dword(c, 11) & 0xffff) << 16);
    uint64_t from = ld_le64(c->raw + 48);
    size_t size = 512;
    len = 4 * (len + 1);
    switch (nvme_dword(c, 10) & 0xff) {
    case ERRORS: size = 64; break;
    case HEALTH: log_health(c->n, log); break;
    case FIRMWARE:
        log[0] = 1;
        put_text(log + 8, 8, "1.0");
        break;
    default: return NVME_BAD_LOG | NVME_DNR;
    }
    if (from > size || from & 3)
        return NVME_BAD_FIELD | NVME_DNR;
    return nvme_give(c, log + from, MIN(len, size - from));
}

/* ---- All of them --------------------------------------------------------------------------------- */

/* Kept until something happens: nothing of what is told does, so until a reset. */
static unsigned async_event(NvmeCommand *c)
{
    Nvme *n = c->n;
    if (n->aer_count == NVME_AERS)
        return NVME_TOO_MANY_AERS | NVME_DNR;
    n->aers[n->aer_count++] = ld_le16(c->raw + 2);
    return NVME_OK;
}

unsigned nvme_admin(NvmeCommand *c)
{
    switch (nvme_opcode(c)) {
    case DELETE_SQ: return locked(c, delete_sq);
    case CREATE_SQ: return locked(c, create_sq);
    case DELETE_CQ: return locked(c, delete_cq);
    case CREATE_CQ: return locked(c, create_cq);
    case GET_LOG: return get_log(c);
    case IDENTIFY: return identify(c);
    case SET_FEATURES: return locked(c, set_features);
    case GET_FEATURES: return locked(c, get_features);
    case ABORT:
        c->result = 1; /* not aborted: it ends by itself, as all here do soon */
        return NVME_OK;
    case ASYNC_EVENT: {
        unsigned status = locked(c, async_event);
        if (status != NVME_OK)
            return status;
        nvme_complete(c, NVME_LATER);
        return NVME_LATER;
    }
    default: return NVME_BAD_OPCODE | NVME_DNR;
    }
}
