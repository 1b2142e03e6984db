/* SPDX-License-Identifier: MIT */
/* inotify-guest FOLDER... in a guest: prints "FOLDER NAME EVENT" for what watchers hear of, until
 * FOLDER/.end appears. */
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

static const char *const names[] = {
    [0] = "access", [1] = "modify", [2] = "attrib",       [6] = "from",      [7] = "to",
    [8] = "create", [9] = "delete", [10] = "delete-self", [11] = "move-self"
};

int main(int argc, char **argv)
{
    char buffer[16384] __attribute__((aligned(8)));
    int watched[64], fd = inotify_init1(0);
    if (fd < 0 || argc > 64)
        return 1;
    for (int i = 1; i < argc; i++)
        if ((watched[i] = inotify_add_watch(
                 fd, argv[i], IN_ATTRIB | IN_MODIFY | IN_CREATE | IN_DELETE | IN_MOVE)) < 0) {
            perror(argv[i]);
            return 1;
        }
    puts("watching");
    for (;;) {
        fflush(stdout);
        ssize_t n = read(fd, buffer, sizeof buffer);
        for (char *at = buffer; n > 0 && at < buffer + n;) {
            struct inotify_event e;
            memcpy(&e, at, sizeof e);
            const char *name = e.len ? at + sizeof e : ".", *folder = "?", *what = "other";
            for (int i = 1; i < argc; i++)
                folder = watched[i] == e.wd ? argv[i] : folder;
            for (unsigned bit = 0; bit < sizeof names / sizeof names[0]; bit++)
                what = names[bit] && (e.mask & 1u << bit) ? names[bit] : what;
            printf("%s %s %s\n", folder, name, what);
            if (!strcmp(name, ".end"))
                return 0;
            at += sizeof e + e.len;
        }
    }
}
