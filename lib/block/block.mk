# disks: nodes, requests, options, locks; drivers/ has one file or folder a format or protocol
block_uses := base crypto monitor nbd
block_pkgs := glib-2.0 json-c zlib libzstd
block_opt_pkgs := liburing
