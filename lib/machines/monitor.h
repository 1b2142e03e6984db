/* SPDX-License-Identifier: MIT */
/*
 * The monitor's commands about a board and its back ends. Those of chardev and net are here too,
 * since these libraries stand beside lib/monitor.
 */
#pragma once

#include "machines/machine.h"
#include "monitor/monitor.h"
#include "net/net.h"

extern const MonitorCommand machine_commands[];         /* context: Machine */
extern const MonitorCommand machine_chardev_commands[]; /* context: ChardevTable */
extern const MonitorCommand machine_net_commands[];     /* context: NetTable */
