/* read, write and related calls on descriptors that Python has marked, and lseek.
 *
 * An error on the host is left to Python, which makes the call again and handles its consequences (SIGPIPE, EINTR). */
#define _GNU_SOURCE
#include "calls.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

enum { RUNNING = 'R', SLEEPING = 'S', VECTOR_MOST = 16, PIPE_UNIT = 4096 /* PIPE_BUF: bytes that are written whole */ };

/* The word of a descriptor that may do this; 0: left to Python. */
static uint64_t file(const Question *q, uint64_t may)
{
    int32_t number = (int32_t)q->arguments[0];
    uint64_t word = number >= 0 && number < FILES ? q->calls->files[number] : 0;
    return word & may ? word : 0;
}

static int host_of(uint64_t word) { return (int)(word >> FLAG_BITS); }

/* The state that other processes see while this one is in a call that may wait. */
static void show(const Question *q, uint8_t letter)
{
    if (q->calls->state) *q->calls->state = letter;
}

/* Where a signal has to end the wait, or other threads could run, the call may be made only if it will not wait: whether that is so. */
static bool ready(const Question *q, int host, short events)
{
    struct pollfd waits[2] = {{host, events, 0}, {(int)q->calls->wakeup, POLLIN, 0}};
    int found = poll(waits, 2, 0);
    if (!found) {
        if (fcntl(host, F_GETFL) & O_NONBLOCK) return true;
        if (q->calls->many) return false;
        show(q, SLEEPING);
        found = poll(waits, 2, -1);
        show(q, RUNNING);
    }
    return found > 0 && !waits[1].revents;
}

static bool transfer(const Question *q, uint64_t word, const Pieces *pieces, bool writes, int64_t *result)
{
    int host = host_of(word);
    bool waits = word & WAITS;
    if (waits && q->calls->patient && !ready(q, host, writes ? POLLOUT : POLLIN)) return false;
    if (waits) show(q, SLEEPING);
    const struct iovec *first = pieces->parts;
    ssize_t done;
    if (pieces->count > 1) done = writes ? writev(host, first, pieces->count) : readv(host, first, pieces->count);
    else done = writes ? write(host, first->iov_base, first->iov_len) : read(host, first->iov_base, first->iov_len);
    if (waits) show(q, RUNNING);
    *result = done;
    return done >= 0;
}

static bool one(const Question *q, uint64_t word, bool writes, int64_t *result)
{
    Pieces pieces = {.count = 0, .size = 0};
    uint64_t size = q->arguments[2], most = writes && q->calls->patient ? PIPE_UNIT : MOST;
    if (!word || !size || size > most || !add_pieces(q->env, &pieces, q->arguments[1], size, writes ? LOAD : STORE)) return false;
    return transfer(q, word, &pieces, writes, result);
}

static bool several(const Question *q, uint64_t word, bool writes, int64_t *result)
{
    Pieces pieces = {.count = 0, .size = 0};
    uint64_t count = q->arguments[2], raw[2 * VECTOR_MOST];
    size_t size = q->wide ? 16 : 8;
    if (!word || !count || count > VECTOR_MOST || !load_guest(q->env, raw, q->arguments[1], count * size)) return false;
    for (uint64_t i = 0; i < count; i++) {
        uint64_t address = q->wide ? raw[2 * i] : (uint32_t)raw[i], length = q->wide ? raw[2 * i + 1] : raw[i] >> 32;
        if (!add_pieces(q->env, &pieces, address, length, writes ? LOAD : STORE)) return false;
    }
    if (!pieces.size || (writes && q->calls->patient && pieces.size > PIPE_UNIT)) return false;
    return transfer(q, word, &pieces, writes, result);
}

/* Python checks limits on the size of files. */
static uint64_t output(const Question *q) { return q->calls->writable ? file(q, MAY_WRITE) : 0; }

bool answer_read(Question *q, int64_t *result) { return one(q, file(q, MAY_READ), false, result); }
bool answer_write(Question *q, int64_t *result) { return one(q, output(q), true, result); }
bool answer_readv(Question *q, int64_t *result) { return several(q, file(q, MAY_READ), false, result); }
bool answer_writev(Question *q, int64_t *result) { return several(q, output(q), true, result); }

/* The offset as an `off_t` of one word of the program. Longer files are left to Python, which returns EOVERFLOW. */
bool answer_lseek(Question *q, int64_t *result)
{
    uint64_t word = file(q, MAY_SEEK);
    int64_t offset = q->wide ? (int64_t)q->arguments[1] : (int32_t)q->arguments[1], limit = q->wide ? INT64_MAX : INT32_MAX;
    if (!word) return false;
    int host = host_of(word), whence = (int)q->arguments[2];
    off_t before = q->wide ? 0 : lseek(host, 0, SEEK_CUR), found = lseek(host, offset, whence);
    if (found > limit) lseek(host, before, SEEK_SET);
    *result = found;
    return found >= 0 && found <= limit;
}

bool answer_llseek(Question *q, int64_t *result)
{
    uint64_t word = file(q, MAY_SEEK), high = q->arguments[1], low = q->arguments[2];
    Pieces pieces = {.count = 0, .size = 0};
    if (!word || !add_pieces(q->env, &pieces, q->arguments[3], sizeof(int64_t), STORE)) return false;
    int64_t found = lseek(host_of(word), (int64_t)(high << 32 | (uint32_t)low), (int)q->arguments[4]);
    *result = 0;
    return found >= 0 && store_guest(q->env, q->arguments[3], &found, sizeof found);
}
