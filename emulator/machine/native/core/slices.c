/* Time slices of guest threads, counted in blocks of translated code.
 *
 * Code that is translated once slices are in use calls a function at the start of each block; that function counts down and stops the CPU,
 * which happens at the start of the next block, as every stop from outside does. The same program stops at the same place in every run.
 * A program with one thread is translated without the call. */
#include "core.h"

bool core_slices;
static Env *sliced;      /* the CPU whose blocks count */
static void *sliced_uc;
static int64_t left;     /* blocks of the present slice */
static int (*stop)(void *);

void core_count_block(void)
{
    if (core_running == sliced && --left <= 0) stop(sliced_uc);
}

bool core_slice_over(const Env *env) { return core_slices && env == sliced && left <= 0; }

/* From now on the blocks of this engine count: translations made before have to be flushed. emu_stop: uc_emu_stop.
 * Returns the address of the number of blocks that are left; 0 and less: the slice is over. */
EXPORT int64_t *uselib_core_slices(void *uc, int (*emu_stop)(void *))
{
    core_slices = true;
    sliced = (Env *)(*(char **)((char *)uc + UC_CPU) + CPU_ENV);
    sliced_uc = uc;
    stop = emu_stop;
    return &left;
}
