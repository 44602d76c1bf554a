/* BMI1's and BMI2's instructions with a destination register and a result that depends on two operands, carried out by the host: Unicorn has
 * BZHI, BEXTR, BLSI and 32-bit PDEP wrong in corners, inline in its translator.
 *
 * The translator is given PEXT with the same operands (decode.c), which loads the operand and calls a helper. That call is replaced by
 * one of a function here, with the instruction as third argument. The function stores the flags in cc_src, and the translator's record
 * of the flags is set to that. Source: Intel SDM volume 2, each instruction's page. */
#include "core.h"

/* Where the translator records the place of the flags: DisasContext of Unicorn 2.1.4. */
enum { CC_OP = 116, CC_OP_DIRTY = 124, CC_OP_EFLAGS = 1 };
enum { WIDE = 0x100 };

static uint64_t (*unicorn_pext)(uint64_t, uint64_t);
void *(*core_constant)(void *tcg, int64_t value);
void (*core_free_temporary)(void *tcg, void *temporary);
static unsigned wanted; /* of the instruction that is being translated; 0: it is none of these */

#define CASE(which, instruction, type) \
    case which: { \
        type r; \
        __asm__(instruction "\n\tlahf\n\tseto %%al" : "=&r"(r), "=&a"(flags) : "r"((type)v), "r"((type)s) : "cc"); \
        result = r; \
        break; \
    }
#define BOTH(which, instruction) CASE(which, instruction, uint32_t) CASE(which | WIDE, instruction, uint64_t)

/* v: the operand that VEX.vvvv names; s: the register or memory operand. */
static uint64_t compute(uint64_t v, uint64_t s, uint64_t what)
{
    uint64_t result = 0;
    uint16_t flags = 0; /* SF ZF AF PF CF in the upper byte, OF in the lower */
    switch (what) {
    BOTH(CORE_BZHI, "bzhi %2, %3, %0")
    BOTH(CORE_BEXTR, "bextr %2, %3, %0")
    BOTH(CORE_BLSR, "blsr %3, %0")
    BOTH(CORE_BLSMSK, "blsmsk %3, %0")
    BOTH(CORE_BLSI, "blsi %3, %0")
    BOTH(CORE_PDEP, "pdep %3, %2, %0")
    BOTH(CORE_PEXT, "pext %3, %2, %0")
    }
    if (core_running && !(what == CORE_PDEP || what == CORE_PEXT || what == (CORE_PDEP | WIDE) || what == (CORE_PEXT | WIDE)))
        core_running->cc_src = (flags >> 8 & 0xD5) | (flags & 1) << 11;
    return result;
}

static uint64_t pext(uint64_t v, uint64_t s) { return unicorn_pext(v, s); }

bool core_can_bmi(void)
{
    __builtin_cpu_init();
    return core_running && __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2");
}

void core_want_bmi(unsigned what, bool wide) { wanted = what ? what | (wide ? WIDE : 0) : 0; }

/* After the translation: the flags are in cc_src. */
void core_end_bmi(void *disas_context)
{
    unsigned what = wanted & ~WIDE;
    wanted = 0;
    if (!what || what == CORE_PDEP || what == CORE_PEXT) return;
    *(int *)((char *)disas_context + CC_OP) = CC_OP_EFLAGS;
    *(bool *)((char *)disas_context + CC_OP_DIRTY) = true;
}

bool core_emit_bmi(void *tcg, void *function, void *result, int count, void **arguments)
{
    if (!wanted || function != (void *)pext || count != 2) return false;
    void *what = (char *)tcg + (uintptr_t)core_constant(tcg, wanted); /* a TCGv is the distance of its TCGTemp from the context */
    core_gen_call(tcg, compute, result, 3, (void *[]){arguments[0], arguments[1], what});
    core_free_temporary(tcg, what);
    return true;
}

const Replacement uselib_bmi[] = {
    {"helper_pext_x86_64", pext, (void **)&unicorn_pext},
    {"helper_pfcmpge_x86_64", compute, NULL}, /* 3DNow! is not advertised: its helper is never called, so its entry can be used */
    {NULL, NULL, NULL},
};
