/* Floating-point routines that compilers leave to a library: complex products and quotients (C11 annex G), powers with an
 * integer exponent, conversions of unsigned 64-bit integers on i386. */
#define HIDDEN __attribute__((visibility("hidden")))

#define IS_NAN(x) __builtin_isnan(x)
#define IS_INF(x) __builtin_isinf(x)
#define ONE_IF_INF(T, x) ((T)__builtin_copysign(IS_INF(x) ? 1.0 : 0.0, (double)(x)))
#define ZERO_IF_NAN(T, x) (IS_NAN(x) ? (T)__builtin_copysign(0.0, (double)(x)) : (x))

/* (a + ib)(c + id). Where both parts come out as NaN although an operand is infinite, the product is infinite (G.5.1). */
#define MULTIPLY(name, T)                                                                                  \
    HIDDEN _Complex T name(T a, T b, T c, T d) {                                                           \
        T ac = a * c, bd = b * d, ad = a * d, bc = b * c;                                                  \
        _Complex T z;                                                                                      \
        __real__ z = ac - bd;                                                                              \
        __imag__ z = ad + bc;                                                                              \
        if (IS_NAN(__real__ z) && IS_NAN(__imag__ z)) {                                                    \
            int again = 0;                                                                                 \
            if (IS_INF(a) || IS_INF(b)) {                                                                  \
                a = ONE_IF_INF(T, a), b = ONE_IF_INF(T, b);                                                \
                c = ZERO_IF_NAN(T, c), d = ZERO_IF_NAN(T, d);                                              \
                again = 1;                                                                                 \
            }                                                                                              \
            if (IS_INF(c) || IS_INF(d)) {                                                                  \
                c = ONE_IF_INF(T, c), d = ONE_IF_INF(T, d);                                                \
                a = ZERO_IF_NAN(T, a), b = ZERO_IF_NAN(T, b);                                              \
                again = 1;                                                                                 \
            }                                                                                              \
            if (!again && (IS_INF(ac) || IS_INF(bd) || IS_INF(ad) || IS_INF(bc))) {                        \
                a = ZERO_IF_NAN(T, a), b = ZERO_IF_NAN(T, b);                                              \
                c = ZERO_IF_NAN(T, c), d = ZERO_IF_NAN(T, d);                                              \
                again = 1;                                                                                 \
            }                                                                                              \
            if (again) {                                                                                   \
                __real__ z = (T)__builtin_inf() * (a * c - b * d);                                         \
                __imag__ z = (T)__builtin_inf() * (a * d + b * c);                                         \
            }                                                                                              \
        }                                                                                                  \
        return z;                                                                                          \
    }
MULTIPLY(__mulsc3, float)
MULTIPLY(__muldc3, double)
MULTIPLY(__mulxc3, long double)

/* x times 2^n, by repeated squaring: exact unless the result is out of range. */
static long double scale(long double x, int n) {
    long double factor = n < 0 ? 0.5L : 2.0L;
    if (n < 0) n = -n;
    for (; n > 16383; n--) x *= factor; /* the largest power would not be representable */
    for (; n; n >>= 1, factor *= factor)
        if (n & 1) x *= factor;
    return x;
}

static int exponent(long double x) { /* the greatest power of two not above a finite x > 0 */
    union { long double value; struct { unsigned long long mantissa; unsigned short exponent; } bits; } u = {x};
    if (!u.bits.exponent) return -16382 - __builtin_clzll(u.bits.mantissa);
    return (u.bits.exponent & 0x7fff) - 16383;
}

static int size_of(long double a, long double b) { /* exponent of the larger part; 0 where scaling makes no sense */
    long double x = __builtin_fabsl(a), y = __builtin_fabsl(b);
    if (IS_NAN(x) || IS_NAN(y) || IS_INF(x) || IS_INF(y)) return 0;
    if (y > x) x = y;
    return x > 0 ? exponent(x) : 0;
}

/* (a + ib) / (c + id), both scaled to about 1 so that nothing overflows on the way (G.5.1 example 2). */
static _Complex long double divide(long double a, long double b, long double c, long double d) {
    int n = size_of(a, b), m = size_of(c, d);
    long double square;
    _Complex long double z;
    a = scale(a, -n), b = scale(b, -n), c = scale(c, -m), d = scale(d, -m);
    square = c * c + d * d;
    __real__ z = scale((a * c + b * d) / square, n - m);
    __imag__ z = scale((b * c - a * d) / square, n - m);
    if (IS_NAN(__real__ z) && IS_NAN(__imag__ z)) {
        if (square == 0 && (!IS_NAN(a) || !IS_NAN(b))) {
            long double infinity = __builtin_copysignl(__builtin_infl(), c);
            __real__ z = infinity * a;
            __imag__ z = infinity * b;
        } else if ((IS_INF(a) || IS_INF(b)) && __builtin_isfinite(c) && __builtin_isfinite(d)) {
            a = ONE_IF_INF(long double, a), b = ONE_IF_INF(long double, b);
            __real__ z = __builtin_infl() * (a * c + b * d);
            __imag__ z = __builtin_infl() * (b * c - a * d);
        } else if ((IS_INF(c) || IS_INF(d)) && __builtin_isfinite(a) && __builtin_isfinite(b)) {
            c = ONE_IF_INF(long double, c), d = ONE_IF_INF(long double, d);
            __real__ z = 0 * (a * c + b * d);
            __imag__ z = 0 * (b * c - a * d);
        }
    }
    return z;
}

#define DIVIDE(name, T)                                                                                    \
    HIDDEN _Complex T name(T a, T b, T c, T d) {                                                           \
        _Complex long double z = divide(a, b, c, d);                                                       \
        _Complex T result;                                                                                 \
        __real__ result = (T)__real__ z;                                                                   \
        __imag__ result = (T)__imag__ z;                                                                   \
        return result;                                                                                     \
    }
DIVIDE(__divsc3, float)
DIVIDE(__divdc3, double)
DIVIDE(__divxc3, long double)

#define POWER(name, T)                                                                                     \
    HIDDEN T name(T x, int n) {                                                                            \
        unsigned m = n < 0 ? -(unsigned)n : (unsigned)n;                                                   \
        T y = 1;                                                                                           \
        for (; m; m >>= 1, x *= x)                                                                         \
            if (m & 1) y *= x;                                                                             \
        return n < 0 ? 1 / y : y;                                                                          \
    }
POWER(__powisf2, float)
POWER(__powidf2, double)
POWER(__powixf2, long double)

#ifndef __x86_64__
/* An x87 register holds every 64-bit integer exactly, so one rounding happens: the last. */
static long double from_unsigned(unsigned long long n) {
    long double x = (long double)(long long)(n >> 1) * 2;
    return x + (long double)(int)(n & 1);
}
HIDDEN long double __floatundixf(unsigned long long n) { return from_unsigned(n); }
HIDDEN double __floatundidf(unsigned long long n) { return (double)from_unsigned(n); }
HIDDEN float __floatundisf(unsigned long long n) { return (float)from_unsigned(n); }
HIDDEN long double __floatdixf(long long n) { return (long double)n; }
HIDDEN double __floatdidf(long long n) { return (double)(long double)n; }
HIDDEN float __floatdisf(long long n) { return (float)(long double)n; }

static unsigned long long to_unsigned(long double x) {
    if (x < 9223372036854775808.0L) return (unsigned long long)(long long)x;
    return (unsigned long long)(long long)(x - 9223372036854775808.0L) ^ 0x8000000000000000ULL;
}
HIDDEN unsigned long long __fixunsxfdi(long double x) { return to_unsigned(x); }
HIDDEN unsigned long long __fixunsdfdi(double x) { return to_unsigned(x); }
HIDDEN unsigned long long __fixunssfdi(float x) { return to_unsigned(x); }
HIDDEN long long __fixxfdi(long double x) { return (long long)x; }
HIDDEN long long __fixdfdi(double x) { return (long long)(long double)x; }
HIDDEN long long __fixsfdi(float x) { return (long long)(long double)x; }
#endif
