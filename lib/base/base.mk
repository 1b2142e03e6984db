# errors, bytes, bit fields, sizes, option tables, log: what every other folder may use
base_uses :=
base_pkgs := glib-2.0 json-c
