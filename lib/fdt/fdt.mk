# flattened device trees: a growing builder and read-only queries, over libfdt
fdt_uses := base
fdt_pkgs := glib-2.0
fdt_ldlibs := -lfdt
