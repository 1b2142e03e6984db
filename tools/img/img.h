/* SPDX-License-Identifier: MIT */
/*
 * What the verbs of img share. A verb is one file with one function and one line in verbs.def; it
 * gets its own arguments and returns the exit status. Messages go through img_fail and img_warn,
 * output to stdout. One graph, one thread.
 */
#pragma once

#include "block/block.h"
#include "block/image.h"
#include "block/jobs/jobs.h"

#include <getopt.h>
#include <stdio.h>
#include <time.h>

typedef enum {
    IMG_PROGRESS_NONE, IMG_PROGRESS_STDOUT, IMG_PROGRESS_BAR, IMG_PROGRESS_JSON, IMG_PROGRESS_FD
} ImgProgress;

typedef struct Img {
    const char *name; /* we were called: "img" or "qemu-img" */
    bool compatible;  /* qemu-img: its texts and its exit codes */
    const char *verb;
    BlockGraph *graph;
    struct CryptoObjects *objects; /* of --object */
    bool quiet;       /* -q: nothing but errors */
    bool probed_raw;  /* a guess has been warned of */
    ImgProgress progress;
    int progress_fd;          /* IMG_PROGRESS_FD */
    uint64_t done, total;     /* as last told */
    double shown, shown_when; /* last: percent, and seconds since begun */
    struct timespec begun;
} Img;

enum { IMG_OK = 0, IMG_FAILED = 1, IMG_MISUSED = 2 };

typedef int ImgVerb(Img *img, int argc, char **argv);
#define IMG_VERB(name, usage, summary) ImgVerb img_##name;
#include "verbs.def"
#undef IMG_VERB

/* ---- messages: all return IMG_FAILED (or IMG_MISUSED; 1 as qemu-img) ------ */

int img_fail(Img *img, const char *fmt, ...) G_GNUC_PRINTF(2, 3);
/* The text of error, which is freed; with a "hint:" line if it has one. */
int img_error(Img *img, GError *error);
int img_misused(Img *img, const char *fmt, ...) G_GNUC_PRINTF(2, 3);
void img_warn(Img *img, const char *fmt, ...) G_GNUC_PRINTF(2, 3);
/* Unless -q. */
void img_say(Img *img, const char *fmt, ...) G_GNUC_PRINTF(2, 3);

/* ---- options that many verbs have ----------------------------------------- */

/* Values of long options without a letter. */
enum {
    IMG_OPT_OBJECT = 256,
    IMG_OPT_IMAGE_OPTS,
    IMG_OPT_OUTPUT,
    IMG_OPT_FORCE,
    IMG_OPT_PROGRESS,
    IMG_OPT_OWN /* a verb's own begin here */
};

typedef struct ImgCommon {
    const char *format, *cache; /* -f, -t */
    bool image_opts, share, json, help;
} ImgCommon;

/* Of a table: what every verb may have; a verb adds its own behind. */
#define IMG_LONG_COMMON                                                                            \
    {"help", no_argument, NULL, 'h'}, {"object", required_argument, NULL, IMG_OPT_OBJECT},         \
        {"image-opts", no_argument, NULL, IMG_OPT_IMAGE_OPTS},                                     \
        {"output", required_argument, NULL, IMG_OPT_OUTPUT},                                       \
        {"force-share", no_argument, NULL, 'U'},                                                   \
    {                                                                                              \
        "quiet", no_argument, NULL, 'q'                                                            \
    }

/* Of those that take long: -p must be in their letters. */
#define IMG_LONG_PROGRESS {"progress", required_argument, NULL, IMG_OPT_PROGRESS}

/* Takes an option that getopt_long returned if it is one of the common ones: 1; 0: it is not; -1:
 * it is and is wrong, *status says how to exit (also after help). */
int img_common(Img *img, ImgCommon *common, int option, int *status);
/* The text for an option that getopt_long returned '?' or ':' for, or that the verb does not have.
 */
int img_bad_option(Img *img, int option, char **argv);

/* ---- images ---------------------------------------------------------------- */

/* Opens name (with image_opts: an option list) as format; cache is a word of block_cache_parse,
 * NULL: writeback. flags: BlockOpenFlags. NULL after a message. Returns a reference. */
BlockNode *img_open(Img *img, const char *name, const char *format, const char *cache,
                    unsigned flags, bool image_opts);
/* The same for an image just made with these creation options, whose secrets it needs. */
BlockNode *img_open_made(Img *img, const char *name, const char *format, const char *cache,
                         unsigned flags, struct json_object *made_with);
/* A user of node; NULL after a message. perm 0: reading. */
BlockUser *img_attach(Img *img, BlockNode *node, unsigned perm);
/* The same for both steps: *node and *user, to be given back with img_close. */
typedef struct ImgFile {
    BlockNode *node;
    BlockUser *user;
} ImgFile;
bool img_open_file(Img *img, ImgFile *file, const char *name, const char *format, const char *cache,
                   unsigned flags, bool image_opts, unsigned perm);
/* Flushes what may be written; 0 or -errno. Safe on what was never opened. */
int img_close(ImgFile *file);
/* Shows a snapshot, "ID", "NAME" or "snapshot.id=ID,snapshot.name=NAME", in node's place; false
 * after a message. */
bool img_snapshot_load(Img *img, BlockNode *node, const char *which);
/* Reads a size as qemu-img does ("1.5G"); false after a message. */
bool img_size(Img *img, const char *text, const char *what, uint64_t *size);
/* A set of -o lists as one tree; NULL after a message. */
struct json_object *img_options(Img *img, const char *const *lists);
/* Of such a tree, by dotted path; NULL: not given. */
const char *img_option_text(struct json_object *options, const char *path);
/* All dotted paths of it, newly allocated, added to names; prefix is put in front. */
void img_option_names(struct json_object *options, const char *prefix, GPtrArray *names);
/* Whether format can be created with all of them; else false after a message (about file, if not
 * NULL). */
bool img_options_known(Img *img, const char *file, const char *format, struct json_object *options);

/* ---- standard input and output as disks --------------------------------------- */

typedef struct ImgPipe {
    bool is;
    BlockPipe pipe;
    uint8_t first[BLOCK_SECTOR]; /* what pipe.lead points to */
} ImgPipe;

/* Standard input: if it is a file from its beginning on, *file becomes a name that opens it, else
 * it is a pipe, of raw bytes. False after a message; format as of -f. */
bool img_pipe_in(Img *img, ImgPipe *pipe, const char **file, const char *format);
/* Standard output, which from then on nothing but the disk is written to. */
bool img_pipe_out(Img *img, ImgPipe *pipe);

/* ---- progress --------------------------------------------------------------- */

/* Shows how far it is while that changes, in the form that was asked for, or "    (xx.xx/100%)"
 * once after SIGUSR1. total 0: nobody knows. From any thread, one at a time. */
void img_progress_begin(Img *img);
void img_progress(Img *img, uint64_t done, uint64_t total);
/* All is done, and shown to be; or it ends here. */
void img_progress_end(Img *img);
void img_progress_stop(Img *img);
/* A signal asked us to stop (SIGINT, SIGTERM): what was begun is to be undone. */
bool img_interrupted(void);
/* Such a signal, if it is repeated a second later or at once, ends the program, after removing file
 * (NULL: nothing), whose name has to last. */
void img_stop_removes(const char *file, bool at_once);

/* ---- text ------------------------------------------------------------------- */

/* "1 GiB", three significant digits. Caller frees. */
char *img_human_size(uint64_t bytes);
/* The table of snapshots. */
void img_print_snapshots(const GArray *list);
/* An object as JSON on stdout, as qemu-img lays it out. */
int img_print_json(Img *img, struct json_object *object);
