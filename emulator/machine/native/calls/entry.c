/* The entry of the program's system-call instructions, in place of Unicorn's helpers.
 *
 * Unicorn calls a hook, from which the CPU has to be stopped, and starts again when the run loop has done the call. Here a call is
 * answered if possible, and the program goes on. For the others the registers are saved, so that the run loop need not ask for them.
 * Source: Intel SDM volume 2, SYSCALL; QEMU's target/i386/seg_helper.c (helper_syscall), excp_helper.c. */
#include "calls.h"

#include <string.h>

enum { VECTOR_SYSTEM_CALL = 0x80, TRAP_FLAG = 0x100, DIRECTION_FLAG = 0x400, CPL = 3, LONG_CODE = 1 << 15, LONG_MODE = 1 << 14 };

static const uint8_t ARGUMENTS_64[6] = {RDI, RSI, RDX, R10, R8, R9}, ARGUMENTS_32[6] = {RBX, RCX, RDX, RSI, RDI, RBP};

static const Answer ANSWER_OF[ANSWERS] = {
    [READ] = answer_read, [WRITE] = answer_write, [READV] = answer_readv, [WRITEV] = answer_writev, [LSEEK] = answer_lseek,
    [LLSEEK] = answer_llseek, [PID] = answer_pid, [TID] = answer_tid, [CLOCK] = answer_clock, [CLOCK64] = answer_clock64,
    [TIMEOFDAY] = answer_timeofday, [TIME] = answer_time, [FUTEX] = answer_futex, [YIELD] = answer_yield,
};

static void (*unicorn_syscall)(Env *, int);
int (*core_emu_stop)(void *uc);
__attribute__((noreturn)) void (*core_loop_exit)(void *cpu);

static Calls *calls_of_run; /* of the engine that runs; NULL: its calls go to hooks */

void core_enter_calls(void *calls)
{
    calls_of_run = calls;
    if (calls_of_run) calls_of_run->event = NOTHING;
}

static void *uc_of(Env *env) { return *(void **)((char *)env - CPU_ENV + CPU_UC); }

static void stop(Calls *calls, Env *env, int event)
{
    calls->event = event;
    core_emu_stop(uc_of(env));
}

/* The program counter is at the instruction, and behind it afterwards. */
static void handle(Calls *calls, Env *env, int size, bool wide)
{
    uint64_t *frame = calls->frame;
    const uint8_t *order = wide ? ARGUMENTS_64 : ARGUMENTS_32;
    frame[0] = (uint32_t)env->regs[RAX];
    for (int i = 0; i < 6; i++) frame[1 + i] = wide ? env->regs[order[i]] : (uint32_t)env->regs[order[i]];
    env->eip += size;
    if (!wide) env->eip = (uint32_t)env->eip;
    frame[7] = env->eip;
    frame[8] = env->eflags | core_flags(env, env->cc_op) | (env->df & DIRECTION_FLAG);
    Question q = {calls, env, frame + 1, wide, false};
    int64_t result;
    uint8_t kind = frame[0] < NUMBERS ? calls->kinds[frame[0]] : PYTHON;
    if (!kind || kind >= ANSWERS || !calls->allowed || uselib_attention || frame[8] & TRAP_FLAG || (env->hflags & CPL) != CPL ||
        (calls->many && core_slice_over(env)) || !ANSWER_OF[kind](&q, &result)) {
        stop(calls, env, CALL);
        return;
    }
    calls->answered++;
    env->regs[RAX] = wide ? (uint64_t)result : (uint32_t)result;
    if (wide) env->regs[RCX] = frame[7], env->regs[R11] = frame[8];
    if (q.gives_way) take_turn(calls, env, uc_of(env));
    if (uselib_attention) stop(calls, env, SIGNAL);
}

static void system_call(Env *env, int size)
{
    if (env == core_running && env->hflags & LONG_MODE && !(env->hflags & LONG_CODE)) core_raise(env, VECTOR_UD, HERE); /* as on Intel's */
    if (env != core_running || !calls_of_run) unicorn_syscall(env, size);
    else handle(calls_of_run, env, size, true);
}

void core_interrupt_call(Env *env, int vector, int size)
{
    if (env != core_running || !calls_of_run || vector != VECTOR_SYSTEM_CALL || env->hflags & LONG_MODE) return;
    handle(calls_of_run, env, size, false);
    core_loop_exit((char *)env - CPU_ENV);
}

const Replacement uselib_calls[] = {
    {"helper_syscall_x86_64", system_call, (void **)&unicorn_syscall},
    {NULL, NULL, NULL},
};
