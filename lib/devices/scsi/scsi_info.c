/* SPDX-License-Identifier: MIT */
/* What a unit says of itself: INQUIRY with vital product data (SPC-4, 6.6 and 7.8; SBC-3, 6.6),
 * capacity, mode pages (SPC-4, 7.5). The one thing that can be set is the write cache. */
#include "devices/scsi/scsi_priv.h"

#include "base/bytes.h"

#include <string.h>

enum { TYPE_DISK = 0, TYPE_CD = 5 };
enum { INQUIRY_SIZE = 36, VPD_MAX = 256 + 4, SERIAL_MAX = 36, ID_MAX = 32 };
enum { UNMAP_BLOCKS_BYTES = 1 << 30, UNMAP_RANGES = 255 };

/* Text of a fixed width, filled up with spaces. */
static void put_text(uint8_t *to, size_t width, const char *text)
{
    memset(to, ' ', width);
    memcpy(to, text, strnlen(text, width));
}

static uint8_t unit_type(const ScsiDisk *d)
{
    return d->cd ? TYPE_CD : TYPE_DISK;
}

static const char *vendor(const ScsiDisk *d)
{
    return d->vendor ? d->vendor : "LATHE";
}

static const char *unit_id(const ScsiDisk *d)
{
    const char *serial = scsi_disk_serial(d);
    return d->device_id ? d->device_id : *serial ? serial : d->drive ? d->drive->id : "";
}

/* ---- Vital product data: each returns the bytes behind the header --------------------------- */

static size_t vpd_list(const ScsiDisk *d, uint8_t *p)
{
    size_t n = 0;
    p[n++] = 0x00;
    if (*scsi_disk_serial(d))
        p[n++] = 0x80;
    p[n++] = 0x83;
    if (!d->cd) {
        p[n++] = 0xb0;
        p[n++] = 0xb1;
        p[n++] = 0xb2;
    }
    return n;
}

static size_t vpd_serial(const ScsiDisk *d, uint8_t *p)
{
    const char *serial = scsi_disk_serial(d);
    size_t n = strnlen(serial, SERIAL_MAX);
    memcpy(p, serial, n);
    return n;
}

/* Designators: maker and id as text, and the world wide name. */
static size_t vpd_ids(const ScsiDisk *d, uint8_t *p)
{
    const char *id = unit_id(d);
    size_t n = 0, len = strnlen(id, ID_MAX);
    if (len) {
        p[0] = 0x02; /* ASCII */
        p[1] = 0x01; /* by maker, of the unit */
        p[3] = (uint8_t)(8 + len);
        put_text(p + 4, 8, vendor(d));
        memcpy(p + 12, id, len);
        n = 12 + len;
    }
    if (d->wwn) {
        p[n] = 0x01;
        p[n + 1] = 0x03; /* NAA */
        p[n + 3] = 8;
        st_be64(p + n + 4, d->wwn);
        n += 12;
    }
    return n;
}

static size_t vpd_limits(const ScsiDisk *d, uint8_t *p)
{
    uint32_t granularity = MAX(d->advice.discard_align, d->logical) / d->logical;
    p[0] = 1; /* WRITE SAME of no blocks is none */
    st_be16(p + 2, (uint16_t)(d->min_io / d->logical));
    st_be32(p + 8, d->opt_io / d->logical);
    if (!d->read_only) {
        st_be32(p + 16, UNMAP_BLOCKS_BYTES / d->logical);
        st_be32(p + 20, UNMAP_RANGES);
        st_be32(p + 24, granularity);
        st_be64(p + 32, INT32_MAX / d->logical);
    }
    return 60;
}

static size_t vpd_characteristics(const ScsiDisk *d, uint8_t *p)
{
    st_be16(p, (uint16_t)d->rotation);
    return 60;
}

static size_t vpd_provisioning(const ScsiDisk *d, uint8_t *p)
{
    p[1] = d->read_only ? 0 : 0xe0; /* UNMAP, WRITE SAME 16 and 10 with it */
    p[2] = d->read_only ? 0 : 2;    /* thin */
    return 4;
}

static bool vpd(const ScsiDisk *d, ScsiRequest *req)
{
    uint8_t page[VPD_MAX] = { unit_type(d), req->cdb[2] };
    size_t n;
    switch (req->cdb[2]) {
    case 0x00: n = vpd_list(d, page + 4); break;
    case 0x80: n = vpd_serial(d, page + 4); break;
    case 0x83: n = vpd_ids(d, page + 4); break;
    case 0xb0: n = vpd_limits(d, page + 4); break;
    case 0xb1: n = vpd_characteristics(d, page + 4); break;
    case 0xb2: n = vpd_provisioning(d, page + 4); break;
    default: n = 0;
    }
    bool other = req->cdb[2] > 0xaf ? d->cd || req->cdb[2] > 0xb2 : !n;
    if (other || (req->cdb[2] == 0x80 && !n))
        return scsi_fail(req, BAD_FIELD);
    st_be16(page + 2, (uint16_t)n);
    return scsi_give(req, page, n + 4, ld_be16(req->cdb + 3));
}

bool scsi_inquiry(ScsiDisk *d, ScsiRequest *req)
{
    if (req->cdb[1] & 1)
        return vpd(d, req);
    if (req->cdb[2])
        return scsi_fail(req, BAD_FIELD);
    uint8_t data[INQUIRY_SIZE] = { unit_type(d), d->removable ? 0x80 : 0, 6, 0x12,
                                   INQUIRY_SIZE - 5 };
    data[7] = 2; /* takes several commands at once */
    put_text(data + 8, 8, vendor(d));
    put_text(data + 16, 16, d->product ? d->product : d->cd ? "CD-ROM" : "HARDDISK");
    put_text(data + 32, 4, d->ver ? d->ver : "1.0");
    return scsi_give(req, data, sizeof data, ld_be16(req->cdb + 3));
}

/* ---- Capacity ------------------------------------------------------------------------------- */

bool scsi_read_capacity(ScsiDisk *d, ScsiRequest *req)
{
    uint8_t data[8];
    uint64_t blocks = scsi_disk_blocks(d);
    if (!blocks)
        return scsi_fail(req, NO_MEDIUM);
    st_be32(data, (uint32_t)MIN(blocks - 1, UINT32_MAX));
    st_be32(data + 4, d->logical);
    return scsi_give(req, data, sizeof data, sizeof data);
}

bool scsi_read_capacity_16(ScsiDisk *d, ScsiRequest *req)
{
    uint8_t data[32] = {0};
    uint64_t blocks = scsi_disk_blocks(d);
    if (!blocks)
        return scsi_fail(req, NO_MEDIUM);
    st_be64(data, blocks - 1);
    st_be32(data + 8, d->logical);
    data[13] = (uint8_t)(__builtin_ctz(d->physical) - __builtin_ctz(d->logical));
    data[14] = d->read_only ? 0 : 0x80; /* thin */
    return scsi_give(req, data, sizeof data, ld_be32(req->cdb + 10));
}

/* ---- Mode pages ----------------------------------------------------------------------------- */

enum {
    PAGE_ERRORS = 0x01,
    PAGE_CACHE = 0x08,
    PAGE_CONTROL = 0x0a,
    PAGE_CD = 0x2a,
    PAGE_ALL = 0x3f,
};
enum { NOW = 0, CHANGEABLE = 1, MODE_MAX = 256, CACHE_WCE = 4 };

/* Writes a page, if the unit has it; bytes. */
static size_t mode_page(ScsiDisk *d, unsigned page, unsigned which, uint8_t *p)
{
    static const uint8_t sizes[] = { [PAGE_ERRORS] = 12, [PAGE_CACHE] = 20, [PAGE_CONTROL] = 12,
                                     [PAGE_CD] = 24 };
    bool has = page == PAGE_ERRORS || (d->cd ? page == PAGE_CD
                                             : page == PAGE_CACHE || page == PAGE_CONTROL);
    if (!has)
        return 0;
    size_t n = sizes[page];
    memset(p, 0, n);
    p[0] = (uint8_t)page;
    p[1] = (uint8_t)(n - 2);
    pthread_mutex_lock(&d->lock);
    bool now = which != CHANGEABLE;
    if (page == PAGE_CACHE) {
        p[2] = !now || d->wce ? CACHE_WCE : 0;
    } else if (page == PAGE_ERRORS && now) {
        p[2] = 0x80; /* automatic reallocation */
        p[3] = 0x20;
    } else if (page == PAGE_CONTROL && now) {
        p[3] = 0x10; /* commands may be reordered */
    } else if (page == PAGE_CD && now) {
        p[2] = 0x3b; /* reads CD-R, CD-RW, DVD-ROM, DVD-R */
        p[4] = 0x40; /* several sessions */
        p[6] = (uint8_t)(0x29 | d->locked << 1); /* a tray that can be locked and ejected */
        st_be16(p + 8, 50 * 176);
        st_be16(p + 12, 2048);
        st_be16(p + 14, 16 * 176);
    }
    pthread_mutex_unlock(&d->lock);
    return n;
}

static size_t mode_pages(ScsiDisk *d, unsigned page, unsigned which, uint8_t *p)
{
    size_t n = 0;
    if (page != PAGE_ALL)
        return mode_page(d, page, which, p);
    for (unsigned i = 1; i < PAGE_ALL; i++)
        n += mode_page(d, i, which, p + n);
    return n;
}

/* A block descriptor of the short form. */
static size_t block_descriptor(const ScsiDisk *d, uint8_t *p)
{
    uint64_t blocks = scsi_disk_blocks(d);
    st_be32(p, blocks > UINT32_MAX ? UINT32_MAX : (uint32_t)blocks);
    st_be32(p + 4, d->logical & 0xffffff);
    return 8;
}

bool scsi_mode_sense(ScsiDisk *d, ScsiRequest *req)
{
    const uint8_t *cdb = req->cdb;
    bool ten = cdb[0] == 0x5a;
    unsigned page = cdb[2] & 0x3f, which = cdb[2] >> 6;
    if (which == 3)
        return scsi_fail(req, NOT_SAVEABLE);
    if (cdb[3] && cdb[3] != 0xff)
        return scsi_fail(req, BAD_FIELD);
    uint8_t data[MODE_MAX] = {0};
    size_t head = ten ? 8 : 4, n = head;
    uint8_t parameter = d->cd ? 0 : (uint8_t)(0x10 | (d->read_only ? 0x80 : 0));
    if (!d->cd && !(cdb[1] & 8))
        n += block_descriptor(d, data + n);
    size_t descriptors = n - head, pages = mode_pages(d, page, which, data + n);
    if (!pages)
        return scsi_fail(req, BAD_FIELD);
    n += pages;
    if (ten) {
        st_be16(data, (uint16_t)(n - 2));
        data[3] = parameter;
        st_be16(data + 6, (uint16_t)descriptors);
    } else {
        data[0] = (uint8_t)(n - 1);
        data[2] = parameter;
        data[3] = (uint8_t)descriptors;
    }
    return scsi_give(req, data, n, ten ? ld_be16(cdb + 7) : cdb[4]);
}

/* Whether a page from the guest is one there is, and changes nothing but what can be changed; a new
   setting of the cache goes to *wce. */
static uint32_t check_page(ScsiDisk *d, const uint8_t *p, size_t left, int *wce)
{
    uint8_t now[MODE_MAX], mask[MODE_MAX];
    unsigned page = p[0] & 0x3f;
    size_t n = p[0] & 0x40 ? 0 : mode_page(d, page, NOW, now);
    if (!n || p[1] != n - 2)
        return BAD_PARAMETER;
    if (left < n)
        return BAD_LIST_LENGTH;
    mode_page(d, page, CHANGEABLE, mask);
    for (size_t i = 2; i < n; i++)
        if ((p[i] ^ now[i]) & ~mask[i])
            return BAD_PARAMETER;
    if (page == PAGE_CACHE)
        *wce = (p[2] & CACHE_WCE) != 0;
    return NO_SENSE;
}

bool scsi_mode_select(ScsiDisk *d, ScsiRequest *req)
{
    const uint8_t *cdb = req->cdb;
    bool ten = cdb[0] == 0x55;
    uint8_t data[MODE_MAX];
    size_t len = ten ? ld_be16(cdb + 7) : cdb[4], head = ten ? 8 : 4;
    int wce = -1;
    if (!(cdb[1] & 0x10) || cdb[1] & 1)
        return scsi_fail(req, BAD_FIELD);
    if (!len)
        return scsi_good(req);
    if (len < head || len > sizeof data)
        return scsi_fail(req, BAD_LIST_LENGTH);
    if (!scsi_room(req, len, false))
        return true;
    scsi_take(req, data, len);
    size_t at = head + (ten ? ld_be16(data + 6) : data[3]);
    if (at > len)
        return scsi_fail(req, BAD_LIST_LENGTH);
    while (at < len) {
        uint32_t why = len - at < 2 ? (uint32_t)BAD_LIST_LENGTH
                                    : check_page(d, data + at, len - at, &wce);
        if (why != NO_SENSE)
            return scsi_fail(req, why);
        at += data[at + 1] + 2u;
    }
    req->moved = len;
    if (wce < 0)
        return scsi_good(req);
    scsi_disk_set_wce(d, wce);
    /* What was cached until now must not stay so. */
    return wce || d->read_only ? scsi_good(req) : scsi_io(req, BLOCK_FLUSH, 0, 0, 0);
}
