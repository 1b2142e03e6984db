/* SPDX-License-Identifier: MIT */
/*
 * The 82574L gigabit card from within (Intel 82574 GbE Controller Family Datasheet; chapters in
 * brackets are its own). e1000e.c has the device, its properties and its life; e1000e_regs.c the
 * registers and resets; e1000e_irq.c causes and vectors; e1000e_phy.c the PHY, the NVM and the
 * link; e1000e_rx.c and e1000e_filter.c what arrives; e1000e_tx.c what is sent, on a thread of its own;
 * e1000e_offload.c checksums, segmentation and hashes, which know no card.
 *
 * The lock guards all registers. It is never held while a packet is given to the back end, since
 * that may bring the answer on the same thread. Guest memory is only touched where it is RAM.
 */
#pragma once

#include "devices/device.h"

enum {
    E1000E_BAR_SIZE = 0x20000,
    E1000E_REGS = 0xc000, /* registers lie below; of the rest there is only the packet buffer */
    E1000E_QUEUES = 2,
    E1000E_VECTORS = 5,
    E1000E_NVM_WORDS = 256,
    E1000E_PHY_REGS = 32,
    E1000E_LEAD = 16,   /* bytes in front of a packet: a header of the back end's, a VLAN tag */
    E1000E_HEADER = 12, /* the back end's */
    E1000E_FRAME_MAX = 65536 + 256,
    E1000E_CONTEXT = 16, /* bytes of a context descriptor */
};

/* Offsets of registers. */
enum {
    R_CTRL = 0x0, R_CTRL_ALIAS = 0x4, R_STATUS = 0x8, R_EECD = 0x10, R_EERD = 0x14,
    R_CTRL_EXT = 0x18, R_MDIC = 0x20, R_VET = 0x38, R_ICR = 0xc0, R_ITR = 0xc4, R_ICS = 0xc8,
    R_IMS = 0xd0, R_IMC = 0xd8, R_EIAC = 0xdc, R_IAM = 0xe0, R_IVAR = 0xe4, R_EITR = 0xe8,
    R_RCTL = 0x100, R_TCTL = 0x400, R_PBA = 0x1000, R_EEMNGCTL = 0x1010, R_EEWR = 0x102c,
    R_PSRCTL = 0x2170, R_RX = 0x2800, R_RSRPD = 0x2c00, R_TX = 0x3800, R_STATS = 0x4000,
    R_STATS_END = 0x4128, R_RXCSUM = 0x5000, R_RFCTL = 0x5008, R_MTA = 0x5200, R_RAL = 0x5400,
    R_VFTA = 0x5600, R_MRQC = 0x5818, R_SWSM = 0x5b50, R_RETA = 0x5c00, R_RSSRK = 0x5c80,
    R_SYSTIML = 0xb600, R_SYSTIMH = 0xb604, R_TIMINCA = 0xb608, R_TIMADJL = 0xb60c,
    R_TIMADJH = 0xb610, R_TSYNCTXCTL = 0xb614, R_TXSTMPL = 0xb618, R_TXSTMPH = 0xb61c,
    R_TSYNCRXCTL = 0xb620, R_RXSTMPL = 0xb624, R_RXSTMPH = 0xb628,
    /* within a ring's block; the second ring's is R_NEXT_RING further */
    RING_LOW = 0x0, RING_HIGH = 0x4, RING_LEN = 0x8, RING_HEAD = 0x10, RING_TAIL = 0x18,
    RING_DELAY = 0x20, RING_DCTL = 0x28, RING_ABS = 0x2c, RING_TARC = 0x40, R_NEXT_RING = 0x100,
};

/* Statistics. */
enum {
    S_MPC = 0x4010, S_SEC = 0x4038, S_PRC64 = 0x405c, S_GPRC = 0x4074, S_BPRC = 0x4078,
    S_MPRC = 0x407c, S_GPTC = 0x4080, S_GORC = 0x4088, S_GOTC = 0x4090, S_RNBC = 0x40a0,
    S_ROC = 0x40ac, S_TOR = 0x40c0, S_TOT = 0x40c8, S_TPR = 0x40d0, S_TPT = 0x40d4,
    S_PTC64 = 0x40d8, S_MPTC = 0x40f0, S_BPTC = 0x40f4, S_TSCTC = 0x40f8,
};

#define B(n) (UINT32_C(1) << (n))
enum {
    CTRL_FD = 1 << 0, CTRL_NO_MASTER = 1 << 2, CTRL_SLU = 1 << 6, CTRL_FRCSPD = 1 << 11,
    CTRL_FRCDPX = 1 << 12, CTRL_RST = 1 << 26, CTRL_VME = 1 << 30,
};
#define CTRL_PHY_RST B(31)
enum { STATUS_FD = 1, STATUS_LU = 2, STATUS_PHYRA = 1 << 10, STATUS_MASTER = 1 << 19 };
enum { CTRL_EXT_EE_RST = 1 << 13, CTRL_EXT_EIAME = 1 << 24, CTRL_EXT_IAME = 1 << 27 };
enum {
    INT_TXDW = 1 << 0, INT_TXQE = 1 << 1, INT_LSC = 1 << 2, INT_RXDMT0 = 1 << 4, INT_RXO = 1 << 6,
    INT_RXT0 = 1 << 7, INT_MDAC = 1 << 9, INT_SRPD = 1 << 16, INT_ACK = 1 << 17,
    INT_MNG = 1 << 18, INT_RXQ0 = 1 << 20, INT_TXQ0 = 1 << 22, INT_OTHER = 1 << 24,
    INT_ALL = 0x01f782d7,
};
#define INT_ASSERTED B(31)
enum {
    RCTL_EN = 1 << 1, RCTL_UPE = 1 << 3, RCTL_MPE = 1 << 4, RCTL_LPE = 1 << 5,
    RCTL_LBM = 3 << 6, RCTL_DTYP_PS = 1 << 10, RCTL_BAM = 1 << 15, RCTL_VFE = 1 << 18,
    RCTL_BSEX = 1 << 25, RCTL_SECRC = 1 << 26,
};
enum { TCTL_EN = 1 << 1, TCTL_PSP = 1 << 3 };
enum { RXCSUM_IPOFL = 1 << 8, RXCSUM_TUOFL = 1 << 9, RXCSUM_PCSD = 1 << 13 };
enum { RFCTL_EXSTEN = 1 << 15 };

/* What a context descriptor says [7.2.10.1]. */
typedef struct {
    uint8_t ip_start, ip_at, tu_start, tu_at, header;
    uint16_t ip_end, tu_end, mss;
    bool tcp, ipv4, segment;
    uint32_t payload;
} E1000eContext;

/* Headers of a packet, as far as they are known; offsets are 0 for what is not there. */
typedef struct {
    size_t ip, l4, data, end; /* end of the IP packet: padding follows */
    bool ipv6, fragment;
    uint8_t protocol; /* 6: TCP, 17: UDP; else 0 */
} E1000eHeaders;

typedef struct E1000e {
    Device dev;
    DevicePci pci;
    NetBackend *backend;
    uint8_t mac[6];
    uint32_t bootindex;
    char *romfile;
    bool header; /* packets have the back end's header, both ways */

    pthread_mutex_t lock; /* of what follows */
    void *owner;          /* the thread's mark while it holds the lock; atomic */
    pthread_cond_t wake, rest;
    pthread_t thread;
    bool has_thread, work, busy, room, end;
    unsigned paused, pauses;
    uint32_t tx_causes; /* to be raised when it is worth it */
    bool starved; /* a packet waits for descriptors */

    uint32_t regs[E1000E_REGS / 4];
    uint32_t irq_seen; /* causes that were pending and let through */
    uint16_t nvm[E1000E_NVM_WORDS];
    uint16_t phy[E1000E_PHY_REGS];
    uint8_t link_lost; /* since the PHY's status was read */
    uint8_t contexts[E1000E_QUEUES][E1000E_CONTEXT];
    uint32_t io_addr;
    uint64_t time_base; /* SYSTIM at time_at of the clock */
    int64_t time_at;
    uint64_t time_read, time_stamp_tx;

    /* As they were at one moment, which saved state needs while the thread goes on. */
    uint32_t saved_regs[E1000E_REGS / 4];
    uint8_t saved_contexts[E1000E_QUEUES][E1000E_CONTEXT];

    uint8_t *tx_buf, *cut_buf; /* the thread's */
    uint8_t *rx_buf;
} E1000e;

static inline uint32_t *e1000e_reg(E1000e *n, unsigned offset)
{
    return &n->regs[offset / 4];
}

static inline uint32_t e1000e_get(const E1000e *n, unsigned offset)
{
    return n->regs[offset / 4];
}

/* ---- e1000e.c */
void e1000e_lock(E1000e *n);
void e1000e_unlock(E1000e *n);

/* ---- e1000e_regs.c. Without the lock, on any thread. */
uint32_t e1000e_read(E1000e *n, uint32_t offset);
void e1000e_write(E1000e *n, uint32_t offset, uint32_t value);
/* Registers to what they are after a reset; hard: also the PHY and what the NVM loads. Waits for
   the thread. Without the lock. */
void e1000e_reset(E1000e *n, bool hard);
/* Saved registers are made such as could have been written. Under the lock. */
void e1000e_regs_loaded(E1000e *n);
/* Counts; the wide ones are of 64 bits. Under the lock. */
void e1000e_count(E1000e *n, unsigned offset, uint32_t more);
void e1000e_count_wide(E1000e *n, unsigned offset, uint32_t more);
/* A packet of that length with its FCS, of which table the first counter is given. */
void e1000e_count_size(E1000e *n, unsigned first, size_t length);
/* The time that stamps are taken from. Under the lock. */
uint64_t e1000e_time(const E1000e *n);

/* ---- e1000e_irq.c. Under the lock. */
void e1000e_cause(E1000e *n, uint32_t causes);
void e1000e_irq_update(E1000e *n);
uint32_t e1000e_icr_read(E1000e *n);
void e1000e_icr_write(E1000e *n, uint32_t value);

/* ---- e1000e_phy.c. Under the lock. */
void e1000e_nvm_init(E1000e *n);
void e1000e_nvm_load(E1000e *n);
void e1000e_eerd(E1000e *n, uint32_t value);
void e1000e_eewr(E1000e *n, uint32_t value);
void e1000e_phy_reset(E1000e *n);
void e1000e_mdic(E1000e *n, uint32_t value);
/* The cable or what the driver asks of it has changed. */
void e1000e_link_update(E1000e *n);
uint32_t e1000e_status(const E1000e *n);
/* What is sent comes back. */
bool e1000e_loopback(const E1000e *n);

/* ---- e1000e_filter.c. Under the lock. */
/* Whether a packet is for this card; *exact: by its own address. */
bool e1000e_wanted(const E1000e *n, const uint8_t *packet, size_t length, bool *exact);
/* Its hash over what MRQC names, and the queue that it leads to; the kind of hash, 0: none. */
unsigned e1000e_rss(const E1000e *n, const uint8_t *packet, const E1000eHeaders *h, uint32_t *hash,
                    unsigned *queue);

/* ---- e1000e_rx.c */
bool e1000e_receive(void *opaque, const struct iovec *iov, unsigned count);
/* A packet of the card's own that comes back; lost when there is no room. Without the lock. */
void e1000e_receive_own(E1000e *n, const uint8_t *packet, size_t length);
/* There are more descriptors, or a reason to drop what waits. Under the lock. */
void e1000e_rx_again(E1000e *n);

/* ---- e1000e_tx.c */
bool e1000e_thread_start(E1000e *n, GError **error);
void e1000e_thread_end(E1000e *n);
/* Has it look at the rings. Under the lock. */
void e1000e_tx_wake(E1000e *n);
void e1000e_room(void *opaque);
/* The thread comes to rest between packets, until it is resumed; they nest. Without the lock. */
void e1000e_pause(E1000e *n);
void e1000e_resume(E1000e *n);
/* len bytes of guest RAM at addr, where they are in one piece; NULL: they are not. */
uint8_t *e1000e_map(E1000e *n, uint64_t addr, uint64_t len, bool write);

/* ---- e1000e_offload.c: pure */
/* The Internet checksum's sum of bytes, folded, not complemented. */
uint16_t e1000e_sum(const uint8_t *p, size_t len);
uint16_t e1000e_sum_add(uint16_t a, uint16_t b);
/* Puts the checksum of start .. end (0: of all; else the last byte) at offset at; false: it makes no sense. */
bool e1000e_sum_put(uint8_t *p, size_t len, size_t start, size_t at, size_t end, bool udp);
void e1000e_parse(const uint8_t *p, size_t len, E1000eHeaders *h);
/* Whether the transport checksum is right; there is a protocol and no fragment. */
bool e1000e_l4_good(const uint8_t *p, const E1000eHeaders *h);
/* Makes one segment of a large packet in out: its header and size bytes of payload from offset on;
   ip, tu: with checksums. Bytes of it; 0: it makes no sense. */
size_t e1000e_segment(const E1000eContext *c, const uint8_t *packet, size_t len, size_t offset,
                      unsigned number, bool ip, bool tu, uint8_t *out);
uint32_t e1000e_crc(const uint8_t *p, size_t len);
/* A Toeplitz hash with a key of 40 bytes; at most 36 bytes. */
uint32_t e1000e_toeplitz(const uint8_t *key, const uint8_t *data, size_t len);
