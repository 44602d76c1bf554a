/* The x87's stack: pushes, pops and moves between its registers. x87.c explains the two ways in which an instruction is carried out.
 * Source: Intel SDM volume 1, chapter 8; volume 2 for each instruction. */
#include "x87.h"

/* -- pushes -- */

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
            core_x87_register(env, 0xD9, 0xC0 + before);
            return;
        }
        Float80 value = *st(env, before);
        env->status &= ~C1;
        *push(env) = value;
        return;
    }
    *st(env, 0) = *st(env, n); /* fcmovcc of another user's engine, whose condition holds */
    *tag(env, 0) = *tag(env, n);
}

#define CONSTANT(name, modrm) \
    static void name(Env *env) \
    { \
        pushes = 0; \
        core_x87_register(env, 0xD9, modrm); \
    }
CONSTANT(fld1_st0, 0xE8) CONSTANT(fldl2t_st0, 0xE9) CONSTANT(fldl2e_st0, 0xEA) CONSTANT(fldpi_st0, 0xEB) CONSTANT(fldlg2_st0, 0xEC)
CONSTANT(fldln2_st0, 0xED) CONSTANT(fldz_st0, 0xEE)

static void fmov_st0_ft0(Env *env) { *st(env, 0) = env->ft0; }

/* -- moves -- */

/* Whether an unmasked exception of the operands has kept this instruction from doing anything, popping included. (An earlier one cannot be
 * pending: the instruction would have raised it.) */
static inline bool stopped(const Env *env) { return env->status & ES && env->status & ~env->control & (IE | DE | ZE); }

/* fst st(n) */
static void fmov_stn_st0(Env *env, unsigned n)
{
    wait(env, HERE);
    if (!masked(env) || *tag(env, 0)) {
        core_x87_register(env, 0xDD, 0xD0 + n);
        return;
    }
    *st(env, n) = *st(env, 0);
    *tag(env, n) = 0;
    env->status &= ~C1;
}

void core_fpop(Env *env)
{
    if (stopped(env)) return;
    *tag(env, 0) = 1;
    env->top = (env->top + 1) & 7;
}

static void fxchg_st0_stn(Env *env, unsigned n)
{
    wait(env, HERE);
    if (!masked(env) || *tag(env, 0) || *tag(env, n)) {
        core_x87_register(env, 0xD9, 0xC8 + n);
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

const Replacement uselib_x87_stack[] = {
    SAME(fpush), HELPER(fmov_ST0_STN, fmov_st0_stn),
    HELPER(fld1_ST0, fld1_st0), HELPER(fldl2t_ST0, fldl2t_st0), HELPER(fldl2e_ST0, fldl2e_st0), HELPER(fldpi_ST0, fldpi_st0),
    HELPER(fldlg2_ST0, fldlg2_st0), HELPER(fldln2_ST0, fldln2_st0), HELPER(fldz_ST0, fldz_st0), HELPER(fmov_ST0_FT0, fmov_st0_ft0),
    HELPER(fmov_STN_ST0, fmov_stn_st0), HELPER(fpop, core_fpop),
    HELPER(fxchg_ST0_STN, fxchg_st0_stn), HELPER(ffree_STN, ffree_stn),
    {NULL, NULL, NULL},
};
