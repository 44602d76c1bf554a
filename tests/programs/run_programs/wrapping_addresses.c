/* i386: branches that wrap at 4 GiB: one over the end goes on at the beginning.
 * On x86-64: addresses that are not canonical, by the data and by the stack segment. */
#define _GNU_SOURCE
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>

static sigjmp_buf back;
static int code;
static char *address;

static void handler(int number, siginfo_t *info, void *context)
{
    (void)context;
    code = info->si_code, address = info->si_addr;
    siglongjmp(back, number);
}

#define TRY(name, statement) \
    do { \
        int number = sigsetjmp(back, 1); \
        if (!number) { statement; puts(name " goes on"); } \
        else printf(name " signal %d code %d address %p\n", number, code, (void *)address); \
    } while (0)

#ifdef __i386__
static void wraps(void)
{
    /* jmp, jcc and call by a distance that is negative: to a place 0x1000 below 0, and forward to one that is mapped */
    unsigned char *high = mmap((void *)0xE0000000, 4096, 7, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    unsigned char *low = mmap((void *)0x20000000, 4096, 7, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    memcpy(low, "\xb8\x2a\0\0\0\xc3", 6); /* mov $42,%eax; ret */
    int distance = (int)(low - (high + 6));
    memcpy(high, "\x0f\x84", 2); /* je */
    memcpy(high + 2, &distance, 4);
    int result = 0;
    TRY("je to low", __asm__ volatile("xor %%ecx, %%ecx; call *%1" : "=a"(result) : "r"(high) : "ecx"); printf("%d\n", result));
    distance++;
    high[0] = 0xE9; /* jmp */
    memcpy(high + 1, &distance, 4);
    TRY("jmp to low", __asm__ volatile("call *%1" : "=a"(result) : "r"(high)); printf("%d\n", result));
    distance = 0xD0000000 - (0x20000100 + 6);
    memcpy(low + 256, "\x0f\x84", 2);
    memcpy(low + 258, &distance, 4);
    TRY("je to nothing", __asm__ volatile("xor %%ecx, %%ecx; call *%0" : : "r"(low + 256) : "ecx"));
    TRY("call of nothing", __asm__ volatile("call *%0" : : "r"(0xFFFFFFFD)));
}
#else
static void wraps(void)
{
    TRY("data", __asm__ volatile("movq (%0), %%rax" : : "r"(0x8000000000000000) : "rax"));
    TRY("frame", __asm__ volatile("push %%rbp; mov %0, %%rbp; movq (%%rbp), %%rax; pop %%rbp" : : "r"(0x8000000000000000) : "rax"));
    TRY("jump", __asm__ volatile("jmp *%0" : : "r"(0x8000000000000000)));
}
#endif

int main(void)
{
    static char alternative[65536];
    stack_t stack = {.ss_sp = alternative, .ss_size = sizeof alternative};
    sigaltstack(&stack, NULL);
    struct sigaction action = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    sigaction(SIGSEGV, &action, NULL);
    sigaction(SIGBUS, &action, NULL);
    wraps();
    return 0;
}
