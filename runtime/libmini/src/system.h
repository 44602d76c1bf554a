/* Shared by every file of libmini: system calls and the library's private names. */
#ifndef MINI_SYSTEM_H
#define MINI_SYSTEM_H
#include <errno.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <sys/types.h>

#define HIDDEN __attribute__((visibility("hidden")))

/* syscall.S: the kernel's result, -errno on failure. */
HIDDEN long __mini_syscall(long number, ...);
/* start.c: sets errno and returns -1 for -errno, else the result. */
HIDDEN long __mini_result(long result);

#define A(x) ((long)(x))
#define CALL6(n, a, b, c, d, e, f) __mini_syscall(SYS_##n, A(a), A(b), A(c), A(d), A(e), A(f))
#define CALL0(n) CALL6(n, 0, 0, 0, 0, 0, 0)
#define CALL1(n, a) CALL6(n, a, 0, 0, 0, 0, 0)
#define CALL2(n, a, b) CALL6(n, a, b, 0, 0, 0, 0)
#define CALL3(n, a, b, c) CALL6(n, a, b, c, 0, 0, 0)
#define CALL4(n, a, b, c, d) CALL6(n, a, b, c, d, 0, 0)

HIDDEN void __mini_flush_all(void); /* stdio.c, for exit: weak there where no stdio is linked */

HIDDEN void __mini_set_up_tls(const unsigned long *auxiliary); /* tls.c */

/* float.c */
struct decimal { /* a finite number in decimal: 0.d1d2d3... x 10^point, exact */
    char *digits;
    int count, point;
    char room[11600]; /* the longest: 2^-16445 of long double */
};
HIDDEN void __mini_to_decimal(long double value, struct decimal *);
HIDDEN void __mini_round_decimal(struct decimal *, int digits);
#endif
