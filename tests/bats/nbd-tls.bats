#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# TLS on NBD connections: certificates of certtool, keys of psktool; ours on both ends, and each end
# against libnbd, nbdkit and qemu's. Rows B3a and B3b are here.

load common

setup_file()
{
    cd "$BATS_FILE_TMPDIR"
    local ca end
    for ca in good other; do
        mkdir -p $ca
        certtool --generate-privkey --ecc --outfile $ca/ca-key.pem
        printf 'cn = %s\nca\ncert_signing_key\nexpiration_days = 30\n' "$ca CA" >$ca/ca.cfg
        certtool --generate-self-signed --load-privkey $ca/ca-key.pem --template $ca/ca.cfg --outfile $ca/ca-cert.pem
    done
    # the server's is for this address, and for no name
    printf 'cn = server\nip_address = 127.0.0.1\ntls_www_server\nsigning_key\nencryption_key\nexpiration_days = 30\n' >server.cfg
    printf 'cn = %s\norganization = us\ntls_www_client\nsigning_key\nencryption_key\nexpiration_days = 30\n' alice >alice.cfg
    sed s/alice/mallory/ alice.cfg >mallory.cfg
    make_cert good server server
    make_cert good alice client
    make_cert good mallory client
    make_cert other alice client
    mkdir psk wrong
    psktool -u psk1 -p psk/keys.psk
    psktool -u psk1 -p wrong/keys.psk
} >&2

# make_cert CA NAME END: folder CA-NAME with what that end needs
make_cert()
{
    local d=$1-$2
    mkdir -p $d
    cp $1/ca-cert.pem $d/
    certtool --generate-privkey --ecc --outfile $d/$3-key.pem
    certtool --generate-certificate --load-privkey $d/$3-key.pem --load-ca-certificate $1/ca-cert.pem \
        --load-ca-privkey $1/ca-key.pem --template $2.cfg --outfile $d/$3-cert.pem
}

setup()
{
    cd "$BATS_TEST_TMPDIR"
    F=$BATS_FILE_TMPDIR
    head -c 1000000 /dev/urandom >d.raw
    truncate -s 2M d.raw
    port=$(free_port)
    server=tls-creds-x509,id=t,endpoint=server,dir=$F/good-server
}

teardown()
{
    # shellcheck disable=SC2046
    kill $(cat ./*.pid 2>/dev/null) 2>/dev/null || true
}

serve() { nbd -r -f raw --pid-file s.pid --fork "$@" d.raw; }
client() { echo "tls-creds-x509,id=c,endpoint=client,dir=$F/$1"; }
psk() { echo "tls-creds-psk,id=c,endpoint=$1,dir=$F/$2${3-}"; }

@test "certificates over TCP, and the name on them overridden (B3a)" {
    serve -b 127.0.0.1 -p "$port" --object "$server" --tls-creds t
    local ours theirs
    nbd -L -b 127.0.0.1 -p "$port" --object "$(client good-alice)" --tls-creds c | grep -q "exports available: 1"
    run nbd -L -b localhost -p "$port" --object "$(client good-alice)" --tls-creds c
    [ "$status" -eq 1 ]
    [[ $output == *"Certificate does not match the hostname localhost"* ]]
    nbd -L -b localhost -p "$port" --object "$(client good-alice)" --tls-creds c --tls-hostname=127.0.0.1 |
        grep -q "exports available: 1"
    qemu-nbd -L -b localhost -p "$port" --object "$(client good-alice)" --tls-creds c --tls-hostname=127.0.0.1 >theirs
    nbd -L -b localhost -p "$port" --object "$(client good-alice)" --tls-creds c --tls-hostname=127.0.0.1 >ours
    diff theirs ours
    img info --image-opts --object "$(client good-alice)" \
        "driver=nbd,host=localhost,port=$port,tls-creds=c,tls-hostname=127.0.0.1" | grep -q 'virtual size: 2 MiB'
    run img info --image-opts --object "$(client good-alice)" "driver=nbd,host=localhost,port=$port,tls-creds=c"
    [ "$status" -eq 1 ]
    [[ $output == *"Certificate does not match the hostname localhost"* ]]
    run img info --image-opts --object "$(client other-alice)" "driver=nbd,host=127.0.0.1,port=$port,tls-creds=c"
    [ "$status" -eq 1 ]
    [[ $output == *"The certificate hasn't got a known issuer"* ]]
    run nbd -L -b 127.0.0.1 -p "$port"
    [ "$status" -eq 1 ]
    [[ $output == *"TLS negotiation required before option"* ]]
    run nbd -L -b 127.0.0.1 -p "$port" --tls-hostname=x
    [[ $output == *"--tls-hostname is not permitted without --tls-creds"* ]]
}

@test "certificates and keys over Unix sockets (B3b)" {
    serve -k s.sock --object "$server" --tls-creds t
    run nbd -L -k s.sock --object "$(client good-alice)" --tls-creds c
    [ "$status" -eq 1 ]
    [[ $output == *"No hostname for certificate validation"* ]]
    nbd -L -k s.sock --object "$(client good-alice)" --tls-creds c --tls-hostname=127.0.0.1 | grep -q "size:  2097152"
    img compare -f raw d.raw --object "$(client good-alice)" --image-opts \
        "driver=nbd,path=s.sock,tls-creds=c,tls-hostname=127.0.0.1" 2>/dev/null ||
        img convert --object "$(client good-alice)" --image-opts -O raw \
            "driver=nbd,path=s.sock,tls-creds=c,tls-hostname=127.0.0.1" out.raw
    kill "$(cat s.pid)"
    wait_for test ! -e s.sock
    serve -k s.sock --object tls-creds-psk,id=t,endpoint=server,dir="$F/psk" --tls-creds t
    nbd -L -k s.sock --object "$(psk client psk ,username=psk1)" --tls-creds c | grep -q "size:  2097152"
    qemu-nbd -L -k "$PWD/s.sock" --object "$(psk client psk ,username=psk1)" --tls-creds c | grep -q "size:  2097152"
    run nbd -L -k s.sock --object "$(psk client wrong ,username=psk1)" --tls-creds c
    [ "$status" -eq 1 ]
    echo "$output"
    [[ $output == *"handshake"* ]]
    run nbd -L -k s.sock
    [ "$status" -eq 1 ]
    [[ $output == *"TLS negotiation required before option"* ]]
    run qemu-nbd -L -k "$PWD/s.sock"
    [[ $output == *"TLS negotiation required before option 8"* || $output == *"TLS negotiation required before option 3 (list)"* ]]
    nbdinfo --size "nbds+unix://psk1@/?socket=$PWD/s.sock&tls-psk-file=$F/psk/keys.psk" | grep -qx 2097152
    nbdcopy "nbds+unix://psk1@/?socket=$PWD/s.sock&tls-psk-file=$F/psk/keys.psk" out.raw
    cmp d.raw out.raw
}

@test "who may come in is decided by the name on his certificate" {
    serve -b 127.0.0.1 -p "$port" --object "$server" --tls-creds t --tls-authz z \
        --object "authz-list,id=z,policy=deny,rules.0.match=*CN=alice*,rules.0.format=glob,rules.0.policy=allow"
    nbd -L -b 127.0.0.1 -p "$port" --object "$(client good-alice)" --tls-creds c | grep -q "size:  2097152"
    run nbd -L -b 127.0.0.1 -p "$port" --object "$(client good-mallory)" --tls-creds c
    [ "$status" -eq 1 ]
    run qemu-nbd -L -b 127.0.0.1 -p "$port" --object "$(client good-mallory)" --tls-creds c
    [ "$status" -eq 1 ]
    run nbd -L -b 127.0.0.1 -p "$port" --object "$(client other-alice)" --tls-creds c
    [ "$status" -eq 1 ]
}

@test "each end works with those of others" {
    local u
    # libnbd to ours, with certificates
    serve -b 127.0.0.1 -p "$port" --object "$server" --tls-creds t
    nbdcopy "nbds://127.0.0.1:$port/?tls-certificates=$F/good-alice" out.raw
    cmp d.raw out.raw
    qemu-img convert --image-opts --object "$(client good-alice)" -O raw \
        "driver=nbd,host=127.0.0.1,port=$port,tls-creds=c" out.raw
    cmp d.raw out.raw
    nbdkit -U k.sock -P k.pid nbd hostname=127.0.0.1 port="$port" tls=require tls-certificates="$F/good-alice"
    nbdcopy "nbd+unix:///?socket=$PWD/k.sock" out.raw
    cmp d.raw out.raw
    kill "$(cat s.pid)" "$(cat k.pid)"
    # ours to nbdkit and qemu-nbd, with keys
    port=$(free_port)
    nbdkit -i 127.0.0.1 -p "$port" -P k.pid --tls=require --tls-psk="$F/psk/keys.psk" file d.raw
    u=driver=nbd,host=127.0.0.1,port=$port,tls-creds=c
    img convert --image-opts --object "$(psk client psk ,username=psk1)" -O raw "$u" out.raw
    cmp d.raw out.raw
    kill "$(cat k.pid)"
    port=$(free_port)
    qemu-nbd -t -r -b 127.0.0.1 -p "$port" --pid-file s.pid --fork -f raw \
        --object tls-creds-psk,id=t,endpoint=server,dir="$F/psk" --tls-creds t d.raw
    u=driver=nbd,host=127.0.0.1,port=$port,tls-creds=c
    img convert --image-opts --object "$(psk client psk ,username=psk1)" -O raw "$u" out.raw
    cmp d.raw out.raw
}

@test "what is wrong with credentials is said" {
    run nbd -r --object tls-creds-x509,id=t,endpoint=server,dir="$F/nowhere" --tls-creds t d.raw
    [ "$status" -ne 0 ]
    [[ $output == *nowhere* ]]
    run nbd -r --tls-creds t d.raw
    [ "$status" -eq 1 ]
    [[ $output == *"'t'"* ]]
    run nbd -r --object "$(client good-alice)" --tls-creds c d.raw
    [ "$status" -eq 1 ]
    run img info --image-opts "driver=nbd,path=x,tls-hostname=y"
    [[ $output == *"tls-hostname not supported without tls-creds"* ]]
}
