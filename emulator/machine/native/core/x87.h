/* Shared by the files of the x87. x87.c explains the two ways in which an instruction is carried out. */
#ifndef USELIB_X87_H
#define USELIB_X87_H

#include "core.h"

#include <string.h>

enum { IE = 1, DE = 2, ZE = 4, OE = 8, UE = 16, ES = 0x80, C1 = 0x200, TOP = 0x3800, BUSY = 0x8000, EXCEPTIONS = 0x3F, FLAGS = 0x7F };
enum { DEFAULT = 0x37F };

static inline Float80 *st(Env *env, unsigned n) { return &env->st[(env->top + n) & 7]; }
static inline uint8_t *tag(Env *env, unsigned n) { return &env->tags[(env->top + n) & 7]; }

/* A waiting instruction: an unmasked exception of an earlier one is raised now. */
static inline void wait(Env *env, uintptr_t host_pc)
{
    if (__builtin_expect(env->status & ES, 0)) core_raise(env, VECTOR_MF, host_pc);
}

static inline bool masked(const Env *env) { return (env->control & EXCEPTIONS) == EXCEPTIONS; }

/* The short way: x87 code under the guest's control word, with %[x] and %[y] as operands in memory. Flags and C1 go to the status word. */
#define SHORT_STATUS(env, status_, code, ...) \
    do { \
        uint16_t control_ = (env)->control | EXCEPTIONS; \
        static const uint16_t default_ = DEFAULT; \
        if (__builtin_expect(control_ == DEFAULT, 1)) \
            __asm__ volatile(code : [sw] "=a"(status_) __VA_ARGS__); \
        else \
            __asm__ volatile("fldcw %[cw]\n\t" code "\n\tfldcw %[usual]" : [sw] "=a"(status_) __VA_ARGS__, [cw] "m"(control_), [usual] "m"(default_)); \
    } while (0)
#define SHORT(env, code, ...) \
    do { \
        uint16_t raised_; \
        SHORT_STATUS(env, raised_, code, __VA_ARGS__); \
        (env)->status = ((env)->status & ~C1) | (raised_ & (EXCEPTIONS | C1)); \
    } while (0)

/* Whether a value can be pushed in the short way; the place for one. */
static inline bool room(Env *env) { return masked(env) && *tag(env, 7); }

static inline Float80 *push(Env *env)
{
    env->top = (env->top - 1) & 7;
    *tag(env, 0) = 0;
    return st(env, 0);
}

/* The long way, for an instruction with a register, or with an operand in memory of the host. */
void core_x87_register(Env *env, unsigned opcode, unsigned modrm);
void core_x87_memory(Env *env, unsigned opcode, unsigned operation, void *operand);
/* ES and B, after the control word or the flags have changed. */
void core_x87_summarize(Env *env);

/* Rows of the tables of replacements: Unicorn's helper, our function. */
#define HELPER(theirs, ours) {"helper_" #theirs "_x86_64", ours, NULL}
#define SAME(name) HELPER(name, name)

#endif
