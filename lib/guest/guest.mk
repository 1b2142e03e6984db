# one folder an ISA: state, decode patterns, translation to IR, traps, page-table walk
guest_uses := base translate softfloat state
guest_pkgs := glib-2.0
