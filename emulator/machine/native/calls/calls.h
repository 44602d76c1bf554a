/* System calls that are answered within the run of the CPU, and the registers of the others when they stop it.
 *
 * Python has the policy: it writes a table (struct Calls, mirrored by emulator/machine/native_calls.py) that says for each number how it
 * may be answered here, for each descriptor which host descriptor it is, and whether anything may be answered at all now. All other
 * cases (an unknown descriptor, memory that is not mapped, a signal, a wait while other threads can run, an error on the host) are left
 * to Python before anything has been changed. Guest memory is reached through the CPU's own TLB, so calls with a page that is watched,
 * holds translated code or is not mapped are not answered here. */
#ifndef USELIB_CALLS_H
#define USELIB_CALLS_H

#include "../core/core.h"

#include <sys/uio.h>

enum { NUMBERS = 512, FILES = 1024, BUCKETS = 1024, ROOM = 4096 /* threads */ };

/* How a call is answered. */
enum { PYTHON, READ, WRITE, READV, WRITEV, LSEEK, LLSEEK, PID, TID, CLOCK, CLOCK64, TIMEOFDAY, TIME, FUTEX, YIELD, ANSWERS };

/* The low byte of a descriptor's word in `files`; the host's descriptor is in the bits above. 0: left to Python. */
enum { MAY_READ = 1, MAY_WRITE = 2, MAY_SEEK = 4, WAITS = 8, FLAG_BITS = 8 };

/* Why the CPU has stopped. */
enum { NOTHING, CALL, SIGNAL };

/* A thread, mirrored by emulator/machine/turns.py. */
typedef struct {
    void *context;                /* saved registers while it does not run (Unicorn's uc_context) */
    int64_t tid;
    int64_t python;               /* in the queue: only Python can resume it */
    uint64_t sequence;            /* address of the word that says whether it is in a restartable sequence; 0: it has none */
    uint64_t descriptors[3];      /* of thread-local storage, on i386 */
    uint64_t address, bits;       /* of a wait that has begun here: of the futex; of FUTEX_WAIT_BITSET */
    uint64_t call[7];             /* number and arguments of the call that waits */
} Turn;

/* The threads of a program, in the order in which they run. */
typedef struct {
    int64_t allowed;              /* turns may be taken here until the CPU stops */
    int64_t current;              /* whose registers are on the CPU */
    int64_t blocks;               /* of a slice */
    int64_t deadline;             /* ns of the clock that a thread waits for */
    uint8_t *descriptors;         /* in the GDT, on i386; else NULL */
    int64_t head, count;          /* of the queue */
    int64_t waits;                /* that have begun here and that Python does not know of yet */
    uint32_t queue[ROOM], waiting[ROOM];
    Turn turns[ROOM];
} Turns;

typedef struct {
    uint8_t kinds[NUMBERS];       /* number of a call -> how it is answered */
    /* set before each run */
    int64_t allowed;              /* 0: nothing is answered here */
    int64_t patient;              /* a wait in the host must end when `wakeup` is ready */
    int64_t wakeup;               /* descriptor of the host's; -1: none */
    int64_t many;                 /* there are several threads: nothing may wait here */
    int64_t writable;             /* files have no limit on their size */
    int64_t pid, tid;
    int64_t wall;                 /* ns that the date is ahead of the clock; -1: the host's clock; -2: Python has to see the next reading of the date */
    int64_t sleeps;               /* time passes for others as well: a yield is left to Python */
    /* where things are */
    uint8_t *state;               /* state letter of this process in the table that other processes read; NULL: no others */
    int64_t *elapsed;             /* the clock, ns */
    const uint64_t *files;        /* FILES words */
    const uint16_t *waiters;      /* BUCKETS counts of futex waiters in Python's queues */
    Turns *turns;                 /* from the second thread on */
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
    bool wide;      /* a 64-bit program */
    bool gives_way; /* in the answer: another thread goes on */
} Question;

/* An answer: false leaves the call to Python. */
typedef bool (*Answer)(Question *q, int64_t *result);
bool answer_read(Question *q, int64_t *result), answer_write(Question *q, int64_t *result);
bool answer_readv(Question *q, int64_t *result), answer_writev(Question *q, int64_t *result);
bool answer_lseek(Question *q, int64_t *result), answer_llseek(Question *q, int64_t *result);
bool answer_pid(Question *q, int64_t *result), answer_tid(Question *q, int64_t *result);
bool answer_clock(Question *q, int64_t *result), answer_clock64(Question *q, int64_t *result);
bool answer_timeofday(Question *q, int64_t *result), answer_time(Question *q, int64_t *result);
bool answer_futex(Question *q, int64_t *result), answer_yield(Question *q, int64_t *result);

/* guest_memory.c: adds guest memory to a list of host memory; false: some of it is not accessible here, or there is too much. */
enum { PIECES = 64, MOST = 128 << 10 };
typedef struct { struct iovec parts[PIECES]; int count; size_t size; } Pieces;
enum { LOAD, STORE };
bool add_pieces(Env *env, Pieces *pieces, uint64_t address, uint64_t size, int access);
/* Copies; false: the memory is not accessible here, and nothing has been written. */
bool load_guest(Env *env, void *out, uint64_t address, size_t size);
bool store_guest(Env *env, uint64_t address, const void *data, size_t size);

/* turns.c: the calling thread waits for a futex, if another can go on; wakes waiters and returns how many; puts the next thread in place
 * of the one on the CPU, whose call has its result. */
bool begin_wait(Question *q, uint32_t bits);
int64_t end_waits(const Question *q, uint32_t bits);
void take_turn(Calls *calls, Env *env, void *uc);

/* attention.c: a host signal that the program handles has arrived since this was cleared. */
extern volatile int64_t uselib_attention;

#endif
