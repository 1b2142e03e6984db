fsd-notify_libs :=
fsd-notify_static := yes
