/* 128-bit integer arithmetic of x86-64. */
#ifdef __x86_64__
#define HIDDEN __attribute__((visibility("hidden")))

typedef unsigned long uword;
typedef unsigned __int128 udword;
typedef __int128 dword;

static inline uword divide_word(uword high, uword low, uword divisor, uword *remainder) {
    uword quotient;
    __asm__("div %4" : "=a"(quotient), "=d"(*remainder) : "0"(low), "1"(high), "r"(divisor) : "cc");
    return quotient;
}

/* As __udivmoddi4 in integers.c, with words of 64 bits. */
HIDDEN udword __udivmodti4(udword n, udword d, udword *remainder) {
    uword n1 = (uword)(n >> 64), n0 = (uword)n, d1 = (uword)(d >> 64), d0 = (uword)d, q1, q0, r, shift, ignored;
    udword q;
    if (!d1) {
        q1 = 0;
        if (n1 >= d0) q1 = divide_word(0, n1, d0, &n1);
        q0 = divide_word(n1, n0, d0, &r);
        if (remainder) *remainder = r;
        return (udword)q1 << 64 | q0;
    }
    if (n < d) {
        if (remainder) *remainder = n;
        return 0;
    }
    shift = (uword)__builtin_clzl(d1);
    d1 = (uword)(d << shift >> 64);
    q0 = divide_word((uword)(n >> 65), (uword)(n >> 1), d1, &ignored) >> (63 - shift);
    q = q0 ? q0 - 1 : 0;
    n -= q * d;
    if (n >= d) q++, n -= d;
    if (remainder) *remainder = n;
    return q;
}

HIDDEN udword __udivti3(udword n, udword d) { return __udivmodti4(n, d, 0); }
HIDDEN udword __umodti3(udword n, udword d) {
    udword r;
    __udivmodti4(n, d, &r);
    return r;
}
HIDDEN dword __divmodti4(dword n, dword d, dword *remainder) {
    udword r, q = __udivmodti4(n < 0 ? -(udword)n : (udword)n, d < 0 ? -(udword)d : (udword)d, &r);
    *remainder = n < 0 ? (dword)-r : (dword)r;
    return (n < 0) != (d < 0) ? (dword)-q : (dword)q;
}
HIDDEN dword __divti3(dword n, dword d) {
    dword r;
    return __divmodti4(n, d, &r);
}
HIDDEN dword __modti3(dword n, dword d) {
    dword r;
    __divmodti4(n, d, &r);
    return r;
}
#endif
