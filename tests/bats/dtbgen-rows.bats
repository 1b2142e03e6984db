# SPDX-License-Identifier: MIT
# What each machine is promised to say of itself.
bats_require_minimum_version 1.5.0
load common

setup()
{
    cd "$BATS_TEST_TMPDIR"
    arm='--arch aarch64 -M virt'
}

@test "the KASLR seed is two random cells, and can be left out" {
    dtbgen $arm -o 1.dtb
    dtbgen $arm -o 2.dtb
    run -0 fdtget -t x 1.dtb /chosen kaslr-seed
    [[ $output =~ ^[0-9a-f]+\ [0-9a-f]+$ ]]
    [ "$output" != "$(fdtget -t x 2.dtb /chosen kaslr-seed)" ]
    [ "$(fdtget -t x 1.dtb /chosen rng-seed)" != "$(fdtget -t x 2.dtb /chosen rng-seed)" ]
    for off in dtb-kaslr-seed=off dtb-randomness=off; do
        dtbgen $arm,$off -o 1.dtb
        (mkdir -p elsewhere && cd elsewhere && dtbgen $arm,$off | cat >../2.dtb)
        cmp 1.dtb 2.dtb
        for seed in kaslr-seed rng-seed; do
            run -1 fdtget -t x 1.dtb /chosen $seed
            [[ $output == *FDT_ERR_NOTFOUND* ]]
        done
    done
    dtbgen $arm,secure=on | fdtget -t x - /secure-chosen kaslr-seed | grep -E '^[0-9a-f]+ [0-9a-f]+$'
    run -1 fdtget -t x - /secure-chosen kaslr-seed < <(dtbgen $arm,secure=on,dtb-kaslr-seed=off)
}

@test "vm-run's dumpdtb gives the same bytes" {
    options='-smp 6,sockets=2,clusters=3,cores=1 -m 1G -cpu cortex-a57'
    vm-run --arch aarch64 -M virt,dtb-kaslr-seed=off,dumpdtb=run.dtb $options
    dtbgen $arm,dtb-kaslr-seed=off $options -o gen.dtb
    cmp run.dtb gen.dtb
    vm-run --arch riscv64 -M virt,aia=aplic,dtb-randomness=off,dumpdtb=run.dtb -smp 3 -cpu rv64
    dtbgen --arch riscv64 -M virt,aia=aplic,dtb-randomness=off -smp 3 -cpu rv64 | cmp run.dtb -
    vm-run --arch or1k -M or1k-sim,dumpdtb=run.dtb -smp 2
    dtbgen -M or1k-sim -smp 2 | cmp run.dtb -
    ln -s "$(command -v vm-run)" qemu-system-aarch64
    ./qemu-system-aarch64 -M virt,dtb-kaslr-seed=off,dumpdtb=run.dtb $options
    cmp run.dtb gen.dtb
}

@test "a board that is a description only says so, in one line" {
    run -1 vm-run --arch aarch64 -M virt -nographic
    [ "$output" = "vm-run: machine 'virt' (aarch64) can be described by dtbgen and acpigen, but does not run yet" ]
    run -1 vm-run -M or1k-sim -nographic
    [ "$output" = "vm-run: machine 'or1k-sim' (or1k) can be described by dtbgen and acpigen, but does not run yet" ]
    echo none >kernel
    run -1 vm-run --arch riscv64 -M virt,aia=aplic-imsic -nographic -bios none -kernel kernel
    [ "$output" = "vm-run: machine 'virt' with aia=aplic-imsic can be described by dtbgen, but does not run yet" ]
}

@test "cpu-map has sockets, clusters, cores and threads" {
    dtbgen $arm,gic-version=3 -smp 16,sockets=2,clusters=2,cores=2,threads=2 -o t.dtb
    [ "$(fdtget -l t.dtb /cpus/cpu-map | xargs)" = "socket0 socket1" ]
    [ "$(fdtget -l t.dtb /cpus/cpu-map/socket1 | xargs)" = "cluster0 cluster1" ]
    [ "$(fdtget -l t.dtb /cpus/cpu-map/socket1/cluster1 | xargs)" = "core0 core1" ]
    [ "$(fdtget -l t.dtb /cpus/cpu-map/socket1/cluster1/core1 | xargs)" = "thread0 thread1" ]
    # each leaf is another CPU
    for s in 0 1; do for cl in 0 1; do for c in 0 1; do for t in 0 1; do
        fdtget t.dtb /cpus/cpu-map/socket$s/cluster$cl/core$c/thread$t cpu
    done; done; done; done | sort -u | wc -l | grep -x 16
    run -2 dtbgen $arm,gic-version=3 -smp 16,sockets=2,clusters=2,cores=2,threads=3
    [[ $output == *"Invalid CPU topology: product of the hierarchy must match maxcpus: "* ]]
}

@test "or1k-sim says what it has" {
    dtbgen -M or1k-sim -smp 4 -kernel /dev/stdin -append x -o t.dtb <<<none
    [ "$(fdtget t.dtb / compatible)" = opencores,or1ksim ]
    fdtget -l t.dtb / | sort | xargs |
        grep -x 'aliases chosen cpus ethoc@92000000 memory@0 ompic@98000000 pic serial@90000000 serial@90000100 serial@90000200 serial@90000300'
    [ "$(fdtget -l t.dtb /cpus | sort | xargs)" = "cpu@0 cpu@1 cpu@2 cpu@3" ]
    [ "$(fdtget t.dtb /serial@90000000 interrupts)" = 2 ]
    [ "$(fdtget t.dtb /ethoc@92000000 interrupts)" = 4 ]
    [ "$(fdtget t.dtb /ompic@98000000 interrupts)" = 1 ]
    [ "$(fdtget t.dtb /chosen stdout-path)" = /serial@90000000 ]
    [ "$(fdtget t.dtb /chosen bootargs)" = x ]
}

@test "riscv virt says what the AIA is made of" {
    dtbgen --arch riscv64 -M virt,aia=aplic-imsic,aia-guests=3 -smp 2 -o t.dtb
    for node in aplic@c000000 aplic@d000000 imsics@24000000 imsics@28000000; do
        fdtget -l t.dtb /soc | grep -x $node
    done
    fdtget t.dtb /cpus/cpu@0 riscv,isa | grep _smaia_ssaia
    [ "$(fdtget t.dtb /soc/imsics@28000000 riscv,guest-index-bits)" = 2 ]
    ! fdtget -l t.dtb /soc | grep plic@c000000$ | grep -v aplic
    dtbgen --arch riscv64 -M virt,aia=aplic -o t.dtb
    ! fdtget -l t.dtb /soc | grep imsics
    ! fdtget t.dtb /cpus/cpu@0 riscv,isa | grep smaia
}

@test "a tree takes no time, whatever the machine's size" {
    TIMEFORMAT=%U
    # user seconds, which a busy host leaves alone
    while read -r limit options; do
        seconds=$( { time dtbgen $options -o t.dtb; } 2>&1 )
        echo "$options: $seconds"
        awk -v s="$seconds" -v limit=$limit 'BEGIN { exit !(s < limit) }'
    done <<'END'
0.05 --arch aarch64 -M virt -smp 4
0.05 --arch riscv64 -M virt,aia=aplic-imsic -smp 4
1 --arch aarch64 -M virt,gic-version=3 -cpu max -smp 512 -m 9T
1 --arch riscv64 -M virt,aia=aplic-imsic -smp 512 -m 9T
END
    dtbgen --arch riscv64 -M virt,aia=aplic-imsic -smp 512 -m 9T -o t.dtb
    [ "$(fdtget -t x t.dtb /cpus/cpu@1ff reg)" = 1ff ]
}

@test "trees pass dt-validate's core schema" {
    command -v dt-validate >/dev/null || skip "dt-schema is not installed"
    dt-mk-schema -j -o schema.json
    while read -r options; do
        dtbgen $options -o t.dtb
        # the schema of qemu,platform knows no interrupt-parent, which QEMU's boards have there
        dt-validate -s schema.json t.dtb 2>&1 |
            grep -v "platform-bus.*'interrupt-parent' does not match\|From schema.*qemu,platform" >log || true
        [ ! -s log ] || { echo "$options"; cat log; return 1; }
    done <<'END'
--arch aarch64 -M virt -smp 4
--arch aarch64 -M virt,gic-version=3,secure=on,virtualization=on,iommu=smmuv3 -smp 16,clusters=2
--arch arm -M virt -smp 2
--arch riscv64 -M virt -smp 4
--arch riscv64 -M virt,aclint=on -smp 4
--arch riscv64 -M virt,aia=aplic -smp 4
--arch riscv64 -M virt,aia=aplic-imsic -smp 4
-M or1k-sim -smp 4
END
}

@test "a kernel under QEMU takes the tree in place of QEMU's own" {
    command -v qemu-system-aarch64 >/dev/null || skip "qemu-system-aarch64 is not installed"
    cd "$BATS_TEST_DIRNAME/../.."
    kernel=$(build/guest.sh kernel arm64) initrd=$(build/guest.sh initrd arm64)
    cd "$BATS_TEST_TMPDIR"
    for board in virt-7.0 virt-7.0,gic-version=3,iommu=smmuv3; do
        options="-cpu cortex-a57 -smp 4,sockets=2,clusters=2,cores=1 -m 1G -kernel $kernel -initrd $initrd
            -object memory-backend-ram,id=a,size=512M -object memory-backend-ram,id=b,size=512M
            -numa node,memdev=a -numa node,memdev=b -append console=ttyAMA0"
        dtbgen --arch aarch64 -M $board $options -o t.dtb
        timeout 300 qemu-system-aarch64 -M $board $options -dtb t.dtb -nographic -no-reboot </dev/null >log
        tr -d '\r' <log | grep -x DONE
        grep 'Brought up 2 nodes, 4 CPUs' log
        grep 'pl061_gpio 9030000.pl061: PL061 GPIO chip registered' log
        grep 'pl031.*registered as rtc0' log
        ! grep -E 'OF:|[Ww]arning|WARN|(gic|GIC|ITS|smmu|psci).*(rror|ail)' log
    done
}
