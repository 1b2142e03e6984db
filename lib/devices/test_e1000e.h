/* SPDX-License-Identifier: MIT */
/* An e1000e card on a bus of its own, driven by its registers as a driver does; its other end is a
 * stream socket. Packets and sums are made here a byte at a time. For tests. */
#pragma once

#include "base/test_wait.h"
#include "devices/device.h"

#include "base/bytes.h"

#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define RAM UINT64_C(0x80000000)
#define RAM_SIZE UINT64_C(0x400000)
#define BAR UINT64_C(0x40000000)
#define IO_WINDOW UINT64_C(0x3000000)
#define IO_BAR UINT64_C(0x1000)
#define MSIX_BAR UINT64_C(0x40100000)
#define TX_RING RAM
#define RX_RING (RAM + 0x10000)
#define TX_BUFS (RAM + 0x100000)
#define RX_BUFS (RAM + 0x200000)
#define MESSAGES (RAM + 0x20000)

enum { ENTRIES = 64, DEVFN = 8 };
enum {
    CTRL = 0, STATUS = 8, EECD = 0x10, EERD = 0x14, CTRL_EXT = 0x18, MDIC = 0x20, ICR = 0xc0,
    ICS = 0xc8, IMS = 0xd0, IMC = 0xd8, EIAC = 0xdc, IVAR = 0xe4, RCTL = 0x100, TCTL = 0x400,
    EEWR = 0x102c, PSRCTL = 0x2170, RDBAL = 0x2800, RDBAH = 0x2804, RDLEN = 0x2808, RDH = 0x2810,
    RDT = 0x2818, TDBAL = 0x3800, TDBAH = 0x3804, TDLEN = 0x3808, TDH = 0x3810, TDT = 0x3818,
    RXCSUM = 0x5000, RFCTL = 0x5008, MTA = 0x5200, RAL = 0x5400, RAH = 0x5404, VFTA = 0x5600,
    SWSM = 0x5b50, MRQC = 0x5818, RSSRK = 0x5c80, GPTC = 0x4080, GOTCL = 0x4088 + 8, GPRC = 0x4074,
};
enum { RCTL_PLAIN = 1 << 1 | 1 << 15 | 1 << 26 }; /* on, broadcasts, without FCS */

typedef struct {
    BusSpace *space;
    BusClock *clock;
    PciHost *host;
    NetTable *table;
    NetBackend *net;
    Device *dev;
    uint8_t *ram;
    int fd;
    unsigned tail, rx_tail, rx_seen;
    bool line; /* atomic */
} Card;


static inline void run_a_while(void)
{
    gint64 until = g_get_monotonic_time() + 30000;
    while (g_get_monotonic_time() < until)
        if (!g_main_context_iteration(NULL, FALSE))
            g_usleep(100);
}

static inline void on_line(void *opaque, int n, bool level)
{
    __atomic_store_n(&((Card *)opaque)->line, level, __ATOMIC_RELEASE);
}

static inline bool line(Card *c)
{
    return __atomic_load_n(&c->line, __ATOMIC_ACQUIRE);
}

static inline void wr(Card *c, uint32_t reg, uint32_t value)
{
    g_assert_cmpint(bus_write(c->space, BAR + reg, value, 4), ==, BUS_OK);
}

static inline uint32_t rd(Card *c, uint32_t reg)
{
    uint64_t value;
    g_assert_cmpint(bus_read(c->space, BAR + reg, 4, &value), ==, BUS_OK);
    return (uint32_t)value;
}

static inline uint8_t *at(Card *c, uint64_t addr)
{
    return c->ram + (addr - RAM);
}

static inline void config(Card *c, unsigned reg, unsigned size, uint32_t value)
{
    pci_host_write(c->host, DEVFN << 12 | reg, value, size);
}

static inline uint32_t config_get(Card *c, unsigned reg, unsigned size)
{
    return (uint32_t)pci_host_read(c->host, DEVFN << 12 | reg, size);
}

static inline void map(Card *c)
{
    config(c, 0x10, 4, (uint32_t)BAR);
    config(c, 0x14, 4, 0x40080000);
    config(c, 0x18, 4, (uint32_t)IO_BAR);
    config(c, 0x1c, 4, (uint32_t)MSIX_BAR);
    config(c, 4, 2, 7);
}

static inline void rings(Card *c, uint32_t rctl)
{
    memset(at(c, TX_RING), 0, 0x20000);
    c->tail = c->rx_tail = c->rx_seen = 0;
    wr(c, TDBAL, (uint32_t)TX_RING);
    wr(c, TDBAH, 0);
    wr(c, TDLEN, 16 * ENTRIES);
    wr(c, TDH, 0);
    wr(c, TDT, 0);
    wr(c, TCTL, 1 << 1 | 1 << 3);
    wr(c, RDBAL, (uint32_t)RX_RING);
    wr(c, RDBAH, 0);
    wr(c, RDLEN, 16 * ENTRIES);
    wr(c, RDH, 0);
    wr(c, RDT, 0);
    wr(c, RCTL, rctl);
}

static inline void card_open(Card *c)
{
    g_autoptr(GError) error = NULL;
    int fd[2];
    *c = (Card){.space = bus_space_new("t", false), .clock = bus_clock_new_manual()};
    c->ram = bus_ram_host(bus_ram_new(c->space, "ram", RAM, RAM_SIZE, 0, 0, NULL));
    const PciWindow windows[] = {{true, IO_WINDOW, 0, 0x10000},
                                 {false, BAR, BAR, 0x10000000}};
    c->host = pci_host_new("pcie.0", windows, 2);
    BusIrq lines[4];
    for (int i = 0; i < 4; i++)
        lines[i] = (BusIrq){on_line, c, i};
    g_assert_true(pci_host_start(c->host, c->space, lines, NULL));
    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd), ==, 0);
    c->fd = fd[1];
    c->table = net_table_new();
    g_autofree char *text = g_strdup_printf("stream,id=n,addr.type=fd,addr.str=%d", fd[0]);
    net_table_add(c->table, text, &error);
    g_assert_no_error(error);
    c->net = net_table_get(c->table, "n", NULL);
    c->dev = device_new(device_type_find("e1000e"), "card");
    g_assert_true(device_set_net(c->dev, "netdev", c->net, NULL));
    g_assert_true(device_set(c->dev, "mac", "52:54:00:12:34:57", NULL));
    g_assert_true(pci_plug(pci_host_bus(c->host), &c->dev->type->pci(c->dev)->fn, "1", false, NULL));
    DeviceEnv env = {.space = c->space, .clock = c->clock};
    device_start(c->dev, &env, &error);
    g_assert_no_error(error);
    device_reset(c->dev);
    map(c);
    rings(c, RCTL_PLAIN);
}

static inline void card_close(Card *c)
{
    close(c->fd);
    device_free(c->dev);
    net_table_free(c->table);
    pci_host_free(c->host);
    bus_clock_free(c->clock);
    bus_space_free(c->space);
}

/* ---- The other end --------------------------------------------------------------------- */

static inline void read_bytes(Card *c, uint8_t *to, size_t len)
{
    for (size_t have = 0; have < len;) {
        struct pollfd p = {.fd = c->fd, .events = POLLIN};
        run_until(poll(&p, 1, 0) == 1);
        ssize_t n = read(c->fd, to + have, len - have);
        g_assert_cmpint(n, >, 0);
        have += (size_t)n;
    }
}

/* A frame that the card has sent; its length. */
static inline size_t sent(Card *c, uint8_t *to)
{
    uint8_t head[4];
    read_bytes(c, head, 4);
    g_assert_cmpuint(ld_be32(head), <=, 70000);
    read_bytes(c, to, ld_be32(head));
    return ld_be32(head);
}

static inline bool nothing_sent(Card *c)
{
    run_a_while();
    struct pollfd p = {.fd = c->fd, .events = POLLIN};
    return poll(&p, 1, 0) == 0;
}

static inline void arrive(Card *c, const uint8_t *p, size_t len)
{
    uint8_t head[4];
    st_be32(head, (uint32_t)len);
    g_assert_cmpint(write(c->fd, head, 4), ==, 4);
    g_assert_cmpint(write(c->fd, p, len), ==, (ssize_t)len);
}

static inline uint8_t *rx_desc(Card *c, unsigned i)
{
    return at(c, RX_RING + 16 * i);
}

static inline void rx_give(Card *c, unsigned count)
{
    for (; count; count--) {
        st_le64(rx_desc(c, c->rx_tail), RX_BUFS + 0x1000 * c->rx_tail);
        st_le64(rx_desc(c, c->rx_tail) + 8, 0);
        c->rx_tail = (c->rx_tail + 1) % ENTRIES;
    }
    wr(c, RDT, c->rx_tail);
}

/* The next legacy descriptor that was filled. */
static inline uint8_t *rx_next(Card *c)
{
    uint8_t *d = rx_desc(c, c->rx_seen++ % ENTRIES);
    run_until(__atomic_load_n(d + 12, __ATOMIC_ACQUIRE) & 1);
    return d;
}

/* ---- Packets and sums, a byte at a time ------------------------------------------------------ */

static inline uint16_t sum_bytes(const uint8_t *p, size_t len, uint32_t sum)
{
    for (size_t i = 0; i < len; i++)
        sum += (uint32_t)(i & 1 ? p[i] : p[i] << 8);
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t)sum;
}

static inline uint16_t l4_sum(const uint8_t *ip, bool v6, uint8_t protocol, const uint8_t *l4, size_t len)
{
    uint32_t pseudo = sum_bytes(v6 ? ip + 8 : ip + 12, v6 ? 32 : 8, protocol + (uint32_t)len);
    return (uint16_t)~sum_bytes(l4, len, pseudo);
}

enum { PLAIN, BAD_IP, BAD_L4 };

/* Broadcast TCP or UDP with right sums and so many bytes of data; its length. */
static inline size_t make(uint8_t *p, bool v6, uint8_t protocol, size_t data, int how)
{
    size_t ip = 14, l4 = ip + (v6 ? 40 : 20), head = protocol == 6 ? 20 : 8, len = l4 + head + data;
    memset(p, 0, len);
    memset(p, 0xff, 6);
    memcpy(p + 6, "\2\0\0\0\0\1", 6);
    st_be16(p + 12, v6 ? 0x86dd : 0x0800);
    if (v6) {
        p[ip] = 0x60;
        st_be16(p + ip + 4, (uint16_t)(len - l4));
        p[ip + 6] = protocol;
        for (unsigned i = 8; i < 40; i++)
            p[ip + i] = (uint8_t)(i * 11);
    } else {
        p[ip] = 0x45;
        st_be16(p + ip + 2, (uint16_t)(len - ip));
        st_be16(p + ip + 4, 0x1234);
        p[ip + 8] = 64;
        p[ip + 9] = protocol;
        memcpy(p + ip + 12, "\12\0\2\2\12\0\2\17", 8);
        st_be16(p + ip + 10, (uint16_t)(~sum_bytes(p + ip, 20, 0) ^ (how == BAD_IP)));
    }
    st_be16(p + l4, 1000);
    st_be16(p + l4 + 2, 2000);
    if (protocol == 6) {
        st_be32(p + l4 + 4, 0xfffffff0);
        p[l4 + 12] = 0x50;
        p[l4 + 13] = 0x19; /* FIN, PSH, ACK */
    } else {
        st_be16(p + l4 + 4, (uint16_t)(len - l4));
    }
    for (size_t i = 0; i < data; i++)
        p[l4 + head + i] = (uint8_t)(i * 7 + i / 256);
    uint16_t sum = l4_sum(p + ip, v6, protocol, p + l4, len - l4);
    st_be16(p + l4 + (protocol == 6 ? 16 : 6), (uint16_t)(sum ^ (how == BAD_L4)));
    return len;
}

/* ---- Sending --------------------------------------------------------------------------------- */

static inline uint8_t *tx_next(Card *c)
{
    uint8_t *d = at(c, TX_RING + 16 * c->tail);
    memset(d, 0, 16);
    c->tail = (c->tail + 1) % ENTRIES;
    return d;
}

static inline void tx_legacy(Card *c, uint64_t addr, size_t len, uint8_t cmd)
{
    uint8_t *d = tx_next(c);
    st_le64(d, addr);
    st_le16(d + 8, (uint16_t)len);
    d[11] = cmd;
}

/* Extended data; pieces of one packet but for the last have eop unset. */
static inline void tx_data(Card *c, uint64_t addr, size_t len, bool segment, uint8_t popts, bool eop)
{
    uint8_t *d = tx_next(c);
    st_le64(d, addr);
    st_le32(d + 8, (uint32_t)len | 1 << 20 | (eop ? 0x0b000000u : 0) | (segment ? 1 << 26 : 0) |
                       1 << 29);
    d[13] = popts;
}

static inline void tx_context(Card *c, bool v6, uint8_t protocol, bool segment, uint8_t header, uint16_t mss)
{
    uint8_t *d = tx_next(c), l4 = v6 ? 54 : 34;
    d[0] = 14;
    d[1] = 24;
    st_le16(d + 2, (uint16_t)(l4 - 1));
    d[4] = l4;
    d[5] = (uint8_t)(l4 + (protocol == 6 ? 16 : 6));
    d[11] = (uint8_t)(0x20 | (protocol == 6) | (v6 ? 0 : 2) | (segment ? 4 : 0));
    d[13] = header;
    st_le16(d + 14, mss);
}

static inline void go(Card *c)
{
    wr(c, TDT, c->tail);
}
