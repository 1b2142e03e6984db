# the line protocol of -qtest: a test drives the machine's bus, clock and interrupt lines in place of its CPUs
qtest_uses := base block bus chardev devices load machines vhost
qtest_pkgs := glib-2.0
