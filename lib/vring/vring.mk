# virtqueues: split and packed rings, walking of descriptor chains, bounds
vring_uses := base bus
vring_pkgs := glib-2.0
