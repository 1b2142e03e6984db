/* SPDX-License-Identifier: MIT */
/*
 * Who is let in: authz-simple (one identity), authz-list (rules given as options) and
 * authz-list-file (the same in JSON, read again when the file has changed, unless refresh=off). The
 * first rule that matches decides, else the policy.
 */
#include "base/error.h"
#include "crypto/object_priv.h"
#include "crypto/tls.h"

#include <errno.h>
#include <fnmatch.h>
#include <json-c/json.h>
#include <string.h>
#include <sys/stat.h>

enum { MAX_DEPTH = 8 };
static const char *const policies[] = { "deny", "allow", NULL };
static const char *const formats[] = { "exact", "glob", NULL };

typedef struct {
    char *match;
    int allow, glob;
} Rule;

struct CryptoAuthz {
    gint refs;
    GMutex lock;   /* of the rest: a file may be read again by any thread */
    GArray *rules; /* of Rule */
    int allow;     /* when no rule matches */
    char *file;    /* NULL: none */
    bool refresh;
    struct stat seen; /* of file */
};

static void rule_clear(void *p)
{
    g_free(((Rule *)p)->match);
}

static GArray *rules_new(void)
{
    GArray *rules = g_array_new(FALSE, TRUE, sizeof(Rule));

    g_array_set_clear_func(rules, rule_clear);
    return rules;
}

static CryptoAuthz *authz_new(void)
{
    CryptoAuthz *a = g_new0(CryptoAuthz, 1);

    a->refs = 1;
    a->rules = rules_new();
    g_mutex_init(&a->lock);
    return a;
}

CryptoAuthz *crypto_authz_ref(const CryptoAuthz *authz)
{
    CryptoAuthz *a = (CryptoAuthz *)authz;

    g_atomic_int_inc(&a->refs);
    return a;
}

void crypto_authz_unref(CryptoAuthz *a)
{
    if (!a || !g_atomic_int_dec_and_test(&a->refs))
        return;
    g_array_unref(a->rules);
    g_mutex_clear(&a->lock);
    g_free(a->file);
    g_free(a);
}

static void authz_unref(void *p)
{
    crypto_authz_unref(p);
}

/* ---- rules in JSON --------------------------------------------------------- */

/* The index of a word in names; NULL text leaves *value. */
static bool word(const char *key, const char *text, const char *const *names, int *value,
                 GError **error)
{
    for (int i = 0; text && names[i]; i++) {
        if (!strcmp(text, names[i])) {
            *value = i;
            return true;
        }
    }
    return !text || fail_usage(error, "Parameter '%s' does not accept value '%s'", key, text);
}

static const char *text_of(struct json_object *o, const char *key)
{
    struct json_object *v = NULL;

    return json_object_object_get_ex(o, key, &v) ? json_object_get_string(v) : NULL;
}

static bool read_rule(struct json_object *o, Rule *r, GError **error)
{
    if (!json_object_is_type(o, json_type_object))
        return fail(error, "a rule is an object");
    json_object_object_foreach (o, key, value)
        if (!json_object_is_type(value, json_type_string) ||
            (strcmp(key, "match") && strcmp(key, "policy") && strcmp(key, "format")))
            return fail(error, "Parameter '%s' is unexpected", key);
    const char *match = text_of(o, "match"), *policy = text_of(o, "policy");
    if (!match || !policy)
        return fail(error, "Parameter '%s' is missing", match ? "policy" : "match");
    if (!word("policy", policy, policies, &r->allow, error) ||
        !word("format", text_of(o, "format"), formats, &r->glob, error))
        return false;
    r->match = g_strdup(match);
    return true;
}

static bool read_tree(struct json_object *tree, GArray *rules, int *allow, GError **error)
{
    struct json_object *list = NULL;

    if (!json_object_is_type(tree, json_type_object))
        return fail(error, "an object is wanted");
    json_object_object_foreach (tree, key, value)
        if (strcmp(key, "rules") && strcmp(key, "policy"))
            return fail(error, "Parameter '%s' is unexpected", key);
    if (!word("policy", text_of(tree, "policy"), policies, allow, error))
        return false;
    if (!json_object_object_get_ex(tree, "rules", &list))
        return true;
    if (!json_object_is_type(list, json_type_array))
        return fail(error, "'rules' is a list");
    for (size_t i = 0; i < json_object_array_length(list); i++) {
        Rule r = { 0 };
        if (!read_rule(json_object_array_get_idx(list, i), &r, error))
            return prefix(error, "rule %zu", i);
        g_array_append_val(rules, r);
    }
    return true;
}

/* Keeps what was there if the file is not as it has to be. */
static bool read_file(CryptoAuthz *a, GError **error)
{
    size_t len = 0;
    struct stat st = { 0 };

    if (stat(a->file, &st))
        return fail_errno(error, errno, "Unable to read %s", a->file);
    uint8_t *data = crypto_read_file(a->file, &len);
    if (!data)
        return fail_errno(error, errno, "Unable to read %s", a->file);
    struct json_tokener *t = json_tokener_new_ex(MAX_DEPTH);
    struct json_object *tree = json_tokener_parse_ex(t, (const char *)data, (int)len + 1);
    GArray *rules = rules_new();
    int allow = 0;
    bool ok = tree != NULL;
    if (!ok)
        fail(error, "%s: byte %zu: %s", a->file, json_tokener_get_parse_end(t),
             json_tokener_error_desc(json_tokener_get_error(t)));
    else
        ok = read_tree(tree, rules, &allow, error) || prefix(error, "%s", a->file);
    json_object_put(tree);
    json_tokener_free(t);
    g_free(data);
    if (ok) {
        GArray *old = a->rules;
        a->rules = rules;
        rules = old;
        a->allow = allow;
        a->seen = st;
    }
    g_array_unref(rules);
    return ok;
}

static bool changed(const CryptoAuthz *a)
{
    struct stat st;

    return stat(a->file, &st) || st.st_ino != a->seen.st_ino || st.st_size != a->seen.st_size ||
           st.st_mtim.tv_sec != a->seen.st_mtim.tv_sec ||
           st.st_mtim.tv_nsec != a->seen.st_mtim.tv_nsec;
}

bool crypto_authz_check(const CryptoAuthz *authz, const char *identity, GError **error)
{
    CryptoAuthz *a = (CryptoAuthz *)authz;

    g_mutex_lock(&a->lock);
    /* rules that cannot be read any more let nobody in */
    bool ok = !a->file || !a->refresh || !changed(a) || read_file(a, error);
    if (ok) {
        int allow = a->allow;
        for (guint i = 0; i < a->rules->len; i++) {
            const Rule *r = &g_array_index(a->rules, Rule, i);
            if (r->glob ? !fnmatch(r->match, identity, 0) : !strcmp(r->match, identity)) {
                allow = r->allow;
                break;
            }
        }
        ok = allow || fail(error, "%s is denied", identity);
    }
    g_mutex_unlock(&a->lock);
    return ok;
}

/* ---- kinds ----------------------------------------------------------------- */

static void *simple_make(const CryptoObjects *objects, const char *id, Options *o, GError **error)
{
    const char *identity = options_get(o, "identity");

    if (!options_done(o, error))
        return NULL;
    if (!identity) {
        fail_usage(error, "Parameter 'identity' is missing");
        return NULL;
    }
    CryptoAuthz *a = authz_new();
    Rule r = { g_strdup(identity), 1, 0 };
    g_array_append_val(a->rules, r);
    return a;
}

static void *list_make(const CryptoObjects *objects, const char *id, Options *o, GError **error)
{
    g_autoptr(CryptoAuthz) a = authz_new();

    if (!word("policy", options_get(o, "policy"), policies, &a->allow, error))
        return NULL;
    for (unsigned i = 0;; i++) {
        g_autofree char *match = g_strdup_printf("rules.%u.match", i);
        g_autofree char *policy = g_strdup_printf("rules.%u.policy", i);
        g_autofree char *format = g_strdup_printf("rules.%u.format", i);
        const char *m = options_get(o, match), *p = options_get(o, policy);
        Rule r = { 0 };
        if (!m && !p)
            break;
        if (!m || !p) {
            fail_usage(error, "Parameter '%s' is missing", m ? policy : match);
            return NULL;
        }
        if (!word(policy, p, policies, &r.allow, error) ||
            !word(format, options_get(o, format), formats, &r.glob, error))
            return NULL;
        r.match = g_strdup(m);
        g_array_append_val(a->rules, r);
    }
    return options_done(o, error) ? g_steal_pointer(&a) : NULL;
}

static void *file_make(const CryptoObjects *objects, const char *id, Options *o, GError **error)
{
    g_autoptr(CryptoAuthz) a = authz_new();

    a->file = g_strdup(options_get(o, "filename"));
    a->refresh = true;
    if (!options_get_bool(o, "refresh", &a->refresh, error) || !options_done(o, error))
        return NULL;
    if (!a->file) {
        fail_usage(error, "Parameter 'filename' is missing");
        return NULL;
    }
    return read_file(a, error) ? g_steal_pointer(&a) : NULL;
}

const CryptoObjectKind authz_simple_object = { simple_make, authz_unref, NULL };
const CryptoObjectKind authz_list_object = { list_make, authz_unref, NULL };

static char *file_folder(const void *object)
{
    const CryptoAuthz *a = object;
    return a->refresh ? g_path_get_dirname(a->file) : NULL;
}

const CryptoObjectKind authz_file_object = { file_make, authz_unref, file_folder };

CryptoAuthz *crypto_authz(const CryptoObjects *objects, const char *id, GError **error)
{
    const CryptoObjectKind *kind;
    CryptoAuthz *a = crypto_object_find(objects, id, &kind);

    if (kind && kind->unref == authz_unref)
        return a;
    if (kind)
        fail(error, "Object with id '%s' is not an authorization", id);
    else
        fail(error, "No authorization with id '%s'", id);
    return NULL;
}
