# character back ends (stdio, file, pipe, pty, socket, ringbuf...), the Ctrl-a keys, -chardev and -serial
chardev_uses := base
chardev_pkgs := glib-2.0
