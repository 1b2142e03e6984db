vm-run_libs := base block bus translate chardev load guest cpu firmware devices machines
