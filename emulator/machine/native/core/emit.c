/* Calls of functions here from translated code.
 *
 * Translated code calls helpers, which are known to an engine from the time when it was made. The helpers of AMD's virtualization are
 * never called here: without EFER.SVME the translator refuses their instructions (helper_stgi, helper_clgi, ...); nor are those of
 * instructions that it refuses at privilege level 3 (lldt, ltr). So their entries are used for the functions here. They are called
 * without arguments; the CPU is the one that runs, or NULL for an engine that another part of this process starts with uc_emu_start:
 * such an engine works as Unicorn made it. */
#include "core.h"

#include <string.h>

void (*core_gen_call)(void *tcg, void *function, void *result, int count, void **arguments);
Env *core_running; /* set by uselib_core_start */

static void take_flags(void)
{
    if (core_running) core_take_flags(core_running);
}

/* CMPXCHG of 32 bits in 64-bit mode. Unicorn writes both RAX and a destination register, and so clears their upper halves; the processor writes
 * RAX if the comparison fails, and the destination if it succeeds. The comparison has failed if EAX has changed. */
static uint64_t before[16];

static void note_registers(void)
{
    if (core_running) memcpy(before, core_running->regs, sizeof before);
}

static void after_cmpxchg(void)
{
    if (!core_running) return;
    uint64_t *regs = core_running->regs;
    if ((uint32_t)regs[0] == (uint32_t)before[0]) regs[0] = before[0];
    else memcpy(regs + 1, before + 1, sizeof before - sizeof *before);
}

/* ENTER with 66: Unicorn writes all of RBP, the processor 16 bits. */
static void after_enter(void)
{
    if (core_running) core_running->regs[5] = (before[5] & ~0xFFFFull) | (core_running->regs[5] & 0xFFFF);
}

/* LOCK NEG: Unicorn computes the flags of the wrong value, the operand in place of the result. */
static void after_neg(void)
{
    if (!core_running) return;
    uint64_t operand = core_running->cc_dst;
    core_running->cc_dst = core_running->cc_src;
    core_running->cc_src = operand;
}

static void *const FUNCTIONS[CORE_CALLS] = {
    [CORE_TAKE_FLAGS] = take_flags, [CORE_BEFORE] = note_registers, [CORE_AFTER_CMPXCHG] = after_cmpxchg, [CORE_AFTER_ENTER] = after_enter,
    [CORE_AFTER_NEG] = after_neg, [CORE_CHECK_MMX] = core_check_mmx, [CORE_COUNT_BLOCK] = core_count_block,
};

static void emit(Env *env, void *function)
{
    char *uc = *(char **)((char *)env - CPU_ENV + CPU_UC);
    core_gen_call(*(void **)(uc + UC_TCG), function, NULL, 0, NULL);
}

void core_emit_call(Env *env, int what) { emit(env, FUNCTIONS[what]); }

/* strings.c */
void core_movs1(void), core_movs2(void), core_movs4(void), core_movs8(void);
void core_stos1(void), core_stos2(void), core_stos4(void), core_stos8(void);

void core_emit_string(Env *env, unsigned opcode, unsigned size)
{
    static void *const MOVS[] = {[1] = core_movs1, [2] = core_movs2, [4] = core_movs4, [8] = core_movs8};
    static void *const STOS[] = {[1] = core_stos1, [2] = core_stos2, [4] = core_stos4, [8] = core_stos8};
    emit(env, (opcode == 0xA4 ? MOVS : STOS)[size]);
}

const Replacement uselib_emit[] = {
    {"helper_stgi_x86_64", take_flags, NULL},
    {"helper_clgi_x86_64", note_registers, NULL},
    {"helper_vmmcall_x86_64", core_check_mmx, NULL},
    {"helper_skinit_x86_64", after_cmpxchg, NULL},
    {"helper_vmrun_x86_64", core_movs1, NULL},
    {"helper_vmload_x86_64", core_movs2, NULL},
    {"helper_vmsave_x86_64", core_movs4, NULL},
    {"helper_invlpga_x86_64", core_movs8, NULL},
    {"helper_svm_check_intercept_param_x86_64", core_stos1, NULL},
    {"helper_svm_check_io_x86_64", core_stos2, NULL},
    {"helper_lldt_x86_64", core_stos4, NULL},
    {"helper_ltr_x86_64", core_stos8, NULL},
    {"helper_rsm_x86_64", core_count_block, NULL}, /* refused outside of system management mode */
    {"helper_pfcmpeq_x86_64", after_neg, NULL},
    {"helper_pfmul_x86_64", after_enter, NULL}, /* and those of 3DNow!, which is not advertised */
    {NULL, NULL, NULL},
};
