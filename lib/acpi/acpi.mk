# AML, ACPI and SMBIOS tables as bytes, written and read back
acpi_uses := base
acpi_pkgs := glib-2.0
