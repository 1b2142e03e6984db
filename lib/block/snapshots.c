/* SPDX-License-Identifier: MIT */
/* Internal snapshots, for drivers and those who ask for them. */
#include "block/driver.h"

void block_snapshot_clear(BlockSnapshot *snapshot)
{
    g_clear_pointer(&snapshot->id, g_free);
    g_clear_pointer(&snapshot->name, g_free);
}
