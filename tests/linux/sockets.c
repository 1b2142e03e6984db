/* SPDX-License-Identifier: MIT */
/* Sockets: addresses, options, messages with descriptors and credentials. */
#include "say.h"

#include <arpa/inet.h>
#include <linux/netlink.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

static void local(void)
{
    int pair[2];
    char text[32] = "", control[256];
    say("socketpair", socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair));
    int on = 1;
    say("passcred", setsockopt(pair[1], SOL_SOCKET, SO_PASSCRED, &on, sizeof on));
    int file = open("/dev/null", O_WRONLY);
    struct iovec io = { "with a file", 11 };
    memset(control, 0, sizeof control);
    struct msghdr m = { .msg_iov = &io, .msg_iovlen = 1, .msg_control = control,
                        .msg_controllen = CMSG_SPACE(2 * sizeof(int)) };
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(2 * sizeof(int));
    memcpy(CMSG_DATA(c), (int[]){ file, 1 }, 2 * sizeof(int));
    say("sendmsg", sendmsg(pair[0], &m, 0));
    io = (struct iovec){ text, sizeof text };
    m.msg_controllen = sizeof control;
    say("recvmsg", recvmsg(pair[1], &m, MSG_CMSG_CLOEXEC));
    printf("text %s flags %x\n", text, m.msg_flags & ~MSG_CMSG_CLOEXEC);
    for (c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c)) {
        printf("control %d %d length %d\n", c->cmsg_level, c->cmsg_type, (int)c->cmsg_len);
        if (c->cmsg_type == SCM_CREDENTIALS) {
            struct ucred *u = (void *)CMSG_DATA(c);
            printf("self %d uid %d\n", u->pid == getpid(), u->uid == getuid());
        } else {
            struct stat s;
            int fd;
            memcpy(&fd, CMSG_DATA(c), sizeof fd);
            fstat(fd, &s);
            printf("character %d cloexec %d\n", S_ISCHR(s.st_mode), fcntl(fd, F_GETFD));
        }
    }
    struct ucred peer;
    socklen_t size = sizeof peer;
    say("peercred", getsockopt(pair[0], SOL_SOCKET, SO_PEERCRED, &peer, &size));
    printf("self %d\n", peer.pid == getpid());
    say("shutdown", shutdown(pair[0], SHUT_WR));
    say("end", recv(pair[1], text, sizeof text, 0));
    struct sockaddr_un a = { .sun_family = AF_UNIX }, b;
    strcpy(a.sun_path, "socket");
    int listener = socket(AF_UNIX, SOCK_STREAM, 0), client = socket(AF_UNIX, SOCK_STREAM, 0);
    say("bind", bind(listener, (void *)&a, sizeof a));
    say("listen", listen(listener, 5));
    say("connect", connect(client, (void *)&a, sizeof a));
    size = sizeof b;
    int server = say_ok("accept", accept4(listener, (void *)&b, &size, SOCK_NONBLOCK));
    printf("size %u\n", size);
    size = sizeof b;
    say("peer", getpeername(client, (void *)&b, &size));
    printf("path %s\n", b.sun_path);
    say("empty", recv(server, text, 1, 0));
    int waiting = -1;
    write(client, "12345", 5);
    say("fionread", ioctl(server, FIONREAD, &waiting));
    printf("waiting %d\n", waiting);
    say("peek", recv(server, text, 3, MSG_PEEK));
    say("left", recv(server, text, sizeof text, 0));
    say("oob", send(client, "x", 1, MSG_DONTWAIT | MSG_NOSIGNAL));
}

static void options(int fd)
{
    static const struct { int level, name; const char *text; } names[] = {
        { SOL_SOCKET, SO_TYPE, "type" }, { SOL_SOCKET, SO_DOMAIN, "domain" },
        { SOL_SOCKET, SO_PROTOCOL, "protocol" }, { SOL_SOCKET, SO_REUSEADDR, "reuseaddr" },
        { SOL_SOCKET, SO_KEEPALIVE, "keepalive" }, { SOL_SOCKET, SO_ACCEPTCONN, "acceptconn" },
        { SOL_SOCKET, SO_SNDLOWAT, "sndlowat" }, { SOL_SOCKET, SO_PRIORITY, "priority" },
        { IPPROTO_TCP, TCP_NODELAY, "nodelay" }, { IPPROTO_TCP, TCP_KEEPIDLE, "keepidle" },
        { IPPROTO_IP, IP_TTL, "ttl" }, { SOL_SOCKET, 9999, "unknown" },
    };
    int on = 1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    for (unsigned i = 0; i < sizeof names / sizeof *names; i++) {
        int value = -1;
        socklen_t size = sizeof value;
        if (getsockopt(fd, names[i].level, names[i].name, &value, &size))
            say(names[i].text, -1);
        else
            printf("%s: %d\n", names[i].text, value);
    }
    struct linger linger = { 1, 7 };
    struct timeval wait = { 3, 250000 };
    socklen_t size = sizeof linger;
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
    linger.l_linger = 0;
    getsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, &size);
    printf("linger %d %d\n", linger.l_onoff, linger.l_linger);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait);
    size = sizeof wait;
    memset(&wait, 0, sizeof wait);
    getsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, &size);
    printf("timeout %ld %ld\n", (long)wait.tv_sec, (long)wait.tv_usec);
}

static void internet(void)
{
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) }, from;
    socklen_t size = sizeof a;
    int listener = socket(AF_INET, SOCK_STREAM, 0), client = socket(AF_INET, SOCK_STREAM, 0);
    say("bind", bind(listener, (void *)&a, sizeof a));
    say("listen", listen(listener, 1));
    say("name", getsockname(listener, (void *)&a, &size));
    say("connect", connect(client, (void *)&a, sizeof a));
    int server = say_ok("accept", accept(listener, NULL, NULL));
    options(client);
    say("send", send(client, "hello", 5, MSG_MORE));
    say("rest", send(client, "world", 5, 0));
    char text[32] = "";
    say("recv", recv(server, text, 10, MSG_WAITALL));
    printf("%s\n", text);
    struct tcp_info info;
    size = sizeof info;
    say("tcp_info", getsockopt(client, IPPROTO_TCP, TCP_INFO, &info, &size));
    printf("state %d\n", info.tcpi_state);

    int u = socket(AF_INET, SOCK_DGRAM, 0), v = socket(AF_INET, SOCK_DGRAM, 0);
    a.sin_port = 0;
    bind(u, (void *)&a, sizeof a);
    size = sizeof a;
    getsockname(u, (void *)&a, &size);
    struct iovec io[2] = { { "first", 5 }, { "second", 6 } };
    struct mmsghdr many[2] = { { .msg_hdr = { &a, sizeof a, &io[0], 1, NULL, 0, 0 } },
                               { .msg_hdr = { &a, sizeof a, &io[1], 1, NULL, 0, 0 } } };
    say("sendmmsg", sendmmsg(v, many, 2, 0));
    size = sizeof from;
    say("recvfrom", recvfrom(u, text, sizeof text, 0, (void *)&from, &size));
    printf("from %s size %u\n", inet_ntoa(from.sin_addr), size);
    struct timespec wait = { 1, 0 };
    io[0] = (struct iovec){ text, sizeof text };
    many[0] = (struct mmsghdr){ .msg_hdr = { NULL, 0, io, 1, NULL, 0, 0 } };
    say("recvmmsg", recvmmsg(u, many, 1, 0, &wait));
    printf("length %u\n", many[0].msg_len);
    struct ifreq r;
    memset(&r, 0, sizeof r);
    strcpy(r.ifr_name, "lo");
    say("siocgifindex", ioctl(u, SIOCGIFINDEX, &r));
    printf("index %d\n", r.ifr_ifindex);
    say("siocgifaddr", ioctl(u, SIOCGIFADDR, &r));
    struct sockaddr_nl nl = { .nl_family = AF_NETLINK };
    int n = socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE);
    say("netlink", bind(n, (void *)&nl, sizeof nl));
    say("bad family", socket(77, SOCK_STREAM, 0));
    say("bad socket", bind(0, (void *)&a, sizeof a));
}

int main(void)
{
    local();
    internet();
    return 0;
}
