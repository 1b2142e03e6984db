/* SPDX-License-Identifier: MIT */
/* -netdev, -nic and -net. */
#pragma once

#include "options.h"

#include "net/net.h"

/* Opens them into the table. There is no card that could use them yet: asking for one fails. */
bool nets_open(const RunOptions *o, NetTable *table, GError **error);
