/* Start-up of a program in scheme `static`, and the entry point that every scheme shares.
 *
 * Compiled once for each scheme: -DUSELIB_SCHEME=0 (static), 1 (uselib), 2 (mmap), 3 (kernel), 4 (bsdos), 5 (interp). The result is one
 * object without undefined symbols other than main, __libc_start_main, atexit and weak ones: until libraries are mapped, nothing outside
 * this file may be called, and the compiler must not add calls of memcpy either. */

#define SCHEME_STATIC 0
#define SCHEME_USELIB 1
#define SCHEME_MMAP 2
#define SCHEME_KERNEL 3
#define SCHEME_BSDOS 4
#define SCHEME_INTERP 5

/* The kernel enters with argc, argv, envp and the auxiliary vector on the stack, and the stack pointer is all that
 * __uselib_start needs. The frame pointer is zero so that backtraces end here (both psABIs). */
#ifdef __x86_64__
__asm__(".text\n"
        ".globl _start\n"
        ".type _start, @function\n"
        "_start:\n"
        "    xor %ebp, %ebp\n"
        "    mov %rsp, %rdi\n"
        "    and $-16, %rsp\n"
        "    call __uselib_start\n"
        "    hlt\n"
        ".size _start, . - _start\n");
#else
__asm__(".text\n"
        ".globl _start\n"
        ".type _start, @function\n"
        "_start:\n"
        "    xor %ebp, %ebp\n"
        "    mov %esp, %eax\n"
        "    and $-16, %esp\n"
        "    sub $12, %esp\n" /* the argument makes 16: aligned at the call */
        "    push %eax\n"
        "    call __uselib_start\n"
        "    hlt\n"
        ".size _start, . - _start\n");
#endif

typedef void (*routine)(void);

int main(int argc, char **argv, char **envp);
int __libc_start_main(int (*main)(int, char **, char **), int argc, char **argv, routine init, routine fini,
                      routine unused);
void __uselib_start(long *stack) __attribute__((noreturn, used, visibility("hidden")));

#if USELIB_SCHEME == SCHEME_STATIC

/* In a static program the C library finds the program's arrays itself (__init_array_start and so on), as every static C library does.
 * _init and _fini are for libraries that take them as arguments. */
void _init(void) __attribute__((weak));
void _fini(void) __attribute__((weak));

void __uselib_start(long *stack) {
    __libc_start_main(main, (int)*stack, (char **)(stack + 1), _init, _fini, 0);
    for (;;) __builtin_trap();
}

#else
#include "libraries.c"
#endif
