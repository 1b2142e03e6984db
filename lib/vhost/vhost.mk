# vhost-user: virtqueues served by, or taken from, another process
vhost_uses := base bus vring
vhost_pkgs := glib-2.0
