# kernels and firmware as bytes: ELF, Linux Image, gzip, zstd and EFI zboot, raw; segments and entry out
load_uses := base
load_pkgs := glib-2.0 zlib libzstd
