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
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { CALL = 1, RETURN, SYSCALL, SYSCALL_RESULT, SIGNAL, INNER_CALL, INNER_RETURN, MORE };
enum { TAIL_CALL = 1, LATE = 2, HAS_PAYLOAD = 4 };
enum { F_RECORD = 1, F_ON = 2, F_OFF = 4, F_INNER = 8, F_THUNK = 16, F_NEW = 32, F_FOREIGN = 64, F_RESOLVER = 128 }; /* Function.flags */
enum { WANT_STRING = 1, WANT_BYTES, WANT_STACK, WANT_VECTOR, WANT_RESULT_STRING, WANT_RESULT_BYTES };
enum { STACKS = 16, MAPPINGS = 16, WORDS = 4, EXTRA = 7, MAX_FRAMES = 1 << 20, MAX_SITES = 1 << 16, RETURN_REACH = 1024, RESOLVERS = 16, RESOLVED = 4096 };

typedef struct {
    uint64_t time, caller, sp, words[WORDS];
    uint32_t function;
    uint16_t depth;
    uint8_t kind, flags;
} Record;

typedef struct { /* guest [start, end) is readable at host address + delta */
    uint64_t start, end;
    int64_t delta;
} Mapping;

typedef struct {
    uint64_t sp, caller, sequence, time;
    uint32_t function, depth;
} Frame;

typedef struct {
    uint64_t low, high; /* which addresses are this stack */
    Frame *frames;
    uint32_t count, capacity;
    uint32_t base;     /* depth below its first call */
    uint32_t outer;    /* depth of the stack that was left for this one, the last time */
    uint64_t used;     /* when: for eviction */
} Stack;

typedef struct {
    uint8_t flags, words, wants, reserved; /* words: argument words recorded; wants: rows in Trace.wants */
    uint32_t first_want;
    uint32_t slot; /* F_THUNK: number of the slot function that leads to it, + 1 */
    uint32_t unused;
    uint64_t low, high; /* F_FOREIGN, F_RESOLVER: where the object is that it belongs to */
    uint64_t entry;
} Function;

typedef struct { /* a resolver that has not returned */
    uint64_t sp, caller;
    uint32_t function, unused;
} Resolver;

typedef struct {
    uint8_t word, kind;
    uint16_t size; /* at most; bytes */
} Want;

typedef struct Trace {
    int (*reg_read)(void *, int, void *);
    const uint64_t *registers;                    /* the general registers, or 0: emulator/machine/register_file.py */
    void (*flush)(void);                          /* empties records and payload */
    int (*resolve)(uint64_t address, Mapping *);  /* 0: not readable */
    void (*prepare)(uint32_t function);           /* first call of a function: fills in words and wants */
    Record *records;
    uint64_t count, capacity;                     /* records, MORE included */
    uint8_t *payload;
    uint64_t payload_used, payload_capacity;
    uint64_t sequence;                            /* of the latest event; 0: none yet */
    uint64_t first;                               /* sequence of records[0] */
    uint64_t calls, blocks;                       /* the two clocks */
    uint64_t filtered;                            /* calls that no record was made of */
    Function *functions;
    uint64_t function_count;
    Want *wants;
    uint64_t *keys;                               /* open-addressing table: entry address + 1 -> function */
    uint32_t *values;
    uint64_t key_mask;
    uint64_t *bloom;                              /* BLOOM_BITS bits: entries and return addresses */
    uint64_t *sites;                              /* with returns: 2 * MAX_SITES places for return addresses */
    uint64_t site_count;
    uint64_t *caller_ranges;                      /* pairs, ascending */
    uint64_t caller_count;                        /* pairs; with filter_callers */
    uint64_t remaining;                           /* calls still to be recorded; ~0: no limit */
    uint64_t sample, sampled;
    uint32_t bits, clock_blocks, returns, filter_callers;
    uint32_t active, max_depth, disabled, current;
    uint64_t via;                                 /* sp of the slot just dispatched, else 0 */
    uint32_t via_function, home;                  /* that slot's function; the first stack, which no other is below */
    uint64_t stack_clock;
    uint64_t block;                               /* where the latest basic block begins; with a hook on every block */
    uint32_t other_thread, unused; /* 1: another thread runs since the last event, so a stack without calls has depth 0 */
    int (*control)(void *uc, uint32_t what, ...);  /* uc_ctl, and its word for dropping translations */
    uint64_t drop;
    uint64_t *resolved;                           /* pairs: address, function; RESOLVED of them */
    uint64_t resolved_count;
    uint32_t watched, resolver_count;             /* watched: uselib_on_entry is called for what the Bloom filter has */
    Resolver resolvers[RESOLVERS];
    uint32_t mapping_count, mapping_next;
    Mapping mappings[MAPPINGS];
    Stack stacks[STACKS];
} Trace;

typedef struct { /* data of on_slot */
    Trace *trace;
    uint64_t begin;
    uint32_t first, slot_size;
} Table;

#define BLOOM_BITS 18
#define EXPORT __attribute__((visibility("default")))
#define UNLIKELY(x) __builtin_expect(!!(x), 0)

EXPORT const uint64_t uselib_sizes[] = {sizeof(Trace), sizeof(Record), sizeof(Function), sizeof(Want), sizeof(Table), BLOOM_BITS};

/* General registers in the order of Trace.registers, and their numbers in Unicorn's x86.h */
enum { AX, CX, DX, BX, SP, BP, SI, DI, R8, R9 };
static const int NUMBERS[2][10] = {{19, 22, 24, 21, 30, 20, 29, 23, 0, 0}, {35, 38, 40, 37, 44, 36, 43, 39, 106, 107}};
enum { R_ST0 = 114, R_XMM0 = 122 };

static inline uint64_t hash(uint64_t address) { return address * 0x9E3779B97F4A7C15u; }

static inline int in_bloom(const Trace *t, uint64_t address)
{
    uint64_t bit = hash(address) >> (64 - BLOOM_BITS);
    return t->bloom[bit >> 6] >> (bit & 63) & 1;
}

static inline void add_bloom(Trace *t, uint64_t address)
{
    uint64_t bit = hash(address) >> (64 - BLOOM_BITS);
    t->bloom[bit >> 6] |= (uint64_t)1 << (bit & 63);
}

/* The place of a return address in the table of them, or the free place where it belongs. */
static inline uint64_t find_site(const Trace *t, uint64_t address)
{
    uint64_t i = hash(address) >> 20 & (2 * MAX_SITES - 1);
    while (t->sites[i] && t->sites[i] != address) i = (i + 1) & (2 * MAX_SITES - 1);
    return i;
}

static inline void add_site(Trace *t, uint64_t address)
{
    uint64_t i = find_site(t, address);
    if (!address || t->sites[i] == address || t->site_count == MAX_SITES) return;
    t->sites[i] = address;
    t->site_count++;
    add_bloom(t, address);
}

static inline uint64_t reg(Trace *t, void *uc, int which)
{
    int wide = t->bits == 64;
    uint64_t value = 0;
    if (t->registers) value = t->registers[which];
    else t->reg_read(uc, NUMBERS[wide][which], &value);
    return wide ? value : (uint32_t)value;
}

/* -- guest memory -------------------------------------------------------------------------------------------------- */

static const Mapping *find_mapping_slow(Trace *t, uint64_t address)
{
    for (uint32_t i = 0; i < t->mapping_count; i++)
        if (address - t->mappings[i].start < t->mappings[i].end - t->mappings[i].start) {
            if (i) { /* the one used last is looked at first */
                Mapping hit = t->mappings[i];
                t->mappings[i] = t->mappings[0];
                t->mappings[0] = hit;
            }
            return &t->mappings[0];
        }
    Mapping found;
    if (!t->resolve(address, &found)) return 0;
    uint32_t at = t->mapping_count < MAPPINGS ? t->mapping_count++ : 1 + t->mapping_next++ % (MAPPINGS - 1);
    t->mappings[at] = t->mappings[0];
    t->mappings[0] = found;
    return &t->mappings[0];
}

static inline const Mapping *find_mapping(Trace *t, uint64_t address)
{
    const Mapping *m = &t->mappings[0];
    if (t->mapping_count && address - m->start < m->end - m->start) return m;
    return find_mapping_slow(t, address);
}

/* Copies up to `size` bytes; returns how many could be read. */
static uint64_t copy_in(Trace *t, uint64_t address, void *to, uint64_t size)
{
    uint64_t done = 0;
    while (done < size) {
        const Mapping *m = find_mapping(t, address + done);
        if (!m) break;
        uint64_t part = m->end - (address + done);
        if (part > size - done) part = size - done;
        memcpy((char *)to + done, (const void *)(address + done + m->delta), part);
        done += part;
    }
    return done;
}

/* `count` words of the guest at `address`, zero where they cannot be read. */
static inline void read_words(Trace *t, uint64_t address, uint64_t *to, unsigned count)
{
    unsigned size = t->bits / 8;
    const Mapping *m = find_mapping(t, address);
    uint32_t small[WORDS + EXTRA + 1];
    if (m && m->end - address >= (uint64_t)count * size) {
        const char *host = (const char *)(address + m->delta);
        if (size == 8) {
            memcpy(to, host, 8 * count);
        } else {
            for (unsigned i = 0; i < count; i++) {
                uint32_t word;
                memcpy(&word, host + 4 * i, 4);
                to[i] = word;
            }
        }
        return;
    }
    memset(to, 0, 8 * count);
    if (size == 8) {
        copy_in(t, address, to, 8 * count);
    } else {
        memset(small, 0, sizeof small);
        copy_in(t, address, small, 4 * count);
        for (unsigned i = 0; i < count; i++) to[i] = small[i];
    }
}

/* -- stacks ---------------------------------------------------------------------------------------------------------- */

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

/* -- records --------------------------------------------------------------------------------------------------------- */

static inline uint64_t now(const Trace *t) { return t->clock_blocks ? t->blocks : t->calls; }

/* Room for n records of one event; gives it its sequence number. */
static inline Record *reserve(Trace *t, unsigned n)
{
    if (UNLIKELY(t->count + n > t->capacity)) t->flush();
    t->sequence++;
    if (!t->count) t->first = t->sequence;
    Record *r = &t->records[t->count];
    t->count += n;
    return r;
}

/* Room for what one event may copy. */
static void payload_room(Trace *t)
{
    if (t->payload_used + 16 * (12 + 65535) > t->payload_capacity) t->flush();
}

static void more(Record *r, const uint64_t *words, unsigned n)
{
    memset(r, 0, sizeof *r);
    memcpy(r, words, 8 * n); /* the seven words are bytes 0..55 */
    r->function = n;
    r->kind = MORE;
}

static inline uint16_t clamp(uint32_t depth) { return depth > 0xFFFF ? 0xFFFF : (uint16_t)depth; }

/* Copies the memory that the words of a call point to, or (at_return) its result. Returns whether there is any. */
static int copy_wanted(Trace *t, void *uc, const Function *f, uint64_t sp, const uint64_t *words, unsigned count, int at_return)
{
    int any = 0;
    for (unsigned i = 0; i < f->wants; i++) {
        const Want *w = &t->wants[f->first_want + i];
        int string = w->kind == WANT_STRING || w->kind == WANT_RESULT_STRING;
        int pointed = w->kind != WANT_STACK && w->kind != WANT_VECTOR;
        if ((w->kind >= WANT_RESULT_STRING) != at_return) continue;
        if (pointed && (w->word >= count || !words[w->word])) continue;
        uint8_t *row = t->payload + t->payload_used; /* payload_room() was called */
        uint64_t size = 0, address = pointed ? words[w->word] : sp + t->bits / 8;
        uint8_t cut = 0;
        if (w->kind == WANT_VECTOR) {
            uint64_t wide[2] = {0, 0}, low[8];
            for (int n = 0; n < 8; n++) {
                t->reg_read(uc, R_XMM0 + n, wide);
                low[n] = wide[0];
            }
            size = w->size < sizeof low ? w->size : sizeof low;
            memcpy(row + 12, low, size);
        } else if (!string) {
            size = copy_in(t, address, row + 12, w->size);
        } else {
            while (size < w->size) { /* page by page: a string may end just before a hole */
                uint64_t part = 4096 - (address + size) % 4096;
                if (part > w->size - size) part = w->size - size;
                uint64_t got = copy_in(t, address + size, row + 12 + size, part);
                const uint8_t *end = memchr(row + 12 + size, 0, got);
                if (end) {
                    size = (uint64_t)(end - (row + 12));
                    goto whole;
                }
                size += got;
                if (got < part) break;
            }
            cut = 1;
        }
        if (!size) continue;
    whole:
        memcpy(row, &t->sequence, 8);
        row[8] = w->word;
        row[9] = cut;
        row[10] = (uint8_t)size;
        row[11] = (uint8_t)(size >> 8);
        t->payload_used += 12 + size;
        any = 1;
    }
    return any;
}

static int caller_wanted(const Trace *t, uint64_t caller)
{
    uint64_t low = 0, high = t->caller_count;
    while (low < high) {
        uint64_t middle = (low + high) / 2;
        if (t->caller_ranges[2 * middle + 1] <= caller) low = middle + 1;
        else high = middle;
    }
    return low < t->caller_count && t->caller_ranges[2 * low] <= caller;
}

/* The double that an 80-bit number rounds to; the same arithmetic as python_backend.py's. */
static uint64_t double_of_x87(const uint8_t *raw)
{
    uint64_t mantissa, bits;
    uint16_t top;
    memcpy(&mantissa, raw, 8);
    memcpy(&top, raw + 8, 2);
    uint64_t sign = (uint64_t)(top >> 15) << 63;
    int exponent = top & 0x7FFF;
    if (exponent == 0x7FFF) return sign | (mantissa << 1 ? 0x7FF8000000000000u : 0x7FF0000000000000u);
    if (!mantissa) return sign;
    double value = (double)mantissa; /* 2^63 <= value <= 2^64 for a normal number */
    memcpy(&bits, &value, 8);
    int64_t scaled = (int64_t)(bits >> 52) + exponent - 16383 - 63;
    if (scaled >= 0x7FF) return sign | 0x7FF0000000000000u;
    if (scaled <= 0) return sign; /* less than a normal double: 0 */
    return sign | (uint64_t)scaled << 52 | (bits & 0xFFFFFFFFFFFFFu);
}

static void returned(Trace *t, void *uc, const Frame *f, uint64_t sp, int late)
{
    const Function *function = &t->functions[f->function];
    if (!f->sequence || t->disabled) return;
    if (UNLIKELY(function->wants)) payload_room(t);
    Record *r = reserve(t, 1);
    r->time = now(t);
    r->caller = f->sequence == ~(uint64_t)0 ? 0 : f->sequence;
    r->sp = sp;
    r->words[0] = r->words[1] = r->words[2] = 0;
    if (!late) {
        uint8_t raw[16] = {0};
        r->words[0] = reg(t, uc, AX);
        r->words[1] = reg(t, uc, DX);
        t->reg_read(uc, t->bits == 64 ? R_XMM0 : R_ST0, raw);
        if (t->bits == 64) memcpy(&r->words[2], raw, 8);
        else r->words[2] = double_of_x87(raw);
    }
    r->words[3] = r->time - f->time;
    r->function = f->function;
    r->depth = clamp(f->depth);
    r->kind = function->flags & F_INNER ? INNER_RETURN : RETURN;
    r->flags = late ? LATE : 0;
    if (UNLIKELY(function->wants) && !late && copy_wanted(t, uc, function, sp, r->words, 1, 1)) r->flags |= HAS_PAYLOAD;
}

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
