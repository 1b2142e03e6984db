/* SPDX-License-Identifier: MIT */
/* Linux on arm64, vectors of SVE: what of frames, prctl and execve depends on their length. */
#pragma once

#include "guest/arm/arm.h"
#include "linux/call_priv.h"

/* Bytes of the record of Z and P registers in a signal frame; 0: none is made. */
size_t aarch64_sve_size(const ArmCpu *cpu);
/* The same with registers in it, of vl bytes; and the greatest it can be. */
size_t aarch64_sve_whole(unsigned vl);
#define AARCH64_SVE_MOST (16 + 32 * 256 + 17 * 32)
void aarch64_sve_save(ArmCpu *cpu, uint8_t *record);
/* Z and P registers, but of Z what is not V as well; false: no record of this CPU. NULL: all of it zero. */
bool aarch64_sve_restore(ArmCpu *cpu, const uint8_t *record, size_t size);

/* PR_SVE_SET_VL and PR_SVE_GET_VL; false: another option. */
bool aarch64_prctl(LinuxThread *t, const uint64_t a[6], int64_t *result);
/* -cpu of a program that is executed: spec, with the vector length that is handed on; to be freed. */
char *aarch64_exec_cpu(TranslateCpu *cpu, const char *spec);
