/* Text to numbers. */
#include <ctype.h>
#include <limits.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "system.h"

/* The magnitude at s, up to `limit` (or `limit` + 1 where negative); *negative says its sign. */
static unsigned long long magnitude(const char *s, char **end, int base, unsigned long long limit, int is_signed, int *negative) {
    const char *start = s;
    unsigned long long value = 0;
    int any = 0, over = 0;
    *negative = 0;
    while (isspace((unsigned char)*s)) s++;
    if (*s == '+' || *s == '-') *negative = *s++ == '-';
    if (is_signed && *negative) limit++;
    if ((base == 0 || base == 16) && s[0] == '0' && (s[1] | 32) == 'x' && isxdigit((unsigned char)s[2])) s += 2, base = 16;
    if (base == 0) base = *s == '0' ? 8 : 10;
    for (;; s++) {
        unsigned char c = (unsigned char)*s;
        int digit = isdigit(c) ? c - '0' : isalpha(c) ? (c | 32) - 'a' + 10 : 99;
        if (digit >= base) break;
        any = 1;
        if (value > (limit - (unsigned)digit) / (unsigned)base) over = 1;
        else value = value * (unsigned)base + (unsigned)digit;
    }
    if (end) *end = (char *)(any ? s : start);
    if (over) {
        errno = ERANGE;
        if (!is_signed) *negative = 0;
        return limit;
    }
    return value;
}

#define CONVERT(name, type, limit, is_signed)                                                              \
    type name(const char *restrict s, char **restrict end, int base) {                                     \
        int negative;                                                                                      \
        unsigned long long value = magnitude(s, end, base, limit, is_signed, &negative);                   \
        return (type)(negative ? 0 - value : value);                                                       \
    }
CONVERT(strtol, long, LONG_MAX, 1)
CONVERT(strtoul, unsigned long, ULONG_MAX, 0)
CONVERT(strtoll, long long, LLONG_MAX, 1)
CONVERT(strtoull, unsigned long long, ULLONG_MAX, 0)

int atoi(const char *s) { return (int)strtol(s, 0, 10); }
long atol(const char *s) { return strtol(s, 0, 10); }
long long atoll(const char *s) { return strtoll(s, 0, 10); }

/* A decimal 0.d1d2d3... x 10^point that is halved and doubled exactly until its integer part is the mantissa wanted.
 * 800 digits decide every double: the longest that lies on the edge between two has 767. */
enum { DIGITS = 800 };
struct digits { int count, point, more; unsigned char d[DIGITS]; };

static void trim(struct digits *x) {
    while (x->count > 0 && !x->d[x->count - 1]) x->count--;
    if (!x->count) x->point = 0;
}

static void shift_right(struct digits *x, int bits) { /* bits <= 50 */
    uint64_t n = 0, mask = ((uint64_t)1 << bits) - 1;
    int from = 0, to = 0;
    while (!(n >> bits)) {
        if (from >= x->count && !n) return;
        n = n * 10 + (from < x->count ? x->d[from] : 0);
        from++;
    }
    x->point -= from - 1;
    for (;;) {
        unsigned char digit = (unsigned char)(n >> bits);
        n &= mask;
        if (to < DIGITS) x->d[to++] = digit;
        else if (digit) x->more = 1;
        if (from >= x->count && !n) break;
        n = n * 10 + (from < x->count ? x->d[from] : 0);
        from++;
    }
    x->count = to;
    trim(x);
}

static void shift_left(struct digits *x, int bits) { /* bits <= 50 */
    unsigned char text[DIGITS + 20];
    uint64_t n = 0;
    int p = (int)sizeof text, total;
    if (!x->count) return;
    for (int i = x->count; i-- > 0; n /= 10) {
        n += (uint64_t)x->d[i] << bits;
        text[--p] = (unsigned char)(n % 10);
    }
    for (; n; n /= 10) text[--p] = (unsigned char)(n % 10);
    total = (int)sizeof text - p;
    x->point += total - x->count;
    for (int i = DIGITS; i < total; i++) x->more |= text[p + i] != 0;
    x->count = total < DIGITS ? total : DIGITS;
    memcpy(x->d, text + p, (size_t)x->count);
    trim(x);
}

static uint64_t rounded(const struct digits *x) { /* to an integer, half to even */
    uint64_t n = 0;
    int i, up;
    if (x->point > 20) return UINT64_MAX;
    for (i = 0; i < x->point; i++) n = n * 10 + (i < x->count ? x->d[i] : 0);
    if (x->point < 0 || x->point >= x->count) return n;
    up = x->d[i] > 5 || (x->d[i] == 5 && (i + 1 < x->count || x->more || (n & 1)));
    return n + (uint64_t)up;
}

static double assemble(struct digits *x, int mantissa_bits, int least, int greatest, int *out_of_range) {
    int e = 0;
    uint64_t m;
    union { uint64_t bits; double value; } result;
    *out_of_range = 0;
    if (!x->count) return 0;
    if (x->point > 310) goto overflow;
    if (x->point < -400) goto underflow;
    while (x->point > 0) { /* to [1/2, 1) */
        int step = x->point > 15 ? 50 : x->point == 1 ? 1 : 3 * x->point;
        shift_right(x, step), e += step;
    }
    while (x->point < 0 || (x->point == 0 && x->d[0] < 5)) {
        int step = x->point < -15 ? 50 : x->point == 0 ? 1 : -3 * x->point;
        shift_left(x, step), e -= step;
    }
    e--; /* now the value is 1.f x 2^e */
    if (e < least) { /* denormal: fewer bits */
        int step = least - e;
        for (; step > 50; step -= 50) shift_right(x, 50);
        shift_right(x, step), e = least;
    }
    if (e > greatest) goto overflow;
    shift_left(x, mantissa_bits > 50 ? 50 : mantissa_bits);
    if (mantissa_bits > 50) shift_left(x, mantissa_bits - 50);
    m = rounded(x);
    if (m >> mantissa_bits) {
        m >>= 1, e++;
        if (e > greatest) goto overflow;
    }
    if (!m) goto underflow;
    if (!(m >> (mantissa_bits - 1))) *out_of_range = 1; /* denormal result */
    if (mantissa_bits == 24) { /* a float: give it as the double it is */
        double value = (double)m;
        for (int i = 23; i > e; i--) value *= 0.5;
        for (int i = 23; i < e; i++) value *= 2;
        return value;
    }
    result.bits = m >> 52 ? (uint64_t)(e + 1023) << 52 | (m & 0xfffffffffffffULL) : m;
    return result.value;
overflow:
    *out_of_range = 1;
    return __builtin_inf();
underflow:
    *out_of_range = 1;
    return 0;
}

static int word_at(const char *s, const char *word) {
    for (; *word; s++, word++)
        if ((*s | 32) != *word) return 0;
    return 1;
}

static double hexadecimal(const char *s, char **end, int bits, int least, int greatest, int *out_of_range) {
    struct digits x = {0};
    uint64_t m = 0;
    int e = 0, point = 0, sticky = 0;
    for (;; s++) {
        unsigned char c = (unsigned char)*s;
        if (c == '.' && !point) { point = 1; continue; }
        if (!isxdigit(c)) break;
        if (m >> 58) sticky |= c != '0', e += point ? 0 : 4;
        else m = m * 16 + (unsigned)(isdigit(c) ? c - '0' : (c | 32) - 'a' + 10), e -= point ? 4 : 0;
    }
    if ((*s | 32) == 'p' && (isdigit((unsigned char)s[1]) || ((s[1] == '+' || s[1] == '-') && isdigit((unsigned char)s[2])))) {
        char *after;
        long n = strtol(s + 1, &after, 10);
        e += n > 100000 ? 100000 : n < -100000 ? -100000 : (int)n;
        s = after;
    }
    if (end) *end = (char *)s;
    *out_of_range = 0;
    if (!m) return 0;
    m = m << 1 | (uint64_t)sticky, e--;
    for (uint64_t n = m; n; n /= 10) x.point++;
    x.count = x.point;
    for (int i = x.count; i-- > 0; m /= 10) x.d[i] = (unsigned char)(m % 10);
    trim(&x);
    if (e > 2000 || e < -2000) { /* out of every range: only the sign of the exponent counts */
        *out_of_range = 1;
        return e > 0 ? __builtin_inf() : 0;
    }
    for (; e >= 50 && x.point <= 400; e -= 50) shift_left(&x, 50);
    for (; e <= -50 && x.point >= -400; e += 50) shift_right(&x, 50);
    if (e > 0 && e < 50) shift_left(&x, e);
    if (e < 0 && e > -50) shift_right(&x, -e);
    return assemble(&x, bits, least, greatest, out_of_range);
}

static double parse(const char *s, char **end, int bits, int least, int greatest) {
    const char *start = s;
    struct digits x = {0};
    int negative = 0, any = 0, point = 0, out_of_range = 0;
    double value;
    while (isspace((unsigned char)*s)) s++;
    if (*s == '+' || *s == '-') negative = *s++ == '-';
    if (word_at(s, "inf")) {
        if (end) *end = (char *)(s + (word_at(s, "infinity") ? 8 : 3));
        return negative ? -__builtin_inf() : __builtin_inf();
    }
    if (word_at(s, "nan")) {
        if (end) *end = (char *)(s + 3);
        return negative ? -__builtin_nan("") : __builtin_nan("");
    }
    if (s[0] == '0' && (s[1] | 32) == 'x' && (isxdigit((unsigned char)s[2]) || (s[2] == '.' && isxdigit((unsigned char)s[3])))) {
        value = hexadecimal(s + 2, end, bits, least, greatest, &out_of_range);
        if (out_of_range) errno = ERANGE;
        return negative ? -value : value;
    }
    for (;; s++) {
        if (*s == '.' && !point) { point = 1; continue; }
        if (!isdigit((unsigned char)*s)) break;
        any = 1;
        if (*s != '0' || x.count) {
            if (x.count < DIGITS) x.d[x.count++] = (unsigned char)(*s - '0');
            else x.more |= *s != '0';
            if (!point && x.point < 1000000) x.point++;
        } else if (point && x.point > -1000000) x.point--;
    }
    if (!any) s = start;
    else if ((*s | 32) == 'e' && (isdigit((unsigned char)s[1]) || ((s[1] == '+' || s[1] == '-') && isdigit((unsigned char)s[2])))) {
        char *after;
        long n = strtol(s + 1, &after, 10);
        x.point += n > 10000000 ? 10000000 : n < -10000000 ? -10000000 : (int)n;
        s = after;
    }
    if (end) *end = (char *)s;
    trim(&x);
    value = assemble(&x, bits, least, greatest, &out_of_range);
    if (out_of_range) errno = ERANGE;
    return negative ? -value : value;
}

double strtod(const char *restrict s, char **restrict end) { return parse(s, end, 53, -1022, 1023); }
float strtof(const char *restrict s, char **restrict end) { return (float)parse(s, end, 24, -126, 127); }
double atof(const char *s) { return strtod(s, 0); }
