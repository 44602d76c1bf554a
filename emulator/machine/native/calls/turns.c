/* Turns of the program's threads that are taken within the run of the CPU: sched_yield, and futexes that threads wait for and wake each other by.
 *
 * Python's scheduler (emulator/kernel/threads/scheduler.py) keeps the order here: the queue of threads that can run, and the running
 * one. A turn is taken here only if Python would take the same one: the next thread is at the end of a call or of a slice, no signal has
 * to be delivered to it, and no deadline of a waiting thread has passed. Python takes over a wait that has begun here when it looks at
 * threads again. */
#include "calls.h"

#include <errno.h>
#include <string.h>

enum { STEP = 10000 /* ns that a decision takes: emulator/kernel/clock.py */ };

int (*core_save_context)(void *uc, void *context), (*core_restore_context)(void *uc, void *context);

static Turn *current(Turns *t) { return &t->turns[t->current]; }

static void enqueue(Turns *t, uint32_t slot)
{
    t->turns[slot].python = 0;
    t->queue[(t->head + t->count++) % ROOM] = slot;
}

/* Whether the next thread may be in the middle of a restartable sequence (rseq(2)), which then has to be aborted. */
static bool in_sequence(const Question *q, const Turn *turn)
{
    uint64_t descriptor;
    return turn->sequence && (!load_guest(q->env, &descriptor, turn->sequence, sizeof descriptor) || descriptor);
}

/* Whether the next thread can go on from here. */
static bool can_take(const Question *q, bool alone)
{
    const Turns *t = q->calls->turns;
    if (!q->calls->many || !t || !t->allowed || *q->calls->elapsed + STEP >= t->deadline) return false;
    const Turn *next = &t->turns[t->count ? t->queue[t->head] : t->current];
    return (t->count ? !next->python : alone) && !in_sequence(q, next);
}

static void descriptors(Turns *t, bool load)
{
    if (!t->descriptors) return;
    if (load) memcpy(t->descriptors, current(t)->descriptors, sizeof current(t)->descriptors);
    else memcpy(current(t)->descriptors, t->descriptors, sizeof current(t)->descriptors);
}

/* The registers of the thread on the CPU are those after its call. */
void take_turn(Calls *calls, Env *env, void *uc)
{
    Turns *t = calls->turns;
    uint32_t next = t->queue[t->head];
    t->head = (t->head + 1) % ROOM, t->count--;
    *calls->elapsed += STEP;
    core_begin_slice(env, t->blocks);
    if (next == t->current) return;
    core_leave_sse(env); /* within a run, parts of the registers are in the host's */
    core_save_context(uc, current(t)->context);
    descriptors(t, false);
    t->current = next;
    core_restore_context(uc, current(t)->context);
    descriptors(t, true);
    core_clear_x87();
    core_enter_sse(env);
    calls->tid = current(t)->tid;
}

bool answer_yield(Question *q, int64_t *result)
{
    *result = 0;
    if (!q->calls->many) return !q->calls->sleeps;
    if (!can_take(q, true)) return false;
    enqueue(q->calls->turns, q->calls->turns->current);
    q->gives_way = true;
    return true;
}

bool begin_wait(Question *q, uint32_t bits)
{
    Turns *t = q->calls->turns;
    if (!can_take(q, false)) return false;
    Turn *turn = current(t);
    turn->address = q->arguments[0];
    turn->bits = bits;
    memcpy(turn->call, q->arguments - 1, sizeof turn->call);
    t->waiting[t->waits++] = t->current;
    q->gives_way = true;
    return true;
}

int64_t end_waits(const Question *q, uint32_t bits)
{
    Turns *t = q->calls->turns;
    int64_t woken = 0, most = (int32_t)q->arguments[2], kept = 0;
    if (!t) return 0;
    for (int64_t i = 0; i < t->waits; i++) {
        const Turn *turn = &t->turns[t->waiting[i]];
        if ((!woken || woken < most) && turn->address == q->arguments[0] && turn->bits & bits) {
            enqueue(t, t->waiting[i]);
            woken++;
        } else {
            t->waiting[kept++] = t->waiting[i];
        }
    }
    t->waits = kept;
    return woken;
}
