dtbgen_libs := base fdt load bus translate guest cpu machines devices
