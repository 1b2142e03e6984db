acpigen_libs := base bus acpi devices machines
