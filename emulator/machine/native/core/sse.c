/* SSE floating point, carried out by the host's own SSE unit: results, NaNs, flags of MXCSR and exceptions are the processor's.
 *
 * While the CPU runs, the host's MXCSR holds the guest's rounding mode, FTZ and DAZ, with every exception masked, and collects the flags
 * (core_enter_sse, core_leave_sse). They reach the guest's MXCSR where it is read: at the end of a run, and before STMXCSR (decode.c), FXSAVE and XSAVE.
 * If the guest has unmasked an exception, each operation looks at its own flags, and raises #XM before it has stored anything.
 * Source: Intel SDM volume 1, chapter 11; volume 2 for each instruction. */
#include "core.h"

#include <immintrin.h>
#include <string.h>

enum { FLAGS = 0x3F, MASKS = 0x1F80, CONTROL = 0xFFC0, INVALID_DENORMAL_ZERO = 7, UNDERFLOW = 0x10, PRECISION = 0x20, UNDERFLOW_MASK = 0x800, FLUSH_TO_ZERO = 0x8000 };

static inline uint32_t host_get(void)
{
    uint32_t value;
    __asm__ volatile("stmxcsr %0" : "=m"(value));
    return value;
}

static inline void host_set(uint32_t value) { __asm__ volatile("ldmxcsr %0" : : "m"(value)); }

static void take_flags(Env *env) { env->mxcsr |= host_get() & FLAGS; }

static void load_control(const Env *env) { host_set((env->mxcsr & CONTROL) | MASKS); }

static uint32_t outside; /* the process's own MXCSR, while the CPU runs */
static uint32_t inside;  /* the guest's, while the CPU does not run: */
static bool away;        /* in code of this process that may set flags, and that a longjmp may leave */

void core_enter_sse(Env *env)
{
    outside = host_get();
    away = false;
    load_control(env);
}

void core_leave_sse(Env *env)
{
    if (away) host_set(inside);
    take_flags(env);
    host_set(outside);
}

static void go_away(void)
{
    if (!away) inside = host_get();
    away = true;
}

static void come_back(void)
{
    host_set(inside);
    away = false;
}

static void *(*unicorn_translate)(void *, uint64_t, uint64_t, uint32_t, int);
static bool (*unicorn_fill)(void *, uint64_t, int, int, int, bool, uintptr_t);

/* tb_gen_code: the translator computes with doubles now and then. */
static void *translate(void *cpu, uint64_t pc, uint64_t base, uint32_t flags, int options)
{
    go_away();
    core_translating = true;
    void *block = unicorn_translate(cpu, pc, base, flags, options);
    core_translating = false;
    come_back();
    return block;
}

/* The byte that was looked up last: if it was refused, the address of the fault. */
static uint64_t asked_address;
EXPORT uint64_t uselib_core_asked(void) { return asked_address; }

/* unicorn_fill_tlb: calls Python. */
static bool fill(void *cpu, uint64_t address, int size, int access, int mmu_index, bool probe, uintptr_t host_pc)
{
    asked_address = address;
    bool was_away = away;
    go_away();
    bool found = unicorn_fill(cpu, address, size, access, mmu_index, probe, host_pc);
    if (!was_away) come_back();
    return found;
}

/* Before and after an operation whose exceptions may be unmasked. */
static inline bool begin(Env *env)
{
    if (__builtin_expect((env->mxcsr & MASKS) == MASKS, 1)) return false;
    take_flags(env);
    /* An unmasked underflow is raised for every tiny result, exact or not: flushing to zero, which is asked for while the exception is masked,
     * flags those. The result does not matter then. */
    host_set((env->mxcsr & CONTROL) | MASKS | (env->mxcsr & UNDERFLOW_MASK ? 0 : FLUSH_TO_ZERO));
    return true;
}

static __attribute__((noinline)) void end(Env *env, uintptr_t host_pc)
{
    uint32_t raised = host_get() & FLAGS, open = raised & ~(env->mxcsr >> 7);
    /* Exceptions of the operands come first, and then there is no result whose exceptions could be raised. */
    if (open & INVALID_DENORMAL_ZERO) raised &= INVALID_DENORMAL_ZERO;
    if (open & UNDERFLOW) raised &= ~PRECISION;
    env->mxcsr |= raised;
    load_control(env);
    if (open) core_raise(env, VECTOR_XM, host_pc);
}

#define AROUND(compute) \
    bool careful = begin(env); \
    compute; \
    if (careful) end(env, HERE)

static inline __m128i get(const Zmm *r) { return _mm_loadu_si128((const __m128i *)r); }
static inline void put(Zmm *r, __m128i value) { _mm_storeu_si128((__m128i *)r, value); }

/* d = d op s, of which s is the second operand in the processor's sense. */
#define BINARY(name) \
    static void name(Env *env, Zmm *d, const Zmm *s) \
    { \
        __m128i r = get(d), o = get(s); \
        AROUND(__asm__ volatile(#name " %1, %0" : "+x"(r) : "x"(o))); \
        put(d, r); \
    }
/* d = op(s); scalar forms keep the rest of d, and the packed ones have none. */
#define UNARY(name) BINARY(name)
#define FOUR(name) BINARY(name##ps) BINARY(name##pd) BINARY(name##ss) BINARY(name##sd)

FOUR(add) FOUR(sub) FOUR(mul) FOUR(div) FOUR(min) FOUR(max) FOUR(sqrt)
BINARY(haddps) BINARY(haddpd) BINARY(hsubps) BINARY(hsubpd) BINARY(addsubps) BINARY(addsubpd)
UNARY(rcpps) UNARY(rcpss) UNARY(rsqrtps) UNARY(rsqrtss)
UNARY(cvtps2pd) UNARY(cvtpd2ps) UNARY(cvtss2sd) UNARY(cvtsd2ss) UNARY(cvtdq2ps) UNARY(cvtdq2pd)
UNARY(cvtps2dq) UNARY(cvtpd2dq) UNARY(cvttps2dq) UNARY(cvttpd2dq)

#define COMPARE(name) BINARY(name##ps) BINARY(name##pd) BINARY(name##ss) BINARY(name##sd)
COMPARE(cmpeq) COMPARE(cmplt) COMPARE(cmple) COMPARE(cmpunord) COMPARE(cmpneq) COMPARE(cmpnlt) COMPARE(cmpnle) COMPARE(cmpord)

/* Flags go to cc_src; the translation says that they are there. ZF 0x40, PF 4, CF 1. */
#define ORDER(name) \
    static void name(Env *env, const Zmm *d, const Zmm *s) \
    { \
        __m128i a = get(d), b = get(s); \
        bool zero, parity, carry; \
        AROUND(__asm__ volatile(#name " %4, %3" : "=@ccz"(zero), "=@ccp"(parity), "=@ccc"(carry) : "x"(a), "x"(b))); \
        env->cc_src = zero << 6 | parity << 2 | carry; \
    }
ORDER(ucomiss) ORDER(ucomisd) ORDER(comiss) ORDER(comisd)

#define FROM_INTEGER(name, instruction, type) \
    static void name(Env *env, Zmm *d, type value) \
    { \
        __m128i r = get(d); \
        AROUND(__asm__ volatile(instruction " %1, %0" : "+x"(r) : "r"(value))); \
        put(d, r); \
    }
FROM_INTEGER(cvtsi2ss, "cvtsi2ssl", int32_t) FROM_INTEGER(cvtsi2sd, "cvtsi2sdl", int32_t)
FROM_INTEGER(cvtsq2ss, "cvtsi2ssq", int64_t) FROM_INTEGER(cvtsq2sd, "cvtsi2sdq", int64_t)

#define TO_INTEGER(name, instruction, type) \
    static type name(Env *env, const Zmm *s) \
    { \
        __m128i o = get(s); \
        type r; \
        AROUND(__asm__ volatile(instruction " %1, %0" : "=r"(r) : "x"(o))); \
        return r; \
    }
TO_INTEGER(cvtss2si, "cvtss2si", int32_t) TO_INTEGER(cvtsd2si, "cvtsd2si", int32_t)
TO_INTEGER(cvtss2sq, "cvtss2siq", int64_t) TO_INTEGER(cvtsd2sq, "cvtsd2siq", int64_t)
TO_INTEGER(cvttss2si, "cvttss2si", int32_t) TO_INTEGER(cvttsd2si, "cvttsd2si", int32_t)
TO_INTEGER(cvttss2sq, "cvttss2siq", int64_t) TO_INTEGER(cvttsd2sq, "cvttsd2siq", int64_t)

/* Between MMX and XMM registers: the other half of the 128 bits is zero, which raises nothing. */
#define FROM_MMX(name, instruction, store) \
    static void name(Env *env, Zmm *d, const Mmx *s) \
    { \
        __m128i r = _mm_setzero_si128(), o = _mm_cvtsi64_si128((int64_t)s->q); \
        AROUND(__asm__ volatile(instruction " %1, %0" : "+x"(r) : "x"(o))); \
        store; \
    }
FROM_MMX(cvtpi2ps, "cvtdq2ps", d->q[0] = (uint64_t)_mm_cvtsi128_si64(r)) FROM_MMX(cvtpi2pd, "cvtdq2pd", put(d, r))

#define TO_MMX(name, instruction, operand) \
    static void name(Env *env, Mmx *d, const Zmm *s) \
    { \
        __m128i r = _mm_setzero_si128(), o = operand; \
        AROUND(__asm__ volatile(instruction " %1, %0" : "+x"(r) : "x"(o))); \
        d->q = (uint64_t)_mm_cvtsi128_si64(r); \
    }
#define LOW(s) _mm_cvtsi64_si128((int64_t)s->q[0])
TO_MMX(cvtps2pi, "cvtps2dq", LOW(s)) TO_MMX(cvttps2pi, "cvttps2dq", LOW(s))
TO_MMX(cvtpd2pi, "cvtpd2dq", get(s)) TO_MMX(cvttpd2pi, "cvttpd2dq", get(s))

/* SSE4.1. The immediate is part of the instruction, so there is one for each value. */
#define MODE(name, n) case n: __asm__ volatile(name " $" #n ", %1, %0" : "+x"(r) : "x"(o)); break;
#define ROUND(name) \
    static void name(Env *env, Zmm *d, const Zmm *s, uint32_t mode) \
    { \
        __m128i r = get(d), o = get(s); \
        AROUND(switch (mode & 15) { \
            MODE(#name, 0) MODE(#name, 1) MODE(#name, 2) MODE(#name, 3) MODE(#name, 4) MODE(#name, 5) MODE(#name, 6) MODE(#name, 7) \
            MODE(#name, 8) MODE(#name, 9) MODE(#name, 10) MODE(#name, 11) MODE(#name, 12) MODE(#name, 13) MODE(#name, 14) MODE(#name, 15) \
        }); \
        put(d, r); \
    }
ROUND(roundps) ROUND(roundpd) ROUND(roundss) ROUND(roundsd)

/* Products of the chosen elements (others are 0 * 0), summed in pairs, and the sum where the low bits of the immediate say so. */
static void dpps(Env *env, Zmm *d, const Zmm *s, uint32_t mask)
{
    const __m128i bits = _mm_setr_epi32(1, 2, 4, 8), zero = _mm_setzero_si128();
    __m128i used = _mm_cmpgt_epi32(_mm_and_si128(_mm_set1_epi32(mask >> 4 & 15), bits), zero);
    __m128i wanted = _mm_cmpgt_epi32(_mm_and_si128(_mm_set1_epi32(mask & 15), bits), zero);
    __m128i r = _mm_and_si128(get(d), used), o = _mm_and_si128(get(s), used);
    AROUND(__asm__ volatile("mulps %1, %0\n\thaddps %0, %0\n\thaddps %0, %0" : "+x"(r) : "x"(o)));
    put(d, _mm_and_si128(r, wanted));
}

static void dppd(Env *env, Zmm *d, const Zmm *s, uint32_t mask)
{
    __m128i used = _mm_set_epi64x(-(int64_t)(mask >> 5 & 1), -(int64_t)(mask >> 4 & 1));
    __m128i wanted = _mm_set_epi64x(-(int64_t)(mask >> 1 & 1), -(int64_t)(mask & 1));
    __m128i r = _mm_and_si128(get(d), used), o = _mm_and_si128(get(s), used);
    AROUND(__asm__ volatile("mulpd %1, %0\n\thaddpd %0, %0" : "+x"(r) : "x"(o)));
    put(d, _mm_and_si128(r, wanted));
}

/* MXCSR itself */
static void (*unicorn_ldmxcsr)(Env *, uint32_t), (*unicorn_fxsave)(Env *, uint64_t), (*unicorn_fxrstor)(Env *, uint64_t);
static void (*unicorn_xsave)(Env *, uint64_t, uint64_t), (*unicorn_xsaveopt)(Env *, uint64_t, uint64_t), (*unicorn_xrstor)(Env *, uint64_t, uint64_t);

static void ldmxcsr(Env *env, uint32_t value)
{
    if (value & ~0xFFFFu) core_raise_error(env, VECTOR_GP, 0, HERE);
    unicorn_ldmxcsr(env, value);
    env->mxcsr = value;
    load_control(env);
}

void core_take_flags(Env *env) { take_flags(env); }

/* These save or restore memory at an address that may fault; the return address within the translated code must be the one that
 * Unicorn's function sees, so they are jumped to (a tail call). */
static void fxsave(Env *env, uint64_t address)
{
    take_flags(env);
    unicorn_fxsave(env, address);
}

static void xsave(Env *env, uint64_t address, uint64_t what)
{
    take_flags(env);
    unicorn_xsave(env, address, what);
}

static void xsaveopt(Env *env, uint64_t address, uint64_t what)
{
    take_flags(env);
    unicorn_xsaveopt(env, address, what);
}

/* A fault must come from here: Unicorn's function would not find the instruction by its own return address, which is in this file. */
static void check_image(Env *env, uint64_t address, uint64_t last, uint32_t alignment, uintptr_t host_pc)
{
    if (address & (alignment - 1)) core_raise_error(env, VECTOR_GP, 0, host_pc);
    core_read_byte(env, address, host_pc);
    core_read_byte(env, address + last, host_pc);
    uint32_t mxcsr = 0;
    for (int i = 0; i < 4; i++) mxcsr |= core_read_byte(env, address + 24 + i, host_pc) << 8 * i;
    if (mxcsr & ~0xFFFFu) core_raise_error(env, VECTOR_GP, 0, host_pc);
}

static void fxrstor(Env *env, uint64_t address)
{
    check_image(env, address, 511, 16, HERE);
    unicorn_fxrstor(env, address);
    load_control(env);
}

static void xrstor(Env *env, uint64_t address, uint64_t what)
{
    check_image(env, address, 575, 64, HERE);
    unicorn_xrstor(env, address, what);
    load_control(env);
}

#define HELPER(name) {"helper_" #name "_x86_64", name, NULL}
#define KEEPING(name) {"helper_" #name "_x86_64", name, (void **)&unicorn_##name}
#define SUFFIXED(name) {"helper_" #name "_xmm_x86_64", name, NULL}
#define PACKED_AND_SCALAR(name) HELPER(name##ps), HELPER(name##pd), HELPER(name##ss), HELPER(name##sd)

const Replacement uselib_sse[] = {
    PACKED_AND_SCALAR(add), PACKED_AND_SCALAR(sub), PACKED_AND_SCALAR(mul), PACKED_AND_SCALAR(div),
    PACKED_AND_SCALAR(min), PACKED_AND_SCALAR(max), PACKED_AND_SCALAR(sqrt),
    PACKED_AND_SCALAR(cmpeq), PACKED_AND_SCALAR(cmplt), PACKED_AND_SCALAR(cmple), PACKED_AND_SCALAR(cmpunord),
    PACKED_AND_SCALAR(cmpneq), PACKED_AND_SCALAR(cmpnlt), PACKED_AND_SCALAR(cmpnle), PACKED_AND_SCALAR(cmpord),
    HELPER(haddps), HELPER(haddpd), HELPER(hsubps), HELPER(hsubpd), HELPER(addsubps), HELPER(addsubpd),
    HELPER(rcpps), HELPER(rcpss), HELPER(rsqrtps), HELPER(rsqrtss),
    HELPER(cvtps2pd), HELPER(cvtpd2ps), HELPER(cvtss2sd), HELPER(cvtsd2ss), HELPER(cvtdq2ps), HELPER(cvtdq2pd),
    HELPER(cvtps2dq), HELPER(cvtpd2dq), HELPER(cvttps2dq), HELPER(cvttpd2dq),
    HELPER(ucomiss), HELPER(ucomisd), HELPER(comiss), HELPER(comisd),
    HELPER(cvtsi2ss), HELPER(cvtsi2sd), HELPER(cvtsq2ss), HELPER(cvtsq2sd),
    HELPER(cvtss2si), HELPER(cvtsd2si), HELPER(cvtss2sq), HELPER(cvtsd2sq),
    HELPER(cvttss2si), HELPER(cvttsd2si), HELPER(cvttss2sq), HELPER(cvttsd2sq),
    HELPER(cvtpi2ps), HELPER(cvtpi2pd), HELPER(cvtps2pi), HELPER(cvttps2pi), HELPER(cvtpd2pi), HELPER(cvttpd2pi),
    SUFFIXED(roundps), SUFFIXED(roundpd), SUFFIXED(roundss), SUFFIXED(roundsd), SUFFIXED(dpps), SUFFIXED(dppd),
    {"tb_gen_code_x86_64", translate, (void **)&unicorn_translate},
    {"unicorn_fill_tlb_x86_64", fill, (void **)&unicorn_fill},
    KEEPING(ldmxcsr), KEEPING(fxsave), KEEPING(xsave), KEEPING(xsaveopt), KEEPING(fxrstor), KEEPING(xrstor),
    {NULL, NULL, NULL},
};
