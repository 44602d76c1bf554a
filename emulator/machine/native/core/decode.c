/* Decodes each instruction before Unicorn translates it.
 *
 * Unicorn's translator takes LOCK before instructions that may not have it (one form ends the process by an assertion), ignores that SSE
 * operands in memory must be aligned, loads MXCSR without its flags, and lets a program use ports. Here the instruction is decoded as
 * far as needed. Then the translator gets other bytes (UD2, HLT), or its first load or store checks the alignment, which costs nothing
 * where the address is aligned (the check is part of the comparison with the TLB's tag). Source: Intel SDM volume 2, chapter 2 (formats)
 * and appendix A (opcode maps); LOCK in its own page. */
#include "decode.h"

Translated core_now;

/* The next byte. A page that cannot be executed raises its fault here, as it would in the translator. */
uint8_t core_next(Decoder *d)
{
    if (d->length >= 15) {
        d->too_long = true;
        return 0;
    }
    return core_code8(d->env, d->pc + d->length++);
}

static void substitute(unsigned position, uint8_t byte)
{
    core_now.bytes[position] = byte;
    core_now.substituted |= 1u << position;
}

static void refuse(void)
{
    substitute(0, 0x0F);
    substitute(1, 0x0B); /* 0f 0b  ud2 */
}

/* Reads ModRM, and what belongs to its memory operand; the ModRM. */
static uint8_t operands(Decoder *d)
{
    uint8_t modrm = core_next(d), mode = modrm >> 6, rm = modrm & 7;
    bool sixteen = d->address_size && !d->wide; /* addresses of 16 bits: no SIB */
    unsigned displacement = mode == 1 ? 1 : mode == 2 || (mode == 0 && rm == (sixteen ? 6 : 5)) ? (sixteen ? 2 : 4) : 0;
    if (mode == 3) return modrm;
    if (!sixteen && rm == 4 && (core_next(d) & 7) == 5 && mode == 0) displacement = 4;
    while (displacement--) core_next(d);
    return modrm;
}

/* SHLD, SHRD and RORX with an address relative to the next instruction: Unicorn does not count the byte of the immediate. */
static void correct_relative(Decoder *d, uint8_t modrm)
{
    if ((modrm & 0xC7) != 5) return;
    unsigned at = d->length;
    uint32_t displacement = 0;
    for (int i = 0; i < 4; i++) displacement |= (uint32_t)core_next(d) << 8 * i;
    displacement++;
    if (d->too_long) return;
    for (int i = 0; i < 4; i++) substitute(at + i, displacement >> 8 * i);
}

/* CLFLUSH: Unicorn does not read its operand. The translator gets FLD with 80 bits, for x87_memory.c: a prefix without meaning, REX, DB. */
static void look_at_clflush(Decoder *d, uint8_t modrm)
{
    unsigned at = d->length - 3;
    if (!core_running || d->too_long) return;
    core_want_store(CORE_TOUCH);
    if (d->rex) substitute(at - 1, 0x3E), substitute(at, d->rex);
    else substitute(at, 0x3E);
    substitute(at + 1, 0xDB);
    substitute(at + 2, (modrm & ~0x38) | 0x28);
}

static void look_at_0f(Decoder *d, Around *around)
{
    if (d->lock) d->length = d->second; /* core_lock_allowed has read on */
    uint8_t opcode = core_next(d);
    unsigned column = d->repne ? XF2 : d->rep ? XF3 : d->operand_size ? X66 : NONE;
    bool aligned, hides = d->operand_size && (d->rep || d->repne);
    if (hides && (core_chosen_by_prefix(opcode) || (d->rex & 8 && opcode >= 0xB8 && opcode <= 0xBD))) substitute(d->operand_size_at, d->repne ? 0xF2 : 0xF3);
    if (opcode == 0x38 || opcode == 0x3A) {
        uint8_t third = core_next(d);
        if (hides && !(opcode == 0x38 && (third == 0xF0 || third == 0xF1) && d->repne)) refuse();
        uint8_t modrm = core_next(d);
        bool memory = modrm < 0xC0, mmx = opcode == 0x38 ? third < 0x20 : third == 0x0F;
        aligned = column == X66 && (opcode == 0x38 ? core_aligned_0f38(third) : core_aligned_0f3a(third));
        core_now.aligned = aligned && memory;
        core_now.sixteen = column == X66 && opcode == 0x3A && third >= 0x60 && third <= 0x63; /* pcmpistri ... */
        core_now.half = memory && column == X66 && opcode == 0x3A && (third == 0x0A || third == 0x0B); /* roundss roundsd */
        core_now.quarter = core_now.half && third == 0x0A;
        around->memory = memory;
        if (mmx && column == NONE) core_want_mmx(opcode, third, modrm);
        if (mmx && column == NONE && d->rex) substitute(d->rex_at, d->rex & (memory ? ~4 : ~5)); /* there are 8 MMX registers */
        if (opcode == 0x38 && (third == 0xF0 || third == 0xF1) && !memory && !d->repne) refuse(); /* movbe */
    } else if (opcode == 0xAE) {
        uint8_t modrm = core_next(d);
        around->reads_mxcsr = modrm < 0xC0 && (modrm >> 3 & 7) == 3 && column == NONE;
        bool fs_base = modrm >= 0xC0 && modrm < 0xE0; /* wrfsbase ... */
        if (column != NONE && !fs_base) refuse(); /* clwb clflushopt clrssbsy incssp umonitor umwait tpause pcommit */
        else if (modrm < 0xC0 && (modrm & 0x38) == 0x38) look_at_clflush(d, modrm);
        return;
    } else if (opcode == 0x07) { /* sysret: a program lacks the privilege for it; Unicorn checks EFER.SCE first, which Linux sets */
        if (d->wide) substitute(0, 0xF4);
        return;
    } else if (opcode == 0xB1) {
        around->cmpxchg = d->wide && !d->operand_size && !(d->rex & 8) && ((core_next(d) & 0xC7) != 0xC0 || d->rex & 1); /* eax is always equal to itself */
        return;
    } else if (opcode == 0xC2) { /* cmpps ...: the processor looks at three bits of the immediate */
        bool memory = operands(d) < 0xC0;
        core_now.aligned = memory && core_aligned_0f(opcode, column);
        uint8_t condition = core_next(d);
        if (condition > 7 && !d->too_long) substitute(d->length - 1, condition & 7);
        return;
    } else {
        aligned = core_aligned_0f(opcode, column);
    }
    if (opcode == 0x38 || opcode == 0x3A) return;
    uint8_t modrm = core_next(d);
    around->memory = modrm < 0xC0;
    if (column == NONE || (opcode == 0xD6 && column == XF2) || ((opcode & 0xFE) == 0x2C && column == X66)) core_want_mmx(0x0F, opcode, modrm);
    core_now.aligned = aligned && modrm < 0xC0;
    core_now.sixteen = ((opcode & 0xFE) == 0x10 && (column == NONE || column == X66)) || ((opcode & 0xEF) == 0x6F && column == XF3) || (opcode == 0xF0 && column == XF2);
    core_now.quarter = modrm < 0xC0 && column == NONE && opcode >= 0x60 && opcode <= 0x62; /* punpckl of MMX */
    core_now.half = modrm < 0xC0 && ((opcode == 0xE6 && column == XF3)
        || (column == NONE && (opcode == 0x5A || opcode == 0x2C || opcode == 0x2D))); /* cvtdq2pd cvtps2pd cvttps2pi cvtps2pi */
    if (opcode == 0x18 && modrm >= 0xC0) substitute(d->length - 2, 0x1F); /* prefetch of a register: nop */
    if (core_missing_form(opcode, column, modrm)) refuse();
    if ((opcode & 0xFC) == 0x20 && d->rex & 4 && (opcode & 1 || (modrm & 0x38))) refuse(); /* cr8 alone has a number over 7 */
    if ((opcode == 0xA4 || opcode == 0xAC) && d->wide) correct_relative(d, modrm);
}


/* BMI: gives the translator PEXT with the operands of the instruction at `at`, for bmi.c. BLSR and similar instructions have their
 * destination in VEX.vvvv. */
static void carry(Decoder *d, unsigned at, unsigned what, uint8_t third, uint8_t modrm)
{
    if (d->too_long || !core_can_bmi()) return;
    core_want_bmi(what, d->wide && third & 0x80);
    substitute(at + 2, (third & ~3) | 2);
    substitute(at + 3, 0xF5);
    if (what != CORE_BLSR && what != CORE_BLSMSK && what != CORE_BLSI) return;
    unsigned target = ~third >> 3 & (d->wide ? 15 : 7);
    substitute(at + 1, (core_now.bytes[at + 1] & 0x7F) | (target & 8 ? 0 : 0x80));
    substitute(at + 4, (modrm & ~0x38) | (target & 7) << 3);
}

/* VEX: only the integer instructions of BMI1 and BMI2 are supported. Unicorn decodes others as the SSE instruction with the same opcode,
 * and changes the flags before it refuses a form that does not exist. */
static bool vex_known(Decoder *d, uint8_t first)
{
    unsigned at = d->length - 1;
    uint8_t second = core_next(d);
    if (!d->wide && second < 0xC0) return true; /* les, lds */
    if (first == 0xC5 || d->lock || d->operand_size || d->rep || d->repne || d->rex) return false;
    uint8_t third = core_next(d), opcode = core_next(d), modrm = core_next(d), operation = modrm >> 3 & 7, map = second & 0x1F, prefix = third & 3;
    if (third & 4) return false; /* 256 bits */
    if (map == 3) {
        if (opcode != 0xF0 || prefix != 3 || (third & 0x78) != 0x78) return false;
        if (d->wide) correct_relative(d, modrm);
        return true;
    }
    if (map != 2) return false;
    static const uint8_t BLS[4] = {0, CORE_BLSR, CORE_BLSMSK, CORE_BLSI}, F5[4] = {CORE_BZHI, 0, CORE_PEXT, CORE_PDEP};
    unsigned carried = 0;
    bool known = false;
    switch (opcode) {
    case 0xF2: known = prefix == 0; break;                                               /* andn */
    case 0xF3: carried = prefix == 0 && operation < 4 ? BLS[operation] : 0; break;       /* blsr blsmsk blsi */
    case 0xF5: carried = F5[prefix]; break;                                              /* bzhi pext pdep */
    case 0xF6: known = prefix == 3; break;                                               /* mulx */
    case 0xF7: known = prefix != 0; carried = known ? 0 : CORE_BEXTR; break;             /* bextr shlx sarx shrx */
    }
    core_now.bytes[at + 1] = second;
    if (carried) carry(d, at, carried, third, modrm);
    return known || carried;
}

/* x87: FST, FIST and similar stores, for x87_memory.c: the translator gets FSTP with 80 bits (DB /7). FCMOVcc, for x87.c: it gets FCOMI
 * (DB F0). */
static void look_at_x87(Decoder *d, uint8_t opcode)
{
    static const uint8_t STORES[] = {[0xD9 - 0xD8] = 0x0C, [0xDB - 0xD8] = 0x8E, [0xDD - 0xD8] = 0x0E, [0xDF - 0xD8] = 0xCE}; /* a bit an operation */
    unsigned at = d->length - 1;
    uint8_t modrm = core_next(d), operation = modrm >> 3 & 7;
    if (d->too_long || !core_running) return;
    if (modrm >= 0xC0 && (opcode == 0xDA || opcode == 0xDB) && operation < 4) {
        core_want_fcmov(opcode << 8 | modrm);
        substitute(at, 0xDB);
        substitute(at + 1, 0xF0 | (modrm & 7));
    }
    if (modrm >= 0xC0 || !(STORES[opcode - 0xD8] >> operation & 1)) return;
    core_want_store(opcode << 8 | operation);
    substitute(at, 0xDB);
    substitute(at + 1, modrm | 0x38);
}

/* Decides what to do about the instruction at `pc`. */
Around core_look(Env *env, uint64_t pc)
{
    Decoder d = {.env = env, .pc = pc, .wide = env->hflags >> 15 & 1};
    Around around = {0};
    bool segment = false;
    core_now.at = pc;
    core_now.substituted = 0;
    core_now.aligned = core_now.half = core_now.quarter = core_now.sixteen = false;
    core_now.checked = core_checks_alignment(env);
    core_now.first = NULL;
    core_want_bmi(0, false);
    core_want_store(0);
    core_want_fcmov(0);
    core_want_mmx(0, 0, 0);
    for (;;) {
        uint8_t byte = core_next(&d);
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
        if (d.lock && !core_lock_allowed(&d, byte)) refuse();
        else if (d.lock && (byte & 0xFE) == 0xF6) around.neg = core_running && (core_code8(env, pc + d.length - 1) >> 3 & 7) == 3;
        else if (byte >= 0x6C && byte <= 0x6F) substitute(0, 0xF4);                       /* hlt: #GP, as ins and outs are for a program */
        else if ((byte == 0xC4 || byte == 0xC5) && !vex_known(&d, byte)) refuse();
        else if ((byte == 0xC6 || byte == 0xC7) && core_code8(d.env, d.pc + d.length) & 0x38) refuse(); /* mov has one number, and there is no xbegin */
        else if ((byte == 0x9E || byte == 0x9F) && d.rex) substitute(d.rex_at, 0x3E);     /* sahf lahf: AH, with REX as well */
        else if ((byte == 0xF6 || byte == 0xF7) && !d.lock) {
            uint8_t modrm = core_next(&d);
            if ((modrm & 0x38) == 0x08) substitute(d.length - 1, modrm & ~0x38);          /* test has two numbers */
        } else if (byte >= 0xFE && !d.lock) {
            uint8_t modrm = core_next(&d), operation = modrm >> 3 & 7;
            bool far = operation == 3 || operation == 5; /* call and jmp, whose operand is in memory */
            if (byte == 0xFE ? operation > 1 : operation == 7 || (far && modrm >= 0xC0)) refuse();
        } else if ((byte == 0xC6 || byte == 0xC7) && d.rex & 4) substitute(d.rex_at, d.rex & ~4); /* mov: no register that it could extend */
        else if (d.rep && !segment && !d.address_size && (byte == 0xA4 || byte == 0xA5 || byte == 0xAA || byte == 0xAB)) {
            around.string = byte; /* rep movs, rep stos */
            around.size = !(byte & 1) ? 1 : d.rex & 8 ? 8 : d.operand_size ? 2 : 4;
        }
        else if (byte == 0x0F) look_at_0f(&d, &around);
        else if ((byte & 0xF8) == 0xD8) look_at_x87(&d, byte);
        else if ((byte & 0xFE) == 0xE0 && (d.rep || d.repne)) substitute(d.length - 1, d.rep ? 0xE1 : 0xE0); /* loope loopne: the prefix decides */
        else if (byte == 0xC8) around.enter = d.operand_size && !(d.rex & 8);
        else if (byte == 0xF1) substitute(d.length - 1, 0xCC);                            /* int1: user.c */
        else if (byte == 0x8F && core_next(&d) & 0x38) refuse();                          /* pop has one number */
        return around;
    }
}
