/* The x87 and memory: loads, stores, the control word, and the images of FSTENV and FSAVE. See x87.c.
 *
 * Stores: the translator gets FSTP with 80 bits and the same address (decode.c). For that it calls a helper with the address, and one
 * that pops. The first is replaced by a call of `store` with the instruction as third argument; the second is left out. So the operand's
 * faults come before anything has changed, and an unmasked exception stores nothing, as on the processor. Source: Intel SDM volume 1,
 * 8.3, 8.4.9 and 8.5; volume 2 for each instruction. */
#include "x87.h"

void (*core_store64)(Env *env, uint64_t address, uint64_t value, uintptr_t host_pc);
void (*core_store32)(Env *env, uint64_t address, uint32_t value, uintptr_t host_pc);
void (*core_store16)(Env *env, uint64_t address, uint32_t value, uintptr_t host_pc);
uint64_t (*core_load64)(Env *env, uint64_t address, uintptr_t host_pc);
uint32_t (*core_load16)(Env *env, uint64_t address, uintptr_t host_pc);
void *(*core_probe)(Env *env, uint64_t address, int size, int access, int mmu_index, uintptr_t host_pc);

typedef union { uint8_t bytes[10]; struct { uint64_t low; uint16_t high; } __attribute__((packed)); float s; double d; int16_t i16; int32_t i32; int64_t i64; } Value;

static Value read80(Env *env, uint64_t address, uintptr_t host_pc)
{
    Value value;
    core_check_alignment(env, address, 8, host_pc);
    char *host = address % PAGE <= PAGE - 10 ? core_host_address(env, address, MMU_LOAD, USER) : NULL;
    if (host) {
        memcpy(&value, host, 10);
    } else {
        value.low = core_load64(env, address, host_pc);
        value.high = core_load16(env, address + 8, host_pc);
    }
    return value;
}

static void probe(Env *env, uint64_t address, unsigned size, uintptr_t host_pc)
{
    unsigned here = PAGE - address % PAGE;
    core_probe(env, address, size < here ? size : here, MMU_STORE, USER, host_pc);
    if (size > here) core_probe(env, address + here, size - here, MMU_STORE, USER, host_pc);
}

/* All or nothing: the pages are looked up before the first byte is written. */
static void write(Env *env, uint64_t address, const Value *value, unsigned size, uintptr_t host_pc)
{
    unsigned here = PAGE - address % PAGE;
    char *host = size <= here ? core_host_address(env, address, MMU_STORE, USER) : NULL;
    if (host) {
        memcpy(host, value, size);
        return;
    }
    probe(env, address, size, host_pc);
    switch (size) {
    case 2: core_store16(env, address, (uint16_t)value->i16, host_pc); return;
    case 4: core_store32(env, address, (uint32_t)value->i32, host_pc); return;
    case 10: core_store16(env, address + 8, value->high, host_pc); /* and the rest */
    }
    core_store64(env, address, value->low, host_pc);
}

/* -- loads -- */

#define LOAD(name, type, code, opcode, operation) \
    static void name(Env *env, type value) \
    { \
        wait(env, HERE); \
        if (!room(env)) { \
            core_x87_memory(env, opcode, operation, &value); \
            return; \
        } \
        Float80 r; \
        SHORT(env, code " %[x]\n\tfnstsw %[sw]\n\tfstpt %[r]", , [r] "=m"(r) : [x] "m"(value)); \
        memcpy(push(env), &r, 10); \
    }
LOAD(flds_st0, uint32_t, "flds", 0xD9, 0) LOAD(fldl_st0, uint64_t, "fldl", 0xDD, 0)
LOAD(fildl_st0, int32_t, "fildl", 0xDB, 0) LOAD(fildll_st0, int64_t, "fildll", 0xDF, 5)

static void fldt_st0(Env *env, uint64_t address)
{
    wait(env, HERE);
    Value value = read80(env, address, HERE);
    if (!room(env)) {
        core_x87_memory(env, 0xDB, 5, &value);
        return;
    }
    env->status &= ~C1;
    memcpy(push(env), &value, 10);
}

static void fbld_st0(Env *env, uint64_t address)
{
    wait(env, HERE);
    Value value = read80(env, address, HERE);
    core_x87_memory(env, 0xDF, 4, &value);
}

/* -- stores -- */

typedef struct { uint32_t top; uint16_t status; uint8_t tags[8]; Float80 st[8]; } Registers;

static Registers save(const Env *env)
{
    Registers r = {.top = env->top, .status = env->status};
    memcpy(r.tags, env->tags, sizeof r.tags);
    memcpy(r.st, env->st, sizeof r.st);
    return r;
}

static void restore(Env *env, const Registers *r)
{
    env->top = r->top, env->status = r->status;
    memcpy(env->tags, r->tags, sizeof r->tags);
    memcpy(env->st, r->st, sizeof r->st);
}

static inline void pop(Env *env)
{
    *tag(env, 0) = 1;
    env->top = (env->top + 1) & 7;
}

/* Stores in the short way; returns the flags it raises. `quick` holds for the instruction. */
#define CONVERT(code, field) SHORT_STATUS(env, raised, "fldt %[x]\n\t" code " %[r]\n\tfnstsw %[sw]", , [r] "=m"(value->field) : [x] "m"(*st(env, 0)))
static uint16_t convert(Env *env, unsigned what, Value *value)
{
    uint16_t raised = 0;
    switch (what) {
    case 0xD902: case 0xD903: CONVERT("fstps", s); break;
    case 0xDD02: case 0xDD03: CONVERT("fstpl", d); break;
    case 0xDB02: case 0xDB03: CONVERT("fistpl", i32); break;
    case 0xDB01: CONVERT("fisttpl", i32); break;
    case 0xDD01: CONVERT("fisttpll", i64); break;
    case 0xDF02: case 0xDF03: CONVERT("fistps", i16); break;
    case 0xDF01: CONVERT("fisttps", i16); break;
    case 0xDF07: CONVERT("fistpll", i64); break;
    default: memcpy(value, st(env, 0), 10); /* fstp with 80 bits */
    }
    return raised;
}

static unsigned size_of(unsigned what)
{
    static const uint8_t SIZES[] = {[0xD9 - 0xD8] = 4, [0xDB - 0xD8] = 4, [0xDD - 0xD8] = 8, [0xDF - 0xD8] = 2};
    return what == 0xDB07 || what == 0xDF06 ? 10 : what == 0xDF07 ? 8 : SIZES[(what >> 8) - 0xD8];
}

static void store_as(Env *env, uint64_t address, unsigned what, bool pops, uintptr_t host_pc)
{
    unsigned size = size_of(what);
    Value value;
    wait(env, host_pc);
    core_check_alignment(env, address, size == 10 ? 8 : size, host_pc);
    if (masked(env) && !*tag(env, 0) && what != 0xDF06) {
        uint16_t raised = convert(env, what, &value);
        write(env, address, &value, size, host_pc);
        env->status = (env->status & ~C1) | (raised & (EXCEPTIONS | C1));
        if (pops) pop(env);
        return;
    }
    probe(env, address, size, host_pc);
    Registers before = save(env);
    core_x87_memory(env, what >> 8, what & 7, &value);
    if (env->status & ES && env->status & ~env->control & (IE | DE | ZE | OE | UE)) return; /* nothing is stored */
    Registers after = save(env);
    restore(env, &before); /* the access may fault, and the instruction is executed again */
    write(env, address, &value, size, host_pc);
    restore(env, &after);
}

/* what: opcode << 8 | operation */
static void store(Env *env, uint64_t address, uint64_t what) { store_as(env, address, what, (what & 7) != 2, HERE); }

/* Without the call above (another user's engine): fpop follows. */
static void fstt_st0(Env *env, uint64_t address)
{
    unsigned top = env->top;
    store_as(env, address, 0xDB07, false, HERE);
    if (env->top != top) env->top = top, *tag(env, 0) = 0;
}

static void fbst_st0(Env *env, uint64_t address)
{
    unsigned top = env->top;
    store_as(env, address, 0xDF06, false, HERE);
    if (env->top != top) env->top = top, *tag(env, 0) = 0;
}

/* CLFLUSH, in the place of FLD with 80 bits */
static void touch(Env *env, uint64_t address) { core_read_byte(env, address, HERE); }

static unsigned wanted; /* the store that is being translated; 0: none */

void core_want_store(unsigned what) { wanted = what; }

bool core_emit_store(void *tcg, void *function, void **arguments)
{
    if (!wanted) return false;
    if (wanted == CORE_TOUCH) {
        core_gen_call(tcg, touch, NULL, 2, arguments);
        return true;
    }
    if (function != (void *)fstt_st0) return function == (void *)core_fpop;
    void *what = (char *)tcg + (uintptr_t)core_constant(tcg, wanted);
    core_gen_call(tcg, store, NULL, 3, (void *[]){arguments[0], arguments[1], what});
    core_free_temporary(tcg, what);
    return true;
}

/* -- control -- */

static void (*unicorn_fldcw)(Env *, uint32_t), (*unicorn_fninit)(Env *);

static void load_control(Env *env, uint32_t value)
{
    unicorn_fldcw(env, value);
    env->control = (value & 0x1F3F) | 0x40;
    core_x87_summarize(env);
}

static void fldcw(Env *env, uint32_t value)
{
    wait(env, HERE);
    load_control(env, value);
}

static uint32_t fnstcw(Env *env) { return env->control; }
static uint32_t fnstsw(Env *env) { return (env->status & ~TOP) | env->top << 11; }

static void fclex(Env *env)
{
    env->status &= ~(FLAGS | ES | BUSY);
    core_clear_x87();
}

static void fninit(Env *env)
{
    unicorn_fninit(env);
    core_clear_x87();
}

static void fwait(Env *env) { wait(env, HERE); }

/* FNSTENV's image; wide: 7 words of 32 bits, else of 16. The addresses of the latest instruction and operand are not kept: 0. */
static unsigned store_environment(Env *env, uint64_t address, int wide, uintptr_t host_pc)
{
    uint32_t tags = 0;
    for (unsigned i = 0; i < 8; i++) {
        unsigned exponent = env->st[i].high & 0x7FFF;
        unsigned kind = env->tags[i] ? 3 : !exponent && !env->st[i].mantissa ? 1 : !exponent || exponent == 0x7FFF || !(env->st[i].mantissa >> 63) ? 2 : 0;
        tags |= kind << 2 * i;
    }
    uint32_t words[7] = {env->control, fnstsw(env), tags}, size = wide ? 4 : 2;
    for (int i = 6; i >= 0; i--) {
        if (wide) core_store32(env, address + 4 * i, i < 3 || i == 6 ? words[i] | 0xFFFF0000u : words[i], host_pc);
        else core_store16(env, address + 2 * i, words[i], host_pc);
    }
    return 7 * size;
}

static void fstenv(Env *env, uint64_t address, int wide)
{
    store_environment(env, address, wide, HERE);
    env->control |= EXCEPTIONS;
    core_x87_summarize(env);
}

static void fsave(Env *env, uint64_t address, int wide)
{
    uint64_t registers = address + (wide ? 28 : 14);
    for (int i = 7; i >= 0; i--) {
        Value value;
        memcpy(&value, st(env, i), 10);
        write(env, registers + 10 * i, &value, 10, HERE);
    }
    store_environment(env, address, wide, HERE);
    fninit(env);
}

/* Checks that the memory of an image is accessible. The first word and the last byte are looked at first, as AMD's processors do: with
 * two pages, that decides which address is reported. */
static void look_at_image(Env *env, uint64_t address, unsigned size, unsigned alignment, uintptr_t host_pc)
{
    core_check_alignment(env, address, alignment, host_pc);
    core_read_byte(env, address, host_pc);
    core_read_byte(env, address + alignment - 1, host_pc);
    core_read_byte(env, address + size - 1, host_pc);
}

typedef struct { uint16_t control, status, tags; } Environment;

static Environment read_environment(Env *env, uint64_t address, int wide, uintptr_t host_pc)
{
    unsigned size = wide ? 4 : 2;
    Environment e = {.control = core_load16(env, address, host_pc)};
    e.status = core_load16(env, address + size, host_pc);
    e.tags = core_load16(env, address + 2 * size, host_pc);
    return e;
}

static void load_environment(Env *env, Environment e)
{
    env->top = e.status >> 11 & 7;
    env->status = e.status & ~TOP;
    for (unsigned i = 0; i < 8; i++) env->tags[i] = (e.tags >> 2 * i & 3) == 3;
    load_control(env, e.control);
    core_clear_x87(); /* flags that the host has kept no longer belong to the guest */
}

static void fldenv(Env *env, uint64_t address, int wide)
{
    wait(env, HERE);
    look_at_image(env, address, wide ? 28 : 14, wide ? 4 : 2, HERE);
    load_environment(env, read_environment(env, address, wide, HERE));
}

static void frstor(Env *env, uint64_t address, int wide)
{
    wait(env, HERE);
    look_at_image(env, address, wide ? 108 : 94, wide ? 4 : 2, HERE);
    Environment e = read_environment(env, address, wide, HERE);
    uint64_t registers = address + (wide ? 28 : 14);
    Value values[8];
    for (int i = 0; i < 8; i++) {
        values[i].low = core_load64(env, registers + 10 * i, HERE);
        values[i].high = core_load16(env, registers + 10 * i + 8, HERE);
    }
    load_environment(env, e);
    for (int i = 0; i < 8; i++) memcpy(st(env, i), &values[i], 10);
}

const Replacement uselib_x87_memory[] = {
    HELPER(flds_ST0, flds_st0), HELPER(fldl_ST0, fldl_st0), HELPER(fildl_ST0, fildl_st0), HELPER(fildll_ST0, fildll_st0),
    HELPER(fldt_ST0, fldt_st0), HELPER(fbld_ST0, fbld_st0), HELPER(fstt_ST0, fstt_st0), HELPER(fbst_ST0, fbst_st0),
    {"helper_fldcw_x86_64", fldcw, (void **)&unicorn_fldcw}, SAME(fnstcw), SAME(fnstsw), SAME(fclex),
    {"helper_fninit_x86_64", fninit, (void **)&unicorn_fninit}, SAME(fwait), SAME(fstenv), SAME(fsave), SAME(fldenv), SAME(frstor),
    {"helper_pfcmpgt_x86_64", store, NULL}, {"helper_pfadd_x86_64", touch, NULL}, /* as in bmi.c */
    {NULL, NULL, NULL},
};
