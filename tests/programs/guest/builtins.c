/* Prints the results of the compiler's helper routines for operands from standard input: `a b` in decimal, a line each. */
#include <stdio.h>
#include <stdlib.h>

typedef unsigned long long u64;
typedef long long s64;

int main(void) {
    static char line[128];
    while (fgets(line, sizeof line, stdin)) {
        char *end;
        volatile u64 a = strtoull(line, &end, 10), b = strtoull(end, &end, 10);
        volatile s64 sa = (s64)a, sb = (s64)b;
        volatile int n = (int)(b & 63);
        volatile double d;
        volatile float f;
        volatile long double l;
        printf("%llu %llu %lld %lld ", a / b, a % b, sa == -sa && sb == -1 ? 0 : sa / sb, sa == -sa && sb == -1 ? 0 : sa % sb);
        printf("%llu %llu %llu %lld %llu ", a * b, a << n, a >> n, sa >> n, -a);
        printf("%d %d %d ", __builtin_popcountll(a), __builtin_parityll(a), __builtin_ffsll(sa));
        d = (double)a, f = (float)a, l = (long double)a;
        printf("%.17g %.9g %.21Lg ", d, (double)f, l);
        d = (double)(a >> 1), l = (long double)a;
        printf("%llu %llu\n", (u64)d, (u64)l);
    }
    return 0;
}
