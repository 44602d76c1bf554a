/* Registers are loaded, the instruction runs, and a jump behind it (or the handler of its signal) comes back. */
#define _GNU_SOURCE
#include "machine.h"

#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>

State before, after;
uintptr_t machine_fs;
uintptr_t machine_target, machine_stack; /* of the instruction; the stack pointer of machine_enter */
static End end;
void machine_enter(void);
void machine_leave(void);

#ifdef __x86_64__
__asm__(
    ".text\n"
    "machine_enter:\n"
    "push %rbx; push %rbp; push %r12; push %r13; push %r14; push %r15\n"
    "mov %rsp, machine_stack(%rip)\n"
    "fxrstor before+136+8(%rip)\n"
    "push before+128(%rip); popf\n"
    "mov before(%rip), %rax; mov before+8(%rip), %rcx; mov before+16(%rip), %rdx; mov before+24(%rip), %rbx\n"
    "mov before+32(%rip), %rsp; mov before+40(%rip), %rbp; mov before+48(%rip), %rsi; mov before+56(%rip), %rdi\n"
    "mov before+64(%rip), %r8; mov before+72(%rip), %r9; mov before+80(%rip), %r10; mov before+88(%rip), %r11\n"
    "mov before+96(%rip), %r12; mov before+104(%rip), %r13; mov before+112(%rip), %r14; mov before+120(%rip), %r15\n"
    "jmp *machine_target(%rip)\n"
    "machine_leave:\n"
    "mov %rax, after(%rip); mov %rcx, after+8(%rip); mov %rdx, after+16(%rip); mov %rbx, after+24(%rip)\n"
    "mov %rsp, after+32(%rip); mov %rbp, after+40(%rip); mov %rsi, after+48(%rip); mov %rdi, after+56(%rip)\n"
    "mov %r8, after+64(%rip); mov %r9, after+72(%rip); mov %r10, after+80(%rip); mov %r11, after+88(%rip)\n"
    "mov %r12, after+96(%rip); mov %r13, after+104(%rip); mov %r14, after+112(%rip); mov %r15, after+120(%rip)\n"
    "mov machine_stack(%rip), %rsp\n"
    "pushf; pop after+128(%rip)\n"
    "fxsave after+136+8(%rip)\n"
    "mov %es, after+656(%rip); mov %cs, after+660(%rip); mov %ss, after+664(%rip); mov %ds, after+668(%rip)\n"
    "mov %fs, after+672(%rip); mov %gs, after+676(%rip)\n"
    "rdfsbase %rax; mov %rax, after+680(%rip); rdgsbase %rax; mov %rax, after+688(%rip)\n"
    "xor %eax, %eax; mov %eax, %ds; mov %eax, %es; mov %eax, %fs; mov %eax, %gs; mov $0x2b, %eax; mov %eax, %ss\n"
    "mov machine_fs(%rip), %rax; wrfsbase %rax\n"
    ".globl machine_return\n"
    "machine_return:\n" /* after a signal, `after` is filled already */
    "mov machine_stack(%rip), %rsp\n"
    "push $0x202; popf\n"
    "fninit; ldmxcsr machine_mxcsr(%rip)\n"
    "pop %r15; pop %r14; pop %r13; pop %r12; pop %rbp; pop %rbx\n"
    "ret\n");
#else
__asm__(
    ".text\n"
    "machine_enter:\n"
    "push %ebx; push %ebp; push %esi; push %edi\n"
    "mov %esp, machine_stack\n"
    "fxrstor before+36+12\n"
    "push before+32; popf\n"
    "mov before, %eax; mov before+4, %ecx; mov before+8, %edx; mov before+12, %ebx\n"
    "mov before+16, %esp; mov before+20, %ebp; mov before+24, %esi; mov before+28, %edi\n"
    "jmp *machine_target\n"
    "machine_leave:\n"
    "mov %eax, %ss:after; mov %ecx, %ss:after+4; mov %edx, %ss:after+8; mov %ebx, %ss:after+12\n" /* any DS */
    "mov %esp, %ss:after+16; mov %ebp, %ss:after+20; mov %esi, %ss:after+24; mov %edi, %ss:after+28\n"
    "mov %ss:machine_stack, %esp\n"
    "mov %ds, %eax; push %ss; pop %ds; mov %eax, after+572\n"
    "mov %es, after+560; mov %cs, after+564; mov %ss, after+568; mov %fs, after+576; mov %gs, after+580\n"
    "push %ss; pop %es; mov machine_fs, %gs; push $0; pop %fs\n"
    "pushf; pop after+32\n"
    "fxsave after+36+12\n"
    ".globl machine_return\n"
    "machine_return:\n"
    "mov machine_stack, %esp\n"
    "push $0x202; popf\n"
    "fninit; ldmxcsr machine_mxcsr\n"
    "pop %edi; pop %esi; pop %ebp; pop %ebx\n"
    "ret\n");
#endif
const uint32_t machine_mxcsr = 0x1F80;
void machine_return(void);
_Static_assert(__builtin_offsetof(State, floats) == (WIDE ? 144 : 48), "the code above");
_Static_assert(__builtin_offsetof(State, selectors) == (WIDE ? 656 : 560), "the code above");

#ifdef __x86_64__
static const int GREGS[REGISTERS] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI, REG_R8, REG_R9, REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15};
enum { PC = REG_RIP, LEGACY = 0 };
#else
static const int GREGS[REGISTERS] = {REG_EAX, REG_ECX, REG_EDX, REG_EBX, REG_ESP, REG_EBP, REG_ESI, REG_EDI};
enum { PC = REG_EIP, LEGACY = 112 }; /* FXSAVE's image follows FSAVE's */
#endif

static void handler(int number, siginfo_t *info, void *context)
{
    mcontext_t *machine = &((ucontext_t *)context)->uc_mcontext;
    for (int i = 0; i < REGISTERS; i++) after.registers[i] = machine->gregs[GREGS[i]];
    after.flags = machine->gregs[REG_EFL];
    memcpy(&after.floats, (char *)machine->fpregs + LEGACY, sizeof after.floats);
    if (LEGACY) after.floats.status = *(uint32_t *)((char *)machine->fpregs + 4);
    for (volatile int i = 0; i < 6; i++) after.selectors[i] = 0; /* EFLAGS.AC may be set: no memset */
    after.bases[0] = after.bases[1] = 0;
    end = (End){number, info->si_code, (uintptr_t)info->si_addr, machine->gregs[PC]};
    __asm__ volatile("jmp machine_return");
}

void machine_start(void)
{
#ifdef __x86_64__
    __asm__("rdfsbase %0" : "=r"(machine_fs));
#else
    __asm__("mov %%gs, %k0" : "=r"(machine_fs));
#endif
    static char alternative[65536] __attribute__((aligned(16)));
    stack_t stack = {.ss_sp = alternative, .ss_size = sizeof alternative};
    sigaltstack(&stack, NULL);
    struct sigaction action = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER};
    static const int CAUGHT[] = {SIGILL, SIGTRAP, SIGBUS, SIGFPE, SIGSEGV};
    for (unsigned i = 0; i < sizeof CAUGHT / sizeof *CAUGHT; i++) sigaction(CAUGHT[i], &action, NULL);
    void *memory = mmap((void *)MEMORY, MEMORY_END - MEMORY, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    if (memory != (void *)MEMORY) abort();
}

uint8_t *machine_open(void)
{
    static unsigned turn;
    uint8_t *at = (uint8_t *)CODE + turn++ % 16 * 2 * SLOT * SLOTS;
    if (mmap(at, SLOT * SLOTS, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != at) abort();
    return at;
}

void machine_close(uint8_t *code)
{
    if (mprotect(code, SLOT * SLOTS, PROT_READ | PROT_EXEC)) abort();
}

/* The address of machine_leave lies at the end of the slot: aligned, for programs that have set EFLAGS.AC. */
int machine_exit(uint8_t *at)
{
    uint8_t *end = (uint8_t *)((uintptr_t)at | (SLOT - 1)) + 1 - 8;
    if (!WIDE) *at++ = 0x36; /* by SS: any DS */
    uintptr_t leave = (uintptr_t)machine_leave, there = WIDE ? end - at - 6 : (uintptr_t)end;
    memcpy(at, "\xff\x25", 2); /* jmp *address */
    memcpy(at + 2, &there, 4);
    memcpy(end, &leave, sizeof leave);
    return WIDE ? 6 : 7;
}

End machine_run(uint8_t *code)
{
    machine_target = (uintptr_t)code;
    end = (End){0};
    machine_enter();
    return end;
}
