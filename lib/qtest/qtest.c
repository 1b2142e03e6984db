/* SPDX-License-Identifier: MIT */
/*
 * Lines, words and answers of the -qtest protocol; see qtest.h for the commands.
 *
 * Input gathers in a buffer until its newline; a line past the limit is answered with ERR and its rest
 * skipped. Answers and IRQ lines go out under one lock, so that a line never comes in the middle of
 * another. What is left out: rtas (a pseries board's), module_load (nothing is loaded at run time).
 */
#include "qtest/qtest.h"

#include "base/bits.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#define LINES_WATCHED 4096 /* interrupt lines of one device */
#define CHUNK 4096u
#define WORDS_MAX 6

struct Qtest {
    QtestEnv env;
    GString *line;
    bool skipping; /* to the end of a line that is too long */
    GMutex lock;   /* of sending, and of what follows */
    Device *watched;
    bool watch_inputs;
    uint32_t levels[LINES_WATCHED / 32];
    DeviceWatch watch;
};

/* ---- Sending --------------------------------------------------------------- */

/* With the lock held. Takes text. */
static void put(Qtest *q, GString *text)
{
    if (q->env.log)
        q->env.log(q->env.opaque, false, text->str);
    g_string_append_c(text, '\n');
    q->env.send(q->env.opaque, text->str, text->len);
    g_string_free(text, TRUE);
}

static void answer(Qtest *q, GString *text)
{
    g_mutex_lock(&q->lock);
    put(q, text);
    g_mutex_unlock(&q->lock);
}

static void G_GNUC_PRINTF(2, 3) say(Qtest *q, const char *fmt, ...)
{
    GString *text = g_string_new(NULL);
    va_list args;
    va_start(args, fmt);
    g_string_vprintf(text, fmt, args);
    va_end(args);
    answer(q, text);
}

static void on_level(void *opaque, int n, bool level)
{
    Qtest *q = opaque;
    if (n < 0 || n >= LINES_WATCHED)
        return;
    g_mutex_lock(&q->lock);
    uint32_t *word = &q->levels[n / 32], bit = UINT32_C(1) << (n % 32);
    if (level != !!(*word & bit)) {
        *word ^= bit;
        GString *text = g_string_new(NULL);
        g_string_printf(text, "IRQ %s %d", level ? "raise" : "lower", n);
        put(q, text);
    }
    g_mutex_unlock(&q->lock);
}

/* ---- Words ----------------------------------------------------------------- */

typedef struct {
    char *word[WORDS_MAX]; /* word[0] is the command; within the line */
    unsigned count;
    bool more; /* than fit */
} Words;

static void split(char *line, Words *w)
{
    w->count = 0;
    w->more = false;
    for (char *p = line;;) {
        p += strspn(p, " \t");
        if (!*p)
            return;
        if (w->count == WORDS_MAX) {
            w->more = true;
            return;
        }
        w->word[w->count++] = p;
        p += strcspn(p, " \t");
        if (*p)
            *p++ = '\0';
    }
}

static bool number(const char *text, uint64_t *value)
{
    char *end;
    errno = 0;
    *value = g_ascii_strtoull(text, &end, 0);
    return !errno && end != text && !*end && g_ascii_isdigit(text[0]);
}

/* Words i .. as numbers; answers ERR if one is not. */
static bool numbers(Qtest *q, const Words *w, unsigned first, unsigned count, uint64_t *value)
{
    for (unsigned i = 0; i < count; i++) {
        if (!number(w->word[first + i], &value[i])) {
            say(q, "ERR '%s' is not a number", w->word[first + i]);
            return false;
        }
    }
    return true;
}

/* ADDR LEN of a command that moves bytes. */
static bool span(Qtest *q, const Words *w, uint64_t *addr, uint64_t *len)
{
    uint64_t v[2];
    if (!numbers(q, w, 1, 2, v))
        return false;
    *addr = v[0];
    *len = v[1];
    if (!*len || *len > QTEST_TRANSFER_MAX) {
        say(q, "ERR a length is 1 to %" PRIu64 ", not %s", QTEST_TRANSFER_MAX, w->word[2]);
        return false;
    }
    return true;
}

/* ---- Memory ---------------------------------------------------------------- */

static uint64_t guest_order(const Qtest *q, uint64_t v, unsigned size)
{
    return q->env.big_endian ? __builtin_bswap64(v) >> (64 - 8 * size) : v & bits_mask(8 * size);
}

static unsigned size_of(char suffix)
{
    return suffix == 'b' ? 1 : suffix == 'w' ? 2 : suffix == 'l' ? 4 : 8;
}

static void do_peek(Qtest *q, const Words *w)
{
    uint64_t addr, v;
    unsigned size = size_of(w->word[0][4]);
    if (!numbers(q, w, 1, 1, &addr))
        return;
    bus_read(q->env.space, addr, size, &v);
    say(q, "OK 0x%016" PRIx64, guest_order(q, v, size));
}

static void do_poke(Qtest *q, const Words *w)
{
    uint64_t v[2];
    unsigned size = size_of(w->word[0][5]);
    if (!numbers(q, w, 1, 2, v))
        return;
    bus_write(q->env.space, v[0], guest_order(q, v[1], size), size);
    say(q, "OK");
}

/* What cannot be read is zeros; a hole does not hide what comes after it. */
static uint8_t *fetch(Qtest *q, uint64_t addr, uint64_t len)
{
    uint8_t *bytes = g_malloc0(len);
    for (uint64_t done = 0; done < len;) {
        uint64_t n = MIN(len - done, CHUNK - ((addr + done) & (CHUNK - 1)));
        bus_dma_read(q->env.space, addr + done, bytes + done, n);
        done += n;
    }
    return bytes;
}

static void put_bytes(Qtest *q, uint64_t addr, const uint8_t *bytes, uint64_t len)
{
    for (uint64_t done = 0; done < len;) {
        uint64_t n = MIN(len - done, CHUNK - ((addr + done) & (CHUNK - 1)));
        bus_dma_write(q->env.space, addr + done, bytes + done, n);
        done += n;
    }
}

static void do_read(Qtest *q, const Words *w)
{
    uint64_t addr, len;
    if (!span(q, w, &addr, &len))
        return;
    g_autofree uint8_t *bytes = fetch(q, addr, len);
    GString *text = g_string_sized_new(2 * len + 8);
    g_string_append(text, "OK 0x");
    for (uint64_t i = 0; i < len; i++) {
        g_string_append_c(text, "0123456789abcdef"[bytes[i] >> 4]);
        g_string_append_c(text, "0123456789abcdef"[bytes[i] & 15]);
    }
    answer(q, text);
}

static void do_write(Qtest *q, const Words *w)
{
    uint64_t addr, len;
    if (!span(q, w, &addr, &len))
        return;
    const char *hex = w->word[3];
    size_t digits = strlen(hex);
    if (digits < 2 || hex[0] != '0' || hex[1] != 'x' || digits % 2 || (digits - 2) / 2 > len ||
        strspn(hex + 2, "0123456789abcdefABCDEF") != digits - 2) {
        say(q, "ERR the bytes are 0x and two hexadecimal digits each, at most %" PRIu64, len);
        return;
    }
    g_autofree uint8_t *bytes = g_malloc0(len);
    for (size_t i = 0; i < (digits - 2) / 2; i++)
        bytes[i] = (uint8_t)(g_ascii_xdigit_value(hex[2 + 2 * i]) << 4 |
                             g_ascii_xdigit_value(hex[3 + 2 * i]));
    put_bytes(q, addr, bytes, len);
    say(q, "OK");
}

static void do_b64read(Qtest *q, const Words *w)
{
    uint64_t addr, len;
    if (!span(q, w, &addr, &len))
        return;
    g_autofree uint8_t *bytes = fetch(q, addr, len);
    g_autofree char *text = g_base64_encode(bytes, len);
    say(q, "OK %s", text);
}

static void do_b64write(Qtest *q, const Words *w)
{
    uint64_t addr, len;
    if (!span(q, w, &addr, &len))
        return;
    gsize got = 0;
    g_autofree uint8_t *bytes = g_base64_decode(w->word[3], &got);
    if (!bytes || got != len) {
        say(q, "ERR %" PRIu64 " bytes were announced, base64 gives %zu", len, got);
        return;
    }
    put_bytes(q, addr, bytes, len);
    say(q, "OK");
}

static void do_memset(Qtest *q, const Words *w)
{
    uint64_t addr, len, byte;
    if (!span(q, w, &addr, &len) || !numbers(q, w, 3, 1, &byte))
        return;
    g_autofree uint8_t *bytes = g_malloc(len);
    memset(bytes, (int)(byte & 0xff), len);
    put_bytes(q, addr, bytes, len);
    say(q, "OK");
}

/* ---- I/O ports --------------------------------------------------------------- */

static void do_port(Qtest *q, const Words *w)
{
    bool in = w->word[0][0] == 'i';
    unsigned size = size_of(w->word[0][in ? 2 : 3]);
    uint64_t v[2];
    if (!q->env.ports)
        say(q, "FAIL this board has no I/O ports");
    else if (!numbers(q, w, 1, in ? 1 : 2, v))
        return;
    else if (v[0] > 0xffff)
        say(q, "ERR a port is from 0 to 0xffff");
    else if (in) {
        bus_read(q->env.ports, v[0], size, &v[1]);
        say(q, "OK 0x%04" PRIx64, guest_order(q, v[1], size));
    } else {
        bus_write(q->env.ports, v[0], guest_order(q, v[1], size), size);
        say(q, "OK");
    }
}

/* ---- Clock ------------------------------------------------------------------- */

static void do_clock(Qtest *q, const Words *w)
{
    BusClock *clock = q->env.clock;
    if (!bus_clock_is_manual(clock)) {
        say(q, "FAIL the clock runs by itself; start with -accel qtest");
        return;
    }
    int64_t now = bus_clock_now(clock), step;
    uint64_t v = 0;
    if (w->count > 1 && !numbers(q, w, 1, 1, &v))
        return;
    if (v > INT64_MAX) {
        say(q, "ERR %s: time has 63 bits", w->word[1]);
        return;
    }
    if (!strcmp(w->word[0], "clock_set"))
        step = (int64_t)v - now;
    else if (w->count > 1)
        step = (int64_t)v;
    else
        step = bus_clock_deadline(clock) == INT64_MAX ? 0 : bus_clock_deadline(clock) - now;
    if (step > INT64_MAX - now) {
        say(q, "ERR time has 63 bits, and it is %" PRId64 " already", now);
        return;
    }
    bus_clock_advance(clock, MAX(step, 0));
    say(q, "OK %" PRId64, bus_clock_now(clock));
}

/* ---- Interrupt lines ------------------------------------------------------------ */

static void unwatch(Qtest *q)
{
    if (q->watched && q->watch_inputs)
        device_watch_inputs(q->watched, NULL);
    else if (q->watched)
        device_watch_outputs(q->watched, NULL);
    q->watched = NULL;
}

static void do_intercept(Qtest *q, const Words *w)
{
    bool in = g_str_has_suffix(w->word[0], "_in");
    Device *dev = q->env.device(q->env.opaque, w->word[1]);
    if (!dev) {
        say(q, "FAIL Unknown device");
        return;
    }
    if (q->watched && (q->watched != dev || q->watch_inputs != in)) {
        say(q, "FAIL IRQ intercept already enabled");
        return;
    }
    if (!q->watched) {
        q->watched = dev;
        q->watch_inputs = in;
        q->watch = (DeviceWatch){on_level, q};
        if (in)
            device_watch_inputs(dev, &q->watch);
        else
            device_watch_outputs(dev, &q->watch);
    }
    say(q, "OK");
}

static void do_set_irq(Qtest *q, const Words *w)
{
    uint64_t v[2];
    Device *dev = q->env.device(q->env.opaque, w->word[1]);
    if (!numbers(q, w, 3, 2, v))
        return;
    if (!dev)
        say(q, "FAIL Unknown device");
    else if (strcmp(w->word[2], "unnamed-gpio-in"))
        say(q, "FAIL inputs have no other name than unnamed-gpio-in");
    else if (!dev->type->input || v[0] >= LINES_WATCHED)
        say(q, "FAIL %s has no input %s", dev->id, w->word[3]);
    else {
        bus_irq_set(device_input(dev, (int)v[0]), v[1] != 0);
        say(q, "OK");
    }
}

/* ---- The rest ------------------------------------------------------------------- */

static void do_endianness(Qtest *q, const Words *w)
{
    say(q, "OK %s", q->env.big_endian ? "big" : "little");
}

static void do_rtas(Qtest *q, const Words *w)
{
    say(q, "FAIL rtas: this board has no RTAS");
}

static void do_module_load(Qtest *q, const Words *w)
{
    say(q, "FAIL module_load: there are no modules");
}

typedef struct {
    const char *name;
    unsigned min, max; /* words after it */
    void (*run)(Qtest *q, const Words *w);
} Command;

static const Command commands[] = {
    {"readb", 1, 1, do_peek},       {"readw", 1, 1, do_peek},
    {"readl", 1, 1, do_peek},       {"readq", 1, 1, do_peek},
    {"writeb", 2, 2, do_poke},      {"writew", 2, 2, do_poke},
    {"writel", 2, 2, do_poke},      {"writeq", 2, 2, do_poke},
    {"read", 2, 2, do_read},        {"write", 3, 3, do_write},
    {"b64read", 2, 2, do_b64read},  {"b64write", 3, 3, do_b64write},
    {"memset", 3, 3, do_memset},    {"inb", 1, 1, do_port},
    {"inw", 1, 1, do_port},         {"inl", 1, 1, do_port},
    {"outb", 2, 2, do_port},        {"outw", 2, 2, do_port},
    {"outl", 2, 2, do_port},        {"clock_step", 0, 1, do_clock},
    {"clock_set", 1, 1, do_clock},  {"irq_intercept_in", 1, 1, do_intercept},
    {"irq_intercept_out", 1, 1, do_intercept}, {"set_irq_in", 4, 4, do_set_irq},
    {"endianness", 0, 0, do_endianness},       {"rtas", 0, WORDS_MAX, do_rtas},
    {"module_load", 0, WORDS_MAX, do_module_load},
};

static void run_line(Qtest *q, char *line)
{
    Words w;
    if (q->env.log)
        q->env.log(q->env.opaque, true, line);
    split(line, &w);
    if (!w.count)
        return;
    for (size_t i = 0; i < G_N_ELEMENTS(commands); i++) {
        const Command *c = &commands[i];
        if (strcmp(c->name, w.word[0]))
            continue;
        unsigned args = w.count - 1;
        if (args < c->min || args > c->max || (w.more && c->max < WORDS_MAX))
            say(q, "ERR %s takes %u%s arguments", c->name, c->min, c->min < c->max ? " or more" : "");
        else
            c->run(q, &w);
        return;
    }
    g_autofree char *shown = g_utf8_make_valid(w.word[0], (gssize)MIN(strlen(w.word[0]), 64));
    say(q, "FAIL Unknown command '%s'", shown);
}

static void end_line(Qtest *q)
{
    if (q->skipping) {
        q->skipping = false;
        say(q, "ERR a line has at most %zu bytes", QTEST_LINE_MAX);
        return;
    }
    GString *line = q->line;
    q->line = g_string_new(NULL);
    if (line->len && line->str[line->len - 1] == '\r')
        g_string_truncate(line, line->len - 1);
    if (strlen(line->str) == line->len)
        run_line(q, line->str);
    else
        say(q, "ERR a line is text, without NUL bytes");
    g_string_free(line, TRUE);
}

void qtest_feed(Qtest *q, const void *buf, size_t len)
{
    const char *p = buf;
    while (len) {
        const char *newline = memchr(p, '\n', len);
        size_t n = newline ? (size_t)(newline - p) : len;
        if (!q->skipping && n > QTEST_LINE_MAX - q->line->len) {
            q->skipping = true;
            g_string_truncate(q->line, 0);
        }
        if (!q->skipping)
            g_string_append_len(q->line, p, (gssize)n);
        if (newline) {
            end_line(q);
            n++;
        }
        p += n;
        len -= n;
    }
}

void qtest_close(Qtest *q)
{
    g_string_truncate(q->line, 0);
    q->skipping = false;
    unwatch(q);
    g_mutex_lock(&q->lock);
    memset(q->levels, 0, sizeof q->levels);
    g_mutex_unlock(&q->lock);
}

Qtest *qtest_new(const QtestEnv *env)
{
    Qtest *q = g_new0(Qtest, 1);
    q->env = *env;
    q->line = g_string_new(NULL);
    g_mutex_init(&q->lock);
    return q;
}

void qtest_free(Qtest *q)
{
    if (!q)
        return;
    unwatch(q);
    g_string_free(q->line, TRUE);
    g_mutex_clear(&q->lock);
    g_free(q);
}
