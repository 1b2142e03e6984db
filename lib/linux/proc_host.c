/* SPDX-License-Identifier: MIT */
/*
 * What others see of the guest under /proc: the kernel is told where the guest's arguments, environment and
 * auxiliary vector are, so that ps and pgrep show the guest's command line for it, also to another
 * guest. The kernel may have been built without this; then they show ours.
 */
#include <inttypes.h>
#include <linux/prctl.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "linux/path_priv.h"

/* The numbers of stat that are to stay: code, data and the start of the heap are still ours, and the
   C library's. */
static bool read_own(struct prctl_mm_map *map)
{
    char text[1024];
    FILE *file = fopen("/proc/self/stat", "re");
    if (!file)
        return false;
    size_t size = fread(text, 1, sizeof text - 1, file);
    fclose(file);
    text[size] = 0;
    const char *at = strrchr(text, ')');
    unsigned field = 3;
    for (at = at ? at + 1 : ""; *at == ' '; field++) {
        unsigned long long value = 0;
        sscanf(at, "%llu", &value);
        switch (field) { /* numbered as in proc(5) */
        case 26: map->start_code = value; break;
        case 27: map->end_code = value; break;
        case 45: map->start_data = value; break;
        case 46: map->end_data = value; break;
        case 47: map->start_brk = value; break;
        }
        at += 1 + strcspn(at + 1, " \n");
    }
    map->brk = (uintptr_t)sbrk(0);
    return field > 47;
}

void proc_show(const LinuxProcess *p)
{
    struct prctl_mm_map map = {
        .start_stack = p->start_stack, .arg_start = p->arg_start, .arg_end = p->arg_end,
        .env_start = p->env_start, .env_end = p->env_end, .exe_fd = UINT32_MAX,
        .auxv = guest_ptr(p->auxv), .auxv_size = (uint32_t)p->auxv_size,
    };
    if (read_own(&map))
        prctl(PR_SET_MM, PR_SET_MM_MAP, &map, sizeof map, 0);
}
