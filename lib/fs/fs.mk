# a directory as operations on nodes and handles, never outside it, with a caller's identity
fs_uses := base
fs_pkgs := glib-2.0
