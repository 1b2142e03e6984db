/* SPDX-License-Identifier: MIT */
/*
 * The command line: long options as virtiofsd in Rust has them, -o lists as the older one in C.
 * What differs by name are defaults: virtiofsd ends with its first client and announces no
 * submounts; fsd serves one client after the other.
 */
#include "tool.h"

#include "base/error.h"
#include "base/option.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>

enum { SOCKET_PATH = 256, SOCKET_GROUP, FD, SHARED_DIR, TAG, CAPABILITIES, SYSLOG, DAEMONIZE, RLIMIT, POOL, XATTR, XATTRMAP,
       POSIX_ACL, SECURITY_LABEL, SANDBOX, SECCOMP, SUBMOUNTS, NO_SUBMOUNTS, HANDLES, CACHE, NO_READDIRPLUS, WRITEBACK,
       DIRECT_IO, MODCAPS, LOG_LEVEL, KILLPRIV, NO_KILLPRIV, UID_MAP, GID_MAP, TRANSLATE_UID, TRANSLATE_GID, READONLY,
       NOATIME, ALLOW_MMAP, RUN, ONCE, PERSISTENT, NO_LANDLOCK, POSIX_LOCK, FLOCK, TIMEOUT, NOTIFY,
       NO_KEEPER };

static const struct option longs[] = {
    { "help", no_argument, NULL, 'h' }, { "version", no_argument, NULL, 'V' },
    { "socket-path", required_argument, NULL, SOCKET_PATH }, { "socket", required_argument, NULL, SOCKET_PATH },
    { "socket-group", required_argument, NULL, SOCKET_GROUP }, { "fd", required_argument, NULL, FD },
    { "shared-dir", required_argument, NULL, SHARED_DIR }, { "tag", required_argument, NULL, TAG },
    { "print-capabilities", no_argument, NULL, CAPABILITIES }, { "syslog", no_argument, NULL, SYSLOG },
    { "daemonize", no_argument, NULL, DAEMONIZE }, { "rlimit-nofile", required_argument, NULL, RLIMIT },
    { "thread-pool-size", required_argument, NULL, POOL }, { "xattr", no_argument, NULL, XATTR },
    { "xattrmap", required_argument, NULL, XATTRMAP }, { "posix-acl", no_argument, NULL, POSIX_ACL },
    { "security-label", no_argument, NULL, SECURITY_LABEL }, { "sandbox", required_argument, NULL, SANDBOX },
    { "seccomp", required_argument, NULL, SECCOMP }, { "announce-submounts", no_argument, NULL, SUBMOUNTS },
    { "no-announce-submounts", no_argument, NULL, NO_SUBMOUNTS },
    { "inode-file-handles", required_argument, NULL, HANDLES }, { "cache", required_argument, NULL, CACHE },
    { "no-readdirplus", no_argument, NULL, NO_READDIRPLUS }, { "writeback", no_argument, NULL, WRITEBACK },
    { "allow-direct-io", no_argument, NULL, DIRECT_IO }, { "modcaps", required_argument, NULL, MODCAPS },
    { "log-level", required_argument, NULL, LOG_LEVEL }, { "killpriv-v2", no_argument, NULL, KILLPRIV },
    { "no-killpriv-v2", no_argument, NULL, NO_KILLPRIV }, { "uid-map", required_argument, NULL, UID_MAP },
    { "gid-map", required_argument, NULL, GID_MAP }, { "translate-uid", required_argument, NULL, TRANSLATE_UID },
    { "translate-gid", required_argument, NULL, TRANSLATE_GID }, { "readonly", no_argument, NULL, READONLY },
    { "preserve-noatime", no_argument, NULL, NOATIME }, { "allow-mmap", no_argument, NULL, ALLOW_MMAP },
    { "run", required_argument, NULL, RUN }, { "once", no_argument, NULL, ONCE },
    { "persistent", no_argument, NULL, PERSISTENT }, { "no-landlock", no_argument, NULL, NO_LANDLOCK },
    { "posix-lock", no_argument, NULL, POSIX_LOCK }, { "flock", no_argument, NULL, FLOCK },
    { "timeout", required_argument, NULL, TIMEOUT }, { "notify", no_argument, NULL, NOTIFY },
    { "no-keeper", no_argument, NULL, NO_KEEPER },
    { NULL, 0, NULL, 0 }
};

static int help(const Tool *tool)
{
    printf("usage: %s [OPTIONS] [--shared-dir=DIR | DIR]    shares a directory with a virtual "
           "machine\n\n",
           tool->voice.name);
    puts("  --socket-path=PATH      listen on this Unix socket     --socket-group=GROUP  who may "
         "use it\n"
         "  --fd=N                  a socket that is open already  --tag=NAME            for front "
         "ends that ask\n"
         "  --shared-dir=DIR  -o source=DIR                        --readonly\n"
         "  --run='CMD $socket'     start this, end with its status\n"
         "  --once  --persistent    end with the first machine, or serve the next [--persistent]\n"
         "  --no-keeper             when this is killed, its machine is left alone, for the next "
         "to serve\n"
         "  --cache=MODE            never, auto, metadata, always [auto]\n"
         "  --timeout=SECONDS       how long names and attributes hold in the guest\n"
         "  --writeback  --no-readdirplus  --allow-direct-io  --allow-mmap  --preserve-noatime\n"
         "  --notify                changes of the host wake watchers in the guest, with "
         "fsd-notify(1) there\n"
         "  --xattr  --xattrmap=RULES  --posix-acl  --security-label  --posix-lock  --flock\n"
         "  --killpriv-v2  --no-killpriv-v2  --announce-submounts  --no-announce-submounts\n"
         "  --inode-file-handles=never|prefer|mandatory            [never]\n"
         "  --translate-uid=MAP  --translate-gid=MAP               TYPE:SOURCE:TARGET:COUNT\n"
         "  --uid-map=:NS:HOST:COUNT:  --gid-map=:NS:HOST:COUNT:   of our user namespace\n"
         "  --sandbox=namespace|chroot|none  --seccomp=kill|trap|log|none  --no-landlock  "
         "--modcaps=LIST\n"
         "  --rlimit-nofile=N  --thread-pool-size=N  --log-level=LEVEL  --syslog  --daemonize  -f  "
         "-d\n"
         "  -o LIST                 options as the older virtiofsd has them: cache=, xattr, "
         "timeout=...\n"
         "  --print-capabilities  -h, --help  -V, --version\n\nExamples:");
    printf("  %s --socket-path=/run/fs.sock --shared-dir=src\n"
           "  %s --fd=3 -o source=/srv/share,cache=always,xattr\n",
           tool->voice.name, tool->voice.name);
    return fflush(stdout) ? VOICE_FAILED : 0;
}

static int bad_option(const Tool *tool, char **argv)
{
    const char *word = argv[optind - 1], *names[G_N_ELEMENTS(longs)] = { NULL };
    for (unsigned i = 0; longs[i].name; i++)
        names[i] = longs[i].name;
    for (unsigned i = 0; optopt && longs[i].name; i++)
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

static bool number(const char *what, guint64 max, guint64 *value, GError **error)
{
    return g_ascii_string_to_unsigned(optarg, 10, 0, max, value, NULL) ||
           fail_usage(error, "%s '%s': want a number up to %" G_GUINT64_FORMAT, what, optarg, max);
}

static bool word_of(const char *what, const char *text, const char *const *words, int *value,
                    GError **error)
{
    for (int i = 0; words[i]; i++)
        if (!strcmp(words[i], text)) {
            *value = i;
            return true;
        }
    g_autofree char *all = g_strjoinv(", ", (char **)words);
    return fail_usage(error, "%s '%s': want one of %s", what, text, all);
}

bool tool_cache(Tool *t, const char *text, GError **error)
{
    static const char *const words[] = { "never", "auto", "always", "metadata", "none", NULL };
    int mode;
    if (!word_of("cache", text, words, &mode, error))
        return false;
    t->fuse.cache = mode == 4 ? FUSE_CACHE_NEVER : (FuseCache)mode;
    return true;
}

bool tool_sandbox(Tool *t, const char *text, GError **error)
{
    static const char *const words[] = { "namespace", "chroot", "none", NULL };
    int kind;
    if (!word_of("sandbox", text, words, &kind, error))
        return false;
    t->sandbox = (SandboxKind)kind;
    t->sandbox_given = true;
    return true;
}

bool tool_timeout(Tool *t, const char *text, GError **error)
{
    char *end;
    double seconds = g_ascii_strtod(text, &end);
    if (end == text || *end || !(seconds >= 0 && seconds < 1e9))
        return fail_usage(error, "timeout '%s': want seconds", text);
    t->fuse.has_timeout = true;
    t->fuse.timeout_ns = (uint64_t)(seconds * 1e9);
    return true;
}

/* Options of which only their being there counts. */
static bool take_switch(Tool *t, int option)
{
    switch (option) {
    case XATTR: t->fs.xattr = true; break;
    case POSIX_ACL: t->fs.posix_acl = t->fs.xattr = true; break;
    case SECURITY_LABEL: t->fuse.security_label = true; break;
    case SUBMOUNTS: t->fs.submounts = true; break;
    case NO_SUBMOUNTS: t->fs.submounts = false; break;
    case NO_READDIRPLUS: t->fuse.no_readdirplus = t->readdirplus_given = true; break;
    case WRITEBACK: t->fs.writeback = true; break;
    case DIRECT_IO: t->fs.direct_io = true; break;
    case KILLPRIV: t->fuse.killpriv_v2 = true; break;
    case NO_KILLPRIV: t->fuse.killpriv_v2 = false; break;
    case READONLY: t->fs.readonly = true; break;
    case POSIX_LOCK: t->fuse.posix_lock = true; break;
    case FLOCK: t->fuse.flock = true; break;
    case NO_KEEPER: t->no_keeper = true; break;
    case NOTIFY: t->fs.watch = t->fuse.notify = true; break;
    case ONCE: t->once = true; break;
    case PERSISTENT: t->persistent = true; break;
    case NO_LANDLOCK: t->no_landlock = true; break;
    case DAEMONIZE: t->daemonize = true; break;
    case 'd': t->verbose = true; break;
    case 'f': t->daemonize = false; break;
    case SYSLOG:
    case NOATIME:
    case ALLOW_MMAP: break; /* what they ask for is so anyway, or goes to standard error */
    default: return false;
    }
    return true;
}

static bool take_value(Tool *t, int option, GError **error)
{
    static const char *const handles[] = { "never", "prefer", "mandatory", NULL };
    static const char *const seccomp[] = { "none", "kill", "trap", "log", NULL };
    static const char *const levels[] = { "off",  "error", "err",   "warn",
                                          "info", "debug", "trace", NULL };
    guint64 n;
    int word;
    switch (option) {
    case SOCKET_PATH: t->socket_path = optarg; return true;
    case SOCKET_GROUP: t->socket_group = optarg; return true;
    case SHARED_DIR: t->shared_dir = optarg; return true;
    case TAG:
        t->tag = optarg;
        return (*optarg && strlen(optarg) <= 36) ||
               fail_usage(error, "tag '%s': want 1 to 36 bytes", optarg);
    case RUN: t->run = optarg; return true;
    case FD:
        if (!number("fd", G_MAXINT, &n, error))
            return false;
        t->fd = (int)n;
        return true;
    case RLIMIT:
        t->rlimit_given = true;
        return number("rlimit-nofile", G_MAXUINT32, &t->rlimit_nofile, error);
    case POOL: return number("thread-pool-size", 4096, &n, error); /* each queue has its thread */
    case XATTRMAP:
        g_free(t->xattrmap);
        t->xattrmap = g_strdup(optarg);
        return true;
    case CACHE: return tool_cache(t, optarg, error);
    case TIMEOUT: return tool_timeout(t, optarg, error);
    case SANDBOX: return tool_sandbox(t, optarg, error);
    case SECCOMP:
        if (!word_of("seccomp", optarg, seccomp, &word, error))
            return false;
        t->seccomp = (SandboxAction)word;
        return true;
    case HANDLES:
        if (!word_of("inode-file-handles", optarg, handles, &word, error))
            return false;
        t->fs.file_handles = (FsFileHandles)word;
        return true;
    case LOG_LEVEL:
        if (!word_of("log-level", optarg, levels, &word, error))
            return false;
        t->verbose = word >= 5;
        return true;
    case MODCAPS:
        g_free(t->modcaps);
        t->modcaps = g_strdup(optarg);
        return true;
    case UID_MAP: g_ptr_array_add(t->uid_map, optarg); return true;
    case GID_MAP: g_ptr_array_add(t->gid_map, optarg); return true;
    case TRANSLATE_UID:
        return fs_id_map_add(t->uids, optarg, error) || prefix(error, "translate-uid");
    case TRANSLATE_GID:
        return fs_id_map_add(t->gids, optarg, error) || prefix(error, "translate-gid");
    default: return tool_old_options(t, optarg, error);
    }
}

/* Whether they go together, and what follows from them. */
static int check(Tool *t)
{
    GError *error = NULL;
    if (!t->shared_dir)
        return voice_misused(&t->voice, "no directory to share: --shared-dir=DIR or -o source=DIR");
    int sources = (t->socket_path != NULL) + (t->fd >= 0) + (t->inherited > 0);
    if (!sources && !t->run)
        return voice_misused(&t->voice, "no socket: --socket-path=PATH or --fd=N");
    if (sources > 1 || (t->run && sources > (t->socket_path != NULL)))
        return voice_misused(&t->voice, "--socket-path, --fd, sockets given by a service manager "
                                        "and --run without a path exclude each other");
    if (t->socket_group && !t->socket_path)
        return voice_misused(&t->voice, "--socket-group goes with --socket-path");
    if (t->once && t->persistent)
        return voice_misused(&t->voice, "--once and --persistent exclude each other");
    if (t->run && t->daemonize)
        return voice_misused(&t->voice, "--run and --daemonize exclude each other");
    t->once = t->once || (!t->persistent && (t->voice.compatible || t->fd >= 0));
    if (t->xattrmap) {
        t->xattr_map = fs_xattr_map_parse(t->xattrmap, &error);
        if (!t->xattr_map)
            return voice_error(&t->voice, error);
        t->fs.xattr_map = t->xattr_map;
        t->fs.xattr = true;
    }
    if (t->fuse.security_label && !t->fs.xattr)
        return voice_misused(&t->voice,
                             "security labels are extended attributes: add --xattr (-o xattr)");
    if (t->fuse.cache == FUSE_CACHE_NEVER && !t->readdirplus_given)
        t->fuse.no_readdirplus = true;
    t->fuse.writeback = t->fs.writeback;
    t->fuse.posix_acl = t->fs.posix_acl;
    t->fuse.announce_submounts = t->fs.submounts;
    t->fuse.allow_direct_io = t->fs.direct_io;
    t->fs.uids = t->uids;
    t->fs.gids = t->gids;
    return -1;
}

int tool_options(Tool *t, int argc, char **argv)
{
    int option;
    GError *error = NULL;
    t->fuse.cache = FUSE_CACHE_AUTO;
    t->fuse.killpriv_v2 = true;
    t->fs.submounts = !t->voice.compatible;
    opterr = 0;
    while ((option = getopt_long(argc, argv, ":hVfdo:", longs, NULL)) != -1) {
        if (option == 'h')
            return help(t);
        if (option == 'V') {
            printf("%s (Lathe) " LATHE_VERSION "\nusing FUSE kernel interface version 7.38\n",
                   t->voice.name);
            return fflush(stdout) ? VOICE_FAILED : 0;
        }
        if (option == CAPABILITIES) {
            puts("{\n  \"type\": \"fs\"\n}");
            return fflush(stdout) ? VOICE_FAILED : 0;
        }
        if (option == '?' || option == ':')
            return bad_option(t, argv);
        if (!take_switch(t, option) && !take_value(t, option, &error))
            return voice_error(&t->voice, error);
    }
    if (optind < argc && !t->shared_dir)
        t->shared_dir = argv[optind++];
    if (optind < argc)
        return voice_misused(&t->voice, "unexpected '%s'", argv[optind]);
    return check(t);
}
