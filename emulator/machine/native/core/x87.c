/* The x87, carried out by the host's x87: results, precision, flags, condition codes, stack faults and exceptions are the processor's.
 *
 * There are two ways. The short one is for the common case, both operands present and all exceptions masked: the operands are loaded,
 * the operation is done under the guest's control word, and the flags are added to the guest's. The long one is for everything else: the
 * whole x87 of the guest is loaded into the host's (FRSTOR), the instruction itself is executed there, and all of it is taken back
 * (FNSAVE, which does not wait, so an exception that the guest has unmasked stays in the image and is raised by the guest's next waiting
 * instruction).
 *
 * Unicorn's translation of an instruction calls several helpers: one that fetches an operand into FT0 or pushes, one that computes, one that
 * pops. `ft0` remembers where the operand came from, so that the long way can execute the instruction as it was written.
 * Source: Intel SDM volume 1, chapter 8; volume 2 for each instruction; the image is that of FNSAVE in 32-bit protected mode. */
#include "x87.h"

#include <sys/mman.h>

typedef struct {
    uint32_t control, status, tags, ip, cs, dp, ds;
    uint8_t st[8][10]; /* ST(0) first */
} __attribute__((packed)) Image;

/* Every x87 instruction: FIRST[opcode - D8] executes it on a register form, with a memory operand at rdi for the others. */
static uint8_t *register_forms, *memory_forms;

enum { FIXED_FLAGS = 0x202, ARITHMETIC_FLAGS = 0x8D5 };

uint32_t (*core_flags)(Env *env, int operation);

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

void core_x87_summarize(Env *env)
{
    env->status &= ~(ES | BUSY);
    if (env->status & ~env->control & EXCEPTIONS) env->status |= ES | BUSY;
}

/* The long way. flags: what FCMOV asks for. */
static void execute(Env *env, const uint8_t *code, void *operand, uint64_t flags)
{
    Image image = {.control = env->control | 0xFFFF0000u, .status = (env->status & ~(TOP | ES | BUSY)) | env->top << 11 | 0xFFFF0000u};
    uint32_t tags = 0;
    for (unsigned i = 0; i < 8; i++) {
        if (env->tags[i]) tags |= 3u << 2 * i;
        memcpy(image.st[i], st(env, i), 10);
    }
    image.tags = tags | 0xFFFF0000u;
    __asm__ volatile("push %3\n\tpopf\n\tfrstor (%0)\n\tcall *%1\n\tfnsave (%0)"
                     : : "r"(&image), "r"(code), "D"(operand), "r"(flags)
                     : "memory", "cc", "st", "st(1)", "st(2)", "st(3)", "st(4)", "st(5)", "st(6)", "st(7)");
    env->top = image.status >> 11 & 7;
    env->status = image.status & ~TOP;
    for (unsigned i = 0; i < 8; i++) {
        env->tags[i] = (image.tags >> 2 * i & 3) == 3;
        memcpy(st(env, i), image.st[i], 10);
    }
}

void core_x87_register(Env *env, unsigned opcode, unsigned modrm)
{
    execute(env, register_forms + 4 * (64 * (opcode - 0xD8) + modrm - 0xC0), NULL, FIXED_FLAGS);
}

void core_x87_memory(Env *env, unsigned opcode, unsigned operation, void *operand)
{
    execute(env, memory_forms + 4 * (8 * (opcode - 0xD8) + operation), operand, FIXED_FLAGS);
}

/* The host's flags are sticky, as the guest's are. They are cleared together with the guest's, and around a run. */
void core_clear_x87(void) { __asm__ volatile("fnclex"); }

/* -- operands -- */

enum Origin { REGISTER, SINGLE, DOUBLE, INTEGER };
static struct { enum Origin origin; unsigned number; union { uint32_t s; uint64_t d; int32_t i; } raw; } ft0;

/* A memory operand is kept unchanged, so that the operation can be executed as it was written. */
#define OPERAND(name, type, from, field) \
    static void name(Env *env, type value) \
    { \
        wait(env, HERE); \
        ft0.origin = from, ft0.raw.field = value; \
    }
OPERAND(flds_ft0, uint32_t, SINGLE, s) OPERAND(fldl_ft0, uint64_t, DOUBLE, d) OPERAND(fildl_ft0, int32_t, INTEGER, i)

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

/* Whether both operands are present and only flags can be raised. */
static inline bool simple(Env *env) { return masked(env) && !*tag(env, 0) && !(ft0.origin == REGISTER && *tag(env, ft0.number)); }

/* The instruction of the group D8 (/operation) with FT0 as its operand. */
static void execute_with_ft0(Env *env, unsigned operation)
{
    static const uint8_t OPCODES[] = {[SINGLE] = 0xD8, [DOUBLE] = 0xDC, [INTEGER] = 0xDA};
    if (ft0.origin == REGISTER) core_x87_register(env, 0xD8, 0xC0 + 8 * operation + ft0.number);
    else core_x87_memory(env, OPCODES[ft0.origin], operation, &ft0.raw);
}

/* -- arithmetic. In the short way x is ST(1) and y is ST(0): FADDP, FMULP, FSUBP (x - y), FSUBRP (y - x), FDIVP (x / y), FDIVRP (y / x) -- */

#define POPPED(bytes) "fldt %[x]\n\tfldt %[y]\n\t.byte " bytes "\n\tfnstsw %[sw]\n\tfstpt %[r]"
#define WITH(instruction) "fldt %[x]\n\t" instruction " %[y]\n\tfnstsw %[sw]\n\tfstpt %[r]"
#define ARITHMETIC(name, operation, reversed, bytes) \
    static void name##_st0_ft0(Env *env) \
    { \
        wait(env, HERE); \
        if (!simple(env)) { \
            execute_with_ft0(env, operation); \
            return; \
        } \
        Float80 *d = st(env, 0), r; \
        switch (ft0.origin) { \
        case REGISTER: SHORT(env, POPPED(bytes), , [r] "=m"(r) : [x] "m"(*d), [y] "m"(env->ft0)); break; \
        case SINGLE: SHORT(env, WITH(#name "s"), , [r] "=m"(r) : [x] "m"(*d), [y] "m"(ft0.raw.s)); break; \
        case DOUBLE: SHORT(env, WITH(#name "l"), , [r] "=m"(r) : [x] "m"(*d), [y] "m"(ft0.raw.d)); break; \
        case INTEGER: SHORT(env, WITH(INTEGER_##name), , [r] "=m"(r) : [x] "m"(*d), [y] "m"(ft0.raw.i)); break; \
        } \
        memcpy(d, &r, 10); \
    } \
    static void name##_stn_st0(Env *env, unsigned n) \
    { \
        wait(env, HERE); \
        if (!masked(env) || *tag(env, 0) || *tag(env, n)) { \
            core_x87_register(env, 0xDC, 0xC0 + 8 * (reversed) + n); \
            return; \
        } \
        Float80 *d = st(env, n), r; \
        SHORT(env, POPPED(bytes), , [r] "=m"(r) : [x] "m"(*d), [y] "m"(*st(env, 0))); \
        memcpy(d, &r, 10); \
    }
#define INTEGER_fadd "fiaddl"
#define INTEGER_fmul "fimull"
#define INTEGER_fsub "fisubl"
#define INTEGER_fsubr "fisubrl"
#define INTEGER_fdiv "fidivl"
#define INTEGER_fdivr "fidivrl"
/* In DC the two of each pair stand the other way round: DC E0+i is FSUBR, DC E8+i is FSUB. */
ARITHMETIC(fadd, 0, 0, "0xde,0xc1") ARITHMETIC(fmul, 1, 1, "0xde,0xc9")
ARITHMETIC(fsub, 4, 5, "0xde,0xe9") ARITHMETIC(fsubr, 5, 4, "0xde,0xe1")
ARITHMETIC(fdiv, 6, 7, "0xde,0xf9") ARITHMETIC(fdivr, 7, 6, "0xde,0xf1")

#define UNARY(name, code, modrm) \
    static void name(Env *env) \
    { \
        wait(env, HERE); \
        if (!masked(env) || *tag(env, 0)) { \
            core_x87_register(env, 0xD9, modrm); \
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
        core_x87_register(env, 0xD9, modrm); \
    }
WHOLE(fxam_st0, 0xE5) WHOLE(f2xm1, 0xF0) WHOLE(fyl2x, 0xF1) WHOLE(fptan, 0xF2) WHOLE(fpatan, 0xF3) WHOLE(fxtract, 0xF4) WHOLE(fprem1, 0xF5)
WHOLE(fdecstp, 0xF6) WHOLE(fincstp, 0xF7) WHOLE(fprem, 0xF8) WHOLE(fyl2xp1, 0xF9) WHOLE(fsincos, 0xFB) WHOLE(fscale, 0xFD) WHOLE(fsin, 0xFE) WHOLE(fcos, 0xFF)

/* -- comparisons -- */

enum { CONDITIONS = 0x4500 }; /* C0 C2 C3 */

static void compare(Env *env, unsigned modrm_group, bool unordered)
{
    if (ft0.number == 8 && ft0.origin == REGISTER) {
        core_x87_register(env, 0xD9, 0xE4); /* ftst */
        return;
    }
    if (!simple(env)) {
        if (unordered) core_x87_register(env, 0xDD, 0xE0 + ft0.number); /* fucom st(n) */
        else execute_with_ft0(env, modrm_group);
        return;
    }
    uint16_t status;
    Float80 *d = st(env, 0);
    if (unordered)
        __asm__ volatile("fldt %[y]\n\tfldt %[x]\n\tfucompp\n\tfnstsw %[sw]" : [sw] "=a"(status) : [x] "m"(*d), [y] "m"(env->ft0));
    else if (ft0.origin == REGISTER)
        __asm__ volatile("fldt %[y]\n\tfldt %[x]\n\tfcompp\n\tfnstsw %[sw]" : [sw] "=a"(status) : [x] "m"(*d), [y] "m"(env->ft0));
    else if (ft0.origin == SINGLE)
        __asm__ volatile("fldt %[x]\n\tfcomps %[y]\n\tfnstsw %[sw]" : [sw] "=a"(status) : [x] "m"(*d), [y] "m"(ft0.raw.s));
    else if (ft0.origin == DOUBLE)
        __asm__ volatile("fldt %[x]\n\tfcompl %[y]\n\tfnstsw %[sw]" : [sw] "=a"(status) : [x] "m"(*d), [y] "m"(ft0.raw.d));
    else
        __asm__ volatile("fldt %[x]\n\tficompl %[y]\n\tfnstsw %[sw]" : [sw] "=a"(status) : [x] "m"(*d), [y] "m"(ft0.raw.i));
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

/* FCOMI and FUCOMI: they set the CPU's flags, as the host's instructions do. */
static void compare_to_flags(Env *env, unsigned opcode, unsigned modrm, bool unordered)
{
    uint64_t flags = core_flags(env, env->cc_op) & ARITHMETIC_FLAGS; /* OF SF ZF AF PF CF */
    if (!masked(env) || *tag(env, 0) || *tag(env, ft0.number)) {
        /* The flags are those of a comparison with a NaN if the stack is at fault, and unchanged if that is unmasked. */
        core_x87_register(env, opcode, modrm + ft0.number);
        if (env->status & ES) return;
        flags = (flags & ~ARITHMETIC_FLAGS) | 0x45;
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
    env->cc_src = flags & ARITHMETIC_FLAGS;
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

/* -- conditional moves -- */

/* FCMOVcc. The translator gets FCOMI with the same register (decode.c). It emits calls of fmov_FT0_STN and fcomi_ST0_FT0, before them
 * all that is needed to compute the flags, and records that they are in cc_src. This function replaces both calls. what: opcode << 8 |
 * modrm. */
static unsigned wanted; /* the one that is being translated; 0: none */

void core_want_fcmov(unsigned what) { wanted = what; }

static bool holds(unsigned what, uint32_t flags)
{
    static const uint8_t WHICH[] = {0x01, 0x40, 0x41, 0x04}; /* CF, ZF, either, PF */
    return !(flags & WHICH[what >> 3 & 3]) == (what >> 8 == 0xDB);
}

static void fcmov(Env *env, uint64_t what)
{
    wait(env, HERE);
    unsigned n = what & 7;
    uint32_t flags = core_flags(env, env->cc_op) & ARITHMETIC_FLAGS;
    env->cc_src = flags;
    if (!masked(env) || *tag(env, 0) || *tag(env, n)) {
        execute(env, register_forms + 4 * (64 * ((what >> 8) - 0xD8) + (what & 0x3F)), NULL, FIXED_FLAGS | flags);
        return;
    }
    if (holds(what, flags)) *st(env, 0) = *st(env, n);
    env->status &= ~C1;
}

bool core_emit_fcmov(void *tcg, void *function, void **arguments)
{
    if (!wanted) return false;
    if (function != (void *)fcomi_st0_ft0) return function == (void *)fmov_ft0_stn;
    void *what = (char *)tcg + (uintptr_t)core_constant(tcg, wanted);
    core_gen_call(tcg, fcmov, NULL, 2, (void *[]){arguments[0], what});
    core_free_temporary(tcg, what);
    return true;
}

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
    {"helper_pfmin_x86_64", fcmov, NULL}, /* as in bmi.c */
    {NULL, NULL, NULL},
};
