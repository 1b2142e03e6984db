/* SPDX-License-Identifier: MIT */
/* The protocol's words and errors, for messages and for both ends. */
#include "nbd/nbd_priv.h"

#include <errno.h>

const char *nbd_command_name(unsigned command)
{
    static const char *const names[] = { "read", "write", "disconnect", "flush", "trim", "cache",
                                         "write zeroes", "block status", "resize" };
    return command < G_N_ELEMENTS(names) ? names[command] : "unknown";
}

const char *nbd_option_name(uint32_t option)
{
    static const char *const names[] = { "", "export name", "abort", "list", "peek export", "starttls",
                                         "info", "go", "structured reply", "list meta context",
                                         "set meta context", "extended headers" };
    return option && option < G_N_ELEMENTS(names) ? names[option] : "unknown";
}

/* The numbers are Linux', whatever the host's are. */
static const struct {
    int err;
    uint32_t wire;
} errors[] = {
    { 0, 0 },          { EPERM, 1 },    { EROFS, 1 },       { EACCES, 1 },      { EIO, 5 },
    { ENOMEM, 12 },    { EINVAL, 22 },  { ENOSPC, 28 },     { EDQUOT, 28 },     { EFBIG, 28 },
    { EOVERFLOW, 75 }, { ENOTSUP, 95 }, { EOPNOTSUPP, 95 }, { ESHUTDOWN, 108 }, { ECANCELED, 108 },
};

uint32_t nbd_error_of(int err)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(errors); i++)
        if (errors[i].err == err)
            return errors[i].wire;
    return 22;
}

int nbd_errno_of(uint32_t error)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(errors); i++)
        if (errors[i].wire == error)
            return errors[i].err;
    return EINVAL;
}
