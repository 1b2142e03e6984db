#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# fsd as front ends, libvirt and users see it: how it is started and ended, what it gives up, whose files are made. The machine's end
# is fsd_front.py, which is written from the protocols alone.

load common

setup()
{
    cd "$BATS_TEST_TMPDIR"
    chmod 755 . ..
    mkdir -p share names
    chmod 777 share
    printf text >share/file
    echo secret >secret
    ln -s ../secret share/link
    ln -sf "$(command -v fsd)" names/virtiofsd
}

teardown()
{
    # shellcheck disable=SC2046
    kill $(cat ./*.pid 2>/dev/null) 2>/dev/null || true
}

# serve OPTIONS...: in the background on s
serve()
{
    "${AS[@]}" fsd --socket-path=s "$@" 3>&- >out 2>&1 &
    echo $! >serve.pid
    wait_for listens s
}

front()
{
    python3 "$BATS_TEST_DIRNAME/fsd_front.py" s "$@"
}

is_root()
{
    [ "$(id -u)" = 0 ] || skip "needs root"
}

namespaces()
{
    unshare "$@" true 2>/dev/null || skip "no namespaces here"
}

@test "a directory is served to one machine after the other, until it is told to end" {
    namespaces -rm
    serve --shared-dir=share
    run front ls: cat:file create:new:hello stat:new
    echo "$output"
    [ "${lines[0]}" = ". .. file link" ]
    [ "${lines[1]}" = text ]
    [[ ${lines[2]} == "100644 "* ]]
    [ "$(cat share/new)" = hello ]
    run front cat:new unlink:new
    [ "$output" = hello ]
    [ ! -e share/new ]
    kill "$(cat serve.pid)"
    wait "$(cat serve.pid)"
    [ ! -e s ]
}

@test "nothing outside the directory is reached by name or link" {
    namespaces -rm
    serve --shared-dir=share
    run front cat:../secret cat:link cat:link/x create:../new:x mkdir:..
    echo "$output"
    [ "$output" = $'EINVAL\nELOOP\nENOTDIR\nEINVAL\nEINVAL' ]
    [ "$(ls)" = $'names\nout\ns\nsecret\nserve.pid\nshare' ]
}

@test "libvirt's way: a listening descriptor, -o source, and the end with the machine" {
    namespaces -rm
    run python3 - share "$BATS_TEST_DIRNAME/fsd_front.py" <<'PY'
import os, socket, subprocess, sys
s = socket.socket(socket.AF_UNIX)
s.bind("s")
s.listen()
os.set_inheritable(s.fileno(), True)
p = subprocess.Popen(["names/virtiofsd", "--fd=%d" % s.fileno(), "-o", "source=share"], close_fds=False)
print(subprocess.check_output([sys.executable, sys.argv[2], "s", "cat:file"], text=True).strip())
print(p.wait(60))
PY
    echo "$output"
    [ "$output" = $'text\n0' ]
    run names/virtiofsd --print-capabilities
    [ "$(echo "$output" | python3 -c 'import json, sys; print(json.load(sys.stdin)["type"])')" = fs ]
}

@test "a socket that a service manager gives is used" {
    namespaces -rm
    run python3 - "$BATS_TEST_DIRNAME/fsd_front.py" <<'PY'
import os, socket, subprocess, sys
s = socket.socket(socket.AF_UNIX)
s.bind("s")
s.listen()
def prepare():
    os.dup2(s.fileno(), 3)
    os.environ.update(LISTEN_FDS="1", LISTEN_PID=str(os.getpid()))
    os.execvp("fsd", ["fsd", "--once", "share"])
pid = os.fork() or prepare()
print(subprocess.check_output([sys.executable, sys.argv[1], "s", "cat:file"], text=True).strip())
print(os.waitpid(pid, 0)[1])
PY
    echo "$output"
    [ "$output" = $'text\n0' ]
}

@test "a command of --run finds the socket, and its status is ours" {
    namespaces -rm
    run fsd --run "test -S \$socket && python3 $BATS_TEST_DIRNAME/fsd_front.py \$socket cat:file; exit 7" --socket-path=s share
    echo "$output"
    [ "$status" = 7 ]
    [ "$output" = text ]
}

@test "root gives up groups, capabilities, calls and the rest of the file system" {
    is_root
    namespaces -m
    AS=(setpriv --groups 4,27)
    serve --shared-dir=share
    local p=/proc/$(cat serve.pid)
    grep -q '^Groups:[[:space:]]*$' "$p/status"
    grep -q '^Seccomp:[[:space:]]*2' "$p/status"
    grep -q '^NoNewPrivs:[[:space:]]*1' "$p/status"
    # chown dac_override fowner fsetid setgid setuid mknod setfcap, and no more
    grep -q '^CapEff:[[:space:]]*00000000880000db' "$p/status"
    grep -q '^CapBnd:[[:space:]]*00000000880000db' "$p/status"
    [ "$(ls "$p/root/")" = "$(ls share)" ]
    [ "$(readlink "$p/ns/net")" != "$(readlink /proc/self/ns/net)" ]
}

@test "what root's daemon makes belongs to who asked for it" {
    is_root
    namespaces -m
    serve --shared-dir=share
    run front uid=1234 create:file2:x mkdir:dir uid=0 create:root:x
    [ -z "$output" ]
    [ "$(stat -c %u:%g share/file2 share/dir share/root | tr '\n' ' ')" = "1234:1234 1234:1234 0:0 " ]
}

@test "ids are translated both ways, and forbidden ones make nothing" {
    is_root
    namespaces -m
    serve --shared-dir=share --translate-uid=map:0:5000:10 --translate-gid=map:0:6000:10 --translate-uid=forbid-guest:77:1
    run front create:a:x stat:a uid=77 create:b:x uid=5 create:c:x
    [ "$output" = $'100644 0:0 1\nEPERM' ]
    [ "$(stat -c %u:%g share/a share/c | tr '\n' ' ')" = "5000:6000 5005:6005 " ]
    [ ! -e share/b ]
}

@test "a user needs no rights: root in the guest is that user, others are nobody" {
    is_root
    namespaces -rm
    chown -R 4321:4321 share .
    cp "$(command -v fsd)" fsd-copy
    setpriv --reuid 4321 --regid 4321 --clear-groups ./fsd-copy --socket-path=s --shared-dir=share 3>&- >out 2>&1 &
    echo $! >serve.pid
    wait_for listens s
    run front create:mine:x stat:mine uid=1000 create:theirs:x
    cat out
    echo "$output"
    [ "$output" = $'100644 0:0 1\nEPERM' ]
    [ "$(stat -c %u:%g share/mine)" = 4321:4321 ]
    [ ! -e share/theirs ]
    kill "$(cat serve.pid)"
    wait_for [ ! -e s ]
    # with all of the guest's users made one
    setpriv --reuid 4321 --regid 4321 --clear-groups ./fsd-copy --socket-path=s --shared-dir=share \
        --translate-uid=squash-guest:0:0:4294967295 --translate-gid=squash-guest:0:0:4294967295 3>&- >out 2>&1 &
    echo $! >serve.pid
    wait_for listens s
    run front uid=1000 create:theirs:x
    [ -z "$output" ]
    [ "$(stat -c %u:%g share/theirs)" = 4321:4321 ]
}

# A user of our own, with ranges of ids to give: files of /etc that only fsd and newuidmap see.
@test "a user with subordinate ids gives them to the guest's users, by newuidmap" {
    is_root
    namespaces -m
    command -v newuidmap >/dev/null || skip "no newuidmap (package uidmap)"
    sed '$alathe-test:x:4321:4322::/:/bin/sh' /etc/passwd >passwd
    echo lathe-test:300000:65536 >subuid
    echo 4321:400000:1000 >subgid
    touch /etc/subuid /etc/subgid
    chown -R 4321:4322 share .
    cp "$(command -v fsd)" fsd-copy
    chmod 755 fsd-copy
    AS=(unshare -m sh -c 'for f in passwd subuid subgid; do mount --bind $f /etc/$f || exit 1; done
        exec setpriv --reuid 4321 --regid 4322 --clear-groups ./"$@"' -)
    "${AS[@]}" fsd-copy --socket-path=s --shared-dir=share 3>&- >out 2>&1 &
    echo $! >serve.pid
    wait_for listens s
    run front create:mine:x stat:mine uid=1 create:first:x stat:first uid=1000 create:theirs:x \
        mkdir:dir stat:theirs uid=1001 create:nogroup:x uid=0 create:dir/root:x unlink:theirs
    cat out
    echo "$output"
    # group 1001 of the guest is beyond what subgid grants
    [ "$output" = $'100644 0:0 1\n100644 1:1 1\n100644 1000:1000 1\nEPERM' ]
    [ "$(stat -c %u:%g share/mine share/first share/dir share/dir/root | tr '\n' ' ')" = \
        "4321:4322 300000:400000 300999:400999 4321:4322 " ]
    [ ! -e share/nogroup ]
    [ ! -e share/theirs ]
    grep -q '^ *1 *300000 *65536$' "/proc/$(cat serve.pid)/uid_map"
    # ranges that are not granted are refused in a line
    echo lathe-test:300000:0 >subuid
    run timeout 20 "${AS[@]}" fsd-copy --socket-path=s2 --uid-map=:0:4321:1: \
        --uid-map=:1:999999:5: --shared-dir=share
    echo "$output"
    [ "$status" -ne 0 ]
    [[ $output == *"newuidmap could not set the ids up"* ]]
}

@test "a user without namespaces serves with --sandbox none" {
    is_root
    chown -R 4321:4321 share .
    cp "$(command -v fsd)" fsd-copy
    setpriv --reuid 4321 --regid 4321 --clear-groups ./fsd-copy --socket-path=s --shared-dir=share --sandbox=none 3>&- >out 2>&1 &
    echo $! >serve.pid
    wait_for listens s
    run front create:mine:x cat:file cat:../secret
    cat out
    [ "$output" = $'text\nEINVAL' ]
    [ "$(stat -c %u share/mine)" = 4321 ]
}

@test "attributes are off, on, or under other names" {
    namespaces -rm
    serve --shared-dir=share
    run front setxattr:file:user.a:v
    [ "$output" = ENOSYS ]
    kill "$(cat serve.pid)"
    wait "$(cat serve.pid)"
    serve -o source=share,xattrmap=:map::user.virtiofs.:
    run front setxattr:file:security.capability:v getxattr:file:security.capability
    echo "$output"
    [ "$output" = v ]
    [ "$(python3 -c 'import os; print(os.getxattr("share/file", "user.virtiofs.security.capability").decode())')" = v ]
}

@test "a share that is read-only is not changed" {
    namespaces -rm
    serve --shared-dir=share --readonly
    run front create:new:x unlink:file cat:file
    [ "$output" = $'EROFS\nEROFS\ntext' ]
}

@test "a server that is killed, or told to end, leaves errors to its machine and not silence" {
    namespaces -rm
    for signal in KILL TERM; do
        serve --shared-dir=share
        run front cat:file host:"kill -$signal $(cat serve.pid); sleep 1" cat:file create:new:x \
            host:'sleep 1' stat:file
        cat out
        echo "$output"
        [ "$output" = $'text\nENOTCONN\nENOTCONN\nENOTCONN' ]
        grep -q 'the server is gone: the guest gets errors' out
        wait "$(cat serve.pid)" || true
        # and whoever was left behind goes with the machine, while the next server has the socket
        serve --shared-dir=share
        run front cat:file
        [ "$output" = text ]
        kill "$(cat serve.pid)"
        wait "$(cat serve.pid)"
    done
    # not when the machine looks for another server itself
    serve --shared-dir=share --no-keeper
    run timeout 60 python3 "$BATS_TEST_DIRNAME/fsd_front.py" s cat:file \
        host:"ps --ppid $(cat serve.pid) -o comm= || true"
    [ "$output" = text ]
    kill "$(cat serve.pid)"
    wait "$(cat serve.pid)"
}

@test "what the guest cannot help is told on the host, and not for each request" {
    is_root
    namespaces -m
    mkdir full
    AS=(unshare -m sh -c 'mount -t tmpfs -o size=64k full full && exec "$@"' -)
    "${AS[@]}" fsd --socket-path=s --shared-dir=full 3>&- >out 2>&1 &
    echo $! >serve.pid
    wait_for listens s
    python3 -c 'print("create:f:" + "x" * 60000)' >word
    # the second finds room for some of it
    run front "$(cat word)" "$(sed s/:f:/:g:/ word)" "$(sed s/:f:/:h:/ word)" \
        "$(sed s/:f:/:i:/ word)" cat:none
    cat out
    echo "$output"
    [ "$output" = $'ENOSPC\nENOSPC\nENOENT' ]
    [ "$(cat out)" = "fsd: warning: full: No space left on device" ]
    kill "$(cat serve.pid)"
    wait "$(cat serve.pid)"
    unset AS
    mkdir gone
    serve --shared-dir=gone
    run front create:f:x host:'rm -rf gone' cat:f cat:f create:g:x
    [ "$output" = $'ENOENT\nENOENT\nENOENT' ]
    [ "$(cat out)" = "fsd: warning: gone: the directory has been removed" ]
}

@test "every kind of sandbox and cache serves" {
    is_root
    namespaces -m
    for options in --sandbox=chroot --sandbox=none --seccomp=none --no-landlock --inode-file-handles=mandatory --cache=always \
        --cache=never --cache=metadata --writeback "--rlimit-nofile=200" "--uid-map=:0:0:100: --gid-map=:0:0:100:" \
        "-o cache=none,flock,posix_lock,no_writeback,posix_acl,timeout=5,announce_submounts,killpriv_v2,modcaps=+sys_admin:-mknod"; do
        # shellcheck disable=SC2086
        serve --shared-dir=share $options
        run front cat:file create:new:x unlink:new
        cat out
        echo "$options: $output"
        [ "$output" = text ]
        kill "$(cat serve.pid)"
        wait "$(cat serve.pid)"
    done
}

# refuses TEXT OPTIONS...
refuses()
{
    local text=$1
    shift
    run timeout 20 fsd "$@"
    echo "$* -> $status $output"
    [ "$status" -ne 0 ]
    [[ $output == *"$text"* ]]
}

@test "what is wrong is said, by name" {
    refuses "no directory to share" --socket-path=x
    refuses "no socket" --shared-dir=share
    refuses "did you mean '--shared-dir'" --shared-dri=share
    refuses "want one of never" --cache=sometimes share
    refuses "unknown option '-o xatr' (did you mean 'xattr'?)" -o xatr share
    refuses "exclude each other" --fd=3 --socket-path=x share
    refuses "add --xattr" --security-label --socket-path=x share
    refuses "xattrmap" --xattrmap=nonsense --socket-path=x share
    refuses "squash" --translate-uid=up:1:2:3 --socket-path=x share
    refuses "missing/dir: No such file" --socket-path=x missing/dir
    refuses "share/file: Not a directory" --socket-path=x --sandbox=none share/file
    refuses "no socket of ours" --fd=77 share
    refuses "there is no such group" --socket-path=x --socket-group=no-such-group share
    refuses "writeback needs a cache" --socket-path=x --writeback --cache=never --sandbox=none share
    refuses "unexpected 'more'" --socket-path=x share more
}
