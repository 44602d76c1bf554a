/* The mathematical functions and decimal conversion of a C library: hashes of the results for random operands. */
#include <math.h>
#include <stdio.h>
#include <stdint.h>
#include <string.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>
static uint64_t seed = 1; static uint64_t rnd(void) { seed ^= seed << 13; seed ^= seed >> 7; seed ^= seed << 17; return seed; }
static double any(void) { uint64_t v = rnd(); double d; if (rnd() % 2) v = (v & ~(0x7ffull << 52)) | (0x3e0 + rnd() % 64) << 52; memcpy(&d, &v, 8); return d; }
static uint64_t h; static void mix(const void *p, int n) { const unsigned char *b = p; while (n--) h = (h ^ *b++) * 1099511628211u; }
#define D1 X(sin) X(cos) X(tan) X(asin) X(acos) X(atan) X(exp) X(exp2) X(expm1) X(log) X(log2) X(log10) X(log1p) X(sqrt) X(rint) X(floor) X(ceil) X(trunc) X(nearbyint) X(round) X(sinh) X(cosh) X(tanh) X(cbrt) X(logb) X(lgamma) X(tgamma)
#define D2 X(fmod) X(remainder) X(atan2) X(pow) X(hypot) X(fdim) X(drem)
int main(void) {
#define X(n) h = 1; for (int i = 0; i < 3000; i++) { double r = n(any()); if (r == r) mix(&r, 8); long double l = n##l(ldexpl(any(), i % 3 * 100)); if (l == l) mix(&l, 10); float g = n##f(any()); if (g == g) mix(&g, 4); } printf("%s %016llx\n", #n, (unsigned long long)h);
D1
#undef X
#define dreml remainderl
#define dremf remainderf
#define X(n) h = 1; for (int i = 0; i < 3000; i++) { double a = any(), r = n(a, any()); if (r == r) mix(&r, 8); long double l = n##l(ldexpl(any(), i % 3 * 100), any()); if (l == l) mix(&l, 10); float g = n##f(a, any()); if (g == g) mix(&g, 4); } printf("%s %016llx\n", #n, (unsigned long long)h);
D2
    printf("%La %a\n", fmodl(12345678901234567.0L * 1024 + 777, 4096.5L), strtod("2.2250738585072011e-308", 0));
    char t[100];
    h = 1; for (int i = 0; i < 3000; i++) { snprintf(t, 100, "%.17Lg", (long double)any()); mix(t, strlen(t)); double d = strtod(t, 0); mix(&d, 8); long double l = strtold(t, 0); mix(&l, 10); } printf("text %016llx\n", (unsigned long long)h);
    fflush(stdout);
    if (fork() == 0) { /* the child has hooks of its own */
        printf("child %La %La\n", fmodl(1e300L, 4096.5L), sinl(any()));
        return 0;
    }
    wait(0);
    return 0;
}
