/* Words with an owner (FUTEX_LOCK_PI) that several processes contend for: taken by cmpxchg where they are free, else by the kernel. No step of the
 * count that they protect is lost, and nobody waits for ever. */
#define _GNU_SOURCE
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { FUTEX_LOCK_PI = 6, FUTEX_UNLOCK_PI = 7, PROCESSES = 3, ROUNDS = 3000 };
typedef struct { volatile uint32_t word; volatile int owner; volatile long count; volatile int wrong; } Shared;
static Shared *shared;

static long futex(int operation) { return syscall(SYS_futex, &shared->word, operation, 0, 0, 0, 0); }

static void lock(uint32_t tid)
{
    if (__sync_val_compare_and_swap(&shared->word, 0, tid) == 0) return;
    while (futex(FUTEX_LOCK_PI) && errno == EINTR) {}
}

static void unlock(uint32_t tid)
{
    if (__sync_val_compare_and_swap(&shared->word, tid, 0) == tid) return;
    if (futex(FUTEX_UNLOCK_PI)) shared->wrong |= 4;
}

static void work(void)
{
    uint32_t tid = syscall(SYS_gettid);
    for (int i = 0; i < ROUNDS; i++) {
        lock(tid);
        if (shared->owner) shared->wrong |= 1;
        if ((shared->word & 0x3fffffff) != tid) shared->wrong |= 2;
        shared->owner = tid;
        long count = shared->count;
        for (volatile int k = 0; k < i % 7 * 20; k++) {}
        shared->count = count + 1;
        shared->owner = 0;
        unlock(tid);
        for (volatile int k = 0; k < i % 5 * 30; k++) {}
    }
}

int main(void)
{
    shared = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    for (int i = 0; i < PROCESSES; i++)
        if (!fork()) {
            work();
            _exit(0);
        }
    int status, ended = 0;
    while (wait(&status) > 0) ended += status == 0;
    printf("ended %d, count %ld, wrong %d, word %x\n", ended, shared->count, shared->wrong, shared->word);
    return 0;
}
