/* System calls that are answered within the run of the CPU, and what is known of the others when they stop it.
 *
 * Python has the policy: it writes a table (struct Calls, mirrored by emulator/machine/native_calls.py) that says for each number how it
 * may be answered here, for each descriptor which of the host's it is, and whether anything may be answered at all just now. Whatever
 * does not fit (an unknown descriptor, memory that is not there, a signal, a wait while other threads can run, an error of the host's) is left to
 * Python, before anything has been changed, as if this file were not there.
 * Guest memory is reached through the CPU's own TLB, so a page that is watched, holds translated code or is not mapped answers nothing here. */
#ifndef USELIB_CALLS_H
#define USELIB_CALLS_H

#include "../core/core.h"

#include <sys/uio.h>

enum { NUMBERS = 512, FILES = 1024, BUCKETS = 1024 };

/* How a call is answered. */
enum { PYTHON, READ, WRITE, READV, WRITEV, LSEEK, LLSEEK, PID, TID, CLOCK, CLOCK64, TIMEOFDAY, TIME, FUTEX, YIELD, ANSWERS };

/* Of a descriptor: the low byte of its word in `files`; the host's descriptor stands above. 0: Python's. */
enum { MAY_READ = 1, MAY_WRITE = 2, MAY_SEEK = 4, WAITS = 8, FLAG_BITS = 8 };

/* Why the CPU has stopped. */
enum { NOTHING, CALL, SIGNAL };

typedef struct {
    uint8_t kinds[NUMBERS];       /* number of a call -> how it is answered */
    /* as things are, before each run */
    int64_t allowed;              /* 0: nothing is answered here */
    int64_t patient;              /* a wait of the host's must end when `wakeup` is ready */
    int64_t wakeup;               /* descriptor of the host's; -1: none */
    int64_t many;                 /* there are several threads: nothing may wait here */
    int64_t writable;             /* files have no limit on their size */
    int64_t pid, tid;
    int64_t wall;                 /* ns that the date is ahead of the clock; -1: the clock is the host's, and Python's affair */
    int64_t sleeps;               /* time passes for others as well: a yield is Python's */
    /* where things are */
    uint8_t *state;               /* letter of this process in the table that others look at; NULL: there are no others */
    int64_t *elapsed;             /* the clock, ns */
    const uint64_t *files;        /* FILES words */
    const uint16_t *waiters;      /* BUCKETS counts of those that wait for futexes */
    /* what has stopped the CPU */
    int64_t event;
    uint64_t frame[9];            /* number, six arguments, program counter behind the instruction, flags */
    uint64_t answered;            /* for tests and figures */
} Calls;

/* Arguments of a call, and the CPU that makes it. */
typedef struct {
    Calls *calls;
    Env *env;
    const uint64_t *arguments;
    bool wide; /* a 64-bit program */
} Question;

/* An answer: false leaves the call to Python. */
typedef bool (*Answer)(const Question *q, int64_t *result);
bool answer_read(const Question *q, int64_t *result), answer_write(const Question *q, int64_t *result);
bool answer_readv(const Question *q, int64_t *result), answer_writev(const Question *q, int64_t *result);
bool answer_lseek(const Question *q, int64_t *result), answer_llseek(const Question *q, int64_t *result);
bool answer_pid(const Question *q, int64_t *result), answer_tid(const Question *q, int64_t *result);
bool answer_clock(const Question *q, int64_t *result), answer_clock64(const Question *q, int64_t *result);
bool answer_timeofday(const Question *q, int64_t *result), answer_time(const Question *q, int64_t *result);
bool answer_futex(const Question *q, int64_t *result), answer_yield(const Question *q, int64_t *result);

/* guest_memory.c: adds guest memory to a list of host memory; false: some of it does not answer, or there is too much. */
enum { PIECES = 64, MOST = 128 << 10 };
typedef struct { struct iovec parts[PIECES]; int count; size_t size; } Pieces;
enum { LOAD, STORE };
bool add_pieces(Env *env, Pieces *pieces, uint64_t address, uint64_t size, int access);
/* Copies; false: the memory does not answer, and nothing has been written. */
bool load_guest(Env *env, void *out, uint64_t address, size_t size);
bool store_guest(Env *env, uint64_t address, const void *data, size_t size);

/* attention.c: a signal of the host's that the program handles has arrived since this was cleared. */
extern volatile int64_t uselib_attention;

#endif
