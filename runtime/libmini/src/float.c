/* Exact conversion of binary floating point to decimal.
 *
 * A finite number is m x 2^e with an integer m of at most 64 bits. For e >= 0 that is an integer; for e < 0 it is
 * m x 5^-e / 10^-e. Either way one big integer in base 10^9 holds every digit, and the rest is placing the point. */
#include "system.h"
#include <float.h>
#include <stdint.h>
#include <string.h>

enum { BASE = 1000000000, WORDS = 1290 }; /* 2^64 x 5^16445 has 11,515 digits */

static int multiply(uint32_t *n, int count, uint32_t factor) {
    uint64_t carry = 0;
    for (int i = 0; i < count; i++) {
        carry += (uint64_t)n[i] * factor;
        n[i] = (uint32_t)(carry % BASE);
        carry /= BASE;
    }
    while (carry) { /* 5^13 exceeds the base: at most two words more */
        n[count++] = (uint32_t)(carry % BASE);
        carry /= BASE;
    }
    return count;
}

HIDDEN void __mini_to_decimal(long double value, struct decimal *out) {
    union { long double value; struct { uint64_t mantissa; uint16_t exponent; } bits; } x; /* x87 extended */
    uint32_t n[WORDS];
    uint64_t m;
    int e, count = 0, tens = 0;
    char *p;
    x.value = value;
    m = x.bits.mantissa;
    e = (x.bits.exponent & 0x7fff) - 16383 - 63;
    if (e == -16383 - 63) e++; /* denormal */
    out->digits = out->room;
    out->count = out->point = 0;
    if (!m) return;
    while (!(m & 1)) m >>= 1, e++;
    for (uint64_t rest = m; rest; rest /= BASE) n[count++] = (uint32_t)(rest % BASE);
    for (; e >= 29; e -= 29) count = multiply(n, count, 1U << 29);
    if (e > 0) count = multiply(n, count, 1U << e), e = 0;
    for (tens = -e; e <= -13; e += 13) count = multiply(n, count, 1220703125U); /* 5^13 */
    for (; e < 0; e++) count = multiply(n, count, 5);
    p = out->room;
    for (int i = count - 1; i >= 0; i--) {
        uint32_t word = n[i];
        for (int d = 8; d >= 0; d--, word /= 10) p[d] = (char)('0' + word % 10);
        p += 9;
    }
    out->count = (int)(p - out->room);
    while (*out->digits == '0') out->digits++, out->count--;
    out->point = out->count - tens;
    while (out->digits[out->count - 1] == '0') out->count--;
}

/* Keeps `digits` digits (which may be 0 or negative), rounding half to even: the number is exact, so a tie is one. */
HIDDEN void __mini_round_decimal(struct decimal *x, int digits) {
    int up;
    if (digits >= x->count) return;
    if (digits < 0) {
        x->count = 0;
        return;
    }
    up = x->digits[digits] > '5' || (x->digits[digits] == '5' && (digits + 1 < x->count || (digits > 0 && x->digits[digits - 1] & 1)));
    x->count = digits;
    if (up) {
        while (x->count > 0 && x->digits[x->count - 1] == '9') x->count--;
        if (x->count > 0) {
            x->digits[x->count - 1]++;
        } else {
            x->digits[0] = '1';
            x->count = 1;
            x->point++;
        }
    }
    while (x->count > 0 && x->digits[x->count - 1] == '0') x->count--;
}
