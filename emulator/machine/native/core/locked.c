/* Locked instructions, atomic for all processes that share the memory.
 *
 * Unicorn translates them as a load and a store, since nothing else runs beside its CPU. But processes of the guest are host processes,
 * so shared memory may change between the load and the store. So blocks are translated as QEMU does it for several processors
 * (CF_PARALLEL): a locked instruction is a call of a helper, and the helpers are the ones here. (Unicorn's own leave the CPU for good
 * where an operand is not aligned, and its exchange is no atomic one.) MFENCE is a barrier then, too. Source: QEMU's tcg/tcg-op.c,
 * accel/tcg/atomic_template.h (names and arguments); Intel SDM volume 3, 8.1 (locked operations, also of operands that are not aligned). */
#include "core.h"

enum { TCG_CFLAGS = 100, CF_PARALLEL = 1 << 19 };
enum { ZERO_FLAG = 1 << 6 };

/* An entry of the TLB (CPUTLBEntry). */
typedef struct { uint64_t reads, writes, executes, physical, addend, unused[3]; } Entry;

void core_translate_locked(Env *env)
{
    char *uc = *(char **)((char *)env - CPU_ENV + CPU_UC);
    *(uint32_t *)(*(char **)(uc + UC_TCG) + TCG_CFLAGS) |= CF_PARALLEL; /* Unicorn sets it again for each block */
}

/* The host memory of an operand that is not in the TLB, or lies on two pages. Faults as a write does. NULL: it is in two pieces, or has
 * no host memory. */
static __attribute__((noinline)) void *look_up(Env *env, uint64_t address, unsigned size, uintptr_t host_pc)
{
    unsigned here = PAGE - address % PAGE;
    if (here >= size) return core_probe(env, address, size, MMU_STORE, USER, host_pc);
    core_probe(env, address, here, MMU_STORE, USER, host_pc);
    char *second = core_probe(env, address + here, size - here, MMU_STORE, USER, host_pc);
    char *first = core_probe(env, address, here, MMU_STORE, USER, host_pc); /* the other lookup may have moved it */
    return first && first + here == second ? first : NULL;
}

static inline void *operand(Env *env, uint64_t address, unsigned size, uintptr_t host_pc)
{
    core_check_alignment(env, address, size, host_pc);
    const Level *level = core_user_level((char *)env - CPU_ENV);
    const Entry *entry = (const Entry *)(level->entries + (address / PAGE * sizeof(Entry) & level->mask));
    uint64_t page = address & -(uint64_t)PAGE;
    if (__builtin_expect(entry->writes == page && entry->reads == page && address % PAGE <= PAGE - size, 1)) return (void *)(address + entry->addend);
    return look_up(env, address, size, host_pc);
}

typedef enum { EXCHANGE, COMPARE, ADD, AND, OR, XOR } Operation;

static inline __attribute__((always_inline)) uint64_t combined(Operation operation, uint64_t old, uint64_t value, uint64_t expected)
{
    switch (operation) {
    case EXCHANGE: return value;
    case COMPARE: return old == expected ? value : old;
    case ADD: return old + value;
    case AND: return old & value;
    case OR: return old | value;
    case XOR: return old ^ value;
    }
    return old;
}

/* As a load and a store. */
static uint64_t in_two_steps(Env *env, uint64_t address, unsigned size, Operation operation, uint64_t value, uint64_t expected, uintptr_t host_pc)
{
    uint64_t old = 0;
    for (unsigned i = 0; i < size; i++) old |= (uint64_t)core_read_byte(env, address + i, host_pc) << 8 * i;
    uint64_t new = combined(operation, old, value, expected);
    for (unsigned i = 0; i < size; i++) core_store_byte(env, address + i, new >> 8 * i, host_pc);
    return old;
}

#define CHANGE(type) \
    static inline __attribute__((always_inline)) uint64_t change_##type(void *where, Operation operation, type value, type expected) \
    { \
        type *at = where; \
        switch (operation) { \
        case EXCHANGE: return __atomic_exchange_n(at, value, __ATOMIC_SEQ_CST); \
        case COMPARE: __atomic_compare_exchange_n(at, &expected, value, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST); return expected; \
        case ADD: return __atomic_fetch_add(at, value, __ATOMIC_SEQ_CST); \
        case AND: return __atomic_fetch_and(at, value, __ATOMIC_SEQ_CST); \
        case OR: return __atomic_fetch_or(at, value, __ATOMIC_SEQ_CST); \
        case XOR: return __atomic_fetch_xor(at, value, __ATOMIC_SEQ_CST); \
        } \
        return 0; \
    }
CHANGE(uint8_t) CHANGE(uint16_t) CHANGE(uint32_t) CHANGE(uint64_t)

/* The kernel's, at an address of the host: the word becomes `value` if it is `expected`. Returns what it was. */
EXPORT uint32_t uselib_core_exchange_word(void *word, uint32_t expected, uint32_t value) { return change_uint32_t(word, COMPARE, value, expected); }

/* The old value. */
static inline __attribute__((always_inline)) uint64_t locked(Env *env, uint64_t address, unsigned size, Operation operation, uint64_t value,
                                                             uint64_t expected, uintptr_t host_pc)
{
    void *at = operand(env, address, size, host_pc);
    if (!at) return in_two_steps(env, address, size, operation, value, expected, host_pc);
    uintptr_t outer = core_access_pc; /* the host may have no page there */
    core_access_pc = host_pc;
    uint64_t old = size == 1 ? change_uint8_t(at, operation, value, expected)
        : size == 2 ? change_uint16_t(at, operation, value, expected)
        : size == 4 ? change_uint32_t(at, operation, value, expected) : change_uint64_t(at, operation, value, expected);
    core_access_pc = outer;
    return old;
}

#define BOTH(name, operation, suffix, type, size) \
    static type fetch_##name##_##suffix(Env *env, uint64_t address, type value, uint32_t how) \
    { \
        (void)how; \
        return locked(env, address, size, operation, value, 0, HERE); \
    } \
    static type name##_fetch_##suffix(Env *env, uint64_t address, type value, uint32_t how) \
    { \
        (void)how; \
        uint64_t new = combined(operation, locked(env, address, size, operation, value, 0, HERE), value, 0); \
        return size < sizeof new ? new & ((1ull << 8 * size % 64) - 1) : new; \
    }
#define SIZE(suffix, type, size) \
    static type xchg_##suffix(Env *env, uint64_t address, type value, uint32_t how) \
    { \
        (void)how; \
        return locked(env, address, size, EXCHANGE, value, 0, HERE); \
    } \
    static type cmpxchg_##suffix(Env *env, uint64_t address, type expected, type value, uint32_t how) \
    { \
        (void)how; \
        return locked(env, address, size, COMPARE, value, expected, HERE); \
    } \
    BOTH(add, ADD, suffix, type, size) BOTH(and, AND, suffix, type, size) BOTH(or, OR, suffix, type, size) BOTH(xor, XOR, suffix, type, size)
SIZE(b, uint32_t, 1) SIZE(w_le, uint32_t, 2) SIZE(l_le, uint32_t, 4) SIZE(q_le, uint64_t, 8)

/* CMPXCHG8B and CMPXCHG16B, with LOCK or without. Unicorn's stay for engines of others. */
static void (*unicorn_cmpxchg8b)(Env *, uint64_t), (*unicorn_cmpxchg16b)(Env *, uint64_t);

static void set_equal(Env *env, bool equal) { env->cc_src = (core_flags(env, env->cc_op) & ~ZERO_FLAG) | (equal ? ZERO_FLAG : 0); }

static void cmpxchg8b(Env *env, uint64_t address)
{
    if (env != core_running) {
        unicorn_cmpxchg8b(env, address);
        return;
    }
    uint64_t *r = env->regs, expected = (uint32_t)r[RAX] | r[RDX] << 32, value = (uint32_t)r[RBX] | r[RCX] << 32;
    uint64_t old = locked(env, address, 8, COMPARE, value, expected, HERE);
    set_equal(env, old == expected);
    if (old != expected) r[RAX] = (uint32_t)old, r[RDX] = old >> 32;
}

static void cmpxchg16b(Env *env, uint64_t address)
{
    void *at = NULL;
    if (env == core_running) {
        if (address % 16) core_raise_error(env, VECTOR_GP, 0, HERE);
        at = operand(env, address, 16, HERE);
    }
    if (!at) {
        unicorn_cmpxchg16b(env, address);
        return;
    }
    uint64_t *r = env->regs, low = r[RAX], high = r[RDX];
    bool equal;
    uintptr_t outer = core_access_pc;
    core_access_pc = HERE;
    __asm__ volatile("lock cmpxchg16b %1" : "=@ccz"(equal), "+m"(*(unsigned __int128 *)at), "+a"(low), "+d"(high) : "b"(r[RBX]), "c"(r[RCX]));
    core_access_pc = outer;
    set_equal(env, equal);
    if (!equal) r[RAX] = low, r[RDX] = high;
}

#define ROW(name, suffix) {"helper_atomic_" #name #suffix "_x86_64", name##_##suffix, NULL}
#define ROWS(suffix) \
    ROW(xchg, suffix), ROW(cmpxchg, suffix), ROW(fetch_add, suffix), ROW(fetch_and, suffix), ROW(fetch_or, suffix), ROW(fetch_xor, suffix), \
    ROW(add_fetch, suffix), ROW(and_fetch, suffix), ROW(or_fetch, suffix), ROW(xor_fetch, suffix)

const Replacement uselib_locked[] = {
    ROWS(b), ROWS(w_le), ROWS(l_le), ROWS(q_le),
    {"helper_cmpxchg8b_unlocked_x86_64", cmpxchg8b, (void **)&unicorn_cmpxchg8b},
    {"helper_cmpxchg16b_unlocked_x86_64", cmpxchg16b, (void **)&unicorn_cmpxchg16b},
    {NULL, NULL, NULL},
};
