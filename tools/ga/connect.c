/* SPDX-License-Identifier: MIT */
/*
 * ga --connect: one command to an agent, for people, scripts and tests. What was left in the
 * channel by others is got rid of first (guest-sync-delimited). A second guest-sync behind the
 * command tells when the command has no answer, as guest-shutdown has none.
 */
#include "ga.h"

#include "base/json.h"
#include "base/socket.h"

#include <errno.h>
#include <json-c/json.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { SYNC_MS = 10 * 1000, CONNECT_MS = 10 * 1000, LAST_MS = 1000 };

typedef struct {
    const char *program;
    int fd;
    JsonStream *stream;
    GPtrArray *answers; /* of json_object */
} Peer;

static int complain(const char *program, const char *fmt, ...) G_GNUC_PRINTF(2, 3);
static int complain(const char *program, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    g_autofree char *text = g_strdup_vprintf(fmt, ap);
    va_end(ap);
    fprintf(stderr, "%s: %s\n", program, text);
    return GA_FAILED;
}

static void take(void *opaque, struct json_object *value, const char *wrong)
{
    Peer *p = opaque;
    if (json_object_is_type(value, json_type_object))
        g_ptr_array_add(p->answers, value);
    else
        json_object_put(value); /* remains of an answer to somebody else */
}

static bool send_all(const Peer *p, const char *bytes, size_t len)
{
    while (len) {
        ssize_t n = send(p->fd, bytes, len, MSG_NOSIGNAL);
        if (n < 0 && errno != EINTR)
            return false;
        bytes += n > 0 ? n : 0;
        len -= n > 0 ? (size_t)n : 0;
    }
    return true;
}

/* The next answer, within ms (-1: any time); NULL: none, which has been said unless it is the last
 * one. */
static struct json_object *next(Peer *p, int ms)
{
    char buf[64 << 10];
    while (!p->answers->len) {
        struct pollfd one = { .fd = p->fd, .events = POLLIN };
        int r = poll(&one, 1, ms);
        if (r < 0 && errno == EINTR)
            continue;
        if (r == 0 && ms == LAST_MS)
            return NULL;
        if (r == 0)
            return complain(p->program, "no answer within %d seconds", ms / 1000), NULL;
        ssize_t n = r < 0 ? -1 : read(p->fd, buf, sizeof buf);
        if (n <= 0 && ms == LAST_MS)
            return NULL;
        if (n <= 0)
            return complain(p->program, "no answer: %s",
                            n ? g_strerror(errno) : "the agent is gone"), NULL;
        json_stream_feed(p->stream, buf, (size_t)n);
    }
    return g_ptr_array_steal_index(p->answers, 0);
}

static bool is_sync(struct json_object *answer, int64_t id)
{
    struct json_object *value;
    return json_object_object_get_ex(answer, "return", &value) &&
           json_object_is_type(value, json_type_int) &&
           json_object_get_int64(value) == id;
}

static bool ask_sync(const Peer *p, const char *how, int64_t id)
{
    g_autofree char *text =
        g_strdup_printf("{\"execute\": \"%s\", \"arguments\": {\"id\": %" G_GINT64_FORMAT "}}\n",
                                            how, id);
    return send_all(p, text, strlen(text));
}

static bool ask(const Peer *p, const char *command, struct json_object *arguments)
{
    struct json_object *request = json_object_new_object();
    g_autoptr(GString) text = g_string_new(NULL);
    json_object_object_add(request, "execute", json_object_new_string(command));
    if (arguments)
        json_object_object_add(request, "arguments", json_object_get(arguments));
    json_append(text, request);
    g_string_append_c(text, '\n');
    json_object_put(request);
    return send_all(p, text->str, text->len);
}

static int print_answer(struct json_object *answer)
{
    g_autoptr(GString) text = g_string_new(NULL);
    bool good = !json_object_object_get_ex(answer, "error", NULL);
    json_append(text, answer);
    puts(text->str);
    return fflush(stdout) || !good ? GA_FAILED : GA_OK;
}

static int talk(Peer *p, const char *command, struct json_object *arguments)
{
    struct json_object *answer = NULL;
    int64_t id = (int64_t)g_random_int_range(1, G_MAXINT) << 20 | g_random_int_range(0, 1 << 19);
    if (!send_all(p, "\xff", 1) || !ask_sync(p, "guest-sync-delimited", id))
        return complain(p->program, "%s", g_strerror(errno));
    do {
        json_object_put(answer);
        answer = next(p, SYNC_MS);
    } while (answer && !is_sync(answer, id));
    json_object_put(answer);
    if (!answer)
        return GA_FAILED;
    if (!ask(p, command, arguments) || !ask_sync(p, "guest-sync", id + 1))
        return complain(p->program, "%s", g_strerror(errno));
    answer = next(p, -1);
    if (!answer)
        return GA_FAILED;
    if (is_sync(answer, id + 1)) {
        json_object_put(answer);
        return GA_OK;
    }
    int status = print_answer(answer);
    json_object_put(answer);
    json_object_put(next(p, LAST_MS)); /* the last sync's, or the next one here would get it */
    return status;
}

/* A path, or an address as all tools write it. */
static SocketAddress *parse(const char *text, GError **error)
{
    return *text == '/' || *text == '.' || !strchr(text, ':') ? socket_address_unix(text) :
                                                               socket_address_parse(text, error);
}

static void put(gpointer o)
{
    json_object_put(o);
}

int ga_connect(const char *program, const char *address, const char *command, const char *arguments)
{
    g_autoptr(GError) error = NULL;
    struct json_object *args = arguments ? json_tokener_parse(arguments) : NULL;
    if (arguments && !json_object_is_type(args, json_type_object)) {
        json_object_put(args);
        complain(program, "the arguments are no JSON object: %s", arguments);
        return GA_MISUSED;
    }
    g_autoptr(SocketAddress) where = parse(address, &error);
    Peer p = { .program = program, .fd = where ? socket_connect(where, CONNECT_MS, &error) : -1 };
    int status = GA_FAILED;
    if (p.fd < 0) {
        complain(program, "%s", error->message);
    } else {
        p.answers = g_ptr_array_new_with_free_func(put);
        p.stream = json_stream_new(take, &p);
        status = talk(&p, command, args);
        json_stream_free(p.stream);
        g_ptr_array_unref(p.answers);
        close(p.fd);
    }
    json_object_put(args);
    return status;
}
