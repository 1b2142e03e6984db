# what a tool gives up once it is set up: system calls that a machine at work never makes (seccomp); -sandbox
sandbox_uses := base
sandbox_pkgs := glib-2.0
sandbox_opt_pkgs := libseccomp
