ga_libs := base agent
ga_static := yes
