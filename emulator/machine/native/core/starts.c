/* The question at the start of a block, whether the CPU must stop.
 *
 * Unicorn calls a helper for it. Here the block compares a word in memory, as QEMU's do, and jumps to its own end if it must; there comes the call,
 * which leaves the block with the program counter at its first instruction.
 * Source: QEMU's include/exec/gen-icount.h (as QEMU has it), tcg/tcg-opc.h (numbers of operations), tcg.h (struct TCGLabel). */
#include "core.h"

enum { SET_LABEL = 1, LD_I32 = 13, COND_LT = 2, EXIT_REQUESTED = 3, PRESENT = 1, CPU_COUNTDOWN = 0x8A40 };
enum { UC_SKIP_PC = 0x3A32 }; /* uc_struct.skip_sync_pc_on_exit: somebody has set the program counter */

static void (*unicorn_check)(void *uc, uint32_t in_delay_slot);
static void (*unicorn_exit_tb)(void *tcg, void *block, unsigned how);
void *(*core_new_label)(void *tcg);
void (*core_emit_branch)(void *tcg, uint32_t condition, void *value, int32_t other, void *label);
void (*core_emit_one)(void *tcg, int operation, uintptr_t a);
void (*core_emit_three)(void *tcg, int operation, uintptr_t a, uintptr_t b, uintptr_t c);

static struct { Env *env; uint64_t pc; void *label; } start;

/* The block that is translated next begins at `pc`. */
void core_start_block(Env *env, uint64_t pc)
{
    start.env = env == core_running && !env->segs[1].base ? env : NULL;
    start.pc = pc;
    start.label = NULL;
}

static void check(void *uc, uint32_t in_delay_slot) { unicorn_check(uc, in_delay_slot); }

/* Called at the end of the block. Unicorn must not see a return address in translated code: it would take it for one in the last instruction,
 * and restore the program counter and the flags of that. So this must not become a jump to unicorn_check. */
static void leave(uint64_t pc)
{
    char *cpu = (char *)core_running - CPU_ENV, *uc = *(char **)(cpu + CPU_UC);
    if (!*(bool *)(uc + UC_SKIP_PC)) core_running->eip = pc;
    unicorn_check(uc, 0);
    __asm__ volatile("" ::: "memory");
}

bool core_emit_start(void *tcg, void *function, int count, void **arguments)
{
    if (function != (void *)check || count != 2 || !start.env || start.label) return false;
    char *word = (char *)start.env - CPU_ENV + CPU_COUNTDOWN;
    char *where = (char *)tcg + (uintptr_t)core_constant(tcg, (int64_t)(uintptr_t)word);
    start.label = core_new_label(tcg);
    core_emit_three(tcg, LD_I32, (uintptr_t)arguments[1], (uintptr_t)where, 0);
    core_emit_branch(tcg, COND_LT, (void *)((char *)arguments[1] - (char *)tcg), 0, start.label);
    core_free_temporary(tcg, where);
    return true;
}

static void exit_tb(void *tcg, void *block, unsigned how)
{
    if (how == EXIT_REQUESTED && start.label) {
        *(uint32_t *)start.label |= PRESENT;
        core_emit_one(tcg, SET_LABEL, (uintptr_t)start.label);
        start.label = NULL;
        void *pc = (char *)tcg + (uintptr_t)core_constant(tcg, (int64_t)start.pc);
        core_gen_call(tcg, leave, NULL, 1, &pc);
        core_free_temporary(tcg, pc);
    }
    unicorn_exit_tb(tcg, block, how);
}

const Replacement uselib_starts[] = {
    {"helper_check_exit_request_x86_64", check, (void **)&unicorn_check},
    {"tcg_gen_exit_tb_x86_64", exit_tb, (void **)&unicorn_exit_tb},
    {"helper_pfsub_x86_64", leave, NULL}, /* as in bmi.c */
    {NULL, NULL, NULL},
};
