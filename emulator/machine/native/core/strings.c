/* REP MOVS and REP STOS, as far as they can be done at once.
 *
 * Unicorn's translation executes one element, checks whether it must stop, and jumps back. A call before that moves the elements on
 * pages that are in the TLB and need no further handling (no code was translated from them, nothing watches them). The rest, at least
 * the last element, is left to the translation, which fills the TLB, faults, and counts as usual. Source: Intel SDM volume 2, REP, MOVS,
 * STOS. */
#include "core.h"

#include <string.h>

enum { ES, DS = 3 };
enum { AT_ONCE = 1 << 20 }; /* bytes in one call, so that a stop is noticed */

char *(*core_host_address)(Env *env, uint64_t address, int access, int mmu_index);

static inline uint64_t cut(const Env *env, uint64_t value) { return env->hflags >> 15 & 1 ? value : (uint32_t)value; }

static inline uint64_t least(uint64_t a, uint64_t b) { return a < b ? a : b; }

/* Elements that can be done now: all but one, at most to the end of the page that is reached first. */
static uint64_t run_length(const Env *env, unsigned size, uint64_t done)
{
    uint64_t count = cut(env, env->regs[RCX]);
    if (count < 2 || done >= AT_ONCE) return 0;
    return least(count - 1, (PAGE - env->regs[RDI] % PAGE) / size);
}

static inline bool plain(const Env *env) { return env->df == 1 && env->hflags & 3 && !core_counting && !core_checks_alignment(env); }

static void advance(Env *env, uint64_t bytes, uint64_t count, bool source)
{
    env->regs[RDI] = cut(env, env->regs[RDI] + bytes);
    if (source) env->regs[RSI] = cut(env, env->regs[RSI] + bytes);
    env->regs[RCX] = cut(env, env->regs[RCX] - count);
}

/* Returns true if the host has no page for the bytes to copy. The translation's element then faults. */
#define missing() (sigsetjmp(core_copy_failed, 0) != 0)

static inline void copying(bool now)
{
    __asm__ volatile("" : : : "memory"); /* the copy stays between two of these */
    core_copying = now;
    __asm__ volatile("" : : : "memory");
}

static void move(Env *env, unsigned size)
{
    if (!plain(env) || env->segs[ES].base || env->segs[DS].base || missing()) return;
    for (uint64_t done = 0;;) {
        uint64_t from = cut(env, env->regs[RSI]), to = cut(env, env->regs[RDI]);
        uint64_t count = least(run_length(env, size, done), (PAGE - from % PAGE) / size), bytes = count * size;
        if (!count) return;
        char *source = core_host_address(env, from, MMU_LOAD, USER), *target = core_host_address(env, to, MMU_STORE, USER);
        if (!source || !target) return;
        copying(true);
        if (target - source < (int64_t)bytes && target > source) { /* elements that are written are read again: a pattern spreads */
            for (uint64_t i = 0; i < bytes; i += size) memmove(target + i, source + i, size);
        } else {
            memmove(target, source, bytes);
        }
        copying(false);
        advance(env, bytes, count, true);
        done += bytes;
    }
}

static void fill(Env *env, unsigned size)
{
    if (!plain(env) || env->segs[ES].base || missing()) return;
    for (uint64_t done = 0;;) {
        uint64_t count = run_length(env, size, done), value = env->regs[RAX];
        if (!count) return;
        char *target = core_host_address(env, cut(env, env->regs[RDI]), MMU_STORE, USER);
        if (!target) return;
        copying(true);
        if (size == 1) memset(target, (int)value, count);
        else for (uint64_t i = 0; i < count; i++) memcpy(target + i * size, &value, size);
        copying(false);
        advance(env, count * size, count, false);
        done += count * size;
    }
}

/* Called by translated code, which passes no arguments: a function for each kind. */
#define KIND(n) \
    void core_movs##n(void) { if (core_running) move(core_running, n); } \
    void core_stos##n(void) { if (core_running) fill(core_running, n); }
KIND(1) KIND(2) KIND(4) KIND(8)
