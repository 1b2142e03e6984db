vm-run_libs := base bus translate chardev load guest cpu firmware devices machines
