/* SPDX-License-Identifier: MIT */
/* What an ISA says of a CPU, as boards take it. */
#include "machines/machine.h"

#include <string.h>

GHashTable *machine_cpus_read(MachineCpus *cpus, const char *text)
{
    GHashTable *props = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    for (char **line = lines; *line; line++) {
        const char *equals = strchr(*line, '=');
        if (equals)
            g_hash_table_replace(props, g_strndup(*line, (gsize)(equals - *line)),
                                 g_strdup(equals + 1));
    }
    const char *cbom = g_hash_table_lookup(props, "riscv,cbom-block-size");
    const char *cboz = g_hash_table_lookup(props, "riscv,cboz-block-size");
    cpus->isa = g_hash_table_lookup(props, "riscv,isa");
    cpus->mmu_type = g_hash_table_lookup(props, "mmu-type");
    cpus->compatible = g_hash_table_lookup(props, "compatible");
    cpus->cbom_block_size = cbom ? (uint32_t)g_ascii_strtoull(cbom, NULL, 0) : 0;
    cpus->cboz_block_size = cboz ? (uint32_t)g_ascii_strtoull(cboz, NULL, 0) : 0;
    return props;
}
