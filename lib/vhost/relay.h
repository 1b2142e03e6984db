/* SPDX-License-Identifier: MIT */
/*
 * Between a front end and a back end that may die. Messages pass both ways and what they set up is
 * remembered, with the descriptors; requests themselves do not come by here, as they go through
 * shared memory. When the back end is gone, a device of our own takes its place, rings, inflight
 * requests and all, so that the guest gets answers: errors.
 *
 * For front ends that do not track what is in flight (QEMU's virtiofs), the back end is told to.
 */
#pragma once

#include "vhost/vhost.h"

/* Until the front end goes away, or both ends have failed; both descriptors are closed then. last:
 * the device in place of the back end, with as many queues; its say is told first that the back end
 * is gone. One thread, no other of its kind. */
void vhost_relay(int front, int back, const VhostDevice *last);
