/* Shared by the files that look at instructions before their translation: decode.c decodes them, forms.c says which exist, translate.c
 * replaces functions of Unicorn's translator. */
#ifndef USELIB_DECODE_H
#define USELIB_DECODE_H

#include "core.h"

/* State of the instruction that is being translated. Only one engine translates at a time, within uc_emu_start. */
typedef struct {
    uint64_t at;             /* its address */
    uint8_t bytes[15];       /* bytes that the translator gets */
    uint32_t substituted;    /* bit n: instead of byte n */
    bool half, quarter;      /* it reads 8 bytes, for which the translator makes two loads; 4, for which it loads 8 or twice 8 */
    void *first;             /* address of the first of them */
    bool aligned;            /* its next load or store of 8 bytes is half of an operand that must be aligned to 16 */
    bool checked, sixteen;   /* all its operands must be aligned to their size (EFLAGS.AC); one of 16 bytes is two of 8 */
} Translated;
extern Translated core_now;

/* A decoded instruction. */
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

/* Calls to be made around the instruction. */
typedef struct { bool reads_mxcsr, cmpxchg, enter, neg, memory; uint8_t string, size; } Around; /* memory: an operand of it is in memory */

/* Which prefix chooses the instruction behind 0F, as bits of tables. */
enum { NONE = 1, X66 = 2, XF3 = 4, XF2 = 8 };

/* decode.c: what to do about the instruction at `pc`; core_now has the details. */
Around core_look(Env *env, uint64_t pc);
uint8_t core_next(Decoder *d);
extern uint32_t (*core_code8)(Env *env, uint64_t address); /* a byte as it is in memory */

/* forms.c. Whether LOCK may be before the instruction; reads on. */
bool core_lock_allowed(Decoder *d, uint8_t opcode);
/* Whether a memory operand must be aligned to 16 bytes, of opcode 0F xx, 0F38 xx and 0F3A xx (the latter with 66). */
bool core_aligned_0f(uint8_t opcode, unsigned column);
bool core_aligned_0f38(uint8_t opcode);
bool core_aligned_0f3a(uint8_t opcode);
bool core_chosen_by_prefix(uint8_t opcode);
bool core_missing_form(uint8_t opcode, unsigned column, uint8_t modrm);

#endif
