/* SPDX-License-Identifier: MIT */
/*
 * Programs that commands start and do not wait for: their input comes from a buffer and their
 * output goes into buffers while the main loop runs. Each has a session of its own, default
 * signals, and of descriptors only 0, 1 and 2.
 */
#pragma once

#include "ga.h"

#include <sys/types.h>

/* One end of a pipe to a program, and what waits on our side of it. */
typedef struct {
    GaWatch watch;    /* its fd is -1 once the pipe is closed */
    GByteArray *bytes;
    size_t at;        /* of input: written so far */
    size_t most;      /* of output: more is thrown away, or, with hold, left in the pipe */
    bool hold;
    bool truncated;   /* some was thrown away */
    bool last;        /* of input: closed when all is written */
} GaPipe;

typedef enum { GA_CAPTURE_NONE, GA_CAPTURE_STDOUT, GA_CAPTURE_STDERR, GA_CAPTURE_SEPARATED,
               GA_CAPTURE_MERGED } GaCapture;
extern const char *const ga_captures[]; /* words for these, NULL at the end */

typedef struct {
    Ga *ga;
    pid_t pid;
    GaPipe in, out, err;
    GaWatch end;      /* pidfd; where the kernel has none, a time */
    bool ended;
    int status;       /* of waitpid() */
} GaProcess;

typedef struct {
    const char *path;       /* without a slash: looked for in PATH, of env if it has one */
    char **args;            /* without the name */
    char **env;             /* all of it; NULL: ours */
    bool input;             /* there will be some; else it is /dev/null */
    GaCapture capture;
    size_t most;            /* bytes of each output */
    bool hold;
} GaProgram;

/* NULL with an error. */
GaProcess *ga_process_start(Ga *ga, const GaProgram *program, GError **error);
/* Forgets it: pipes are closed, and a program that goes on is reaped later. */
void ga_process_free(GaProcess *p);
/* The main loop has ended: nobody reaps any more. */
void ga_process_forget(Ga *ga);

/* What is in the input's buffer and not written. */
size_t ga_process_unread(const GaProcess *p);
void ga_process_write(GaProcess *p, const void *bytes, size_t len, bool last);
/* Room was made in what is held: reading goes on. */
void ga_process_took(GaProcess *p);
/* It has ended and its captured outputs are closed. */
/* Sees now what the main loop would see later, and waits a moment for the program's end: who asks
 * for it asks again at once if not, and keeps the processor from it. Not with hold. */
void ga_process_look(GaProcess *p);
bool ga_process_done(const GaProcess *p);
