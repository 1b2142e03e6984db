# SPDX-License-Identifier: MIT
# What dtbgen does with trees: where they go, how they change, what is wrong with them and what differs.
bats_require_minimum_version 1.5.0
load common

setup()
{
    cd "$BATS_TEST_TMPDIR"
    dtbgen --arch aarch64 -M virt,dtb-randomness=off -smp 2 -o base.dtb
}

@test "source form compiles to the same tree" {
    for machine in '--arch aarch64 -M virt,secure=on,dtb-randomness=off' '-M or1k-sim' \
        '--arch riscv64 -M virt,aia=aplic-imsic,dtb-randomness=off'; do
        dtbgen $machine -smp 4 --dts -o t.dts
        dtbgen $machine -smp 4 -o t.dtb
        dtc -q -I dts -O dtb -o again.dtb t.dts
        python3 "$BATS_TEST_DIRNAME/dtb_same.py" t.dtb again.dtb
        dtbgen --diff t.dtb again.dtb
        # and by dtc's own printer
        cmp <(dtc -q -I dtb -O dts t.dtb) <(dtc -q -I dtb -O dts again.dtb)
    done
    printf '/dts-v1/;\n/memreserve/ 0x1000 0x2000;\n/ { a = "x", "y\\"\\\\z"; b = [01 02 03]; c; d = <1 2>; e = ""; n { }; };' |
        dtc -q -I dts -O dtb -o odd.dtb
    cmp <(dtbgen --dts odd.dtb | dtc -q -I dts -O dtb | dtc -q -I dtb -O dts) <(dtc -q -I dtb -O dts odd.dtb)
}

@test "a blob goes to files and pipes, never to a terminal" {
    dtbgen --arch riscv64 -M virt | dtc -q -I dtb -O dts -o /dev/null
    run -2 script -qec 'dtbgen --arch riscv64 -M virt' /dev/null
    [[ $output == *"standard output is a terminal"* ]]
    script -qec 'dtbgen --arch riscv64 -M virt --dts' /dev/null | grep -q riscv-virtio
    run -1 dtbgen --arch riscv64 -M virt -o /nonexistent/x
    [[ $output == *"/nonexistent/x"* ]]
    run -1 bash -c 'dtbgen --arch riscv64 -M virt >/dev/full'
    # what was there before stays whole when it fails
    cp base.dtb kept.dtb
    run -2 dtbgen --arch riscv64 -M virt -smp 1000 -o kept.dtb
    cmp base.dtb kept.dtb
}

@test "settings are written as in source" {
    dtbgen base.dtb -o t.dtb --set '/chosen bootargs="a b", "c\"d"' --set '/new x=<1 0x2 &{/intc@8000000}>' \
        --set '/new y=[00 ff 10]' --set '/new z' --set '/new/sub w=/bits/ 64 <0x123456789> , /bits/ 16 <7>, "s"' \
        --set '/chosen stdout-path="/pl011@9000000:115200"'
    dtc -q -I dtb -O dtb -o u.dtb base.dtb
    cat >want.dts <<'END'
/dts-v1/;
/ { chosen { bootargs = "a b", "c\"d"; stdout-path = "/pl011@9000000:115200"; };
    new { x = <1 2 GIC>; y = [00 ff 10]; z; sub { w = /bits/ 64 <0x123456789>, /bits/ 16 <7>, "s"; }; }; };
END
    sed "s/GIC/0x$(fdtget -t x base.dtb /intc@8000000 phandle)/" want.dts | dtc -q -I dts -O dtb -o want.dtb
    for p in '/chosen bootargs' '/chosen stdout-path' '/new x' '/new y' '/new/sub w'; do
        [ "$(fdtget -t bx t.dtb $p)" = "$(fdtget -t bx want.dtb $p)" ]
    done
    fdtget -p t.dtb /new | grep -x z
    # a node without a phandle is given one
    dtbgen base.dtb --set '/new x=<&{/cpus}>' | dtc -q -I dtb -O dtb -o t.dtb
    [ "$(fdtget -t x t.dtb /new x)" = "$(fdtget -t x t.dtb /cpus phandle)" ]
}

@test "nodes and properties can be taken away" {
    dtbgen base.dtb -o t.dtb --delete /intc@8000000 --delete '/chosen stdout-path' --set '/new x=<1>' --delete '/new x'
    cp base.dtb want.dtb
    fdtput -r want.dtb /intc@8000000
    fdtput -d want.dtb /chosen stdout-path
    fdtput -c want.dtb /new
    python3 "$BATS_TEST_DIRNAME/dtb_same.py" t.dtb want.dtb
    run -2 dtbgen base.dtb --delete /nothing
    [ "$output" = "dtbgen: --delete: '/nothing': there is no node /nothing" ]
    run -2 dtbgen base.dtb --delete '/chosen nothing'
    [ "$output" = "dtbgen: --delete: '/chosen nothing': /chosen has no property 'nothing'" ]
    run -2 dtbgen base.dtb --delete /
}

@test "settings that make no sense are refused with the place" {
    while IFS='|' read -r text want; do
        run -2 dtbgen base.dtb -o t.dtb --set "$text"
        [[ $output == "dtbgen: --set: "*"$want"* ]] || { echo "$text: $output"; return 1; }
        [ ! -e t.dtb ]
    done <<'END'
chosen x=<1>|expected "/path property=value"
/chosen|expected "/path property=value"
/none/at/all x=<1>|there is no node /none/at
/chosen x=<1|expected a number at 'the end'
/chosen x=<0x100000000>|the number does not fit
/chosen x=<y>|expected a number at 'y>'
/chosen x=<1y>|expected a number
/chosen x=/bits/ 8 <256>|the number does not fit
/chosen x=/bits/ 9 <1>|expected 8, 16, 32 or 64 bits
/chosen x=[0]|expected two hexadecimal digits
/chosen x="a|a string has no end
/chosen x="a" "b"|expected a comma
/chosen x=<&{/none}>|there is no node /none
/chosen x=<&label>|expected &{/path}
/chosen a/b=<1>|cannot be the name of a property
/chosen x=|expected <cells>, [bytes] or "text"
END
}

@test "overlays are applied as fdtoverlay applies them" {
    cat >o.dts <<'END'
/dts-v1/;
/plugin/;
&{/} { new-node { compatible = "vendor,new"; value = <1 2>; }; };
&{/chosen} { bootargs = "from the overlay"; };
END
    dtc -q -@ -I dts -O dtb -o o.dtbo o.dts
    dtbgen --merge o.dtbo base.dtb -o merged.dtb
    fdtoverlay -i base.dtb -o want.dtb o.dtbo
    python3 "$BATS_TEST_DIRNAME/dtb_same.py" merged.dtb want.dtb
    [ "$(fdtget merged.dtb /chosen bootargs)" = "from the overlay" ]
    # labels of the base, of its own, and references both ways; then an overlay on that
    cat >base.dts <<'END'
/dts-v1/;
/ { #address-cells = <1>; intc: intc { #interrupt-cells = <1>; }; soc: soc { uart: uart { irq = <&intc 1>; }; }; };
END
    cat >1.dts <<'END'
/dts-v1/;
/plugin/;
&soc { clk: clk { #clock-cells = <0>; }; dev: dev { clocks = <&clk>; interrupts-extended = <&intc 5>, <&gpio 1>; };
    gpio: gpio { #interrupt-cells = <1>; name2 = "x"; }; };
&uart { clocks = <&clk &clk>; status = "okay"; };
&{/} { own { uart = <&uart>; deep { deeper { cpu = <&dev>; }; }; }; };
END
    printf '/dts-v1/;\n/plugin/;\n&dev { msi-parent = <&gpio &intc>; };\n&clk { x; };\n' >2.dts
    dtc -q -@ -I dts -O dtb -o l.dtb base.dts
    for n in 1 2; do dtc -q -@ -I dts -O dtb -o $n.dtbo $n.dts; done
    dtbgen --merge 1.dtbo --merge 2.dtbo l.dtb -o merged.dtb
    fdtoverlay -i l.dtb -o want.dtb 1.dtbo 2.dtbo
    dtbgen --diff want.dtb merged.dtb
    [ "$(fdtget merged.dtb /__symbols__ dev)" = /soc/dev ]
    [ "$(fdtget merged.dtb /own/deep/deeper cpu)" = "$(fdtget merged.dtb /soc/dev phandle)" ]
    [ "$(fdtget merged.dtb /soc/dev msi-parent)" = "$(fdtget merged.dtb /soc/gpio phandle) $(fdtget merged.dtb /intc phandle)" ]
    [ "$(fdtget merged.dtb /soc/uart clocks)" = "$(fdtget merged.dtb /soc/clk phandle) $(fdtget merged.dtb /soc/clk phandle)" ]
    [ "$(fdtget merged.dtb /soc/uart irq)" = "$(fdtget l.dtb /intc phandle) 1" ]
    # of a machine, and with a setting on top
    dtbgen --arch aarch64 -M virt,dtb-randomness=off -smp 2 --merge o.dtbo --set '/new-node value=<3>' -o m.dtb
    [ "$(fdtget m.dtb /new-node value)" = 3 ]
    # labels need symbols, which a base compiled with -@ has
    printf '/dts-v1/;\n/plugin/;\n&lab { x = <1>; };' | dtc -q -@ -I dts -O dtb -o l.dtbo
    run -1 dtbgen --merge l.dtbo base.dtb -o t.dtb
    [[ $output == *"no __symbols__"* ]]
    printf '/dts-v1/;\n/ { lab: n { }; };' | dtc -q -@ -I dts -O dtb -o l.dtb
    dtbgen --merge l.dtbo l.dtb | fdtget - /n x | grep -x 1
    run -1 dtbgen --merge 1.dtbo l.dtb -o t.dtb
    [[ $output == *"1.dtbo: the overlay does not fit: it wants label '"* ]]
    printf '/dts-v1/;\n/plugin/;\n&{/nowhere} { x; };' | dtc -q -@ -I dts -O dtb -o n.dtbo
    run -1 dtbgen --merge n.dtbo base.dtb -o t.dtb
    [[ $output == *"there is no node /nowhere"* ]]
    run -1 dtbgen --merge base.dtb base.dtb -o t.dtb
    head -c 60 o.dtbo >cut.dtbo
    run -1 dtbgen --merge cut.dtbo base.dtb -o t.dtb
    [[ $output == *"cut.dtbo"* ]]
    [ ! -e t.dtb ]
}

@test "a sound tree passes the check, and a machine's own tree that of the machine" {
    dtbgen --check base.dtb
    dtbgen --check --arch aarch64 -M virt -smp 2 base.dtb
    dtbgen --check --arch aarch64 -M virt,secure=on,iommu=smmuv3,gic-version=3 -smp 20
    dtbgen --check --arch riscv64 -M virt,aia=aplic-imsic -smp 4
    dtbgen --check -M or1k-sim -smp 4
    # more than the machine has is fine, and what a boot loader fills in
    dtbgen base.dtb --set '/extra compatible="x"' --set '/chosen bootargs="x"' -o t.dtb
    dtbgen --check --arch aarch64 -M virt -smp 2 t.dtb
}

@test "the check names what is wrong" {
    dtbgen base.dtb -o t.dtb --set '/pl031@9010000 clocks=<99>' --set '/pl011@9000000 reg=<0 0x9000004 0 0x1000>' \
        --set '/cpus/cpu@1 phandle=<1>' --set '/chosen stdout-path="/none"' --set '/gpio-keys reg=<1 2 3>' \
        --set '/psci method="smc"'
    run -1 dtbgen --check --arch aarch64 -M virt -smp 3 t.dtb
    for want in '/pl031@9010000: clocks refers to phandle 0x63, which no node has' \
        '/pl011@9000000: the name says @9000000, reg 0x9000004' '/intc@8000000: phandle 0x1 is that of /cpus/cpu@1, too' \
        '/chosen: stdout-path names /none, which is not there' '/gpio-keys: reg has 12 bytes' \
        '/psci: method is "smc", but the machine'"'"'s is "hvc"' '/cpus/cpu@2: missing'; do
        grep -qF "t.dtb: $want" <<<"$output" || { echo "no: $want"; echo "$output"; return 1; }
    done
    run -1 dtbgen --check --arch aarch64 -M virt -smp 1 base.dtb
    [[ $output == *"/cpus/cpu@1: the machine has no such node"* ]]
    printf '/dts-v1/;\n/ { };' | dtc -q -I dts -O dtb -o empty.dtb
    run -1 dtbgen --check empty.dtb
    [[ $output == *"compatible is missing"*"there is no CPU"*"there is no memory"* ]]
    run -1 dtbgen --check /dev/null
    head -c 300 base.dtb >cut.dtb
    run -1 dtbgen --check cut.dtb
    [[ $output == *"cut.dtb: not a device tree"* ]]
}

@test "differences are by path and property, whatever the phandles" {
    dtbgen --arch aarch64 -M virt -smp 2 -o a.dtb
    dtbgen --arch aarch64 -M virt -smp 2 -o b.dtb
    run -0 dtbgen --diff a.dtb b.dtb
    [ -z "$output" ]
    dtbgen --arch aarch64 -M virt,gic-version=3 -smp 3 -o b.dtb
    run -1 dtbgen --diff a.dtb b.dtb
    for want in '+ /cpus/cpu@2' '! /intc@8000000 compatible = "arm,cortex-a15-gic" -> "arm,gic-v3"' \
        '- /intc@8000000/v2m@8020000' '+ /intc@8000000/its@8080000' \
        '! /pcie@10000000 msi-map = <0 &{/intc@8000000/v2m@8020000} 0 0x10000> -> <0 &{/intc@8000000/its@8080000} 0 0x10000>'; do
        grep -qxF -- "$want" <<<"$output" || { echo "no: $want"; echo "$output"; return 1; }
    done
    ! grep -q 'interrupt-parent\|seed' <<<"$output"
    run -2 dtbgen --diff a.dtb
    run -1 dtbgen --diff a.dtb /nonexistent
}

@test "options that make no sense are told from those that do" {
    run -2 dtbgen
    [[ $output == *"which machine?"* ]]
    run -2 dtbgen -M nosuch
    [[ $output == *"unsupported machine type 'nosuch'"* ]]
    run -2 dtbgen -M virt-6.2
    [[ $output == *"several ISAs have machine 'virt-6.2': give --arch ("*"aarch64"* ]]
    run -2 dtbgen --arch z80 -M virt
    [[ $output == *"there is no machine for it (there are: "*"aarch64"* ]]
    run -2 dtbgen -M virt --smpp 2
    [[ $output == *"unknown option --smpp (did you mean -smp?)"* ]]
    run -2 dtbgen --arch aarch64 -M virt -cpu cortex-a99
    [[ $output == *"no such CPU (there are: "*"cortex-a57"* ]]
    run -2 dtbgen --arch aarch64 -M virt -cpu cortex-a57,foo=1
    [[ $output == *"Property 'cortex-a57-arm-cpu.foo' not found"* ]]
    run -2 dtbgen --arch aarch64 -M virt,foo=1
    [[ $output == *"Property 'virt-machine.foo' not found"* ]]
    run -2 dtbgen --arch aarch64 -M virt,its=maybe
    [[ $output == *"Parameter 'its' expects 'on' or 'off'"* ]]
    run -2 dtbgen --arch aarch64 -M virt -append x
    run -0 dtbgen --help
    run -0 dtbgen -M help
    [[ $output == *"or1k-sim"* ]]
    run -0 dtbgen --arch aarch64 -M virt,help
    [[ $output == *gic-version* ]]
    # riscv64 is the one that runs, so it is meant where nothing says otherwise
    [ "$(dtbgen -M virt | fdtget - / compatible)" = riscv-virtio ]
}

@test "devices are plugged in, without their back ends" {
    dtbgen --arch riscv64 -M virt,dtb-randomness=off -o a.dtb
    dtbgen --arch riscv64 -M virt,dtb-randomness=off -device virtio-blk-device,drive=none -device virtio-net-pci,netdev=n \
        -device e1000e -o b.dtb
    cmp a.dtb b.dtb
    run -2 dtbgen --arch riscv64 -M virt -device nosuch -o t.dtb
    [[ $output == *nosuch* ]]
    run -2 dtbgen --arch riscv64 -M virt -device virtio-rng-device,foo=1 -o t.dtb
    more=
    for i in 1 2 3 4 5 6 7 8 9; do more+=" -device virtio-rng-device"; done
    run ! dtbgen --arch riscv64 -M virt $more -o t.dtb
    [ ! -e t.dtb ]
}
