/* The x87, carried out by the host's own: results, precision, flags, condition codes, stack faults and exceptions are the processor's.
 *
 * Two ways. The short one is for what programs do all the time: operands there, all exceptions masked; the operands are loaded, the operation is
 * done under the guest's control word, and the flags are added to the guest's. The long one is for everything else: the whole x87 of
 * the guest is loaded into the host's (FRSTOR), the instruction itself is executed there, and all of it is taken back (FNSAVE, which does not
 * wait, so an exception that the guest has unmasked stays in the image and is raised by the guest's next waiting instruction).
 *
 * Unicorn's translation of an instruction calls several helpers: one that fetches an operand into FT0 or pushes, one that computes, one that
 * pops. `ft0` remembers where the operand came from, so that the long way can execute the instruction as it was written.
 * Source: Intel SDM volume 1, chapter 8; volume 2 for each instruction; the image is that of FNSAVE in 32-bit protected mode. */
#include "core.h"

#include <string.h>
#include <sys/mman.h>

#define HERE ((uintptr_t)__builtin_return_address(0))

enum { IE = 1, SF = 0x40, ES = 0x80, C1 = 0x200, TOP = 0x3800, BUSY = 0x8000, EXCEPTIONS = 0x3F, FLAGS = 0x7F };
enum { OPERANDS = 7 }; /* invalid, denormal, zero divide: raised before there is a result */
enum { DEFAULT = 0x37F };

typedef struct {
    uint32_t control, status, tags, ip, cs, dp, ds;
    uint8_t st[8][10]; /* ST(0) first */
} __attribute__((packed)) Image;

/* Every x87 instruction: FIRST[opcode - D8] executes it on a register form, with a memory operand at rdi for the others. */
static uint8_t *register_forms, *memory_forms;

uint32_t (*core_flags)(Env *env, int operation);
void (*core_store64)(Env *env, uint64_t address, uint64_t value, uintptr_t host_pc);
void (*core_store32)(Env *env, uint64_t address, uint32_t value, uintptr_t host_pc);
void (*core_store16)(Env *env, uint64_t address, uint32_t value, uintptr_t host_pc);
uint64_t (*core_load64)(Env *env, uint64_t address, uintptr_t host_pc);
uint32_t (*core_load16)(Env *env, uint64_t address, uintptr_t host_pc);

/* Machine code: opcode, modrm, ret, int3, four bytes each. modrm 07 + 8 * n is [rdi] with operation n. 0: no memory to be had. */
int core_prepare_x87(void)
{
    uint8_t *code = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (code == MAP_FAILED) return 0;
    register_forms = code, memory_forms = code + 8 * 64 * 4;
    for (int op = 0; op < 8; op++)
        for (int form = 0; form < 64; form++) {
            uint8_t *at = register_forms + 4 * (64 * op + form);
            at[0] = 0xD8 + op, at[1] = 0xC0 + form, at[2] = 0xC3, at[3] = 0xCC;
        }
    for (int op = 0; op < 8; op++)
        for (int operation = 0; operation < 8; operation++) {
            uint8_t *at = memory_forms + 4 * (8 * op + operation);
            at[0] = 0xD8 + op, at[1] = 0x07 + 8 * operation, at[2] = 0xC3, at[3] = 0xCC;
        }
    return !mprotect(code, 4096, PROT_READ | PROT_EXEC);
}

static inline Float80 *st(Env *env, unsigned n) { return &env->st[(env->top + n) & 7]; }
static inline uint8_t *tag(Env *env, unsigned n) { return &env->tags[(env->top + n) & 7]; }

/* A waiting instruction: an unmasked exception of an earlier one is raised now. */
static inline void wait(Env *env, uintptr_t host_pc)
{
    if (__builtin_expect(env->status & ES, 0)) core_raise(env, VECTOR_MF, host_pc);
}

static inline bool masked(const Env *env) { return (env->control & EXCEPTIONS) == EXCEPTIONS; }

/* Whether an unmasked exception of the operands has kept this instruction from doing anything, storing and popping included. (An earlier one
 * cannot be pending: the instruction would have raised it.) */
static inline bool stopped(const Env *env) { return env->status & ES && env->status & ~env->control & OPERANDS; }

static void summarize(Env *env)
{
    env->status &= ~(ES | BUSY);
    if (env->status & ~env->control & EXCEPTIONS) env->status |= ES | BUSY;
}

/* The long way. */
static void execute(Env *env, const uint8_t *code, void *operand)
{
    Image image = {.control = env->control | 0xFFFF0000u, .status = (env->status & ~(TOP | ES | BUSY)) | env->top << 11 | 0xFFFF0000u};
    uint32_t tags = 0;
    for (unsigned i = 0; i < 8; i++) {
        if (env->tags[i]) tags |= 3u << 2 * i;
        memcpy(image.st[i], st(env, i), 10);
    }
    image.tags = tags | 0xFFFF0000u;
    __asm__ volatile("frstor (%0)\n\tcall *%1\n\tfnsave (%0)"
                     : : "r"(&image), "r"(code), "D"(operand)
                     : "memory", "cc", "st", "st(1)", "st(2)", "st(3)", "st(4)", "st(5)", "st(6)", "st(7)");
    env->top = image.status >> 11 & 7;
    env->status = image.status & ~TOP;
    for (unsigned i = 0; i < 8; i++) {
        env->tags[i] = (image.tags >> 2 * i & 3) == 3;
        memcpy(st(env, i), image.st[i], 10);
    }
}

static void execute_register(Env *env, unsigned opcode, unsigned modrm)
{
    execute(env, register_forms + 4 * (64 * (opcode - 0xD8) + modrm - 0xC0), NULL);
}

static void execute_memory(Env *env, unsigned opcode, unsigned operation, void *operand)
{
    execute(env, memory_forms + 4 * (8 * (opcode - 0xD8) + operation), operand);
}

/* The same for an instruction that pops, where Unicorn calls fpop by itself afterwards. */
static void execute_without_pop(Env *env, unsigned opcode, unsigned operation, void *operand)
{
    unsigned top = env->top;
    Float80 value = *st(env, 0);
    execute_memory(env, opcode, operation, operand);
    if (env->top != top) {
        env->top = top;
        *tag(env, 0) = 0;
        *st(env, 0) = value;
    }
}

/* The short way: x87 code under the guest's control word, with %[x] and %[y] as operands in memory. Flags and C1 go to the status word. */
#define SHORT(env, code, ...) \
    do { \
        uint16_t control_ = (env)->control | EXCEPTIONS, status_; \
        static const uint16_t default_ = DEFAULT; \
        if (__builtin_expect(control_ == DEFAULT, 1)) \
            __asm__ volatile(code : [sw] "=a"(status_) __VA_ARGS__); \
        else \
            __asm__ volatile("fldcw %[cw]\n\t" code "\n\tfldcw %[usual]" : [sw] "=a"(status_) __VA_ARGS__, [cw] "m"(control_), [usual] "m"(default_)); \
        (env)->status = ((env)->status & ~C1) | (status_ & (EXCEPTIONS | C1)); \
    } while (0)

/* The host's own flags are sticky, as the guest's are; they are cleared with the guest's, and around a run. */
void core_clear_x87(void) { __asm__ volatile("fnclex"); }

/* -- operands -- */

enum Origin { REGISTER, SINGLE, DOUBLE, INTEGER };
static struct { enum Origin origin; unsigned number; union { uint32_t s; uint64_t d; int32_t i; } raw; } ft0;

static void set_ft0(Env *env, const void *value) { memcpy(&env->ft0, value, 10); }

/* A memory operand. The short way converts it at once, with the flags that this raises. */
#define OPERAND(name, type, code, from, field) \
    static void name(Env *env, type value) \
    { \
        wait(env, HERE); \
        ft0.origin = from, ft0.raw.field = value; \
        Float80 r; \
        if (masked(env)) { \
            SHORT(env, code " %[x]\n\tfnstsw %[sw]\n\tfstpt %[r]", , [r] "=m"(r) : [x] "m"(ft0.raw.field)); \
            set_ft0(env, &r); \
        } \
    }
OPERAND(flds_ft0, uint32_t, "flds", SINGLE, s) OPERAND(fldl_ft0, uint64_t, "fldl", DOUBLE, d) OPERAND(fildl_ft0, int32_t, "fildl", INTEGER, i)

static void fmov_ft0_stn(Env *env, unsigned n)
{
    wait(env, HERE);
    ft0.origin = REGISTER, ft0.number = n;
    env->ft0 = *st(env, n);
}

/* For FTST: 0.0, which is no operand. */
static void fldz_ft0(Env *env)
{
    wait(env, HERE);
    ft0.origin = REGISTER, ft0.number = 8;
}

/* Whether both operands are there and nothing can be raised but flags. */
static inline bool simple(Env *env) { return masked(env) && !*tag(env, 0) && !(ft0.origin == REGISTER && *tag(env, ft0.number)); }

/* The instruction of the group D8 (/operation) with FT0 as its operand. */
static void execute_with_ft0(Env *env, unsigned operation)
{
    static const uint8_t OPCODES[] = {[SINGLE] = 0xD8, [DOUBLE] = 0xDC, [INTEGER] = 0xDA};
    if (ft0.origin == REGISTER) execute_register(env, 0xD8, 0xC0 + 8 * operation + ft0.number);
    else execute_memory(env, OPCODES[ft0.origin], operation, &ft0.raw);
}

/* -- arithmetic. In the short way x is ST(1) and y is ST(0): FADDP, FMULP, FSUBP (x - y), FSUBRP (y - x), FDIVP (x / y), FDIVRP (y / x) -- */

#define POPPED(bytes) "fldt %[x]\n\tfldt %[y]\n\t.byte " bytes "\n\tfnstsw %[sw]\n\tfstpt %[r]"
#define ARITHMETIC(name, operation, reversed, bytes) \
    static void name##_st0_ft0(Env *env) \
    { \
        wait(env, HERE); \
        if (!simple(env)) { \
            execute_with_ft0(env, operation); \
            return; \
        } \
        Float80 *d = st(env, 0), r; \
        SHORT(env, POPPED(bytes), , [r] "=m"(r) : [x] "m"(*d), [y] "m"(env->ft0)); \
        memcpy(d, &r, 10); \
    } \
    static void name##_stn_st0(Env *env, unsigned n) \
    { \
        wait(env, HERE); \
        if (!masked(env) || *tag(env, 0) || *tag(env, n)) { \
            execute_register(env, 0xDC, 0xC0 + 8 * (reversed) + n); \
            return; \
        } \
        Float80 *d = st(env, n), r; \
        SHORT(env, POPPED(bytes), , [r] "=m"(r) : [x] "m"(*d), [y] "m"(*st(env, 0))); \
        memcpy(d, &r, 10); \
    }
/* In DC the two of each pair stand the other way round: DC E0+i is FSUBR, DC E8+i is FSUB. */
ARITHMETIC(fadd, 0, 0, "0xde,0xc1") ARITHMETIC(fmul, 1, 1, "0xde,0xc9")
ARITHMETIC(fsub, 4, 5, "0xde,0xe9") ARITHMETIC(fsubr, 5, 4, "0xde,0xe1")
ARITHMETIC(fdiv, 6, 7, "0xde,0xf9") ARITHMETIC(fdivr, 7, 6, "0xde,0xf1")

#define UNARY(name, code, modrm) \
    static void name(Env *env) \
    { \
        wait(env, HERE); \
        if (!masked(env) || *tag(env, 0)) { \
            execute_register(env, 0xD9, modrm); \
            return; \
        } \
        Float80 *d = st(env, 0), r; \
        SHORT(env, "fldt %[x]\n\t" code "\n\tfnstsw %[sw]\n\tfstpt %[r]", , [r] "=m"(r) : [x] "m"(*d)); \
        memcpy(d, &r, 10); \
    }
UNARY(fsqrt, "fsqrt", 0xFA) UNARY(frndint, "frndint", 0xFC) UNARY(fchs_st0, "fchs", 0xE0) UNARY(fabs_st0, "fabs", 0xE1)

#define WHOLE(name, modrm) \
    static void name(Env *env) \
    { \
        wait(env, HERE); \
        execute_register(env, 0xD9, modrm); \
    }
WHOLE(fxam_st0, 0xE5) WHOLE(f2xm1, 0xF0) WHOLE(fyl2x, 0xF1) WHOLE(fptan, 0xF2) WHOLE(fpatan, 0xF3) WHOLE(fxtract, 0xF4) WHOLE(fprem1, 0xF5)
WHOLE(fdecstp, 0xF6) WHOLE(fincstp, 0xF7) WHOLE(fprem, 0xF8) WHOLE(fyl2xp1, 0xF9) WHOLE(fsincos, 0xFB) WHOLE(fscale, 0xFD) WHOLE(fsin, 0xFE) WHOLE(fcos, 0xFF)

/* -- comparisons -- */

enum { CONDITIONS = 0x4500 }; /* C0 C2 C3 */

static void compare(Env *env, unsigned modrm_group, bool unordered)
{
    if (ft0.number == 8 && ft0.origin == REGISTER) {
        execute_register(env, 0xD9, 0xE4); /* ftst */
        return;
    }
    if (!simple(env)) {
        if (unordered) execute_register(env, 0xDD, 0xE0 + ft0.number); /* fucom st(n) */
        else execute_with_ft0(env, modrm_group);
        return;
    }
    uint16_t status;
    if (unordered)
        __asm__ volatile("fldt %[y]\n\tfldt %[x]\n\tfucompp\n\tfnstsw %[sw]" : [sw] "=a"(status) : [x] "m"(*st(env, 0)), [y] "m"(env->ft0));
    else
        __asm__ volatile("fldt %[y]\n\tfldt %[x]\n\tfcompp\n\tfnstsw %[sw]" : [sw] "=a"(status) : [x] "m"(*st(env, 0)), [y] "m"(env->ft0));
    env->status = (env->status & ~(CONDITIONS | C1)) | (status & (CONDITIONS | EXCEPTIONS));
}

static void fcom_st0_ft0(Env *env)
{
    wait(env, HERE);
    compare(env, 2, false);
}

static void fucom_st0_ft0(Env *env)
{
    wait(env, HERE);
    compare(env, 2, true);
}

/* FCOMI and FUCOMI: the flags of the CPU, of which they change what the host's change. */
static void compare_to_flags(Env *env, unsigned opcode, unsigned modrm, bool unordered)
{
    uint64_t flags = core_flags(env, env->cc_op) & 0x8D5; /* OF SF ZF AF PF CF */
    if (!masked(env) || *tag(env, 0) || *tag(env, ft0.number)) {
        /* The flags are those of a comparison with a NaN if the stack is at fault, and unchanged if that is unmasked. */
        execute_register(env, opcode, modrm + ft0.number);
        if (env->status & ES) return;
        flags = (flags & ~0x8D5) | 0x45;
    } else {
        uint16_t status;
        if (unordered)
            __asm__ volatile("fldt %[y]\n\tfldt %[x]\n\tpush %[f]\n\tpopf\n\tfucomip %%st(1), %%st\n\tpushf\n\tpop %[f]\n\tfnstsw %[sw]\n\tfstp %%st(0)"
                             : [sw] "=a"(status), [f] "+r"(flags) : [x] "m"(*st(env, 0)), [y] "m"(env->ft0) : "cc", "memory");
        else
            __asm__ volatile("fldt %[y]\n\tfldt %[x]\n\tpush %[f]\n\tpopf\n\tfcomip %%st(1), %%st\n\tpushf\n\tpop %[f]\n\tfnstsw %[sw]\n\tfstp %%st(0)"
                             : [sw] "=a"(status), [f] "+r"(flags) : [x] "m"(*st(env, 0)), [y] "m"(env->ft0) : "cc", "memory");
        env->status = (env->status & ~C1) | (status & EXCEPTIONS);
    }
    env->cc_src = flags & 0x8D5;
}

static void fcomi_st0_ft0(Env *env)
{
    wait(env, HERE);
    compare_to_flags(env, 0xDB, 0xF0, false);
}

static void fucomi_st0_ft0(Env *env)
{
    wait(env, HERE);
    compare_to_flags(env, 0xDB, 0xE8, true);
}

/* -- loads. Each pushes; where that is out of the ordinary the long way does it. -- */

static inline bool room(Env *env) { return masked(env) && *tag(env, 7); }

static inline Float80 *push(Env *env)
{
    env->top = (env->top - 1) & 7;
    *tag(env, 0) = 0;
    return st(env, 0);
}

#define LOAD(name, type, code, opcode, operation) \
    static void name(Env *env, type value) \
    { \
        wait(env, HERE); \
        if (!room(env)) { \
            execute_memory(env, opcode, operation, &value); \
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
    struct { uint64_t low; uint16_t high; } value;
    value.low = core_load64(env, address, HERE);
    value.high = core_load16(env, address + 8, HERE);
    if (!room(env)) {
        execute_memory(env, 0xDB, 5, &value);
        return;
    }
    env->status &= ~C1;
    memcpy(push(env), &value, 10);
}

static void fbld_st0(Env *env, uint64_t address)
{
    wait(env, HERE);
    struct { uint64_t low; uint16_t high; } value;
    value.low = core_load64(env, address, HERE);
    value.high = core_load16(env, address + 8, HERE);
    execute_memory(env, 0xDF, 4, &value);
}

/* fld st(i) and the constants: fpush, then a move into ST(0). The push is left to the move, which knows the instruction. */
static unsigned pushes;

static void fpush(Env *env)
{
    wait(env, HERE);
    pushes = 1;
}

/* n is counted after the push. */
static void fmov_st0_stn(Env *env, unsigned n)
{
    if (pushes) {
        pushes = 0;
        unsigned before = (n - 1) & 7;
        if (!room(env) || *tag(env, before)) {
            execute_register(env, 0xD9, 0xC0 + before);
            return;
        }
        Float80 value = *st(env, before);
        env->status &= ~C1;
        *push(env) = value;
        return;
    }
    *st(env, 0) = *st(env, n); /* fcmovcc, whose condition holds: see below */
    *tag(env, 0) = *tag(env, n);
}

#define CONSTANT(name, modrm) \
    static void name(Env *env) \
    { \
        pushes = 0; \
        execute_register(env, 0xD9, modrm); \
    }
CONSTANT(fld1_st0, 0xE8) CONSTANT(fldl2t_st0, 0xE9) CONSTANT(fldl2e_st0, 0xEA) CONSTANT(fldpi_st0, 0xEB) CONSTANT(fldlg2_st0, 0xEC)
CONSTANT(fldln2_st0, 0xED) CONSTANT(fldz_st0, 0xEE)

static void fmov_st0_ft0(Env *env) { *st(env, 0) = env->ft0; }

/* -- stores -- */

#define STORE(name, type, code, opcode, operation, pops) \
    static type name(Env *env) \
    { \
        wait(env, HERE); \
        type value = 0; \
        if (!masked(env) || *tag(env, 0)) { \
            if (pops) execute_without_pop(env, opcode, operation, &value); \
            else execute_memory(env, opcode, operation, &value); \
            return value; \
        } \
        SHORT(env, "fldt %[x]\n\t" code " %[r]\n\tfnstsw %[sw]", , [r] "=m"(value) : [x] "m"(*st(env, 0))); \
        return value; \
    }
STORE(fsts_st0, uint32_t, "fstps", 0xD9, 2, false) STORE(fstl_st0, uint64_t, "fstpl", 0xDD, 2, false)
STORE(fistl_st0, int32_t, "fistpl", 0xDB, 2, false) STORE(fistll_st0, int64_t, "fistpll", 0xDF, 7, true)
STORE(fisttl_st0, int32_t, "fisttpl", 0xDB, 1, true) STORE(fisttll_st0, int64_t, "fisttpll", 0xDD, 1, true)
STORE(fist16, int16_t, "fistps", 0xDF, 2, false) STORE(fistt16, int16_t, "fisttps", 0xDF, 1, true)

static int32_t fist16_value(Env *env) { return fist16(env); } /* tail call: the return address stays */
static int32_t fistt16_value(Env *env) { return fistt16(env); }

static void store80(Env *env, uint64_t address, const uint8_t *value, uintptr_t host_pc)
{
    uint64_t low;
    uint16_t high;
    memcpy(&low, value, 8);
    memcpy(&high, value + 8, 2);
    core_store16(env, address + 8, high, host_pc); /* the part that is more likely to be on a page behind */
    core_store64(env, address, low, host_pc);
}

static void fstt_st0(Env *env, uint64_t address)
{
    wait(env, HERE);
    uint8_t value[10];
    if (!masked(env) || *tag(env, 0)) {
        execute_without_pop(env, 0xDB, 7, value);
        if (stopped(env)) return;
    } else {
        memcpy(value, st(env, 0), 10);
        env->status &= ~C1;
    }
    store80(env, address, value, HERE);
}

static void fbst_st0(Env *env, uint64_t address)
{
    wait(env, HERE);
    uint8_t value[10];
    execute_without_pop(env, 0xDF, 6, value);
    if (!stopped(env)) store80(env, address, value, HERE);
}

/* fst st(n) */
static void fmov_stn_st0(Env *env, unsigned n)
{
    wait(env, HERE);
    if (!masked(env) || *tag(env, 0)) {
        execute_register(env, 0xDD, 0xD0 + n);
        return;
    }
    *st(env, n) = *st(env, 0);
    *tag(env, n) = 0;
    env->status &= ~C1;
}

static void fpop(Env *env)
{
    if (stopped(env)) return;
    *tag(env, 0) = 1;
    env->top = (env->top + 1) & 7;
}

static void fxchg_st0_stn(Env *env, unsigned n)
{
    wait(env, HERE);
    if (!masked(env) || *tag(env, 0) || *tag(env, n)) {
        execute_register(env, 0xD9, 0xC8 + n);
        return;
    }
    Float80 value = *st(env, 0);
    *st(env, 0) = *st(env, n);
    *st(env, n) = value;
    env->status &= ~C1;
}

static void ffree_stn(Env *env, unsigned n)
{
    wait(env, HERE);
    *tag(env, n) = 1;
}

/* -- control -- */

static void (*unicorn_fldcw)(Env *, uint32_t), (*unicorn_fninit)(Env *);

static void fldcw(Env *env, uint32_t value)
{
    wait(env, HERE);
    unicorn_fldcw(env, value);
    env->control = (value & 0x1F3F) | 0x40;
    summarize(env);
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

/* FNSTENV's image; wide: 7 words of 32 bits, else of 16. Where the latest instruction and operand were is not kept: 0. */
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
    summarize(env);
}

static void fsave(Env *env, uint64_t address, int wide)
{
    uint64_t registers = address + (wide ? 28 : 14);
    for (int i = 7; i >= 0; i--) store80(env, registers + 10 * i, (const uint8_t *)st(env, i), HERE);
    store_environment(env, address, wide, HERE);
    fninit(env);
}

#define HELPER(theirs, ours) {"helper_" #theirs "_x86_64", ours, NULL}
#define SAME(name) HELPER(name, name)
#define PAIR(name) HELPER(name##_ST0_FT0, name##_st0_ft0), HELPER(name##_STN_ST0, name##_stn_st0)

const Replacement uselib_x87[] = {
    HELPER(flds_FT0, flds_ft0), HELPER(fldl_FT0, fldl_ft0), HELPER(fildl_FT0, fildl_ft0), HELPER(fmov_FT0_STN, fmov_ft0_stn),
    HELPER(fldz_FT0, fldz_ft0),
    PAIR(fadd), PAIR(fmul), PAIR(fsub), PAIR(fsubr), PAIR(fdiv), PAIR(fdivr),
    SAME(fsqrt), SAME(frndint), HELPER(fchs_ST0, fchs_st0), HELPER(fabs_ST0, fabs_st0), HELPER(fxam_ST0, fxam_st0),
    SAME(f2xm1), SAME(fyl2x), SAME(fptan), SAME(fpatan), SAME(fxtract), SAME(fprem1), SAME(fprem), SAME(fyl2xp1), SAME(fsincos),
    SAME(fscale), SAME(fsin), SAME(fcos), SAME(fdecstp), SAME(fincstp),
    HELPER(fcom_ST0_FT0, fcom_st0_ft0), HELPER(fucom_ST0_FT0, fucom_st0_ft0), HELPER(fcomi_ST0_FT0, fcomi_st0_ft0),
    HELPER(fucomi_ST0_FT0, fucomi_st0_ft0),
    HELPER(flds_ST0, flds_st0), HELPER(fldl_ST0, fldl_st0), HELPER(fildl_ST0, fildl_st0), HELPER(fildll_ST0, fildll_st0),
    HELPER(fldt_ST0, fldt_st0), HELPER(fbld_ST0, fbld_st0), SAME(fpush), HELPER(fmov_ST0_STN, fmov_st0_stn),
    HELPER(fld1_ST0, fld1_st0), HELPER(fldl2t_ST0, fldl2t_st0), HELPER(fldl2e_ST0, fldl2e_st0), HELPER(fldpi_ST0, fldpi_st0),
    HELPER(fldlg2_ST0, fldlg2_st0), HELPER(fldln2_ST0, fldln2_st0), HELPER(fldz_ST0, fldz_st0), HELPER(fmov_ST0_FT0, fmov_st0_ft0),
    HELPER(fsts_ST0, fsts_st0), HELPER(fstl_ST0, fstl_st0), HELPER(fistl_ST0, fistl_st0), HELPER(fistll_ST0, fistll_st0),
    HELPER(fisttl_ST0, fisttl_st0), HELPER(fisttll_ST0, fisttll_st0), HELPER(fist_ST0, fist16_value), HELPER(fistt_ST0, fistt16_value),
    HELPER(fstt_ST0, fstt_st0), HELPER(fbst_ST0, fbst_st0), HELPER(fmov_STN_ST0, fmov_stn_st0), SAME(fpop),
    HELPER(fxchg_ST0_STN, fxchg_st0_stn), HELPER(ffree_STN, ffree_stn),
    {"helper_fldcw_x86_64", fldcw, (void **)&unicorn_fldcw}, SAME(fnstcw), SAME(fnstsw), SAME(fclex),
    {"helper_fninit_x86_64", fninit, (void **)&unicorn_fninit}, SAME(fwait), SAME(fstenv), SAME(fsave),
    {NULL, NULL, NULL},
};
