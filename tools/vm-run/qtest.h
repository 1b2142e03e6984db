/* SPDX-License-Identifier: MIT */
/* -qtest and -qtest-log. */
#pragma once

#include "run_priv.h"

typedef struct QtestServer QtestServer;

/* Takes commands from now on, on the main loop; the machine has been started. */
QtestServer *qtest_server_new(Run *r, GError **error);
/* No more commands and no more interrupts told: before the machine goes. NULL is fine. */
void qtest_server_stop(QtestServer *s);
/* After the machine has gone, before the chardevs go. NULL is fine. */
void qtest_server_free(QtestServer *s);
