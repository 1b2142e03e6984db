nbd_libs := base nbd crypto block export sandbox
