# the vCPUs of a machine: one thread each around the translator, and the guest's environment over the bus
cpu_uses := base bus translate guest monitor
cpu_pkgs := glib-2.0
