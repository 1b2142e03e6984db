#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# Encrypted images: what img makes qemu-img reads, and the other way round; secrets; key slots; bad headers.

load common

S=(--object secret,id=s0,data=hunter2)
FAST=iter-time=100

setup() { cd "$BATS_TEST_TMPDIR"; }

source_disk()
{
    truncate -s 6M src.raw
    head -c 2M /dev/urandom | dd of=src.raw bs=1M seek=1 conv=notrunc status=none
    qemu-io -f raw -c "write -P 7 5000k 300" -c "write -P 8 6143k 1k" src.raw >/dev/null
}

luks() { echo "driver=luks,key-secret=${2:-s0},file.filename=$1"; }
inside() { echo "driver=qcow2,encrypt.key-secret=${2:-s0},file.filename=$1"; }

# qemu-img measures its own speed and gives up where the host is too busy for that
theirs()
{
    local i
    for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
        run qemu-img "$@"
        [[ $output == *"accurate CPU usage"* ]] || break
    done
    echo "$output"
    [ "$status" -eq 0 ]
}

# opens OPTIONS IMAGE-OPTS: all of it can be read
opens() { img compare -q "$@" "${@: -1}"; }

# refused WORDS COMMAND...: fails within a few seconds and says so
refused()
{
    local words=$1
    shift
    run timeout 20 "$@"
    echo "$output"
    [ "$status" -ne 0 ] && [ "$status" -lt 124 ] && [[ $output == *"$words"* ]]
}

@test "LUKS images with every cipher, mode and hash are read by qemu-img, and its ones by img" {
    source_disk
    for o in "" cipher-alg=aes-128 cipher-alg=aes-192 cipher-mode=cbc,ivgen-alg=essiv \
        cipher-mode=cbc,ivgen-alg=essiv,cipher-alg=aes-128 ivgen-alg=plain hash-alg=sha1 hash-alg=sha512 \
        hash-alg=sha224 hash-alg=sha384; do
        echo "with '$o'"
        img convert -f raw -O luks "${S[@]}" -o "key-secret=s0,$FAST${o:+,$o}" src.raw ours.luks
        qemu-img compare -q "${S[@]}" --image-opts "$(luks ours.luks)" driver=raw,file.filename=src.raw
        diff <(img info ours.luks) <(qemu-img info ours.luks)
        # it takes seconds for each of its own
        case $o in "" | *essiv | hash-alg=sha512) ;; *) continue ;; esac
        theirs convert -f raw -O luks "${S[@]}" -o "key-secret=s0,iter-time=200${o:+,$o}" src.raw theirs.luks
        img compare -q "${S[@]}" --image-opts "$(luks theirs.luks)" driver=raw,file.filename=src.raw
        diff <(img info --output=json theirs.luks) <(qemu-img info --output=json theirs.luks)
    done
}

@test "cryptsetup opens what img made, where it is installed" {
    command -v cryptsetup >/dev/null || skip "no cryptsetup"
    img create -q "${S[@]}" -f luks -o key-secret=s0,$FAST x.luks 1M
    printf hunter2 | cryptsetup open --test-passphrase --type luks1 --key-file - x.luks
    cryptsetup luksDump x.luks | grep -q xts-plain64
}

@test "encrypted qcow2 images: written by both sides, backing files, snapshots, sizes, and no plain text" {
    source_disk
    for o in "" cluster_size=512 extended_l2=on preallocation=metadata preallocation=full compat=0.10 \
        encrypt.cipher-mode=cbc,encrypt.ivgen-alg=essiv; do
        echo "with '$o'"
        img convert -f raw -O qcow2 "${S[@]}" -o "encrypt.format=luks,encrypt.key-secret=s0,encrypt.$FAST${o:+,$o}" \
            src.raw ours.qcow2
        img check -q ours.qcow2
        qemu-img check -q "${S[@]}" --image-opts "$(inside ours.qcow2)"
        qemu-img compare -q "${S[@]}" --image-opts "$(inside ours.qcow2)" driver=raw,file.filename=src.raw
        diff <(img info ours.qcow2) <(qemu-img info ours.qcow2)
        qemu-io "${S[@]}" --image-opts "$(inside ours.qcow2)" -c "write -P 9 100k 70k" -c "write -z 3M 64k" >/dev/null
        img convert "${S[@]}" --image-opts "$(inside ours.qcow2)" -O raw ours.raw
        qemu-img compare -q "${S[@]}" --image-opts "$(inside ours.qcow2)" driver=raw,file.filename=ours.raw
        case $o in "" | extended_l2=on | compat=0.10) ;; *) continue ;; esac
        theirs convert -f raw -O qcow2 "${S[@]}" \
            -o "encrypt.format=luks,encrypt.key-secret=s0,encrypt.iter-time=200${o:+,$o}" src.raw theirs.qcow2
        img compare -q "${S[@]}" --image-opts "$(inside theirs.qcow2)" driver=raw,file.filename=src.raw
    done
    img create -q "${S[@]}" -f qcow2 -b src.raw -F raw \
        -o encrypt.format=luks,encrypt.key-secret=s0,encrypt.$FAST top.qcow2 8M
    img snapshot -c one top.qcow2 2>/dev/null && false
    img resize "${S[@]}" --image-opts "$(inside top.qcow2)" 9M
    qemu-io "${S[@]}" --image-opts "$(inside top.qcow2)" -c "write -P 0x41 1000k 5000" -c "write -P 0x41 7M 1M" >/dev/null
    img convert "${S[@]}" --image-opts "$(inside top.qcow2)" -O raw top.raw
    qemu-img compare -q "${S[@]}" --image-opts "$(inside top.qcow2)" driver=raw,file.filename=top.raw
    [ "$(grep -c AAAAAAAAAAAAAAAA top.qcow2)" = 0 ]
    refused "not supported at the same time" img convert -c -f raw -O qcow2 "${S[@]}" \
        -o encrypt.format=luks,encrypt.key-secret=s0 src.raw packed.qcow2
    [ ! -e packed.qcow2 ]
    theirs measure "${S[@]}" -O qcow2 --size 8M -o encrypt.format=luks,encrypt.key-secret=s0
    [ "$(img measure "${S[@]}" -O qcow2 --size 8M -o encrypt.format=luks,encrypt.key-secret=s0)" = "$output" ]
    theirs measure "${S[@]}" -O luks --size 8M -o key-secret=s0
    [ "$(img measure "${S[@]}" -O luks --size 8M -o key-secret=s0)" = "$output" ]
}

@test "secrets come as text, base64, files and encrypted; what is wrong is said as qemu-img says it" {
    img create -q "${S[@]}" -f luks -o key-secret=s0,$FAST x.luks 1M
    printf hunter2 >pass
    key=$(head -c 32 /dev/zero | base64)
    sealed=$(openssl enc -aes-256-cbc -a -K "$(printf '%064d' 0)" -iv "$(printf '%032d' 1)" <pass)
    iv=$(printf '\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1' | base64)
    for o in data=aHVudGVyMg==,format=base64 file=pass "data=$sealed,format=base64,keyid=k,iv=$iv"; do
        img compare -q --object "secret,id=k,data=$key" --object "secret,id=s0,$o" --image-opts \
            "$(luks x.luks)" "$(luks x.luks)"
    done
    for o in secret,id=x secret,data=a secret,id=x,data=a,file=b secret,id=x,data=@@,format=base64 \
        secret,id=x,data=a,format=foo secret,id=x,data=a,keyid=z,iv=a secret,id=1x,data=a; do
        run qemu-img info --object "$o" x.luks
        want=${output#qemu-img: }
        run img info --object "$o" x.luks
        [ "$status" -ne 0 ] && [ "${output#img: }" = "$want" ]
    done
    refused "No secret with id 's1'" img create "${S[@]}" -f luks -o key-secret=s1 y.luks 1M
    refused "Parameter 'key-secret' is required for cipher" img create -f luks y.luks 1M
    refused "Parameter 'encrypt.format' is missing" img create "${S[@]}" -f qcow2 -o encrypt.key-secret=s0 y.qcow2 1M
    refused "No AES cipher with key size 20 available" img create "${S[@]}" -f luks \
        -o key-secret=s0,cipher-mode=cbc,ivgen-alg=essiv,ivgen-hash-alg=sha1 y.luks 1M
    [ ! -e y.luks ] && [ ! -e y.qcow2 ]
    refused "Invalid password, cannot unlock any keyslot" img convert --object secret,id=s0,data=other \
        --image-opts "$(luks x.luks)" -O raw out.raw
    refused "Parameter 'key-secret' is required for cipher" img convert -f luks x.luks -O raw out.raw
}

@test "amend adds and erases passphrases, in images of both kinds, and keeps the last one" {
    two=(--object secret,id=s1,data=second)
    for kind in luks qcow2; do
        p='' opts=luks
        [ $kind = luks ] || { p=encrypt. opts=inside; }
        o=${p}key-secret=s0,$p$FAST
        [ $kind = luks ] || o+=,encrypt.format=luks
        img create -q "${S[@]}" -f $kind -o "$o" x.$kind 1M
        img amend "${S[@]}" "${two[@]}" --image-opts -o "${p}state=active,${p}new-secret=s1,${p}$FAST" "$($opts x.$kind)"
        qemu-io "${two[@]}" --image-opts "$($opts x.$kind s1)" -c "write -P 3 0 64k" >/dev/null
        qemu-io "${S[@]}" --image-opts "$($opts x.$kind)" -c "read -P 3 0 64k" >/dev/null
        img amend "${S[@]}" "${two[@]}" --image-opts -o "${p}state=inactive,${p}old-secret=s0" "$($opts x.$kind)"
        refused "Invalid password" img convert "${S[@]}" --image-opts "$($opts x.$kind)" -O raw out.raw
        qemu-io "${two[@]}" --image-opts "$($opts x.$kind s1)" -c "read -P 3 0 64k" >/dev/null
        refused "refusing operation" img amend "${two[@]}" --image-opts -o "${p}state=inactive,${p}keyslot=1" \
            "$($opts x.$kind s1)"
        # theirs, read by ours
        theirs amend "${S[@]}" "${two[@]}" --image-opts -o "${p}state=active,${p}new-secret=s0,${p}keyslot=5,${p}iter-time=200" \
            "$($opts x.$kind s1)"
        opens "${S[@]}" --image-opts "$($opts x.$kind)"
    done
}

# patch OFFSET HEX
patch() { printf "%b" "$(sed 's/../\\x&/g' <<<"$2")" | dd of=bad.luks bs=1 seek="$1" conv=notrunc status=none; }

@test "headers that ask for too much, overlap or end early are refused at once" {
    img create -q "${S[@]}" -f luks -o key-secret=s0,$FAST good.luks 1M
    while read -r at hex words; do
        cp good.luks bad.luks
        patch "$at" "$hex"
        echo "$at $hex"
        refused "$words" timeout 5 img map "${S[@]}" --image-opts "$(luks bad.luks)"
    done <<'END'
6 0002 LUKS version 2 is not supported
8 66 LUKS cipher
40 66 LUKS cipher mode
72 66 LUKS hash
104 ffffffff begins past the end of the file
104 00000010 reaches out of the header
108 00000000 a LUKS key of 0 bytes
108 ffffffff a LUKS key of
164 ffffffff asks for 4294967295 iterations
164 00000000 asks for 0 iterations
208 00000001 neither used nor free
212 ffffffff asks for 4294967295 iterations
248 ffffffff reaches out of the header
248 00000000 reaches out of the header
252 ffffffff stripes
296 00000008 overlap
END
    for n in 0 6 100 591 592 5000; do
        head -c $n good.luks >bad.luks
        refused "" img map "${S[@]}" --image-opts "$(luks bad.luks)"
    done
}
