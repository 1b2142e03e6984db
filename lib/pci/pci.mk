# PCI: configuration space, BARs, INTx and MSI-X, bridges, hot-plug slots, the host's windows
pci_uses := base bus state
pci_pkgs := glib-2.0
