/* SPDX-License-Identifier: MIT */
/* Tables of ids and of attribute names: what rules do, and which are refused. */
#include "fs/fs.h"

#include <errno.h>
#include <linux/limits.h>
#include <string.h>

static void test_ids(void)
{
    static const char *const lines[] = { "forbid-guest:66:2",     "map:1000:5000:10",
                                         "squash-guest:100:7:50", "guest:200:300:1",
                                         "host:400:500:2",        "squash-host:600:9:3" };
    FsIdMap *map = fs_id_map_new();
    GError *error = NULL;
    uint32_t id;
    for (unsigned i = 0; i < G_N_ELEMENTS(lines); i++) {
        g_assert_true(fs_id_map_add(map, lines[i], &error));
        g_assert_no_error(error);
    }
    static const uint32_t to_host[][2] = {
        { 0, 0 },     { 1000, 5000 }, { 1009, 5009 }, { 1010, 1010 },
        { 999, 999 }, { 100, 7 },     { 149, 7 },     { 150, 150 },
        { 200, 300 }, { 400, 400 },   { 600, 600 },   { UINT32_MAX, UINT32_MAX }
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(to_host); i++) {
        g_assert_true(fs_id_to_host(map, to_host[i][0], &id));
        g_assert_cmpuint(id, ==, to_host[i][1]);
    }
    g_assert_false(fs_id_to_host(map, 66, &id));
    g_assert_false(fs_id_to_host(map, 67, &id));
    static const uint32_t to_guest[][2] = { { 0, 0 },       { 5000, 1000 }, { 5009, 1009 },
                                            { 5010, 5010 }, { 300, 300 },   { 400, 500 },
                                            { 401, 501 },   { 402, 402 },   { 600, 9 },
                                            { 602, 9 } };
    for (unsigned i = 0; i < G_N_ELEMENTS(to_guest); i++)
        g_assert_cmpuint(fs_id_to_guest(map, to_guest[i][0]), ==, to_guest[i][1]);
    static const char *const wrong[] = { "", "map", "map:1:2", "map:1:2:3:4", "map:1:2:0", "map:4294967295:0:2", "map:0:4294967295:2",
                                         "up:1:2:3", "map:a:2:3", "map:-1:2:3", "forbid-guest:1:2:3", "map:1:2:99999999999" };
    for (unsigned i = 0; i < G_N_ELEMENTS(wrong); i++) {
        g_autoptr(GError) e = NULL;
        g_assert_false(fs_id_map_add(map, wrong[i], &e));
        g_assert_nonnull(e);
    }
    fs_id_map_free(map);
}

static void host_is(const FsXattrMap *map, const char *name, const char *want)
{
    char host[XATTR_NAME_MAX + 1];
    g_assert_cmpint(fs_xattr_to_host(map, name, host), ==, 0);
    g_assert_cmpstr(host, ==, want);
}

static FsXattrMap *parse(const char *text)
{
    GError *error = NULL;
    FsXattrMap *map = fs_xattr_map_parse(text, &error);
    g_assert_no_error(error);
    return map;
}

/* The examples that users of virtiofsd know. */
static void test_xattrs(void)
{
    char host[XATTR_NAME_MAX + 1];
    FsXattrMap *map = parse(":map::user.virtiofs.:");
    host_is(map, "trusted.a", "user.virtiofs.trusted.a");
    host_is(map, "user.virtiofs.x", "user.virtiofs.user.virtiofs.x");
    g_assert_cmpstr(fs_xattr_to_guest(map, "user.virtiofs.trusted.a"), ==, "trusted.a");
    g_assert_null(fs_xattr_to_guest(map, "user.plain"));
    char longest[XATTR_NAME_MAX + 1];
    memset(longest, 'x', XATTR_NAME_MAX);
    longest[XATTR_NAME_MAX] = 0;
    g_assert_cmpint(fs_xattr_to_host(map, longest, host), ==, -ERANGE);
    fs_xattr_map_free(map);

    static const char *const same[] = {
        ":map:trusted.:user.virtiofs.:",
        "/prefix/all/trusted./user.virtiofs./ /bad/server//trusted./\n"
        "/bad/client/user.virtiofs.//\n/ok/all///"
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(same); i++) {
        map = parse(same[i]);
        host_is(map, "trusted.a", "user.virtiofs.trusted.a");
        host_is(map, "user.a", "user.a");
        g_assert_cmpint(fs_xattr_to_host(map, "user.virtiofs.trusted.a", host), ==, -EPERM);
        g_assert_cmpstr(fs_xattr_to_guest(map, "user.virtiofs.trusted.a"), ==, "trusted.a");
        g_assert_cmpstr(fs_xattr_to_guest(map, "user.a"), ==, "user.a");
        g_assert_null(fs_xattr_to_guest(map, "trusted.of-the-host"));
        fs_xattr_map_free(map);
    }
    map = parse(":unsupported:client:trusted.:: :bad:server::security.: :ok:all:::");
    g_assert_cmpint(fs_xattr_to_host(map, "trusted.a", host), ==, -EOPNOTSUPP);
    g_assert_null(fs_xattr_to_guest(map, "security.a"));
    host_is(map, "security.a", "security.a");
    fs_xattr_map_free(map);
    map = parse(":ok:all:user.::");
    g_assert_cmpint(fs_xattr_to_host(map, "trusted.a", host), ==, -EPERM); /* no rule fits */
    fs_xattr_map_free(map);

    static const char *const wrong[] = { "", "  ", ":", "x", ":map:a:", ":prefix:all:a:", ":prefix:nobody:a:b:", ":what:all:a:b:",
                                         ":map::a: :ok:all:::" };
    for (unsigned i = 0; i < G_N_ELEMENTS(wrong); i++) {
        g_autoptr(GError) e = NULL;
        g_assert_null(fs_xattr_map_parse(wrong[i], &e));
        g_assert_nonnull(e);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/fs/maps/ids", test_ids);
    g_test_add_func("/fs/maps/xattrs", test_xattrs);
    return g_test_run();
}
