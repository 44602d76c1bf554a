/* MMX: the change of the x87 to MMX, and SSSE3's instructions on MMX registers, which Unicorn carries out without that change.
 *
 * Unicorn's translator makes the change before it reads an operand in memory, and so has changed the state if the operand faults. Here
 * the call comes after the next load or store of the instruction (decode.c requests that by core_delay_mmx). Source: Intel SDM volume 1,
 * 9.5 and 9.6; volume 2 for each instruction. */
#include "core.h"

#include <immintrin.h>

enum { NONE = 8, ONES = 0xFFFF };

/* written: the register that the instruction writes, whose exponent (of the x87's register) it fills with ones; NONE. */
static inline __attribute__((always_inline)) void change(Env *env, unsigned written, uintptr_t host_pc)
{
    if (env->status & 0x80) core_raise(env, VECTOR_MF, host_pc); /* ES: an exception is pending */
    env->top = 0;
    for (int i = 0; i < 8; i++) env->tags[i] = 0;
    if (written < NONE) env->st[written].high = ONES;
}

static void enter_mmx(Env *env) { change(env, NONE, HERE); }
static void enter_and_write(Env *env, uint64_t written) { change(env, (unsigned)written, HERE); }

/* Which register that is, of an instruction with opcode 0F xx (0F38 xx, 0F3A xx: map 0x38, 0x3A) without 66, F2 or F3. */
static unsigned written_by(unsigned map, uint8_t opcode, uint8_t modrm)
{
    if (map == 0x0F && (opcode == 0x7E || opcode == 0x7F || opcode == 0xC5 || opcode == 0xD7 || opcode == 0xE7 || opcode == 0xF7 || opcode == 0x2A || opcode == 0x77)) {
        return opcode == 0x7F && modrm >= 0xC0 ? modrm & 7 : NONE; /* movd movq pextrw pmovmskb movntq maskmovq cvtpi2ps emms: they read */
    }
    return map == 0x0F && opcode >= 0x71 && opcode <= 0x73 ? modrm & 7 : modrm >> 3 & 7;
}

/* Done before the operand is read: raises a pending exception. */
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
        change(env, (Float80 *)d - env->st, HERE); \
        put(d, function(get(d), get(s))); \
    }
PLAIN(pmaddubsw, _mm_maddubs_epi16) PLAIN(pmulhrsw, _mm_mulhrs_epi16)
PLAIN(psignb, _mm_sign_epi8) PLAIN(psignw, _mm_sign_epi16) PLAIN(psignd, _mm_sign_epi32)

#define SINGLE(name, function) \
    static SSSE3 void name(Env *env, Mmx *d, const Mmx *s) \
    { \
        change(env, (Float80 *)d - env->st, HERE); \
        put(d, function(get(s))); \
    }
SINGLE(pabsb, _mm_abs_epi8) SINGLE(pabsw, _mm_abs_epi16) SINGLE(pabsd, _mm_abs_epi32)

/* Sums and differences of neighbours: those of the destination, and then those of the source. Both may be one register. */
#define NEIGHBOURS(name, function) \
    static SSSE3 void name(Env *env, Mmx *d, const Mmx *s) \
    { \
        change(env, (Float80 *)d - env->st, HERE); \
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
    change(env, (Float80 *)d - env->st, HERE);
    put(d, _mm_shuffle_epi8(get(d), _mm_and_si128(get(s), _mm_set1_epi8((char)0x87)))); /* three bits choose */
}

static void palignr(Env *env, Mmx *d, const Mmx *s, int32_t shift)
{
    change(env, (Float80 *)d - env->st, HERE);
    unsigned n = shift & 0xFF;
    unsigned __int128 both = (unsigned __int128)d->q << 64 | s->q;
    d->q = n >= 16 ? 0 : (uint64_t)(both >> 8 * n);
}

/* -- the call behind the operand -- */

static void (*gen_call)(void *tcg, void *function, void *result, int count, void **arguments);
static struct { Env *wanted; bool waits; unsigned written; void *tcg, *argument; } mode;

void core_delay_mmx(Env *env) { mode.wanted = env; }

void core_want_mmx(unsigned map, uint8_t opcode, uint8_t modrm) { mode.written = map ? written_by(map, opcode, modrm) : NONE; }

static void emit_change(void *tcg, void *env)
{
    if (mode.written >= NONE) {
        gen_call(tcg, enter_mmx, NULL, 1, &env);
        return;
    }
    void *written = (char *)tcg + (uintptr_t)core_constant(tcg, mode.written);
    gen_call(tcg, enter_and_write, NULL, 2, (void *[]){env, written});
    core_free_temporary(tcg, written);
}

void core_emit_delayed_mmx(void)
{
    if (!mode.waits) return;
    mode.waits = false;
    emit_change(mode.tcg, mode.argument);
}

/* tcg_gen_callN */
static void call(void *tcg, void *function, void *result, int count, void **arguments)
{
    if (count == 1 && function == (void *)enter_mmx) {
        if (!mode.wanted) {
            emit_change(tcg, arguments[0]);
            return;
        }
        core_emit_call(mode.wanted, CORE_CHECK_MMX);
        mode.wanted = NULL;
        mode.waits = true;
        mode.tcg = tcg, mode.argument = arguments[0];
        return;
    }
    if (core_emit_start(function) || core_emit_bmi(tcg, function, result, count, arguments)) return;
    if (core_emit_store(tcg, function, arguments) || core_emit_fcmov(tcg, function, arguments)) return;
    gen_call(tcg, function, result, count, arguments);
}

/* MASKMOVQ and MASKMOVDQU: bytes whose mask has the highest bit. */
static inline __attribute__((always_inline)) void masked_move(Env *env, const uint8_t *value, const uint8_t *mask, uint64_t address, unsigned size, uintptr_t host_pc)
{
    if (size == 8) core_check_alignment(env, address, size, host_pc);
    uint8_t any = 0;
    for (unsigned i = 0; i < size; i++) any |= mask[i];
    if (any & 0x80) core_probe(env, address, 1, 1, 1, host_pc); /* for a store at level 3: the reported address of a fault */
    for (unsigned i = 0; i < size; i++)
        if (mask[i] & 0x80) core_store_byte(env, address + i, value[i], host_pc);
}

static void maskmov_mmx(Env *env, const Mmx *d, const Mmx *s, uint64_t address) { masked_move(env, d->b, s->b, address, 8, HERE); }
static void maskmov_xmm(Env *env, const Zmm *d, const Zmm *s, uint64_t address) { masked_move(env, d->b, s->b, address, 16, HERE); }

#define HELPER(name) {"helper_" #name "_mmx_x86_64", name, NULL}

#define HELPER_XMM(name) {"helper_" #name "_xmm_x86_64", name##_xmm, NULL}

const Replacement uselib_mmx[] = {
    {"helper_enter_mmx_x86_64", enter_mmx, NULL},
    {"tcg_gen_callN_x86_64", call, (void **)&gen_call},
    HELPER(phaddw), HELPER(phaddd), HELPER(phaddsw), HELPER(phsubw), HELPER(phsubd), HELPER(phsubsw),
    HELPER_XMM(phaddw), HELPER_XMM(phaddd), HELPER_XMM(phaddsw), HELPER_XMM(phsubw), HELPER_XMM(phsubd), HELPER_XMM(phsubsw),
    HELPER(pmaddubsw), HELPER(pmulhrsw), HELPER(psignb), HELPER(psignw), HELPER(psignd), HELPER(pabsb), HELPER(pabsw), HELPER(pabsd),
    HELPER(pshufb), HELPER(palignr),
    {"helper_maskmov_mmx_x86_64", maskmov_mmx, NULL}, {"helper_maskmov_xmm_x86_64", maskmov_xmm, NULL},
    {"helper_pfmax_x86_64", enter_and_write, NULL}, /* as in bmi.c */
    {NULL, NULL, NULL},
};
