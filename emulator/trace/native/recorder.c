/* The recorder's callbacks: events of a trace as 64-byte records (emulator/trace/store/format.py), without Python.
 *
 * Unicorn calls on_slot for a basic block in a jump table, or on_block for every basic block (returns, inner functions and the
 * clock `blocks` need that). This file is linked with nothing: addresses of uc_reg_read and uc_reg_read_batch come in `Trace`,
 * which native_backend.py mirrors field by field and fills in. It is loaded with ctypes and is no Python module, so that no
 * header of Python's is needed to build it. emulator/trace/record/python_backend.py does the same in Python; tests compare the bytes.
 *
 * Guest memory is read through the host mappings behind it. Python says once per mapping which guest addresses may be read (`resolve`).
 * The answer is kept until a mapping changes (`forget`), so no guest pointer can make the host fault.
 *
 * Stacks. Each stack of the guest (thread stack, signal stack, coroutine's) is known by the mapping it lies in and has its own list of
 * calls that have not returned, the innermost last; their stack pointers fall. A call at stack pointer S ends all calls with a lower
 * stack pointer: their frames have ended, by return, longjmp or an unwinder. A return is seen as a block at a call's return address with
 * the stack pointer just above the call's. Neither needs an event at the moment a frame ends, so the lists stay right after longjmp,
 * signals on either stack, and fork (which copies this memory).
 *
 * Shared objects. An exported function (F_FOREIGN) is entered by calls of all kinds; it is an event if the return address lies in
 * another object. The address of an IFUNC is that of its resolver (F_RESOLVER): the address that the resolver returns becomes another
 * address of the same function.
 */
#include "known_addresses.h"
#include "records.h"

EXPORT const uint64_t uselib_sizes[] = {sizeof(Trace), sizeof(Record), sizeof(Function), sizeof(Want), sizeof(Table), BLOOM_BITS};

/* -- calls ----------------------------------------------------------------------------------------------------------- */

/* A function gets another address from now on. Blocks translated there before do not call the recorder, so they are dropped. */
static void add_entry(Trace *t, uint64_t address, uint32_t function)
{
    uint64_t i = hash(address) >> 20 & t->key_mask;
    while (t->keys[i] && t->keys[i] != address + 1) i = (i + 1) & t->key_mask;
    if (!t->keys[i]) t->values[i] = function; /* of two names for one address the first */
    t->keys[i] = address + 1;
    add_bloom(t, address);
}

static void drop_translation(Trace *t, void *uc, uint64_t address)
{
    if (t->watched && t->control) t->control(uc, (uint32_t)t->drop, address, address + 1);
}

/* The entry of a resolver: its result is read where it returns to. */
static void enter_resolver(Trace *t, void *uc, uint32_t function, uint64_t sp, uint64_t caller)
{
    while (t->resolver_count && t->resolvers[t->resolver_count - 1].sp <= sp) t->resolver_count--;
    if (t->resolver_count == RESOLVERS || t->resolved_count == RESOLVED) return;
    Resolver *r = &t->resolvers[t->resolver_count++];
    r->sp = sp;
    r->caller = caller;
    r->function = function;
    if (!in_bloom(t, caller)) {
        add_bloom(t, caller);
        drop_translation(t, uc, caller);
    }
}

/* A block that a resolver may have returned to. */
static void maybe_resolved(Trace *t, void *uc, uint64_t address)
{
    const Resolver *r = &t->resolvers[t->resolver_count - 1];
    uint64_t sp = reg(t, uc, SP);
    if (r->caller != address || sp != r->sp + t->bits / 8) return;
    t->resolver_count--;
    uint64_t found = reg(t, uc, AX);
    uint32_t function = r->function;
    for (uint64_t i = 0; i < t->resolved_count; i++)
        if (t->resolved[2 * i] == found) return;
    t->resolved[2 * t->resolved_count] = found;
    t->resolved[2 * t->resolved_count++ + 1] = function;
    add_entry(t, found, function);
    drop_translation(t, uc, found);
}

/* Whether the call before a return address always leads to the same function: call rel32, and call through the GOT. */
static int fixed_call(Trace *t, uint64_t caller)
{
    uint8_t code[6];
    if (copy_in(t, caller - 6, code, 6) != 6) return 0;
    return code[1] == 0xE8 || (code[0] == 0xFF && (code[1] == 0x15 || (t->bits == 32 && code[1] == 0x93)));
}

/* Whether a function was not called but jumped to, by one of its own object that was called and is recorded. */
static int jumped_within(Trace *t, uint32_t function, uint64_t sp, uint64_t caller)
{
    const Stack *s = stack_of(t, sp);
    if (!s->count) return 0;
    const Frame *top = &s->frames[s->count - 1];
    if (top->sp != sp || top->caller != caller || top->function == function) return 0;
    if (t->functions[top->function].low != t->functions[function].low) return 0;
    return t->returns || fixed_call(t, caller);
}

/* address: where it was entered, which is another one than the function's for what a resolver has chosen. */
static void enter_at(Trace *t, void *uc, uint32_t function, uint64_t address);

static void enter(Trace *t, void *uc, uint32_t function) { enter_at(t, uc, function, 0); }

static void enter_at(Trace *t, void *uc, uint32_t function, uint64_t address)
{
    const Function *f = &t->functions[function];
    int wide = t->bits == 64;
    uint64_t sp = reg(t, uc, SP);
    uint64_t stack[1 + WORDS + EXTRA], words[WORDS + EXTRA];
    uint64_t caller;

    if (f->flags & (F_FOREIGN | F_RESOLVER)) {
        read_words(t, sp, &caller, 1);
        if (f->flags & F_RESOLVER && address == f->entry) {
            enter_resolver(t, uc, function, sp, caller);
            return;
        }
        if (caller - f->low < f->high - f->low || jumped_within(t, function, sp, caller)) return;
    }
    if (f->flags & F_INNER && t->via == sp && (!(f->flags & F_THUNK) || f->slot == t->via_function + 1)) {
        if (!(f->flags & F_THUNK)) t->via = 0; /* it is what the slot just recorded leads to */
        return;
    }
    t->via = f->flags & F_INNER ? 0 : sp;
    t->via_function = function;
    read_words(t, sp, stack, wide ? 1 : 1 + WORDS);
    caller = stack[0];
    t->calls++;

    Stack *s = stack_of(t, sp);
    int tail = 0;
    while (s->count) {
        Frame *top = &s->frames[s->count - 1];
        if (top->sp > sp) break;
        if (t->returns && top->sp == sp && top->caller == caller) {
            tail = 1;
            break;
        }
        s->count--;
        if (t->returns) returned(t, uc, top, sp, 1);
    }
    if (!s->count) s->base = s->outer;
    uint32_t depth = s->base + s->count;

    uint32_t pass = f->flags & F_RECORD;
    if (UNLIKELY(f->flags & (F_ON | F_OFF))) t->active = (f->flags & F_ON) != 0;
    pass = pass && t->active && depth < t->max_depth && t->remaining && !t->disabled;
    if (pass && t->filter_callers) pass = caller_wanted(t, caller);
    if (pass && t->sample > 1) pass = t->sampled++ % t->sample == 0;
    if (!pass) {
        t->filtered++;
        push(s, sp, caller, 0, now(t), function, depth);
        if (t->returns) add_site(t, caller);
        return;
    }
    if (t->remaining != ~(uint64_t)0) t->remaining--;

    if (UNLIKELY(f->flags & F_NEW)) t->prepare(function);
    if (UNLIKELY(f->wants)) payload_room(t);
    unsigned count = f->words, extra = count > WORDS ? count - WORDS : 0;
    Record *r = reserve(t, 1 + (extra != 0));
    uint64_t time = now(t);
    if (wide) {
        words[0] = reg(t, uc, DI);
        words[1] = reg(t, uc, SI);
        words[2] = reg(t, uc, DX);
        words[3] = reg(t, uc, CX);
    } else {
        memcpy(words, stack + 1, 8 * WORDS);
    }
    r->time = time;
    r->caller = caller;
    r->sp = sp;
    memcpy(r->words, words, sizeof r->words);
    r->function = function;
    r->depth = clamp(depth);
    r->kind = f->flags & F_INNER ? INNER_CALL : CALL;
    r->flags = tail ? TAIL_CALL : 0;
    if (UNLIKELY(extra)) {
        if (wide) {
            words[4] = reg(t, uc, R8);
            words[5] = reg(t, uc, R9);
            if (extra > 2) read_words(t, sp + 8, words + 6, extra - 2);
        } else {
            read_words(t, sp + 4 + 4 * WORDS, words + WORDS, extra);
        }
        more(r + 1, words + WORDS, extra);
    }
    if (UNLIKELY(f->wants) && copy_wanted(t, uc, f, sp, words, count, 0)) r->flags |= HAS_PAYLOAD;
    push(s, sp, caller, t->sequence, time, function, depth);
    if (t->returns) add_site(t, caller);
}

/* A block that some call may return to. Calls with a stack pointer below the present one are over. The outermost of them is the
   one that returns, if this is its return address, and functions that were jumped to share its frame; the others were left by a
   longjmp, whose target is such a block too: where setjmp returns. */
static void maybe_return(Trace *t, void *uc, uint64_t address)
{
    uint64_t sp = reg(t, uc, SP);
    Stack *s = stack_of(t, sp);
    uint32_t i = s->count;
    while (i && s->frames[i - 1].sp < sp) i--;
    if (i == s->count) return;
    uint64_t frame = s->frames[i].sp;
    int near = sp - frame <= RETURN_REACH;
    while (s->count > i) {
        Frame *top = &s->frames[--s->count];
        returned(t, uc, top, sp, !near || top->sp != frame || top->caller != address);
    }
}

/* -- what Unicorn calls ---------------------------------------------------------------------------------------------- */

EXPORT void uselib_on_slot(void *uc, uint64_t address, uint32_t size, Table *table)
{
    uint64_t offset = address - table->begin;
    (void)size;
    if (offset % table->slot_size) return; /* a jump into the middle of a slot: not a dispatch */
    enter(table->trace, uc, table->first + (uint32_t)(offset / table->slot_size));
}

EXPORT void uselib_on_block(void *uc, uint64_t address, uint32_t size, Trace *t)
{
    (void)size;
    t->blocks++;
    t->block = address;
    if (!in_bloom(t, address)) {
        t->via = 0;
        return;
    }
    if (UNLIKELY(t->resolver_count)) maybe_resolved(t, uc, address);
    if (t->returns && t->sites[find_site(t, address)] == address) maybe_return(t, uc, address);
    for (uint64_t i = hash(address) >> 20 & t->key_mask; t->keys[i]; i = (i + 1) & t->key_mask)
        if (t->keys[i] == address + 1) {
            enter_at(t, uc, t->values[i], address);
            return;
        }
    t->via = 0;
}

/* Called for blocks that match the filter, where blocks are chosen when they are translated (emulator/machine/machine.py
 * watch_filtered). Other blocks may come too. */
EXPORT void uselib_on_entry(void *uc, uint64_t address, uint32_t size, Trace *t)
{
    (void)size;
    if (t->resolver_count) maybe_resolved(t, uc, address);
    for (uint64_t i = hash(address) >> 20 & t->key_mask; t->keys[i]; i = (i + 1) & t->key_mask)
        if (t->keys[i] == address + 1) {
            enter_at(t, uc, t->values[i], address);
            return;
        }
}

/* -- what Python calls ----------------------------------------------------------------------------------------------- */

/* An event that is no call: a system call, a signal. count: 0 to 11 words. */
EXPORT void uselib_event(Trace *t, uint32_t kind, uint32_t function, uint64_t pc, uint64_t sp, const uint64_t *words, uint32_t count)
{
    uint64_t all[WORDS + EXTRA] = {0};
    Stack *s = stack_of(t, sp);
    while (s->count && s->frames[s->count - 1].sp < sp) {
        Frame *top = &s->frames[--s->count];
        if (t->returns) returned(t, 0, top, sp, 1);
    }
    if (t->disabled) return;
    memcpy(all, words, 8 * count);
    unsigned extra = count > WORDS ? count - WORDS : 0;
    Record *r = reserve(t, 1 + (extra != 0));
    r->time = now(t);
    r->caller = pc;
    r->sp = sp;
    memcpy(r->words, all, sizeof r->words);
    r->function = function;
    r->depth = clamp(s->base + s->count);
    r->kind = (uint8_t)kind;
    r->flags = 0;
    if (extra) more(r + 1, all + WORDS, extra);
}

/* Enters `count` functions, from number `first`, at ascending or other addresses into the table of entries. */
EXPORT void uselib_add_entries(Trace *t, const uint64_t *addresses, uint64_t count, uint32_t first)
{
    for (uint64_t n = 0; n < count; n++) add_entry(t, addresses[n], first + (uint32_t)n);
}

/* Takes the functions at such addresses out of the table: their object is no longer there. (A place that is taken stays so, with a key that
 * is no address.) */
EXPORT void uselib_drop_entries(Trace *t, uint64_t low, uint64_t high)
{
    for (uint64_t i = 0; i <= t->key_mask; i++)
        if (t->keys[i] && t->keys[i] - 1 - low < high - low) t->keys[i] = ~(uint64_t)0;
    uint64_t kept = 0;
    for (uint64_t i = 0; i < t->resolved_count; i++)
        if (t->resolved[2 * i] - low >= high - low) {
            t->resolved[2 * kept] = t->resolved[2 * i];
            t->resolved[2 * kept++ + 1] = t->resolved[2 * i + 1];
        }
    t->resolved_count = kept;
}

/* A new process after fork: it counts its events from 1, and returns of its parent's calls have no number. */
EXPORT void uselib_forked(Trace *t)
{
    t->sequence = t->count = t->payload_used = t->filtered = 0;
    for (unsigned i = 0; i < STACKS; i++)
        for (unsigned j = 0; j < t->stacks[i].count; j++)
            if (t->stacks[i].frames[j].sequence) t->stacks[i].frames[j].sequence = ~(uint64_t)0;
}

EXPORT void uselib_release(Trace *t)
{
    for (unsigned i = 0; i < STACKS; i++) free(t->stacks[i].frames);
    memset(t->stacks, 0, sizeof t->stacks);
}
