vm-user_libs := base translate guest linux
