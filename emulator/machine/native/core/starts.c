/* The check at the start of a block whether the CPU must stop.
 *
 * Unicorn calls a helper for it, behind the block's hooks. Here the block first compares a word in memory, as QEMU's do, and jumps to
 * its own end if the CPU must stop. The call there leaves the block with the program counter at its first instruction. No hook of the
 * block has been called then; the hooks are called when the CPU goes on. So hooks see a block once whenever another thread stops the
 * CPU. If a block hook stops the CPU, that takes effect at the next block. Source: QEMU's include/exec/gen-icount.h (as QEMU has it),
 * tcg/tcg-opc.h (numbers of operations), tcg.h (struct TCGLabel). */
#include "core.h"

enum { TYPE_I32, SET_LABEL = 1, LD_I32 = 13, COND_LT = 2, EXIT_REQUESTED = 3, PRESENT = 1, CPU_COUNTDOWN = 0x8A40 };
enum { UC_SKIP_PC = 0x3A32 }; /* uc_struct.skip_sync_pc_on_exit: somebody has set the program counter */

static void (*unicorn_check)(void *uc, uint32_t in_delay_slot);
static void (*unicorn_exit_tb)(void *tcg, void *block, unsigned how);
void *(*core_new_label)(void *tcg);
void *(*core_new_temporary)(void *tcg, int type, bool local);
void (*core_emit_branch)(void *tcg, uint32_t condition, void *value, int32_t other, void *label);
void (*core_emit_one)(void *tcg, int operation, uintptr_t a);
void (*core_emit_three)(void *tcg, int operation, uintptr_t a, uintptr_t b, uintptr_t c);

static struct { uint64_t pc; void *label; bool expected; } start; /* label: NULL, the block has Unicorn's check; expected: its check has not come yet */

/* The block that is translated next begins at `pc`; nothing of it is emitted yet. */
void core_start_block(Env *env, uint64_t pc)
{
    start.pc = pc;
    start.label = NULL;
    start.expected = env == core_running && !env->segs[1].base;
    if (!start.expected) return;
    char *cpu = (char *)env - CPU_ENV, *tcg = *(char **)(*(char **)(cpu + CPU_UC) + UC_TCG);
    char *where = tcg + (uintptr_t)core_constant(tcg, (int64_t)(uintptr_t)(cpu + CPU_COUNTDOWN));
    char *word = core_new_temporary(tcg, TYPE_I32, false);
    start.label = core_new_label(tcg);
    core_emit_three(tcg, LD_I32, (uintptr_t)word, (uintptr_t)where, 0);
    core_emit_branch(tcg, COND_LT, (void *)(word - tcg), 0, start.label);
    core_free_temporary(tcg, word);
    core_free_temporary(tcg, where);
}

static void check(void *uc, uint32_t in_delay_slot) { unicorn_check(uc, in_delay_slot); }

/* Called at the end of the block. Unicorn must not see a return address in translated code: it would restore the program counter and the
 * flags of the last instruction from it. So this must not become a jump to unicorn_check. */
static void leave(uint64_t pc)
{
    char *cpu = (char *)core_running - CPU_ENV, *uc = *(char **)(cpu + CPU_UC);
    if (!*(bool *)(uc + UC_SKIP_PC)) core_running->eip = pc;
    unicorn_check(uc, 0);
    __asm__ volatile("" ::: "memory");
}

bool core_emit_start(void *function)
{
    bool ours = start.expected && function == (void *)check;
    if (ours) start.expected = false;
    return ours;
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
