#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# The same options to acpigen and to Debian's QEMU: static tables and SMBIOS are the same bytes, namespaces
# evaluate to the same. What differs, and why, is in acpi_same.py.

load acpi

setup()
{
    needs acpiexec iasl python3
    SAME=0
    cd "$BATS_TEST_TMPDIR"
    q35="-M pc-q35-7.0" pc="-M pc-i440fx-7.0" none=-nodefaults
}

x86()
{
    needs qemu-system-x86_64
    local known=()
    while [ "$1" = -k ]; do
        known+=(-k "$2")
        shift 2
    done
    same_as_qemu "${known[@]}" qemu-system-x86_64 "$@"
}

arm()
{
    needs qemu-system-aarch64
    local known=()
    while [ "$1" = -k ]; do
        known+=(-k "$2")
        shift 2
    done
    same_as_qemu "${known[@]}" qemu-system-aarch64 "$@"
}

@test "q35 and pc with what they come with" {
    x86 $q35 -smp 4 -m 8G
    x86 $pc -smp 4 -m 8G
}

@test "memory below and above 4 GiB" {
    x86 $q35 $none -m 2815M
    x86 $q35,max-ram-below-4g=1G $none -m 3G
    x86 $pc $none -m 3584M
    x86 $pc,max-ram-below-4g=2G $none -m 3G
}

@test "CPUs and memory that come later" {
    x86 $q35 $none -smp 2,sockets=3,dies=1,cores=3,threads=2,maxcpus=18 -m 3G,slots=3,maxmem=8G
    x86 -k fillers $pc $none -smp 6,sockets=2,dies=1,cores=3,threads=1 -cpu Haswell -m 1G,slots=2,maxmem=2G
}

@test "PCI slots, ports and bridges that take devices" {
    x86 $q35 $none -device pcie-root-port,id=r1,chassis=1,addr=2.0,multifunction=on \
        -device pcie-root-port,id=r2,chassis=2,addr=2.1 -device virtio-net-pci,bus=r1,acpi-index=7 \
        -device pcie-pci-bridge,id=br -device e1000,bus=br,addr=3 -device e1000e,addr=5
    x86 $pc $none -device virtio-net-pci,acpi-index=3 -device VGA -device pci-bridge,id=b1,chassis_nr=1 \
        -device e1000,bus=b1,addr=4 -device qemu-xhci -device ich9-ahci,addr=1e
    x86 $pc $none -global PIIX4_PM.acpi-root-pci-hotplug=off -device pci-bridge,id=b1,chassis_nr=1
    x86 $pc $none -global PIIX4_PM.acpi-pci-hotplug-with-bridge-support=off -global PIIX4_PM.disable_s3=1
    x86 $q35 $none -global ICH9-LPC.acpi-pci-hotplug-with-bridge-support=off -global ICH9-LPC.disable_s4=1
}

@test "further host bridges" {
    x86 -k pxb $q35 $none -device pxb-pcie,id=p,bus_nr=0x40 -device pcie-root-port,id=r1,bus=p,chassis=1 \
        -device pcie-root-port,id=r2,bus=p,chassis=2
    x86 $pc $none -device pxb,id=p,bus_nr=32 -device e1000,bus=p
}

@test "devices with tables: VMGENID, ERST, pvpanic, VIOT, DMAR, IVRS" {
    x86 $q35 $none -device vmgenid,guid=324e6eaf-d1d1-4bf6-bf41-b9bb6c91fb87 -device pvpanic \
        -object memory-backend-file,id=e,mem-path=erst.bin,size=256K,share=on -device acpi-erst,memdev=e \
        -device virtio-iommu-pci
    x86 $q35 $none -device intel-iommu,device-iotlb=on,intremap=off
    x86 $q35 $none -device amd-iommu
}

@test "NUMA: SRAT, SLIT, HMAT, NFIT" {
    lb=-numa\ hmat-lb,hierarchy=memory
    x86 -k fillers $q35,hmat=on $none -m 5G,slots=2,maxmem=8G -smp 4,sockets=2 \
        -object memory-backend-ram,id=a,size=2G -object memory-backend-ram,id=b,size=3G \
        -numa node,nodeid=0,memdev=a,cpus=0-1 -numa node,nodeid=1,memdev=b,cpus=2-3 -numa dist,src=0,dst=1,val=21 \
        $lb,initiator=0,target=0,data-type=access-latency,latency=10 \
        $lb,initiator=0,target=1,data-type=access-latency,latency=20 \
        $lb,initiator=1,target=0,data-type=access-latency,latency=20 \
        $lb,initiator=1,target=1,data-type=access-latency,latency=10 \
        $lb,initiator=0,target=0,data-type=access-bandwidth,bandwidth=10G \
        $lb,initiator=0,target=1,data-type=access-bandwidth,bandwidth=5G \
        $lb,initiator=1,target=0,data-type=access-bandwidth,bandwidth=5G \
        $lb,initiator=1,target=1,data-type=access-bandwidth,bandwidth=10G \
        -numa hmat-cache,node-id=0,size=16K,level=1,associativity=direct,policy=write-back,line=8 \
        -numa hmat-cache,node-id=1,size=16K,level=1,associativity=direct,policy=write-back,line=8
    x86 $q35,nvdimm=on $none -m 1G,slots=3,maxmem=8G -object memory-backend-ram,id=n,size=128M \
        -device nvdimm,memdev=n,id=nv0 -object memory-backend-ram,id=n2,size=256M -device pc-dimm,memdev=n2
}

@test "old versions" {
    for v in 6.1 6.0 5.1 2.10; do
        x86 -M pc-q35-$v
        x86 -M pc-i440fx-$v -smp 2
    done
    for v in 6.1 5.0 3.1 2.8; do
        arm -M virt-$v -cpu cortex-a57 -bios /dev/null $none -m 1G
    done
}

@test "microvm" {
    x86 -M microvm -m 1G -smp 2
    x86 -M microvm,pcie=on $none -m 6G -smp 3 -device virtio-net-device -serial null
    x86 -M microvm,rtc=on,ioapic2=off,usb=on $none -device virtio-rng-device
}

@test "arm virt" {
    arm="-cpu cortex-a57 -bios /dev/null $none"
    arm -M virt-7.0 $arm -smp 4 -m 1G
    arm -k smmu -M virt-7.0,gic-version=3,iommu=smmuv3,virtualization=on $arm -m 1G -smp 4,sockets=2,clusters=1,threads=1
    arm -M virt-7.0,secure=on -cpu max -bios /dev/null $none -smp 8,sockets=2,clusters=2,threads=2,cores=1 \
        -m 5G,slots=2,maxmem=8G -device pcie-root-port,id=r1,chassis=1 -device virtio-iommu-pci,bus=pcie.0 \
        -device pxb-pcie,id=p,bus_nr=64,bus=pcie.0
    arm -M virt-7.0,nvdimm=on,gic-version=3 $arm -smp 200 -m 1G,slots=2,maxmem=8G \
        -object memory-backend-ram,id=n,size=128M -device nvdimm,memdev=n
}

@test "SMBIOS: every field of every type" {
    printf 'hello from a file' >oem.txt
    x86 -k port $q35 $none -smp 4,sockets=2 -m 20G -M memory-backend=m \
        -object memory-backend-ram,id=m,size=20G,reserve=off -uuid 11223344-5566-7788-99aa-bbccddeeff00 \
        -device virtio-net-pci,id=n0 -smbios type=0,vendor=V,version=1.2,date=01/02/2020,release=3.4,uefi=on \
        -smbios type=1,manufacturer=M,product=P,version=V,serial=S,sku=K,family=F \
        -smbios type=2,manufacturer=M2,product=P2,version=V2,serial=S2,asset=A2,location=L2 \
        -smbios type=3,manufacturer=M3,version=V3,serial=S3,asset=A3,sku=K3 \
        -smbios type=4,sock_pfx=X,manufacturer=M4,version=V4,serial=S4,asset=A4,part=P4,max-speed=3000,current-speed=2500,processor-id=0x0FABFBFF000306A9 \
        -smbios type=8,internal_reference=in,external_reference=ex,connector_type=1,port_type=2 \
        -smbios type=11,value=one,value=two,path=oem.txt \
        -smbios type=17,loc_pfx=L,bank=B,manufacturer=M,serial=S,asset=A,part=P,speed=3200 \
        -smbios type=41,designation=dsg,kind=ethernet,instance=1,pcidev=n0
    printf '\x01\x1b\x00\x01' >t1.bin
    head -c 25 /dev/zero >>t1.bin
    x86 $q35,smbios-entry-point-type=64 $none -smbios file=t1.bin -cpu EPYC
    x86 $q35,memory-backend=m -object memory-backend-ram,id=m,size=9T,reserve=off $none -m 9T -smp 4,maxcpus=255 \
        -cpu qemu64,phys-bits=46
}

@test "ids and tables of users" {
    printf x >data
    x86 $pc,x-oem-id=ABC,x-oem-table-id=DEF $none -acpitable data=data,sig=USR1,rev=3,oem_rev=7
    x86 $pc $none -acpitable sig=SLIC,oem_id='CRASH ',oem_table_id=ME,data=/dev/null -acpitable data=data:data
}
