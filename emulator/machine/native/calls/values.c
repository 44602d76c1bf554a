/* Calls that return a value or the time, and futexes. */
#include "calls.h"

#include <errno.h>

enum { SECOND = 1000000000, MICROSECOND = 1000, STEP = 10000 /* emulator/kernel/clock.py */ };
enum { MONOTONIC_CLOCKS = 1 << 1 | 1 << 4 | 1 << 6 | 1 << 7 | 1 << 9, WALL_CLOCKS = 1 << 0 | 1 << 5 | 1 << 8 | 1 << 11, CPU_CLOCKS = 1 << 2 | 1 << 3 };
enum { FUTEX_WAIT = 0, FUTEX_WAKE = 1, FUTEX_WAIT_BITSET = 9, FUTEX_WAKE_BITSET = 10, FUTEX_PRIVATE = 0x80, FUTEX_REALTIME = 0x100 };

bool answer_pid(Question *q, int64_t *result)
{
    *result = q->calls->pid;
    return true;
}

bool answer_tid(Question *q, int64_t *result)
{
    *result = q->calls->tid;
    return true;
}

/* The next reading of a clock. The clock moves on when the answer has been given. */
static bool next_reading(const Question *q, uint32_t which, int64_t *reading)
{
    if (q->calls->wall == -1 || which > 31) return false;
    uint32_t bit = 1u << which;
    if (q->calls->wall < 0 && bit & WALL_CLOCKS) return false;
    *reading = *q->calls->elapsed + STEP;
    if (bit & WALL_CLOCKS) *reading += q->calls->wall;
    return bit & (MONOTONIC_CLOCKS | WALL_CLOCKS | CPU_CLOCKS);
}

static bool give_time(const Question *q, uint32_t which, uint64_t address, int64_t unit, bool wide, int64_t *result)
{
    int64_t reading;
    if (!next_reading(q, which, &reading)) return false;
    int64_t parts[2] = {reading / SECOND, reading % SECOND / unit};
    int32_t narrow[2] = {(int32_t)parts[0], (int32_t)parts[1]};
    if (!wide && parts[0] > INT32_MAX) return false;
    if (!store_guest(q->env, address, wide ? (void *)parts : (void *)narrow, wide ? sizeof parts : sizeof narrow)) return false;
    *q->calls->elapsed += STEP;
    *result = 0;
    return true;
}

bool answer_clock(Question *q, int64_t *result)
{
    return give_time(q, (uint32_t)q->arguments[0], q->arguments[1], 1, q->wide, result);
}

bool answer_clock64(Question *q, int64_t *result) { return give_time(q, (uint32_t)q->arguments[0], q->arguments[1], 1, true, result); }

bool answer_timeofday(Question *q, int64_t *result)
{
    return q->arguments[0] && !q->arguments[1] && give_time(q, 0, q->arguments[0], MICROSECOND, q->wide, result);
}

bool answer_time(Question *q, int64_t *result)
{
    int64_t reading;
    if (q->arguments[0] || !next_reading(q, 0, &reading)) return false;
    *result = reading / SECOND;
    if (!q->wide && *result > INT32_MAX) return false;
    *q->calls->elapsed += STEP;
    return true;
}

/* Private futexes: those of threads of this process. */
bool answer_futex(Question *q, int64_t *result)
{
    uint64_t address = q->arguments[0];
    uint32_t operation = (uint32_t)q->arguments[1] & ~FUTEX_PRIVATE, bits = (uint32_t)q->arguments[5], value;
    if (!((uint32_t)q->arguments[1] & FUTEX_PRIVATE) || address & 3 || address >= 1ull << 46) return false;
    if (operation == FUTEX_WAIT || operation == FUTEX_WAKE) bits = ~0u;
    if (!bits) return false;
    switch (operation) {
    case FUTEX_WAKE:
    case FUTEX_WAKE_BITSET:
        if (q->calls->waiters[address >> 2 & (BUCKETS - 1)]) return false;
        *result = end_waits(q, bits);
        return true;
    case FUTEX_WAIT:
    case FUTEX_WAIT_BITSET:
    case FUTEX_WAIT_BITSET | FUTEX_REALTIME: /* a missing timeout */
        if (q->arguments[3] || !load_guest(q->env, &value, address, sizeof value)) return false;
        *result = value == (uint32_t)q->arguments[2] ? 0 : -EAGAIN;
        return *result || begin_wait(q, bits);
    }
    return false;
}
