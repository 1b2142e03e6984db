/* SPDX-License-Identifier: MIT */
#include "ga.h"
int ga_options(Ga *ga, int argc, char **argv) { return GA_MISUSED; }
void ga_options_clear(GaOptions *options) { }
bool ga_channel_open(Ga *ga, GError **error) { return false; }
void ga_channel_close(Ga *ga) { }
void ga_channel_send(void *opaque, const char *bytes, size_t len) { }
