/* Each x87 instruction on random and special operands: prints registers' bytes and the status word.
      A count of rounds, and the name of one instruction for its rows instead of hashes. */
#include <stdio.h>
#include <stdint.h>
#include <string.h>
#include <stdlib.h>

typedef struct { uint64_t m; uint16_t e; } __attribute__((packed)) ext;
static uint64_t seed = 88172645463325252u;
static uint64_t rnd(void) { seed ^= seed << 13; seed ^= seed >> 7; seed ^= seed << 17; return seed; }

static const ext special[] = {
    {0, 0}, {0, 0x8000}, {0x8000000000000000u, 0x3fff}, {0x8000000000000000u, 0xbfff},        /* 0, -0, 1, -1 */
    {0x8000000000000000u, 0x3ffe}, {0x8000000000000000u, 0x4000}, {0x8000000000000000u, 0x7fff}, /* 1/2, 2, inf */
    {0x8000000000000000u, 0xffff}, {0xc000000000000000u, 0x7fff}, {0xc000000000000000u, 0xffff}, /* -inf, NaNs */
    {0xc000000000012345u, 0x7fff}, {0x8000000000000001u, 0x7fff}, {0xa000000000054321u, 0xffff}, /* payloads, signalling */
    {1, 0}, {0x7fffffffffffffffu, 0}, {0x4000000000000000u, 0x8000}, {0x8000000000000000u, 0},  /* denormals */
    {0xffffffffffffffffu, 0x7ffe}, {0x8000000000000000u, 1}, {0x8000000000000000u, 0x403e},     /* max, min, 2^63 */
    {0x8000000000000000u, 0x403d}, {0xffffffffffffffffu, 0x3ffe}, {0x8000000000000001u, 0x3fff},
    {0xc90fdaa22168c235u, 0x4000}, {0xc90fdaa22168c235u, 0x3fff}, {0xb504f333f9de6484u, 0x3ffd}, /* pi, pi/2, sqrt(1/8) */
    {0, 0x3fff}, {0x4000000000000000u, 0x4000}, {0, 0x7fff}, {0x4000000000000000u, 0x7fff},     /* unsupported */
};
#define SPECIALS (sizeof special / sizeof *special)

static ext value(void) {
    ext v;
    switch (rnd() % 8) {
    case 0: return special[rnd() % SPECIALS];
    case 1: v.e = rnd(); break;                          /* any exponent */
    case 2: v.e = 0x3fff - rnd() % 80; break;            /* small */
    case 3: v.e = 0x3fff + rnd() % 70; break;
    case 4: v.e = rnd() % 3; break;                      /* about the least */
    default: v.e = 0x3ff7 + rnd() % 16; break;
    }
    v.e = (v.e & 0x7fff) == 0x7fff ? 0x3fff : v.e;
    v.e ^= (rnd() & 1) << 15;
    v.m = rnd() | 1ull << 63;
    if (rnd() % 4 == 0) v.m &= -1ull << (rnd() % 64);
    v.m |= 1ull << 63;
    if ((v.e & 0x7fff) == 0) v.m >>= 1 + rnd() % 63;
    return v;
}

struct env { uint32_t w[7]; ext st[8]; } __attribute__((packed));
static uint64_t hash, flaghash; static int verbose; static const char *only;
static void mix(uint64_t *h, const void *p, size_t n) { const unsigned char *b = p; while (n--) *h = (*h ^ *b++) * 1099511628211u; }

#define OP(name, text) static void name(struct env *out, const ext *a, const ext *b, uint16_t cw) { \
    uint16_t std = 0x37f; \
    __asm__ volatile("fninit\n\tfldt %1\n\tfldt %2\n\tfldcw %3\n\tfnclex\n\t" text "\n\tfnsave %0\n\tfldcw %4" \
        : "=m"(*out) : "m"(*b), "m"(*a), "m"(cw), "m"(std) : "st","st(1)","st(2)","st(3)","st(4)","st(5)","st(6)","st(7)","eax","cc","memory"); }
#define LIST X(f2xm1) X(fyl2x) X(fyl2xp1) X(fptan) X(fpatan) X(fxtract) X(fprem) X(fprem1) X(fsincos) X(fsin) X(fcos) X(fscale) \
    X(fldl2t) X(fldl2e) X(fldpi) X(fldlg2) X(fldln2) X(fsqrt) X(frndint) X(faddp) X(fsubp) X(fmulp) X(fdivp) X(fcompp) X(fucompp) X(ftst) X(fxam) X(fabs) X(fchs)
#define X(n) OP(op_##n, #n)
LIST
#undef X
#define MEM(name, text, type) static void name(struct env *out, const ext *a, const ext *b, uint16_t cw) { type m; memset(&m, 0, sizeof m); \
    uint16_t std = 0x37f; \
    __asm__ volatile("fninit\n\tfldt %2\n\tfldt %3\n\tfldcw %4\n\tfnclex\n\t" text " %1\n\tfnsave %0\n\tfldcw %5" \
        : "=m"(*out), "+m"(m) : "m"(*b), "m"(*a), "m"(cw), "m"(std) : "st","st(1)","st(2)","st(3)","st(4)","st(5)","st(6)","st(7)","memory"); \
    memcpy(&out->st[7], &m, sizeof m); }
MEM(op_fistp16, "fistps", int16_t) MEM(op_fistp32, "fistpl", int32_t) MEM(op_fistp64, "fistpll", int64_t)
MEM(op_fisttp16, "fisttps", int16_t) MEM(op_fisttp32, "fisttpl", int32_t) MEM(op_fisttp64, "fisttpll", int64_t)
MEM(op_fbstp, "fbstp", ext) MEM(op_fst32, "fstps", float) MEM(op_fst64, "fstpl", double) MEM(op_fst80, "fstpt", ext)

static const struct { const char *name; void (*f)(struct env *, const ext *, const ext *, uint16_t); } ops[] = {
#define X(n) {#n, op_##n},
    LIST X(fistp16) X(fistp32) X(fistp64) X(fisttp16) X(fisttp32) X(fisttp64) X(fbstp) X(fst32) X(fst64) X(fst80)
};

int main(int argc, char **argv) {
    int count = argc > 1 ? atoi(argv[1]) : 2000;
    only = argc > 2 ? argv[2] : 0;
    static const uint16_t control[] = {0x37f, 0x37f, 0x27f, 0x07f, 0x77f, 0xb7f, 0xf7f, 0x67f};
    for (unsigned o = 0; o < sizeof ops / sizeof *ops; o++) {
        hash = flaghash = 14695981039346656037u; seed = 88172645463325252u + o;
        uint64_t sw = hash;
        if (only && strcmp(only, ops[o].name)) continue;
        for (int i = 0; i < count; i++) {
            ext a = i < (int)(SPECIALS * SPECIALS) ? special[i % SPECIALS] : value();
            ext b = i < (int)(SPECIALS * SPECIALS) ? special[i / SPECIALS] : value();
            uint16_t cw = i < (int)(SPECIALS * SPECIALS) ? 0x37f : control[rnd() % 8];
            struct env e;
            memset(&e, 0, sizeof e);
            ops[o].f(&e, &a, &b, cw);
            uint16_t s = e.w[1], t = e.w[2];
            uint16_t top = s & 0x7800, flags = s & 0x80ff, cc = s & 0x4700;
            mix(&hash, e.st, sizeof e.st); mix(&hash, &t, 2); mix(&sw, &cc, 2); mix(&sw, &top, 2); mix(&flaghash, &flags, 2);
            if (only) { printf(" a=%04x.%016llx b=%04x.%016llx cw=%04x -> sw=%04x tw=%04x", a.e, (unsigned long long)a.m, b.e, (unsigned long long)b.m, cw, s, t);
                for (int k = 0; k < 8; k += k == 2 ? 5 : 1) printf(" %04x.%016llx", e.st[k].e, (unsigned long long)e.st[k].m); puts(""); }
        }
        if (!only) printf("%-8s registers %016llx conditions %016llx flags %016llx\n", ops[o].name, (unsigned long long)hash, (unsigned long long)sw, (unsigned long long)flaghash);
    }
}
