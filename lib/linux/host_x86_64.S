/* SPDX-License-Identifier: MIT */
/*
 * What needs exact knowledge of instruction addresses, on x86-64: system calls that no signal can
 * slip past, copies that a bad address ends, the way back from a signal handler. The handler
 * (signal.c) compares the interrupted address with the labels here.
 */
#ifdef __x86_64__
    .text

/*
 * long linux_syscall(const uint32_t *pending, long number, long a, long b, long c, long d, long e,
 *                    long f): -LINUX_RESTART if *pending. A handler that finds the thread at
 * linux_syscall_check or later, but not yet at linux_syscall_done, moves it to
 * linux_syscall_again; the kernel itself moves a call that is to be restarted back to its
 * instruction, which lies in between.
 */
    .globl linux_syscall, linux_syscall_check, linux_syscall_done, linux_syscall_again
    .type linux_syscall, @function
linux_syscall:
    .cfi_startproc
    endbr64
    mov %rdi, %r11
    mov %rsi, %rax
    mov %rdx, %rdi
    mov %rcx, %rsi
    mov %r8, %rdx
    mov %r9, %r10
    mov 8(%rsp), %r8
    mov 16(%rsp), %r9
linux_syscall_check:
    cmpl $0, (%r11)
    jne linux_syscall_again
    syscall
linux_syscall_done:
    ret
linux_syscall_again:
    mov $-512, %rax
    ret
    .cfi_endproc
    .size linux_syscall, . - linux_syscall

/* bool guest_copy(void *to, const void *from, size_t size) */
    .globl guest_copy, guest_copy_insn, guest_copy_fault
    .type guest_copy, @function
guest_copy:
    .cfi_startproc
    endbr64
    mov %rdx, %rcx
guest_copy_insn:
    rep movsb
    mov $1, %eax
    ret
guest_copy_fault:
    xor %eax, %eax
    ret
    .cfi_endproc
    .size guest_copy, . - guest_copy

/* SA_RESTORER */
    .globl linux_restorer
    .type linux_restorer, @function
linux_restorer:
    mov $15, %eax
    syscall
    .size linux_restorer, . - linux_restorer

/* long linux_clone(unsigned long flags, void *stack, int *ptid, int *ctid, unsigned long tls,
 *                  void (*fn)(void *), void *arg): fn(arg) in the child when it has a stack of its
 * own and fn is not NULL; else the child returns 0 as fork does. */
    .globl linux_clone
    .type linux_clone, @function
linux_clone:
    .cfi_startproc
    endbr64
    mov %rcx, %r10
    mov 8(%rsp), %r11
    test %rsi, %rsi
    jz 1f
    sub $16, %rsi
    mov %r9, (%rsi)
    mov %r11, 8(%rsi)
1:  mov $56, %eax
    push %rsi
    syscall
    test %rax, %rax
    jz 2f
    pop %rcx
    ret
2:  /* the child: rsp is the new stack if there is one, whose top holds fn and arg */
    .cfi_undefined rip
    cmp $0, %rsi
    je 3f
    xor %ebp, %ebp
    pop %rax
    pop %rdi
    call *%rax
    hlt
3:  pop %rcx
    ret
    .cfi_endproc
    .size linux_clone, . - linux_clone
#endif
    .section .note.GNU-stack, "", @progbits
