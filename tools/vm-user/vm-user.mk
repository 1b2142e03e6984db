vm-user_libs := base translate guest linux
vm-user_static := yes # with STATIC=1: no library of it lacks a static form
