# secrets, ciphers and key derivation for disks, over gnutls and nettle
crypto_uses := base
crypto_pkgs := gnutls nettle
