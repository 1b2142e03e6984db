ga_libs := base agent
