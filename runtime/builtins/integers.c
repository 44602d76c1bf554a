/* 64-bit integer arithmetic of i386 that compilers leave to a library (the names are those of GCC's documentation,
 * "The GCC low-level runtime library"). Hidden, so that each program or library has its own and none is exported. */
#define HIDDEN __attribute__((visibility("hidden")))

typedef unsigned uword;
typedef unsigned long long udword;
typedef long long dword;

#ifndef __x86_64__

/* 64 by 32 bits with a quotient of 32: the high word must be less than the divisor. */
static inline uword divide_word(uword high, uword low, uword divisor, uword *remainder) {
    uword quotient;
    __asm__("div %4" : "=a"(quotient), "=d"(*remainder) : "0"(low), "1"(high), "r"(divisor) : "cc");
    return quotient;
}

HIDDEN udword __udivmoddi4(udword n, udword d, udword *remainder) {
    uword n1 = (uword)(n >> 32), n0 = (uword)n, d1 = (uword)(d >> 32), d0 = (uword)d, q1, q0, r, shift, ignored;
    udword q, product;
    if (!d1) {
        q1 = 0;
        if (n1 >= d0) q1 = divide_word(0, n1, d0, &n1); /* if d is zero, this division raises the exception, as it must */
        q0 = divide_word(n1, n0, d0, &r);
        if (remainder) *remainder = r;
        return (udword)q1 << 32 | q0;
    }
    if (n < d) {
        if (remainder) *remainder = n;
        return 0;
    }
    /* Knuth's D for one digit: divide the high words of the normalised numbers; the estimate is at most one too high
     * after n has been halved. */
    shift = (uword)__builtin_clz(d1);
    d1 = (uword)(d << shift >> 32);
    q0 = divide_word((uword)(n >> 33), (uword)(n >> 1), d1, &ignored);
    q0 >>= 31 - shift;
    q = q0 ? q0 - 1 : 0;
    product = q * d; /* does not overflow: q is at most the true quotient */
    n -= product;
    if (n >= d) q++, n -= d;
    if (remainder) *remainder = n;
    return q;
}

HIDDEN udword __udivdi3(udword n, udword d) { return __udivmoddi4(n, d, 0); }

HIDDEN udword __umoddi3(udword n, udword d) {
    udword r;
    __udivmoddi4(n, d, &r);
    return r;
}

/* C's division truncates: the quotient is negative if the signs differ, the remainder has the dividend's sign. */
HIDDEN dword __divmoddi4(dword n, dword d, dword *remainder) {
    udword r, q = __udivmoddi4(n < 0 ? -(udword)n : (udword)n, d < 0 ? -(udword)d : (udword)d, &r);
    *remainder = n < 0 ? (dword)-r : (dword)r;
    return (n < 0) != (d < 0) ? (dword)-q : (dword)q;
}

HIDDEN dword __divdi3(dword n, dword d) {
    dword r;
    return __divmoddi4(n, d, &r);
}

HIDDEN dword __moddi3(dword n, dword d) {
    dword r;
    __divmoddi4(n, d, &r);
    return r;
}

HIDDEN dword __muldi3(dword a, dword b) {
    uword a0 = (uword)a, b0 = (uword)b, a1 = (uword)((udword)a >> 32), b1 = (uword)((udword)b >> 32);
    union { udword whole; struct { uword low, high; } part; } p;
    p.whole = (udword)a0 * b0;
    p.part.high += a1 * b0 + a0 * b1;
    return (dword)p.whole;
}

union split { dword whole; udword bits; struct { uword low, high; } part; };

HIDDEN dword __ashldi3(dword a, int n) {
    union split x = {a}, r;
    if (n & 32) r.part.low = 0, r.part.high = x.part.low << (n & 31);
    else if (n) r.part.low = x.part.low << n, r.part.high = x.part.high << n | x.part.low >> (32 - n);
    else r = x;
    return r.whole;
}

HIDDEN dword __lshrdi3(dword a, int n) {
    union split x = {a}, r;
    if (n & 32) r.part.high = 0, r.part.low = x.part.high >> (n & 31);
    else if (n) r.part.high = x.part.high >> n, r.part.low = x.part.low >> n | x.part.high << (32 - n);
    else r = x;
    return r.whole;
}

HIDDEN dword __ashrdi3(dword a, int n) {
    union split x = {a}, r;
    if (n & 32) r.part.high = (uword)((int)x.part.high >> 31), r.part.low = (uword)((int)x.part.high >> (n & 31));
    else if (n) r.part.high = (uword)((int)x.part.high >> n), r.part.low = x.part.low >> n | x.part.high << (32 - n);
    else r = x;
    return r.whole;
}

HIDDEN dword __negdi2(dword a) { return (dword)-(udword)a; }
HIDDEN int __cmpdi2(dword a, dword b) { return a < b ? 0 : a > b ? 2 : 1; }
HIDDEN int __ucmpdi2(udword a, udword b) { return a < b ? 0 : a > b ? 2 : 1; }
#endif

/* Bits: population count, parity, leading and trailing zeros, first set bit, byte order. */
HIDDEN int __popcountsi2(uword n) {
    n -= n >> 1 & 0x55555555;
    n = (n & 0x33333333) + (n >> 2 & 0x33333333);
    n = (n + (n >> 4)) & 0x0f0f0f0f;
    return (int)(n * 0x01010101U >> 24);
}
HIDDEN int __popcountdi2(udword n) { return __popcountsi2((uword)n) + __popcountsi2((uword)(n >> 32)); }
HIDDEN int __paritysi2(uword n) {
    n ^= n >> 16, n ^= n >> 8, n ^= n >> 4;
    return 0x6996 >> (n & 15) & 1;
}
HIDDEN int __paritydi2(udword n) { return __paritysi2((uword)n ^ (uword)(n >> 32)); }
HIDDEN int __clzsi2(uword n) { return __builtin_clz(n); }
HIDDEN int __ctzsi2(uword n) { return __builtin_ctz(n); }
HIDDEN int __clzdi2(udword n) { return n >> 32 ? __builtin_clz((uword)(n >> 32)) : 32 + __builtin_clz((uword)n); }
HIDDEN int __ctzdi2(udword n) { return (uword)n ? __builtin_ctz((uword)n) : 32 + __builtin_ctz((uword)(n >> 32)); }
HIDDEN int __ffssi2(int n) { return n ? __builtin_ctz((uword)n) + 1 : 0; }
HIDDEN int __ffsdi2(dword n) { return n ? __ctzdi2((udword)n) + 1 : 0; }
HIDDEN uword __bswapsi2(uword n) { return n >> 24 | (n >> 8 & 0xff00) | (n << 8 & 0xff0000) | n << 24; }
HIDDEN udword __bswapdi2(udword n) {
    return (udword)__bswapsi2((uword)n) << 32 | __bswapsi2((uword)(n >> 32));
}
