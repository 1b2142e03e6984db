# disks: nodes, requests, options, locks; drivers/ holds one file or folder a format, protocol or filter
block_uses := base
block_pkgs := glib-2.0 json-c
block_opt_pkgs := liburing
