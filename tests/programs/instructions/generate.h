/* Instruction number `index` of the sequence with a seed: its bytes, and the registers and memory that it begins with. */
#ifndef GENERATE_H
#define GENERATE_H

#include "machine.h"

enum { LEGACY_MAP, MAP_0F, MAP_0F38, MAP_0F3A, VEX_0F38, VEX_0F3A, MAPS };

typedef struct {
    uint8_t bytes[32];
    int length;               /* without what follows a branch */
    int map;
    uint8_t opcode, modrm, rex, vex_second;
    bool has_modrm, operand_size, address_size, rep, repne, lock;
    uint8_t segment;
    int32_t immediate;        /* 8 bits, if it has one */
    uintptr_t undefined;      /* flags that the processor leaves undefined */
    uintptr_t sets_flags;     /* flags beside those of arithmetic that are looked at */
    uintptr_t target;         /* where its memory operand is */
} Instruction;

/* Fills `before` and the watched memory as well. */
void generate(uint64_t seed, uint64_t index, Instruction *instruction, uint8_t *address);
/* Flags whose value Intel's manual calls undefined behind this instruction, with `before` as it began. */
uintptr_t undefined_flags(const Instruction *instruction);

#endif
