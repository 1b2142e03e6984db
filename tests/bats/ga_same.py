# SPDX-License-Identifier: MIT
"""Two guest agents, asked the same: the answers have the same shape, and the same values where the machine gives
only one. ours may know more (MORE), never less; lists are in no order."""
import json, socket

MORE = {"statistics", "serial", "total-bytes-privileged", "hardware-address"}
# what two moments, or two readers, may see differently
LOOSE = {"used-bytes", "total-bytes", "temperature", "statistics", "stats", "login-time"}
KEYS = ("name", "mountpoint", "logical-id", "phys-index", "cpu", "ip-address", "path", "user", "dev")


class Agent:
    def __init__(self, path, timeout=120):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(timeout)
        self.socket.connect(path)
        self.bytes = b""

    def send(self, command, arguments=None):
        request = {"execute": command}
        if arguments is not None:
            request["arguments"] = arguments
        self.socket.sendall(json.dumps(request).encode() + b"\n")

    def answer(self):
        while b"\n" not in self.bytes:
            got = self.socket.recv(1 << 16)
            assert got, "the agent is gone"
            self.bytes += got
        line, self.bytes = self.bytes.split(b"\n", 1)
        return json.loads(line)

    def ask(self, command, arguments=None):
        self.send(command, arguments)
        return self.answer()

    def get(self, command, arguments=None):
        answer = self.ask(command, arguments)
        assert "return" in answer, (command, arguments, answer)
        return answer["return"]

    def error(self, command, arguments=None):
        answer = self.ask(command, arguments)
        assert "error" in answer, (command, arguments, answer)
        return answer["error"]


def kind(value):
    return "number" if type(value) in (int, float) else type(value).__name__


def by_key(items):
    for key in KEYS:
        if items and all(isinstance(i, dict) and key in i for i in items) and \
           len({i[key] for i in items}) == len(items):
            return {i[key]: i for i in items}
    return None


def same(ours, theirs, where="", loose=False, free=()):
    """Raises with the place where they differ. free: members that only need the same type."""
    assert kind(ours) == kind(theirs), (where, ours, theirs)
    if isinstance(theirs, dict):
        assert not set(theirs) - set(ours), (where, "missing", set(theirs) - set(ours))
        assert not set(ours) - set(theirs) - MORE, (where, "more", set(ours) - set(theirs) - MORE)
        for key, value in theirs.items():
            same(ours[key], value, f"{where}.{key}", loose or key in LOOSE or key in free, free)
    elif isinstance(theirs, list):
        assert len(ours) == len(theirs), (where, ours, theirs)
        a, b = by_key(ours), by_key(theirs)
        if b is None or a is None:
            for i, (x, y) in enumerate(zip(ours, theirs)):
                same(x, y, f"{where}[{i}]", loose, free)
        else:
            assert set(a) == set(b), (where, set(a) ^ set(b))
            for key in b:
                same(a[key], b[key], f"{where}[{key}]", loose, free)
    elif not loose:
        assert ours == theirs, (where, ours, theirs)
