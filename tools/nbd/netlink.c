/* SPDX-License-Identifier: MIT */
/*
 * The kernel's NBD client by generic netlink (linux/nbd-netlink.h): connect hands it sockets whose
 * handshake is over, disconnect takes a device away. No ioctl, so nobody has to stay in one.
 */
#include "device_priv.h"

#include "base/error.h"

#include <errno.h>
#include <linux/genetlink.h>
#include <linux/nbd-netlink.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { ROOM = 4096 };

typedef struct {
    _Alignas(NLMSG_ALIGNTO) uint8_t bytes[ROOM];
    size_t len;
} Message;

static struct nlmsghdr *begin(Message *m, uint16_t type, uint8_t command)
{
    memset(m, 0, sizeof *m);
    struct nlmsghdr *h = (struct nlmsghdr *)(void *)m->bytes;
    struct genlmsghdr *g = NLMSG_DATA(h);
    h->nlmsg_type = type;
    h->nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK;
    g->cmd = command;
    g->version = 1;
    m->len = NLMSG_LENGTH(GENL_HDRLEN);
    return h;
}

/* Where the attribute begins, for nesting. */
static size_t put(Message *m, uint16_t type, const void *data, size_t len)
{
    size_t at = m->len;
    struct nlattr *a = (struct nlattr *)(void *)(m->bytes + at);
    g_assert(at + NLA_ALIGN(NLA_HDRLEN + len) <= ROOM);
    a->nla_type = type;
    a->nla_len = (uint16_t)(NLA_HDRLEN + len);
    if (len)
        memcpy(m->bytes + at + NLA_HDRLEN, data, len);
    m->len += NLA_ALIGN(a->nla_len);
    return at;
}

static size_t nest(Message *m, uint16_t type)
{
    return put(m, type | NLA_F_NESTED, NULL, 0);
}

static void end_nest(Message *m, size_t at)
{
    ((struct nlattr *)(void *)(m->bytes + at))->nla_len = (uint16_t)(m->len - at);
}

static void put_u32(Message *m, uint16_t type, uint32_t v)
{
    put(m, type, &v, sizeof v);
}

static void put_u64(Message *m, uint16_t type, uint64_t v)
{
    put(m, type, &v, sizeof v);
}

/* Sends m and takes the answers up to the acknowledgement: 0 or errno. Of the answer with data, the
 * attribute wanted goes to *value. */
static int talk(int fd, Message *m, uint16_t wanted, uint32_t *value)
{
    struct nlmsghdr *h = (struct nlmsghdr *)(void *)m->bytes;
    h->nlmsg_len = (uint32_t)m->len;
    if (send(fd, m->bytes, m->len, 0) < 0)
        return errno;
    for (;;) {
        Message in;
        ssize_t n = recv(fd, in.bytes, sizeof in.bytes, 0);
        if (n < 0)
            return errno;
        for (h = (struct nlmsghdr *)(void *)in.bytes; NLMSG_OK(h, (size_t)n);
             h = NLMSG_NEXT(h, n)) {
            if (h->nlmsg_type == NLMSG_ERROR)
                return -((struct nlmsgerr *)NLMSG_DATA(h))->error;
            const uint8_t *a = (const uint8_t *)NLMSG_DATA(h) + GENL_HDRLEN,
                          *end = (const uint8_t *)h + h->nlmsg_len;
            while (a + NLA_HDRLEN <= end) {
                struct nlattr head;
                memcpy(&head, a, sizeof head);
                size_t len = head.nla_len;
                if (len < NLA_HDRLEN || len > (size_t)(end - a))
                    break;
                if ((head.nla_type & NLA_TYPE_MASK) == wanted && value) {
                    *value = 0;
                    memcpy(value, a + NLA_HDRLEN, MIN(len - NLA_HDRLEN, sizeof *value));
                }
                a += NLA_ALIGN(len);
            }
        }
    }
}

/* A socket, and the number of the kernel's nbd family; -1 with an error. */
static int open_family(uint16_t *family, GError **error)
{
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_GENERIC);
    struct sockaddr_nl self = { .nl_family = AF_NETLINK };
    Message m;
    uint32_t id = 0;
    int e = fd < 0 || bind(fd, (struct sockaddr *)&self, sizeof self) ? errno : 0;
    if (!e) {
        begin(&m, GENL_ID_CTRL, CTRL_CMD_GETFAMILY);
        put(&m, CTRL_ATTR_FAMILY_NAME, NBD_GENL_FAMILY_NAME, sizeof NBD_GENL_FAMILY_NAME);
        e = talk(fd, &m, CTRL_ATTR_FAMILY_ID, &id);
    }
    *family = (uint16_t)id;
    if (!e)
        return fd;
    if (fd >= 0)
        close(fd);
    if (e == ENOENT)
        fail(error, "this kernel has no NBD client\nhint: modprobe nbd");
    else
        fail_errno(error, e, "asking the kernel for its NBD client");
    return -1;
}

bool netlink_connect(const NetlinkDevice *d, int *index, GError **error)
{
    uint16_t family;
    uint32_t got = 0;
    Message m;
    int fd = open_family(&family, error);
    if (fd < 0)
        return false;
    begin(&m, family, NBD_CMD_CONNECT);
    if (*index >= 0)
        put_u32(&m, NBD_ATTR_INDEX, (uint32_t)*index);
    put_u64(&m, NBD_ATTR_SIZE_BYTES, d->size);
    put_u64(&m, NBD_ATTR_BLOCK_SIZE_BYTES, d->block);
    put_u64(&m, NBD_ATTR_SERVER_FLAGS, d->flags);
    size_t sockets = nest(&m, NBD_ATTR_SOCKETS);
    for (unsigned i = 0; i < d->n_sockets; i++) {
        size_t item = nest(&m, NBD_SOCK_ITEM);
        put_u32(&m, NBD_SOCK_FD, (uint32_t)d->sockets[i]);
        end_nest(&m, item);
    }
    end_nest(&m, sockets);
    int e = talk(fd, &m, NBD_ATTR_INDEX, &got);
    close(fd);
    if (e == EBUSY && *index >= 0)
        return fail(error, "/dev/nbd%d is in use", *index);
    if (e == EPERM)
        return fail(error, "connecting a device needs root (CAP_SYS_ADMIN)");
    if (e)
        return fail_errno(error, e, "connecting the device");
    *index = (int)got;
    return true;
}

bool netlink_disconnect(int index, GError **error)
{
    uint16_t family;
    Message m;
    int fd = open_family(&family, error);
    if (fd < 0)
        return false;
    begin(&m, family, NBD_CMD_DISCONNECT);
    put_u32(&m, NBD_ATTR_INDEX, (uint32_t)index);
    int e = talk(fd, &m, 0, NULL);
    close(fd);
    if (e == EPERM)
        return fail(error, "taking a device away needs root (CAP_SYS_ADMIN)");
    return !e || fail_errno(error, e, "/dev/nbd%d", index);
}
