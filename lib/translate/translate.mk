# IR, builder, passes, register allocation, host back ends, code cache, run loop; knows no guest and no device
translate_uses := base softfloat
translate_pkgs := glib-2.0
