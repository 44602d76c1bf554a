/* long __mini_syscall(long number, a, b, c, d, e, f): the kernel's result, -errno on failure. */
    .text
    .hidden __mini_syscall
    .globl __mini_syscall
    .type __mini_syscall, @function
__mini_syscall:
#ifdef __x86_64__
    mov %rdi, %rax
    mov %rsi, %rdi
    mov %rdx, %rsi
    mov %rcx, %rdx
    mov %r8, %r10
    mov %r9, %r8
    mov 8(%rsp), %r9
    syscall
    ret
#else
    push %ebp
    push %edi
    push %esi
    push %ebx
    mov 20(%esp), %eax
    mov 24(%esp), %ebx
    mov 28(%esp), %ecx
    mov 32(%esp), %edx
    mov 36(%esp), %esi
    mov 40(%esp), %edi
    mov 44(%esp), %ebp
    int $0x80
    pop %ebx
    pop %esi
    pop %edi
    pop %ebp
    ret
#endif
    .size __mini_syscall, . - __mini_syscall

/* The return address of signal handlers. Unwinders recognise a signal frame by exactly these instructions. */
    .hidden __mini_restore
    .globl __mini_restore
    .type __mini_restore, @function
__mini_restore:
#ifdef __x86_64__
    mov $15, %rax               /* rt_sigreturn */
    syscall
#else
    mov $173, %eax              /* rt_sigreturn */
    int $0x80
#endif
    .size __mini_restore, . - __mini_restore
    .hidden __mini_restore_old
    .globl __mini_restore_old
    .type __mini_restore_old, @function
__mini_restore_old:             /* i386 without SA_SIGINFO: a frame without siginfo */
#ifndef __x86_64__
    pop %eax
    mov $119, %eax              /* sigreturn */
    int $0x80
#endif
    .size __mini_restore_old, . - __mini_restore_old
    .section .note.GNU-stack, "", @progbits
