# SPDX-License-Identifier: MIT
# What several bats files need. They run beside each other and on busy hosts: so things are waited for,
# not slept for, with limits that only a hang reaches.

# wait_for COMMAND...: tries it until it succeeds, for WAIT seconds
wait_for()
{
    local end=$((SECONDS + ${WAIT:-90}))
    until "$@" >/dev/null 2>&1; do
        [ $SECONDS -lt $end ] || { echo "in vain: $*"; return 1; }
        sleep 0.1
    done
}

# A port that nobody has: at random, below those that the kernel gives to others meanwhile.
free_port()
{
    python3 -c 'import random, socket
while True:
    port = random.randrange(10000, 32000)
    try:
        socket.socket().bind(("127.0.0.1", port))
        break
    except OSError:
        pass
print(port)'
}

# listens PATH: somebody listens on that Unix socket; its file is there a little earlier
listens()
{
    [ -S "$1" ] && awk -v path="$1" '$4 == "00010000" && ($NF == path || substr($NF, length($NF) - length(path)) == "/" path) { found = 1 }
        END { exit !found }' /proc/net/unix
}
