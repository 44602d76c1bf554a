/* Calls of our own in translated code.
 *
 * Translated code calls helpers, which are known to an engine from the time when it was made. The helpers of AMD's virtualization are never
 * called here: without EFER.SVME the translator refuses their instructions (helper_stgi, helper_clgi, ...). So their places serve for ours.
 * They are called without arguments; the CPU is the one that runs. */
#include "core.h"

enum { UC_TCG = 768 };

void (*core_gen_call)(void *tcg, void *function, void *result, int count, void **arguments);
Env *core_running; /* set by uselib_core_start */

static void take_flags(void) { core_take_flags(core_running); }

static void *const FUNCTIONS[CORE_CALLS] = {[CORE_TAKE_FLAGS] = take_flags};

void core_emit_call(Env *env, int what)
{
    char *uc = *(char **)((char *)env - CPU_ENV + CPU_UC);
    core_gen_call(*(void **)(uc + UC_TCG), FUNCTIONS[what], NULL, 0, NULL);
}

const Replacement uselib_emit[] = {
    {"helper_stgi_x86_64", take_flags, NULL},
    {NULL, NULL, NULL},
};
