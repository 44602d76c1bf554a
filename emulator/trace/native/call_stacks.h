/* The guest's stacks, each with its calls that have not returned (see recorder.c). */
#pragma once

#include "guest_memory.h"

static Stack *choose_stack(Trace *t, uint64_t sp)
{
    Stack *s = t->stacks, *oldest = s;
    for (unsigned i = 0; i < STACKS; i++)
        if (sp - s[i].low < s[i].high - s[i].low) return &s[i];
    const Mapping *m = find_mapping(t, sp);
    uint64_t low = m ? m->start : sp & ~(uint64_t)4095, high = m ? m->end : low + 4096;
    for (unsigned i = 0; i < STACKS; i++)
        if (s[i].low < s[i].high && low < s[i].high && s[i].low < high) { /* it has grown */
            if (low < s[i].low) s[i].low = low;
            if (high > s[i].high) s[i].high = high;
            return &s[i];
        }
    for (unsigned i = 1; i < STACKS; i++)
        if (s[i].used < oldest->used) oldest = &s[i];
    oldest->low = low;
    oldest->high = high;
    oldest->count = 0;
    return oldest;
}

static Stack *switch_stack(Trace *t, uint64_t sp)
{
    Stack *left = &t->stacks[t->current];
    uint32_t depth = t->other_thread ? 0 : left->base + left->count;
    Stack *s = choose_stack(t, sp);
    t->other_thread = 0;
    if (!t->stack_clock) t->home = (uint32_t)(s - t->stacks);
    s->used = ++t->stack_clock;
    if (s != left || !left->count) s->outer = s == &t->stacks[t->home] ? 0 : depth;
    if (!s->count) s->base = s->outer;
    t->current = (uint32_t)(s - t->stacks);
    return s;
}

static inline Stack *stack_of(Trace *t, uint64_t sp)
{
    Stack *s = &t->stacks[t->current];
    if (sp - s->low < s->high - s->low) return s;
    return switch_stack(t, sp);
}

static int push(Stack *s, uint64_t sp, uint64_t caller, uint64_t sequence, uint64_t time, uint32_t function, uint32_t depth)
{
    if (UNLIKELY(s->count == s->capacity)) {
        uint32_t more = s->capacity ? 2 * s->capacity : 256;
        if (more > MAX_FRAMES) return 0;
        Frame *frames = realloc(s->frames, more * sizeof *frames);
        if (!frames) return 0;
        s->frames = frames;
        s->capacity = more;
    }
    Frame *f = &s->frames[s->count++];
    f->sp = sp;
    f->caller = caller;
    f->sequence = sequence;
    f->time = time;
    f->function = function;
    f->depth = depth;
    return 1;
}
