# network back ends (user, socket, stream, dgram, tap), their packets' way to a card; -netdev, -nic, -net
net_uses := base
net_pkgs := glib-2.0 slirp
