# NBD: both ends of the protocol as state machines fed with bytes; its URIs. No sockets, no threads
nbd_uses := base
nbd_pkgs := glib-2.0
