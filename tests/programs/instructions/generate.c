/* Source of the maps: Intel SDM volume 2, appendix A, and the page of each instruction for flags. */
#include "generate.h"

#include <string.h>

/* What follows an opcode. n nothing, M ModRM (m: memory only, r: register only), b w z v immediate of 8, 16, 16 or 32, 16 to 64 bits, B Z ModRM and
 * an immediate, o an address, s a string instruction, j J a condition, e ENTER, i a vector, P 8F, C C6 and C7, G F6 and F7, H FE and FF, A 0FAE, N 0FC7.
 * g pop of a segment, D MOV to one, L a far pointer in memory, F one in the instruction, R Q far RET, I IRET, V 0F00, W LAR and LSL. `.` is left out:
 * near branches, system calls, POPF, what is told by the machine's state (RDTSC, CPUID, SGDT), and instructions that the emulated processor does
 * not have (a test of their own). */
static const char ONE[] =
    "MMMMbzngMMMMbzn." "MMMMbzngMMMMbzng" "MMMMbz.nMMMMbz.n" "MMMMbz.nMMMMbz.n"
    "nnnnnnnnnnnnnnnn" "nnnnnnnnnnnnnnnn" "nnmM....zZbBnnnn" "jjjjjjjjjjjjjjjj"
    "BZBBMMMMMMMMMmDP" "nnnnnnnnnnFnn.nn" "oooossssbzssssss" "bbbbbbbbvvvvvvvv"
    "BB..LLCCenQRninI" "MMMMbbnnMMMMMMMM" "jjjjbbbb..F.nnnn" "....nnGGnnnnnnHH";
static const char TWO[] =
    "V.WW..n.nn.n.Mn." "MMMMMMMMMMMMMMMM" "rrrr....MMMMMMMM" "n.nn.n.........."
    "MMMMMMMMMMMMMMMM" "MMMMMMMMMMMMMMMM" "MMMMMMMMMMMMMMMM" "BBBBMMMn....MMMM"
    "JJJJJJJJJJJJJJJJ" "MMMMMMMMMMMMMMMM" "ng.MBMnnngnMBMAM" "MMLMLLMMMMBMMMMM"
    "MMBMBBBNnnnnnnnn" "MMMMMMMMMMMMMMMM" "MMMMMMMMMMMMMMMM" "MMMMMMMMMMMMMMMM";
static const uint8_t VEX_OPCODES[] = {0xF2, 0xF3, 0xF5, 0xF6, 0xF7};

static uint64_t state;

static uint64_t random64(void)
{
    uint64_t z = state += 0x9E3779B97F4A7C15u;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
    z = (z ^ z >> 27) * 0x94D049BB133111EBu;
    return z ^ z >> 31;
}

static unsigned below(unsigned limit) { return (random64() >> 32) * limit >> 32; }
static bool percent(unsigned chance) { return below(100) < chance; }

/* -- values -- */

static const uint64_t INTEGERS[] = {0, 1, 2, 3, 7, 8, 15, 16, 31, 32, 63, 64, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF,
    0x7FFFFFFFFFFFFFFF, 0x8000000000000000, -1ull, -2ull, 0x0101010101010101, 0x8080808080808080, 0x7F7F7F7F7F7F7F7F, 0x00FF00FF00FF00FF, 0x123456789ABCDEF0};
static const uint32_t SINGLES[] = {0, 0x80000000, 0x3F800000, 0xBF800000, 0x7F800000, 0xFF800000, 0x7FC00000, 0xFFC12345, 0x7F812345, 0xFF800001, 1, 0x80000001,
    0x007FFFFF, 0x00800000, 0x7F7FFFFF, 0x4F000000, 0xCF000000, 0x4EFFFFFF, 0x40490FDB, 0x3F7FFFFF, 0x33800000, 0x5F000000, 0x4B000001, 0x3FC00000};
static const uint64_t DOUBLES[] = {0, 0x8000000000000000, 0x3FF0000000000000, 0xBFF0000000000000, 0x7FF0000000000000, 0xFFF0000000000000, 0x7FF8000000000000,
    0xFFF8123456789ABC, 0x7FF0000000000001, 0xFFF4000000000000, 1, 0x800FFFFFFFFFFFFF, 0x0010000000000000, 0x7FEFFFFFFFFFFFFF, 0x41E0000000000000,
    0x43E0000000000000, 0xC1E0000000000000, 0x41DFFFFFFFC00000, 0x400921FB54442D18, 0x3FEFFFFFFFFFFFFF, 0x36A0000000000000, 0x47EFFFFFF0000000, 0x3FE0000000000000};
static const uint16_t EXPONENTS[] = {0, 1, 0x3FBF, 0x3FFE, 0x3FFF, 0x4000, 0x400E, 0x401D, 0x401E, 0x403D, 0x403E, 0x4040, 0x7FFE, 0x7FFF, 0x3C01, 0x43FF, 0x3F81, 0x407F};
static const uint64_t MANTISSAS[] = {0, 0x8000000000000000, 0xC000000000000000, 0xFFFFFFFFFFFFFFFF, 0x8000000000000001, 0x4000000000000000, 1, 0xA000000000000000,
    0xC90FDAA22168C235, 0xFFFFFF0000000000, 0xFFFFFFFFFFFFF800, 0x8000008000000000};

#define PICK(table) table[below(sizeof table / sizeof *table)]

static uint64_t integer(void)
{
    switch (below(4)) {
    case 0: return random64();
    case 1: return random64() >> below(64);
    case 2: return PICK(INTEGERS) + below(3) - 1;
    default: return PICK(INTEGERS);
    }
}

static uint64_t vector(void)
{
    switch (below(5)) {
    case 0: return PICK(DOUBLES);
    case 1: return PICK(SINGLES) | (uint64_t)PICK(SINGLES) << 32;
    case 2: return (PICK(DOUBLES) & 0xFFF0000000000000) ^ (random64() >> (12 + below(20)));
    case 3: return random64();
    default: return integer();
    }
}

static void fill_floats(void)
{
    Floats *f = &before.floats;
    memset(f, 0, sizeof *f);
    f->control = 0x37F;
    if (percent(40)) f->control = (random64() & 0xF00) | (percent(30) ? random64() & 0x3F : 0x3F) | 0x40;
    f->status = below(8) << 11 | (random64() & 0x4700);
    if (percent(10)) f->status |= random64() & 0x7F;
    if (f->status & ~f->control & 0x3F) f->status |= 0x8080;
    else f->status &= ~0x8080;
    f->tags = percent(50) ? 0xFF : random64();
    f->mxcsr = 0x1F80;
    if (percent(40)) f->mxcsr = (random64() & 0xE040) | (percent(30) ? random64() & 0x1F80 : 0x1F80) | (percent(30) ? random64() & 0x3F : 0);
    f->mxcsr_mask = 0xFFFF;
    for (int i = 0; i < 8; i++) {
        f->st[i].mantissa = percent(30) ? vector() : percent(50) ? PICK(MANTISSAS) : random64() | 1ull << 63;
        f->st[i].high = percent(20) ? 0xFFFF : percent(60) ? PICK(EXPONENTS) | below(2) << 15 : (0x3FFF + below(80) - 40) | below(2) << 15;
    }
    for (int i = 0; i < (WIDE ? 16 : 8); i++)
        for (int half = 0; half < 2; half++) f->xmm[i][half] = vector();
    if (percent(25)) { /* equal registers */
        int from = below(8);
        memcpy(f->xmm[below(8)], f->xmm[from], 16);
    }
}

/* A place for an operand: mostly aligned and mapped. */
static uintptr_t place(const Instruction *i)
{
    /* Halves of an operand over the end of a page are read and stored one by one. */
    bool halves = i->map == MAP_0F && (i->opcode == 0x10 || i->opcode == 0x11 || i->opcode == 0x6F || i->opcode == 0x7F || i->opcode == 0xF0);
    switch (halves ? 2 + below(14) : below(16)) {
    case 0: return MEMORY_END - 1 - below(32);             /* over the end */
    case 1: return MEMORY_END - (8 << below(3));           /* the last of the page */
    case 2: return WIDE ? (percent(50) ? 0x8000000000000000 : 0x1234567800000000) + below(256) : MEMORY_END + below(4096);
    case 3: case 4: return MEMORY_END - 64 - below(800);
    default: return MEMORY_END - 64 * (1 + below(14)) + 16 * below(3);
    }
}

static void fill_registers(const Instruction *i)
{
    for (int i = 0; i < REGISTERS; i++) before.registers[i] = integer();
    before.registers[SP] = MEMORY_END - 512 - 8 * below(32);
    if (percent(3)) before.registers[SP] += below(16);
    if (percent(3)) before.registers[SP] = place(i);
    if (percent(60)) before.registers[BP] = MEMORY_END - 256 - 8 * below(16);
    before.flags = 0x202 | (random64() & 0x8D5) | (percent(20) ? 0x400 : 0) | (percent(8) ? 0x40000 : 0);
    memset((void *)MEMORY, 0, MEMORY_END - WATCHED - MEMORY); /* what an instruction before this one has left there is nobody's affair */
    uint64_t *words = (uint64_t *)(MEMORY_END - WATCHED);
    for (int i = 0; i < WATCHED / 8; i += 4) {
        uint64_t word = vector();
        words[i] = word, words[i + 1] = word * 0x9E3779B97F4A7C15u, words[i + 2] = vector(), words[i + 3] = words[i + 2] >> 32;
    }
}

/* -- bytes -- */

typedef struct { Instruction *i; uint8_t *address; } Writer;

static void put(Instruction *i, uint64_t value, int count)
{
    memcpy(i->bytes + i->length, &value, count);
    i->length += count;
}

static void prefixes(Instruction *i)
{
    static const uint8_t SEGMENTS[] = {0x26, 0x2E, 0x36, 0x3E, 0x64, 0x65};
    if (percent(4)) put(i, i->segment = PICK(SEGMENTS), 1);
    if (percent(i->map == LEGACY_MAP ? 25 : 40)) put(i, 0x66, 1), i->operand_size = true;
    if (percent(3)) put(i, 0x67, 1), i->address_size = true;
    if (percent(3)) put(i, 0xF0, 1), i->lock = true;
    if (percent(i->map == LEGACY_MAP ? 10 : 25)) put(i, 0xF3, 1), i->rep = true;
    else if (percent(i->map == LEGACY_MAP ? 10 : 25)) put(i, 0xF2, 1), i->repne = true;
    if (WIDE && percent(40)) put(i, i->rex = 0x40 | below(16), 1);
}

static int operand_bytes(const Instruction *i) { return i->rex & 8 ? 8 : i->operand_size ? 2 : 4; }

/* ModRM with a register, or with a memory operand at an address of our choice. `behind`: bytes of immediates that follow. */
static void modrm(Instruction *i, int reg, bool memory, int behind, uint8_t *address)
{
    i->has_modrm = true;
    int extension = (i->rex & 1) << 3, rm = below(8);
    if (!memory) {
        put(i, i->modrm = 0xC0 | reg << 3 | rm, 1);
        return;
    }
    uintptr_t target = i->target = place(i);
    if (!WIDE && i->address_size) { /* 16-bit addresses: nothing is mapped there */
        int mode = below(3), bytes = mode == 0 && rm == 6 ? 2 : mode;
        put(i, i->modrm = mode << 6 | reg << 3 | rm, 1);
        put(i, random64(), bytes);
        i->target = 0;
        return;
    }
    int form = below(8), scale = below(4), index = below(8) | (i->rex & 2) << 2;
    uint32_t displacement = percent(80) ? below(64) - 32u : (uint32_t)random64();
    if (form == 0) { /* an address alone, relative to the next instruction in 64-bit mode */
        put(i, i->modrm = reg << 3 | 5, 1);
        put(i, WIDE ? (uint32_t)target - (uint32_t)(uintptr_t)address - i->length - 4 - behind : (uint32_t)target, 4);
        return;
    }
    int mode = below(3);
    if (mode == 0) displacement = 0;
    if (mode == 1) displacement = (uint32_t)(int8_t)displacement;
    if (form < 4) { /* SIB */
        int base = below(8);
        if (mode == 0 && base == 5) mode = 1, displacement = 8;
        put(i, i->modrm = mode << 6 | reg << 3 | 4, 1);
        put(i, scale << 6 | (index & 7) << 3 | base, 1);
        base |= extension;
        uintptr_t offset = 0;
        if (index != 4) {
            if (index != base) before.registers[index] = below(64) - 32;
            offset = before.registers[index] << scale;
        }
        target -= (intptr_t)(int32_t)displacement;
        before.registers[base] = index != 4 && index == base ? target / (1 + (1u << scale)) : target - offset;
    } else {
        if (rm == 4 || (rm == 5 && mode == 0)) rm = 3;
        put(i, i->modrm = mode << 6 | reg << 3 | rm, 1);
        before.registers[rm | extension] = target - (intptr_t)(int32_t)displacement;
    }
    put(i, displacement, mode == 0 ? 0 : mode == 1 ? 1 : 4);
}

/* What may not be executed here, or tells the machine's state. */
static bool left_out(const Instruction *i)
{
    int reg = i->modrm >> 3 & 7;
    bool memory = i->modrm < 0xC0;
    if (!WIDE && i->address_size && i->segment >= 0x64) return true;              /* could write what the C library has there */
    if (!WIDE && i->address_size && i->map == LEGACY_MAP && (i->opcode & 0xFE) == 0xA6) return true; /* CMPS: both operands fault */
    if (!WIDE && (i->segment == 0x64 || i->segment == 0x2E)) return true;         /* null and read-only segments are not checked */
    /* What stays wrong: docs/instructions.md. */
    if (i->map == LEGACY_MAP) {
        if ((i->opcode == 0xDB || i->opcode == 0xDF) && !memory && reg >= 5 && (before.floats.control & 0x3F) != 0x3F) return true;
        if (i->opcode == 0xC8 && before.flags & 0x40000) return true;  /* AMD checks the alignment of the new top */
        if (WIDE && i->opcode >= 0x40 && i->opcode < 0x50) return true;           /* REX */
        if (!WIDE && i->opcode == 0xC9 && before.registers[BP] - 0xF0000000u < 0x0FFFF000u) return true; /* LEAVE: the program's own stack is there */
        if (WIDE && (i->opcode == 0x62 || i->opcode == 0xC4 || i->opcode == 0xC5)) return true;
        if (i->opcode == 0xFF && i->rex & 8 && (reg == 3 || reg == 5)) return true; /* makers differ */
        if (i->opcode == 0xD9 && !memory && reg == 3) return true;                /* not documented */
        if (i->opcode == 0xD9 && memory && reg == 6) return true;                 /* FNSTENV and FNSAVE store addresses */
        if (i->opcode == 0xDD && memory && reg == 6) return true;
        if ((i->opcode & 0xFE) == 0xA6 || i->opcode >= 0xAE) return false;
    } else if (i->map == MAP_0F) {
        if (i->rex & 8 && (i->opcode == 0xB2 || i->opcode == 0xB4 || i->opcode == 0xB5)) return true; /* LSS, LFS, LGS: makers differ */
        if (i->opcode == 0x01 || i->opcode == 0x77) return true;                  /* EMMS: makers differ in TOP */
        if (i->opcode <= 3 && i->lock) return true;                               /* AMD's processors take LOCK VERW */
        if (i->opcode == 0xF7 && (i->address_size || i->segment >= 0x64 || before.flags & 0x40000)) return true;
        if (i->opcode == 0x2A && memory && !i->rep && !i->repne) return true;         /* CVTPI2PS: makers differ */
        if (i->opcode == 0x2B && (i->rep || i->repne)) return true;               /* SSE4a */
        if (i->opcode == 0xC7 && (!memory || reg != 1)) return true;
        if (i->opcode == 0xAE) {
            if (memory && reg >= 6 && i->operand_size) return true;               /* CLWB, CLFLUSHOPT */
            return memory ? reg != 2 && reg != 3 && reg != 7 : reg < 5;
        }
        /* shifts of 16 bits by more */
        if ((i->opcode == 0xA4 || i->opcode == 0xAC) && (i->immediate & 31) > 16 && operand_bytes(i) == 2) return true;
        if ((i->opcode == 0xA5 || i->opcode == 0xAD) && (before.registers[CX] & 31) > 16 && operand_bytes(i) == 2) return true;
    } else if (i->map == MAP_0F38) {
        if (i->opcode >= 0x80 && i->opcode <= 0x8F) return true;                  /* INVEPT ... */
        if (i->opcode >= 0xC8 && i->opcode <= 0xCF) return true;                  /* SHA, GFNI */
        if (i->opcode > 0xF1) return true;                                        /* ADX, CET, MOVDIR */
    } else if (i->map == MAP_0F3A) {
        if (i->opcode == 0xCC || i->opcode == 0xCE || i->opcode == 0xCF) return true;
    }
    if (i->map == MAP_0F && (i->opcode == 0x1A || i->opcode == 0x1B)) return true;                       /* MPX */
    if (i->map == MAP_0F && (i->opcode == 0xBC || i->opcode == 0xBD) && !i->rep) return true;            /* undefined for 0 */
    if (i->map == MAP_0F && (i->opcode & 0xFC) == 0x20 && i->lock) return true;
    return false;
}

static void immediate(Instruction *i, int count)
{
    uint64_t value = percent(50) ? integer() : random64();
    i->immediate = (uint8_t)value;
    put(i, value, count);
}

/* -- selectors -- */

static const uint16_t SELECTORS[] = {0, 1, 3, 8, 0x10, 0x18, 0x1B, 0x20, 0x23, 0x23, 0x27, 0x28, 0x2A, 0x2B, 0x2B, 0x2B, 0x2B, 0x2F, 0x30, 0x33, 0x33,
    0x43, 0x63, 0x60, 0x6B, 0x83, 0xFFFB};

/* stack: not one whose segment begins elsewhere, since what ends an instruction counts on the stack's segment */
static uint16_t selector(bool stack)
{
    uint16_t found = percent(90) ? PICK(SELECTORS) : random64();
    return found >> 3 == 15 || (stack && found >> 3 == 12) ? 0x2B : found; /* 15: its limit is the number of the CPU */
}

/* Not of the other width: programs of their own have those. */
static uint16_t code_selector(void)
{
    uint16_t found = percent(50) ? (WIDE ? 0x33 : 0x23) : selector(false);
    return found >> 3 == (WIDE ? 4 : 6) ? found ^ 0x50 : found;
}

static void poke(uintptr_t at, uint64_t value, int size)
{
    if (at >= MEMORY && at + size <= MEMORY_END) memcpy((void *)at, &value, size);
}

/* A selector in the operand of 16 bits. */
static void operand(Instruction *i, uint16_t value)
{
    if (i->modrm < 0xC0) poke(i->target, value, 2);
    else before.registers[(i->modrm & 7) | (i->rex & 1) << 3] = value | (percent(50) ? random64() << 16 : 0);
}

/* A far pointer in memory, mostly to what follows the instruction. */
static void far_pointer(Instruction *i, uint8_t *address, uint16_t value)
{
    int size = operand_bytes(i);
    poke(i->target, percent(80) ? (uintptr_t)address + i->length : random64(), size);
    poke(i->target + size, value, 2);
}

/* What a far RET (count 2) and IRET (5) take from the stack: offset, selector, flags without TF, and in 64-bit mode stack pointer and its selector. */
static void stacked(Instruction *i, uint8_t *address, int count)
{
    int size = operand_bytes(i);
    uint64_t values[5] = {percent(85) ? (uintptr_t)address + i->length : vector(), code_selector() | random64() << 16, random64() & ~0x100ull,
                          percent(50) ? integer() : before.registers[SP], selector(true)};
    if (count == 5 && percent(10)) before.flags |= 0x4000; /* NT */
    for (int k = 0; k < count; k++) poke(before.registers[SP] + k * size, values[k], size);
}

static void body(Instruction *i, char kind, uint8_t *address)
{
    int word = i->operand_size && !(i->rex & 8) ? 2 : 4, reg = below(8);
    bool memory = percent(55);
    switch (kind) {
    case 'm': modrm(i, reg, true, 0, address); break;
    case 'r': modrm(i, reg, false, 0, address); break;
    case 'M': case 'A': case 'N': modrm(i, reg, memory, 0, address); break;
    case 'B': modrm(i, reg, memory, 1, address); immediate(i, 1); break;
    case 'Z': modrm(i, reg, memory, word, address); immediate(i, word); break;
    case 'P': modrm(i, percent(80) ? 0 : reg, memory, 0, address); break;
    case 'C': modrm(i, percent(80) ? 0 : reg, memory, i->opcode == 0xC6 ? 1 : word, address); immediate(i, i->opcode == 0xC6 ? 1 : word); break;
    case 'G': {
        int count = reg >= 2 ? 0 : i->opcode == 0xF6 ? 1 : word;
        modrm(i, reg, memory, count, address);
        immediate(i, count);
        break;
    }
    case 'H': {
        static const uint8_t USED[] = {0, 1, 3, 5, 6, 7};
        modrm(i, i->opcode == 0xFF ? PICK(USED) : reg, memory, 0, address);
        if (i->opcode == 0xFF && memory && (i->modrm & 0x38) != 0x38 && i->modrm >> 3 & 1) far_pointer(i, address, code_selector());
        break;
    }
    case 'b': immediate(i, 1); break;
    case 'i': {
        int vector = below(256);
        put(i, vector == 0x80 ? 0x81 : vector, 1);
        break;
    }
    case 'z': immediate(i, word); break;
    case 'v': immediate(i, i->rex & 8 ? 8 : word); break;
    case 'e': put(i, below(256), 2); put(i, percent(70) ? 0 : below(256), 1); break;
    case 'o': put(i, place(i), i->address_size == WIDE ? 4 : i->address_size ? 2 : 8); break;
    case 'j': put(i, 5, 1); break;
    case 'g': poke(before.registers[SP], selector(i->opcode == 0x17), WIDE ? 8 : 4); break;
    case 'D': modrm(i, reg, memory, 0, address); operand(i, selector(reg == 2)); break;
    case 'V': modrm(i, 4 + below(2), memory, 0, address); operand(i, selector(false)); break;
    case 'W': modrm(i, reg, memory, 0, address); operand(i, selector(false)); break;
    case 'L':
        modrm(i, reg, memory || i->opcode >= 0xC4, 0, address);
        far_pointer(i, address, selector(i->map == MAP_0F && i->opcode == 0xB2));
        break;
    case 'F': {
        uintptr_t next = (uintptr_t)address + i->length + word + 2;
        put(i, percent(80) ? next : random64(), word);
        put(i, code_selector(), 2);
        break;
    }
    case 'Q': put(i, 8 * below(8), 2); stacked(i, address, 2); break; /* few: AMD's processors touch the new top of the stack */
    case 'R': stacked(i, address, 2); break;
    case 'I': i->sets_flags = 0x244000; stacked(i, address, 5); break;
    case 'J': put(i, 5, WIDE || !i->operand_size ? 4 : 2); break;
    }
}

void generate(uint64_t seed, uint64_t index, Instruction *i, uint8_t *address)
{
    state = seed * 0xD1342543DE82EF95u + index * 0x2545F4914F6CDD1Du;
    for (;;) {
        *i = (Instruction){0};
        static const uint8_t SHARES[MAPS] = {45, 33, 11, 6, 3, 2};
        for (int chance = below(100); chance >= SHARES[i->map]; i->map++) chance -= SHARES[i->map];
        fill_registers(i);
        fill_floats();
        char kind = 'M';
        if (i->map == VEX_0F38 || i->map == VEX_0F3A) {
            i->opcode = i->map == VEX_0F38 ? PICK(VEX_OPCODES) : 0xF0;
            i->rex = (WIDE ? below(16) & 11 : below(2) << 3) | (WIDE ? 0 : 0);
            int inverted = ~i->rex & 7, source = WIDE ? below(16) : below(8), pp = i->map == VEX_0F3A ? 3 : below(4);
            bool three_operands = i->map == VEX_0F38;
            put(i, 0xC4, 1);
            put(i, inverted << 5 | (i->map == VEX_0F38 ? 2 : 3), 1);
            put(i, i->vex_second = (i->rex & 8) << 4 | (three_operands ? ~source & 15 : 15) << 3 | pp, 1);
            put(i, i->opcode, 1);
            if (i->map == VEX_0F3A) kind = 'B';
        } else {
            static const uint8_t ESCAPES[][3] = {{0}, {1, 0x0F}, {2, 0x0F, 0x38}, {2, 0x0F, 0x3A}};
            prefixes(i);
            for (int k = 1; k <= ESCAPES[i->map][0]; k++) put(i, ESCAPES[i->map][k], 1);
            i->opcode = random64();
            kind = i->map == LEGACY_MAP ? ONE[i->opcode] : i->map == MAP_0F ? TWO[i->opcode] : i->map == MAP_0F3A ? 'B' : 'M';
            put(i, i->opcode, 1);
        }
        if (kind == '.') continue;
        if (kind == 's') {
            before.registers[CX] = below(12);
            before.registers[SI] = place(i);
            before.registers[DI] = place(i);
        } else if (kind == 'n' && (i->opcode == 0xD7 || percent(50))) { /* XLAT: another address could be the stack's */
            before.registers[BX] = MEMORY_END - 512;
        } else if (i->map == MAP_0F && i->opcode == 0xF7) {
            before.registers[DI] = MEMORY_END - 64 - below(256);
        } else if (i->map == MAP_0F && ((i->opcode & 0xE7) == 0xA3 || i->opcode == 0xBB)) {
            for (int k = 0; k < REGISTERS; k++)
                if (k != SP && percent(70)) before.registers[k] = below(512) - 256u;
        } else if (i->map == LEGACY_MAP && (i->opcode & 0xFE) == 0xF6 && percent(40)) {
            before.registers[DX] = below(3) - 1;
        }
        body(i, kind, address);
        if (left_out(i) || i->length > 15) continue;
        i->undefined = undefined_flags(i);
        if (kind == 'j' || kind == 'J') memcpy(i->bytes + i->length, "\xb8\x78\x56\x34\x12", 5); /* what a branch that is taken skips */
        else i->bytes[i->length] = 0;
        return;
    }
}

/* -- flags -- */

enum { CF = 1, PF = 4, AF = 16, ZF = 64, SF = 128, OF = 0x800, ALL = CF | PF | AF | ZF | SF | OF };

static uintptr_t of_shift(const Instruction *i, unsigned count, int operation, int bits)
{
    count &= bits == 64 ? 63 : 31;
    if (!count) return 0;
    uintptr_t mask = count == 1 ? 0 : OF;
    if (operation >= 4) mask |= AF | ((int)count >= bits && operation != 7 ? CF : 0);
    (void)i;
    return mask;
}

uintptr_t undefined_flags(const Instruction *i)
{
    int reg = i->modrm >> 3 & 7, op = i->opcode, bits = 8 * operand_bytes(i);
    switch (i->map) {
    case LEGACY_MAP:
        if (op < 0x40 && (op & 7) < 6) return op >> 3 == 1 || op >> 3 == 4 || op >> 3 == 6 ? AF : 0;
        if (op >= 0x80 && op <= 0x83) return reg == 1 || reg == 4 || reg == 6 ? AF : 0;
        if (op == 0x84 || op == 0x85 || op == 0xA8 || op == 0xA9) return AF;
        if (op == 0x69 || op == 0x6B) return SF | ZF | AF | PF;
        if (op == 0x27 || op == 0x2F) return OF;
        if (op == 0x37 || op == 0x3F) return OF | SF | ZF | PF;
        if (op == 0xD4 || op == 0xD5) return OF | AF | CF;
        if (op == 0xC0 || op == 0xC1) return of_shift(i, i->immediate, reg, op & 1 ? bits : 8);
        if (op == 0xD2 || op == 0xD3) return of_shift(i, before.registers[CX], reg, op & 1 ? bits : 8);
        if (op == 0xD0 || op == 0xD1) return of_shift(i, 1, reg, 16);
        if (op == 0xF6 || op == 0xF7) return reg < 2 ? AF : reg < 4 ? 0 : reg < 6 ? SF | ZF | AF | PF : ALL;
        return 0;
    case MAP_0F:
        if (op == 0xA3 || op == 0xAB || op == 0xB3 || op == 0xBB || op == 0xBA) return OF | SF | AF | PF;
        if (op == 0xA4 || op == 0xAC) return i->immediate & (bits == 64 ? 63 : 31) ? AF | ((i->immediate & 63) == 1 ? 0 : OF) : 0;
        if (op == 0xA5 || op == 0xAD) return before.registers[CX] & (bits == 64 ? 63 : 31) ? AF | OF : 0;
        if (op == 0xAF) return SF | ZF | AF | PF;
        if (op == 0xBC || op == 0xBD) return i->rep ? OF | SF | AF | PF : CF | OF | SF | AF | PF;
        return 0;
    case VEX_0F38:
        if (op == 0xF2 || op == 0xF3) return AF | PF;
        if (op == 0xF5) return i->vex_second & 3 ? 0 : AF | PF;
        if (op == 0xF7) return i->vex_second & 3 ? 0 : AF | SF | PF;
        return 0;
    default:
        return 0;
    }
}
