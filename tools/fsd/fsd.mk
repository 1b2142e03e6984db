fsd_libs := base fs fuse vhost vring sandbox
