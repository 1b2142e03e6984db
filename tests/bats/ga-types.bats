#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# Every argument of every command, given values of all types of JSON: the errors are those of Debian's qemu-ga, word for
# word, as hosts look for them. Both agents run as nobody, and values that a command could act on are not given.

load common
load ga

setup()
{
    ga_as_nobody
}

teardown()
{
    ga_gone
}

@test "an argument of another type is refused in qemu-ga's words" {
    both
    /usr/bin/python3 - "$dir" <<'PY'
import json, sys
from ga_same import Agent
ours, theirs = Agent(sys.argv[1] + "/ours.sock"), Agent(sys.argv[1] + "/theirs.sock")
VALUES = {"int": "5", "negative": "-1", "63 bits": "9223372036854775808", "65 bits": "18446744073709551616",
          "float": "1.5", "whole": "1.0", "exponent": "1e3", "string": '"x"', "digits": '"5"', "bool": "true",
          "null": "null", "array": "[]", "object": "{}", "ints": "[5]", "objects": "[{}]"}
NUMBERS = ("int", "negative", "63 bits", "65 bits", "float", "whole", "exponent")
STRINGS = ("string", "digits")
# command, arguments with @ for the value, and what would be no mistake
CASES = [
    ("guest-sync", '{"id":@}'), ("guest-sync-delimited", '{"id":@}'), ("guest-file-open", '{"path":@}'),
    ("guest-file-open", '{"path":"/nope/x","mode":@}'), ("guest-file-close", '{"handle":@}'),
    ("guest-file-flush", '{"handle":@}'), ("guest-file-read", '{"handle":@}'),
    ("guest-file-read", '{"handle":1,"count":@}'), ("guest-file-write", '{"handle":@,"buf-b64":""}'),
    ("guest-file-write", '{"handle":1,"buf-b64":@}'), ("guest-file-write", '{"handle":1,"buf-b64":"","count":@}'),
    ("guest-file-seek", '{"handle":@,"offset":0,"whence":0}'),
    ("guest-file-seek", '{"handle":1,"offset":@,"whence":0}'),
    ("guest-file-seek", '{"handle":1,"offset":1,"whence":@}'),
    ("guest-set-time", '{"time":@}', NUMBERS), ("guest-fstrim", '{"minimum":@}', ("int", "negative")),
    ("guest-exec", '{"path":@}', STRINGS), ("guest-exec", '{"path":"/nope/x","arg":@}'),
    ("guest-exec", '{"path":"/nope/x","env":@}'), ("guest-exec", '{"path":"/nope/x","arg":[@]}'),
    ("guest-exec", '{"path":"/nope/x","input-data":@}', STRINGS), # what is not base64 is refused first
    ("guest-exec", '{"path":"/nope/x","capture-output":@}', STRINGS), # later versions have words there
    ("guest-exec-status", '{"pid":@}'), ("guest-shutdown", '{"mode":@}'),
    ("guest-fsfreeze-freeze-list", '{"mountpoints":@}', ("array",)),
    ("guest-fsfreeze-freeze-list", '{"mountpoints":[@]}', STRINGS),
    ("guest-set-vcpus", '{"vcpus":@}', ("array",)), ("guest-set-vcpus", '{"vcpus":[@]}'),
    ("guest-set-vcpus", '{"vcpus":[{"logical-id":@}]}'),
    ("guest-set-vcpus", '{"vcpus":[{"logical-id":9999,"online":@}]}', ("bool",)),
    ("guest-set-vcpus", '{"vcpus":[{"logical-id":9999,"online":true,"can-offline":@}]}', ("bool",)),
    ("guest-set-memory-blocks", '{"mem-blks":@}', ("array",)), ("guest-set-memory-blocks", '{"mem-blks":[@]}'),
    ("guest-set-memory-blocks", '{"mem-blks":[{"phys-index":@}]}'),
    ("guest-set-memory-blocks", '{"mem-blks":[{"phys-index":@,"online":5}]}'),
    ("guest-set-memory-blocks", '{"mem-blks":[{"phys-index":99999,"online":@}]}', ("bool",)),
    ("guest-set-memory-blocks", '{"mem-blks":[{"phys-index":99999,"online":true,"can-offline":@}]}', ("bool",)),
    ("guest-set-user-password", '{"username":@,"password":"!","crypted":false}', STRINGS),
    ("guest-set-user-password", '{"username":"nosuch","password":@,"crypted":false}', STRINGS),
    ("guest-set-user-password", '{"username":"nosuch","password":"!","crypted":@}'),
    ("guest-ssh-get-authorized-keys", '{"username":@}', STRINGS),
    ("guest-ssh-add-authorized-keys", '{"username":"nosuch","keys":@}', ("array",)),
    ("guest-ssh-add-authorized-keys", '{"username":"nosuch","keys":[@]}', STRINGS),
    ("guest-ssh-add-authorized-keys", '{"username":"nosuch","keys":[],"reset":@}', ("bool",)),
    ("guest-ssh-remove-authorized-keys", '{"username":"nosuch","keys":@}', ("array",)),
    ("guest-ssh-remove-authorized-keys", '{"username":"nosuch","keys":[@]}', STRINGS),
] + [(c, '{"x":@}') for c in ("guest-ping", "guest-info", "guest-get-osinfo", "guest-shutdown", "guest-suspend-ram",
                              "guest-suspend-disk", "guest-suspend-hybrid", "guest-get-time", "guest-fsfreeze-thaw")]


def ask(agent, line):
    agent.socket.sendall(line.encode() + b"\n")
    while b"\n" not in agent.bytes:
        got = agent.socket.recv(1 << 16)
        assert got, "the agent is gone"
        agent.bytes += got
    line, agent.bytes = agent.bytes.split(b"\n", 1)
    return json.loads(line.lstrip(b"\xff"))


seen, errors, different = set(), 0, []
for command, arguments, *good in CASES:
    seen.add(command)
    for kind, value in VALUES.items():
        if good and kind in good[0]:
            continue
        line = '{"execute":"%s","arguments":%s}' % (command, arguments.replace("@", value))
        a, b = ask(ours, line), ask(theirs, line)
        errors += "error" in b
        if a != b:
            different.append((line, a, b))
assert not different, "\n".join(map(str, different))
assert errors > 500, errors
assert len({*seen}) > 25
# beyond 63 bits, and below 0
for index in (99999, -1, 1 << 63, -1 << 63, (1 << 64) - 2):
    block = {"mem-blks": [{"phys-index": index, "online": True}]}
    assert ours.ask("guest-set-memory-blocks", block) == theirs.ask("guest-set-memory-blocks", block), index
PY
}
