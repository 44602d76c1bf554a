/* SSE4.2's comparisons of strings, carried out by the host. The immediate is part of the instruction, so there is one for each value.
 * Source: Intel SDM volume 2, 4.1. */
#include "core.h"

#include <immintrin.h>

enum { CF = 1, ZF = 0x40, SF = 0x80, OF = 0x800, WHOLE = 0x100 }; /* WHOLE: lengths are in 64-bit registers (of the helper's argument) */

typedef struct { __m128i a, b, mask; int64_t length_a, length_b; uint32_t index; bool carry, zero, sign, overflow; } Comparison;

#define FLAGS_OUT "=@ccc"(c->carry), "=@ccz"(c->zero), "=@ccs"(c->sign), "=@cco"(c->overflow)
#define IMPLICIT(n) case n: \
    __asm__ volatile("pcmpistri %[how], %[b], %[a]" : "=c"(c->index), FLAGS_OUT : [a] "x"(c->a), [b] "x"(c->b), [how] "i"(n)); \
    if (mask) { register __m128i m __asm__("xmm0"); __asm__ volatile("pcmpistrm %[how], %[b], %[a]" : "=x"(m) : [a] "x"(c->a), [b] "x"(c->b), [how] "i"(n) : "cc"); c->mask = m; } \
    break;
#define EXPLICIT(n) case n: \
    __asm__ volatile("pcmpestri %[how], %[b], %[a]" : "=c"(c->index), FLAGS_OUT : [a] "x"(c->a), [b] "x"(c->b), "a"((int)c->length_a), "d"((int)c->length_b), [how] "i"(n)); \
    if (mask) { register __m128i m __asm__("xmm0"); __asm__ volatile("pcmpestrm %[how], %[b], %[a]" : "=x"(m) : [a] "x"(c->a), [b] "x"(c->b), "a"((int)c->length_a), "d"((int)c->length_b), [how] "i"(n) : "cc"); c->mask = m; } \
    break;
#define FOUR(X, n) X(n) X((n) + 1) X((n) + 2) X((n) + 3)
#define SIXTEEN(X, n) FOUR(X, n) FOUR(X, (n) + 4) FOUR(X, (n) + 8) FOUR(X, (n) + 12)
#define ALL(X) SIXTEEN(X, 0) SIXTEEN(X, 16) SIXTEEN(X, 32) SIXTEEN(X, 48) SIXTEEN(X, 64) SIXTEEN(X, 80) SIXTEEN(X, 96) SIXTEEN(X, 112)

/* Bit 7 of the immediate has no meaning. */
static void implicit(Comparison *c, uint32_t how, bool mask) { switch (how & 127) { ALL(IMPLICIT) } }
static void explicit(Comparison *c, uint32_t how, bool mask) { switch (how & 127) { ALL(EXPLICIT) } }

/* A length that counts is at most 16, by its absolute value. */
static int64_t length(uint64_t value, uint32_t how)
{
    int64_t n = how & WHOLE ? (int64_t)value : (int32_t)value;
    return n > 16 ? 16 : n < -16 ? 16 : n;
}

static Comparison prepare(const Env *env, const Zmm *d, const Zmm *s, uint32_t how)
{
    return (Comparison){.a = _mm_loadu_si128((const __m128i *)d), .b = _mm_loadu_si128((const __m128i *)s),
                        .length_a = length(env->regs[0], how), .length_b = length(env->regs[2], how)};
}

static void finish(Env *env, const Comparison *c, bool mask)
{
    if (mask) _mm_storeu_si128((__m128i *)&env->xmm[0], c->mask);
    else env->regs[1] = c->index;
    env->cc_src = (c->carry ? CF : 0) | (c->zero ? ZF : 0) | (c->sign ? SF : 0) | (c->overflow ? OF : 0);
}

#define STRING(name, kind, mask) \
    static void name(Env *env, Zmm *d, const Zmm *s, uint32_t how) \
    { \
        Comparison c = prepare(env, d, s, how); \
        kind(&c, how, mask); \
        finish(env, &c, mask); \
    }
STRING(pcmpistri, implicit, false) STRING(pcmpistrm, implicit, true) STRING(pcmpestri, explicit, false) STRING(pcmpestrm, explicit, true)

#define HELPER(name) {"helper_" #name "_xmm_x86_64", name, NULL}

const Replacement uselib_text[] = {HELPER(pcmpistri), HELPER(pcmpistrm), HELPER(pcmpestri), HELPER(pcmpestrm), {NULL, NULL, NULL}};
