vm-run_libs := base block bus translate chardev net load guest cpu firmware devices machines qtest
