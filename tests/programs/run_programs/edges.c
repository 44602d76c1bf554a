/* Straight-line code that runs on into a page that cannot be executed: where the fault is, and that all before it took place. */
#include <signal.h>
#include <setjmp.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

static unsigned char *page;
static sigjmp_buf back;

static void handler(int number, siginfo_t *info, void *context) {
    /* ucontext_t: the program counter and eax, at the places that both psABIs give them */
    unsigned long *registers = (unsigned long *)((char *)context + (sizeof(long) == 8 ? 40 : 20));
    unsigned long ip = registers[sizeof(long) == 8 ? 16 : 14], ax = registers[sizeof(long) == 8 ? 13 : 11];
    printf("signal %d code %d at %lx address %lx eax %lx\n", number, info->si_code, ip - (unsigned long)page,
           (unsigned long)info->si_addr - (unsigned long)page, ax);
    siglongjmp(back, 1);
}

static void try(int straddling, int mapped) {
    unsigned char *code;
    page = mmap(0, 8192, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    code = page + 4096 - 20;
    memset(code, 0x90, 20);                                  /* nop */
    memcpy(code, "\xb8\x05\0\0\0\x83\xc0\x07", 8);           /* mov $5, %eax; add $7, %eax */
    if (straddling) memcpy(code + 18, "\x83\xc0", 2);        /* add $.., %eax: its last byte is on the next page */
    if (mapped)
        mprotect(page + 4096, 4096, PROT_READ);
    else
        munmap(page + 4096, 4096);
    if (!sigsetjmp(back, 1)) ((void (*)(void))code)();
    munmap(page, 8192);
}

int main(void) {
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_sigaction = handler;
    action.sa_flags = SA_SIGINFO;
    sigaction(SIGSEGV, &action, 0);
    for (int i = 0; i < 4; i++) try(i & 1, i >> 1);
    return 0;
}
