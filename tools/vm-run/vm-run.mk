vm-run_libs := base block bus translate chardev net load guest monitor sandbox cpu firmware devices machines qtest
