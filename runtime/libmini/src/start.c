/* Entry from crt1, and exit. */
#include "system.h"
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

char **environ;
typedef void (*routine)(void);

/* In a static program these are the program's arrays. In a shared library they are empty: crt1 runs what the
 * headers of the libraries list. */
extern const routine __preinit_array_start[] __attribute__((weak, visibility("hidden")));
extern const routine __preinit_array_end[] __attribute__((weak, visibility("hidden")));
extern const routine __init_array_start[] __attribute__((weak, visibility("hidden")));
extern const routine __init_array_end[] __attribute__((weak, visibility("hidden")));
extern const routine __fini_array_start[] __attribute__((weak, visibility("hidden")));
extern const routine __fini_array_end[] __attribute__((weak, visibility("hidden")));

static routine fini_argument;

HIDDEN long __mini_result(long result) {
    if ((unsigned long)result > -4096UL) {
        errno = (int)-result;
        return -1;
    }
    return result;
}

long syscall(long n, ...) {
    __builtin_va_list list;
    long a[6];
    __builtin_va_start(list, n);
    for (int i = 0; i < 6; i++) a[i] = __builtin_va_arg(list, long);
    __builtin_va_end(list);
    return __mini_result(__mini_syscall(n, a[0], a[1], a[2], a[3], a[4], a[5]));
}

static routine *handlers;
static int handler_count, handler_room;

int atexit(routine handler) {
    static routine first[32]; /* the least number that the standard requires, without malloc */
    if (!handlers) handlers = first, handler_room = 32;
    if (handler_count == handler_room) {
        routine *more = malloc(2 * (size_t)handler_room * sizeof *more);
        if (!more) return -1;
        for (int i = 0; i < handler_count; i++) more[i] = handlers[i];
        handlers = more; /* the old table is not freed: it may be the static one, and it is small */
        handler_room *= 2;
    }
    handlers[handler_count++] = handler;
    return 0;
}

void _Exit(int status) {
    for (;;) CALL1(exit_group, status);
}

void _exit(int status) { _Exit(status); }

HIDDEN void __mini_no_flush(void) {}
extern __typeof__(__mini_no_flush) __mini_flush_all __attribute__((weak, alias("__mini_no_flush")));

void exit(int status) {
    while (handler_count > 0) handlers[--handler_count](); /* a handler may register more */
    for (const routine *r = __fini_array_end; r > __fini_array_start;) (*--r)();
    if (fini_argument) fini_argument();
    __mini_flush_all();
    _Exit(status);
}

void abort(void) {
    raise(SIGABRT);
    signal(SIGABRT, SIG_DFL);
    raise(SIGABRT);
    for (;;) __builtin_trap();
}

int __libc_start_main(int (*main)(int, char **, char **), int argc, char **argv, routine init, routine fini,
                      routine unused) {
    typedef void (*initialiser)(int, char **, char **);
    char **envp = argv + argc + 1;
    (void)unused;
    environ = envp;
    fini_argument = fini;
    while (*envp) envp++;
    __mini_set_up_tls((const unsigned long *)(envp + 1)); /* the auxiliary vector follows the environment */
    envp = environ;
    for (const routine *r = __preinit_array_start; r < __preinit_array_end; r++) ((initialiser)*r)(argc, argv, envp);
    if (init) init();
    for (const routine *r = __init_array_start; r < __init_array_end; r++) ((initialiser)*r)(argc, argv, envp);
    exit(main(argc, argv, envp));
}
