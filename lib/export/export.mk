# disks served to others: an NBD server of block nodes, with its listeners, connections and threads
export_uses := base nbd crypto block
export_pkgs := glib-2.0
