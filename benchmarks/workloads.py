"""Guest programs of the benchmark of the emulator: C sources, and scripts for Lua. Each prints something that depends on all its work."""

from __future__ import annotations

_TOUCH = r"""
#include <stdio.h>
#include <stdlib.h>
static char room[16384 * 4096L] __attribute__((aligned(4096)));
int main(int argc, char **argv)
{
    long pages = atol(argv[1]), rounds = atol(argv[2]);
    unsigned sum = 0;
    for (long r = 0; r < rounds; r++)
        for (long i = 0; i < pages; i++) sum += ++((volatile char *)room)[i * 4096 + i % 64];
    printf("%u\n", sum);
    return 0;
}
"""
_SIEVE = r"""
#include <stdio.h>
#include <string.h>
static char composite[3 << 20];
int main(void)
{
    long count = 0;
    for (int round = 0; round < 20; round++) {
        memset(composite, 0, sizeof composite);
        for (long i = 2; i < (long)sizeof composite; i++)
            if (!composite[i]) {
                count++;
                if (i < 1800)
                    for (long j = i * i; j < (long)sizeof composite; j += i) composite[j] = 1;
            }
    }
    printf("%ld\n", count);
    return 0;
}
"""
_RANDOM = r"""
#include <stdio.h>
#include <stdlib.h>
static unsigned char room[256 << 20];
int main(int argc, char **argv)
{
    unsigned long size = strtoul(argv[1], 0, 0), n = strtoul(argv[2], 0, 0), at = 1, sum = 0;
    for (unsigned long i = 0; i < n; i++) {
        at = at * 1103515245ul + 12345ul;
        sum += room[(at >> 7) % size]++;
    }
    printf("%lu\n", sum);
    return 0;
}
"""
_SORT = r"""
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
static int numbers[200000];
static int order(const void *a, const void *b) { return *(const int *)a - *(const int *)b; }
int main(void)
{
    unsigned seed = 1, hash = 0;
    char text[16];
    for (int i = 0; i < 200000; i++)
        numbers[i] = (seed = seed * 1103515245 + 12345) >> 1;
    qsort(numbers, 200000, sizeof *numbers, order);
    for (int i = 0; i < 200000; i++) {
        snprintf(text, sizeof text, "%d", numbers[i]);
        for (const char *p = text; *p; p++) hash = hash * 31 + *p;
    }
    printf("%u\n", hash);
    return 0;
}
"""
_NBODY = r"""
#include <math.h>
#include <stdio.h>
enum { N = 5 };
static double p[N][3] = {{0, 0, 0}, {4.8, -1.2, -.1}, {8.3, 4.1, -.4}, {12.9, -15.1, -.2}, {15.4, -25.9, .2}};
static double v[N][3] = {{0, 0, 0}, {.6, 2.8, 0}, {-1.0, 1.8, 0}, {1.1, .9, 0}, {1.0, .6, 0}}, m[N] = {39.5, .038, .011, .0017, .002};
int main(void)
{
    for (int step = 0; step < 300000; step++) {
        for (int i = 0; i < N; i++)
            for (int j = i + 1; j < N; j++) {
                double d[3], r = 0;
                for (int k = 0; k < 3; k++) d[k] = p[i][k] - p[j][k], r += d[k] * d[k];
                double force = .001 / (r * sqrt(r));
                for (int k = 0; k < 3; k++) v[i][k] -= d[k] * m[j] * force, v[j][k] += d[k] * m[i] * force;
            }
        for (int i = 0; i < N; i++)
            for (int k = 0; k < 3; k++) p[i][k] += .001 * v[i][k];
    }
    printf("%.12f %.12f\n", p[0][0], v[4][2]);
    return 0;
}
"""
_SHA256 = r"""
#include <stdint.h>
#include <stdio.h>
#include <string.h>
static uint32_t k[64], h[8];
static uint32_t turn(uint32_t x, int n) { return x >> n | x << (32 - n); }
static void block(const unsigned char *p)
{
    uint32_t w[64], s[8];
    for (int i = 0; i < 16; i++) w[i] = (uint32_t)p[4 * i] << 24 | p[4 * i + 1] << 16 | p[4 * i + 2] << 8 | p[4 * i + 3];
    for (int i = 16; i < 64; i++)
        w[i] = w[i - 16] + (turn(w[i - 15], 7) ^ turn(w[i - 15], 18) ^ w[i - 15] >> 3)
            + w[i - 7] + (turn(w[i - 2], 17) ^ turn(w[i - 2], 19) ^ w[i - 2] >> 10);
    memcpy(s, h, sizeof s);
    for (int i = 0; i < 64; i++) {
        uint32_t a = s[7] + (turn(s[4], 6) ^ turn(s[4], 11) ^ turn(s[4], 25)) + ((s[4] & s[5]) ^ (~s[4] & s[6])) + k[i] + w[i];
        uint32_t b = (turn(s[0], 2) ^ turn(s[0], 13) ^ turn(s[0], 22)) + ((s[0] & s[1]) ^ (s[0] & s[2]) ^ (s[1] & s[2]));
        memmove(s + 1, s, 28);
        s[4] += a, s[0] = a + b;
    }
    for (int i = 0; i < 8; i++) h[i] += s[i];
}
static unsigned char data[1 << 20];
int main(void)
{
    for (int i = 0; i < 64; i++) k[i] = 0x428a2f98u * (i + 1);
    for (unsigned i = 0; i < sizeof data; i++) data[i] = i * 7;
    for (int round = 0; round < 16; round++)
        for (unsigned i = 0; i < sizeof data; i += 64) block(data + i);
    printf("%08x\n", h[0]);
    return 0;
}
"""
_COPY = r"""
#include <stdio.h>
#include <string.h>
static char from[8 << 20], to[8 << 20];
int main(void)
{
    for (unsigned i = 0; i < sizeof from; i++) from[i] = i * 31;
    for (int round = 0; round < 500; round++) {
        memcpy(to, from, sizeof to);
        from[round]++;
    }
    printf("%d\n", to[12345]);
    return 0;
}
"""
_MAPPINGS = r"""
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
int main(int argc, char **argv)
{
    long n = atol(argv[2]), sum = 0;
    if (argv[1][0] == 's') { /* short-lived ones */
        for (long i = 0; i < n; i++) {
            char *p = mmap(0, 16384, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
            p[0] = p[8192] = i;
            sum += p[8192];
            munmap(p, 16384);
        }
    } else { /* many at once: neighbours differ in permissions, so that none are joined */
        char **all = malloc(n * sizeof *all);
        for (long i = 0; i < n; i++) {
            all[i] = mmap(0, 4096, i % 2 ? PROT_READ : PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
            if (all[i] == MAP_FAILED) return 1;
            if (i % 2 == 0) all[i][7] = i;
        }
        for (long i = 0; i < n; i++) sum += all[i][7];
        for (long i = 0; i < n; i += 3) munmap(all[i], 4096);
    }
    printf("%ld\n", sum);
    return 0;
}
"""

SOURCES = {
    "touch": _TOUCH,
    "sieve": _SIEVE,
    "random": _RANDOM,
    "sort": _SORT,
    "nbody": _NBODY,
    "sha256": _SHA256,
    "copy": _COPY,
    "mappings": _MAPPINGS,
}
"""Name of a program -> its source."""

LUA = {
    "fib": "local function f(n) if n < 2 then return n end return f(n-1) + f(n-2) end print(f(31))",
    "sort": "local t, s = {}, 1 for i = 1, 300000 do s = (s * 1103515245 + 12345) % 2147483648 t[i] = s end "
    "table.sort(t) print(t[1], t[300000])",
    "gmatch": "local s, n = string.rep('the quick brown fox ', 300000), 0 for w in s:gmatch('%a+') do n = n + #w end print(n)",
}
"""Name of a script -> the script."""

CHEAP, DEAR = (2.0, 2.5), (3.0, 3.0)  # goals, x86-64 and i386: at most so many times qemu-user's time
ROWS: tuple[tuple[str, str, tuple[str, ...], tuple[float, float]], ...] = (
    ("240 pages in turn", "touch", ("240", "300000"), DEAR),
    ("1,024 pages in turn", "touch", ("1024", "70000"), DEAR),
    ("16,384 pages in turn", "touch", ("16384", "4000"), DEAR),
    ("sieve of 3 MB", "sieve", (), DEAR),
    ("random access in 4 MB", "random", ("0x400000", "30000000"), DEAR),
    ("random access in 256 MB", "random", ("0x10000000", "20000000"), DEAR),
    ("n-body", "nbody", (), CHEAP),
    ("qsort + snprintf", "sort", (), CHEAP),
    ("sha256 of 16 MB", "sha256", (), CHEAP),
    ("memcpy of 4,000 MB", "copy", (), CHEAP),
    ("20,000 short mmap and munmap", "mappings", ("short", "20000"), (5.0, 5.0)),
    ("65,000 small mappings", "mappings", ("many", "65000"), (5.0, 5.0)),
)
"""What is shown, the program, its arguments, the goal."""
