/* SPDX-License-Identifier: MIT */
/* A process with as many mappings as there can be goes on, in all its threads. */
#include "say.h"

#include <pthread.h>
#include <sys/mman.h>
#include <sys/stat.h>

static void *look(void *arg)
{
    static char text[1 << 16];
    long lines = 0;
    ssize_t n;
    struct stat s;
    int fd = open("/proc/self/maps", O_RDONLY);
    while ((n = read(fd, text, sizeof text)) > 0)
        for (ssize_t i = 0; i < n; i++)
            lines += text[i] == '\n';
    say("stat", stat("/", &s));
    printf("many lines: %d\n", lines > 30000);
    return arg;
}

int main(void)
{
    pthread_t thread;
    long made = 0;
    char *last = NULL;
    for (;;) {
        char *at = mmap(NULL, 3 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (at == MAP_FAILED || munmap(at + 4096, 4096))
            break;
        last = at;
        made++;
    }
    say("full", made > 30000 ? -1 : made);
    for (int i = 0; i < 200; i++) /* room for a thread */
        munmap(last + (2 + i * 3) * 4096, 2 * 4096);
    say("thread", pthread_create(&thread, NULL, look, NULL));
    pthread_join(thread, NULL);
    look(NULL);
    return 0;
}
