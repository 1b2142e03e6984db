/* SPDX-License-Identifier: MIT */
/* In a guest, over AF_VSOCK: "serve PORT" echoes what one caller sends to its end; "send PORT" calls the
   host with standard input, ends its side, and prints what comes back. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <linux/vm_sockets.h>

static int copy(int from, int to)
{
    static char buf[100000];
    ssize_t n;
    while ((n = read(from, buf, sizeof buf)) > 0)
        for (ssize_t done = 0, w; done < n; done += w)
            if ((w = write(to, buf + done, (size_t)(n - done))) <= 0)
                return 1;
    return n < 0;
}

int main(int argc, char **argv)
{
    struct sockaddr_vm a = { .svm_family = AF_VSOCK, .svm_port = (unsigned)atoi(argv[2]) };
    int serve = !strcmp(argv[1], "serve"), fd = socket(AF_VSOCK, SOCK_STREAM, 0);
    a.svm_cid = serve ? VMADDR_CID_ANY : VMADDR_CID_HOST;
    if (!serve) {
        if (connect(fd, (struct sockaddr *)&a, sizeof a)) {
            perror("connect");
            return 1;
        }
        if (copy(0, fd) || shutdown(fd, SHUT_WR))
            return 1;
        return copy(fd, 1);
    }
    if (bind(fd, (struct sockaddr *)&a, sizeof a) || listen(fd, 1))
        return 1;
    puts("SERVING");
    fflush(stdout);
    int c = accept(fd, NULL, NULL);
    return c < 0 || copy(c, c) || shutdown(c, SHUT_WR);
}
