img_libs := base block crypto
