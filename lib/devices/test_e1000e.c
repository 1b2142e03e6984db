/* SPDX-License-Identifier: MIT */
/* The e1000e card driven by its registers as a driver does, its other end a stream socket: set-up,
 * descriptors of all kinds both ways, checksums and segments against sums made here a byte at a time,
 * filters, interrupts, nonsense, resets on the way, saved state. */
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

#define run_until(cond)                                                                            \
    do {                                                                                           \
        gint64 until_ = g_get_monotonic_time() + 10 * G_USEC_PER_SEC;                              \
        while (!(cond)) {                                                                          \
            g_assert_cmpint(g_get_monotonic_time(), <, until_);                                    \
            if (!g_main_context_iteration(NULL, FALSE))                                            \
                g_usleep(100);                                                                     \
        }                                                                                          \
    } while (0)

static void run_a_while(void)
{
    gint64 until = g_get_monotonic_time() + 30000;
    while (g_get_monotonic_time() < until)
        if (!g_main_context_iteration(NULL, FALSE))
            g_usleep(100);
}

static void on_line(void *opaque, int n, bool level)
{
    __atomic_store_n(&((Card *)opaque)->line, level, __ATOMIC_RELEASE);
}

static bool line(Card *c)
{
    return __atomic_load_n(&c->line, __ATOMIC_ACQUIRE);
}

static void wr(Card *c, uint32_t reg, uint32_t value)
{
    g_assert_cmpint(bus_write(c->space, BAR + reg, value, 4), ==, BUS_OK);
}

static uint32_t rd(Card *c, uint32_t reg)
{
    uint64_t value;
    g_assert_cmpint(bus_read(c->space, BAR + reg, 4, &value), ==, BUS_OK);
    return (uint32_t)value;
}

static uint8_t *at(Card *c, uint64_t addr)
{
    return c->ram + (addr - RAM);
}

static void config(Card *c, unsigned reg, unsigned size, uint32_t value)
{
    pci_host_write(c->host, DEVFN << 12 | reg, value, size);
}

static uint32_t config_get(Card *c, unsigned reg, unsigned size)
{
    return (uint32_t)pci_host_read(c->host, DEVFN << 12 | reg, size);
}

static void map(Card *c)
{
    config(c, 0x10, 4, (uint32_t)BAR);
    config(c, 0x14, 4, 0x40080000);
    config(c, 0x18, 4, (uint32_t)IO_BAR);
    config(c, 0x1c, 4, (uint32_t)MSIX_BAR);
    config(c, 4, 2, 7);
}

static void rings(Card *c, uint32_t rctl)
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

static void card_open(Card *c)
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

static void card_close(Card *c)
{
    close(c->fd);
    device_free(c->dev);
    net_table_free(c->table);
    pci_host_free(c->host);
    bus_clock_free(c->clock);
    bus_space_free(c->space);
}

/* ---- The other end --------------------------------------------------------------------- */

static void read_bytes(Card *c, uint8_t *to, size_t len)
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
static size_t sent(Card *c, uint8_t *to)
{
    uint8_t head[4];
    read_bytes(c, head, 4);
    g_assert_cmpuint(ld_be32(head), <=, 70000);
    read_bytes(c, to, ld_be32(head));
    return ld_be32(head);
}

static bool nothing_sent(Card *c)
{
    run_a_while();
    struct pollfd p = {.fd = c->fd, .events = POLLIN};
    return poll(&p, 1, 0) == 0;
}

static void arrive(Card *c, const uint8_t *p, size_t len)
{
    uint8_t head[4];
    st_be32(head, (uint32_t)len);
    g_assert_cmpint(write(c->fd, head, 4), ==, 4);
    g_assert_cmpint(write(c->fd, p, len), ==, (ssize_t)len);
}

static uint8_t *rx_desc(Card *c, unsigned i)
{
    return at(c, RX_RING + 16 * i);
}

static void rx_give(Card *c, unsigned count)
{
    for (; count; count--) {
        st_le64(rx_desc(c, c->rx_tail), RX_BUFS + 0x1000 * c->rx_tail);
        st_le64(rx_desc(c, c->rx_tail) + 8, 0);
        c->rx_tail = (c->rx_tail + 1) % ENTRIES;
    }
    wr(c, RDT, c->rx_tail);
}

/* The next legacy descriptor that was filled. */
static uint8_t *rx_next(Card *c)
{
    uint8_t *d = rx_desc(c, c->rx_seen++ % ENTRIES);
    run_until(__atomic_load_n(d + 12, __ATOMIC_ACQUIRE) & 1);
    return d;
}

/* ---- Packets and sums, a byte at a time ------------------------------------------------------ */

static uint16_t sum_bytes(const uint8_t *p, size_t len, uint32_t sum)
{
    for (size_t i = 0; i < len; i++)
        sum += (uint32_t)(i & 1 ? p[i] : p[i] << 8);
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t)sum;
}

static uint16_t l4_sum(const uint8_t *ip, bool v6, uint8_t protocol, const uint8_t *l4, size_t len)
{
    uint32_t pseudo = sum_bytes(v6 ? ip + 8 : ip + 12, v6 ? 32 : 8, protocol + (uint32_t)len);
    return (uint16_t)~sum_bytes(l4, len, pseudo);
}

enum { PLAIN, BAD_IP, BAD_L4 };

/* Broadcast TCP or UDP with right sums and so many bytes of data; its length. */
static size_t make(uint8_t *p, bool v6, uint8_t protocol, size_t data, int how)
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

static uint8_t *tx_next(Card *c)
{
    uint8_t *d = at(c, TX_RING + 16 * c->tail);
    memset(d, 0, 16);
    c->tail = (c->tail + 1) % ENTRIES;
    return d;
}

static void tx_legacy(Card *c, uint64_t addr, size_t len, uint8_t cmd)
{
    uint8_t *d = tx_next(c);
    st_le64(d, addr);
    st_le16(d + 8, (uint16_t)len);
    d[11] = cmd;
}

/* Extended data; pieces of one packet but for the last have eop unset. */
static void tx_data(Card *c, uint64_t addr, size_t len, bool segment, uint8_t popts, bool eop)
{
    uint8_t *d = tx_next(c);
    st_le64(d, addr);
    st_le32(d + 8, (uint32_t)len | 1 << 20 | (eop ? 0x0b000000u : 0) | (segment ? 1 << 26 : 0) |
                       1 << 29);
    d[13] = popts;
}

static void tx_context(Card *c, bool v6, uint8_t protocol, bool segment, uint8_t header, uint16_t mss)
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

static void go(Card *c)
{
    wr(c, TDT, c->tail);
}

static void test_set_up(void)
{
    Card c;
    uint16_t sum = 0;
    card_open(&c);
    g_assert_cmphex(config_get(&c, 0, 4), ==, 0x10d38086);
    g_assert_cmphex(config_get(&c, 8, 4) >> 8, ==, 0x020000);
    wr(&c, CTRL, 1 << 26);
    g_assert_cmphex(rd(&c, CTRL) & 1 << 26, ==, 0);
    g_assert_cmphex(rd(&c, STATUS) & 0xc3, ==, 0x83); /* 1000 full, up */
    wr(&c, CTRL, rd(&c, CTRL) | 4);
    g_assert_cmphex(rd(&c, STATUS) & 1 << 19, ==, 0); /* no master */
    wr(&c, EECD, 1 << 6);
    g_assert_cmphex(rd(&c, EECD) & 0x380, ==, 0x380);
    for (uint32_t i = 0; i < 64; i++) {
        wr(&c, EERD, i << 2 | 1);
        g_assert_cmphex(rd(&c, EERD) & 2, ==, 2);
        sum = (uint16_t)(sum + (rd(&c, EERD) >> 16));
    }
    g_assert_cmphex(sum, ==, 0xbaba);
    wr(&c, EEWR, 0xabcdu << 16 | 100 << 2 | 1);
    wr(&c, EERD, 100 << 2 | 1);
    g_assert_cmphex(rd(&c, EERD) >> 16, ==, 0xabcd);
    wr(&c, EERD, 0x3fff << 2 | 1);
    g_assert_cmphex(rd(&c, EERD) >> 16, ==, 0xffff);
    g_assert_cmphex(rd(&c, RAL), ==, 0x12005452);
    g_assert_cmphex(rd(&c, 0x40), ==, 0x12005452); /* its older address */
    g_assert_cmphex(rd(&c, RAH), ==, 0x80005734);
    g_assert_cmphex(rd(&c, SWSM) & 1, ==, 0);
    g_assert_cmphex(rd(&c, SWSM) & 1, ==, 1);
    wr(&c, MDIC, 2 << 26 | 1 << 21 | 3 << 16);
    g_assert_cmphex(rd(&c, MDIC) & 0x5000ffff, ==, 0x10000cb1);
    wr(&c, MDIC, 2 << 26 | 2 << 21 | 3 << 16);
    g_assert_cmphex(rd(&c, MDIC) & 0x50000000, ==, 0x50000000);
    /* by address and data */
    uint64_t value;
    g_assert_cmpint(bus_write(c.space, IO_WINDOW + IO_BAR, RAL, 4), ==, BUS_OK);
    g_assert_cmpint(bus_read(c.space, IO_WINDOW + IO_BAR + 4, 4, &value), ==, BUS_OK);
    g_assert_cmphex(value, ==, 0x12005452);
    bus_write(c.space, IO_WINDOW + IO_BAR, 0xfffffffc, 4);
    bus_write(c.space, IO_WINDOW + IO_BAR + 4, 1, 4);
    /* all of the BAR answers */
    for (uint32_t i = 0; i < 0x20000; i += 4)
        if (i != ICR)
            rd(&c, i);
    card_close(&c);
}

static void test_legacy_sent(void)
{
    Card c;
    uint8_t want[200], got[70000];
    card_open(&c);
    size_t len = make(want, false, 17, 100, PLAIN);
    memcpy(at(&c, TX_BUFS), want, len);
    wr(&c, IMS, 1);
    tx_legacy(&c, TX_BUFS, 50, 2);
    tx_legacy(&c, TX_BUFS + 50, len - 50, 0x0b);
    go(&c);
    g_assert_cmpmem(got, sent(&c, got), want, len);
    run_until(line(&c));
    g_assert_cmphex(rd(&c, ICR) & 0x80000001, ==, 0x80000001);
    g_assert_false(line(&c));
    g_assert_cmphex(at(&c, TX_RING)[12] & 1, ==, 0);
    g_assert_cmphex(at(&c, TX_RING + 16)[12] & 1, ==, 1);
    g_assert_cmpuint(rd(&c, TDH), ==, 2);
    g_assert_cmpuint(rd(&c, GPTC), ==, 1);
    g_assert_cmpuint(rd(&c, GPTC), ==, 0);
    g_assert_cmpuint(rd(&c, GOTCL), ==, len + 4);
    g_assert_cmpuint(rd(&c, GOTCL + 4), ==, 0);
    g_assert_cmpuint(rd(&c, GOTCL), ==, 0);
    /* a checksum from an offset on; short: padded */
    uint8_t *d = at(&c, TX_RING + 16 * c.tail);
    memset(at(&c, TX_BUFS) + 20, 0, 2);
    tx_legacy(&c, TX_BUFS, 42, 0x0f);
    d[10] = 20;
    d[13] = 14;
    go(&c);
    g_assert_cmpuint(sent(&c, got), ==, 60);
    memset(want + 20, 0, 2);
    g_assert_cmphex(ld_be16(got + 20), ==, (uint16_t)~sum_bytes(want + 14, 28, 0));
    /* a VLAN tag, with VME alone */
    for (unsigned vme = 0; vme < 2; vme++) {
        wr(&c, CTRL, rd(&c, CTRL) | (vme ? 1u << 30 : 0));
        d = at(&c, TX_RING + 16 * c.tail);
        tx_legacy(&c, TX_BUFS, len, 0x4b);
        st_le16(d + 14, 0x2005);
        go(&c);
        g_assert_cmpuint(sent(&c, got), ==, len + 4 * vme);
        g_assert_cmphex(ld_be32(got + 12) == 0x81002005, ==, vme);
        g_assert_cmpmem(got + 12 + 4 * vme, len - 12, at(&c, TX_BUFS) + 12, len - 12);
    }
    card_close(&c);
}

/* Checksums of each kind; the driver leaves the pseudo header's sum. */
static void test_sums(void)
{
    Card c;
    uint8_t want[1600], got[70000];
    card_open(&c);
    for (unsigned i = 0; i < 8; i++) {
        bool v6 = i & 1;
        uint8_t protocol = i & 2 ? 6 : 17;
        size_t data = i & 4 ? 999 : 0, len = make(want, v6, protocol, data, PLAIN);
        size_t l4 = v6 ? 54 : 34, field = l4 + (protocol == 6 ? 16 : 6);
        uint8_t *p = at(&c, TX_BUFS);
        memcpy(p, want, len);
        if (!v6)
            memset(p + 24, 0, 2);
        st_be16(p + field, sum_bytes(p + (v6 ? 22 : 26), v6 ? 32 : 8,
                                     protocol + (uint32_t)(len - l4)));
        tx_context(&c, v6, protocol, false, 0, 0);
        tx_data(&c, TX_BUFS, 30, false, v6 ? 2 : 3, false);
        tx_data(&c, TX_BUFS + 30, len - 30, false, 0, true);
        go(&c);
        size_t n = sent(&c, got);
        g_assert_cmpuint(n, ==, MAX(len, 60));
        g_assert_cmpmem(got, len, want, len);
    }
    card_close(&c);
}

/* Each segment as it would be if it had been made alone. */
static void segments(Card *c, bool v6, uint8_t protocol, size_t data, size_t mss)
{
    g_autofree uint8_t *whole = g_malloc0(66000), *want = g_malloc0(66000), *got = g_malloc0(70000);
    size_t len = make(whole, v6, protocol, data, PLAIN), l4 = v6 ? 54 : 34;
    size_t head = l4 + (protocol == 6 ? 20 : 8);
    uint8_t *p = at(c, TX_BUFS);
    memcpy(p, whole, len);
    st_be16(p + (v6 ? 18 : 16), 0);
    if (!v6)
        memset(p + 24, 0, 2);
    st_be16(p + l4 + (protocol == 6 ? 16 : 6),
            sum_bytes(p + (v6 ? 22 : 26), v6 ? 32 : 8, protocol)); /* without the length */
    tx_context(c, v6, protocol, true, (uint8_t)head, (uint16_t)mss);
    tx_data(c, TX_BUFS, head, true, v6 ? 2 : 3, false);
    tx_data(c, TX_BUFS + head, len - head, true, 0, true);
    go(c);
    unsigned number = 0;
    for (size_t done = 0; done < data; done += mss, number++) {
        size_t n = MIN(mss, data - done);
        make(want, v6, protocol, n, PLAIN);
        memcpy(want + head, whole + head + done, n);
        if (!v6) {
            st_be16(want + 18, (uint16_t)(0x1234 + number));
            st_be16(want + 24, 0);
            st_be16(want + 24, (uint16_t)~sum_bytes(want + 14, 20, 0));
        }
        if (protocol == 6) {
            st_be32(want + l4 + 4, 0xfffffff0 + (uint32_t)done);
            want[l4 + 13] = done + n < data ? 0x10 : 0x19;
        }
        st_be16(want + l4 + (protocol == 6 ? 16 : 6), 0);
        uint16_t sum = l4_sum(want + 14, v6, protocol, want + l4, head - l4 + n);
        st_be16(want + l4 + (protocol == 6 ? 16 : 6), sum);
        size_t length = sent(c, got);
        g_assert_cmpuint(length, ==, MAX(head + n, 60));
        g_assert_cmpmem(got, head + n, want, head + n);
    }
}

static void test_segments(void)
{
    Card c;
    card_open(&c);
    segments(&c, false, 6, 4000, 1460);
    segments(&c, true, 6, 4001, 1440);
    segments(&c, false, 6, 60000, 1460);
    segments(&c, false, 6, 1460, 1460);
    segments(&c, false, 6, 5, 1);
    segments(&c, false, 17, 3000, 1001);
    segments(&c, true, 17, 3000, 1000);
    g_assert_true(nothing_sent(&c));
    card_close(&c);
}

/* ---- Receiving ---------------------------------------------------------------------------------- */

static void test_received(void)
{
    Card c;
    uint8_t p[1600];
    card_open(&c);
    rx_give(&c, 32);
    wr(&c, IMS, 1 << 7);
    size_t len = make(p, false, 6, 1000, PLAIN);
    arrive(&c, p, len);
    uint8_t *d = rx_next(&c);
    g_assert_cmpuint(ld_le16(d + 8), ==, len);
    g_assert_cmphex(d[12], ==, 0x63); /* both sums right, all of it */
    g_assert_cmphex(d[13], ==, 0);
    g_assert_cmphex(ld_le16(d + 10), ==, sum_bytes(p, len, 0)); /* RXCSUM starts at 0 */
    g_assert_cmpmem(at(&c, RX_BUFS), len, p, len);
    run_until(line(&c));
    g_assert_cmphex(rd(&c, ICR) & 1 << 7, ==, 1 << 7);
    g_assert_cmpuint(rd(&c, RDH), ==, 1);
    g_assert_cmpuint(rd(&c, GPRC), ==, 1);
    static const struct {
        bool v6;
        uint8_t protocol, how, status, errors;
    } kinds[] = {
        {false, 17, PLAIN, 0x53, 0}, {false, 6, BAD_IP, 0x63, 0x40}, {false, 6, BAD_L4, 0x63, 0x20},
        {true, 6, PLAIN, 0x23, 0}, {true, 17, BAD_L4, 0x13, 0x20},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(kinds); i++) {
        len = make(p, kinds[i].v6, kinds[i].protocol, 101, kinds[i].how);
        arrive(&c, p, len);
        d = rx_next(&c);
        g_assert_cmphex(d[12], ==, kinds[i].status);
        g_assert_cmphex(d[13], ==, kinds[i].errors);
    }
    /* what has no sums; short, and so padded */
    memset(p, 0xff, 42);
    arrive(&c, p, 42);
    d = rx_next(&c);
    g_assert_cmphex(d[12], ==, 0x07);
    g_assert_cmpuint(ld_le16(d + 8), ==, 60);
    /* too long for an ordinary card */
    static uint8_t big[9000];
    memset(big, 0xff, 6);
    arrive(&c, big, 1519);
    run_a_while();
    g_assert_cmpuint(rd(&c, 0x40ac), ==, 1); /* ROC */
    /* with it: over several buffers of 2 KiB, and the FCS behind it */
    wr(&c, RCTL, (RCTL_PLAIN | 1 << 5) & ~(1 << 26));
    for (unsigned i = 6; i < sizeof big; i++)
        big[i] = (uint8_t)(i * 3);
    arrive(&c, big, sizeof big);
    size_t have = 0;
    uint8_t all[10000];
    do {
        unsigned i = c.rx_seen % ENTRIES;
        d = rx_next(&c);
        memcpy(all + have, at(&c, RX_BUFS + 0x1000 * i), ld_le16(d + 8));
        have += ld_le16(d + 8);
    } while (!(d[12] & 2));
    g_assert_cmpmem(all, have - 4, big, sizeof big);
    uint32_t crc = UINT32_MAX;
    for (size_t i = 0; i < sizeof big; i++)
        for (unsigned bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ ((crc ^ (unsigned)big[i] >> bit) & 1 ? 0xedb88320u : 0);
    g_assert_cmphex(ld_le32(all + sizeof big), ==, ~crc);
    /* a VLAN tag is taken out */
    wr(&c, RCTL, RCTL_PLAIN);
    wr(&c, CTRL, rd(&c, CTRL) | 1u << 30);
    len = make(p, false, 6, 100, PLAIN);
    memmove(p + 16, p + 12, len - 12);
    st_be32(p + 12, 0x81000123);
    arrive(&c, p, len + 4);
    unsigned i = c.rx_seen % ENTRIES;
    d = rx_next(&c);
    g_assert_cmphex(d[12], ==, 0x6b);
    g_assert_cmphex(ld_le16(d + 14), ==, 0x123);
    g_assert_cmpuint(ld_le16(d + 8), ==, len);
    g_assert_cmpmem(at(&c, RX_BUFS + 0x1000 * i) + 12, len - 12, p + 16, len - 12);
    card_close(&c);
}

static void test_starved(void)
{
    Card c;
    uint8_t p[1600];
    card_open(&c);
    size_t len = make(p, false, 6, 100, PLAIN);
    for (unsigned i = 0; i < 5; i++) {
        p[6] = (uint8_t)i;
        arrive(&c, p, len);
    }
    run_a_while();
    g_assert_cmpuint(rd(&c, RDH), ==, 0);
    for (unsigned i = 0; i < 5; i++) {
        rx_give(&c, 1);
        rx_next(&c);
        g_assert_cmpuint(at(&c, RX_BUFS + 0x1000 * i)[6], ==, i);
    }
    /* a reset lets go of what waits */
    arrive(&c, p, len);
    run_a_while();
    wr(&c, CTRL, 1 << 26);
    run_a_while();
    rings(&c, RCTL_PLAIN);
    rx_give(&c, 8);
    p[6] = 77;
    arrive(&c, p, len);
    rx_next(&c);
    g_assert_cmpuint(at(&c, RX_BUFS)[6], ==, 77);
    card_close(&c);
}

/* Extended descriptors, with a hash, then with headers apart. */
static void test_extended(void)
{
    /* the verification suite of Microsoft's RSS: 66.9.149.187:2794 to 161.142.100.80:1766 */
    static const uint8_t key[40] = {
        0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2, 0x41, 0x67, 0x25, 0x3d, 0x43, 0xa3,
        0x8f, 0xb0, 0xd0, 0xca, 0x2b, 0xcb, 0xae, 0x7b, 0x30, 0xb4, 0x77, 0xcb, 0x2d, 0xa3,
        0x80, 0x30, 0xf2, 0x0c, 0x6a, 0x42, 0xb7, 0x3b, 0xbe, 0xac, 0x01, 0xfa};
    static const uint8_t ends[8] = {66, 9, 149, 187, 161, 142, 100, 80};
    Card c;
    uint8_t p[6000];
    card_open(&c);
    wr(&c, RFCTL, 1 << 15);
    wr(&c, RXCSUM, 0x2300);
    wr(&c, MRQC, 0x00330000);
    for (unsigned i = 0; i < 40; i += 4)
        wr(&c, RSSRK + i, ld_le32(key + i));
    rx_give(&c, 8);
    size_t len = make(p, false, 6, 100, PLAIN);
    memcpy(p + 26, ends, 8);
    st_be16(p + 34, 2794);
    st_be16(p + 36, 1766);
    arrive(&c, p, len);
    uint8_t *d = rx_desc(&c, 0);
    run_until(__atomic_load_n(d + 8, __ATOMIC_ACQUIRE) & 1);
    g_assert_cmpuint(ld_le16(d + 12), ==, len);
    g_assert_cmphex(ld_le32(d + 8), ==, 0x60000063); /* now both sums are wrong */
    g_assert_cmphex(ld_le32(d), ==, 1);
    g_assert_cmphex(ld_le32(d + 4), ==, 0x51ccc178);
    /* split: 256, 4096, 4096, 0 */
    rings(&c, RCTL_PLAIN | 1 << 10 | 1 << 5);
    wr(&c, PSRCTL, 2 | 4 << 8 | 4 << 16);
    wr(&c, RDLEN, 32 * 8);
    for (unsigned i = 0; i < 7; i++)
        for (unsigned k = 0; k < 4; k++)
            st_le64(at(&c, RX_RING + 32 * i + 8 * k), RX_BUFS + 0x4000 * i + 0x1000 * k);
    wr(&c, RDT, 14); /* in units of 16 bytes */
    len = make(p, false, 6, 5000, PLAIN);
    arrive(&c, p, len);
    d = at(&c, RX_RING);
    run_until(__atomic_load_n(d + 8, __ATOMIC_ACQUIRE) & 1);
    g_assert_cmphex(ld_le32(d + 8), ==, 0x63);
    g_assert_cmpuint(ld_le16(d + 12), ==, 54);
    g_assert_cmphex(ld_le16(d + 16), ==, 0x8000 | 54);
    g_assert_cmpuint(ld_le16(d + 18), ==, 4096);
    g_assert_cmpuint(ld_le16(d + 20), ==, 904);
    g_assert_cmpmem(at(&c, RX_BUFS), 54, p, 54);
    g_assert_cmpmem(at(&c, RX_BUFS + 0x1000), 4096, p + 54, 4096);
    g_assert_cmpmem(at(&c, RX_BUFS + 0x2000), 904, p + 54 + 4096, 904);
    /* what cannot be split fills them in turn */
    memset(p, 0xff, 600);
    arrive(&c, p, 600);
    d = at(&c, RX_RING + 32);
    run_until(__atomic_load_n(d + 8, __ATOMIC_ACQUIRE) & 1);
    g_assert_cmpuint(ld_le16(d + 12), ==, 256);
    g_assert_cmphex(ld_le16(d + 16), ==, 0);
    g_assert_cmpuint(ld_le16(d + 18), ==, 344);
    g_assert_cmpuint(rd(&c, RDH), ==, 4);
    card_close(&c);
}

/* ---- Filters ---------------------------------------------------------------------------------------- */

static bool comes(Card *c, const char *to, unsigned vlan)
{
    uint8_t p[64] = {0};
    rings(c, rd(c, RCTL));
    rx_give(c, 4);
    memcpy(p, to, 6);
    st_be16(p + 12, vlan ? 0x8100 : 0x88b5);
    st_be16(p + 14, (uint16_t)vlan);
    uint32_t before = rd(c, 0x40d0); /* TPR: also of those not taken; VLANs too */
    arrive(c, p, sizeof p);
    before = 0;
    run_until((before += rd(c, 0x40d0)) == 1);
    return rd(c, RDH) == 1;
}

static void test_filters(void)
{
    static const char own[] = "\x52\x54\0\x12\x34\x57", other[] = "\2\0\0\0\0\7",
                      group[] = "\x33\x33\0\0\x12\x34", all[] = "\xff\xff\xff\xff\xff\xff";
    Card c;
    card_open(&c);
    g_assert_true(comes(&c, own, 0));
    g_assert_true(comes(&c, all, 0));
    g_assert_false(comes(&c, other, 0));
    g_assert_false(comes(&c, group, 0));
    wr(&c, RCTL, RCTL_PLAIN & ~(1 << 15));
    g_assert_false(comes(&c, all, 0));
    wr(&c, RCTL, RCTL_PLAIN | 1 << 3);
    g_assert_true(comes(&c, other, 0));
    g_assert_false(comes(&c, group, 0));
    wr(&c, RCTL, RCTL_PLAIN | 1 << 4);
    g_assert_true(comes(&c, group, 0));
    /* the hash of each offset: bits 47:36, 46:35, 45:34, 43:32 of the address */
    for (uint32_t mo = 0; mo < 4; mo++) {
        static const uint8_t low[] = {36, 35, 34, 32};
        uint64_t address = UINT64_C(0x341200003333);
        uint32_t hash = (uint32_t)(address >> low[mo]) & 0xfff;
        wr(&c, RCTL, RCTL_PLAIN | mo << 12);
        wr(&c, MTA + 4 * (hash >> 5), 1u << (hash & 31));
        g_assert_true(comes(&c, group, 0));
        wr(&c, MTA + 4 * (hash >> 5), ~(1u << (hash & 31)));
        g_assert_false(comes(&c, group, 0));
        wr(&c, MTA + 4 * (hash >> 5), 0);
    }
    wr(&c, RAL + 8 * 15, ld_le32(other));
    wr(&c, RAH + 8 * 15, ld_le16(other + 4) | 1u << 31);
    g_assert_true(comes(&c, other, 0));
    wr(&c, RCTL, RCTL_PLAIN | 1 << 18);
    g_assert_true(comes(&c, own, 0));
    g_assert_false(comes(&c, own, 1234));
    wr(&c, VFTA + 4 * (1234 / 32), 1u << 1234 % 32);
    g_assert_true(comes(&c, own, 1234));
    g_assert_false(comes(&c, own, 1235));
    card_close(&c);
}

/* ---- Interrupts, link --------------------------------------------------------------------------------- */

static void test_interrupts(void)
{
    Card c;
    card_open(&c);
    wr(&c, ICS, 1 << 2);
    g_assert_false(line(&c));
    wr(&c, IMS, 1 << 2);
    g_assert_true(line(&c));
    wr(&c, IMC, 1 << 2);
    g_assert_false(line(&c));
    wr(&c, IMS, 1 << 2);
    wr(&c, ICR, 1 << 2);
    g_assert_false(line(&c));
    /* with something else let through, reading what is not asserted clears nothing */
    rd(&c, ICR);
    wr(&c, ICS, 1 << 7);
    g_assert_cmphex(rd(&c, ICR) & 0x80000080, ==, 0x80);
    g_assert_cmphex(rd(&c, ICR) & 0x80, ==, 0x80);
    /* messages: each vector writes its number */
    unsigned cap = 0;
    for (unsigned i = config_get(&c, 0x34, 1); i; i = config_get(&c, i + 1, 1))
        cap = config_get(&c, i, 1) == 0x11 ? i : cap;
    g_assert_cmpuint(cap, !=, 0);
    g_assert_cmpuint(config_get(&c, cap + 2, 2) & 0x7ff, ==, 4);
    for (uint32_t v = 0; v < 5; v++) {
        bus_write(c.space, MSIX_BAR + 16 * v, MESSAGES + 4 * v, 4);
        bus_write(c.space, MSIX_BAR + 16 * v + 8, 0x100 + v, 4);
        bus_write(c.space, MSIX_BAR + 16 * v + 12, 0, 4);
    }
    config(&c, cap + 2, 2, 0x8000);
    wr(&c, IMC, UINT32_MAX);
    rd(&c, ICR);
    wr(&c, CTRL_EXT, 1 << 24);
    wr(&c, IVAR, 0x8 | 0xb << 8 | 0xc << 16);
    wr(&c, EIAC, 5 << 20);
    wr(&c, IMS, 5 << 20 | 1 << 24 | 1 << 2);
    wr(&c, ICS, 1 << 20);
    g_assert_cmphex(ld_le32(at(&c, MESSAGES)), ==, 0x100);
    g_assert_cmphex(rd(&c, IMS) & 1 << 20, ==, 0); /* masked by itself */
    st_le32(at(&c, MESSAGES), 0);
    wr(&c, ICS, 1 << 20);
    g_assert_cmphex(ld_le32(at(&c, MESSAGES)), ==, 0);
    wr(&c, IMS, 1 << 20);
    g_assert_cmphex(ld_le32(at(&c, MESSAGES)), ==, 0x100);
    wr(&c, ICS, 1 << 22);
    g_assert_cmphex(ld_le32(at(&c, MESSAGES + 12)), ==, 0x103);
    wr(&c, ICS, 1 << 2);
    g_assert_cmphex(ld_le32(at(&c, MESSAGES + 16)), ==, 0x104);
    g_assert_cmphex(rd(&c, ICR) & 0x81000004, ==, 0x81000004);
    st_le32(at(&c, MESSAGES + 16), 0);
    wr(&c, ICS, 1 << 2);
    g_assert_cmphex(ld_le32(at(&c, MESSAGES + 16)), ==, 0x104);
    g_assert_false(line(&c));
    /* a message to its own registers goes nowhere */
    bus_write(c.space, MSIX_BAR + 16 * 3, BAR + ICS, 4);
    bus_write(c.space, MSIX_BAR + 16 * 3 + 8, 1 << 22 | 1 << 20, 4);
    wr(&c, IMS, 5 << 20);
    wr(&c, ICS, 1 << 22);
    rd(&c, ICR);
    card_close(&c);
}

static uint32_t phy(Card *c, unsigned reg)
{
    wr(c, MDIC, 2u << 26 | 1 << 21 | reg << 16);
    return rd(c, MDIC) & 0xffff;
}

static void test_link(void)
{
    Card c;
    uint8_t p[60] = {0};
    card_open(&c);
    rd(&c, ICR);
    wr(&c, IMS, 1 << 2);
    g_assert_cmphex(phy(&c, 1) & 0x24, ==, 0x24);
    net_set_link(c.net, false);
    g_assert_true(line(&c));
    g_assert_cmphex(rd(&c, ICR) & 1 << 2, ==, 1 << 2);
    g_assert_cmphex(rd(&c, STATUS) & 2, ==, 0);
    g_assert_cmphex(phy(&c, 1) & 0x24, ==, 0);
    net_set_link(c.net, true);
    g_assert_cmphex(rd(&c, STATUS) & 2, ==, 2);
    phy(&c, 1);
    g_assert_cmphex(phy(&c, 1) & 0x24, ==, 0x24);
    /* 100 Mbit/s is all that is offered */
    wr(&c, MDIC, 1u << 26 | 1 << 21 | 9 << 16);
    g_assert_cmphex(rd(&c, STATUS) & 0xc3, ==, 0x43);
    /* what is sent comes back */
    wr(&c, RCTL, RCTL_PLAIN | 1 << 6);
    rx_give(&c, 4);
    memset(p, 0xff, 6);
    p[59] = 0x5a;
    memcpy(at(&c, TX_BUFS), p, sizeof p);
    tx_legacy(&c, TX_BUFS, sizeof p, 0x0b);
    go(&c);
    rx_next(&c);
    g_assert_cmpmem(at(&c, RX_BUFS), 60, p, 60);
    g_assert_true(nothing_sent(&c));
    card_close(&c);
}

/* ---- Nonsense ---------------------------------------------------------------------------------------- */

static void works(Card *c)
{
    uint8_t p[100], got[70000];
    wr(c, CTRL, 1 << 26);
    rings(c, RCTL_PLAIN);
    rx_give(c, 4);
    size_t len = make(p, false, 17, 50, PLAIN);
    memcpy(at(c, TX_BUFS), p, len);
    p[7] = 0xee;
    memcpy(at(c, TX_BUFS), p, len);
    tx_legacy(c, TX_BUFS, len, 0x0b);
    go(c);
    size_t n;
    do
        n = sent(c, got);
    while (n != len || memcmp(got, p, len));
    arrive(c, p, len);
    rx_next(c);
}

static void test_bad_rings(void)
{
    static const uint64_t places[] = {0, 0x10000000, RAM + RAM_SIZE - 16, BAR, UINT64_MAX - 0xf};
    Card c;
    uint8_t p[100];
    card_open(&c);
    size_t len = make(p, false, 17, 50, PLAIN);
    for (size_t i = 0; i < G_N_ELEMENTS(places); i++) {
        wr(&c, TDBAL, (uint32_t)places[i]);
        wr(&c, TDBAH, (uint32_t)(places[i] >> 32));
        wr(&c, RDBAL, (uint32_t)places[i]);
        wr(&c, RDBAH, (uint32_t)(places[i] >> 32));
        for (uint32_t size = 0; size < 0x100000; size += 0x55580) {
            wr(&c, TDLEN, size);
            wr(&c, RDLEN, size);
            wr(&c, TDT, 0xffff);
            wr(&c, TDH, 0xfffe);
            wr(&c, TDT, 5);
            wr(&c, TDH, 3);
            wr(&c, TDT, 2);
            wr(&c, RDH, 3);
            wr(&c, RDT, 0xffff);
            arrive(&c, p, len);
            wr(&c, RDT, 40);
            run_a_while();
        }
    }
    works(&c);
    /* buffers that are nowhere */
    for (size_t i = 0; i < G_N_ELEMENTS(places); i++) {
        st_le64(rx_desc(&c, c.rx_tail), places[i]);
        c.rx_tail++;
        wr(&c, RDT, c.rx_tail);
        tx_legacy(&c, places[i], 100, 0x0b);
    }
    go(&c);
    run_until(rd(&c, TDH) == c.tail);
    works(&c);
    /* a packet without an end, longer than any; then its end */
    for (unsigned i = 0; i < 60; i++)
        tx_data(&c, RAM, 0xfffff, false, 0, false);
    go(&c);
    run_a_while();
    tx_data(&c, RAM, 1, false, 0, true);
    go(&c);
    run_until(rd(&c, TDH) == c.tail);
    works(&c);
    card_close(&c);
}

/* Descriptors at random, sizes and modes too: nothing breaks, and a reset mends it. */
static void test_random(void)
{
    Card c;
    uint8_t p[2000], junk[65536];
    GRand *r = g_rand_new_with_seed(1);
    card_open(&c);
    for (unsigned round = 0; round < 300; round++) {
        rings(&c, g_rand_int(r) | 2);
        wr(&c, PSRCTL, g_rand_int(r));
        wr(&c, RFCTL, g_rand_int(r));
        wr(&c, RXCSUM, g_rand_int(r));
        wr(&c, MRQC, g_rand_int(r));
        wr(&c, CTRL, (g_rand_int(r) & ~(1u << 26)) | 1 << 6);
        for (unsigned i = 0; i < 16 * ENTRIES; i += 4) {
            st_le32(at(&c, TX_RING + i), g_rand_int(r));
            st_le32(at(&c, RX_RING + i), g_rand_int(r));
        }
        for (unsigned i = 0; i < ENTRIES; i++) {
            uint8_t *d = at(&c, TX_RING + 16 * i);
            if (!(d[11] & 0x20) || d[10] & 0x10) {
                st_le64(d, TX_BUFS + g_rand_int_range(r, 0, 0x1000));
                d[10] &= 0x11;
            }
            if (d[10] >> 4 == 0 && g_rand_boolean(r))
                d[13] = (uint8_t)g_rand_int_range(r, 40, 90);
            st_le64(rx_desc(&c, i), RX_BUFS + 64u * g_rand_int(r) % 0x100000);
        }
        wr(&c, RDT, g_rand_int(r) % ENTRIES);
        wr(&c, TDT, g_rand_int(r) % ENTRIES);
        size_t len = make(p, round & 1, round & 2 ? 6 : 17, (size_t)g_rand_int_range(r, 0, 1400), 0);
        arrive(&c, p, len);
        for (struct pollfd f = {.fd = c.fd, .events = POLLIN}; poll(&f, 1, 1) == 1;) {
            g_assert_cmpint(read(c.fd, junk, sizeof junk), >, 0);
            g_main_context_iteration(NULL, FALSE);
        }
        while (g_main_context_iteration(NULL, FALSE))
            ;
        wr(&c, CTRL, 1 << 26);
    }
    /* no more comes out of it */
    for (struct pollfd f = {.fd = c.fd, .events = POLLIN}; poll(&f, 1, 50) == 1;) {
        g_assert_cmpint(read(c.fd, junk, sizeof junk), >, 0);
        run_a_while();
    }
    works(&c);
    g_rand_free(r);
    card_close(&c);
}

/* The host's end takes no more: a reset, a saving, and the end do not wait for it. */
static void test_stuck(void)
{
    Card c;
    static uint8_t got[70000];
    card_open(&c);
    for (unsigned round = 0; round < 3; round++) {
        unsigned sum = 0;
        rings(&c, RCTL_PLAIN);
        memset(at(&c, TX_BUFS), 0x11, 16000);
        for (;;) {
            uint32_t head = rd(&c, TDH);
            tx_legacy(&c, TX_BUFS, 16000, 0x0b);
            go(&c);
            sum++;
            for (unsigned i = 0; i < 50 && rd(&c, TDH) == head; i++)
                g_usleep(1000);
            if (rd(&c, TDH) == head)
                break;
        }
        if (round == 0) { /* it goes on, each once, a saving in between notwithstanding */
            g_autoptr(GByteArray) bytes = g_byte_array_new();
            device_save(c.dev, bytes);
            for (unsigned i = 0; i < sum; i++)
                g_assert_cmpuint(sent(&c, got), ==, 16000);
            run_until(rd(&c, TDH) == c.tail);
            g_assert_true(nothing_sent(&c));
        } else if (round == 1) {
            if (sum & 1)
                wr(&c, CTRL, 1 << 26);
            else
                device_reset(c.dev);
            map(&c);
            g_assert_cmpuint(rd(&c, TDH), ==, 0);
            for (struct pollfd f = {.fd = c.fd, .events = POLLIN}; poll(&f, 1, 50) == 1;) {
                g_assert_cmpint(read(c.fd, got, sizeof got), >, 0);
                run_a_while();
            }
        }
    }
    card_close(&c);
}

static void test_saved(void)
{
    Card c;
    uint8_t p[60] = {0};
    card_open(&c);
    wr(&c, RAL + 8, 0x11223344);
    wr(&c, RAH + 8, 1u << 31 | 0x5566);
    wr(&c, MDIC, 1u << 26 | 1 << 21 | 9 << 16);
    wr(&c, EEWR, 0x7777u << 16 | 99 << 2 | 1);
    rx_give(&c, 4);
    g_autoptr(GByteArray) bytes = g_byte_array_new();
    device_save(c.dev, bytes);
    device_reset(c.dev);
    size_t pos = 0;
    g_assert_true(device_load(c.dev, bytes->data, bytes->len, &pos, NULL));
    g_assert_cmphex(rd(&c, RAL + 8), ==, 0x11223344);
    g_assert_cmphex(rd(&c, STATUS) & 0xc3, ==, 0x43);
    wr(&c, EERD, 99 << 2 | 1);
    g_assert_cmphex(rd(&c, EERD) >> 16, ==, 0x7777);
    st_le32(p, 0x11223344);
    st_le16(p + 4, 0x5566);
    arrive(&c, p, sizeof p);
    rx_next(&c);
    /* state from elsewhere may say anything */
    memset(bytes->data + 0x2000, 0xff, bytes->len - 0x2000);
    device_reset(c.dev);
    pos = 0;
    if (device_load(c.dev, bytes->data, bytes->len, &pos, NULL))
        arrive(&c, p, sizeof p);
    run_a_while();
    device_reset(c.dev);
    map(&c);
    works(&c);
    card_close(&c);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/e1000e/set-up", test_set_up);
    g_test_add_func("/e1000e/sent", test_legacy_sent);
    g_test_add_func("/e1000e/sums", test_sums);
    g_test_add_func("/e1000e/segments", test_segments);
    g_test_add_func("/e1000e/received", test_received);
    g_test_add_func("/e1000e/starved", test_starved);
    g_test_add_func("/e1000e/extended", test_extended);
    g_test_add_func("/e1000e/filters", test_filters);
    g_test_add_func("/e1000e/interrupts", test_interrupts);
    g_test_add_func("/e1000e/link", test_link);
    g_test_add_func("/e1000e/bad-rings", test_bad_rings);
    g_test_add_func("/e1000e/random", test_random);
    g_test_add_func("/e1000e/stuck", test_stuck);
    g_test_add_func("/e1000e/saved", test_saved);
    return g_test_run();
}
