/* Start-up code in the C library (BSD/OS): maps the program's other libraries and starts the program. It is entered in two ways:
 *
 * bsdos: the program's start-up has mapped the first page of this library and called the bootstrap behind the header,
 *   which has mapped the rest and goes on at __uselib_bootstrap. It returns, and the program calls the C library.
 * interp: PT_INTERP of the program names this library. The kernel has mapped it whole and entered __uselib_interpreter.
 *
 * Only environ of the C library is used before the end, because the C library has not been started either. */

#define SCHEME_STATIC 0
#define SCHEME_USELIB 1
#define SCHEME_MMAP 2
#define SCHEME_KERNEL 3
#define SCHEME_BSDOS 4
#define SCHEME_INTERP 5
#define SCHEME_BOOT 6
#define USELIB_SCHEME SCHEME_BOOT

typedef void (*routine)(void);

int __libc_start_main(int (*main)(int, char **, char **), int argc, char **argv, routine init, routine fini,
                      routine unused);
extern char **environ;

struct uselib_program;
static const struct uselib_program *program;
#define PROGRAM program

#include "libraries.c"

#define HIDDEN __attribute__((visibility("hidden"), used))

HIDDEN long __uselib_bootstrap(long fd, const struct uselib_library *library, struct uselib_call *call) {
    struct process process;
    (void)fd, (void)library;
    program = call->program;
    read_stack(&process, call->stack);
    environ = process.envp;
    prepare(&process);
    call->main = __uselib_main;
    return 0;
}

/* The kernel enters with the stack of a program (see crt1.c). */
#ifdef __x86_64__
__asm__(".text\n"
        ".hidden __uselib_interpreter\n"
        ".globl __uselib_interpreter\n"
        ".type __uselib_interpreter, @function\n"
        "__uselib_interpreter:\n"
        "    xor %ebp, %ebp\n"
        "    mov %rsp, %rdi\n"
        "    and $-16, %rsp\n"
        "    call __uselib_interpret\n"
        "    hlt\n"
        ".size __uselib_interpreter, . - __uselib_interpreter\n");
#else
__asm__(".text\n"
        ".hidden __uselib_interpreter\n"
        ".globl __uselib_interpreter\n"
        ".type __uselib_interpreter, @function\n"
        "__uselib_interpreter:\n"
        "    xor %ebp, %ebp\n"
        "    mov %esp, %eax\n"
        "    and $-16, %esp\n"
        "    sub $12, %esp\n"
        "    push %eax\n"
        "    call __uselib_interpret\n"
        "    hlt\n"
        ".size __uselib_interpreter, . - __uselib_interpreter\n");
#endif

/* The program's NT_SCHEME note; 0 if there is none. */
static const struct uselib_scheme *scheme_of_program(const struct program_header *headers, word count) {
    for (word i = 0; i < count; i++) {
        const unsigned char *notes = (const unsigned char *)headers[i].address;
        word size = headers[i].memory_size, at = 0;
        if (headers[i].type != SEGMENT_NOTE) continue;
        while (at < size && size - at >= 12) {
            const unsigned *note = (const unsigned *)(notes + at);
            word name_size = (note[0] + 3UL) & ~3UL, descriptor_size = note[1];
            if (name_size > size - at - 12 || descriptor_size > size - at - 12 - name_size) break;
            if (note[2] == USELIB_NT_SCHEME && note[0] == 7 && descriptor_size >= sizeof(struct uselib_scheme) &&
                same_string((const char *)(note + 3), USELIB_NOTE_NAME))
                return (const struct uselib_scheme *)(notes + at + 12 + name_size);
            at += 12 + name_size + ((descriptor_size + 3) & ~3UL);
        }
    }
    return 0;
}

HIDDEN void __uselib_interpret(long *stack) {
    struct process process;
    const struct uselib_scheme *scheme;
    read_stack(&process, stack);
    scheme = scheme_of_program(process.headers, process.header_count);
    if (!scheme || scheme->format != USELIB_FORMAT || scheme->scheme != USELIB_SCHEME_INTERP) {
        put(2, program_name), put(2, ": this is a shared library, and no program of scheme interp came with it");
        end_refusal();
    }
    program = (const struct uselib_program *)(word)scheme->program;
    if (asks_for_list(&process)) list_libraries(process.headers, process.header_count);
    environ = process.envp;
    prepare(&process);
    __libc_start_main(__uselib_main, process.argc, process.argv, no_routine, no_routine, 0);
    for (;;) __builtin_trap();
}
