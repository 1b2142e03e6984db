/* SPDX-License-Identifier: MIT */
/* What people and scripts read: sizes, tables, JSON, progress, signals. */
#include "img.h"

#include <json-c/json.h>
#include <math.h>
#include <signal.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* ---- sizes and tables ------------------------------------------------------ */

char *img_human_size(uint64_t bytes)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    double value = (double)bytes;
    unsigned u = 0;

    for (; value >= 1000 && u + 1 < G_N_ELEMENTS(units); u++)
        value /= 1024;
    return g_strdup_printf("%.3g %s", value, units[u]);
}

static void print_one(const BlockSnapshot *s)
{
    g_autofree char *size = img_human_size(s->vm_state_size);
    char date[32], icount[24] = "";
    time_t seconds = (time_t)(s->date_ns / 1000000000);
    struct tm tm;
    int64_t clock = s->vm_clock_ns / 1000000000;

    localtime_r(&seconds, &tm);
    strftime(date, sizeof date, "%Y-%m-%d %H:%M:%S", &tm);
    if (s->icount >= 0)
        snprintf(icount, sizeof icount, "%" G_GINT64_FORMAT, s->icount);
    g_autofree char *vm_clock =
        g_strdup_printf("%02d:%02d:%02d.%03d", (int)(clock / 3600), (int)(clock / 60 % 60),
                        (int)(clock % 60), (int)(s->vm_clock_ns / 1000000 % 1000));
    printf("%-9s %-16s %8s%20s%13s%11s\n", s->id, s->name, size, date, vm_clock, icount);
}

void img_print_snapshots(const GArray *list)
{
    printf("Snapshot list:\n%-9s %-16s %8s%20s%13s%11s\n", "ID", "TAG", "VM SIZE", "DATE",
           "VM CLOCK", "ICOUNT");
    for (unsigned i = 0; i < list->len; i++)
        print_one(&g_array_index(list, BlockSnapshot, i));
}

/* ---- JSON ------------------------------------------------------------------- */

static void put_json(struct json_object *o, unsigned depth)
{
    bool first = true;

    if (json_object_is_type(o, json_type_object)) {
        printf("{");
        json_object_object_foreach(o, key, value) {
            struct json_object *text = json_object_new_string(key);
            printf("%s\n%*s%s: ", first ? "" : ",", 4 * (int)(depth + 1), "",
                   json_object_to_json_string_ext(text, JSON_C_TO_STRING_NOSLASHESCAPE));
            json_object_put(text);
            put_json(value, depth + 1);
            first = false;
        }
        printf("\n%*s}", 4 * (int)depth, "");
    } else if (json_object_is_type(o, json_type_array)) {
        printf("[");
        for (size_t i = 0; i < json_object_array_length(o); i++) {
            printf("%s\n%*s", i ? "," : "", 4 * (int)(depth + 1), "");
            put_json(json_object_array_get_idx(o, i), depth + 1);
        }
        printf("\n%*s]", 4 * (int)depth, "");
    } else {
        printf("%s", json_object_to_json_string_ext(o, JSON_C_TO_STRING_NOSLASHESCAPE));
    }
}

int img_print_json(Img *img, struct json_object *object)
{
    put_json(object, 0);
    printf("\n");
    return IMG_OK;
}

/* ---- progress and signals --------------------------------------------------- */

static volatile sig_atomic_t asked, stop;
static volatile time_t stopped;
static const char *volatile doomed;
static volatile sig_atomic_t hasty;

static void on_usr1(int n) { asked = 1; }

/* The first is heeded when it suits (some send it twice at once); one that is repeated later ends
 * it. */
static void on_stop(int n)
{
    if (!stop && !hasty) {
        stopped = time(NULL);
        stop = 1;
    } else if (hasty || time(NULL) > stopped + 1) {
        if (doomed)
            unlink(doomed);
        signal(n, SIG_DFL);
        raise(n);
    }
}

void img_stop_removes(const char *file, bool at_once)
{
    struct sigaction end = {.sa_handler = on_stop};

    doomed = file;
    hasty = at_once;
    sigaction(SIGINT, &end, NULL);
    sigaction(SIGTERM, &end, NULL);
}

bool img_interrupted(void)
{
    return stop;
}

static double since(const struct timespec *begun)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)(now.tv_sec - begun->tv_sec) + (double)(now.tv_nsec - begun->tv_nsec) / 1e9;
}

/* A line of an object; "size" is null while nobody knows it. */
static void show_json(const Img *img)
{
    g_autofree char *size =
        img->total ? g_strdup_printf("%" G_GUINT64_FORMAT, img->total) : g_strdup("null");

    fprintf(stderr, "{\"transferred\": %" G_GUINT64_FORMAT ", \"size\": %s, \"elapsed\": %.3f, "
            "\"description\": \"%s\"}\n", img->done, size, img->shown_when, img->verb);
}

static void show(Img *img, double percent)
{
    FILE *out = img->progress == IMG_PROGRESS_STDOUT ? stdout : stderr;

    img->shown = percent;
    img->shown_when = since(&img->begun);
    switch (img->progress) {
    case IMG_PROGRESS_NONE: break;
    case IMG_PROGRESS_JSON: show_json(img); break;
    case IMG_PROGRESS_FD: dprintf(img->progress_fd, "%d/100\n", (int)percent); break;
    default:
        fprintf(out, "    (%3.2f/100%%)\r", percent);
        fflush(out);
    }
}

void img_progress_begin(Img *img)
{
    struct sigaction usr1 = {.sa_handler = on_usr1, .sa_flags = SA_RESTART};
    struct sigaction end = {.sa_handler = on_stop};

    sigaction(SIGUSR1, &usr1, NULL);
    sigaction(SIGINT, &end, NULL);
    sigaction(SIGTERM, &end, NULL);
    if (img->quiet)
        img->progress = IMG_PROGRESS_NONE;
    clock_gettime(CLOCK_MONOTONIC, &img->begun);
    img->done = img->total = 0;
    img->shown = img->shown_when = 0;
    if (img->progress != IMG_PROGRESS_JSON)
        show(img, 0);
}

void img_progress(Img *img, uint64_t done, uint64_t total)
{
    double percent = total ? 100 * (double)done / (double)total : 0;

    img->done = done;
    img->total = total;
    if (asked && img->progress != IMG_PROGRESS_STDOUT) {
        asked = 0;
        fprintf(stderr, "    (%3.2f/100%%)\n", percent);
    }
    /* steps of one part in a hundred are enough for an eye, and few enough for a pipe */
    bool step = percent >= img->shown + 1 || (percent >= 100 && img->shown < 100);
    if (step || (img->progress == IMG_PROGRESS_JSON && since(&img->begun) >= img->shown_when + 1))
        show(img, percent);
}

static bool is_line(const Img *img)
{
    return img->progress == IMG_PROGRESS_STDOUT || img->progress == IMG_PROGRESS_BAR;
}

void img_progress_stop(Img *img)
{
    FILE *out = img->progress == IMG_PROGRESS_STDOUT ? stdout : stderr;

    if (is_line(img)) {
        fprintf(out, "\n");
        fflush(out);
    }
}

void img_progress_end(Img *img)
{
    img->total = img->done = MAX(img->total, img->done);
    if (is_line(img) || img->shown < 100)
        show(img, 100);
    img_progress_stop(img);
}
