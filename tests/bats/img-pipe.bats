#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# img convert from standard input and to standard output, and the forms of its progress. What comes out
# is looked at by Debian's qemu-img and cmp.

load common

setup()
{
    cd "$BATS_TEST_TMPDIR"
    ulimit -c 0
}

disk() # NAME SIZE: noise, text and holes
{
    local n
    n=$(numfmt --from=iec "$2")
    truncate -s "$n" "$1"
    if [ "$n" -gt 4096 ]; then
        head -c $((n / 4)) /dev/urandom | dd of="$1" conv=notrunc status=none
        python3 -c "print('one line as the other, ' * ($n // 100))" |
            dd of="$1" bs=512 seek=$((n / 1024)) conv=notrunc status=none
    fi
    printf tail | dd of="$1" bs=1 seek=$((n - 4)) conv=notrunc status=none
}

@test "a pipe of any length becomes an image, packed or not, and comes out of one" {
    for n in 512 1000 65536 2097152 2097153 70000001; do
        disk d.raw $n
        for how in "" -c "-o cluster_size=512" "-o compat=0.10"; do
            rm -f d.qcow2
            # shellcheck disable=SC2086
            cat d.raw | img convert -O qcow2 $how - d.qcow2
            qemu-img check -q d.qcow2
            qemu-img compare -q -f raw -F qcow2 d.raw d.qcow2
        done
        rm -f plain.raw
        cat d.raw | img convert -O raw - plain.raw
        qemu-img convert -O raw d.qcow2 want.raw
        cmp plain.raw want.raw
        img convert -O raw d.qcow2 - | cmp - want.raw
        cat d.raw | img convert - - | cmp - want.raw
    done
    : | img convert -O qcow2 - d.qcow2
    [ "$(qemu-img info --output=json d.qcow2 | python3 -c 'import json, sys; print(json.load(sys.stdin)["virtual-size"])')" = 0 ]
    [ -z "$(img convert -O raw d.qcow2 - | head -c 1)" ]
}

@test "zeroes in a pipe become holes, and holes are left in a file that standard output is" {
    disk d.raw 8M
    { cat d.raw; head -c 100M /dev/zero; cat d.raw; } | img convert -O qcow2 - d.qcow2
    [ "$(stat -c %b d.qcow2)" -lt 36000 ]
    img convert -O raw d.qcow2 - >out.raw
    [ "$(stat -c %b out.raw)" -lt 36000 ]
    qemu-img compare -q -f raw out.raw d.qcow2
    echo before >out.raw
    img convert -O raw d.qcow2 - >>out.raw
    qemu-img convert -O raw d.qcow2 want.raw
    tail -c +8 out.raw | cmp - want.raw
    truncate -s 1T huge.raw
    img convert -f raw huge.raw - >huge.out
    [ "$(stat -c '%s %b' huge.out)" = "$((1 << 40)) 0" ]
}

@test "a file as standard input is opened as one, and read from where it was left as a pipe" {
    disk d.raw 3M
    img convert -f raw -O qcow2 d.raw d.qcow2
    img convert -O qcow2 - again.qcow2 <d.qcow2
    qemu-img compare -q d.qcow2 again.qcow2
    { head -c 1M >/dev/null; img convert -f raw -O raw - rest.raw; } <d.raw
    tail -c +1048577 d.raw | cmp - rest.raw
}

@test "with -n a pipe goes into an image that has room, and not into one that has none" {
    disk d.raw 5M
    img create -q -f qcow2 there.qcow2 6M
    cat d.raw | img convert -n -O qcow2 - there.qcow2
    truncate -s 6M d.raw
    qemu-img compare -q -f raw -F qcow2 d.raw there.qcow2
    img create -q -f qcow2 small.qcow2 4M
    run bash -c 'cat d.raw | img convert -n -O qcow2 - small.qcow2'
    [ "$status" = 1 ] && [ "$output" = "img: output file is smaller than input file" ]
}

@test "what a pipe cannot be is said, and no output is begun" {
    disk d.raw 1M
    img convert -f raw -O qcow2 d.raw d.qcow2
    run bash -c 'cat d.qcow2 | img convert -O qcow2 - x.qcow2'
    [ "$status" = 1 ] && [[ $output = *"this is qcow2"*"hint: "* ]]
    run bash -c 'cat d.qcow2 | img convert -f qcow2 -O qcow2 - x.qcow2'
    [ "$status" = 1 ] && [[ $output = *"as raw only, not as qcow2"* ]]
    cat d.qcow2 | img convert -f raw -O raw - same.qcow2
    qemu-img compare -q d.qcow2 same.qcow2
    run bash -c 'cat d.raw | img convert -O qcow2 -o preallocation=full - x.qcow2'
    [ "$status" = 1 ] && [[ $output = *"not known beforehand"* ]]
    run bash -c 'cat d.raw | img convert -O qcow2 - d.raw x.qcow2'
    [ "$status" = 2 ] && [[ $output = *"cannot be joined"* ]]
    run img convert -O qcow2 d.raw -
    [ "$status" = 2 ] && [[ $output = *"standard output takes a plain disk"* ]]
    run bash -c 'img convert -f raw -O raw d.raw - >&-'
    [ "$status" = 1 ] && [[ $output = *"standard output: Bad file descriptor"* ]]
    [ ! -e x.qcow2 ]
}

@test "a reader that goes away, and a full device, are one message and status 1" {
    disk d.raw 20M
    run bash -c 'img convert -f raw -O raw d.raw - 2>err | head -c 100 >/dev/null; echo ${PIPESTATUS[0]}; cat err'
    [ "${lines[0]}" = 1 ]
    [[ ${lines[1]} = "img: standard output: error while writing at byte "*": Broken pipe" ]]
    [ ${#lines[@]} = 2 ]
    run bash -c 'img convert -f raw -O raw d.raw - >/dev/full'
    [ "$status" = 1 ] && [[ $output = *"No space left on device" ]]
}

@test "SIGINT while nothing comes out of a pipe removes what was begun" {
    mkfifo fifo
    img convert -O qcow2 - out.qcow2 <fifo 2>err &
    pid=$!
    exec 5>fifo
    head -c 3M /dev/urandom >&5
    wait_for test -e out.qcow2
    kill -INT $pid
    wait $pid && false
    exec 5>&-
    [ "$(cat err)" = "img: interrupted; out.qcow2 is not complete" ]
    [ ! -e out.qcow2 ]
}

@test "memory stays small whatever comes" {
    head -c 600M /dev/zero | tr '\0' x | python3 -c 'import resource, subprocess, sys
subprocess.check_call(["img", "convert", "-c", "-O", "qcow2", "-", "out.qcow2"])
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)' >peak
    [ "$(cat peak)" -lt 100000 ]
}

@test "progress goes to stderr in the form that --progress names, and -p keeps off the data" {
    disk d.raw 30M
    img convert -p -f raw -O raw d.raw - 2>err | cmp - d.raw
    [ "$(tr '\r' '\n' <err | sed -n 1p)" = "    (0.00/100%)" ]
    [ "$(tr '\r' '\n' <err | tail -n 2 | head -n 1)" = "    (100.00/100%)" ]
    out=$(img convert --progress=bar -f raw -O raw d.raw x.raw 2>err)
    [ -z "$out" ] && grep -q '(100.00/100%)' err
    out=$(img convert --progress=none -p -f raw -O raw d.raw x.raw 2>&1 >/dev/null)
    [ -z "$out" ]
    out=$(img convert --progress=json -f raw -O raw d.raw x.raw 2>err)
    [ -z "$out" ]
    python3 - <<'PY'
import json
lines = [json.loads(l) for l in open("err")]
assert lines and all(set(l) == {"transferred", "size", "elapsed", "description"} for l in lines), lines
done = [l["transferred"] for l in lines]
assert done == sorted(done) and done[-1] == lines[-1]["size"] == 30 << 20, lines
assert lines[-1]["description"] == "convert"
PY
    cat d.raw | img convert --progress=json -O raw - x.raw 2>err
    tail -n 1 err | grep -q '"transferred": 31457280, "size": 31457280'
    img compare --progress=fd:7 -f raw d.raw x.raw 7>seven >/dev/null
    [ "$(head -n 1 seven)" = 0/100 ] && [ "$(tail -n 1 seven)" = 100/100 ]
    run img convert --progress=fd:77 -f raw d.raw x.raw
    [ "$status" = 2 ] && [[ $output = *"no such open file descriptor"* ]]
    run img convert --progress=loud -f raw d.raw x.raw
    [ "$status" = 2 ]
}

@test "SIGUSR1 has one line of progress written to stderr, as qemu-img does" {
    ln -s "$(command -v img)" qemu-img
    disk d.raw 30M
    for tool in img ./qemu-img; do
        rm -f x.raw
        "$tool" convert -r 1M -f raw -O raw d.raw x.raw >out 2>err &
        pid=$!
        told() { kill -USR1 $pid; [ -s err ]; }
        wait_for test -e x.raw
        wait_for told
        kill $pid
        wait $pid && false
        grep -qx '    ([0-9]*\.[0-9][0-9]/100%)' err
        [ ! -s out ]
    done
}
