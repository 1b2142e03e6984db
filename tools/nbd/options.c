/* SPDX-License-Identifier: MIT */
/* The command line, the same under both names; what differs are defaults: qemu-nbd serves one
 * client on TCP and then ends, nbd serves all that come on a socket of its own until it is told to
 * stop. */
#include "tool.h"

#include "base/error.h"
#include "base/option.h"
#include "base/size.h"
#include "nbd/nbd.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>

enum { OBJECT = 256, TLS_CREDS, TLS_AUTHZ, TLS_HOSTNAME, FORK, PID_FILE, SELINUX, CACHE, AIO, DISCARD, DETECT,
       IMAGE_OPTS, RUN, WITH_PARENT, BLOCKDEV, EXPORT, HANDSHAKE, JSON, NO_SANDBOX };

static const struct option longs[] = {
    { "help", no_argument, NULL, 'h' }, { "version", no_argument, NULL, 'V' },
    { "port", required_argument, NULL, 'p' }, { "bind", required_argument, NULL, 'b' },
    { "socket", required_argument, NULL, 'k' }, { "shared", required_argument, NULL, 'e' },
    { "persistent", no_argument, NULL, 't' }, { "verbose", no_argument, NULL, 'v' },
    { "export-name", required_argument, NULL, 'x' }, { "description", required_argument, NULL, 'D' },
    { "offset", required_argument, NULL, 'o' }, { "allocation-depth", no_argument, NULL, 'A' },
    { "bitmap", required_argument, NULL, 'B' }, { "list", no_argument, NULL, 'L' },
    { "object", required_argument, NULL, OBJECT }, { "tls-creds", required_argument, NULL, TLS_CREDS },
    { "tls-authz", required_argument, NULL, TLS_AUTHZ }, { "tls-hostname", required_argument, NULL, TLS_HOSTNAME },
    { "trace", required_argument, NULL, 'T' }, { "fork", no_argument, NULL, FORK },
    { "pid-file", required_argument, NULL, PID_FILE }, { "selinux-label", required_argument, NULL, SELINUX },
    { "connect", required_argument, NULL, 'c' }, { "disconnect", no_argument, NULL, 'd' },
    { "format", required_argument, NULL, 'f' }, { "read-only", no_argument, NULL, 'r' },
    { "snapshot", no_argument, NULL, 's' }, { "load-snapshot", required_argument, NULL, 'l' },
    { "nocache", no_argument, NULL, 'n' }, { "cache", required_argument, NULL, CACHE },
    { "aio", required_argument, NULL, AIO }, { "discard", required_argument, NULL, DISCARD },
    { "detect-zeroes", required_argument, NULL, DETECT }, { "image-opts", no_argument, NULL, IMAGE_OPTS },
    { "run", required_argument, NULL, RUN }, { "exit-with-parent", no_argument, NULL, WITH_PARENT },
    { "blockdev", required_argument, NULL, BLOCKDEV }, { "export", required_argument, NULL, EXPORT },
    { "handshake-limit", required_argument, NULL, HANDSHAKE }, { "json", no_argument, NULL, JSON },
    { "no-sandbox", no_argument, NULL, NO_SANDBOX },
    { NULL, 0, NULL, 0 }
};

int tool_help(const Tool *tool)
{
    const char *n = tool->voice.name;
    if (tool->voice.compatible)
        printf("%s version 7.0.0 (Lathe " LATHE_VERSION ")\n", n);
    else
        printf("%s (Lathe) " LATHE_VERSION "\n", n);
    printf("usage: %s [export] [OPTIONS] IMAGE...      serves disk images over NBD\n"
           "       %s list [OPTIONS] [URI]  or -L       shows what a server exports\n"
           "       %s -c DEVICE|auto [OPTIONS] IMAGE   makes an image a block device\n"
           "       %s -d DEVICE                        takes it away\n\n", n, n, n, n);
    puts("  -k, --socket=PATH       listen on this Unix socket      -p, --port=PORT  TCP port [10809]\n"
         "  -b, --bind=ADDRESS      listen on TCP here              -e, --shared=N   clients at once, 0: any\n"
         "  -t, --persistent        go on when the last has left    -x, --export-name=NAME\n"
         "  -D, --description=TEXT  of the export                   -o, --offset=BYTES  of the image\n"
         "  -A, --allocation-depth  tell how deep data lies         -B, --bitmap=NAME   tell what is dirty\n"
         "  -f, --format=FORMAT     of the image                    -r, --read-only\n"
         "  -s, --snapshot          writes go to a temporary file   -l, --load-snapshot=NAME\n"
         "  -n, --nocache           --cache=none                    --cache=MODE        as of img\n"
         "  --aio=MODE  --discard=ignore|unmap  --detect-zeroes=off|on|unmap  --image-opts\n"
         "  --object=TYPE,id=ID,... secret, tls-creds-x509, tls-creds-psk, authz-list and others\n"
         "  --tls-creds=ID  --tls-authz=ID  --tls-hostname=NAME (for list)\n"
         "  --run='CMD \"$uri\"'      serve it to this command, end with its status\n"
         "  --fork  --pid-file=PATH  --exit-with-parent  --selinux-label=LABEL\n"
         "  --blockdev=NODE         several, with --export=node-name=NODE,name=NAME,writable=on\n"
         "  --handshake-limit=SECONDS [10]  --no-sandbox  --json (of list)  -v, --verbose\n"
         "  -h, --help  -V, --version\n\nExamples:");
    printf("  %s -r -f qcow2 disk.qcow2 --run 'nbdcopy \"$uri\" -'\n"
           "  %s -k /run/d.sock -e 0 -t -x disk --fork --pid-file=/run/d.pid disk.qcow2\n", n, n);
    return fflush(stdout) ? VOICE_FAILED : 0;
}

static int version(const Tool *tool)
{
    if (tool->voice.compatible)
        printf("%s 7.0.0 (Lathe " LATHE_VERSION ")\n", tool->voice.name);
    else
        printf("%s (Lathe) " LATHE_VERSION "\n", tool->voice.name);
    return fflush(stdout) ? VOICE_FAILED : 0;
}

static int bad_option(const Tool *tool, char **argv)
{
    const char *word = argv[optind - 1], *names[G_N_ELEMENTS(longs)] = { NULL };
    for (unsigned i = 0; longs[i].name; i++)
        names[i] = longs[i].name;
    if (optopt)
        for (unsigned i = 0; longs[i].name; i++)
            if (longs[i].val == optopt)
                return voice_misused(&tool->voice, "option '%s' requires an argument", word);
    if (!g_str_has_prefix(word, "--"))
        return voice_misused(&tool->voice, "invalid option -- '%c'", optopt ? optopt : '?');
    g_autofree char *bare = g_strndup(word + 2, strcspn(word + 2, "="));
    const char *near = option_nearest(bare, names);
    if (near)
        return voice_misused(&tool->voice, "unrecognized option '%s' (did you mean '--%s'?)", word, near);
    return voice_misused(&tool->voice, "unrecognized option '%s'", word);
}

/* Secrets, credentials and authorizations at once; what belongs to the graph later. */
static int add_object(Tool *tool, const char *text)
{
    GError *error = NULL;
    if (g_str_has_prefix(text, "throttle-group,") ||
        g_str_has_prefix(text, "qom-type=throttle-group,")) {
        g_ptr_array_add(tool->throttle_groups, (gpointer)text);
        return -1;
    }
    return crypto_objects_add(tool->objects, text, &error) ? -1 : voice_error(&tool->voice, error);
}

static int number(const Tool *tool, const char *what, guint64 max, guint64 *value)
{
    if (g_ascii_string_to_unsigned(optarg, 10, 0, max, value, NULL))
        return -1;
    return voice_misused(&tool->voice, "Invalid %s '%s'", what, optarg);
}

static int take_where(Tool *t, int option)
{
    guint64 n;
    int status;
    switch (option) {
    case 'p':
        status = number(t, "port number", 65535, &n);
        t->port = optarg;
        t->tcp = true;
        return status;
    case 'b': t->bind = optarg; t->tcp = true; break;
    case 'k':
        if (t->voice.compatible && *optarg != '/')
            return voice_fail(&t->voice, "socket path must be absolute");
        t->socket = optarg;
        break;
    case 'e':
        status = number(t, "shared device number", G_MAXINT, &n);
        t->shared = status < 0 ? (unsigned)n : 0;
        return status;
    case 't': t->persistent = true; break;
    case 'v': t->verbose = true; break;
    case 'T': break; /* tracing is accepted and not there */
    case FORK: t->fork = true; break;
    case PID_FILE: t->pid_file = optarg; break;
    case SELINUX: t->selinux_label = optarg; break;
    case RUN: t->run = optarg; break;
    case WITH_PARENT: t->exit_with_parent = true; break;
    case HANDSHAKE:
        status = number(t, "handshake limit", 86400, &n);
        t->handshake_ms = status < 0 && n ? (unsigned)n * 1000 : 86400000;
        return status;
    case NO_SANDBOX: t->no_sandbox = true; break;
    case TLS_CREDS: t->tls_creds = optarg; break;
    case TLS_AUTHZ: t->tls_authz = optarg; break;
    case TLS_HOSTNAME: t->tls_hostname = optarg; break;
    default: return -2;
    }
    return -1;
}

static int take_what(Tool *t, int option)
{
    GError *error = NULL;
    switch (option) {
    case 'x': t->export_name = optarg; break;
    case 'D': t->description = optarg; break;
    case 'A': t->depth = true; break;
    case 'B': g_ptr_array_add(t->bitmaps, optarg); break;
    case 'L': t->what = NBD_LIST; break;
    case 'c': t->what = NBD_CONNECT; t->device = optarg; break;
    case 'd': t->what = NBD_DISCONNECT; break;
    case 'f': t->format = optarg; break;
    case 'r': t->read_only = true; break;
    case 's': t->snapshot = true; break;
    case 'l': t->load_snapshot = optarg; t->read_only = true; break;
    case 'n':
    case CACHE:
        if (t->cache)
            return voice_misused(&t->voice, "-n and --cache can only be specified once");
        t->cache = option == 'n' ? "none" : optarg;
        break;
    case AIO: t->aio = optarg; break;
    case DISCARD: t->discard = optarg; break;
    case DETECT: t->detect_zeroes = optarg; break;
    case IMAGE_OPTS: t->image_opts = true; break;
    case OBJECT: return add_object(t, optarg);
    case BLOCKDEV: g_ptr_array_add(t->blockdevs, optarg); break;
    case EXPORT: g_ptr_array_add(t->exports, optarg); break;
    case JSON: t->json = true; break;
    case 'o':
        if (size_parse(optarg, &t->offset, &error))
            return -1;
        g_error_free(error);
        return voice_misused(&t->voice, "Invalid offset '%s'", optarg);
    default: return -2;
    }
    return -1;
}

/* ---- Whether they go together ----------------------------------------------- */

static int check_list(Tool *t)
{
    bool uri = !t->voice.compatible && t->images->len == 1 && nbd_is_uri(t->images->pdata[0]);
    if (t->images->len && !uri)
        return voice_misused(&t->voice, "List mode is incompatible with a file name");
    if (uri && (t->socket || t->tcp))
        return voice_misused(&t->voice, "a URI goes without -k, -b and -p");
    if (t->export_name || t->description || t->offset || t->depth || t->bitmaps->len)
        return voice_misused(&t->voice, "List mode is incompatible with export options");
    if (t->inherited || t->fork || t->run)
        return voice_misused(&t->voice, "List mode is incompatible with options of a server");
    return -1;
}

static int check_device(Tool *t)
{
    if (t->tls_creds)
        return voice_misused(&t->voice, "TLS is not supported when connecting host device");
    if (t->inherited || t->run || t->exports->len)
        return voice_misused(&t->voice,
                             "-c and -d do not go with sockets given to us, --run or --export");
    if (t->what == NBD_CONNECT)
        return t->images->len == 1 ? -1 : voice_misused(&t->voice, "Invalid number of arguments");
    if (t->images->len != 1)
        return voice_misused(&t->voice, "Invalid number of arguments");
    t->device = t->images->pdata[0];
    return -1;
}

static int check_serve(Tool *t)
{
    if (t->tls_hostname)
        return t->tls_creds
                   ? voice_misused(&t->voice, "TLS hostname is only supported in list mode")
                   : voice_misused(&t->voice,
                                   "--tls-hostname is not permitted without --tls-creds");
    if (t->inherited && (t->tcp || t->socket || t->fork || t->run))
        return voice_misused(&t->voice, "Unix socket, port, --fork and --run do not go with sockets that were given to us");
    if (t->socket && t->tcp)
        return voice_misused(&t->voice, "-k does not go with -p and -b");
    if (t->run && t->fork)
        return voice_misused(&t->voice, "--run and --fork do not go together");
    if (t->exports->len ? t->images->len || t->export_name : !t->images->len)
        return voice_misused(&t->voice, "Invalid number of arguments");
    bool several = t->images->len > 1;
    if (several &&
        (t->voice.compatible || t->export_name || t->offset || t->load_snapshot || t->bitmaps->len))
        return voice_misused(&t->voice, "Invalid number of arguments");
    if (t->image_opts && t->format)
        return voice_misused(&t->voice, "--image-opts and -f are mutually exclusive");
    return -1;
}

static int check(Tool *t)
{
    if (t->tls_hostname && !t->tls_creds)
        return voice_misused(&t->voice, "--tls-hostname is not permitted without --tls-creds");
    if (t->tls_authz && !t->tls_creds)
        return voice_misused(&t->voice, "--tls-authz is not permitted without --tls-creds");
    g_ptr_array_add(t->bitmaps, NULL);
    if (t->bitmaps->len == 1)
        g_ptr_array_set_size(t->bitmaps, 0);
    switch (t->what) {
    case NBD_LIST:
        return check_list(t);
    case NBD_SERVE:
        return check_serve(t);
    default:
        return check_device(t);
    }
}

int tool_options(Tool *t, int argc, char **argv)
{
    int option, status;
    t->shared = t->voice.compatible ? 1 : 0;
    t->persistent = !t->voice.compatible;
    if (argc > 1 && (!strcmp(argv[1], "export") || !strcmp(argv[1], "list"))) {
        t->what = !strcmp(argv[1], "list") ? NBD_LIST : NBD_SERVE;
        argv[1] = argv[0];
        argv++;
        argc--;
    }
    opterr = 0;
    while ((option = getopt_long(argc, argv, ":hVb:o:p:rsnc:dvk:e:f:tl:x:T:D:AB:L", longs, NULL)) !=
           -1) {
        if (option == 'h')
            return tool_help(t);
        if (option == 'V')
            return version(t);
        if (option == '?' || option == ':')
            return bad_option(t, argv);
        status = take_where(t, option);
        if (status == -2)
            status = take_what(t, option);
        if (status != -1)
            return status;
    }
    for (int i = optind; i < argc; i++)
        g_ptr_array_add(t->images, argv[i]);
    return check(t);
}
