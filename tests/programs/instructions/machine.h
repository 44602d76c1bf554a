/* One instruction at a time, with chosen registers and memory: what is set before it and what is found behind it. */
#ifndef MACHINE_H
#define MACHINE_H

#include <stdbool.h>
#include <stdint.h>

#ifdef __x86_64__
enum { WIDE = 1, REGISTERS = 16 };
#else
enum { WIDE = 0, REGISTERS = 8 };
#endif

enum { AX, CX, DX, BX, SP, BP, SI, DI };

/* The image of FXSAVE. */
typedef struct {
    uint16_t control, status, tags, opcode;
    uint32_t ip[2], dp[2];
    uint32_t mxcsr, mxcsr_mask;
    struct { uint64_t mantissa; uint16_t high; uint16_t unused[3]; } st[8];
    uint64_t xmm[16][2];
    uint8_t unused[96];
} __attribute__((aligned(16))) Floats;

typedef struct {
    uintptr_t registers[REGISTERS];
    uintptr_t flags;
    Floats floats;
    uint32_t selectors[6];       /* ES CS SS DS FS GS; only found behind an instruction */
    uintptr_t bases[2];          /* of FS and GS in 64-bit mode, likewise */
} State;

/* How it ended: signal 0 if the instruction was completed. */
typedef struct { int signal, code; uintptr_t address, pc; } End;

extern State before, after;
extern uintptr_t machine_fs; /* the C library's base of FS, or selector of GS on i386 */

/* Fixed addresses: the same natively and emulated. The page behind MEMORY_END is not mapped. */
enum { MEMORY = 0x10000000, MEMORY_END = MEMORY + 0x2000, WATCHED = 1024, CODE = 0x20000000, SLOT = 64, SLOTS = 1024 };

void machine_start(void);
/* Code for the next SLOTS instructions, at addresses not used lately: writable until machine_close. */
uint8_t *machine_open(void);
void machine_close(uint8_t *code);
/* What ends an instruction; returns its length. */
int machine_exit(uint8_t *at);
/* Executes at `code` with `before`; fills `after`. */
End machine_run(uint8_t *code);

#endif
