/* SPDX-License-Identifier: MIT */
/* Writing and reading one object's record by its table; see state.h for the form. */
#include "state/state.h"

#include "base/bytes.h"
#include "base/error.h"

#include <inttypes.h>

uint32_t state_version(const StateField *fields)
{
    uint32_t version = 1;
    for (; fields && fields->name; fields++)
        version = MAX(version, fields->since);
    return version;
}

/* How many elements the object has of this field, and where they are. */
static uint32_t elements(const StateField *f, const void *object, uint8_t **at)
{
    uint8_t *place = (uint8_t *)object + f->offset; /* writing is up to the caller */
    *at = place;
    if (f->pointer)
        memcpy(at, place, sizeof *at);
    uint32_t count = f->count;
    if (f->count_offset) {
        memcpy(&count, (const uint8_t *)object + f->count_offset, sizeof count);
        count = MIN(count, f->count);
    }
    return *at ? count : 0;
}

static void put(GByteArray *out, const uint8_t *p, unsigned size)
{
    uint8_t le[8];
    switch (size) {
    case 1: le[0] = *p; break;
    case 2: { uint16_t v; memcpy(&v, p, 2); st_le16(le, v); break; }
    case 4: { uint32_t v; memcpy(&v, p, 4); st_le32(le, v); break; }
    default: { uint64_t v; memcpy(&v, p, 8); st_le64(le, v); break; }
    }
    g_byte_array_append(out, le, size);
}

static void get(uint8_t *p, const uint8_t *le, unsigned size)
{
    switch (size) {
    case 1: *p = *le; break;
    case 2: { uint16_t v = ld_le16(le); memcpy(p, &v, 2); break; }
    case 4: { uint32_t v = ld_le32(le); memcpy(p, &v, 4); break; }
    default: { uint64_t v = ld_le64(le); memcpy(p, &v, 8); break; }
    }
}

void state_save(const StateField *fields, const void *object, GByteArray *out)
{
    uint32_t version = state_version(fields);
    put(out, (const uint8_t *)&version, 4);
    for (const StateField *f = fields; f && f->name; f++) {
        uint8_t *at;
        uint32_t count = elements(f, object, &at);
        if (f->pointer)
            put(out, (const uint8_t *)&count, 4);
        for (uint32_t i = 0; i < count; i++)
            put(out, at + (size_t)i * f->size, f->size);
    }
}

bool state_load(const StateField *fields, void *object, const uint8_t *data, size_t len,
                size_t *pos, GError **error)
{
    if (*pos > len || len - *pos < 4)
        return fail(error, "saved state ends early, at offset %zu", *pos);
    uint32_t version = ld_le32(data + *pos);
    *pos += 4;
    if (version == 0 || version > state_version(fields))
        return fail(error, "saved state has version %" PRIu32 ", up to %" PRIu32 " is known", version,
                    state_version(fields));
    for (const StateField *f = fields; f && f->name; f++) {
        if (f->since > version)
            continue;
        uint8_t *at;
        uint32_t count = elements(f, object, &at);
        if (f->pointer) {
            if (len - *pos < 4)
                return fail(error, "%s: saved state ends early, at offset %zu", f->name, *pos);
            uint32_t saved = ld_le32(data + *pos);
            *pos += 4;
            if (saved != count)
                return fail(error, "%s: saved state has %" PRIu32 " elements, this machine %" PRIu32,
                            f->name, saved, count);
        }
        if ((len - *pos) / f->size < count)
            return fail(error, "%s: saved state ends early, at offset %zu", f->name, *pos);
        for (uint32_t i = 0; i < count; i++, *pos += f->size)
            get(at + (size_t)i * f->size, data + *pos, f->size);
    }
    return true;
}
