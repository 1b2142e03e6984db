/* SPDX-License-Identifier: MIT */
/*
 * What the parts of the agent share. main.c reads options (options.c, config.c), opens the channel
 * to the host (channel.c) and waits; commands are in one file a group, each with a table of them,
 * listed in commands.def. Everything happens on the main thread, in a loop of poll(); what takes
 * time (a command that runs, a freeze) is waited for there, too, by a GaWatch.
 */
#pragma once

#include "agent/agent.h"

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

struct json_object;

enum { GA_OK = 0, GA_FAILED = 1, GA_MISUSED = 2 };

typedef struct Ga Ga;

/* A descriptor, or a time, that the main loop waits for. */
typedef struct GaWatch {
    int fd;          /* -1: none */
    short events;    /* of poll() */
    int64_t due;     /* monotonic us; 0: none */
    /* The loop calls it when the descriptor has one of events or an error (revents) or the time has
     * come (revents 0). It may change or remove any watch. */
    void (*ready)(Ga *ga, struct GaWatch *watch, short revents);
    void *opaque;
    bool removed;    /* the loop's */
} GaWatch;

void ga_watch_add(Ga *ga, GaWatch *watch);    /* the caller's memory, until removed */
void ga_watch_remove(Ga *ga, GaWatch *watch); /* safe on one that is not there */

typedef struct {
    enum { GA_VIRTIO_SERIAL, GA_ISA_SERIAL, GA_UNIX_LISTEN, GA_VSOCK_LISTEN } method;
    char *path;
    char *log_file, *pid_file, *state_dir;
    char *freeze_hook;        /* NULL: none */
    unsigned freeze_timeout;  /* seconds until file systems thaw by themselves; 0: never */
    bool verbose, daemonize, retry;
    char **block, **allow;    /* names; NULL: not given */
    int inherited;            /* sockets that a service manager gave us: one or none */
} GaOptions;

typedef struct GaChannel GaChannel;

struct Ga {
    GaOptions options;
    Agent *agent;
    GaChannel *channel;
    const char *root;         /* in front of /proc, /sys and /etc, for tests; "" */
    GPtrArray *watches;       /* of GaWatch */
    const char *pid_file;     /* ours, to be removed; NULL: none */
    bool quit;
    bool frozen;              /* file systems are: nothing may be written that waits for them */
    int status;
    /* what groups of commands keep: made on first use, freed by the functions below */
    struct GaFiles *files;
    struct GaExecs *execs;
    struct GaStreams *streams;
    struct GaFreeze *freeze;
};

/* ---- groups of commands: tables, and what frees their state (NULL is fine) ------ */

#define GA_COMMANDS(group) extern const AgentCommand ga_##group##_commands[];
#include "commands.def"
#undef GA_COMMANDS

void ga_files_free(struct GaFiles *files);
void ga_execs_free(Ga *ga, struct GaExecs *execs);
void ga_streams_free(Ga *ga, struct GaStreams *streams);
/* Thaws. */
void ga_freeze_free(Ga *ga, struct GaFreeze *freeze);
/* At start: file systems that an agent before us left frozen are so still (state folder). */
void ga_freeze_restore(Ga *ga);

/* ---- helps ------------------------------------------------------------------------ */

/* A path below the root, newly allocated. fmt is absolute. */
char *ga_path(const Ga *ga, const char *fmt, ...) G_GNUC_PRINTF(2, 3);
/* A small file's text without its last newline; NULL: it cannot be read. */
char *ga_read(const Ga *ga, const char *fmt, ...) G_GNUC_PRINTF(2, 3);
/* An error of class GenericError; returns NULL, so that a command can return it. */
struct json_object *ga_fail(GError **error, const char *fmt, ...) G_GNUC_PRINTF(2, 3);
/* "text: " and the errno's. */
struct json_object *ga_fail_errno(GError **error, int err, const char *fmt, ...)
    G_GNUC_PRINTF(3, 4);
/* Runs a program with these arguments (argv[0] looked up in PATH, NULL at the end), its input from
 * a string (NULL: none), and waits; false with an error that has what it said when it does not end
 * with 0. */
bool ga_run(const char *const *argv, const char *input, GError **error);

/* Into the log; debug lines only with -v. */
void ga_log(const Ga *ga, const char *fmt, ...) G_GNUC_PRINTF(2, 3);
void ga_debug(const Ga *ga, const char *fmt, ...) G_GNUC_PRINTF(2, 3);

/* ---- main's parts ------------------------------------------------------------------ */

#define GA_PID_FILE "/var/run/qemu-ga.pid"
enum { GA_MAX_FREEZE = 24 * 3600 };

/* -1: go on; else how to exit. */
int ga_options(Ga *ga, int argc, char **argv);
void ga_options_clear(GaOptions *options);
/* Values of options that a key file has, too; names are added to those that are there. */
bool ga_method(GaOptions *options, const char *word, GError **error);
const char *ga_method_name(const GaOptions *options);
bool ga_freeze_timeout(GaOptions *options, const char *text, GError **error);
void ga_add_names(char ***names, const char *text);
/* Reads [general] of a key file into options; the command line comes after it. */
bool ga_config_read(GaOptions *options, const char *file, bool must_exist, GError **error);
/* The options as a key file, on stdout. */
void ga_config_print(const GaOptions *options);
/* Opens the way to the host; with retry, or a device that is not there yet, it goes on trying. */
bool ga_channel_open(Ga *ga, GError **error);
void ga_channel_close(Ga *ga);
/* Writes the file with our process ID and, with that option, goes on in a child. Once the channel
 * is open. */
bool ga_daemonize(Ga *ga, GError **error);
void ga_daemon_end(Ga *ga);
/* The reply of an agent: bytes for the host. */
void ga_channel_send(void *opaque, const char *bytes, size_t len);
/* ga --connect: one command to the agent at that socket, its answer on stdout. */
int ga_connect(const char *program, const char *address, const char *command,
               const char *arguments);
