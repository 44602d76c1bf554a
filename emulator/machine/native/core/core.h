/* Parts of Unicorn's x86 CPU that are replaced, on x86-64 hosts: the layout of its data, and the table of replacements.
 *
 * libunicorn exports the functions of its CPU, and refers to them through relocations that name symbols, as any shared object does. So a
 * function here replaces one of Unicorn's: its address is written where the dynamic linker wrote the old one (attach.c). Unicorn's code
 * does not change. Other users of the library in this process get the same functions, and so exact stack faults.
 *
 * Offsets are those of Unicorn 2.1.4 (struct CPUX86State in QEMU 5.0's target/i386/cpu.h). uselib_core_attach refuses any other release;
 * emulator/machine/core.py checks them for each engine, as far as they are visible.
 */
#ifndef USELIB_CORE_H
#define USELIB_CORE_H

#include <setjmp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define EXPORT __attribute__((visibility("default")))
#define HERE ((uintptr_t)__builtin_return_address(0)) /* in a helper: its place in translated code */

/* CPUState, reached through uc_struct; the registers begin behind it. */
enum { UC_CPU = 440, UC_TCG = 768, CPU_UC = 33192, CPU_CLASS = 33200, CLASS_UNALIGNED = 24, CPU_TLB = 35344, CPU_ENV = 35408 };

enum { PAGE = 4096, USER = 1 };        /* USER: MMU_USER_IDX, the guest's privilege level */
enum { MMU_LOAD, MMU_STORE };
enum { RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI, R8, R9, R10, R11 }; /* in Env.regs */

/* Where the TLB's entries of a privilege level are (CPUTLBDescFast). mask: (entries - 1) * the size of one. */
typedef struct { uint64_t mask; char *entries; } Level;

static inline Level *core_user_level(char *cpu) { return (Level *)(cpu + CPU_TLB) + USER; }

typedef struct { uint32_t selector; uint64_t base; uint32_t limit, flags; } Segment;
typedef struct { uint8_t tininess, rounding, flags, precision, flush_to_zero, flush_inputs, default_nan, snan_bit; } FloatStatus;
typedef union { uint64_t q[8]; uint32_t l[16]; uint16_t w[32]; uint8_t b[64]; float s[16]; double d[8]; } Zmm;
typedef union { uint64_t q; uint32_t l[2]; uint16_t w[4]; uint8_t b[8]; float s[2]; } Mmx;
typedef struct { uint64_t mantissa; uint16_t high; } __attribute__((aligned(16))) Float80;

/* CPUX86State, as far as it is used here. */
typedef struct {
    uint64_t regs[16], eip, eflags;
    uint64_t cc_dst, cc_src, cc_src2;
    uint32_t cc_op;
    int32_t df;
    uint32_t hflags, hflags2;
    Segment segs[6], ldt, tr, gdt, idt; /* ES CS SS DS FS GS */
    uint64_t cr[5];
    uint8_t unused_1[592 - 464];
    uint64_t efer;
    uint32_t init_mark, top;            /* fpstt: number of the register that is ST(0) */
    uint16_t status, control;           /* fpus without the top, fpuc */
    uint8_t tags[8];                    /* 1: empty */
    Float80 st[8];
    uint16_t fpop, fpcs, fpds;
    uint64_t fpip, fpdp;
    FloatStatus fp_status;
    Float80 ft0;
    FloatStatus mmx_status, sse_status;
    uint32_t mxcsr;
    Zmm xmm[32], xmm_t0;
    Mmx mmx_t0;
    uint8_t unused_2[5384 - 2944];
    int32_t error_code, exception_is_int;
    uint64_t exception_next_eip;
    uint64_t dr[8];
    void *breakpoints[4];
    int32_t old_exception;
} Env;

/* One replaced function. original: where its old address is kept, or NULL. */
typedef struct { const char *name; void *replacement; void **original; } Replacement;

extern const Replacement *const uselib_replacements[]; /* a table a file, NULL at the end (attach.c) */

/* Functions of Unicorn's that replacements call. `host_pc`: __builtin_return_address(0) of the replaced helper, from which the guest's
 * program counter is found, so that the exception happens at the instruction. They do not return. */
typedef __attribute__((noreturn)) void (*RaiseFunction)(Env *env, int vector, uintptr_t host_pc);
typedef __attribute__((noreturn)) void (*RaiseErrorFunction)(Env *env, int vector, int error_code, uintptr_t host_pc);
extern RaiseFunction core_raise;
extern RaiseErrorFunction core_raise_error;
/* A byte of guest memory; faults as the instruction would. */
extern uint32_t (*core_read_byte)(Env *env, uint64_t address, uintptr_t host_pc);
extern void (*core_store_byte)(Env *env, uint64_t address, uint32_t value, uintptr_t host_pc);

/* Has the instruction that is being translated call a function of ours first (emit.c). */
enum { CORE_TAKE_FLAGS, CORE_BEFORE, CORE_AFTER_CMPXCHG, CORE_AFTER_ENTER, CORE_AFTER_NEG, CORE_CHECK_MMX, CORE_COUNT_BLOCK, CORE_CALLS };
void core_emit_call(Env *env, int what);
/* The same for REP MOVS (opcode A4) and REP STOS (AA) with elements of so many bytes (strings.c). */
void core_emit_string(Env *env, unsigned opcode, unsigned size);
void core_take_flags(Env *env);
extern void (*core_gen_call)(void *tcg, void *function, void *result, int count, void **arguments);
extern Env *core_running;  /* the CPU that runs */
extern bool core_counting;   /* instructions are counted, so every iteration of a string instruction has to be executed */
extern uint64_t core_until; /* where it stops: nothing there is read */

/* tlb.c */
uint64_t *core_grow_tlb(char *cpu);

/* x87.c: makes the machine code that it executes, once (0: impossible); clears the flags that the host's x87 has collected. */
int core_prepare_x87(void);
void core_clear_x87(void);
void core_fpop(Env *env); /* helper_fpop */
/* x87.c: the same for FCMOVcc (opcode << 8 | modrm) as for stores: */
void core_want_fcmov(unsigned what);
bool core_emit_fcmov(void *tcg, void *function, void **arguments);
/* x87_memory.c: the instruction that is translated next is a store (opcode << 8 | operation; 0: none); in place of a call of a helper (false:
 * that is another one). */
enum { CORE_TOUCH = 1 }; /* instead: only reads a byte of its operand */
void core_want_store(unsigned what);
bool core_emit_store(void *tcg, void *function, void **arguments);
extern void *(*core_probe)(Env *env, uint64_t address, int size, int access, int mmu_index, uintptr_t host_pc); /* faults as the access would */
extern char *(*core_host_address)(Env *env, uint64_t address, int access, int mmu_index); /* NULL: not in the TLB, or special */
extern uint32_t (*core_flags)(Env *env, int operation);
extern void (*core_store64)(Env *env, uint64_t address, uint64_t value, uintptr_t host_pc);
extern void (*core_store32)(Env *env, uint64_t address, uint32_t value, uintptr_t host_pc);
extern void (*core_store16)(Env *env, uint64_t address, uint32_t value, uintptr_t host_pc);
extern uint64_t (*core_load64)(Env *env, uint64_t address, uintptr_t host_pc);
extern uint32_t (*core_load32)(Env *env, uint64_t address, uintptr_t host_pc);
extern uint32_t (*core_load16)(Env *env, uint64_t address, uintptr_t host_pc);

/* align.c: whether the program has asked for the alignment check; a check of one access; the CPU's handler put in place. */
bool core_checks_alignment(const Env *env);
void core_check_alignment(Env *env, uint64_t address, unsigned size, uintptr_t host_pc);
void core_watch_alignment(void *cpu_class);
/* decode.c: whether the instruction at the program counter has an SSE operand in memory that must be aligned to 16 bytes. */
bool core_must_be_aligned(Env *env);

/* bmi.c: whether the host has these instructions; the instruction that is translated next is one (0: none); after its translation; in place of
 * a call of a helper (false: that is another one). */
enum { CORE_BZHI = 1, CORE_BEXTR, CORE_BLSR, CORE_BLSMSK, CORE_BLSI, CORE_PDEP, CORE_PEXT };
bool core_can_bmi(void);
void core_want_bmi(unsigned what, bool wide);
void core_end_bmi(void *disas_context);
bool core_emit_bmi(void *tcg, void *function, void *result, int count, void **arguments);
extern void *(*core_constant)(void *tcg, int64_t value); /* a temporary with a value, freed by core_free_temporary */
extern void (*core_free_temporary)(void *tcg, void *temporary);

/* host_faults.c: before a run of the CPU, in the frame whose address is given; while a block is translated; Unicorn's cpu_restore_state. */
void core_enter_faults(uintptr_t frame);
extern bool core_translating;
extern uintptr_t core_access_pc; /* in translated code, of the access that is being made by a function; 0: none */
/* A copy from or to host pages that may be missing: sigsetjmp(core_copy_failed, 0), then core_copying is true until it is done. */
extern sigjmp_buf core_copy_failed;
extern volatile bool core_copying;
extern bool (*core_restore)(void *cpu, uintptr_t host_pc, bool will_exit);

/* mmx.c: the next change to MMX comes after the instruction's access to memory (NULL: it does not); emits the call, if it is still to
 * come. */
void core_delay_mmx(Env *env);
void core_emit_delayed_mmx(void);
void core_want_mmx(unsigned map, uint8_t opcode, uint8_t modrm); /* the instruction, if it may be one of MMX; map 0: none */
void core_check_mmx(void);

/* slices.c: whether blocks that are translated now count; what they call at their start. */
extern bool core_slices;
void core_count_block(void);
void core_begin_slice(const Env *env, int64_t blocks);
bool core_slice_over(const Env *env); /* the time slice of this CPU is used up */

/* locked.c: the block that is translated next has calls for locked instructions. */
void core_translate_locked(Env *env);

/* segments.c: where the table of descriptors is; CS and SS (false: a program may not have these). */
void core_set_descriptors(Env *env, uint64_t host_address);
bool core_set_code(Env *env, uint16_t code, uint16_t stack);

/* starts.c: emits the start of the block that is translated next; whether a call of this function is the one that it replaces. */
void core_start_block(Env *env, uint64_t pc);
bool core_emit_start(void *function);
extern void *(*core_new_temporary)(void *tcg, int type, bool local); /* freed by core_free_temporary */
extern void *(*core_new_label)(void *tcg);
extern void (*core_emit_branch)(void *tcg, uint32_t condition, void *value, int32_t other, void *label);
extern void (*core_emit_one)(void *tcg, int operation, uintptr_t a);
extern void (*core_emit_three)(void *tcg, int operation, uintptr_t a, uintptr_t b, uintptr_t c);

/* translate.c: before a run of the CPU, for block hooks that are called for chosen blocks. */
void core_enter_watch(void *uc);

/* ../calls/entry.c: before a run of the CPU; Unicorn's functions that it needs. */
void core_enter_calls(void *calls);
void core_interrupt_call(Env *env, int vector, int size); /* int N: returns if it is no system call, or one for hooks */
extern int (*core_emu_stop)(void *uc);
extern int (*core_save_context)(void *uc, void *context), (*core_restore_context)(void *uc, void *context);
extern __attribute__((noreturn)) void (*core_loop_exit)(void *cpu);

/* sse.c: around a run of the CPU. */
void core_enter_sse(Env *env);
void core_leave_sse(Env *env);

enum { VECTOR_UD = 6, VECTOR_GP = 13, VECTOR_MF = 16, VECTOR_AC, VECTOR_XM = 19 };

#endif
