/* EFLAGS.AC: operands that are not aligned are SIGBUS with BUS_ADRALN; without it they are not. And stores of the x87 under unmasked exceptions,
 * stack faults of addresses that are not canonical or wrap, the exponent of an MMX register. */
#define _GNU_SOURCE
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <ucontext.h>

const uint16_t unmasked = 0x340;
const double large = 1e300;
static sigjmp_buf back;
static int code;
static long where;

#ifdef __x86_64__
#define FLAGS_ON "sub $256, %%rsp; pushf; orl $0x40000, (%%rsp); popf\n\t"
#define FLAGS_OFF "\n\tpushf; andl $~0x40000, (%%rsp); popf; add $256, %%rsp"
#define SP "rsp"
#define BP "rbp"
#define FAR "0x5555555555550000"
#define PUSH FAR
#else
#define FLAGS_ON "pushf; orl $0x40000, (%%esp); popf\n\t"
#define FLAGS_OFF "\n\tpushf; andl $~0x40000, (%%esp); popf"
#define SP "esp"
#define BP "ebp"
#define FAR "0xfffffffe"
#define PUSH "2"
#endif

static void handler(int number, siginfo_t *info, void *context)
{
    __asm__ volatile("pushf; andl $~0x40000, (%%" SP "); popf" : "=m"(code) : : "memory");
    code = info->si_code;
    where = info->si_code == SI_KERNEL ? 0 : (long)info->si_addr;
    siglongjmp(back, number);
}

static char area[128] __attribute__((aligned(64)));

#define TRY(name, text) \
    do { \
        int number = sigsetjmp(back, 1); \
        if (!number) __asm__ volatile(text : : "r"(area) : "memory", "eax"); \
        if (number) printf("%s: signal %d code %d %ld\n", name, number, code, where); \
        else printf("%s: no signal\n", name); \
    } while (0)
#define CHECKED(text) TRY(#text, FLAGS_ON text FLAGS_OFF)

int main(void)
{
    static char alternative[16384] __attribute__((aligned(16)));
    stack_t stack = {.ss_sp = alternative, .ss_size = sizeof alternative};
    sigaltstack(&stack, NULL);
    struct sigaction action = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    sigaction(SIGBUS, &action, NULL);
    sigaction(SIGSEGV, &action, NULL);
    sigaction(SIGFPE, &action, NULL);

    TRY("without AC", "movl 1(%0), %%eax");
    CHECKED("movl 4(%0), %%eax");
    CHECKED("movl 2(%0), %%eax");
    CHECKED("movw %%ax, 1(%0)");
    CHECKED("movb %%al, 1(%0)");
    CHECKED("addl %%eax, 3(%0)");
    CHECKED("movups 8(%0), %%xmm0");
    CHECKED("movaps 8(%0), %%xmm0");
    CHECKED("movsd 4(%0), %%xmm0");
    CHECKED("fildl 2(%0); fstp %%st(0)");
    CHECKED("fldt 4(%0); fstp %%st(0)");
    CHECKED("fnstcw 1(%0)");

    /* #SS where an operand is in the stack segment, else #GP */
    TRY("frame pointer", "mov $" FAR ", %%" BP "; movl (%%" BP "), %%eax");
    TRY("other register", "mov $" FAR ", %%" BP "; xchg %0, %%" BP "; movl (%0), %%eax");
    TRY("push", "mov $" PUSH ", %%" SP "; push %0");
    TRY("pop", "mov $" FAR ", %%" SP "; pop %0");
    TRY("leave", "mov $" FAR ", %%" BP "; leave");

    /* an unmasked exception of a store: nothing is stored, and the next instruction raises it */
    memset(area, 0x55, sizeof area);
    TRY("fstp", "fninit; fldl large; fldcw unmasked; fstps (%0); fwait");
    printf("%02x\n", area[0]);
    TRY("fistp", "fninit; fldl large; fldcw unmasked; fistpl (%0); fwait");
    printf("%02x\n", area[0]);

    uint8_t image[108];
    __asm__ volatile("fninit; fld1; movd %1, %%mm3; fnsave %0" : "=m"(image) : "r"(7));
    printf("%02x%02x %02x\n", image[28 + 39], image[28 + 38], image[28 + 30]);
    return 0;
}
