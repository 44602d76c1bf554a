/* i386, EFLAGS.AC: an operand that goes on behind the last address is a fault of its segment, even if it is not aligned; and others that are not
 * aligned are SIGBUS with BUS_ADRALN. */
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>

#ifdef __i386__
static sigjmp_buf back;
static volatile int code;

static void handler(int number, siginfo_t *info, void *context)
{
    (void)context;
    __asm__ volatile("pushf; andl $~0x40000, (%%esp); popf" : : : "memory", "cc");
    code = info->si_code;
    siglongjmp(back, number);
}

#define TRY(name, instructions) \
    do { \
        int number = sigsetjmp(back, 1); \
        if (!number) __asm__ volatile("pushf; orl $0x40000, (%%esp); popf; " instructions : : "a"(address) : "ecx", "memory", "cc"); \
        printf(name " at %x: signal %d code %d\n", address, number, code); \
    } while (0)

static void at(unsigned address)
{
    TRY("leave", "mov %%eax, %%ebp; leave");
    TRY("load", "mov (%%eax), %%ecx");
    TRY("load of 2", "movw (%%eax), %%cx");
    TRY("load of 8", "fldl (%%eax)");
    TRY("load by SS", "mov %%ss:(%%eax), %%ecx");
    TRY("store", "mov %%ecx, (%%eax)");
    TRY("pop", "mov %%eax, %%esp; pop %%ecx");
    TRY("ret", "mov %%eax, %%esp; ret");
    TRY("push", "lea 4(%%eax), %%esp; push %%ecx");
    TRY("movs", "mov %%eax, %%esi; mov %%eax, %%edi; movsl");
    TRY("xchg", "xchg %%ecx, (%%eax)");
}
#endif

int main(void)
{
#ifdef __i386__
    static char alternative[65536];
    stack_t stack = {.ss_sp = alternative, .ss_size = sizeof alternative};
    sigaltstack(&stack, 0);
    struct sigaction action = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    sigaction(SIGSEGV, &action, 0), sigaction(SIGBUS, &action, 0);
    static const unsigned ADDRESSES[] = {0xfffffffd, 0xffffffff, 0xfffffff9, 0xfffffffe, 0xfffffffc};
    for (int i = 0; i < 5; i++) at(ADDRESSES[i]);
#endif
    return 0;
}
