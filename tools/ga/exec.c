/* SPDX-License-Identifier: MIT */
/*
 * guest-exec and guest-exec-status: a program runs, and its status is there until it has been asked
 * for once. capture-output is a word, too, as in later versions of qemu-ga. A host that never asks
 * cannot fill our memory: of those that have ended, the oldest are forgotten.
 */
#include "process.h"

#include <json-c/json.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>

enum {
    MOST_CAPTURED = 16 << 20,      /* bytes of each output, as in qemu-ga */
    MOST_KEPT = 1024,              /* programs that have ended */
    MOST_KEPT_BYTES = 128 << 20,   /* of their outputs, all in all */
    MOST_RUNNING = 256,
};

struct GaExecs {
    GPtrArray *all; /* of GaProcess, the oldest first */
};

static struct GaExecs *execs_of(Ga *ga)
{
    if (!ga->execs) {
        ga->execs = g_new0(struct GaExecs, 1);
        ga->execs->all = g_ptr_array_new_with_free_func((GDestroyNotify)ga_process_free);
    }
    return ga->execs;
}

/* Programs that run are not ended with us, as those of qemu-ga are not. */
void ga_execs_free(Ga *ga, struct GaExecs *e)
{
    if (e)
        g_ptr_array_unref(e->all);
    g_free(e);
    ga_process_forget(ga);
}

static size_t size_of(const GaProcess *p)
{
    return p->out.bytes->len + p->err.bytes->len;
}

static bool make_room(struct GaExecs *e, GError **error)
{
    unsigned running = 0, ended = 0;
    size_t bytes = 0;
    for (unsigned i = 0; i < e->all->len; i++) {
        const GaProcess *p = e->all->pdata[i];
        *(ga_process_done(p) ? &ended : &running) += 1;
        bytes += size_of(p);
    }
    if (running >= MOST_RUNNING) {
        ga_fail(error, "Guest agent command failed, error was '%u programs are running already'",
                running);
        return false;
    }
    for (unsigned i = 0; i < e->all->len && (ended >= MOST_KEPT || bytes > MOST_KEPT_BYTES);) {
        const GaProcess *p = e->all->pdata[i];
        if (!ga_process_done(p)) {
            i++;
            continue;
        }
        ended--;
        bytes -= size_of(p);
        g_ptr_array_remove_index(e->all, i);
    }
    return true;
}

static struct json_object *run(void *opaque, struct json_object *args, GError **error)
{
    Ga *ga = opaque;
    struct GaExecs *e = execs_of(ga);
    g_auto(GStrv) arg = agent_strings(args, "arg");
    g_auto(GStrv) env = agent_strings(args, "env");
    g_autofree uint8_t *input = NULL;
    size_t len = 0;
    GaProgram program = { .path = agent_string(args, "path"), .args = arg,
                          .env = agent_has(args, "env") ? env : NULL,
                          .input = agent_has(args, "input-data"),
                          .most = MOST_CAPTURED };
    if (agent_is_word(args, "capture-output"))
        program.capture = (GaCapture)agent_word(args, "capture-output", ga_captures, 0);
    else if (agent_bool(args, "capture-output", false))
        program.capture = GA_CAPTURE_SEPARATED;
    if (program.input && !(input = agent_base64(args, "input-data", &len, error)))
        return NULL;
    if (!make_room(e, error))
        return NULL;
    GaProcess *p = ga_process_start(ga, &program, error);
    if (!p)
        return NULL;
    if (program.input)
        ga_process_write(p, input, len, true);
    g_ptr_array_add(e->all, p);
    struct json_object *o = json_object_new_object();
    agent_put_int(o, "pid", p->pid);
    return o;
}

static void put_output(struct json_object *o, const GaPipe *pipe, const char *data,
                       const char *truncated)
{
    if (!pipe->bytes->len)
        return;
    agent_put_base64(o, data, pipe->bytes->data, pipe->bytes->len);
    agent_put_bool(o, truncated, pipe->truncated);
}

static struct json_object *status(void *opaque, struct json_object *args, GError **error)
{
    Ga *ga = opaque;
    struct GaExecs *e = execs_of(ga);
    int64_t pid = agent_int(args, "pid", 0);
    GaProcess *p = NULL;
    for (unsigned i = e->all->len; i-- && !p;) /* the youngest: process IDs come again */
        if (((GaProcess *)e->all->pdata[i])->pid == pid)
            p = e->all->pdata[i];
    if (!p)
        return ga_fail(error, "Invalid parameter 'pid'");
    ga_process_look(p);
    struct json_object *o = json_object_new_object();
    bool done = ga_process_done(p);
    agent_put_bool(o, "exited", done);
    if (!done)
        return o;
    if (WIFEXITED(p->status))
        agent_put_int(o, "exitcode", WEXITSTATUS(p->status));
    else
        agent_put_int(o, "signal", WTERMSIG(p->status));
    put_output(o, &p->out, "out-data", "out-truncated");
    put_output(o, &p->err, "err-data", "err-truncated");
    g_ptr_array_remove(e->all, p);
    return o;
}

static const AgentArg exec_args[] = {
    { .name = "path", .type = AGENT_STRING },
    { .name = "arg", .type = AGENT_STRINGS, .optional = true },
    { .name = "env", .type = AGENT_STRINGS, .optional = true },
    { .name = "input-data", .type = AGENT_STRING, .optional = true },
    { .name = "capture-output", .type = AGENT_BOOL_OR_WORD, .optional = true, .words = ga_captures,
      .either = "boolean" },
    { 0 }
};
static const AgentArg status_args[] = { { .name = "pid", .type = AGENT_INT }, { 0 } };

const AgentCommand ga_exec_commands[] = {
    { .name = "guest-exec-status", .args = status_args, .run = status },
    { .name = "guest-exec", .args = exec_args, .run = run },
    { 0 }
};
