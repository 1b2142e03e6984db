# saved-field tables: what of a device's or CPU's state is kept, and its stream form
state_uses := base
state_pkgs := glib-2.0
