/* SPDX-License-Identifier: MIT */
/*
 * Descriptors that are this tool's own: they sit at high numbers, out of the guest's way, and are not
 * there for it (fd.c).
 */
#pragma once

#include "linux/linux_priv.h"

enum { OWN_FDS = 2 };

/* Fills fds with those there are, in order of number: how many. */
unsigned fd_own(const LinuxProcess *p, int fds[OWN_FDS]);
bool fd_is_own(const LinuxProcess *p, int fd);
/* The guest is about to take this number for itself: ours goes elsewhere. 0 or -errno. */
int fd_give_way(LinuxThread *t, int fd);
