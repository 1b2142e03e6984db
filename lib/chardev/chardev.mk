# character back ends: null, stdio, file, memory; the Ctrl-a keys of a shared terminal; -serial SPEC
chardev_uses := base
chardev_pkgs := glib-2.0
