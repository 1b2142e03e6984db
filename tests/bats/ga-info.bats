#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# What the agent says of a machine: as Debian's qemu-ga says it of the same one, and out of trees of /proc and /sys
# that were written down. Both agents run as nobody, so a mistake in one of them changes nothing here;
# what changes a machine is in tests/soak/ga-vm.

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

nobody()
{
    "${as[@]}" "$@"
}

@test "what there is is told as qemu-ga tells it" {
    both
    /usr/bin/python3 - "$dir" <<'PY'
import sys
from ga_same import Agent, same
a, b = Agent(sys.argv[1] + "/ours.sock"), Agent(sys.argv[1] + "/theirs.sock")
for command in ("guest-get-osinfo", "guest-get-host-name", "guest-get-timezone", "guest-get-vcpus",
                "guest-get-memory-blocks", "guest-get-memory-block-info", "guest-get-users", "guest-get-fsinfo",
                "guest-get-disks", "guest-network-get-interfaces", "guest-fsfreeze-status"):
    same(a.get(command), b.get(command), command)
# numbers that run: each is between two looks of the other
def walk(x, y, z, where):
    if isinstance(y, dict):
        assert set(x) == set(y) == set(z), (where, set(x) ^ set(y))
        for k in y:
            walk(x[k], y[k], z[k], where + "." + k)
    elif isinstance(y, list):
        assert len(x) == len(y) == len(z), where
        order = lambda l: sorted(l, key=lambda i: (str(i.get("name")), i.get("cpu")))
        for i, (p, q, r) in enumerate(zip(order(x), order(y), order(z))):
            walk(p, q, r, f"{where}[{i}]")
    elif where.split(".")[-1] in ("ios-pgr", "idle", "iowait"):
        assert type(x) is type(y)
    else:
        assert x <= y <= z if type(y) is int else x == y == z, (where, x, y, z)
for command in ("guest-get-cpustats", "guest-get-diskstats", "guest-get-time"):
    walk(b.get(command), a.get(command), b.get(command), command)
PY
}

@test "wrong arguments get the errors of qemu-ga" {
    both
    /usr/bin/python3 - "$dir" <<'PY'
import sys
from ga_same import Agent
a, b = Agent(sys.argv[1] + "/ours.sock"), Agent(sys.argv[1] + "/theirs.sock")
for command, arguments in [
        ("guest-set-vcpus", {}), ("guest-set-vcpus", {"vcpus": [{"logical-id": 999}]}),
        ("guest-set-vcpus", {"vcpus": [{"logical-id": 999, "online": True}]}),
        ("guest-set-vcpus", {"vcpus": [{"logical-id": -1, "online": True}]}),
        ("guest-set-vcpus", {"vcpus": [5]}), ("guest-set-vcpus", {"vcpus": 1}),
        ("guest-set-vcpus", {"vcpus": [{"logical-id": 0, "online": True, "x": 1}]}),
        ("guest-set-memory-blocks", {"mem-blks": [{"phys-index": 1}]}),
        ("guest-shutdown", {"mode": "bogus"}), ("guest-shutdown", {"mode": 5}),
        ("guest-set-user-password", {"username": "nosuch"}),
        ("guest-set-user-password", {"username": "no:such", "password": "YWE=", "crypted": False}),
        ("guest-set-user-password", {"username": "nosuch", "password": "YQph", "crypted": False}),
        ("guest-set-user-password", {"username": "no\nsuch", "password": "YWE=", "crypted": False}),
        ("guest-ssh-add-authorized-keys", {"username": "nosuch", "keys": ["a\nb"]}),
        ("guest-ssh-add-authorized-keys", {"username": "nosuch", "keys": ["#a"]}),
        ("guest-ssh-add-authorized-keys", {"username": "nosuch", "keys": [1]}),
        ("guest-ssh-get-authorized-keys", {}), ("guest-fstrim", {"minimum": "a"}),
        ("guest-fsfreeze-freeze-list", {"mountpoints": 5}), ("guest-set-time", {"time": "a"}),
        ("guest-set-time", {"time": 9223372036854775807}), ("guest-get-vcpus", {"a": 1}),
        ("guest-get-devices", None)]:
    ours, theirs = a.error(command, arguments), b.error(command, arguments)
    assert ours == theirs, (command, arguments, ours, theirs)
# these say more than qemu-ga's, behind the same beginning
for command, arguments, begin in [
        ("guest-ssh-get-authorized-keys", {"username": "nosuch"}, "failed to lookup user 'nosuch'"),
        ("guest-set-user-password", {"username": "nosuch", "password": "YWE=", "crypted": False},
         "child process has failed to set user password")]:
    ours, theirs = a.error(command, arguments), b.error(command, arguments)
    assert ours["desc"].startswith(begin) and theirs["desc"].startswith(begin), (ours, theirs)
    assert ours["class"] == theirs["class"]
for command, arguments in [("guest-set-vcpus", {"vcpus": []}), ("guest-set-memory-blocks", {"mem-blks": []}),
                           ("guest-set-memory-blocks", {"mem-blks": [{"phys-index": 99999, "online": True}]}),
                           ("guest-set-vcpus", {"vcpus": [{"logical-id": 0, "online": True},
                                                          {"logical-id": 999, "online": True}]})]:
    ours, theirs = a.get(command, arguments), b.get(command, arguments)
    assert ours == theirs, (command, arguments, ours, theirs)
PY
}

@test "who may not change the machine is told so" {
    [ "$(id -u)" != 0 ] || command -v setpriv >/dev/null || skip "no setpriv"
    start "$ga" ours
    /usr/bin/python3 - "$dir" <<'PY'
import sys, time
from ga_same import Agent
a = Agent(sys.argv[1] + "/ours.sock")
now = time.time()
assert a.error("guest-set-time", {"time": 10 ** 18})["desc"] == "Failed to set time to guest: Operation not permitted"
assert abs(time.time() - now) < 1000
assert a.get("guest-fsfreeze-status") == "thawed"
e = a.error("guest-fsfreeze-freeze-list", {"mountpoints": [a.get("guest-get-fsinfo")[-1]["mountpoint"]]})
assert "Operation not permitted" in e["desc"] or "Permission denied" in e["desc"], e
assert a.get("guest-fsfreeze-status") == "thawed"  # and other commands run
a.get("guest-get-time")
PY
}

@test "a frozen state that an agent left is known, and thaws by itself" {
    # nobody can neither freeze nor thaw: here it is the state that is looked at
    mkdir -m 777 "$dir/ours"
    touch "$dir/ours/qga.state.isfrozen"
    chmod 666 "$dir/ours/qga.state.isfrozen"
    start "$ga" ours --freeze-timeout=3
    /usr/bin/python3 - "$dir" <<'PY'
import os, sys, time
from ga_same import Agent
a = Agent(sys.argv[1] + "/ours.sock")
assert a.get("guest-fsfreeze-status") == "frozen"
e = a.error("guest-get-time")
assert e == {"class": "CommandNotFound",
             "desc": "Command guest-get-time has been disabled: the agent is in frozen state"}, e
while a.get("guest-fsfreeze-status") == "frozen":
    time.sleep(0.1)
assert not os.path.exists(sys.argv[1] + "/ours/qga.state.isfrozen")
a.get("guest-get-time")
assert "thawed" in a.error("guest-fsfreeze-thaw")["desc"]  # the host learns that it did not hold
assert a.get("guest-fsfreeze-thaw") == 0
PY
}

# tree: a machine with a disk of each kind, as the kernel shows it
tree()
{
    local r=$dir/root p=/sys/devices/pci0000:00 d
    mkdir -p "$r"/{proc/self,proc/net,sys/block,sys/dev/block,etc,run/udev/data,run/systemd/sessions,home/u}
    add()
    {
        mkdir -p "$r$2"
        echo 2048 >"$r$2/size"
        echo "$3" >"$r$2/dev"
        ln -s "$r$2" "$r/sys/dev/block/$3"
        [ -e "$r$2/partition" ] || ln -s "$r$2" "$r/sys/block/$1"
    }
    drive() { mkdir -p "$r/drivers/$2"; ln -s "$r/drivers/$2" "$r$1/driver"; }
    for d in 01.1/ata1 01.1/ata2 06.0/ata3 06.0/ata4 06.0/ata5; do mkdir -p "$r$p/0000:00:$d"; done
    drive $p/0000:00:01.1 ata_piix
    drive $p/0000:00:06.0 ahci
    mkdir -p "$r$p/0000:00:09.0" "$r$p/0000:00:02.0/0000:01:00.0"
    drive $p/0000:00:09.0 sym53c8xx
    add sda $p/0000:00:05.0/virtio2/host0/target0:0:3/0:0:3:5/block/sda 8:0
    add sdb $p/0000:00:01.1/ata2/host2/target2:0:1/2:0:1:0/block/sdb 8:16
    add sdc $p/0000:00:06.0/ata5/host5/target5:0:0/5:0:0:0/block/sdc 8:32
    add sdd $p/0000:00:08.0/usb1/1-1/1-1:1.0/host9/target9:0:0/9:0:0:0/block/sdd 8:48
    add sde $p/0000:00:09.0/host10/target10:0:6/10:0:6:0/block/sde 8:64
    add vda $p/0000:00:02.0/0000:01:00.0/virtio0/block/vda 254:0
    add nvme0n1 $p/0000:00:07.0/nvme/nvme0/nvme0n1 259:0
    add vdb /sys/devices/css0/0.0.0002/0.0.1a2b/virtio1/block/vdb 254:16
    add vdc /sys/devices/platform/10001000.virtio_mmio/virtio3/block/vdc 254:32
    mkdir -p "$r$p/0000:00:02.0/0000:01:00.0/virtio0/block/vda/vda1"
    echo 1 >"$r$p/0000:00:02.0/0000:01:00.0/virtio0/block/vda/vda1/partition"
    add vda1 $p/0000:00:02.0/0000:01:00.0/virtio0/block/vda/vda1 254:1
    add dm-0 /sys/devices/virtual/block/dm-0 253:0
    mkdir -p "$r/sys/devices/virtual/block/dm-0"/{dm,slaves}
    echo vg-root >"$r/sys/devices/virtual/block/dm-0/dm/name"
    for d in vda1 sdc; do ln -s "$(readlink -f "$r/sys/dev/block/$([ $d = sdc ] && echo 8:32 || echo 254:1)")" \
        "$r/sys/devices/virtual/block/dm-0/slaves/$d"; done
    add loop0 /sys/devices/virtual/block/loop0 7:0
    echo 0 >"$r/sys/devices/virtual/block/loop0/size"
    printf 'S:x\nE:ID_SERIAL=FROM_UDEV\nE:ID_X=y\n' >"$r/run/udev/data/b8:0"
    echo VSERIAL >"$r$p/0000:00:02.0/0000:01:00.0/virtio0/block/vda/serial"
    echo USERIAL >"$r$p/0000:00:08.0/usb1/1-1/serial"
    echo 0000:00:08.0 >"$r$p/0000:00:08.0/usb1/serial"
    echo NSERIAL >"$r$p/0000:00:07.0/nvme/nvme0/serial"
    ln -s ../.. "$r$p/0000:00:06.0/ata5/host5/target5:0:0/5:0:0:0/block/sdc/device"
    printf '\0\200\0\7 SCSI1 ' >"$r$p/0000:00:06.0/ata5/host5/target5:0:0/5:0:0:0/vpd_pg80"
    cat >"$r/proc/self/mountinfo" <<'END'
20 1 253:0 / / rw,relatime shared:1 - ext4 /dev/mapper/vg-root rw
21 20 0:19 / /proc rw - proc proc rw
22 20 8:0 / /with\040blank\134and rw shared:2 master:3 - xfs /dev/sda rw
23 20 0:40 / /net rw - cifs //host/share rw
24 20 0:41 / /over rw - overlay overlay rw
short line
END
}

@test "disks of all kinds are told by their places" {
    tree
    export GA_ROOT=$dir/root
    start "$ga" ours
    /usr/bin/python3 - "$dir" <<'PY'
import sys
from ga_same import Agent
a = Agent(sys.argv[1] + "/ours.sock")
disks = {d["name"]: d for d in a.get("guest-get-disks")}
assert len(disks) == 11 and "/dev/loop0" not in disks, disks.keys()
def place(name):
    x = disks["/dev/" + name]["address"]
    p = x["pci-controller"]
    assert x["dev"] == "/dev/" + name
    return (x["bus-type"], (p["domain"], p["bus"], p["slot"], p["function"]), x["bus"], x["target"], x["unit"])
none = (-1, -1, -1, -1)
for name, expected in {
        "sda": ("scsi", (0, 0, 5, 0), 0, 3, 5), "sdb": ("ide", (0, 0, 1, 1), 1, 0, 1),
        "sdc": ("sata", (0, 0, 6, 0), 0, 0, 2), "sdd": ("usb", (0, 0, 8, 0), 0, 0, 0),
        "sde": ("scsi", (0, 0, 9, 0), 0, 0, 6), "vda": ("virtio", (0, 1, 0, 0), 0, 0, 0),
        "nvme0n1": ("nvme", (0, 0, 7, 0), 0, 0, 0), "vdb": ("virtio", none, 0, 0, 0),
        "vdc": ("virtio", none, 0, 0, 0)}.items():
    assert place(name) == expected, (name, place(name), expected)
assert disks["/dev/vdb"]["address"]["ccw-address"] == {"cssid": 0, "ssid": 0, "subchno": 2, "devno": 0x1a2b}
assert "ccw-address" not in disks["/dev/vdc"]["address"], disks["/dev/vdc"]
for name, serial in {"sda": "FROM_UDEV", "vda": "VSERIAL", "sdd": "USERIAL", "nvme0n1": "NSERIAL", "sdc": "SCSI1",
                     "sdb": None}.items():
    assert disks["/dev/" + name]["address"].get("serial") == serial, (name, disks["/dev/" + name])
assert disks["/dev/vda1"]["partition"] and disks["/dev/vda1"]["dependencies"] == ["/dev/vda"]
assert disks["/dev/dm-0"]["alias"] == "/dev/mapper/vg-root" and "address" not in disks["/dev/dm-0"]
assert disks["/dev/dm-0"]["dependencies"] == ["/dev/sdc", "/dev/vda1"]
fs = {f["mountpoint"]: f for f in a.get("guest-get-fsinfo")}
assert set(fs) == {"/", "/with blank\\and"}, fs.keys()
assert fs["/"]["name"] == "dm-0" and [d["dev"] for d in fs["/"]["disk"]] == ["/dev/sdc", "/dev/vda1"]
assert fs["/with blank\\and"]["name"] == "sda" and fs["/with blank\\and"]["type"] == "xfs"
PY
}

@test "other systems' files are read as they are written" {
    tree
    r=$dir/root
    printf '# c\nNAME="Alma \\"Linux\\""\nID=alma\nVARIANT_ID=server\nVERSION_ID='"'9.1'"'\nBUG_URL=x\nEMPTY=\nPRETTY_NAME=\n' >"$r/etc/os-release"
    echo '0.50 1.25 12.00 2/100 999' >"$r/proc/loadavg"
    printf 'Iface\tDestination\nens3\t0001A8C0\t00000000\t0001\t0\t0\t100\t00FFFFFF\t1400\t0\t0\nbroken\n' >"$r/proc/net/route"
    printf '20010db8000000000000000000000000 20 00000000000000000000000000000000 00 fe800000000000000000000000000001 00000400 00000001 00000002 00000003     ens3\nzz 20\n' \
        >"$r/proc/net/ipv6_route"
    printf '00000000000000000000000000000000 00 00000000000000000000000000000000 00 00000000000000000000000000000000 ffffffff 00000001 00000000 80200200       lo\n' \
        >>"$r/proc/net/ipv6_route"
    printf 'cpu  9 9 9 9\ncpu0 100 1 2 3 4 5 6\nintr 5\n' >"$r/proc/stat"
    mkdir -p "$r/sys/devices/system/cpu"/{cpu0,cpu1,cpu10,cpu2,cpufreq} "$r/sys/devices/system/memory"/{memory7,memory32}
    echo 0 >"$r/sys/devices/system/cpu/cpu10/online"
    echo offline >"$r/sys/devices/system/memory/memory7/state"
    echo 1 >"$r/sys/devices/system/memory/memory7/removable"
    echo online >"$r/sys/devices/system/memory/memory32/state"
    echo 8000000 >"$r/sys/devices/system/memory/block_size_bytes"
    printf 'UID=1\nUSER=ada\nCLASS=user\nREALTIME=1700000000500000\n' >"$r/run/systemd/sessions/1"
    printf 'UID=1\nUSER=ada\nCLASS=user\nREALTIME=1600000000000000\n' >"$r/run/systemd/sessions/2"
    printf 'UID=2\nUSER=gdm\nCLASS=greeter\nREALTIME=1600000000000000\n' >"$r/run/systemd/sessions/3"
    export GA_ROOT=$r
    start "$ga" ours
    /usr/bin/python3 - "$dir" <<'PY'
import sys
from ga_same import Agent
a = Agent(sys.argv[1] + "/ours.sock")
o = a.get("guest-get-osinfo")
assert {k: v for k, v in o.items() if not k.startswith("kernel") and k != "machine"} == \
    {"name": 'Alma "Linux"', "id": "alma", "variant-id": "server", "version-id": "9.1"}, o
assert a.get("guest-get-load") == {"load1m": 0.5, "load5m": 1.25, "load15m": 12.0}
r4, r6, none = a.get("guest-network-get-route")
assert r4 == {"iface": "ens3", "destination": "192.168.1.0", "gateway": "0.0.0.0", "mask": "255.255.255.0", "metric": 100,
              "flags": 1, "refcnt": 0, "use": 0, "mtu": 1400, "window": 0, "irtt": 0, "version": 4}, r4
assert r6 == {"iface": "ens3", "destination": "2001:db8::", "desprefixlen": "32", "source": "::", "srcprefixlen": "0",
              "nexthop": "fe80::1", "metric": 1024, "refcnt": 1, "use": 2, "flags": 3, "version": 6}, r6
assert none["metric"] == -1 and none["flags"] == 0x80200200, none
import os
ms = 1000 // os.sysconf("SC_CLK_TCK")
assert a.get("guest-get-cpustats") == [{"type": "linux", "cpu": 0, "user": 100 * ms, "nice": ms, "system": 2 * ms,
                                        "idle": 3 * ms, "iowait": 4 * ms, "irq": 5 * ms, "softirq": 6 * ms}]
v = a.get("guest-get-vcpus")
assert [x["logical-id"] for x in v] == [0, 1, 2, 10]
assert v[3] == {"logical-id": 10, "online": False, "can-offline": True} and v[0]["online"] and not v[0]["can-offline"]
assert a.get("guest-get-memory-blocks") == [{"phys-index": 7, "online": False, "can-offline": True},
                                            {"phys-index": 32, "online": True, "can-offline": False}]
assert a.get("guest-get-memory-block-info") == {"size": 0x8000000}
assert a.get("guest-get-users") == [{"user": "ada", "login-time": 1600000000.0}]
assert a.error("guest-suspend-disk")["desc"] == "the requested suspend mode is not supported by the guest"
PY
}

@test "devices are told to who allows it" {
    tree
    r=$dir/root
    for d in 0000:00:01.1 0000:00:06.0 0000:00:05.0; do
        mkdir -p "$r/sys/bus/pci/devices"
        ln -s "$r/sys/devices/pci0000:00/$d" "$r/sys/bus/pci/devices/$d"
        echo 0x8086 >"$r/sys/devices/pci0000:00/$d/vendor"
        echo 0x7010 >"$r/sys/devices/pci0000:00/$d/device"
    done
    GA_ROOT=$r "${as[@]}" "$dir/ga" -m unix-listen -p "$dir/ours.sock" -t "$dir" --allow=guest-get-devices \
        2>"$dir/log" >/dev/null 3>&- &
    pids=$!
    wait_for listens "$dir/ours.sock"
    /usr/bin/python3 - "$dir" <<'PY'
import sys
from ga_same import Agent
a = Agent(sys.argv[1] + "/ours.sock")
pci = {"type": "pci", "vendor-id": 0x8086, "device-id": 0x7010}
devices = sorted(a.get("guest-get-devices"), key=lambda d: d["driver-name"])
assert devices == [{"driver-name": "ahci", "id": pci}, {"driver-name": "ata_piix", "id": pci}], devices
PY
}

@test "keys of ssh are added once and removed, and other lines stay" {
    tree
    r=$dir/root
    if [ "$(id -u)" = 0 ]; then id=65534; else id=$(id -u); fi
    echo "u:x:$id:$id::/home/u:/bin/sh" >"$r/etc/passwd"
    chmod 777 "$r/home/u"
    export GA_ROOT=$r
    start "$ga" ours
    /usr/bin/python3 - "$dir" <<'PY'
import os, stat, sys
from ga_same import Agent
a = Agent(sys.argv[1] + "/ours.sock")
ssh = sys.argv[1] + "/root/home/u/.ssh"
u = {"username": "u"}
assert "authorized_keys" in a.error("guest-ssh-get-authorized-keys", u)["desc"]
a.get("guest-ssh-remove-authorized-keys", {**u, "keys": ["x"]})
assert not os.path.exists(ssh)
a.get("guest-ssh-add-authorized-keys", {**u, "keys": ["ssh-rsa A a", "ssh-rsa A a", "", "b"]})
assert a.get("guest-ssh-get-authorized-keys", u) == {"keys": ["ssh-rsa A a", "b"]}
st = os.stat(ssh + "/authorized_keys")
assert stat.S_IMODE(st.st_mode) == 0o600 and stat.S_IMODE(os.stat(ssh).st_mode) == 0o700
PY
    run nobody sh -c "printf '# mine\nb\nold' >'$r/home/u/.ssh/authorized_keys'; cat '$r/home/u/.ssh/authorized_keys'"
    /usr/bin/python3 - "$dir" <<'PY'
import sys
from ga_same import Agent
a = Agent(sys.argv[1] + "/ours.sock")
u = {"username": "u"}
a.get("guest-ssh-add-authorized-keys", {**u, "keys": ["new"]})
a.get("guest-ssh-remove-authorized-keys", {**u, "keys": ["b", "absent"]})
assert a.get("guest-ssh-get-authorized-keys", u) == {"keys": ["old", "new"]}
PY
    [ "$(nobody cat "$r/home/u/.ssh/authorized_keys")" = "$(printf '# mine\nold\nnew')" ]
    /usr/bin/python3 -c "
from ga_same import Agent
a = Agent('$dir/ours.sock')
a.get('guest-ssh-add-authorized-keys', {'username': 'u', 'keys': ['only'], 'reset': True})"
    [ "$(nobody cat "$r/home/u/.ssh/authorized_keys")" = only ]
    [ "$(nobody ls -A "$r/home/u/.ssh")" = authorized_keys ]
}

# fake NAME...: programs that write down how they were called, and what they were given
fake()
{
    local name
    mkdir -p "$dir/bin"
    for name; do
        printf '#!/bin/sh\necho "$(basename "$0") $*" >>%s/calls\n[ -t 0 ] || cat >>%s/calls\n%s\n' "$dir" "$dir" \
            "${FAKE_END-}" >"$dir/bin/$name"
        chmod 755 "$dir/bin/$name"
    done
    export PATH=$dir/bin:$PATH
}

# calls: what they wrote, once there is something
calls()
{
    wait_for test -s "$dir/calls"
    cat "$dir/calls"
    rm -f "$dir/calls"
}

@test "machines are shut down and sent to sleep by the programs there are" {
    tree
    mkdir -p "$dir/root/sys/power" "$dir/root/run/systemd/system"
    echo 'freeze mem disk' >"$dir/root/sys/power/state"
    echo 'platform [suspend] shutdown' >"$dir/root/sys/power/disk"
    fake shutdown systemctl
    export GA_ROOT=$dir/root
    start "$ga" ours
    send()
    {
        /usr/bin/python3 - "$dir" "$@" <<'PY'
import json, sys
from ga_same import Agent
a = Agent(sys.argv[1] + "/ours.sock")
a.send(sys.argv[2], json.loads(sys.argv[3]))
assert a.get("guest-ping") == {}  # it is the next answer: the other has none
PY
    }
    send guest-shutdown '{}'
    [ "$(calls)" = "shutdown -h -P +0 hypervisor initiated shutdown" ]
    send guest-shutdown '{"mode": "halt"}'
    [ "$(calls)" = "shutdown -h -H +0 hypervisor initiated shutdown" ]
    send guest-shutdown '{"mode": "reboot"}'
    [ "$(calls)" = "shutdown -r +0 hypervisor initiated shutdown" ]
    send guest-suspend-ram '{}'
    [ "$(calls)" = "systemctl suspend" ]
    send guest-suspend-disk '{}'
    [ "$(calls)" = "systemctl hibernate" ]
    send guest-suspend-hybrid '{}'
    [ "$(calls)" = "systemctl hybrid-sleep" ]
    rm -r "$dir/root/run/systemd/system"
    chmod 666 "$dir/root/sys/power"/*
    send guest-suspend-hybrid '{}'
    [ "$(head -c 7 "$dir/root/sys/power/disk") $(head -c 4 "$dir/root/sys/power/state")" = "suspend disk" ]
}

@test "passwords are given to chpasswd, and what it says is told" {
    fake chpasswd
    start "$ga" ours
    ask() { "$dir/ga" --connect "$dir/ours.sock" "$@"; }
    ask guest-set-user-password '{"username": "ada", "password": "cMOkOnM=", "crypted": false}'
    [ "$(calls)" = "$(printf 'chpasswd \nada:p\303\244:s')" ]
    ask guest-set-user-password '{"username": "ada", "password": "JDYkeA==", "crypted": true}'
    [ "$(calls)" = "$(printf 'chpasswd -e\nada:$6$x')" ]
    FAKE_END='echo it is too short >&2; exit 1' fake chpasswd
    run ask guest-set-user-password '{"username": "ada", "password": "YQ==", "crypted": false}'
    [ "$status" = 1 ]
    [[ $output == *"child process has failed to set user password"*"it is too short"* ]]
    [[ $output != *"ada:a"* ]]
}

@test "a hook that fails keeps file systems from being frozen" {
    # what it leaves running keeps nobody waiting
    printf '#!/bin/sh\necho "$1" >>%s/hooks\nsleep 3000 &\necho $! >%s/left\nsleep 1\necho no room >&2\nexit 3\n' \
        "$dir" "$dir" >"$dir/hook"
    chmod 755 "$dir/hook"
    "${as[@]}" "$dir/ga" -m unix-listen -p "$dir/ours.sock" -t "$dir" -F"$dir/hook" 2>"$dir/log" >/dev/null 3>&- &
    pids=$!
    wait_for listens "$dir/ours.sock"
    /usr/bin/python3 - "$dir" <<'PY'
import sys
from ga_same import Agent
a = Agent(sys.argv[1] + "/ours.sock")
error = a.error("guest-fsfreeze-freeze")["desc"]
assert error.startswith("fsfreeze hook has failed") and error.endswith("no room"), error
assert a.get("guest-fsfreeze-status") == "thawed"
a.get("guest-get-time")
PY
    kill "$(cat "$dir/left")" # and it is not the one that blocks signals
    wait_for sh -c "! kill -0 $(cat "$dir/left")"
    [ "$(cat "$dir/hooks")" = freeze ]
}

@test "a network of its own is told as qemu-ga tells it" {
    [ "$(id -u)" = 0 ] || skip "needs root for a network namespace"
    [ -x /usr/sbin/qemu-ga ] || skip "no qemu-ga"
    ip=$(command -v ip) || ip="busybox ip"
    cp "$BATS_TEST_DIRNAME/ga_same.py" "$dir"
    cat >"$dir/script" <<END
set -e
$ip link set lo up
$ip link add v0 type veth peer name v1
$ip link set v0 up; $ip link set v1 up
$ip addr add 10.9.8.7/20 dev v0
$ip addr add 10.9.8.8/20 dev v0 label v0:x
$ip addr add 2001:db8::5/48 dev v1
$ip route add 10.77.0.0/16 via 10.9.0.1 dev v0 metric 5
for a in "$dir/ga ours" "/usr/sbin/qemu-ga theirs"; do
    set -- \$a
    \$1 -m unix-listen -p $dir/\$2.sock -t $dir >/dev/null 2>&1 &
done
for i in \$(seq 300); do [ -S $dir/ours.sock ] && [ -S $dir/theirs.sock ] && break; sleep 0.1; done
/usr/bin/python3 - <<'PY'
from ga_same import Agent, same
a, b = Agent("$dir/ours.sock"), Agent("$dir/theirs.sock")
x, y = a.get("guest-network-get-interfaces"), b.get("guest-network-get-interfaces")
same(x, y)
assert {i["name"] for i in x} >= {"lo", "v0", "v1", "v0:x"}, x
r = {(r["iface"], r["destination"]): r for r in a.get("guest-network-get-route")}
assert r["v0", "10.77.0.0"]["gateway"] == "10.9.0.1" and r["v0", "10.77.0.0"]["metric"] == 5
assert r["v0", "10.9.0.0"]["mask"] == "255.255.240.0" and r["v1", "2001:db8::"]["desprefixlen"] == "48"
PY
END
    $ip link help >/dev/null 2>&1 || true
    unshare -n sh -c "$ip link add v0 type veth peer name v1" 2>/dev/null || skip "no veth here"
    # all processes of the script end with it
    unshare -n --fork --pid --mount-proc --kill-child sh "$dir/script"
}
