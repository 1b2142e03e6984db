# the monitor: tables of commands, their arguments as text, expressions, and a session that is fed with bytes
monitor_uses := base
monitor_pkgs := glib-2.0
