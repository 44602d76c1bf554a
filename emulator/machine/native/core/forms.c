/* Which instructions exist, and which operands must be aligned, where Unicorn's translator does not check.
 * Source: Intel SDM volume 2, appendix A (opcode maps); LOCK in its own page; exceptions of SSE instructions in volume 1, table 2-19 and following. */
#include "decode.h"

bool core_lock_allowed(Decoder *d, uint8_t opcode)
{
    if (opcode == 0x0F) {
        d->second = d->length;
        uint8_t second = core_next(d);
        bool group = second == 0xBA || second == 0xC7;
        if (!group && second != 0xAB && second != 0xB3 && second != 0xBB && second != 0xB0 && second != 0xB1 && second != 0xC0 && second != 0xC1)
            return false; /* bts btr btc cmpxchg xadd */
        uint8_t modrm = core_next(d), operation = modrm >> 3 & 7;
        if (modrm >= 0xC0) return false;
        return second == 0xBA ? operation >= 5 : second == 0xC7 ? operation == 1 : true;
    }
    bool arithmetic = opcode < 0x32 && (opcode & 7) < 2; /* add or adc sbb and sub xor, with a destination in memory */
    bool group = (opcode >= 0x80 && opcode <= 0x83) || opcode == 0xF6 || opcode == 0xF7 || opcode == 0xFE || opcode == 0xFF;
    if (!arithmetic && !group && opcode != 0x86 && opcode != 0x87) return false;
    uint8_t modrm = core_next(d), operation = modrm >> 3 & 7;
    if (modrm >= 0xC0) return false;
    if (opcode >= 0x80 && opcode <= 0x83) return operation != 7; /* cmp */
    if (opcode == 0xF6 || opcode == 0xF7) return operation == 2 || operation == 3; /* not neg */
    if (opcode >= 0xFE) return operation < 2;                                      /* inc dec */
    return true;
}

/* Whether a memory operand of the two-byte opcode must be aligned to 16 bytes. Columns: no prefix, 66, F3, F2. */
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

bool core_aligned_0f(uint8_t opcode, unsigned column) { return ALIGNED_0F[opcode] & column; }

bool core_aligned_0f38(uint8_t opcode)
{
    return opcode <= 0x0B || opcode == 0x10 || opcode == 0x14 || opcode == 0x15 || opcode == 0x17 || (opcode >= 0x1C && opcode <= 0x1E)
        || (opcode >= 0x28 && opcode <= 0x2B) || (opcode >= 0x37 && opcode <= 0x41) || (opcode >= 0xDB && opcode <= 0xDF);
}

bool core_aligned_0f3a(uint8_t opcode)
{
    return opcode == 8 || opcode == 9 || (opcode >= 0x0C && opcode <= 0x0F) || (opcode >= 0x40 && opcode <= 0x44) || opcode == 0xDF;
}

/* The two-byte opcodes for which F2 and F3 choose the instruction, and 66 then has no meaning. Unicorn lets 66 choose. */
bool core_chosen_by_prefix(uint8_t opcode)
{
    return (opcode >= 0x10 && opcode <= 0x17) || (opcode >= 0x28 && opcode <= 0x2F) || (opcode >= 0x50 && opcode <= 0x7F) || opcode == 0xC2
        || (opcode >= 0xC4 && opcode <= 0xC6) || opcode >= 0xD0;
}

/* Forms that do not exist. Unicorn executes them, or refuses them after it has changed something. */
bool core_missing_form(uint8_t opcode, unsigned column, uint8_t modrm)
{
    bool memory = modrm < 0xC0;
    int operation = modrm >> 3 & 7;
    switch (opcode) {
    case 0x20: case 0x22: return operation == 1 || operation >= 5; /* control registers; with REX.R there is only 8 */
    case 0x12: case 0x16: return !memory && column == X66;
    case 0x2B: return !memory || column == XF3 || column == XF2; /* with these it is SSE4a's, and so are 78 and 79 */
    case 0x78: case 0x79: return column == X66 || column == XF2;
    case 0x13: case 0x17: case 0xE7: return !memory;
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
