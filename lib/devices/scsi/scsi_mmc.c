/* SPDX-License-Identifier: MIT */
/* What only an optical drive answers (MMC-6): a disc with one session and one track of data, a tray.
 * Left out: audio, raw sectors, structures of DVDs, writing. */
#include "devices/scsi/scsi_priv.h"

#include "base/bytes.h"

#include <string.h>

enum { CD_BLOCKS = 80 * 60 * 75, PROFILE_CD = 0x08, PROFILE_DVD = 0x10, LEAD_OUT = 0xaa };

/* An address as it is, or as minutes, seconds and frames (4.2.6.2). */
static void put_address(uint8_t *p, uint64_t lba, bool msf)
{
    if (!msf) {
        st_be32(p, (uint32_t)MIN(lba, UINT32_MAX));
        return;
    }
    lba += 150;
    p[0] = 0;
    p[1] = (uint8_t)MIN(lba / 75 / 60, 255);
    p[2] = (uint8_t)(lba / 75 % 60);
    p[3] = (uint8_t)(lba % 75);
}

static bool read_toc(ScsiDisk *d, ScsiRequest *req)
{
    uint8_t toc[20] = { 0, 0, 1, 1, 0, 0x14, 1 };
    const uint8_t *cdb = req->cdb;
    bool msf = cdb[1] & 2;
    unsigned format = cdb[2] & 15, first = cdb[6];
    size_t n;
    if (!format)
        format = cdb[9] >> 6; /* where it once was */
    if (format == 0 && first <= LEAD_OUT && (first <= 1 || first == LEAD_OUT)) {
        uint8_t *p = toc + 4;
        if (first <= 1) {
            put_address(p + 4, 0, msf);
            p += 8;
        }
        p[1] = 0x14;
        p[2] = LEAD_OUT;
        put_address(p + 4, scsi_disk_blocks(d), msf);
        n = (size_t)(p + 8 - toc);
    } else if (format == 1) {
        put_address(toc + 8, 0, msf);
        n = 12;
    } else {
        return scsi_fail(req, BAD_FIELD);
    }
    st_be16(toc, (uint16_t)(n - 2));
    return scsi_give(req, toc, n, ld_be16(cdb + 7));
}

static unsigned profile(ScsiDisk *d)
{
    if (scsi_disk_medium(d) != NO_SENSE)
        return 0;
    return scsi_disk_blocks(d) > CD_BLOCKS ? PROFILE_DVD : PROFILE_CD;
}

static bool get_configuration(ScsiDisk *d, ScsiRequest *req)
{
    unsigned now = profile(d), from = ld_be16(req->cdb + 2), how = req->cdb[1] & 3;
    const uint8_t features[][12] = {
        { 0, 0, 0x03, 8, 0, PROFILE_DVD, now == PROFILE_DVD, 0, 0, PROFILE_CD, now == PROFILE_CD,
          0 },
        { 0, 1, 0x0b, 8, 0, 0, 0, 1 /* SCSI */, 1, 0, 0, 0 },
        { 0, 3, 0x03, 4, 0x29, 0, 0, 0 }, /* a tray, lock and eject */
    };
    uint8_t data[8 + sizeof features] = {0};
    size_t n = 8;
    if (how == 3)
        return scsi_fail(req, BAD_FIELD);
    for (size_t i = 0; i < G_N_ELEMENTS(features); i++) {
        unsigned code = features[i][1];
        if (how == 2 ? code != from : code < from)
            continue;
        memcpy(data + n, features[i], 4u + features[i][3]);
        n += 4u + features[i][3];
    }
    st_be32(data, (uint32_t)(n - 4));
    st_be16(data + 6, (uint16_t)now);
    return scsi_give(req, data, n, ld_be16(req->cdb + 7));
}

/* Events of the medium are the one class; asked for, never sent. */
static bool get_event(ScsiDisk *d, ScsiRequest *req)
{
    uint8_t data[8] = { 0, 2, 0x80, 0x10 };
    size_t n = 4;
    if (!(req->cdb[1] & 1))
        return scsi_fail(req, BAD_FIELD);
    if (req->cdb[4] & 0x10) {
        pthread_mutex_lock(&d->lock);
        bool open = d->tray_open;
        data[4] = d->event;
        d->event = 0;
        pthread_mutex_unlock(&d->lock);
        data[1] = 6;
        data[2] = 0x04;
        data[5] = (uint8_t)(open ? 1 : d->user ? 2 : 0);
        n = 8;
    }
    return scsi_give(req, data, n, ld_be16(req->cdb + 7));
}

static bool disc_information(ScsiDisk *d, ScsiRequest *req)
{
    uint8_t data[34] = { 0, 32, 0x0e, 1, 1, 1, 1, 0x20 };
    if (req->cdb[1] & 7)
        return scsi_fail(req, BAD_FIELD);
    return scsi_give(req, data, sizeof data, ld_be16(req->cdb + 7));
}

static bool mechanism_status(ScsiDisk *d, ScsiRequest *req)
{
    uint8_t data[8] = {0};
    pthread_mutex_lock(&d->lock);
    data[1] = d->tray_open ? 0x10 : 0;
    pthread_mutex_unlock(&d->lock);
    return scsi_give(req, data, sizeof data, ld_be16(req->cdb + 8));
}

bool scsi_start_stop_cd(ScsiDisk *d, ScsiRequest *req)
{
    bool start = req->cdb[4] & 1, load = req->cdb[4] & 2;
    if (req->cdb[4] >> 4 || !load) /* power states; spinning */
        return scsi_good(req);
    pthread_mutex_lock(&d->lock);
    bool refused = !start && d->locked && !d->tray_open;
    /* No unit attention: who asked for it knows, and Linux would refuse to read at first. */
    if (!refused && d->tray_open == start && d->user)
        d->event = start ? EVENT_NEW_MEDIUM : EVENT_MEDIUM_GONE;
    if (!refused)
        d->tray_open = !start;
    pthread_mutex_unlock(&d->lock);
    return refused ? scsi_fail(req, REMOVAL_PREVENTED) : scsi_good(req);
}

bool scsi_mmc(ScsiDisk *d, ScsiRequest *req, bool *known)
{
    uint32_t why = scsi_disk_medium(d);
    uint8_t op = req->cdb[0];
    *known = true;
    if ((op == 0x43 || op == 0x51) && why != NO_SENSE)
        return scsi_fail(req, why);
    switch (op) {
    case 0x43: return read_toc(d, req);
    case 0x46: return get_configuration(d, req);
    case 0x4a: return get_event(d, req);
    case 0x51: return disc_information(d, req);
    case 0xbd: return mechanism_status(d, req);
    default: *known = false; return false;
    }
}
