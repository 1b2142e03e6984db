/* SPDX-License-Identifier: MIT */
/* What both ends share: magic numbers, option and reply codes, and the bytes that came in. */
#pragma once

#include "nbd/nbd.h"

#define NBD_MAGIC UINT64_C(0x4e42444d41474943)
#define NBD_OPTION_MAGIC UINT64_C(0x49484156454f5054)
#define NBD_OPTION_REPLY_MAGIC UINT64_C(0x0003e889045565a9)
#define NBD_OLD_MAGIC UINT64_C(0x0000420281861253)

enum {
    NBD_REQUEST_MAGIC = 0x25609513,
    NBD_EXTENDED_REQUEST_MAGIC = 0x21e41c71,
    NBD_SIMPLE_REPLY_MAGIC = 0x67446698,
    NBD_STRUCTURED_REPLY_MAGIC = 0x668e33ef,
    NBD_EXTENDED_REPLY_MAGIC = 0x6e8a278c,
};

enum { /* sizes of heads on the wire */
    NBD_GREETING = 18, NBD_OLD_GREETING = 152, NBD_OPTION_HEAD = 16, NBD_OPTION_REPLY_HEAD = 20,
    NBD_REQUEST_HEAD = 28, NBD_EXTENDED_REQUEST_HEAD = 32,
    NBD_SIMPLE_HEAD = 16, NBD_STRUCTURED_HEAD = 20, NBD_EXTENDED_HEAD = 32,
    NBD_EXPORT_ZEROES = 124, /* behind the answer to EXPORT_NAME, unless NO_ZEROES */
};

enum { NBD_FIXED_NEWSTYLE = 1, NBD_NO_ZEROES = 2 }; /* handshake flags, both ways */

enum {
    NBD_OPT_EXPORT_NAME = 1, NBD_OPT_ABORT, NBD_OPT_LIST, NBD_OPT_PEEK_EXPORT, NBD_OPT_STARTTLS,
    NBD_OPT_INFO, NBD_OPT_GO, NBD_OPT_STRUCTURED_REPLY, NBD_OPT_LIST_META_CONTEXT,
    NBD_OPT_SET_META_CONTEXT, NBD_OPT_EXTENDED_HEADERS,
};

enum {
    NBD_REP_ACK = 1, NBD_REP_SERVER, NBD_REP_INFO, NBD_REP_META_CONTEXT,
#define NBD_REP_ERROR UINT32_C(0x80000000)
    NBD_ERR_UNSUP = 1, NBD_ERR_POLICY, NBD_ERR_INVALID, NBD_ERR_PLATFORM, NBD_ERR_TLS_REQD, NBD_ERR_UNKNOWN,
    NBD_ERR_SHUTDOWN, NBD_ERR_BLOCK_SIZE_REQD, NBD_ERR_TOO_BIG, NBD_ERR_EXT_HEADER_REQD,
};

enum { NBD_INFO_EXPORT, NBD_INFO_NAME, NBD_INFO_DESCRIPTION, NBD_INFO_BLOCK_SIZE };

enum { /* chunks of structured and extended replies */
    NBD_CHUNK_NONE = 0, NBD_CHUNK_DATA = 1, NBD_CHUNK_HOLE = 2, NBD_CHUNK_STATUS = 5,
    NBD_CHUNK_STATUS_EXT = 6, NBD_CHUNK_ERROR = 0x8001, NBD_CHUNK_ERROR_OFFSET = 0x8002,
    NBD_CHUNK_DONE = 1, /* of the flags */
};

/* "list" and so on; never NULL. */
const char *nbd_option_name(uint32_t option);

/* ---- Bytes that came in --------------------------------------------------- */

/* A buffer for heads and small payloads, and the place for a large one. */
typedef struct {
    uint8_t *buf;
    size_t size;       /* of buf */
    size_t start, end; /* of what is there */
    uint8_t *to;       /* of the payload that is expected; NULL: it is thrown away */
    uint64_t left;     /* of it, still to come */
    bool large;        /* the last payload was large: read little beyond heads */
    size_t head; /* the last payload went by another way: read no more than a head of that size; 0:
                    it did not */
} NbdInput;

enum { NBD_INPUT = 128 << 10 };

void nbd_input_init(NbdInput *in);
void nbd_input_clear(NbdInput *in);
int nbd_input_buffers(NbdInput *in, struct iovec iov[2]);
void nbd_input_advance(NbdInput *in, size_t got);
/* Makes room for n bytes that are to be taken at once, when it may be more than NBD_INPUT. */
void nbd_input_reserve(NbdInput *in, size_t n);
/* n bytes from the front of what is there, taken out; NULL: there are fewer. They stay until the
 * next nbd_input_buffers. */
const uint8_t *nbd_input_take(NbdInput *in, size_t n);
/* The same, left there. */
const uint8_t *nbd_input_peek(const NbdInput *in, size_t n);
/* The next len bytes go to that place (NULL: nowhere). */
void nbd_input_payload(NbdInput *in, void *to, uint64_t len);
/* The next len bytes go by another way: those that are here, taken out. After them comes a head of
 * that size. */
const uint8_t *nbd_input_pass(NbdInput *in, uint64_t len, size_t head, size_t *here);
/* Whether the payload is there (or none was expected); what is thrown away is. */
bool nbd_input_filled(NbdInput *in);

static inline size_t nbd_input_len(const NbdInput *in)
{
    return in->end - in->start;
}
