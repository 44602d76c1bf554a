/* A look at each instruction before Unicorn translates it.
 *
 * Unicorn's translator takes LOCK before instructions that may not have it (one form ends the process by an assertion), ignores that SSE
 * operands in memory must be aligned, loads MXCSR without asking for its flags, and lets a program use ports. Here the instruction is decoded
 * as far as needed; then the translator is given other bytes (UD2, HLT), or its first load or store is told to check the alignment, which costs
 * nothing where the address is aligned (the check is part of the comparison with the TLB's tag).
 * Source: Intel SDM volume 2, chapter 2 (formats) and appendix A (opcode maps); LOCK in its own page. */
#include "core.h"

#include <string.h>

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
static uint32_t (*unicorn_code8)(Env *, uint64_t), (*unicorn_code32)(Env *, uint64_t);
static void (*unicorn_load64)(void *tcg, void *value, void *address, uintptr_t index, uint32_t how);
static void (*unicorn_store64)(void *tcg, void *value, void *address, uintptr_t index, uint32_t how);

/* Of the instruction that is being translated. One engine translates at a time: all of it happens within uc_emu_start. */
static struct {
    uint64_t at;             /* its address */
    uint8_t bytes[15];       /* what the translator sees */
    uint32_t substituted;    /* bit n: instead of byte n */
    bool half;               /* it reads 8 bytes, for which the translator makes two loads */
    void *first;             /* address of the first of them */
    bool aligned;            /* its next load or store of 8 bytes is half of an operand that must be aligned to 16 */
} now;

enum { SIZE_64 = 3, SIZE_MASK = 3, ALIGN_MASK = 7 << 4, ALIGN_16 = 4 << 4 }; /* MemOp */

typedef struct {
    Env *env;
    uint64_t pc;
    unsigned length;
    bool wide, too_long;     /* 64-bit mode; more than 15 bytes */
    bool lock, operand_size, address_size, rep, repne;
    unsigned operand_size_at, rex_at; /* where they are */
    unsigned second;         /* where the byte behind 0F is */
    uint8_t rex;
} Decoder;

/* The next byte. A page that cannot be executed raises its fault here, as it would in the translator. */
static uint8_t next(Decoder *d)
{
    if (d->length >= 15) {
        d->too_long = true;
        return 0;
    }
    return unicorn_code8(d->env, d->pc + d->length++);
}

static bool lock_allowed(Decoder *d, uint8_t opcode)
{
    if (opcode == 0x0F) {
        d->second = d->length;
        uint8_t second = next(d);
        bool group = second == 0xBA || second == 0xC7;
        if (!group && second != 0xAB && second != 0xB3 && second != 0xBB && second != 0xB0 && second != 0xB1 && second != 0xC0 && second != 0xC1)
            return false; /* bts btr btc cmpxchg xadd */
        uint8_t modrm = next(d), operation = modrm >> 3 & 7;
        if (modrm >= 0xC0) return false;
        return second == 0xBA ? operation >= 5 : second == 0xC7 ? operation == 1 : true;
    }
    bool arithmetic = opcode < 0x32 && (opcode & 7) < 2; /* add or adc sbb and sub xor, with a destination in memory */
    bool group = (opcode >= 0x80 && opcode <= 0x83) || opcode == 0xF6 || opcode == 0xF7 || opcode == 0xFE || opcode == 0xFF;
    if (!arithmetic && !group && opcode != 0x86 && opcode != 0x87) return false;
    uint8_t modrm = next(d), operation = modrm >> 3 & 7;
    if (modrm >= 0xC0) return false;
    if (opcode >= 0x80 && opcode <= 0x83) return operation != 7; /* cmp */
    if (opcode == 0xF6 || opcode == 0xF7) return operation == 2 || operation == 3; /* not neg */
    if (opcode >= 0xFE) return operation < 2;                                      /* inc dec */
    return true;
}

/* Whether a memory operand of the two-byte opcode must be aligned to 16 bytes. Columns: no prefix, 66, F3, F2. */
enum { NONE = 1, X66 = 2, XF3 = 4, XF2 = 8 };
static const uint8_t ALIGNED_0F[256] = {
    [0x12] = XF3, [0x16] = XF3,                                           /* movsldup movshdup */
    [0x14] = NONE | X66, [0x15] = NONE | X66,                             /* unpcklp unpckhp */
    [0x28] = NONE | X66, [0x29] = NONE | X66, [0x2B] = NONE | X66,        /* movap movntp */
    [0x2C] = X66, [0x2D] = X66,                                           /* cvttpd2pi cvtpd2pi */
    [0x51] = NONE | X66, [0x52] = NONE, [0x53] = NONE, [0x54] = NONE | X66, [0x55] = NONE | X66, [0x56] = NONE | X66,
    [0x57] = NONE | X66, [0x58] = NONE | X66, [0x59] = NONE | X66, [0x5A] = X66, [0x5B] = NONE | X66 | XF3,
    [0x5C] = NONE | X66, [0x5D] = NONE | X66, [0x5E] = NONE | X66, [0x5F] = NONE | X66,
    [0x60 ... 0x6D] = X66, [0x6F] = X66, [0x7F] = X66, [0x70] = X66 | XF3 | XF2, [0x74 ... 0x76] = X66,
    [0x7C] = X66 | XF2, [0x7D] = X66 | XF2, [0xC2] = NONE | X66, [0xC6] = NONE | X66,
    [0xD0] = X66 | XF2, [0xD1 ... 0xD5] = X66, [0xD8 ... 0xE5] = X66, [0xE6] = X66 | XF2, [0xE7 ... 0xEF] = X66,
    [0xF1 ... 0xF6] = X66, [0xF8 ... 0xFE] = X66,
};

static bool aligned_0f38(uint8_t opcode)
{
    return opcode <= 0x0B || opcode == 0x10 || opcode == 0x14 || opcode == 0x15 || opcode == 0x17 || (opcode >= 0x1C && opcode <= 0x1E)
        || (opcode >= 0x28 && opcode <= 0x2B) || (opcode >= 0x37 && opcode <= 0x41) || (opcode >= 0xDB && opcode <= 0xDF);
}

static bool aligned_0f3a(uint8_t opcode)
{
    return opcode == 8 || opcode == 9 || (opcode >= 0x0C && opcode <= 0x0F) || (opcode >= 0x40 && opcode <= 0x44) || opcode == 0xDF;
}

static void substitute(unsigned position, uint8_t byte)
{
    now.bytes[position] = byte;
    now.substituted |= 1u << position;
}

static void refuse(void)
{
    substitute(0, 0x0F);
    substitute(1, 0x0B); /* 0f 0b  ud2 */
}

/* Reads ModRM, and what belongs to its memory operand; the ModRM. 16-bit addresses are left to the translator. */
static uint8_t operands(Decoder *d)
{
    uint8_t modrm = next(d), mode = modrm >> 6, rm = modrm & 7;
    unsigned displacement = mode == 1 ? 1 : mode == 2 || (mode == 0 && rm == 5) ? 4 : 0;
    if (mode == 3) return modrm;
    if (rm == 4 && (next(d) & 7) == 5 && mode == 0) displacement = 4;
    while (displacement--) next(d);
    return modrm;
}

/* The two-byte opcodes for which F2 and F3 choose the instruction, and then 66 means nothing. Unicorn has it the other way. */
static bool chosen_by_prefix(uint8_t opcode)
{
    return (opcode >= 0x10 && opcode <= 0x17) || (opcode >= 0x28 && opcode <= 0x2F) || (opcode >= 0x50 && opcode <= 0x7F) || opcode == 0xC2
        || (opcode >= 0xC4 && opcode <= 0xC6) || opcode >= 0xD0;
}

/* Forms that do not exist, which Unicorn executes, or refuses when it has changed something already. */
static bool missing_form(uint8_t opcode, unsigned column, uint8_t modrm)
{
    bool memory = modrm < 0xC0;
    int operation = modrm >> 3 & 7;
    switch (opcode) {
    case 0x20: case 0x22: return operation == 1 || operation >= 5; /* control registers; with REX.R there is only 8 */
    case 0x12: case 0x16: return !memory && column == X66;
    case 0x13: case 0x17: case 0x2B: case 0xE7: return !memory;
    case 0x50: case 0xC5: case 0xD7: case 0xF7: return memory;
    case 0xD6: return memory && column != X66;
    case 0xF0: return !memory && column == XF2;
    case 0x71: case 0x72: return memory || (operation != 2 && operation != 4 && operation != 6);
    case 0x73: return memory || !(operation == 2 || operation == 6 || (column == X66 && (operation == 3 || operation == 7)));
    case 0xBA: return operation < 4;
    case 0xC3: return column != NONE;
    }
    return false;
}

/* SHLD, SHRD and RORX with an address relative to the next instruction: Unicorn forgets the byte of the immediate. */
static void correct_relative(Decoder *d, uint8_t modrm)
{
    if ((modrm & 0xC7) != 5) return;
    unsigned at = d->length;
    uint32_t displacement = 0;
    for (int i = 0; i < 4; i++) displacement |= (uint32_t)next(d) << 8 * i;
    displacement++;
    if (d->too_long) return;
    for (int i = 0; i < 4; i++) substitute(at + i, displacement >> 8 * i);
}

/* What is called around the instruction. */
typedef struct { bool reads_mxcsr, cmpxchg, memory; uint8_t string, size; } Around; /* memory: an operand of it is in memory */

static void look_at_0f(Decoder *d, Around *around)
{
    if (d->lock) d->length = d->second; /* lock_allowed has read on */
    uint8_t opcode = next(d);
    unsigned column = d->repne ? XF2 : d->rep ? XF3 : d->operand_size ? X66 : NONE;
    bool aligned, hides = d->operand_size && (d->rep || d->repne);
    if (hides && (chosen_by_prefix(opcode) || (d->rex & 8 && opcode >= 0xB8 && opcode <= 0xBD))) substitute(d->operand_size_at, d->repne ? 0xF2 : 0xF3);
    if (opcode == 0x38 || opcode == 0x3A) {
        uint8_t third = next(d);
        if (hides && !(opcode == 0x38 && (third == 0xF0 || third == 0xF1) && d->repne)) refuse();
        uint8_t modrm = next(d);
        bool memory = modrm < 0xC0, mmx = opcode == 0x38 ? third < 0x20 : third == 0x0F;
        aligned = column == X66 && (opcode == 0x38 ? aligned_0f38(third) : aligned_0f3a(third));
        now.aligned = aligned && memory;
        now.half = memory && column == X66 && opcode == 0x3A && (third == 0x0A || third == 0x0B); /* roundss roundsd */
        around->memory = memory;
        if (mmx && column == NONE && d->rex) substitute(d->rex_at, d->rex & (memory ? ~4 : ~5)); /* there are 8 MMX registers */
        if (opcode == 0x38 && (third == 0xF0 || third == 0xF1) && !memory && !d->repne) refuse(); /* movbe */
    } else if (opcode == 0xAE) {
        uint8_t modrm = next(d);
        around->reads_mxcsr = modrm < 0xC0 && (modrm >> 3 & 7) == 3 && column == NONE;
        return;
    } else if (opcode == 0xB1) {
        around->cmpxchg = d->wide && !d->operand_size && !(d->rex & 8);
        return;
    } else if (opcode == 0xC2 && (d->wide || !d->address_size)) { /* cmpps ...: the processor looks at three bits of the immediate */
        bool memory = operands(d) < 0xC0;
        now.aligned = memory && ALIGNED_0F[opcode] & column;
        uint8_t condition = next(d);
        if (condition > 7 && !d->too_long) substitute(d->length - 1, condition & 7);
        return;
    } else {
        aligned = ALIGNED_0F[opcode] & column;
    }
    if (opcode == 0x38 || opcode == 0x3A) return;
    uint8_t modrm = next(d);
    around->memory = modrm < 0xC0;
    now.aligned = aligned && modrm < 0xC0;
    now.half = modrm < 0xC0 && ((opcode == 0xE6 && column == XF3)
        || (column == NONE && (opcode == 0x5A || opcode == 0x2C || opcode == 0x2D))); /* cvtdq2pd cvtps2pd cvttps2pi cvtps2pi */
    if (opcode == 0x18 && modrm >= 0xC0) substitute(d->length - 2, 0x1F); /* prefetch of a register: nop */
    if (missing_form(opcode, column, modrm)) refuse();
    if ((opcode & 0xFC) == 0x20 && d->rex & 4 && (opcode & 1 || (modrm & 0x38))) refuse(); /* cr8 alone has a number over 7 */
    if ((opcode == 0xA4 || opcode == 0xAC) && d->wide) correct_relative(d, modrm);
}


/* VEX: only the integer instructions of BMI1 and BMI2 are there. Unicorn takes others for the SSE instruction with the same opcode, and has
 * changed the flags before it refuses a form that does not exist. */
static bool vex_known(Decoder *d, uint8_t first)
{
    uint8_t second = next(d);
    if (!d->wide && second < 0xC0) return true; /* les, lds */
    if (first == 0xC5 || d->lock || d->operand_size || d->rep || d->repne || d->rex) return false;
    uint8_t third = next(d), opcode = next(d), modrm = next(d), operation = modrm >> 3 & 7, map = second & 0x1F, prefix = third & 3;
    if (third & 4) return false; /* 256 bits */
    if (map == 3) {
        if (opcode != 0xF0 || prefix != 3 || (third & 0x78) != 0x78) return false;
        if (d->wide) correct_relative(d, modrm);
        return true;
    }
    if (map != 2) return false;
    switch (opcode) {
    case 0xF2: return prefix == 0;                                  /* andn */
    case 0xF3: return prefix == 0 && operation >= 1 && operation <= 3; /* blsr blsmsk blsi */
    case 0xF5: return prefix != 1;                                  /* bzhi pext pdep */
    case 0xF6: return prefix == 3;                                  /* mulx */
    case 0xF7: return true;                                         /* bextr shlx sarx shrx */
    }
    return false;
}

/* Decides what is to be done about the instruction at `pc`. */
static Around look(Env *env, uint64_t pc)
{
    Decoder d = {.env = env, .pc = pc, .wide = env->hflags >> 15 & 1};
    Around around = {0};
    bool segment = false;
    now.at = pc;
    now.substituted = 0;
    now.aligned = now.half = false;
    now.first = NULL;
    for (;;) {
        uint8_t byte = next(&d);
        if (d.too_long) return around;
        switch (byte) {
        case 0xF0: d.lock = true; d.rex = 0; continue;
        case 0xF2: d.repne = true; d.rep = false; d.rex = 0; continue;
        case 0xF3: d.rep = true; d.repne = false; d.rex = 0; continue;
        case 0x66: d.operand_size = true; d.operand_size_at = d.length - 1; d.rex = 0; continue;
        case 0x67: d.address_size = true; d.rex = 0; continue;
        case 0x26: case 0x2E: case 0x36: case 0x3E: case 0x64: case 0x65: segment = true; d.rex = 0; continue;
        }
        if (d.wide && (byte & 0xF0) == 0x40) {
            d.rex = byte;
            d.rex_at = d.length - 1;
            continue;
        }
        if (d.lock && !lock_allowed(&d, byte)) refuse();
        else if (byte >= 0x6C && byte <= 0x6F) substitute(0, 0xF4);                       /* hlt: #GP, as ins and outs are for a program */
        else if ((byte == 0xC4 || byte == 0xC5) && !vex_known(&d, byte)) refuse();
        else if ((byte == 0x9E || byte == 0x9F) && d.rex) substitute(d.rex_at, 0x3E);     /* sahf lahf: AH, with REX as well */
        else if ((byte == 0xF6 || byte == 0xF7) && !d.lock) {
            uint8_t modrm = next(&d);
            if ((modrm & 0x38) == 0x08) substitute(d.length - 1, modrm & ~0x38);          /* test has two numbers */
        } else if (byte >= 0xFE && !d.lock) {
            uint8_t operation = next(&d) >> 3 & 7;
            if (byte == 0xFE ? operation > 1 : operation == 7) refuse();
        } else if ((byte == 0xC6 || byte == 0xC7) && d.rex & 4) substitute(d.rex_at, d.rex & ~4); /* mov: no register that it could extend */
        else if (d.rep && !segment && !d.address_size && (byte == 0xA4 || byte == 0xA5 || byte == 0xAA || byte == 0xAB)) {
            around.string = byte; /* rep movs, rep stos */
            around.size = !(byte & 1) ? 1 : d.rex & 8 ? 8 : d.operand_size ? 2 : 4;
        }
        else if (byte == 0x0F) look_at_0f(&d, &around);
        return around;
    }
}

static const Operations *unicorn_operations;

static void translate(Base *base, void *cpu)
{
    Env *env = (Env *)((char *)cpu + CPU_ENV);
    if (core_slices && base->pc_next == base->pc_first) core_emit_call(env, CORE_COUNT_BLOCK);
    Around around = base->pc_next != core_until ? look(env, base->pc_next) : (Around){0};
    if (around.reads_mxcsr) core_emit_call(env, CORE_TAKE_FLAGS);
    if (around.string) core_emit_string(env, around.string & 0xFE, around.size);
    if (around.cmpxchg) core_emit_call(env, CORE_BEFORE_CMPXCHG);
    core_delay_mmx(around.memory ? env : NULL);
    unicorn_operations->translate_insn(base, cpu);
    core_emit_delayed_mmx();
    core_delay_mmx(NULL);
    if (around.cmpxchg) core_emit_call(env, CORE_AFTER_CMPXCHG);
    now.substituted = 0;
    now.aligned = now.half = false;
}

static void loop(const Operations *operations, Base *base, void *cpu, void *tb, int max)
{
    Operations ours = *operations;
    unicorn_operations = operations;
    ours.translate_insn = translate;
    unicorn_loop(&ours, base, cpu, tb, max);
}

static uint32_t code8(Env *env, uint64_t address)
{
    uint64_t offset = address - now.at;
    return offset < sizeof now.bytes && now.substituted >> offset & 1 ? now.bytes[offset] : unicorn_code8(env, address);
}

static uint32_t code32(Env *env, uint64_t address)
{
    uint64_t offset = address - now.at;
    if (offset >= sizeof now.bytes || !(now.substituted >> offset & 15)) return unicorn_code32(env, address);
    uint32_t value = 0;
    for (int i = 0; i < 4; i++) value |= code8(env, address + i) << 8 * i;
    return value;
}

static void load64(void *tcg, void *value, void *address, uintptr_t index, uint32_t how)
{
    if (now.aligned && (how & SIZE_MASK) == SIZE_64) {
        now.aligned = false;
        how = (how & ~ALIGN_MASK) | ALIGN_16;
    }
    if (now.half && now.first) address = now.first; /* of 16 bytes the helper uses 8 */
    now.first = address;
    unicorn_load64(tcg, value, address, index, how);
    core_emit_delayed_mmx();
}

static void store64(void *tcg, void *value, void *address, uintptr_t index, uint32_t how)
{
    if (now.aligned && (how & SIZE_MASK) == SIZE_64) {
        now.aligned = false;
        how = (how & ~ALIGN_MASK) | ALIGN_16;
    }
    unicorn_store64(tcg, value, address, index, how);
    core_emit_delayed_mmx();
}

const Replacement uselib_decode[] = {
    {"translator_loop_x86_64", loop, (void **)&unicorn_loop},
    {"cpu_ldub_code_x86_64", code8, (void **)&unicorn_code8},
    {"cpu_ldl_code_x86_64", code32, (void **)&unicorn_code32},
    {"tcg_gen_qemu_ld_i64_x86_64", load64, (void **)&unicorn_load64},
    {"tcg_gen_qemu_st_i64_x86_64", store64, (void **)&unicorn_store64},
    {NULL, NULL, NULL},
};
