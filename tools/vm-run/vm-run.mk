vm-run_libs := base bus translate chardev net load guest cpu firmware devices machines
