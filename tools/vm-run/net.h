/* SPDX-License-Identifier: MIT */
/* -netdev, -nic and -net. */
#pragma once

#include "options.h"

#include "machines/machine.h"
#include "net/net.h"

/* Opens them into the table. */
bool nets_open(const RunOptions *o, NetTable *table, GError **error);
/* The machine finds back ends in the table, and gets the cards of -nic. Before -device is looked
   at; the table must outlive the machine. */
bool nets_plug(NetTable *table, Machine *m, GError **error);
/* After -device: a line for each -netdev that nobody uses. */
void nets_check_used(const NetTable *table, void (*warn)(const char *line));
