# SPDX-License-Identifier: MIT
# Trees against those of the distribution's QEMU, property by property. What is known to differ is listed here:
#
#  - CPUs are named by their reg in hexadecimal, as the specification has it; QEMU counts in decimal.
#    dtb_same.py matches them by reg.
#  - RISC-V's harts are ours: riscv,isa, mmu-type and the sizes of cache blocks are what vm-run's CPUs have.
#  - /pmu of RISC-V (counters by SBI) and /platform-bus are not there: nothing answers that interface, and
#    nothing can be put on that bus.
#  - or1k-sim has a model, as the specification asks; and no empty bootargs, when none are given.
#  - Random seeds.
bats_require_minimum_version 1.5.0
load common

setup()
{
    cd "$BATS_TEST_TMPDIR"
    head -c 4000 /dev/zero >kernel
    head -c 300000 /dev/zero >initrd
    two='-m 1G -object memory-backend-ram,id=a,size=512M -object memory-backend-ram,id=b,size=512M
        -numa node,memdev=a -numa node,memdev=b'
    three='-m 1152M -object memory-backend-ram,id=a,size=384M -object memory-backend-ram,id=b,size=512M
        -object memory-backend-ram,id=c,size=256M -numa node,memdev=a -numa node,memdev=b -numa node,memdev=c'
}

# big SIZE: that much memory, of which QEMU takes nothing
big()
{
    echo "-m $1 -object memory-backend-ram,id=big,size=$1,reserve=off"
}

# same ISA BOARD OPTION...
same()
{
    local isa=$1 board=$2
    shift 2
    rm -f theirs.dtb ours.dtb
    timeout 60 qemu-system-$isa -display none -M "$board,dumpdtb=theirs.dtb" "$@" >/dev/null 2>theirs.err || true
    [ -f theirs.dtb ] || { echo "QEMU: $isa $board $*"; cat theirs.err; return 1; }
    dtbgen --arch $isa -M "$board" "$@" -o ours.dtb || { echo "ours: $isa $board $*"; return 1; }
    python3 "$BATS_TEST_DIRNAME/dtb_same.py" ours.dtb theirs.dtb --except '/ model' \
        --except '/cpus/cpu#* riscv,*' --except '/cpus/cpu#* mmu-type' --except /pmu \
        --except /platform-bus@4000000 ${except:+--except "$except"} || { echo "$isa $board $*"; return 1; }
    dtc -q -I dtb -O dts -o /dev/null ours.dtb
}

needs()
{
    command -v "qemu-system-$1" >/dev/null || skip "qemu-system-$1 is not installed"
}

@test "arm virt of each version is as QEMU has it" {
    needs aarch64
    for v in 2.6 2.7 2.8 2.9 2.10 2.11 2.12 3.0 3.1 4.0 4.1 4.2 5.0 5.1 5.2 6.0 6.1 6.2 7.0; do
        same aarch64 virt-$v,gic-version=3,secure=on,virtualization=on -cpu cortex-a57 -smp 20
        case $v in 2.6 | 2.8 | 2.9 | 3.0 | 6.1 | 7.0) same aarch64 virt-$v -cpu cortex-a53 -smp 4 ;; esac
    done
}

@test "arm virt: interrupt controllers, the secure world, an IOMMU are as QEMU has them" {
    needs aarch64
    same aarch64 virt-7.0 -cpu cortex-a57
    same aarch64 virt-7.0 -smp 2
    same aarch64 virt-7.0,gic-version=3 -cpu cortex-a72 -smp 16,sockets=2,clusters=2,cores=2,threads=2
    same aarch64 virt-7.0,gic-version=3,its=off -cpu a64fx -smp 123
    same aarch64 virt-7.0,gic-version=max -cpu max -smp 124
    same aarch64 virt-7.0,gic-version=3,iommu=smmuv3 -cpu max -smp 3,maxcpus=6
    same aarch64 virt-7.0,virtualization=on -cpu max -smp 8,clusters=4
    same aarch64 virt-7.0,secure=on,iommu=smmuv3 -cpu cortex-a57 -smp 4,threads=2
    same aarch64 virt-7.0,mte=on,ras=on -cpu max,pmu=off
    same aarch64 virt-7.0,gic-version=3 -cpu neoverse-n1 -smp 512
}

@test "arm virt: memory, its nodes, and what lies above it are as QEMU has them" {
    needs aarch64
    for cpu in cortex-a53 cortex-a57 max; do
        for size in 255G 300G 900G; do
            same aarch64 virt-7.0,gic-version=3,memory-backend=big -cpu $cpu -smp 130 $(big $size)
        done
    done
    same aarch64 virt-7.0,highmem=off -cpu cortex-a57 -m 3G
    same aarch64 virt-7.0 -cpu cortex-a57 -m 1G,slots=4,maxmem=400G
    same aarch64 virt-7.0 -cpu cortex-a57 -smp 4 $two
    same aarch64 virt-7.0 -cpu cortex-a57 -smp 4,sockets=4 $two -numa dist,src=0,dst=1,val=25
    same aarch64 virt-7.0 -cpu cortex-a57 -smp 4,sockets=2 $two -numa cpu,node-id=1,socket-id=0 \
        -numa cpu,node-id=0,socket-id=1
    same aarch64 virt-7.0 -cpu cortex-a57 -smp 6,sockets=3 $three -numa dist,src=0,dst=1,val=15 \
        -numa dist,src=0,dst=2,val=20 -numa dist,src=1,dst=2,val=25
    same aarch64 virt-5.0 -cpu cortex-a57 -smp 4,sockets=4 -m 1G -numa node,mem=256M -numa node,mem=768M
    same aarch64 virt-7.0 -cpu cortex-a57 -smp 4 -m 512M -object memory-backend-ram,id=a,size=512M \
        -numa node,memdev=a,cpus=0-1 -numa node,cpus=2-3
}

@test "arm virt: kernels, initial RAM disks and firmware leave the marks that they leave in QEMU" {
    needs aarch64
    same aarch64 virt-7.0 -cpu cortex-a57 -m 512 -kernel kernel -initrd initrd -append 'a "b" c'
    same aarch64 virt-7.0 -cpu cortex-a57 -m 64 -kernel kernel -initrd initrd
    same aarch64 virt-7.0,secure=on -cpu max -kernel kernel
    same aarch64 virt-7.0,secure=on,virtualization=on -cpu max -kernel kernel -append x
    same aarch64 virt-7.0 -cpu max -bios kernel
    same aarch64 virt-7.0,secure=on -cpu max -bios kernel -smp 2
    same aarch64 virt-4.1 -cpu max -bios kernel
    same aarch64 virt-7.0,acpi=off -cpu max -bios kernel
}

@test "arm virt: a virtio-iommu translates for all but itself" {
    needs aarch64
    run dtbgen --arch aarch64 -M virt -device virtio-iommu-pci -o t.dtb
    [[ $output != *"not a valid device model name"* ]] || skip "there is no virtio-iommu"
    # addresses are given: QEMU has a network card of its own in the first slot
    same aarch64 virt-7.0 -cpu cortex-a57 -device virtio-iommu-pci,addr=1f.7
    same aarch64 virt-7.0,gic-version=3 -cpu cortex-a57 -device virtio-rng-pci -device virtio-iommu-pci,addr=5
}

@test "32-bit arm virt is as QEMU has it" {
    needs arm
    same arm virt-7.0 -cpu cortex-a15 -smp 4 -m 2G
    same arm virt-7.0,virtualization=on -cpu cortex-a7 -smp 3
    same arm virt-6.0,secure=on -smp 2
    same arm virt-7.0 -cpu max
    same arm virt-7.0,gic-version=3,highmem=off -cpu cortex-a15 -smp 9
    same arm virt-7.0 -cpu cortex-a15 -bios kernel
    same arm virt-7.0 -cpu cortex-a15 -m 64 -kernel kernel -initrd initrd -append x
}

@test "riscv virt is as QEMU has it, with the AIA, with ACLINT devices and with NUMA nodes" {
    needs riscv64
    for aia in none aplic aplic-imsic; do
        for aclint in off on; do
            same riscv64 virt,aia=$aia,aclint=$aclint -smp 4
            same riscv64 virt,aia=$aia,aclint=$aclint,aia-guests=5 -smp 8 $two -numa dist,src=0,dst=1,val=25
        done
        same riscv64 virt,aia=$aia,aia-guests=1 -smp 11,sockets=11
    done
    # with a PLIC QEMU 7.2 fails at shares that are not equal
    same riscv64 virt,aia=aplic-imsic,aia-guests=7 -smp 7 $three
    same riscv64 virt -smp 300 -m 9G
    same riscv64 virt -smp 4 -m 1G -numa node,mem=256M -numa node,mem=768M
    same riscv64 virt -bios none -kernel kernel -initrd initrd -append 'a b' -m 512
}

@test "or1k-sim is as QEMU has it" {
    needs or1k
    # it makes a tree for kernels only
    same or1k or1k-sim -kernel kernel -append x -smp 4
    same or1k or1k-sim -kernel kernel -append x -initrd initrd -m 64 -smp 2
    except='/chosen bootargs' same or1k or1k-sim -kernel kernel
}

@test "trees of QEMU pass the check against the same machine, and fail it against another" {
    needs aarch64
    for board in virt-7.0 virt-6.1,gic-version=3,secure=on virt-2.9,virtualization=on; do
        rm -f theirs.dtb
        timeout 60 qemu-system-aarch64 -display none -M $board,dumpdtb=theirs.dtb -cpu cortex-a57 -smp 4 2>/dev/null
        dtbgen --check --arch aarch64 -M $board -cpu cortex-a57 -smp 4 theirs.dtb
        dtbgen --check theirs.dtb
        run -1 dtbgen --check --arch aarch64 -M $board,iommu=smmuv3 -cpu cortex-a57 -smp 4 theirs.dtb
        [[ $output == *"theirs.dtb: /smmuv3@9050000: missing"* ]]
        run -1 dtbgen --check --arch aarch64 -M $board -cpu cortex-a53 -smp 4 theirs.dtb
        [[ $output == *'/cpus/cpu@0: compatible is "arm,cortex-a57", but the machine'"'"'s is "arm,cortex-a53"'* ]]
    done
}

@test "what QEMU refuses is refused, with the limit" {
    while IFS='|' read -r isa board options want; do
        run -2 dtbgen --arch $isa -M $board $options -o refused.dtb
        [[ $output == *"$want"* ]] || { echo "$isa $board $options: $output"; return 1; }
        [ ! -e refused.dtb ]
        command -v qemu-system-$isa >/dev/null || continue
        run timeout 60 qemu-system-$isa -display none -M $board,dumpdtb=refused.dtb $options
        [ $status -eq 1 ]
        [[ $output == *"$want"* ]] || { echo "QEMU: $isa $board $options: $output"; return 1; }
    done <<'END'
aarch64|virt|-smp 9|Number of SMP CPUs requested (9) exceeds max CPUs supported by machine 'mach-virt' (8)
aarch64|virt-2.9,gic-version=3|-smp 300|Invalid SMP CPUs 300. The max CPUs supported by machine 'virt-2.9' is 255
aarch64|virt-7.0,gic-version=3|-smp 513|Invalid SMP CPUs 513. The max CPUs supported by machine 'virt-7.0' is 512
aarch64|virt,gic-version=3,highmem=off|-smp 200|Capacity of the redist regions(123) does not match the number of vcpus(200)
aarch64|virt,highmem=off|-m 4G|Addressing limited to 32 bits, but memory exceeds it by 1073741824 bytes
aarch64|virt,memory-backend=big|-cpu cortex-a53 -m 3T -object memory-backend-ram,id=big,size=3T,reserve=off|Addressing limited to 40 bits, but memory exceeds it by 2200096997376 bytes
aarch64|virt,mte=on|-cpu cortex-a57|MTE requested, but not supported by the guest CPU
aarch64|virt,gic-version=host||gic-version=host requires KVM
aarch64|virt|-smp 16,sockets=2,clusters=2,cores=2,threads=3|Invalid CPU topology: product of the hierarchy must match maxcpus: sockets (2) * clusters (2) * cores (2) * threads (3) != maxcpus (16)
aarch64|virt|-smp 4,dies=2|dies not supported by this machine's CPU topology
aarch64|virt-6.1|-smp 5,cores=2|Invalid CPU topology: product of the hierarchy must match maxcpus: sockets (2) * clusters (1) * cores (2) * threads (1) != maxcpus (5)
aarch64|virt|-numa node|total memory for NUMA nodes (0x0) should equal RAM size (0x8000000)
aarch64|virt|-numa node,mem=128M|Parameter -numa node,mem is not supported by this machine type
aarch64|virt|-numa node,nodeid=1|numa: Node ID missing: 0
aarch64|virt|-numa dist,src=0,dst=1,val=20|Source/Destination NUMA node is missing. Please use '-numa node' option to declare it first.
aarch64|virt|-smp 4 -numa node,cpus=0-4|CPU index (4) should be smaller than maxcpus (4)
aarch64|virt|-smp 4 -numa node,cpus=0-1 -numa node,cpus=1-3|CPU is already assigned to node-id: 0
riscv64|virt|-smp 4,clusters=2|clusters not supported by this machine's CPU topology
riscv64|virt|-smp 4 -m 1G -numa node,mem=512M,cpus=0,cpus=2 -numa node,mem=512M,cpus=1,cpus=3|discontinuous hartids in socket0
or1k|or1k-sim|-smp 5|Invalid SMP CPUs 5. The max CPUs supported by machine 'or1k-sim' is 4
or1k|or1k-sim|-numa node|NUMA is not supported by
END
}
