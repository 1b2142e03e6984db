# the guest agent's protocol: requests in a stream of bytes, their arguments checked, answers as bytes
agent_uses := base
agent_pkgs := glib-2.0 json-c
