/* The state of the recorder: native_backend.py mirrors `Trace` field by field and fills it in. */
#pragma once

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
