# requests and replies of FUSE: bytes in, bytes out, done by lib/fs
fuse_uses := base fs
fuse_pkgs := glib-2.0
