/* The x87: results, status word and tags after each instruction, with exceptions masked and unmasked, an empty stack and a full one. */
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

static sigjmp_buf back;
static volatile int code;
static void caught(int number, siginfo_t *info, void *context)
{
    (void)context, (void)number;
    code = info->si_code;
    __asm__ volatile("fninit");
    siglongjmp(back, 1);
}

typedef struct { unsigned long long low; unsigned short high; } __attribute__((packed)) Value;
static const Value VALUES[] = {
    {0, 0}, {0, 0x8000}, {0x8000000000000000, 0x3fff}, {0xc000000000000000, 0xbfff}, {0xffffffffffffffff, 0x7ffe},
    {0x8000000000000000, 1}, {1, 0}, {0x8000000000000000, 0}, {0x8000000000000000, 0x7fff}, {0x8000000000000000, 0xffff},
    {0xc000000000000123, 0x7fff}, {0x8000000000000456, 0x7fff}, {0xc90fdaa22168c235, 0x4000}, {0x4000000000000000, 0x4000},
    {0xb504f333f9de6484, 0x3ffe}, {0x9000000000000000, 0x403e}, {0xffffffffffffffff, 0x403d},
};
enum { COUNT = sizeof VALUES / sizeof *VALUES };
static const unsigned short CONTROLS[] = {0x37f, 0x27f, 0x07f, 0xb7f, 0x77f, 0xf7f, 0x37e, 0x37d, 0x37b, 0x36f, 0x35f, 0x37f & ~0x20, 0x340};

typedef struct { unsigned control, status, tags, ip, cs, dp, ds; unsigned char st[8][10]; } __attribute__((packed)) Image;

static void show(const char *name, int c, int i, int j, const Image *m)
{
    static const char HEX[] = "0123456789abcdef";
    char line[200], *p = line + sprintf(line, "%s %x %d %d: %x %x ", name, CONTROLS[c], i, j, m->status & 0xffff, m->tags & 0xffff);
    for (int r = 0; r < 3; r++) {
        if ((m->tags >> 2 * (((m->status >> 11 & 7) + r) & 7) & 3) == 3) { *p++ = '-', *p++ = ' '; continue; }
        for (int b = 9; b >= 0; b--) *p++ = HEX[m->st[r][b] >> 4], *p++ = HEX[m->st[r][b] & 15];
        *p++ = ' ';
    }
    *p = 0;
    puts(line);
}

#define RUN(name, instruction) \
    static void name(int c, int i, int j) \
    { \
        Image m; \
        unsigned char room[16] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10}; \
        memset(&m, 0, sizeof m); \
        if (sigsetjmp(back, 1)) { printf(#name " %x %d %d: SIGFPE %d\n", CONTROLS[c], i, j, code); return; } \
        __asm__ volatile("fninit; fldt %3; fldt %2; fldcw %4; " instruction "; fnsave %0" \
                         : "=m"(m), "+m"(room) : "m"(VALUES[i]), "m"(VALUES[j]), "m"(CONTROLS[c]) : "memory", "cc"); \
        show(#name, c, i, j, &m); \
        if (memcmp(room, "\1\2\3\4\5\6\7\10\11\12\0\0\0\0\0\0", 16)) { \
            for (int b = 0; b < 10; b++) printf("%x.", room[b]); \
            puts(""); \
        } \
        __asm__ volatile("fninit"); \
    }
#define EACH(X) \
    X(fadd, "fadd %%st(1), %%st") X(faddp, "faddp") X(fsub, "fsub %%st(1), %%st") X(fsubr, "fsubr %%st(1), %%st") X(fsubp, "fsubp") \
    X(fmul, "fmul %%st(1), %%st") X(fdiv, "fdiv %%st(1), %%st") X(fdivr, "fdivr %%st(1), %%st") X(fdivrp, "fdivrp") X(fcom, "fcom") \
    X(fcompp, "fcompp") X(fucompp, "fucompp") X(ftst, "ftst") X(fxam, "fxam") X(fxch, "fxch") X(fchs, "fchs") X(fabs_, "fabs") X(fsqrt, "fsqrt") \
    X(frndint, "frndint") X(fscale, "fscale") X(fprem, "fprem") X(fprem1, "fprem1") X(fxtract, "fxtract") X(fldpi, "fldpi") X(fld1, "fld1") \
    X(fstpt, "fstpt %1") \
    X(fbstp, "fbstp %1") X(flds, "flds %1") X(faddl, "faddl %1") X(fiadd, "fiaddl %1") X(fisubrs, "fisubrs %1") X(fcoml, "fcoml %1") \
    X(raised, "fadd %%st(1), %%st; fwait") X(raised_later, "fdiv %%st(1), %%st; fld1") \
    X(empty, "fstp %%st(0); fstp %%st(0); fadd %%st(1), %%st") X(empty_store, "fstp %%st(0); fstp %%st(0); fstpt %1") \
    X(full, "fld1; fld1; fld1; fld1; fld1; fld1; fld1") X(pushed, "fld %%st(1); fincstp; fdecstp; ffree %%st(2)") X(fld_empty, "fld %%st(5)")
EACH(RUN)
/* masked only: the emulator stores a result that an unmasked exception keeps the processor from storing */
RUN(fstps, "fstps %1")
RUN(fstl, "fstl %1")
RUN(fists, "fistps %1")
RUN(fistl, "fistl %1")
RUN(fistpll, "fistpll %1")
#define CALL(name, instruction) name(c, i, j);

int main(void)
{
    static char buffer[1 << 16];
    setvbuf(stdout, buffer, _IOFBF, sizeof buffer);
    struct sigaction action = {.sa_sigaction = caught, .sa_flags = SA_SIGINFO | SA_NODEFER};
    sigaction(SIGFPE, &action, 0);
    for (int c = 0; c < (int)(sizeof CONTROLS / sizeof *CONTROLS); c++)
        for (int i = 0; i < COUNT; i++)
            for (int j = 0; j < COUNT; j += c ? 3 : 1) {
                EACH(CALL)
                if (c < 6) fstps(c, i, j), fstl(c, i, j), fists(c, i, j), fistl(c, i, j), fistpll(c, i, j);
            }
    return 0;
}
