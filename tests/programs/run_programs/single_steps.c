/* EFLAGS.TF: a SIGTRAP behind each instruction, with what siginfo_t and the frame say of it; INT3, INT n; loads of SS and system calls under it. */
#define _GNU_SOURCE
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#ifdef __x86_64__
enum { PC = REG_RIP };
#else
enum { PC = REG_EIP };
#endif
enum { TF = 0x100 };

static unsigned char *page;
static int count;

static void handler(int number, siginfo_t *info, void *context)
{
    greg_t *registers = ((ucontext_t *)context)->uc_mcontext.gregs;
    long at = (unsigned char *)registers[PC] - page;
    printf(" signal %d code %d at +%ld, trap %ld error %lx, TF %d", number, info->si_code, at, (long)registers[REG_TRAPNO],
           (long)registers[REG_ERR], !!(registers[REG_EFL] & TF));
    if (info->si_addr) printf(", address +%ld", (long)((unsigned char *)info->si_addr - page));
    puts("");
    if (count++ > 40) _exit(1);
}

static void steps(const char *name, const char *code, int size, int stepped)
{
    static const char begin[] = "\x9c\x66\x81\x0c\x24\x00\x01\x9d";    /* pushf; orw $0x100, (%rsp); popf */
    static const char end[] = "\x9c\x66\x81\x24\x24\xff\xfe\x9d\xc3"; /* pushf; andw $0xfeff, (%rsp); popf; ret */
    unsigned char *at = page;
    if (stepped) memcpy(at, begin, 8), at += 8;
    memcpy(at, code, size), at += size;
    memcpy(at, end, 9);
    puts(name);
    count = 0;
    __asm__ volatile("call *%0" : : "r"(page) : "memory", "ax", "cx", "dx", "cc");
}
#define STEPS(name, code) steps(name, code, sizeof code - 1, 1)

int main(void)
{
    page = mmap((void *)0x10000000, 4096, 7, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    struct sigaction action = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO};
    sigaction(SIGTRAP, &action, 0), sigaction(SIGSEGV, &action, 0);
    steps("int3", "\xcc", 1, 0);
    steps("int 3", "\xcd\x03", 2, 0);
    steps("int 4", "\xcd\x04", 2, 0);
    STEPS("nop", "\x90\x90");
    STEPS("int3", "\xcc\x90");
    STEPS("int 3", "\xcd\x03\x90");
    STEPS("jmp", "\xeb\x01\x90\x90");
    STEPS("xor, mov, rep stosb of nothing", "\x31\xc9\xf3\xaa\x90");
    STEPS("cpuid", "\x53\x31\xc0\x0f\xa2\x5b\x90");
    STEPS("pushf, pop", "\x9c\x58\x90");
    STEPS("mov ss", "\x8c\xd0\x8e\xd0\x90\x90"); /* no trap behind the load */
#ifdef __x86_64__
    STEPS("getpid", "\xb8\x27\0\0\0\x0f\x05\x90\x90");
#else
    STEPS("getpid", "\xb8\x14\0\0\0\xcd\x80\x90\x90");
#endif
    return 0;
}
