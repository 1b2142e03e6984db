img_libs := base block
