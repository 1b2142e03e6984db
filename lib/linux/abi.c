/* SPDX-License-Identifier: MIT */
/* The ISAs that there is a Linux for: abi.def, one line each. */
#include <stddef.h>

#include "linux/linux_priv.h"

#define ABI(name) extern const LinuxAbi name##_linux;
#include "linux/abi.def"
#undef ABI

const LinuxAbi *const linux_abis[] = {
#define ABI(name) &name##_linux,
#include "linux/abi.def"
#undef ABI
    NULL
};
