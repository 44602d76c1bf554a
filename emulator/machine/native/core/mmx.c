/* MMX: the change of the x87 to MMX, and SSSE3's instructions on MMX registers, which Unicorn carries out without that change.
 *
 * Unicorn's translator makes the change before it reads an operand in memory, and so has changed the state if the operand faults. Here the call
 * comes behind the next load or store of the instruction (decode.c asks for it by core_delay_mmx).
 * Source: Intel SDM volume 1, 9.5 and 9.6; volume 2 for each instruction. */
#include "core.h"

#include <immintrin.h>

#define HERE ((uintptr_t)__builtin_return_address(0))

static inline __attribute__((always_inline)) void change(Env *env, uintptr_t host_pc)
{
    if (env->status & 0x80) core_raise(env, VECTOR_MF, host_pc); /* ES: an exception is pending */
    env->top = 0;
    for (int i = 0; i < 8; i++) env->tags[i] = 0;
}

static void enter_mmx(Env *env) { change(env, HERE); }

/* What comes before the operand: an exception that is pending. */
void core_check_mmx(void)
{
    if (core_running && core_running->status & 0x80) core_raise(core_running, VECTOR_MF, HERE);
}

static inline __m128i get(const Mmx *r) { return _mm_cvtsi64_si128((int64_t)r->q); }
static inline void put(Mmx *r, __m128i value) { r->q = (uint64_t)_mm_cvtsi128_si64(value); }

#define SSSE3 __attribute__((target("ssse3")))

/* As the instruction for 128 bits, of which half is used. */
#define PLAIN(name, function) \
    static SSSE3 void name(Env *env, Mmx *d, const Mmx *s) \
    { \
        change(env, HERE); \
        put(d, function(get(d), get(s))); \
    }
PLAIN(pmaddubsw, _mm_maddubs_epi16) PLAIN(pmulhrsw, _mm_mulhrs_epi16)
PLAIN(psignb, _mm_sign_epi8) PLAIN(psignw, _mm_sign_epi16) PLAIN(psignd, _mm_sign_epi32)

#define SINGLE(name, function) \
    static SSSE3 void name(Env *env, Mmx *d, const Mmx *s) \
    { \
        change(env, HERE); \
        put(d, function(get(s))); \
    }
SINGLE(pabsb, _mm_abs_epi8) SINGLE(pabsw, _mm_abs_epi16) SINGLE(pabsd, _mm_abs_epi32)

/* Sums and differences of neighbours: those of the destination, and then those of the source. Both may be one register. */
#define NEIGHBOURS(name, function) \
    static SSSE3 void name(Env *env, Mmx *d, const Mmx *s) \
    { \
        change(env, HERE); \
        __m128i both = _mm_unpacklo_epi64(get(d), get(s)); \
        put(d, function(both, both)); \
    }
NEIGHBOURS(phaddw, _mm_hadd_epi16) NEIGHBOURS(phaddd, _mm_hadd_epi32) NEIGHBOURS(phaddsw, _mm_hadds_epi16)
NEIGHBOURS(phsubw, _mm_hsub_epi16) NEIGHBOURS(phsubd, _mm_hsub_epi32) NEIGHBOURS(phsubsw, _mm_hsubs_epi16)

#define NEIGHBOURS_XMM(name, function) \
    static SSSE3 void name##_xmm(Env *env, Zmm *d, const Zmm *s) \
    { \
        (void)env; \
        _mm_storeu_si128((__m128i *)d, function(_mm_loadu_si128((const __m128i *)d), _mm_loadu_si128((const __m128i *)s))); \
    }
NEIGHBOURS_XMM(phaddw, _mm_hadd_epi16) NEIGHBOURS_XMM(phaddd, _mm_hadd_epi32) NEIGHBOURS_XMM(phaddsw, _mm_hadds_epi16)
NEIGHBOURS_XMM(phsubw, _mm_hsub_epi16) NEIGHBOURS_XMM(phsubd, _mm_hsub_epi32) NEIGHBOURS_XMM(phsubsw, _mm_hsubs_epi16)

static SSSE3 void pshufb(Env *env, Mmx *d, const Mmx *s)
{
    change(env, HERE);
    put(d, _mm_shuffle_epi8(get(d), _mm_and_si128(get(s), _mm_set1_epi8((char)0x87)))); /* three bits choose */
}

static void palignr(Env *env, Mmx *d, const Mmx *s, int32_t shift)
{
    change(env, HERE);
    unsigned n = shift & 0xFF;
    unsigned __int128 both = (unsigned __int128)d->q << 64 | s->q;
    d->q = n >= 16 ? 0 : (uint64_t)(both >> 8 * n);
}

/* -- the call behind the operand -- */

static void (*gen_call)(void *tcg, void *function, void *result, int count, void **arguments);
static struct { Env *wanted; bool waits; void *tcg, *result, *argument; int count; } delayed;

void core_delay_mmx(Env *env) { delayed.wanted = env; }

void core_emit_delayed_mmx(void)
{
    if (!delayed.waits) return;
    delayed.waits = false;
    gen_call(delayed.tcg, enter_mmx, delayed.result, delayed.count, &delayed.argument);
}

/* tcg_gen_callN */
static void call(void *tcg, void *function, void *result, int count, void **arguments)
{
    if (delayed.wanted && count == 1 && function == (void *)enter_mmx) {
        core_emit_call(delayed.wanted, CORE_CHECK_MMX);
        delayed.wanted = NULL;
        delayed.waits = true;
        delayed.tcg = tcg, delayed.result = result, delayed.count = count, delayed.argument = arguments[0];
        return;
    }
    gen_call(tcg, function, result, count, arguments);
}

#define HELPER(name) {"helper_" #name "_mmx_x86_64", name, NULL}

#define HELPER_XMM(name) {"helper_" #name "_xmm_x86_64", name##_xmm, NULL}

const Replacement uselib_mmx[] = {
    {"helper_enter_mmx_x86_64", enter_mmx, NULL},
    {"tcg_gen_callN_x86_64", call, (void **)&gen_call},
    HELPER(phaddw), HELPER(phaddd), HELPER(phaddsw), HELPER(phsubw), HELPER(phsubd), HELPER(phsubsw),
    HELPER_XMM(phaddw), HELPER_XMM(phaddd), HELPER_XMM(phaddsw), HELPER_XMM(phsubw), HELPER_XMM(phsubd), HELPER_XMM(phsubsw),
    HELPER(pmaddubsw), HELPER(pmulhrsw), HELPER(psignb), HELPER(psignw), HELPER(psignd), HELPER(pabsb), HELPER(pabsw), HELPER(pabsd),
    HELPER(pshufb), HELPER(palignr),
    {NULL, NULL, NULL},
};
