/* SSE: the flags of MXCSR after each kind of operation, SIGFPE when they are unmasked, FTZ and DAZ, NaNs, and operands that must be aligned. */
#include <fenv.h>
#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#pragma GCC target("sse2")
typedef double Pair __attribute__((vector_size(16)));

static sigjmp_buf back;
static volatile int code;
static void caught(int number, siginfo_t *info, void *context)
{
    (void)context;
    code = info->si_code;
    siglongjmp(back, number);
}

/* Through memory as integers: the x87 would make a signalling NaN quiet. */
static Pair pair(uint64_t low, uint64_t high)
{
    uint64_t both[2] = {low, high};
    Pair p;
    memcpy(&p, both, 16);
    return p;
}

static unsigned long long low(Pair p)
{
    unsigned long long value;
    memcpy(&value, &p, 8);
    return value;
}

static const uint64_t VALUES[] = {
    0, 1ull << 63, 0x3ff0000000000000, 0xbff8000000000000, 0x7fefffffffffffff, 0x0010000000000000, 0x0000000000000001,
    0x800fffffffffffff, 0x7ff0000000000000, 0xfff0000000000000, 0x7ff8000000000123, 0x7ff0000000000456, 0xfff8000000000789, 0x41e0000000000001,
};
enum { COUNT = sizeof VALUES / sizeof *VALUES };

#define EACH(X) X(addsd) X(subsd) X(mulsd) X(divsd) X(minsd) X(maxsd) X(sqrtsd) X(cvtsd2ss) X(cmpltsd) X(cmpeqsd) X(addpd) X(mulpd) X(divps)
#define ONE(name) \
    static void run_##name(const char *when, unsigned control) \
    { \
        for (int i = 0; i < COUNT; i++) \
            for (int j = 0; j < COUNT; j++) { \
                volatile unsigned start = control, end; \
                Pair a = pair(VALUES[i], 0x3ff8000000000000), b = pair(VALUES[j], 0x4004000000000000); \
                if (sigsetjmp(back, 1)) { \
                    printf("%s " #name " %d %d: SIGFPE %d, %016llx\n", when, i, j, code, low(a)); \
                    continue; \
                } \
                __asm__ volatile("ldmxcsr %2; " #name " %3, %0; stmxcsr %1" : "+x"(a), "=m"(end) : "m"(start), "x"(b)); \
                printf("%s " #name " %d %d: %016llx %x\n", when, i, j, low(a), end); \
            } \
    }
EACH(ONE)

int main(void)
{
    struct sigaction action = {.sa_sigaction = caught, .sa_flags = SA_SIGINFO | SA_NODEFER};
    sigaction(SIGFPE, &action, 0);
    sigaction(SIGSEGV, &action, 0);
#define CALL(name) run_##name("masked", 0x1f80), run_##name("up", 0x5f80), run_##name("ftz", 0x9f80), run_##name("daz", 0x1fc0), \
        run_##name("invalid", 0x1f00), run_##name("zero", 0x1d80), run_##name("under", 0x1780), run_##name("all", 0);
    EACH(CALL)
    for (int i = 0; i < COUNT; i++) {
        volatile unsigned start = 0x1f80, end;
        int rounded, cut;
        __asm__ volatile("ldmxcsr %3; cvtsd2si %4, %0; cvttsd2si %4, %1; ucomisd %4, %4; stmxcsr %2"
                         : "=&r"(rounded), "=&r"(cut), "=m"(end) : "m"(start), "x"(pair(VALUES[i], 0)));
        printf("to integer %d: %x %x %x\n", i, rounded, cut, end);
    }
    static char room[64] __attribute__((aligned(16)));
    __asm__ volatile("movups %0, %%xmm1; addps %1, %%xmm1" : : "m"(room[3]), "m"(room[16]) : "xmm1");
#define MISALIGNED(text) \
    if (sigsetjmp(back, 1)) printf(text ": SIGSEGV %d\n", code); \
    else { __asm__ volatile(text " %0" : : "m"(room[4]) : "xmm1", "memory"); printf(text ": done\n"); }
#define STORED(text) \
    if (sigsetjmp(back, 1)) printf(text ": SIGSEGV %d\n", code); \
    else { __asm__ volatile(text ", %0" : "=m"(room[4]) : : "memory"); printf(text ": done\n"); }
#define LOADED(text) \
    if (sigsetjmp(back, 1)) printf(text ": SIGSEGV %d\n", code); \
    else { __asm__ volatile(text " %0, %%xmm1" : : "m"(room[4]) : "xmm1"); printf(text ": done\n"); }
    LOADED("movaps") LOADED("movups") LOADED("movdqa") LOADED("movdqu") LOADED("addps") LOADED("addss") LOADED("paddd") LOADED("pxor")
    LOADED("movsd") LOADED("movhps") LOADED("unpcklps") LOADED("cvtps2pd") LOADED("cvtdq2ps") LOADED("punpcklbw") LOADED("movq") LOADED("sqrtpd")
    STORED("movaps %%xmm1") STORED("movups %%xmm1") STORED("movntps %%xmm1") STORED("movdqa %%xmm1") STORED("movq %%xmm1") STORED("movlps %%xmm1")
    return 0;
}
