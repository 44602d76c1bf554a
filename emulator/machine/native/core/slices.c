/* Time slices of guest threads, counted in blocks of translated code.
 *
 * Code that is translated once slices are in use calls a function at the start of each block; that function counts down and stops the CPU,
 * which happens at the start of the next block, as every stop from outside does. The same program stops at the same place in every run.
 * A program with one thread is translated without the call. */
#include <stdlib.h>

#include "core.h"

typedef struct Slices {
    Env *cpu; /* whose blocks count */
    void *uc;
    int64_t left; /* blocks of the present slice */
    int (*stop)(void *);
    struct Slices *next;
} Slices;

bool core_slices;
static Slices *all;    /* of each engine with several threads */
static Slices *latest; /* of the engine that ran last */

static Slices *slices_of(const Env *cpu)
{
    Slices *s = all;
    while (s && s->cpu != cpu) s = s->next;
    return s;
}

void core_count_block(void)
{
    if (!latest || latest->cpu != core_running) {
        Slices *s = slices_of(core_running);
        if (!s) return;
        latest = s;
    }
    if (--latest->left <= 0) latest->stop(latest->uc);
}

void core_begin_slice(const Env *env, int64_t blocks)
{
    Slices *s = slices_of(env);
    if (s) s->left = blocks;
}

bool core_slice_over(const Env *env)
{
    const Slices *s = core_slices ? slices_of(env) : 0;
    return s && s->left <= 0;
}

static Env *cpu_of(void *uc) { return (Env *)(*(char **)((char *)uc + UC_CPU) + CPU_ENV); }

/* From now on the blocks of this engine are counted. The caller flushes translations made before. emu_stop: uc_emu_stop.
 * Returns the address of the number of blocks that are left; 0 and less: the slice is over. 0: there is no memory. */
EXPORT int64_t *uselib_core_slices(void *uc, int (*emu_stop)(void *))
{
    Slices *s = slices_of(cpu_of(uc));
    if (!s) {
        s = calloc(1, sizeof *s);
        if (!s) return 0;
        s->next = all;
        all = s;
    }
    core_slices = true;
    s->cpu = cpu_of(uc);
    s->uc = uc;
    s->stop = emu_stop;
    return &s->left;
}

/* Call before this engine is closed: another one may get its address. */
EXPORT void uselib_core_no_slices(void *uc)
{
    for (Slices **at = &all; *at; at = &(*at)->next)
        if ((*at)->uc == uc) {
            Slices *s = *at;
            *at = s->next;
            free(s);
            break;
        }
    latest = 0;
    core_slices = all != 0;
}
