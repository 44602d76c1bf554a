/* One result or more of each family of instructions that CPUID tells (BMI, POPCNT, LZCNT, MOVBE, CRC32, AES, PCLMULQDQ, SSSE3, SSE4.1, SSE4.2, MMX ...),
 * and the corners of the x87 and of integer instructions. Only what Intel's manual defines is printed. */
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/auxv.h>

#pragma GCC target("mmx,sse2")
#ifdef __x86_64__
#define SP "rsp"
#else
#define SP "esp"
#endif

typedef struct { uint64_t q[2]; } __attribute__((aligned(16))) Vector;
static const Vector SMALL = {{0x0000000300000004, 0x0000000100000002}}, KEY = {{0x0000000700000008, 0x0000000500000006}};
static const Vector BYTES = {{0x60708090a0b0c0d0, 0x8090807f0102f3e4}}, OTHER = {{0xfedcba9876543210, 0x0f1e2d3c4b5a6978}};

static sigjmp_buf back;
static volatile int traps, code;
static void caught(int number, siginfo_t *info, void *context)
{
    (void)context;
    code = info->si_code;
    siglongjmp(back, number);
}
static void counted(int number, siginfo_t *info, void *context)
{
    (void)number, (void)context;
    traps++;
    code = info->si_code;
}

static void show(const char *name, const Vector *v) { printf("%s %016llx%016llx\n", name, (unsigned long long)v->q[1], (unsigned long long)v->q[0]); }

/* An instruction with two XMM operands, the first of which is the destination. */
#define TWO(name, text, a, b) \
    do { \
        Vector result = a, other = b; \
        __asm__ volatile("movdqa %0, %%xmm0; movdqa %1, %%xmm1; " text " %%xmm1, %%xmm0; movdqa %%xmm0, %0" : "+m"(result) : "m"(other) : "xmm0", "xmm1"); \
        show(name, &result); \
    } while (0)

static void vectors(void)
{
    TWO("aesenc", "aesenc", SMALL, KEY);
    TWO("aesenclast", "aesenclast", SMALL, KEY);
    TWO("aesdec", "aesdec", SMALL, KEY);
    TWO("aesdeclast", "aesdeclast", SMALL, KEY);
    TWO("aesimc", "aesimc", SMALL, KEY);
    TWO("aeskeygenassist", "aeskeygenassist $3,", SMALL, KEY);
    TWO("pclmulqdq 10", "pclmulqdq $0x10,", SMALL, KEY);
    TWO("pclmulqdq 01", "pclmulqdq $0x01,", OTHER, KEY);
    TWO("pshufb", "pshufb", OTHER, BYTES);
    TWO("pmaddubsw", "pmaddubsw", OTHER, BYTES);
    TWO("palignr", "palignr $5,", OTHER, BYTES);
    TWO("pmulhrsw", "pmulhrsw", OTHER, BYTES);
    TWO("phaddw", "phaddw", OTHER, BYTES);
    TWO("phsubsw", "phsubsw", OTHER, BYTES);
    TWO("psignd", "psignd", OTHER, BYTES);
    TWO("pabsb", "pabsb", OTHER, BYTES);
    TWO("mpsadbw", "mpsadbw $3,", OTHER, BYTES);
    TWO("phminposuw", "phminposuw", OTHER, BYTES);
    TWO("pblendw", "pblendw $0x5a,", OTHER, BYTES);
    TWO("packusdw", "packusdw", OTHER, BYTES);
    TWO("pmovsxbd", "pmovsxbd", OTHER, BYTES);
    TWO("insertps", "insertps $0x9c,", OTHER, BYTES);
    TWO("pcmpgtq", "pcmpgtq", OTHER, BYTES);
    Vector ones = {{0xbff8000000000000, 0x4004000000000000}}, floats = {{0x3f80000040000000, 0x4040000040800000}};
    TWO("roundpd", "roundpd $0,", ones, ones);
    TWO("roundpd up", "roundpd $2,", ones, ones);
    TWO("dpps", "dpps $0xf1,", floats, floats);
    TWO("dppd", "dppd $0x31,", ones, ones);
    char out[16] = {0};
    Vector mask = {{0x0000000000800080, 0x8000800000000000}}, sevens = {{0x0707070707070707, 0x0707070707070707}};
    __asm__ volatile("movdqa %0, %%xmm0; movdqa %1, %%xmm1; maskmovdqu %%xmm1, %%xmm0" : : "m"(sevens), "m"(mask), "D"(out) : "memory", "xmm0", "xmm1");
    show("maskmovdqu", (Vector *)memcpy(&sevens, out, 16));
}

/* Index and flags of a comparison of strings; what is beyond the end of one is not looked at. */
#define STRINGS(name, text, first, second, length_a, length_b) \
    do { \
        Vector a, b; \
        memcpy(&a, first, 16), memcpy(&b, second, 16); \
        unsigned index = 0; \
        unsigned long flags; \
        Vector mask; \
        __asm__ volatile("movdqa %3, %%xmm1; movdqa %4, %%xmm2; " text "; pushf; pop %1; movdqa %%xmm0, %2" \
            : "=&c"(index), "=&r"(flags), "=m"(mask) : "m"(a), "m"(b), "a"(length_a), "d"(length_b) : "xmm0", "xmm1", "xmm2", "cc"); \
        printf(name ": %u flags %lx\n", index, flags & 0x8c1); \
    } while (0)

static void strings(void)
{
    STRINGS("pcmpistri equal ordered", "pxor %%xmm0, %%xmm0; pcmpistri $0x0c, %%xmm2, %%xmm1", "hello world 1234", "lo w\0abcdefghijk", 0, 0);
    STRINGS("pcmpistri any", "pxor %%xmm0, %%xmm0; pcmpistri $0x00, %%xmm2, %%xmm1", "lo w\0abcdefghijk", "hello world 1234", 0, 0);
    STRINGS("pcmpistri most", "pxor %%xmm0, %%xmm0; pcmpistri $0x40, %%xmm2, %%xmm1", "lo w\0abcdefghijk", "hello world 1234", 0, 0);
    STRINGS("pcmpistri words, negated", "pxor %%xmm0, %%xmm0; pcmpistri $0x19, %%xmm2, %%xmm1", "h\0e\0l\0l\0o\0\0\0\0\0\0", "h\0e\0l\0p\0\0\0\0\0\0\0\0", 0, 0);
    STRINGS("pcmpestri", "pxor %%xmm0, %%xmm0; pcmpestri $0x00, %%xmm2, %%xmm1", "hello world 1234", "lo w\0abcdefghijk", 5, 9);
    STRINGS("pcmpestri, lengths below 0 and over 16", "pxor %%xmm0, %%xmm0; pcmpestri $0x18, %%xmm2, %%xmm1", "hello world 1234", "hellO world 1234", -7, 99);
}

static void media(void)
{
    static const char *const NAMES[] = {"pmulhuw", "psadbw", "pmaddwd", "phaddd of one register", "phsubw of one register", "pshufb"};
    for (int i = 0; i < 6; i++) {
        uint64_t a = 0x123456789abcdef0, b = 0x0fedcba987654321;
#define MEDIA(text) __asm__ volatile("movq %0, %%mm0; movq %1, %%mm5; " text "; movq %%mm0, %0; emms" : "+m"(a) : "m"(b) : "mm0", "mm5")
        switch (i) {
        case 0: MEDIA("pmulhuw %%mm5, %%mm0"); break;
        case 1: MEDIA("psadbw %%mm5, %%mm0"); break;
        case 2: MEDIA("pmaddwd %%mm5, %%mm0"); break;
        case 3: MEDIA("phaddd %%mm5, %%mm5; movq %%mm5, %%mm0"); break;
        case 4: MEDIA("phsubw %%mm0, %%mm0"); break;
        case 5: MEDIA("pshufb %%mm5, %%mm0"); break;
        }
        printf("%s %016llx\n", NAMES[i], (unsigned long long)a);
    }
}

static void integers(void)
{
    for (uintptr_t i = 1, k = 0; k < 12; k++, i = i * 37 + k) {
        uintptr_t r, z, t;
        uint32_t c = k;
        __asm__("popcnt %1, %0" : "=r"(r) : "r"(i) : "cc");
        __asm__("lzcnt %1, %0" : "=r"(z) : "r"(i) : "cc");
        __asm__("tzcnt %1, %0" : "=r"(t) : "r"(i << k) : "cc");
        __asm__("crc32l %k1, %0" : "+r"(c) : "r"(i));
        printf("%lx: popcnt %lu lzcnt %lu tzcnt %lu crc32 %x\n", (unsigned long)i, (unsigned long)r, (unsigned long)z, (unsigned long)t, c);
    }
    uintptr_t zero = 0, r, s, q = (uintptr_t)0x123456789abcdef0;
    __asm__("lzcnt %2, %0; tzcnt %2, %1" : "=&r"(r), "=r"(s) : "r"(zero) : "cc");
    printf("of 0: %lu %lu\n", (unsigned long)r, (unsigned long)s);
#define THREE(text, b) __asm__(text " %1, %2, %0" : "=r"(r) : "r"((uintptr_t)(b)), "r"(q) : "cc"); printf(text " %lx\n", (unsigned long)r)
    __asm__("andn %1, %2, %0" : "=r"(r) : "r"(q), "r"((uintptr_t)0xff) : "cc");
    printf("andn %lx\n", (unsigned long)r);
    THREE("bextr", 0x0804); THREE("bzhi", 20); THREE("sarx", 5); THREE("shlx", 5); THREE("shrx", 37);
    __asm__("pdep %2, %1, %0" : "=r"(r) : "r"(q), "r"((uintptr_t)0xf0f0f0f0f0f0));
    __asm__("pext %2, %1, %0" : "=r"(s) : "r"(q), "r"((uintptr_t)0xf0f0f0f0f0f0));
    printf("pdep %lx pext %lx\n", (unsigned long)r, (unsigned long)s);
    __asm__("mulx %2, %0, %1" : "=r"(r), "=r"(s) : "r"(q), "d"(q));
    printf("mulx %lx %lx\n", (unsigned long)r, (unsigned long)s);
#define ONE(text) __asm__(text " %1, %0" : "=r"(r) : "r"(q) : "cc"); printf(text " %lx\n", (unsigned long)r)
    ONE("blsi"); ONE("blsr"); ONE("blsmsk"); ONE("rorx $5,");
    __asm__("movbe %1, %0" : "=r"(r) : "m"(q));
    printf("movbe %lx\n", (unsigned long)r);
    unsigned flags = 0, low, high;
    __asm__("xor %%eax, %%eax; stc; lahf" : "=a"(flags) : : "cc");
    printf("lahf %x\n", flags >> 8 & 0xd7);
    __asm__ volatile("rdtscp" : "=a"(low), "=d"(high) : : "ecx");
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    printf("xcr0 %u\n", low & 3);
    unsigned char done;
    int tries = 0;
    do __asm__ volatile("rdrand %0; setc %1" : "=r"(r), "=q"(done) : : "cc"); while (!done && tries++ < 1000);
    printf("rdrand %d\n", done);
    do __asm__ volatile("rdseed %0; setc %1" : "=r"(r), "=q"(done) : : "cc"); while (!done && tries++ < 100000);
    printf("rdseed %d\n", done);
    char byte = 1;
    __asm__ volatile("clflush %0; prefetchw %0; prefetcht0 %0" : : "m"(byte));
    uintptr_t all = 0;
    __asm__("pushf; pop %0" : "=r"(all));
    all ^= 1 << 21;
    __asm__ volatile("push %1; popf; pushf; pop %0" : "=r"(r) : "r"(all) : "cc");
    printf("the ID flag can be changed: %d\n", r == all);
    char from[64], to[64];
    memset(from, 7, sizeof from), memset(to, 0, sizeof to);
    void *source = from + 63, *target = to + 63;
    uintptr_t count = 64;
    __asm__ volatile("std; rep movsb; cld" : "+S"(source), "+D"(target), "+c"(count) : : "memory");
    printf("backwards %d %d %d\n", to[0], to[63], (int)count);
    unsigned short cs, ss, ds;
    __asm__("mov %%cs, %0; mov %%ss, %1; mov %%ds, %2" : "=r"(cs), "=r"(ss), "=r"(ds));
    printf("ss %x ds %x, cs of a program: %d\n", ss, ds, cs == (sizeof(long) == 8 ? 0x33 : 0x23));
#ifdef __x86_64__
    static uint64_t pair[2] __attribute__((aligned(16))) = {1, 2};
    uint64_t a = 1, d = 2;
    for (int i = 0; i < 2; i++) {
        __asm__("lock cmpxchg16b %0; setz %1" : "+m"(pair), "=q"(done), "+a"(a), "+d"(d) : "b"(7L), "c"(8L) : "cc");
        printf("cmpxchg16b %d: %llu %llu, %llu %llu\n", done, (unsigned long long)pair[0], (unsigned long long)pair[1], (unsigned long long)a, (unsigned long long)d);
    }
    __asm__ volatile("rdfsbase %0; mov %%fs:0, %1" : "=r"(r), "=r"(s));
    printf("rdfsbase %d\n", r == s);
    __asm__("xor %0, %0; crc32q %1, %0" : "=&r"(r) : "r"(q));
    printf("crc32q %lx\n", r);
#endif
}

static void floats(void)
{
    static const double OUT_OF_RANGE[] = {1e20, -1e20, 2147483648.0, -2147483649.0, 0.0 / 0.0, -7.9};
    for (int i = 0; i < 6; i++) {
        volatile double d = OUT_OF_RANGE[i];
        int truncated, rounded;
        long long wide = 0;
        int narrow = 0;
        short half = 0;
        __asm__("cvttsd2si %1, %0" : "=r"(truncated) : "m"(d));
        __asm__("cvtsd2si %1, %0" : "=r"(rounded) : "m"(d));
        __asm__("fldl %1; fisttpll %0" : "=m"(wide) : "m"(d));
        __asm__("fldl %1; fisttpl %0" : "=m"(narrow) : "m"(d));
        __asm__("fldl %1; fisttps %0" : "=m"(half) : "m"(d));
        printf("%d: cvttsd2si %x cvtsd2si %x fisttp %llx %x %x\n", i, truncated, rounded, wide, narrow, half & 0xffff);
    }
    static const long double DECIMAL[] = {-123456789012345678.0L, 1e30L, 0.0L, -0.0L, 999999999999999999.0L, 1e18L, -1.5L};
    for (int i = 0; i < 7; i++) {
        unsigned char digits[10];
        long double value = DECIMAL[i], again;
        __asm__("fldt %1; fbstp %0" : "=m"(digits) : "m"(value));
        printf("fbstp");
        for (int k = 9; k >= 0; k--) printf(" %02x", digits[k]);
        puts("");
    }
    unsigned short status, other;
    __asm__ volatile("fninit; fxam; fnstsw %0" : "=a"(status));
    __asm__ volatile("fninit; fld1; fxam; fnstsw %0; fstp %%st(0)" : "=a"(other));
    printf("fxam %x %x\n", status & 0x4500, other & 0x4700);
    __asm__ volatile("fninit; fstp %%st(0); fnstsw %0; fninit" : "=a"(status));
    printf("stack fault %x\n", status);
    static unsigned char area[1024] __attribute__((aligned(64)));
    __asm__ volatile("fxsave %0" : "+m"(area));
    printf("fxsave: mxcsr %x\n", *(unsigned *)(area + 24));
    memset(area, 0, sizeof area);
    __asm__ volatile("xsave %0" : "+m"(area) : "a"(3), "d"(0));
    printf("xsave: components %x\n", *(unsigned *)(area + 512) & ~3);
}

#define FAULT(name, statement) \
    do { \
        int number = sigsetjmp(back, 1); \
        if (!number) { statement; puts(name " executed"); } \
        else printf(name " signal %d code %d\n", number, code); \
    } while (0)

static void faults(void)
{
    struct sigaction action = {.sa_sigaction = caught, .sa_flags = SA_SIGINFO};
    sigaction(SIGILL, &action, 0), sigaction(SIGFPE, &action, 0), sigaction(SIGSEGV, &action, 0), sigaction(SIGBUS, &action, 0);
    static char bytes[64] __attribute__((aligned(16)));
    FAULT("divide by 0", __asm__ volatile("xor %%ecx, %%ecx; mov $1, %%eax; cltd; idivl %%ecx" : : : "eax", "ecx", "edx", "cc"));
    FAULT("divide overflow", __asm__ volatile("mov $-1, %%ecx; mov $0x80000000, %%eax; cltd; idivl %%ecx" : : : "eax", "ecx", "edx", "cc"));
    FAULT("movaps", __asm__ volatile("movaps %0, %%xmm0" : : "m"(bytes[1]) : "xmm0"));
    FAULT("addps", __asm__ volatile("addps %0, %%xmm0" : : "m"(bytes[1]) : "xmm0"));
    FAULT("ud2", __asm__ volatile("ud2"));
    FAULT("hlt", __asm__ volatile("hlt"));
    action.sa_sigaction = counted;
    sigaction(SIGTRAP, &action, 0);
    __asm__ volatile("int3");
    printf("int3: %d code %d\n", traps, code);
    traps = 0;
    __asm__ volatile("pushf; orl $0x100, (%%" SP "); popf; nop; nop; nop; pushf; andl $~0x100, (%%" SP "); popf" : : : "memory", "cc");
    printf("single steps: %d code %d\n", traps, code);
}

int main(void)
{
    vectors();
    strings();
    media();
    integers();
    floats();
    faults();
#ifdef __x86_64__
    printf("platform %s\n", (char *)getauxval(AT_PLATFORM));
#endif
    return 0;
}
