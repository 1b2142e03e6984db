/* SPDX-License-Identifier: MIT */
/* Reading /sys and /proc, and what the groups of commands about disks share. */
#pragma once

#include "ga.h"

/* The number in a small file; def: there is none. */
int64_t ga_read_number(const Ga *ga, int base, int64_t def, const char *fmt, ...)
    G_GNUC_PRINTF(4, 5);
/* The last part of where a link leads, newly allocated; NULL: there is none. */
char *ga_link_name(const char *path);
/* Names in a folder (with the root in front already), numbers in them compared as numbers; NULL:
 * cannot be read. */
GPtrArray *ga_names(const char *path);
/* The n of names "prefixN" in a folder, ascending; NULL with errno: cannot be read. */
GArray *ga_numbered(const Ga *ga, const char *prefix, const char *folder);

/* A file system on a disk. */
typedef struct {
    char *device, *dir, *type;
    unsigned major, minor;
} GaMount;

/* File systems on disks out of /proc/self/mountinfo, the last mounted first (so one in a file of
 * another comes before that); the same one may be there under several names. NULL with an error.
 * Of GaMount. */
GPtrArray *ga_mounts(const Ga *ga, GError **error);

/* The real path of a block device's folder in /sys, for "/sys/dev/block/8:1" and the like; NULL:
 * there is none. */
char *ga_block_path(const Ga *ga, const char *link);
/* GuestDiskAddress of what is at this real path: a disk or a part of one; NULL: it has no
 * hardware of its own. */
struct json_object *ga_disk_address(const Ga *ga, const char *path);
/* Appends to list the addresses of all disks that this one consists of. */
void ga_disk_addresses(const Ga *ga, const char *path, struct json_object *list);
/* "smart" of an NVMe disk, by its log page; nothing if it cannot be had. */
void ga_put_smart(struct json_object *o, const char *device);
