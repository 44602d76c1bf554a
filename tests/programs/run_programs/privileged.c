/* Instructions that only the kernel may execute: each is refused (SIGSEGV or SIGILL, which of them depends on the processor's maker), and
 * the program's own state is untouched. The selectors that a program can read are Linux's. */
#define _GNU_SOURCE
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>

static sigjmp_buf back;
static volatile int code;
static volatile unsigned long trap, error, at;

static void caught(int number, siginfo_t *info, void *context)
{
    ucontext_t *u = context;
    (void)number;
    code = info->si_code;
    trap = u->uc_mcontext.gregs[REG_TRAPNO], error = u->uc_mcontext.gregs[REG_ERR];
#ifdef __x86_64__
    at = u->uc_mcontext.gregs[REG_RIP];
#else
    at = u->uc_mcontext.gregs[REG_EIP];
#endif
    siglongjmp(back, number);
}

static const struct { const char *name, *bytes; int size; int exact; } ROWS[] = {
    {"hlt", "\xf4", 1, 1},                {"cli", "\xfa", 1, 1},                    {"sti", "\xfb", 1, 1},
    {"mov cr0, eax", "\x0f\x22\xc0", 3, 1}, {"mov eax, cr0", "\x0f\x20\xc0", 3, 1}, {"mov cr3, eax", "\x0f\x22\xd8", 3, 1},
    {"mov cr4, eax", "\x0f\x22\xe0", 3, 1}, {"mov eax, dr7", "\x0f\x21\xf8", 3, 1}, {"mov dr7, eax", "\x0f\x23\xf8", 3, 1},
    {"rdmsr", "\x0f\x32", 2, 1},          {"wrmsr", "\x0f\x30", 2, 1},              {"lgdt", "\x0f\x01\x10", 3, 1},
    {"lidt", "\x0f\x01\x18", 3, 1},       {"lldt", "\x0f\x00\xd0", 3, 1},           {"ltr", "\x0f\x00\xd8", 3, 1},
    {"lmsw", "\x0f\x01\xf0", 3, 1},       {"invd", "\x0f\x08", 2, 1},               {"wbinvd", "\x0f\x09", 2, 1},
    {"invlpg", "\x0f\x01\x38", 3, 1},     {"in al, 0x60", "\xe4\x60", 2, 1},        {"out 0x60, al", "\xe6\x60", 2, 1},
    {"in al, dx", "\xec", 1, 1},          {"insb", "\x6c", 1, 0},                   {"outsb", "\x6e", 1, 0},
    {"clts", "\x0f\x06", 2, 1},           {"sysret", "\x0f\x07", 2, 0},             {"sysexit", "\x0f\x35", 2, 0},
    {"vmrun", "\x0f\x01\xd8", 3, 0},      {"vmcall", "\x0f\x01\xc1", 3, 0},         {"rsm", "\x0f\xaa", 2, 0},
    {"rdpmc", "\x0f\x33", 2, 1},          {"int 0", "\xcd\x00", 2, 1},              {"int 0x21", "\xcd\x21", 2, 1},
    {"int 0xff", "\xcd\xff", 2, 1},       {"hlt again", "\xf4", 1, 1},
};

int main(void)
{
    unsigned char *page = mmap(0, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    struct sigaction action = {.sa_sigaction = caught, .sa_flags = SA_SIGINFO};
    unsigned short cs, ss;
    __asm__("mov %%cs, %0; mov %%ss, %1" : "=r"(cs), "=r"(ss));
    printf("cs %x ss %x\n", cs & 3, ss);
    sigaction(SIGSEGV, &action, 0);
    sigaction(SIGILL, &action, 0);
    sigaction(SIGFPE, &action, 0);
    for (unsigned i = 0; i < sizeof ROWS / sizeof *ROWS; i++) {
        memcpy(page, ROWS[i].bytes, ROWS[i].size);
        page[ROWS[i].size] = 0xc3;
        int number = sigsetjmp(back, 1);
        if (!number) {
            ((void (*)(void))page)();
            printf("%s: executed\n", ROWS[i].name);
        } else if (ROWS[i].exact) {
            printf("%s: signal %d code %d trap %lu error %lx at +%lu\n", ROWS[i].name, number, code, trap, error, at - (unsigned long)page);
        } else {
            printf("%s: refused at +%lu\n", ROWS[i].name, at - (unsigned long)page);
        }
    }
    return 0;
}
