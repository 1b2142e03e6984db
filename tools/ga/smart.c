/* SPDX-License-Identifier: MIT */
/* Health of an NVMe disk: the SMART / Health Information log page (NVM Express Base 5.16.1.3),
 * by the kernel's passthrough of admin commands. Numbers of 128 bits come in halves. */
#include "sysfs.h"

#include "base/bytes.h"

#include <fcntl.h>
#include <json-c/json.h>
#include <linux/nvme_ioctl.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { GET_LOG_PAGE = 2, LOG_HEALTH = 2, LOG_BYTES = 512 };

static const struct { const char *name; unsigned at; } wide[] = {
    { "data-units-read", 32 },     { "data-units-written", 48 },  { "host-read-commands", 64 },
    { "host-write-commands", 80 }, { "controller-busy-time", 96 }, { "power-cycles", 112 },
    { "power-on-hours", 128 },     { "unsafe-shutdowns", 144 },   { "media-errors", 160 },
    { "number-of-error-log-entries", 176 },
};

void ga_put_smart(struct json_object *o, const char *device)
{
    uint8_t log[LOG_BYTES] = { 0 };
    struct nvme_admin_cmd cmd = {
        .opcode = GET_LOG_PAGE, .nsid = 0xffffffff, .addr = (uintptr_t)log, .data_len = sizeof log,
        .cdw10 = (LOG_BYTES / 4 - 1) << 16 | LOG_HEALTH,
    };
    int fd = open(device, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return;
    bool done = ioctl(fd, NVME_IOCTL_ADMIN_CMD, &cmd) == 0;
    close(fd);
    if (!done)
        return;
    struct json_object *s = json_object_new_object();
    agent_put_string(s, "type", "nvme");
    agent_put_int(s, "critical-warning", log[0]);
    agent_put_int(s, "temperature", ld_le16(log + 1));
    agent_put_int(s, "available-spare", log[3]);
    agent_put_int(s, "available-spare-threshold", log[4]);
    agent_put_int(s, "percentage-used", log[5]);
    for (unsigned i = 0; i < G_N_ELEMENTS(wide); i++) {
        g_autofree char *lo = g_strconcat(wide[i].name, "-lo", NULL),
            *hi = g_strconcat(wide[i].name, "-hi", NULL);
        json_object_object_add(s, lo, json_object_new_uint64(ld_le64(log + wide[i].at)));
        json_object_object_add(s, hi, json_object_new_uint64(ld_le64(log + wide[i].at + 8)));
    }
    json_object_object_add(o, "smart", s);
}
