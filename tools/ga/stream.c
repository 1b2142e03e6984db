/* SPDX-License-Identifier: MIT */
/*
 * lathe-exec-*, our additions, which guest-info does not show: a program whose output is read as it
 * comes, that gets input at any time, signals and a time limit, however much it says. Not all is
 * kept: a program that is read slowly waits at its pipe.
 *
 *   lathe-exec-start  path, [arg, env, input, capture-output, timeout-ms]  -> handle, pid
 *   lathe-exec-write  handle, [data, last]                                 -> count
 *   lathe-exec-read   handle, [wait-ms, count]  -> [out-data, err-data], exited, eof,
 *                                                  [exitcode | signal, timed-out]
 *   lathe-exec-signal handle, signal, [group]
 *   lathe-exec-close  handle
 *
 * lathe-exec-write takes what there is room for and says how much that was. lathe-exec-read waits
 * until something has come; eof says that nothing will come any more. lathe-exec-close ends what
 * still runs. A program that is out of time gets SIGTERM, and SIGKILL some seconds later, and so
 * does all of its session that kept its process group.
 */
#include "loop.h"
#include "process.h"

#include <errno.h>
#include <json-c/json.h>
#include <signal.h>
#include <sys/wait.h>

enum {
    MOST_STREAMS = 64,
    FIRST_HANDLE = 1,
    MOST_HELD = 1 << 20,             /* bytes of each output, and of input */
    MOST_WAIT = 10 * 1000,           /* ms */
    GRACE = 5 * 1000 * 1000,         /* us between SIGTERM and SIGKILL */
    MOST_TIMEOUT = 7 * 24 * 3600 * 1000, /* ms */
};

typedef struct {
    int64_t handle;
    GaProcess *process;
    GaWatch limit; /* its time is up */
    bool timed_out;
} Stream;

struct GaStreams {
    GPtrArray *all; /* of Stream, the oldest first */
    int64_t next;
};

static void send_signal(const Stream *s, int signal_number, bool group)
{
    if (!s->process->ended)
        kill(group ? -s->process->pid : s->process->pid, signal_number);
}

static void stream_free(Stream *s)
{
    ga_watch_remove(s->process->ga, &s->limit);
    send_signal(s, SIGKILL, true);
    ga_process_free(s->process);
    g_free(s);
}

static struct GaStreams *streams_of(Ga *ga)
{
    if (!ga->streams) {
        ga->streams = g_new0(struct GaStreams, 1);
        ga->streams->all = g_ptr_array_new_with_free_func((GDestroyNotify)stream_free);
        ga->streams->next = FIRST_HANDLE;
    }
    return ga->streams;
}

void ga_streams_free(Ga *ga, struct GaStreams *streams)
{
    if (streams)
        g_ptr_array_unref(streams->all);
    g_free(streams);
    ga_process_forget(ga);
}

static Stream *find(Ga *ga, struct json_object *args, GError **error)
{
    struct GaStreams *all = streams_of(ga);
    int64_t handle = agent_int(args, "handle", 0);
    for (unsigned i = 0; i < all->all->len; i++)
        if (((Stream *)all->all->pdata[i])->handle == handle)
            return all->all->pdata[i];
    ga_fail(error, "handle '%" G_GINT64_FORMAT "' has not been found", handle);
    return NULL;
}

/* A member within 0 and most, or false with an error. */
static bool number(struct json_object *args, const char *name, int64_t most, int64_t *value,
                   GError **error)
{
    *value = agent_int(args, name, *value);
    if (*value >= 0 && *value <= most)
        return true;
    ga_fail(error, "value '%" G_GINT64_FORMAT "' is invalid for argument %s", *value, name);
    return false;
}

static void on_limit(Ga *ga, GaWatch *watch, short revents)
{
    Stream *s = watch->opaque;
    if (s->process->ended)
        return;
    send_signal(s, s->timed_out ? SIGKILL : SIGTERM, true);
    if (!s->timed_out)
        watch->due = g_get_monotonic_time() + GRACE;
    s->timed_out = true;
}

/* Of programs that have ended the oldest is forgotten, as its host seems to have done, too. */
static bool make_room(struct GaStreams *all, GError **error)
{
    for (unsigned i = 0; i < all->all->len && all->all->len >= MOST_STREAMS; i++)
        if (((Stream *)all->all->pdata[i])->process->ended)
            g_ptr_array_remove_index(all->all, i--);
    if (all->all->len < MOST_STREAMS)
        return true;
    ga_fail(error, "%d programs are running already", MOST_STREAMS);
    return false;
}

static struct json_object *start(void *opaque, struct json_object *args, GError **error)
{
    Ga *ga = opaque;
    struct GaStreams *all = streams_of(ga);
    g_auto(GStrv) arg = agent_strings(args, "arg");
    g_auto(GStrv) env = agent_strings(args, "env");
    int64_t timeout = 0;
    GaProgram program = {
        .path = agent_string(args, "path"), .args = arg, .env = agent_has(args, "env") ? env : NULL,
        .input = agent_bool(args, "input", false), .most = MOST_HELD, .hold = true,
        .capture = (GaCapture)agent_word(args, "capture-output", ga_captures, GA_CAPTURE_SEPARATED),
    };
    if (!number(args, "timeout-ms", MOST_TIMEOUT, &timeout, error) || !make_room(all, error))
        return NULL;
    GaProcess *p = ga_process_start(ga, &program, error);
    if (!p)
        return NULL;
    Stream *s = g_new0(Stream, 1);
    s->process = p;
    s->handle = all->next++;
    s->limit = (GaWatch){ .fd = -1, .ready = on_limit, .opaque = s };
    if (timeout) {
        s->limit.due = g_get_monotonic_time() + timeout * 1000;
        ga_watch_add(ga, &s->limit);
    }
    g_ptr_array_add(all->all, s);
    struct json_object *o = json_object_new_object();
    agent_put_int(o, "handle", s->handle);
    agent_put_int(o, "pid", p->pid);
    return o;
}

static struct json_object *write_run(void *opaque, struct json_object *args, GError **error)
{
    Stream *s = find(opaque, args, error);
    g_autofree uint8_t *bytes = NULL;
    size_t len = 0;
    if (!s || (agent_has(args, "data") && !(bytes = agent_base64(args, "data", &len, error))))
        return NULL;
    if (s->process->in.watch.fd < 0 || s->process->in.last)
        return ga_fail(error, "the program's input is closed");
    size_t room = MOST_HELD - MIN(ga_process_unread(s->process), (size_t)MOST_HELD);
    size_t taken = MIN(len, room);
    ga_process_write(s->process, bytes, taken, taken == len && agent_bool(args, "last", false));
    struct json_object *o = json_object_new_object();
    agent_put_int(o, "count", (int64_t)taken);
    return o;
}

static bool something(const GaProcess *p)
{
    return p->out.bytes->len || p->err.bytes->len || ga_process_done(p);
}

/* Moves up to count bytes; what is left of count. */
static size_t put_output(struct json_object *o, GaPipe *pipe, const char *name, size_t count)
{
    size_t n = MIN(count, pipe->bytes->len);
    if (n) {
        agent_put_base64(o, name, pipe->bytes->data, n);
        g_byte_array_remove_range(pipe->bytes, 0, (unsigned)n);
    }
    return count - n;
}

static struct json_object *read_run(void *opaque, struct json_object *args, GError **error)
{
    Ga *ga = opaque;
    int64_t wait = 0, count = 2 * MOST_HELD;
    Stream *s = find(ga, args, error);
    if (!s || !number(args, "wait-ms", MOST_WAIT, &wait, error) ||
        !number(args, "count", 2 * MOST_HELD, &count, error))
        return NULL;
    GaProcess *p = s->process;
    int64_t until = g_get_monotonic_time() + wait * 1000, left = wait;
    /* The channel runs no command meanwhile, so s stays. */
    while (!something(p) && !ga->quit && left > 0 && ga_loop_once(ga, (int)left))
        left = (until - g_get_monotonic_time() + 999) / 1000;
    struct json_object *o = json_object_new_object();
    put_output(o, &p->err, "err-data", put_output(o, &p->out, "out-data", (size_t)count));
    ga_process_took(p);
    agent_put_bool(o, "exited", p->ended);
    if (p->ended && WIFEXITED(p->status))
        agent_put_int(o, "exitcode", WEXITSTATUS(p->status));
    else if (p->ended)
        agent_put_int(o, "signal", WTERMSIG(p->status));
    if (s->timed_out)
        agent_put_bool(o, "timed-out", true);
    agent_put_bool(o, "eof", ga_process_done(p) && !p->out.bytes->len && !p->err.bytes->len);
    return o;
}

static struct json_object *signal_run(void *opaque, struct json_object *args, GError **error)
{
    Stream *s = find(opaque, args, error);
    int64_t n = 0;
    if (!s || !number(args, "signal", SIGRTMAX, &n, error))
        return NULL;
    if (s->process->ended)
        return ga_fail(error, "the program has ended");
    int pid = agent_bool(args, "group", true) ? -s->process->pid : s->process->pid;
    if (kill(pid, (int)n) < 0)
        return ga_fail_errno(error, errno, "signal %d", (int)n);
    return agent_nothing();
}

static struct json_object *close_run(void *opaque, struct json_object *args, GError **error)
{
    Ga *ga = opaque;
    Stream *s = find(ga, args, error);
    if (!s)
        return NULL;
    g_ptr_array_remove(ga->streams->all, s);
    return agent_nothing();
}

static const AgentArg start_args[] = {
    { .name = "path", .type = AGENT_STRING },
    { .name = "arg", .type = AGENT_STRINGS, .optional = true },
    { .name = "env", .type = AGENT_STRINGS, .optional = true },
    { .name = "input", .type = AGENT_BOOL, .optional = true },
    { .name = "capture-output", .type = AGENT_WORD, .optional = true, .words = ga_captures },
    { .name = "timeout-ms", .type = AGENT_INT, .optional = true },
    { 0 }
};
static const AgentArg write_args[] = {
    { .name = "handle", .type = AGENT_INT },
    { .name = "data", .type = AGENT_STRING, .optional = true },
    { .name = "last", .type = AGENT_BOOL, .optional = true }, { 0 }
};
static const AgentArg read_args[] = {
    { .name = "handle", .type = AGENT_INT },
    { .name = "wait-ms", .type = AGENT_INT, .optional = true },
    { .name = "count", .type = AGENT_INT, .optional = true }, { 0 }
};
static const AgentArg signal_args[] = {
    { .name = "handle", .type = AGENT_INT }, { .name = "signal", .type = AGENT_INT },
    { .name = "group", .type = AGENT_BOOL, .optional = true }, { 0 }
};
static const AgentArg handle_args[] = { { .name = "handle", .type = AGENT_INT }, { 0 } };

const AgentCommand ga_stream_commands[] = {
    { .name = "lathe-exec-start", .args = start_args, .run = start, .hidden = true },
    { .name = "lathe-exec-write", .args = write_args, .run = write_run, .hidden = true },
    { .name = "lathe-exec-read", .args = read_args, .run = read_run, .hidden = true },
    { .name = "lathe-exec-signal", .args = signal_args, .run = signal_run, .hidden = true },
    { .name = "lathe-exec-close", .args = handle_args, .run = close_run, .hidden = true },
    { 0 }
};
