/* Instructions that a program at privilege level 3 may not execute, where Unicorn lets them through.
 * Source: Intel SDM volume 2 (protected mode exceptions of each instruction), volume 3, 6.12.1.2 (gates with DPL 0); Linux gives a program
 * no I/O bitmap, and DPL 3 to the gates of vectors 3, 4 and 0x80 alone (arch/x86/kernel/idt.c). */
#include "core.h"

static void (*raise_interrupt)(Env *, int, int);

enum { CS = 1, INT1 = 0xF1 };

/* int n; int1, for which the translator sees int3 */
static void software_interrupt(Env *env, int vector, int length)
{
    if (vector == 3 && core_read_byte(env, env->segs[CS].base + env->eip, 0) == INT1) vector = 1;
    else
    if (vector != 3 && vector != 4 && vector != 0x80) core_raise_error(env, VECTOR_GP, 8 * vector + 2, HERE);
    core_interrupt_call(env, vector, length);
    raise_interrupt(env, vector, length); /* leaves its block by cpu_loop_exit and does not use the return address */
}

static uint64_t port_in(Env *env, uint32_t port)
{
    (void)port;
    core_raise_error(env, VECTOR_GP, 0, HERE);
    return 0;
}

static void port_out(Env *env, uint32_t port, uint32_t value)
{
    (void)port, (void)value;
    core_raise_error(env, VECTOR_GP, 0, HERE);
}

static void counter(Env *env) { core_raise_error(env, VECTOR_GP, 0, HERE); } /* CR4.PCE is 0 */

static void no_sysenter(Env *env, int length)
{
    (void)length;
    core_raise(env, VECTOR_UD, HERE); /* as on AMD's processors in long mode */
}

/* CPUID: reports RDSEED, which works (as RDRAND does) and which Unicorn does not report. */
static void (*unicorn_cpuid)(Env *);

static void cpuid(Env *env)
{
    enum { FEATURES = 7, RDSEED = 1 << 18 };
    bool features = (uint32_t)env->regs[RAX] == FEATURES && !(uint32_t)env->regs[RCX];
    unicorn_cpuid(env);
    if (features && core_running) env->regs[RBX] |= RDSEED;
}

const Replacement uselib_user[] = {
    {"helper_cpuid_x86_64", cpuid, (void **)&unicorn_cpuid},
    {"helper_raise_interrupt_x86_64", software_interrupt, (void **)&raise_interrupt},
    {"helper_inb_x86_64", port_in, NULL},
    {"helper_inw_x86_64", port_in, NULL},
    {"helper_inl_x86_64", port_in, NULL},
    {"helper_outb_x86_64", port_out, NULL},
    {"helper_outw_x86_64", port_out, NULL},
    {"helper_outl_x86_64", port_out, NULL},
    {"helper_rdpmc_x86_64", counter, NULL},
    {"helper_sysenter_x86_64", no_sysenter, NULL},
    {NULL, NULL, NULL},
};
