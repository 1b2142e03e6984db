/* SPDX-License-Identifier: MIT */
/*
 * touch.h on x86-64. A fault between touch_first and touch_last goes on at
 * touch_failed, or at touch_failed_128 from touch_128 on: rdx is not 0 then, and
 * what the caller owns is as it was.
 */
#ifdef __x86_64__

        .text
.macro FUNCTION name
        .p2align 4
        .globl  \name
        .hidden \name
        .type   \name, @function
\name:
.endm
.macro DONE name
        xorl    %edx, %edx
        ret
        .size   \name, . - \name
.endm

        .globl  touch_first, touch_128, touch_last, touch_failed, touch_failed_128
        .hidden touch_first, touch_128, touch_last, touch_failed, touch_failed_128
touch_first:
FUNCTION touch_load8
        movzbl  (%rdi), %eax
        DONE    touch_load8
FUNCTION touch_load16
        movzwl  (%rdi), %eax
        DONE    touch_load16
FUNCTION touch_load32
        movl    (%rdi), %eax
        DONE    touch_load32
FUNCTION touch_load64
        movq    (%rdi), %rax
        DONE    touch_load64
FUNCTION touch_store8
        movb    %sil, (%rdi)
        DONE    touch_store8
FUNCTION touch_store16
        movw    %si, (%rdi)
        DONE    touch_store16
FUNCTION touch_store32
        movl    %esi, (%rdi)
        DONE    touch_store32
FUNCTION touch_store64
        movq    %rsi, (%rdi)
        DONE    touch_store64
FUNCTION touch_cas8
        movzbl  %sil, %eax
        lock cmpxchgb %dl, (%rdi)
        DONE    touch_cas8
FUNCTION touch_cas16
        movzwl  %si, %eax
        lock cmpxchgw %dx, (%rdi)
        DONE    touch_cas16
FUNCTION touch_cas32
        movl    %esi, %eax
        lock cmpxchgl %edx, (%rdi)
        DONE    touch_cas32
FUNCTION touch_cas64
        movq    %rsi, %rax
        lock cmpxchgq %rdx, (%rdi)
        DONE    touch_cas64
FUNCTION touch_copy
        movq    %rdx, %rcx
        rep movsb
        DONE    touch_copy
FUNCTION touch_move
1:      movups  (%rsi), %xmm0
        movups  %xmm0, (%rdi)
        addq    $16, %rsi
        addq    $16, %rdi
        subq    $16, %rdx
        ja      1b
        DONE    touch_move
touch_128:
FUNCTION touch_cas128
        movq    %rbx, %r10
        movq    %rsi, %r9
        movq    (%rdx), %rbx
        movq    8(%rdx), %rcx
        movq    (%rsi), %rax
        movq    8(%rsi), %rdx
        lock cmpxchg16b (%rdi)
        movq    %rax, (%r9)
        movq    %rdx, 8(%r9)
        movq    %r10, %rbx
        DONE    touch_cas128
touch_last:

        .p2align 4
touch_failed_128:
        movq    %r10, %rbx
touch_failed:
        xorl    %eax, %eax
        movl    $1, %edx
        ret

#endif
        .section .note.GNU-stack, "", @progbits
