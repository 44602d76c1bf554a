/* Alignment of operands in memory: SSE operands that must be aligned (#GP), and the alignment check of a program that has set EFLAGS.AC (#AC,
 * which Linux turns into SIGBUS with BUS_ADRALN; CR0.AM is set there).
 *
 * A block is translated for one value of AC (it is among the flags that a block is looked up by), so its loads and stores are told then to compare
 * the low bits of the address as well (decode.c), and come here if these are not 0. Accesses that helpers make are looked at here.
 * Source: Intel SDM volume 3, 6.15 (interrupt 17, table of alignments); arch/x86/kernel/traps.c, exc_alignment_check. */
#include "core.h"

enum { AC = 1 << 18, CPL = 3, CANONICAL = 47 };

bool core_checks_alignment(const Env *env) { return env->eflags & AC && (env->hflags & CPL) == CPL; }

/* An address that is not canonical faults before this check, in the access itself. */
static void must_be_canonical(Env *env, uint64_t address, uintptr_t host_pc)
{
    if ((int64_t)address >> CANONICAL != (int64_t)address >> 63) core_read_byte(env, address, host_pc);
}

/* CPUClass.do_unaligned_access */
static __attribute__((noreturn)) void unaligned(char *cpu, uint64_t address, int access, int mmu_index, uintptr_t host_pc)
{
    (void)access, (void)mmu_index;
    Env *env = (Env *)(cpu + CPU_ENV);
    if (!core_checks_alignment(env)) core_raise_error(env, VECTOR_GP, 0, host_pc);
    core_restore(cpu, host_pc, true);
    if (core_must_be_aligned(env)) core_raise_error(env, VECTOR_GP, 0, 0);
    must_be_canonical(env, address, 0);
    core_raise_error(env, VECTOR_AC, 0, 0);
}

void core_watch_alignment(void *cpu_class) { *(void **)((char *)cpu_class + CLASS_UNALIGNED) = unaligned; }

void core_check_alignment(Env *env, uint64_t address, unsigned size, uintptr_t host_pc)
{
    if (__builtin_expect(!(address & (size - 1)) || !core_checks_alignment(env), 1)) return;
    must_be_canonical(env, address, host_pc);
    core_raise_error(env, VECTOR_AC, 0, host_pc);
}

#define LOAD(name, type, size) \
    static type (*unicorn_##name)(Env *, uint64_t, uintptr_t); \
    static type name(Env *env, uint64_t address, uintptr_t host_pc) \
    { \
        core_check_alignment(env, address, size, host_pc); \
        return unicorn_##name(env, address, host_pc); \
    }
#define STORE(name, type, size) \
    static void (*unicorn_##name)(Env *, uint64_t, type, uintptr_t); \
    static void name(Env *env, uint64_t address, type value, uintptr_t host_pc) \
    { \
        core_check_alignment(env, address, size, host_pc); \
        unicorn_##name(env, address, value, host_pc); \
    }
LOAD(lduw, uint32_t, 2) LOAD(ldsw, int32_t, 2) LOAD(ldl, uint32_t, 4) LOAD(ldq, uint64_t, 8)
STORE(stw, uint32_t, 2) STORE(stl, uint32_t, 4) STORE(stq, uint64_t, 8)

#define ACCESS(name) {"cpu_" #name "_data_ra_x86_64", name, (void **)&unicorn_##name}

const Replacement uselib_align[] = {
    ACCESS(lduw), ACCESS(ldsw), ACCESS(ldl), ACCESS(ldq), ACCESS(stw), ACCESS(stl), ACCESS(stq),
    {NULL, NULL, NULL},
};
