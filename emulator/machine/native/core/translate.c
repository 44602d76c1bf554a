/* Calls the decoding of each instruction (decode.c): replaces Unicorn's loop over the instructions of a block, its reading of their
 * bytes, and the loads and stores that it emits for them. */
#include "decode.h"

/* QEMU's translator.h, as of Unicorn 2.1.4 */
typedef struct { void *tb; uint64_t pc_first, pc_next; } Base;
typedef struct {
    void (*init_disas_context)(Base *, void *cpu);
    void (*tb_start)(Base *, void *cpu);
    void (*insn_start)(Base *, void *cpu);
    bool (*breakpoint_check)(Base *, void *cpu, const void *);
    void (*translate_insn)(Base *, void *cpu);
    void (*tb_stop)(Base *, void *cpu);
    void (*pc_sync)(Base *, void *cpu);
} Operations;

static void (*unicorn_loop)(const Operations *, Base *, void *cpu, void *tb, int max);
uint32_t (*core_code8)(Env *, uint64_t);
static uint32_t (*unicorn_code32)(Env *, uint64_t);
typedef void (*Access)(void *tcg, void *value, void *address, uintptr_t index, uint32_t how);
static Access unicorn_load64, unicorn_store64, unicorn_load32, unicorn_store32;

enum { SIZE_32 = 2, SIZE_64 = 3, SIZE_MASK = 3, ALIGN_MASK = 7 << 4, ALIGN_16 = 4 << 4, ALIGN_SIZE = 7 << 4 }; /* MemOp */

static const Operations *unicorn_operations;

static void translate(Base *base, void *cpu)
{
    Env *env = (Env *)((char *)cpu + CPU_ENV);
    if (core_slices && base->pc_next == base->pc_first) core_emit_call(env, CORE_COUNT_BLOCK);
    Around around = base->pc_next != core_until ? core_look(env, base->pc_next) : (Around){0};
    if (around.reads_mxcsr) core_emit_call(env, CORE_TAKE_FLAGS);
    if (around.string) core_emit_string(env, around.string & 0xFE, around.size);
    if (around.cmpxchg || around.enter) core_emit_call(env, CORE_BEFORE);
    core_delay_mmx(around.memory ? env : NULL);
    unicorn_operations->translate_insn(base, cpu);
    core_emit_delayed_mmx();
    core_delay_mmx(NULL);
    core_end_bmi(base);
    core_want_store(0);
    core_want_fcmov(0);
    if (around.cmpxchg) core_emit_call(env, CORE_AFTER_CMPXCHG);
    if (around.enter) core_emit_call(env, CORE_AFTER_ENTER);
    if (around.neg) core_emit_call(env, CORE_AFTER_NEG);
    core_now.substituted = 0;
    core_now.aligned = core_now.half = core_now.quarter = core_now.checked = core_now.sixteen = false;
}

/* A block hook of an engine that is called for chosen blocks only: those whose address a Bloom filter has when they are translated.
 * Unicorn asks for each block whether a hook's bounds hold it, when the block is translated and again when it runs; so the bounds are
 * empty while a block that is not chosen is translated, and everything at all other times. */
typedef struct {
    void *uc;
    uint64_t *bounds;        /* of the hook: begin, end; 1, 0 is everything */
    const uint64_t *filter;
    unsigned bits;           /* 2^bits bits of it; the hash is that of emulator/trace/native/recorder.c */
} Watch;

static Watch watches[16];

static Watch *watch_of(const void *uc)
{
    for (Watch *w = watches; w < watches + sizeof watches / sizeof *watches; w++)
        if (w->uc == uc) return w;
    return NULL;
}

/* filter NULL: removes the watch. 0: there is no room. */
EXPORT int uselib_core_watch(void *uc, uint64_t *bounds, const uint64_t *filter, unsigned bits)
{
    Watch *w = watch_of(uc);
    if (!w && !(w = watch_of(NULL))) return 0;
    *w = filter ? (Watch){uc, bounds, filter, bits} : (Watch){NULL, NULL, NULL, 0};
    return 1;
}

static bool chosen(const Watch *w, uint64_t address)
{
    uint64_t bit = (address * 0x9E3779B97F4A7C15u) >> (64 - w->bits);
    return w->filter[bit >> 6] >> (bit & 63) & 1;
}

/* Before a run: a translation that ended by a fault has left the bounds as they were. */
void core_enter_watch(void *uc)
{
    Watch *w = watch_of(uc);
    if (w) w->bounds[0] = 1, w->bounds[1] = 0;
}

static void loop(const Operations *operations, Base *base, void *cpu, void *tb, int max)
{
    Operations ours = *operations;
    Watch *w = watch_of(*(void **)((char *)cpu + CPU_UC));
    unicorn_operations = operations;
    ours.translate_insn = translate;
    Env *env = (Env *)((char *)cpu + CPU_ENV);
    core_start_block(env, *(uint64_t *)tb);
    if (env == core_running) core_translate_locked(env);
    if (w && !chosen(w, *(uint64_t *)tb)) w->bounds[0] = w->bounds[1] = ~(uint64_t)0; /* the block's address is its first field */
    unicorn_loop(&ours, base, cpu, tb, max);
    if (w) w->bounds[0] = 1, w->bounds[1] = 0;
}

static uint32_t code8(Env *env, uint64_t address)
{
    uint64_t offset = address - core_now.at;
    return offset < sizeof core_now.bytes && core_now.substituted >> offset & 1 ? core_now.bytes[offset] : core_code8(env, address);
}

static uint32_t code32(Env *env, uint64_t address)
{
    uint64_t offset = address - core_now.at;
    if (offset >= sizeof core_now.bytes || !(core_now.substituted >> offset & 15)) return unicorn_code32(env, address);
    uint32_t value = 0;
    for (int i = 0; i < 4; i++) value |= code8(env, address + i) << 8 * i;
    return value;
}

/* How an access is made, with the check of its alignment. */
static uint32_t aligned(uint32_t how)
{
    if (core_now.aligned && (how & SIZE_MASK) == SIZE_64) {
        core_now.aligned = false;
        return (how & ~ALIGN_MASK) | ALIGN_16;
    }
    if (!core_now.checked) return how;
    if (core_now.sixteen && (how & SIZE_MASK) == SIZE_64) {
        core_now.sixteen = false;
        return (how & ~ALIGN_MASK) | ALIGN_16;
    }
    return how | ALIGN_SIZE;
}

static void load64(void *tcg, void *value, void *address, uintptr_t index, uint32_t how)
{
    if (core_now.quarter) how = (how & ~SIZE_MASK) | SIZE_32;
    how = aligned(how);
    if (core_now.half && core_now.first) address = core_now.first; /* of 16 bytes the helper uses 8 */
    core_now.first = address;
    unicorn_load64(tcg, value, address, index, how);
    core_emit_delayed_mmx();
}

static void store64(void *tcg, void *value, void *address, uintptr_t index, uint32_t how)
{
    unicorn_store64(tcg, value, address, index, aligned(how));
    core_emit_delayed_mmx();
}

static void load32(void *tcg, void *value, void *address, uintptr_t index, uint32_t how) { unicorn_load32(tcg, value, address, index, aligned(how)); }

static void store32(void *tcg, void *value, void *address, uintptr_t index, uint32_t how) { unicorn_store32(tcg, value, address, index, aligned(how)); }

enum { CS = 1 };

bool core_must_be_aligned(Env *env)
{
    core_look(env, env->segs[CS].base + env->eip);
    bool found = core_now.aligned;
    core_now.aligned = core_now.half = false;
    core_now.substituted = 0;
    return found;
}

const Replacement uselib_translate[] = {
    {"translator_loop_x86_64", loop, (void **)&unicorn_loop},
    {"cpu_ldub_code_x86_64", code8, (void **)&core_code8},
    {"cpu_ldl_code_x86_64", code32, (void **)&unicorn_code32},
    {"tcg_gen_qemu_ld_i64_x86_64", load64, (void **)&unicorn_load64},
    {"tcg_gen_qemu_st_i64_x86_64", store64, (void **)&unicorn_store64},
    {"tcg_gen_qemu_ld_i32_x86_64", load32, (void **)&unicorn_load32},
    {"tcg_gen_qemu_st_i32_x86_64", store32, (void **)&unicorn_store32},
    {NULL, NULL, NULL},
};
