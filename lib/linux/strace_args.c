/* SPDX-License-Identifier: MIT */
/*
 * Arguments as -strace shows them, by the letters of syscalls.def:
 *
 *   d int   l long   u unsigned, size   x hex   X hex of 32 bits   o octal   p address
 *   s path   y path, a link at its end stays   z other string   b data, its size next
 *   B data that the call fills, S a string   i iovec of data, its count next   v iovec
 *   V strings, ended by NULL   f descriptor   a directory's descriptor
 *   t timespec, T one that the call fills   2 two ints that the call fills
 *   N socket address, its size next   n one that the call fills, its size's address next
 *   g signal   G set of signals, P one that the call fills   H what to do with the set
 *   O flags of open   A of calls at a directory   E of new descriptors   h access   M protection
 *   m flags of mmap   C of clone   w of wait   D socket domain   Y socket type   W whence
 *   F futex operation   R resource   k command of fcntl   e of epoll_ctl   q ioctl   r prctl   c clock
 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>

#include "linux/strace_priv.h"

enum { DATA_SHOWN = 32, PATH_SHOWN = 4096, LIST_SHOWN = 16 };

static void address(GString *out, uint64_t addr)
{
    if (addr)
        g_string_append_printf(out, "0x%" PRIx64, addr);
    else
        g_string_append(out, "NULL");
}

/* Bytes as C writes them, with the shortest escapes. */
static void quote(GString *out, const char *bytes, size_t size)
{
    g_string_append_c(out, '"');
    for (size_t i = 0; i < size; i++) {
        unsigned char c = (unsigned char)bytes[i];
        const char *at = memchr("\n\t\r\"\\\v\f", c, 7);
        bool digit = i + 1 < size && bytes[i + 1] >= '0' && bytes[i + 1] <= '9';
        if (at && c)
            g_string_append_printf(out, "\\%c", "ntr\"\\vf"[at - "\n\t\r\"\\\v\f"]);
        else if (c < 32 || c > 126)
            g_string_append_printf(out, digit ? "\\%03o" : "\\%o", c);
        else
            g_string_append_c(out, (char)c);
    }
    g_string_append_c(out, '"');
}

static void data(GString *out, uint64_t addr, uint64_t size)
{
    char bytes[DATA_SHOWN];
    size_t shown = MIN(size, sizeof bytes);
    if (!addr || guest_read(bytes, addr, shown)) {
        address(out, addr);
        return;
    }
    quote(out, bytes, shown);
    if (size > shown)
        g_string_append(out, "...");
}

static void string(GString *out, uint64_t addr)
{
    g_autofree char *text = NULL;
    if (!addr || guest_string(addr, PATH_SHOWN, &text))
        address(out, addr);
    else
        quote(out, text, strlen(text));
}

static void strings(GString *out, uint64_t addr)
{
    uint64_t item;
    if (!addr || guest_read(&item, addr, sizeof item)) {
        address(out, addr);
        return;
    }
    g_string_append_c(out, '[');
    for (unsigned i = 0; !guest_read(&item, addr + 8 * i, sizeof item) && item; i++) {
        g_string_append(out, i ? ", " : "");
        if (i == LIST_SHOWN) {
            g_string_append(out, "...");
            break;
        }
        string(out, item);
    }
    g_string_append_c(out, ']');
}

static void iovec(GString *out, uint64_t addr, uint64_t count, bool with_data)
{
    struct iovec io;
    if (!addr || guest_read(&io, addr, count ? sizeof io : 0)) {
        address(out, addr);
        return;
    }
    g_string_append_c(out, '[');
    for (uint64_t i = 0; i < count; i++) {
        g_string_append(out, i ? ", " : "");
        if (i == LIST_SHOWN || guest_read(&io, addr + i * sizeof io, sizeof io)) {
            g_string_append(out, "...");
            break;
        }
        g_string_append(out, "{iov_base=");
        if (with_data)
            data(out, (uint64_t)(uintptr_t)io.iov_base, io.iov_len);
        else
            address(out, (uint64_t)(uintptr_t)io.iov_base);
        g_string_append_printf(out, ", iov_len=%zu}", io.iov_len);
    }
    g_string_append_c(out, ']');
}

static void timespec(GString *out, uint64_t addr)
{
    int64_t t[2];
    if (!addr || guest_read(t, addr, sizeof t))
        address(out, addr);
    else
        g_string_append_printf(out, "{tv_sec=%" PRId64 ", tv_nsec=%" PRId64 "}", t[0], t[1]);
}

static void signal_set(GString *out, uint64_t addr)
{
    uint64_t set;
    if (!addr || guest_read(&set, addr, sizeof set)) {
        address(out, addr);
        return;
    }
    bool most = __builtin_popcountll(set) > 32;
    g_string_append(out, most ? "~[" : "[");
    bool first = true;
    for (int i = 1; i <= LINUX_SIGNALS; i++) {
        if (((set >> (i - 1)) & 1) == most)
            continue;
        g_autoptr(GString) name = g_string_new(NULL);
        strace_signal_name(name, i);
        g_string_append_printf(out, "%s%s", first ? "" : " ",
                               name->str + (g_str_has_prefix(name->str, "SIG") ? 3 : 0));
        first = false;
    }
    g_string_append_c(out, ']');
}

static void socket_address(GString *out, uint64_t addr, uint64_t size)
{
    union {
        struct sockaddr any;
        struct sockaddr_un local;
        struct sockaddr_in in;
        struct sockaddr_in6 in6;
        char bytes[128];
    } a;
    char text[INET6_ADDRSTRLEN] = "?";
    memset(&a, 0, sizeof a);
    size = MIN(size, sizeof a - 1);
    if (!addr || size < sizeof a.any.sa_family || guest_read(&a, addr, size)) {
        address(out, addr);
        return;
    }
    g_string_append(out, "{sa_family=");
    strace_name(out, NAMES_DOMAIN, a.any.sa_family);
    switch (a.any.sa_family) {
    case AF_UNIX: {
        const char *path = a.local.sun_path;
        size_t room = size - offsetof(struct sockaddr_un, sun_path);
        g_string_append(out, ", sun_path=");
        if (room && !path[0]) { /* abstract */
            g_string_append_c(out, '@');
            quote(out, path + 1, room - 1);
        } else {
            quote(out, path, strnlen(path, room));
        }
        break;
    }
    case AF_INET:
        inet_ntop(AF_INET, &a.in.sin_addr, text, sizeof text);
        g_string_append_printf(out, ", sin_port=htons(%u), sin_addr=inet_addr(\"%s\")",
                               ntohs(a.in.sin_port), text);
        break;
    case AF_INET6:
        inet_ntop(AF_INET6, &a.in6.sin6_addr, text, sizeof text);
        g_string_append_printf(out, ", sin6_port=htons(%u), sin6_addr=\"%s\"",
                               ntohs(a.in6.sin6_port), text);
        break;
    default:
        g_string_append(out, ", ...");
    }
    g_string_append_c(out, '}');
}

static void filled_address(GString *out, uint64_t addr, uint64_t size_addr)
{
    uint32_t size;
    if (!size_addr || guest_read(&size, size_addr, sizeof size))
        address(out, addr);
    else
        socket_address(out, addr, size);
}

static void clone_flags(GString *out, uint64_t flags)
{
    size_t start = out->len;
    if (flags & ~UINT64_C(255) || !flags)
        strace_name(out, NAMES_CLONE, flags & ~UINT64_C(255));
    if (flags & 255) {
        g_string_append(out, out->len > start ? "|" : "");
        strace_signal_name(out, flags & 255);
    }
}

static void futex_operation(GString *out, uint64_t op)
{
    strace_name(out, NAMES_FUTEX, op & 127);
    if (op & 128)
        g_string_append(out, "|FUTEX_PRIVATE_FLAG");
    if (op & 256)
        g_string_append(out, "|FUTEX_CLOCK_REALTIME");
}

static void request(GString *out, uint32_t number)
{
    const char *name = strace_ioctl_name(number);
    if (name)
        g_string_append(out, name);
    else
        g_string_append_printf(out, "0x%x", number);
}

static void socket_type(GString *out, uint64_t type)
{
    strace_name(out, NAMES_SOCKET_TYPE, type & 15);
    if (type & ~UINT64_C(15)) {
        g_string_append_c(out, '|');
        strace_name(out, NAMES_SOCKET_FLAGS, type & ~UINT64_C(15) & UINT32_MAX);
    }
}

/* What fcntl's third argument is depends on the command. */
static void fcntl_value(GString *out, uint64_t command, uint64_t value)
{
    if (command == F_SETFL)
        strace_name(out, NAMES_OPEN, value & UINT32_MAX);
    else if (command == F_SETFD && value == FD_CLOEXEC)
        g_string_append(out, "FD_CLOEXEC");
    else if (command == F_DUPFD || command == F_DUPFD_CLOEXEC || command == F_SETFD)
        g_string_append_printf(out, "%d", (int)value);
    else
        address(out, value);
}

/* The names that an argument with this letter has; NAMES_HOW + 1: none. */
static unsigned names_of(char letter)
{
    static const struct {
        char letter;
        uint8_t names;
    } table[] = {
        { 'O', NAMES_OPEN }, { 'A', NAMES_AT }, { 'E', NAMES_FD }, { 'M', NAMES_PROT },
        { 'm', NAMES_MMAP }, { 'h', NAMES_ACCESS }, { 'w', NAMES_WAIT }, { 'D', NAMES_DOMAIN },
        { 'W', NAMES_WHENCE }, { 'R', NAMES_RESOURCE }, { 'k', NAMES_FCNTL }, { 'e', NAMES_EPOLL },
        { 'r', NAMES_PRCTL }, { 'c', NAMES_CLOCK }, { 'H', NAMES_HOW },
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(table); i++)
        if (table[i].letter == letter)
            return table[i].names;
    return NAMES_HOW + 1;
}

/* Arguments that are read through an address. */
static void pointed(GString *out, char letter, const uint64_t *a, bool done, int64_t result)
{
    bool filled = done && result >= 0;
    switch (letter) {
    case 's': case 'y': case 'z': string(out, a[0]); break;
    case 'b': data(out, a[0], a[1]); break;
    case 'i': case 'v': iovec(out, a[0], a[1], letter == 'i'); break;
    case 'V': strings(out, a[0]); break;
    case 't': timespec(out, a[0]); break;
    case 'N': socket_address(out, a[0], a[1]); break;
    case 'G': signal_set(out, a[0]); break;
    case 'B':
        if (filled)
            data(out, a[0], (uint64_t)result);
        else
            address(out, a[0]);
        break;
    case 'S': (filled ? string : address)(out, a[0]); break;
    case 'T': (filled ? timespec : address)(out, a[0]); break;
    case 'P': (filled ? signal_set : address)(out, a[0]); break;
    case 'n':
        if (filled)
            filled_address(out, a[0], a[1]);
        else
            address(out, a[0]);
        break;
    case '2': {
        int32_t pair[2];
        if (filled && !guest_read(pair, a[0], sizeof pair))
            g_string_append_printf(out, "[%d, %d]", pair[0], pair[1]);
        else
            address(out, a[0]);
        break;
    }
    default: address(out, a[0]);
    }
}

static void argument(GString *out, const char *letters, unsigned i, const uint64_t a[6], bool done,
                     int64_t result)
{
    unsigned names = names_of(letters[i]);
    if (names <= NAMES_HOW) {
        strace_name(out, names, a[i] & UINT32_MAX);
        return;
    }
    switch (letters[i]) {
    case 'd': case 'f': g_string_append_printf(out, "%d", (int)a[i]); break;
    case 'l': g_string_append_printf(out, "%" PRId64, (int64_t)a[i]); break;
    case 'u': g_string_append_printf(out, "%" PRIu64, a[i]); break;
    case 'x':
        if (i == 2 && letters[1] == 'k')
            fcntl_value(out, a[1], a[i]);
        else
            g_string_append_printf(out, a[i] ? "0x%" PRIx64 : "0", a[i]);
        break;
    case 'X': g_string_append_printf(out, a[i] & UINT32_MAX ? "0x%x" : "0", (unsigned)a[i]); break;
    case 'o': g_string_append_printf(out, "0%o", (unsigned)a[i]); break;
    case 'a':
        if ((int)a[i] == AT_FDCWD)
            g_string_append(out, "AT_FDCWD");
        else
            g_string_append_printf(out, "%d", (int)a[i]);
        break;
    case 'g': strace_signal_name(out, (int)a[i]); break;
    case 'C': clone_flags(out, a[i]); break;
    case 'Y': socket_type(out, a[i]); break;
    case 'F': futex_operation(out, a[i]); break;
    case 'q': request(out, (uint32_t)a[i]); break;
    default: pointed(out, letters[i], &a[i], done, result);
    }
}

unsigned strace_count(const char *letters, const uint64_t a[6])
{
    unsigned count = (unsigned)strcspn(letters, "@");
    const char *open = strstr(letters, "Oo"), *command = strchr(letters, 'k');
    if (open && !(a[open - letters] & (O_CREAT | (O_TMPFILE & ~O_DIRECTORY))))
        return count - 1;
    if (command && ((int)a[1] == F_GETFD || (int)a[1] == F_GETFL || (int)a[1] == F_GETOWN ||
                    (int)a[1] == F_GETSIG || (int)a[1] == F_GETPIPE_SZ || (int)a[1] == F_GET_SEALS))
        return 2;
    if (letters[0] == 'p' && letters[1] == 'F' && !(a[1] & 126))
        return a[1] & 1 ? 3 : 4; /* FUTEX_WAKE, FUTEX_WAIT */
    return count;
}

unsigned strace_first_out(const char *letters, unsigned count)
{
    return MIN((unsigned)strcspn(letters, "BSTPn2"), count);
}

void strace_args(GString *out, const char *letters, const uint64_t a[6], unsigned first,
                 unsigned end, bool done, int64_t result)
{
    for (unsigned i = first; i < end; i++) {
        g_string_append(out, i ? ", " : "");
        /* an argument that says how long the one before is may be the last */
        uint64_t two[7] = { 0 };
        memcpy(two, a, 6 * sizeof *a);
        argument(out, letters, i, two, done, result);
    }
}

void strace_info(GString *out, const siginfo_t *info)
{
    g_string_append(out, "{si_signo=");
    strace_signal_name(out, info->si_signo);
    g_string_append(out, ", si_code=");
    strace_code_name(out, info->si_signo, info->si_code);
    bool fault = info->si_signo == SIGSEGV || info->si_signo == SIGBUS || info->si_signo == SIGILL ||
                 info->si_signo == SIGFPE || info->si_signo == SIGTRAP;
    if (info->si_code == SI_TIMER)
        g_string_append_printf(out, ", si_timerid=%d, si_overrun=%d", info->si_timerid,
                               info->si_overrun);
    else if (fault && info->si_code > 0)
        g_string_append_printf(out, ", si_addr=0x%" PRIx64, (uint64_t)(uintptr_t)info->si_addr);
    else if (info->si_code != SI_KERNEL)
        g_string_append_printf(out, ", si_pid=%d, si_uid=%u", (int)info->si_pid, info->si_uid);
    if (info->si_signo == SIGCHLD && info->si_code > 0 && info->si_code != SI_KERNEL) {
        g_string_append(out, ", si_status=");
        if (info->si_code == CLD_EXITED)
            g_string_append_printf(out, "%d", info->si_status);
        else
            strace_signal_name(out, info->si_status);
    }
    if (info->si_code == SI_QUEUE)
        g_string_append_printf(out, ", si_value=0x%" PRIx64,
                               (uint64_t)(uintptr_t)info->si_value.sival_ptr);
    g_string_append_c(out, '}');
}
