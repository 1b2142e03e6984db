/* SPDX-License-Identifier: MIT */
/* An NVMe controller as a driver uses it and as a hostile one does: admin commands, I/O with the image
   as the witness, PRP lists, queues that are full, gone or not in RAM, resets and removal with commands
   in flight, and a million random admin commands. */
#include "qtest/test_full_disk.h"

#define ASQ (RAM + 0x100000)
#define ACQ (RAM + 0x101000)
#define IOSQ (RAM + 0x102000)
#define IOCQ (RAM + 0x103000)
#define LIST (RAM + 0x104000)
#define BUF (RAM + 0x200000)
#define VECTORS (RAM + 0x9000)

enum { ENTRIES = 16, BLOCKS = 2048 };
enum { CC = 0x14, CSTS = 0x1c, AQA = 0x24, R_ASQ = 0x28, R_ACQ = 0x30 };
enum { OK = 0, BAD_OPCODE = 1, BAD_FIELD = 2, BAD_TRANSFER = 4, BAD_NAMESPACE = 11, BAD_PRP = 0x13,
       BAD_LBA = 0x80, BAD_CQ = 0x100, BAD_QID = 0x101, BAD_QSIZE = 0x102, BAD_VECTOR = 0x108,
       BAD_LOG = 0x109, BAD_DELETION = 0x10c };

typedef struct {
    Board b;
    Pci pci;
    uint64_t regs;
    char *file;
    struct {
        uint64_t sq, cq;
        unsigned size, tail, head, phase;
    } q[4];
    uint16_t cid;
} Drive;

typedef struct {
    unsigned status;
    uint32_t result;
} Answer;

static void drive_open(Drive *d, const char *blockdev)
{
    memset(d, 0, sizeof *d);
    g_autofree char *text = NULL;
    if (!blockdev) {
        int fd = g_file_open_tmp("lathe-nvme-XXXXXX", &d->file, NULL);
        g_assert_cmpint(ftruncate(fd, BLOCKS * 512), ==, 0);
        close(fd);
        text = g_strdup_printf("-blockdev driver=file,node-name=n,filename=%s", d->file);
    }
    const char *const adds[] = {text ? text : blockdev,
                                "-device pcie-root-port,id=rp,addr=2",
                                "-device nvme,id=nv,drive=n,serial=abc,max_ioqpairs=8,bus=rp", NULL};
    board_open(&d->b, adds);
    Pci port;
    PciPool pool = PCI_POOL;
    g_assert_true(pci_find(&d->b, 0, 0x1b36, 0x000c, 0, &port));
    PciPool behind = pci_bridge(&port, 1, &pool);
    g_assert_true(pci_find(&d->b, 1, 0x1b36, 0x0010, 0, &d->pci));
    pci_place(&d->pci, &behind);
    d->regs = d->pci.bar[0];
}

static void drive_close(Drive *d)
{
    board_close(&d->b);
    if (d->file)
        g_unlink(d->file);
    g_free(d->file);
}

static void queue_set(Drive *d, unsigned qid, uint64_t sq, uint64_t cq, unsigned size)
{
    d->q[qid].sq = sq;
    d->q[qid].cq = cq;
    d->q[qid].size = size;
    d->q[qid].tail = d->q[qid].head = 0;
    d->q[qid].phase = 1;
    board_do(&d->b, "memset 0x%" PRIx64 " %u 0", cq, 16 * size);
}

/* Off and on again. */
static void enable(Drive *d)
{
    Board *b = &d->b;
    wl(b, d->regs + CC, 0);
    g_assert_cmphex(rl(b, d->regs + CSTS) & 1, ==, 0);
    queue_set(d, 0, ASQ, ACQ, ENTRIES);
    wl(b, d->regs + AQA, (ENTRIES - 1) | (ENTRIES - 1) << 16);
    wq(b, d->regs + R_ASQ, ASQ);
    wq(b, d->regs + R_ACQ, ACQ);
    wl(b, d->regs + CC, 0x00460001);
    g_assert_cmphex(rl(b, d->regs + CSTS), ==, 1);
}

typedef struct {
    uint8_t op;
    uint32_t ns;
    uint64_t prp1, prp2;
    uint32_t dw10, dw11, dw12;
} Command;

static void put(Drive *d, unsigned qid, const Command *c)
{
    Board *b = &d->b;
    uint64_t at = d->q[qid].sq + 64 * d->q[qid].tail;
    board_do(b, "memset 0x%" PRIx64 " 64 0", at);
    wl(b, at, c->op | (uint32_t)++d->cid << 16);
    wl(b, at + 4, c->ns);
    wq(b, at + 24, c->prp1);
    wq(b, at + 32, c->prp2);
    wl(b, at + 40, c->dw10);
    wl(b, at + 44, c->dw11);
    wl(b, at + 48, c->dw12);
    d->q[qid].tail = (d->q[qid].tail + 1) % d->q[qid].size;
}

static void ring(Drive *d, unsigned qid)
{
    wl(&d->b, d->regs + 0x1000 + 8 * qid, d->q[qid].tail);
}

static bool answered(Drive *d, unsigned qid)
{
    uint64_t at = d->q[qid].cq + 16 * d->q[qid].head;
    return (rl(&d->b, at + 12) >> 16 & 1) == d->q[qid].phase;
}

static void consume(Drive *d, unsigned qid)
{
    if (++d->q[qid].head == d->q[qid].size) {
        d->q[qid].head = 0;
        d->q[qid].phase ^= 1;
    }
}

static Answer wait_one(Drive *d, unsigned qid)
{
    uint64_t at = d->q[qid].cq + 16 * d->q[qid].head;
    for (unsigned i = 0; i < 30000 && !answered(d, qid); i++)
        g_usleep(1000);
    g_assert_true(answered(d, qid));
    uint32_t last = rl(&d->b, at + 12);
    Answer a = {last >> 17 & 0x7ff, rl(&d->b, at)};
    g_assert_cmpuint(rl(&d->b, at + 8) >> 16, ==, qid);
    consume(d, qid);
    wl(&d->b, d->regs + 0x1004 + 8 * qid, d->q[qid].head);
    return a;
}

static Answer run(Drive *d, unsigned qid, Command c)
{
    put(d, qid, &c);
    ring(d, qid);
    Answer a = wait_one(d, qid);
    g_assert_cmpuint(rl(&d->b, d->q[qid].cq + 16 * ((d->q[qid].head + d->q[qid].size - 1) %
                                                   d->q[qid].size) + 12) & 0xffff, ==, d->cid);
    return a;
}

#define admin(d, ...) run(d, 0, (Command){__VA_ARGS__})
#define io(d, ...) run(d, 1, (Command){.ns = 1, __VA_ARGS__})

/* A pair of I/O queues, number 1, with interrupts on vector 1. */
static void open_queues(Drive *d)
{
    queue_set(d, 1, IOSQ, IOCQ, ENTRIES);
    g_assert_cmphex(admin(d, .op = 5, .prp1 = IOCQ, .dw10 = 1 | (ENTRIES - 1) << 16,
                          .dw11 = 3 | 1 << 16).status, ==, OK);
    g_assert_cmphex(admin(d, .op = 1, .prp1 = IOSQ, .dw10 = 1 | (ENTRIES - 1) << 16,
                          .dw11 = 1 | 1 << 16).status, ==, OK);
}

/* ---- Registers and admin commands ---------------------------------------------------- */

static void test_registers(void)
{
    Drive d;
    drive_open(&d, NULL);
    Board *b = &d.b;
    g_assert_cmphex(cfg(&d.pci, 'l', PCI_CLASS_REVISION), ==, 0x01080202);
    uint64_t cap = rq(b, d.regs);
    g_assert_cmphex(cap & 0xffff, ==, 2047);
    g_assert_cmphex(rl(b, d.regs) | (uint64_t)rl(b, d.regs + 4) << 32, ==, cap);
    g_assert_cmphex(rl(b, d.regs + 8), ==, 0x00010400);
    wl(b, d.regs, 0); /* read-only */
    wl(b, d.regs + CSTS, 0xff);
    g_assert_cmphex(rq(b, d.regs), ==, cap);
    g_assert_cmphex(rl(b, d.regs + CSTS), ==, 0);
    wl(b, d.regs + R_ASQ, 0x1000);
    wl(b, d.regs + R_ASQ + 4, 0x2);
    g_assert_cmphex(rq(b, d.regs + R_ASQ), ==, UINT64_C(0x200001000));
    wl(b, d.regs + 0x0c, 5);
    wl(b, d.regs + 0x10, 4);
    g_assert_cmphex(rl(b, d.regs + 0x0c), ==, 1);
    wl(b, d.regs + 0x10, UINT32_MAX);
    /* What cannot be: a page size, a command set, a queue of one entry, an address off a page. */
    static const struct {
        uint32_t cc, aqa;
        uint64_t asq;
    } bad[] = {{0x00460081, 0xf000f, ASQ}, {0x00460011, 0xf000f, ASQ}, {0x00460001, 0, ASQ},
               {0x00460001, 0xfff0fff, ASQ}, {0x00460001, 0xf000f, ASQ + 8}};
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        wl(b, d.regs + CC, 0);
        wl(b, d.regs + AQA, bad[i].aqa);
        wq(b, d.regs + R_ASQ, bad[i].asq);
        wq(b, d.regs + R_ACQ, ACQ);
        wl(b, d.regs + CC, bad[i].cc);
        g_assert_cmphex(rl(b, d.regs + CSTS), ==, 2);
    }
    enable(&d);
    /* Doorbells of nobody, and values past the end: ignored. */
    wl(b, d.regs + 0x1000, ENTRIES);
    wl(b, d.regs + 0x1000, UINT32_MAX);
    wl(b, d.regs + 0x1004, 0xffff);
    for (unsigned i = 1; i < 512; i++)
        wl(b, d.regs + 0x1000 + 8 * i, 1);
    wq(b, d.regs + 0x1000, 1);
    ww(b, d.regs + 0x1000, 1);
    g_assert_cmphex(rl(b, d.regs + 0x1000), ==, 0);
    g_assert_cmphex(admin(&d, .op = 0x0a, .dw10 = 7).status, ==, OK);
    drive_close(&d);
}

static void test_admin(void)
{
    Drive d;
    drive_open(&d, NULL);
    Board *b = &d.b;
    enable(&d);
    /* Identify */
    g_assert_cmphex(admin(&d, .op = 6, .prp1 = BUF, .dw10 = 1).status, ==, OK);
    g_assert_cmphex(board_read(b, 'w', BUF), ==, 0x1b36);
    g_assert_cmphex(rb(b, BUF + 4), ==, 'a');
    g_assert_cmphex(rb(b, BUF + 7), ==, ' ');
    g_assert_cmphex(rb(b, BUF + 512), ==, 0x66);
    g_assert_cmpuint(rl(b, BUF + 516), ==, 1);
    unsigned mdts = rb(b, BUF + 77) & 0xff;
    g_assert_cmpuint(mdts, ==, 7);
    g_assert_cmphex(admin(&d, .op = 6, .ns = 1, .prp1 = BUF).status, ==, OK);
    g_assert_cmpuint(rq(b, BUF), ==, BLOCKS);
    g_assert_cmpuint(rb(b, BUF + 130), ==, 9);
    g_assert_cmphex(admin(&d, .op = 6, .prp1 = BUF, .dw10 = 2).status, ==, OK);
    g_assert_cmpuint(rq(b, BUF), ==, 1);
    g_assert_cmphex(admin(&d, .op = 6, .ns = 1, .prp1 = BUF, .dw10 = 3).status, ==, OK);
    g_assert_cmphex(board_read(b, 'w', BUF), ==, 0x1003);
    g_assert_cmphex(admin(&d, .op = 6, .ns = 2, .prp1 = BUF).status, ==, BAD_NAMESPACE);
    g_assert_cmphex(admin(&d, .op = 6, .ns = 0, .prp1 = BUF).status, ==, BAD_NAMESPACE);
    g_assert_cmphex(admin(&d, .op = 6, .prp1 = BUF, .dw10 = 0x77).status, ==, BAD_FIELD);
    /* over a page's edge: the second entry is needed */
    board_do(b, "memset 0x%" PRIx64 " 0x3000 0xaa", BUF);
    g_assert_cmphex(admin(&d, .op = 6, .prp1 = BUF + 0x800, .prp2 = BUF + 0x2000, .dw10 = 1).status,
                    ==, OK);
    g_assert_cmphex(board_read(b, 'w', BUF + 0x800), ==, 0x1b36);
    g_assert_cmphex(rb(b, BUF + 0x1000), ==, 0xaa);
    g_assert_cmphex(board_read(b, 'w', BUF + 0x2000), ==, 0x09c4);
    g_assert_cmphex(rb(b, BUF + 0x2800), ==, 0xaa);
    /* Features, logs */
    Answer a = admin(&d, .op = 9, .dw10 = 7, .dw11 = 0x00ff00ff);
    g_assert_cmphex(a.status, ==, OK);
    g_assert_cmphex(a.result, ==, 0x00070007);
    g_assert_cmphex(admin(&d, .op = 9, .dw10 = 7, .dw11 = 0xffff).status, ==, BAD_FIELD);
    g_assert_cmphex(admin(&d, .op = 9, .dw10 = 4, .dw11 = 300).status, ==, OK);
    g_assert_cmpuint(admin(&d, .op = 0x0a, .dw10 = 4).result, ==, 300);
    g_assert_cmpuint(admin(&d, .op = 0x0a, .dw10 = 4 | 1 << 8).result, ==, 333);
    g_assert_cmphex(admin(&d, .op = 9, .dw10 = 6, .dw11 = 0).status, ==, OK);
    g_assert_cmpuint(admin(&d, .op = 0x0a, .dw10 = 6).result, ==, 0);
    g_assert_cmphex(admin(&d, .op = 9, .dw10 = 6 | 1u << 31, .dw11 = 1).status, ==, 0x10d);
    for (unsigned f = 0xc; f < 0x100; f++)
        g_assert_cmphex(admin(&d, .op = 0x0a, .dw10 = f).status, ==, BAD_FIELD);
    g_assert_cmphex(admin(&d, .op = 2, .prp1 = BUF, .dw10 = 2 | 127 << 16).status, ==, OK);
    g_assert_cmpuint(rb(b, BUF + 3), ==, 100);
    g_assert_cmphex(admin(&d, .op = 2, .prp1 = BUF, .dw10 = 2 | 0xffffu << 16, .dw11 = 0xffff).status,
                    ==, OK);
    g_assert_cmphex(admin(&d, .op = 2, .prp1 = BUF, .dw10 = 0x55).status, ==, BAD_LOG);
    g_assert_cmphex(admin(&d, .op = 2, .prp1 = BUF, .dw10 = 2, .dw12 = 513).status, ==, BAD_FIELD);
    /* Events: four are kept, the fifth is one too many; none is answered, and a reset forgets them. */
    for (unsigned i = 0; i < 4; i++) {
        put(&d, 0, &(Command){.op = 0x0c});
        ring(&d, 0);
    }
    g_assert_cmphex(admin(&d, .op = 0x0c).status, ==, 0x105);
    g_assert_false(answered(&d, 0));
    enable(&d);
    put(&d, 0, &(Command){.op = 0x0c});
    ring(&d, 0);
    g_assert_cmphex(admin(&d, .op = 8, .dw10 = 5).result, ==, 1);
    static const uint8_t ops[] = {0x03, 0x07, 0x0d, 0x10, 0x14, 0x7f, 0x80, 0x81, 0xc0, 0xff};
    for (size_t i = 0; i < sizeof ops; i++)
        g_assert_cmphex(admin(&d, .op = ops[i], .ns = 1, .prp1 = BUF).status, ==, BAD_OPCODE);
    drive_close(&d);
}

static void test_queues(void)
{
    Drive d;
    drive_open(&d, NULL);
    enable(&d);
    const uint32_t n15 = 15u << 16;
    g_assert_cmphex(admin(&d, .op = 5, .prp1 = IOCQ, .dw10 = n15, .dw11 = 1).status, ==, BAD_QID);
    g_assert_cmphex(admin(&d, .op = 5, .prp1 = IOCQ, .dw10 = 9 | n15, .dw11 = 1).status, ==, BAD_QID);
    g_assert_cmphex(admin(&d, .op = 5, .prp1 = IOCQ, .dw10 = 0xffff | n15, .dw11 = 1).status, ==, BAD_QID);
    g_assert_cmphex(admin(&d, .op = 5, .prp1 = IOCQ, .dw10 = 1, .dw11 = 1).status, ==, BAD_QSIZE);
    g_assert_cmphex(admin(&d, .op = 5, .prp1 = IOCQ, .dw10 = 1 | 2048u << 16, .dw11 = 1).status, ==, BAD_QSIZE);
    g_assert_cmphex(admin(&d, .op = 5, .prp1 = IOCQ, .dw10 = 1 | n15, .dw11 = 0).status, ==, BAD_FIELD);
    g_assert_cmphex(admin(&d, .op = 5, .prp1 = IOCQ + 8, .dw10 = 1 | n15, .dw11 = 1).status, ==, BAD_FIELD);
    g_assert_cmphex(admin(&d, .op = 5, .prp1 = IOCQ, .dw10 = 1 | n15, .dw11 = 3 | 99 << 16).status, ==, BAD_VECTOR);
    g_assert_cmphex(admin(&d, .op = 1, .prp1 = IOSQ, .dw10 = 1 | n15, .dw11 = 1 | 1 << 16).status, ==, BAD_CQ);
    open_queues(&d);
    g_assert_cmphex(admin(&d, .op = 5, .prp1 = IOCQ, .dw10 = 1 | n15, .dw11 = 1).status, ==, BAD_QID);
    g_assert_cmphex(admin(&d, .op = 1, .prp1 = IOSQ, .dw10 = 1 | n15, .dw11 = 1 | 1 << 16).status, ==, BAD_QID);
    g_assert_cmphex(admin(&d, .op = 1, .prp1 = IOSQ, .dw10 = 2 | n15, .dw11 = 1).status, ==, BAD_CQ);
    g_assert_cmphex(admin(&d, .op = 1, .prp1 = IOSQ, .dw10 = 2 | n15, .dw11 = 1 | 0xffffu << 16).status, ==, BAD_CQ);
    g_assert_cmphex(admin(&d, .op = 4, .dw10 = 1).status, ==, BAD_DELETION);
    g_assert_cmphex(admin(&d, .op = 4, .dw10 = 0).status, ==, BAD_QID);
    g_assert_cmphex(admin(&d, .op = 0, .dw10 = 0).status, ==, BAD_QID);
    g_assert_cmphex(admin(&d, .op = 0, .dw10 = 0xffff).status, ==, BAD_QID);
    g_assert_cmphex(io(&d, .op = 0).status, ==, OK);
    g_assert_cmphex(admin(&d, .op = 0, .dw10 = 1).status, ==, OK);
    g_assert_cmphex(admin(&d, .op = 0, .dw10 = 1).status, ==, BAD_QID);
    g_assert_cmphex(admin(&d, .op = 4, .dw10 = 1).status, ==, OK);
    g_assert_cmphex(admin(&d, .op = 4, .dw10 = 1).status, ==, BAD_QID);
    open_queues(&d);
    g_assert_cmphex(io(&d, .op = 0).status, ==, OK);
    drive_close(&d);
}

/* ---- I/O: the image is the witness -------------------------------------------------------- */

static void check_file(const Drive *d, uint64_t offset, const uint8_t *want, size_t len)
{
    g_autofree uint8_t *got = g_malloc(len);
    int fd = open(d->file, O_RDONLY | O_CLOEXEC);
    g_assert_cmpint(pread(fd, got, len, (off_t)offset), ==, (gssize)len);
    close(fd);
    g_assert_cmpmem(got, len, want, len);
}

static uint8_t *ram(Drive *d, uint64_t addr)
{
    BusRamRef ref;
    g_assert_true(bus_find_ram(machine_space(d->b.m), addr & ~UINT64_C(4095), &ref));
    return ref.host + (addr & 4095);
}

static void test_io(void)
{
    enum { BIG = 128 * 4096 };
    Drive d;
    drive_open(&d, NULL);
    enable(&d);
    pci_msix_on_ram(&d.pci, VECTORS, 0x50);
    open_queues(&d);
    uint8_t *mem = ram(&d, BUF);
    GRand *rand = g_rand_new_with_seed(3);
    g_autofree uint8_t *data = g_malloc(BIG);
    for (unsigned i = 0; i < BIG; i++)
        data[i] = mem[i] = (uint8_t)g_rand_int(rand);
    g_rand_free(rand);
    /* One block; two pages by their entries; the largest by a list, its pages in reverse. */
    g_assert_cmphex(io(&d, .op = 1, .prp1 = BUF, .dw10 = 7).status, ==, OK);
    g_assert_true(pci_wait(&d.b, VECTORS + 4, 0x51));
    check_file(&d, 7 * 512, data, 512);
    g_assert_cmphex(io(&d, .op = 1, .prp1 = BUF + 0x204, .prp2 = BUF + 0x1000, .dw10 = 8, .dw12 = 9).status, ==, OK);
    check_file(&d, 8 * 512, data + 0x204, 0x1000 - 0x204);
    check_file(&d, 8 * 512 + 0x1000 - 0x204, data + 0x1000, 5120 - (0x1000 - 0x204));
    for (unsigned i = 1; i < 128; i++)
        wq(&d.b, LIST + 8 * (i - 1), BUF + 4096 * (127 - i));
    g_assert_cmphex(io(&d, .op = 1, .prp1 = BUF + 127 * 4096, .prp2 = LIST, .dw10 = 1024, .dw12 = 1023).status, ==, OK);
    for (unsigned i = 0; i < 128; i++)
        check_file(&d, 1024 * 512 + 4096 * i, data + 4096 * (127 - i), 4096);
    /* Read back, through a list that leads on to another page. */
    memset(mem, 0, BIG);
    for (unsigned i = 1; i < 128; i++) {
        bool first = i < 3; /* two entries and the one that leads on, at the end of a page */
        wq(&d.b, first ? LIST + 4096 - 24 + 8 * (i - 1) : LIST + 0x1000 + 8 * (i - 3), BUF + 4096 * (127 - i));
    }
    wq(&d.b, LIST + 4096 - 8, LIST + 0x1000);
    g_assert_cmphex(io(&d, .op = 2, .prp1 = BUF + 127 * 4096, .prp2 = LIST + 4096 - 24, .dw10 = 1024, .dw12 = 1023).status, ==, OK);
    g_assert_cmpmem(mem, BIG, data, BIG);
    /* Flush, FUA, zeroes, deallocation */
    g_assert_cmphex(io(&d, .op = 0).status, ==, OK);
    g_assert_cmphex(run(&d, 1, (Command){.op = 0, .ns = UINT32_MAX}).status, ==, OK);
    g_assert_cmphex(io(&d, .op = 1, .prp1 = BUF, .dw10 = 0, .dw12 = 1u << 30).status, ==, OK);
    check_file(&d, 0, data, 512);
    static const uint8_t zeroes[8192];
    g_assert_cmphex(io(&d, .op = 8, .dw10 = 1024, .dw12 = 7).status, ==, OK);
    check_file(&d, 1024 * 512, zeroes, 4096);
    check_file(&d, 1032 * 512, data + 4096 * 126, 4096);
    g_assert_cmphex(io(&d, .op = 8, .dw10 = 1032, .dw12 = 7 | 1u << 25).status, ==, OK);
    check_file(&d, 1024 * 512, zeroes, 8192);
    wl(&d.b, BUF + 4, 8);
    wq(&d.b, BUF + 8, 1040);
    g_assert_cmphex(io(&d, .op = 9, .prp1 = BUF, .dw10 = 0, .dw11 = 4).status, ==, OK);
    wq(&d.b, BUF + 8, BLOCKS - 7);
    g_assert_cmphex(io(&d, .op = 9, .prp1 = BUF, .dw10 = 0, .dw11 = 4).status, ==, BAD_LBA);
    wl(&d.b, BUF + 4, UINT32_MAX);
    wq(&d.b, BUF + 8, UINT64_MAX);
    g_assert_cmphex(io(&d, .op = 9, .prp1 = BUF, .dw10 = 255, .dw11 = 4).status, ==, BAD_LBA);
    /* What is wrong */
    g_assert_cmphex(io(&d, .op = 2, .prp1 = BUF, .dw10 = BLOCKS).status, ==, BAD_LBA);
    g_assert_cmphex(io(&d, .op = 2, .prp1 = BUF, .dw10 = BLOCKS - 1, .dw12 = 1).status, ==, BAD_LBA);
    g_assert_cmphex(io(&d, .op = 2, .prp1 = BUF, .dw10 = UINT32_MAX, .dw11 = UINT32_MAX).status, ==, BAD_LBA);
    g_assert_cmphex(io(&d, .op = 2, .prp1 = BUF, .prp2 = LIST, .dw12 = 1024).status, ==, BAD_FIELD);
    g_assert_cmphex(run(&d, 1, (Command){.op = 2, .ns = 2, .prp1 = BUF}).status, ==, BAD_NAMESPACE);
    g_assert_cmphex(run(&d, 1, (Command){.op = 2, .ns = UINT32_MAX, .prp1 = BUF}).status, ==, BAD_NAMESPACE);
    static const uint8_t ops[] = {4, 5, 0x0d, 0x11, 0x7f, 0x80, 0xff};
    for (size_t i = 0; i < sizeof ops; i++)
        g_assert_cmphex(io(&d, .op = ops[i], .prp1 = BUF).status, ==, BAD_OPCODE);
    drive_close(&d);
}

static void test_hostile_prps(void)
{
    Drive d;
    drive_open(&d, NULL);
    enable(&d);
    open_queues(&d);
    const uint64_t nowhere[] = {0, UART & ~UINT64_C(4095), d.regs, RAM + RAM_SIZE, ECAM, PCI_MEMORY + 0x3fff000,
                                UINT64_MAX & ~UINT64_C(4095), RAM - 4096, FLASH};
    for (size_t i = 0; i < G_N_ELEMENTS(nowhere); i++) {
        g_assert_cmphex(admin(&d, .op = 6, .prp1 = nowhere[i], .dw10 = 1).status, ==, BAD_TRANSFER);
        g_assert_cmphex(io(&d, .op = 2, .prp1 = nowhere[i], .dw12 = 7).status, ==, BAD_TRANSFER);
        g_assert_cmphex(io(&d, .op = 2, .prp1 = BUF, .prp2 = nowhere[i], .dw12 = 15).status, ==, BAD_TRANSFER);
        g_assert_cmphex(io(&d, .op = 2, .prp1 = BUF, .prp2 = nowhere[i], .dw12 = 31).status, ==, BAD_TRANSFER);
        wq(&d.b, LIST, nowhere[i]);
        g_assert_cmphex(io(&d, .op = 2, .prp1 = BUF, .prp2 = LIST, .dw12 = 31).status, ==, BAD_TRANSFER);
        wq(&d.b, LIST + 4088, nowhere[i]);
        g_assert_cmphex(io(&d, .op = 2, .prp1 = BUF, .prp2 = LIST + 4088, .dw12 = 31).status, ==, BAD_TRANSFER);
    }
    /* Off a page, off a word, a list that leads to its own end. */
    g_assert_cmphex(io(&d, .op = 2, .prp1 = BUF + 1).status, ==, BAD_PRP);
    g_assert_cmphex(io(&d, .op = 2, .prp1 = BUF, .prp2 = BUF + 8, .dw12 = 15).status, ==, BAD_PRP);
    g_assert_cmphex(io(&d, .op = 2, .prp1 = BUF, .prp2 = LIST + 4, .dw12 = 31).status, ==, BAD_PRP);
    wq(&d.b, LIST, BUF + 16);
    g_assert_cmphex(io(&d, .op = 2, .prp1 = BUF, .prp2 = LIST, .dw12 = 31).status, ==, BAD_PRP);
    wq(&d.b, LIST + 4088, LIST + 4088);
    g_assert_cmphex(io(&d, .op = 2, .prp1 = BUF, .prp2 = LIST + 4088, .dw12 = 31).status, ==, BAD_PRP);
    /* All of a transfer onto one page; onto the queues. */
    for (unsigned i = 0; i < 127; i++)
        wq(&d.b, LIST + 8 * i, BUF);
    g_assert_cmphex(io(&d, .op = 2, .prp1 = BUF, .prp2 = LIST, .dw12 = 1023).status, ==, OK);
    /* SGLs are not there. */
    put(&d, 1, &(Command){.op = 2, .ns = 1, .prp1 = BUF});
    wb(&d.b, IOSQ + 64 * ((d.q[1].tail + ENTRIES - 1) % ENTRIES) + 1, 0x40);
    ring(&d, 1);
    g_assert_cmphex(wait_one(&d, 1).status, ==, BAD_FIELD);
    drive_close(&d);
}

/* ---- Queues at their limits --------------------------------------------------------------- */

static void test_full(void)
{
    Drive d;
    drive_open(&d, NULL);
    enable(&d);
    open_queues(&d);
    /* Answers nobody takes: no more than the queue holds, and the rest when there is room. */
    for (unsigned round = 0; round < 3; round++) {
        for (unsigned i = 0; i < ENTRIES - 1; i++)
            put(&d, 1, &(Command){.op = 0, .ns = 1});
        ring(&d, 1);
        for (unsigned i = 0; i < ENTRIES - 1; i++) {
            for (unsigned k = 0; k < 30000 && !answered(&d, 1); k++)
                g_usleep(1000);
            g_assert_true(answered(&d, 1));
            consume(&d, 1);
        }
        for (unsigned i = 0; i < 5; i++)
            put(&d, 1, &(Command){.op = 0, .ns = 1});
        ring(&d, 1);
        g_usleep(20000);
        g_assert_false(answered(&d, 1));
        wl(&d.b, d.regs + 0x100c, d.q[1].head);
        for (unsigned i = 0; i < 5; i++)
            wait_one(&d, 1);
    }
    drive_close(&d);
}

/* Queues in registers, the controller's own too, or where nothing is: fatal, until a reset. */
static void test_bad_queues(void)
{
    Drive d;
    drive_open(&d, NULL);
    const uint64_t bad[] = {d.regs, UART, 0, RAM + RAM_SIZE, ECAM, UINT64_MAX & ~UINT64_C(4095), FLASH};
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        for (unsigned which = 0; which < 2; which++) {
            wl(&d.b, d.regs + CC, 0);
            wl(&d.b, d.regs + AQA, 0xf000f);
            wq(&d.b, d.regs + R_ASQ, which ? ASQ : bad[i]);
            wq(&d.b, d.regs + R_ACQ, which ? bad[i] : ACQ);
            wl(&d.b, d.regs + CC, 0x00460001);
            g_assert_cmphex(rl(&d.b, d.regs + CSTS), ==, 1);
            wl(&d.b, d.regs + 0x1000, 2);
            if (!which && bad[i] == FLASH) /* a command can be read from there */
                continue;
            g_assert_true(pci_wait(&d.b, d.regs + CSTS, 3));
        }
        enable(&d);
        open_queues(&d);
        g_assert_cmphex(io(&d, .op = 0).status, ==, OK);
        /* and of I/O */
        g_assert_cmphex(admin(&d, .op = 5, .prp1 = bad[i], .dw10 = 2 | 15u << 16, .dw11 = 1).status, ==, OK);
        g_assert_cmphex(admin(&d, .op = 1, .prp1 = IOSQ + 0x5000, .dw10 = 2 | 15u << 16, .dw11 = 1 | 2u << 16).status, ==, OK);
        wl(&d.b, d.regs + 0x1010, 1);
        g_assert_true(pci_wait(&d.b, d.regs + CSTS, 3));
    }
    /* A message into the doorbells. */
    enable(&d);
    pci_msix_on_ram(&d.pci, VECTORS, 0);
    for (unsigned n = 0; n < 2; n++) {
        wl(&d.b, d.regs + 0x2000 + 16 * n, (uint32_t)d.regs + 0x1000);
        wl(&d.b, d.regs + 0x2000 + 16 * n + 4, (uint32_t)(d.regs >> 32));
    }
    open_queues(&d);
    g_assert_cmphex(io(&d, .op = 0).status, ==, OK);
    drive_close(&d);
}

/* ---- Resets and removal, with commands in flight ------------------------------------------------ */

static void test_in_flight(void)
{
    Drive d;
    drive_open(&d, "-blockdev driver=null-co,node-name=n,size=1M,latency-ns=10000000");
    unsigned express = pci_cap(&d.pci, PCI_CAP_ID_EXP, 0);
    for (unsigned round = 0; round < 10; round++) {
        g_autoptr(GError) error = NULL;
        enable(&d);
        open_queues(&d);
        for (unsigned i = 0; i < 10; i++)
            put(&d, 1, &(Command){.op = (uint8_t)(i % 3), .ns = 1, .prp1 = BUF});
        ring(&d, 1);
        if (round & 1)
            g_usleep(5000);
        switch (round % 5) {
        case 0: wl(&d.b, d.regs + CC, 0); break;
        case 1:
            wl(&d.b, d.regs + CC, 0x00464001);
            g_assert_cmphex(rl(&d.b, d.regs + CSTS) & 12, ==, 8);
            wl(&d.b, d.regs + CC, 0);
            break;
        case 2: /* the queues go while they are used */
            put(&d, 0, &(Command){.op = 0, .dw10 = 1});
            ring(&d, 0);
            g_assert_cmphex(wait_one(&d, 0).status, ==, OK);
            g_assert_cmphex(admin(&d, .op = 4, .dw10 = 1).status, ==, OK);
            break;
        case 3: {
            cfg_set(&d.pci, 'w', express + PCI_EXP_DEVCTL, 0x8000);
            PciPool pool = {d.regs, 0x1000};
            pci_place(&d.pci, &pool);
            g_assert_cmphex(d.pci.bar[0], ==, d.regs);
            break;
        }
        default: {
            Pci port;
            PciPool pool = PCI_POOL;
            machine_reset(d.b.m, &d.b.entry, &error);
            g_assert_no_error(error);
            g_assert_true(pci_find(&d.b, 0, 0x1b36, 0x000c, 0, &port));
            PciPool behind = pci_bridge(&port, 1, &pool);
            pci_place(&d.pci, &behind);
        }
        }
        g_autofree uint8_t *before = g_memdup2(ram(&d, IOCQ), 16 * ENTRIES);
        g_usleep(20000);
        g_assert_cmpmem(ram(&d, IOCQ), 16 * ENTRIES, before, 16 * ENTRIES);
    }
    /* Taken out, and a new one in its place. */
    for (unsigned round = 0; round < 4; round++) {
        g_autoptr(GError) error = NULL;
        enable(&d);
        open_queues(&d);
        for (unsigned i = 0; i < 10; i++)
            put(&d, 1, &(Command){.op = 1, .ns = 1, .prp1 = BUF});
        ring(&d, 1);
        if (round & 1)
            g_usleep(3000);
        machine_remove_device(d.b.m, "nv", &error);
        g_assert_no_error(error);
        while (g_main_context_iteration(NULL, FALSE))
            ;
        g_assert_null(machine_device(d.b.m, "nv"));
        g_autofree uint8_t *before = g_memdup2(ram(&d, IOCQ), 16 * ENTRIES);
        g_usleep(20000);
        g_assert_cmpmem(ram(&d, IOCQ), 16 * ENTRIES, before, 16 * ENTRIES);
        machine_add_device(d.b.m, "nvme,id=nv,drive=n,serial=abc,max_ioqpairs=8,bus=rp", &error);
        g_assert_no_error(error);
        PciPool pool = {d.regs, 0x1000};
        pci_place(&d.pci, &pool);
    }
    drive_close(&d);
}

/* ---- A disk without room --------------------------------------------------------------------------- */

static void test_werror(void)
{
    g_autofree char *drive = NULL, *file = disk_new("werror=stop", &drive);
    Drive d;
    drive_open(&d, drive);
    enable(&d);
    open_queues(&d);
    board_do(&d.b, "memset 0x%" PRIx64 " 4096 0x66", BUF);
    disk_full(true);
    put(&d, 1, &(Command){.op = 1, .ns = 1, .prp1 = BUF, .dw10 = 1500, .dw12 = 7});
    put(&d, 1, &(Command){.op = 8, .ns = 1, .dw10 = 1508, .dw12 = 7});
    ring(&d, 1);
    g_assert_true(disk_stopped(&d.b, 1));
    g_usleep(20000);
    g_assert_cmphex(admin(&d, .op = 0x0a, .dw10 = 7).status, ==, OK); /* others go on */
    machine_retry(d.b.m);
    g_assert_true(disk_stopped(&d.b, 2));
    disk_full(false);
    machine_retry(d.b.m);
    g_usleep(20000);
    machine_retry(d.b.m); /* had the second one been on its way meanwhile */
    g_assert_cmphex(wait_one(&d, 1).status, ==, OK);
    g_assert_cmphex(wait_one(&d, 1).status, ==, OK);
    g_assert_true(disk_holds(file, 1500 * 512, 0x66, 4096));
    /* A reset, its queue's deletion, the controller's removal: it ends without. */
    for (unsigned round = 0; round < 3; round++) {
        g_autoptr(GError) error = NULL;
        enable(&d);
        open_queues(&d);
        disk_full(true);
        unsigned before = d.b.io_errors;
        put(&d, 1, &(Command){.op = 1, .ns = 1, .prp1 = BUF, .dw10 = 1600});
        ring(&d, 1);
        g_assert_true(disk_stopped(&d.b, before + 1));
        if (round == 0) {
            wl(&d.b, d.regs + CC, 0);
        } else if (round == 1) {
            g_assert_cmphex(admin(&d, .op = 0, .dw10 = 1).status, ==, OK);
            g_assert_cmphex(wait_one(&d, 1).status, ==, 0x280);
        } else {
            machine_remove_device(d.b.m, "nv", &error);
            g_assert_no_error(error);
            while (g_main_context_iteration(NULL, FALSE))
                ;
            g_assert_null(machine_device(d.b.m, "nv"));
        }
        disk_full(false);
        machine_retry(d.b.m);
        g_assert_true(disk_holds(file, 1600 * 512, 0, 512));
    }
    drive_close(&d);
    g_unlink(file);
}

/* ---- A million of them --------------------------------------------------------------------------- */

static void test_random(void)
{
    enum { SIZE = 2048, TOTAL = 1000000, MARK = 0xbeef };
    Drive d;
    drive_open(&d, "-blockdev driver=null-co,node-name=n,size=1M");
    BusSpace *space = machine_space(d.b.m);
    uint64_t sq = RAM + 0x1000000, cq = RAM + 0x1100000;
    uint8_t *commands = ram(&d, sq), *answers = ram(&d, cq);
    const char *text = g_getenv("NVME_COMMANDS");
    unsigned total = text ? (unsigned)g_ascii_strtoull(text, NULL, 10) : TOTAL, done = 0, resets = 0, good = 0;
    GRand *rand = g_rand_new_with_seed(11);
    while (done < total) {
        wl(&d.b, d.regs + CC, 0);
        wl(&d.b, d.regs + AQA, (SIZE - 1) | (SIZE - 1u) << 16);
        wq(&d.b, d.regs + R_ASQ, sq);
        wq(&d.b, d.regs + R_ACQ, cq);
        wl(&d.b, d.regs + CC, 0x00460001);
        g_assert_cmphex(rl(&d.b, d.regs + CSTS), ==, 1);
        resets++;
        unsigned tail = 0, head = 0, phase = 1;
        memset(answers, 0, 16 * SIZE);
        for (unsigned batch = 0; batch < 40 && done < total; batch++) {
            for (unsigned i = 0; i < 1000; i++, done++) {
                static const uint8_t ops[] = {0, 1, 2, 4, 5, 6, 8, 9, 10, 12};
                uint8_t *c = commands + 64 * tail;
                for (unsigned k = 0; k < 64; k += 4)
                    st_le32(c + k, g_rand_int(rand));
                c[0] = i % 16 ? ops[g_rand_int(rand) % sizeof ops] : c[0];
                c[1] &= i % 8 ? 0x3f : 0xff;
                if (i % 4) {
                    st_le32(c + 4, g_rand_int(rand) % 3);
                    st_le64(c + 24, BUF + 4096 * (g_rand_int(rand) % 64));
                    st_le64(c + 32, BUF + 4096 * (g_rand_int(rand) % 64));
                    st_le32(c + 40, (g_rand_int(rand) % 12) | (g_rand_int(rand) % 2050) << 16);
                    st_le32(c + 44, (g_rand_int(rand) % 4) | (g_rand_int(rand) % 12) << 16);
                }
                st_le16(c + 2, (uint16_t)i);
                if (i == 999) {
                    memset(c, 0, 64);
                    st_le32(c, 0x0a | (uint32_t)MARK << 16);
                    st_le32(c + 40, 7);
                }
                tail = (tail + 1) % SIZE;
            }
            bus_write(space, d.regs + 0x1000, tail, 4);
            /* Answered in order, but for events; the last is known. */
            uint64_t left = g_get_monotonic_time() + 20 * G_USEC_PER_SEC;
            for (uint16_t cid = 0; cid != MARK;) {
                const uint8_t *e = answers + 16 * head;
                if ((__atomic_load_n(e + 14, __ATOMIC_ACQUIRE) & 1) != phase) {
                    g_assert_cmpuint((uint64_t)g_get_monotonic_time(), <, left);
                    bus_write(space, d.regs + 0x1004, head, 4);
                    g_usleep(10);
                    continue;
                }
                cid = ld_le16(e + 12);
                good += !(ld_le16(e + 14) >> 1);
                if (++head == SIZE) {
                    head = 0;
                    phase ^= 1;
                }
            }
            bus_write(space, d.regs + 0x1004, head, 4);
        }
    }
    g_rand_free(rand);
    g_test_message("%u commands, %u of them done, %u resets", done, good, resets);
    g_assert_cmpuint(good, >, total / 20);
    enable(&d);
    open_queues(&d);
    g_assert_cmphex(io(&d, .op = 0).status, ==, OK);
    drive_close(&d);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/nvme/registers", test_registers);
    g_test_add_func("/nvme/admin", test_admin);
    g_test_add_func("/nvme/queues", test_queues);
    g_test_add_func("/nvme/io", test_io);
    g_test_add_func("/nvme/hostile-prps", test_hostile_prps);
    g_test_add_func("/nvme/full", test_full);
    g_test_add_func("/nvme/bad-queues", test_bad_queues);
    g_test_add_func("/nvme/in-flight", test_in_flight);
    g_test_add_func("/nvme/werror", test_werror);
    g_test_add_func("/nvme/random", test_random);
    return g_test_run();
}
