# services that vm-run answers itself, without a firmware image: SBI for RISC-V supervisors
firmware_uses := base bus guest translate cpu chardev
firmware_pkgs := glib-2.0
