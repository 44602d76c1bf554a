/* Threads by hand: clone and its flags, futexes and their errors, fork and execve of a thread, the end of the first thread. */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* <linux/futex.h> need not be there */
enum { FUTEX_WAIT, FUTEX_WAKE, FUTEX_FD, FUTEX_REQUEUE, FUTEX_CMP_REQUEUE, FUTEX_WAKE_OP, FUTEX_LOCK_PI, FUTEX_UNLOCK_PI, FUTEX_TRYLOCK_PI,
       FUTEX_WAIT_BITSET, FUTEX_WAKE_BITSET, FUTEX_WAIT_REQUEUE_PI, FUTEX_CMP_REQUEUE_PI, FUTEX_PRIVATE_FLAG = 128, FUTEX_CLOCK_REALTIME = 256 };
enum { FUTEX_WAIT_PRIVATE = 128, FUTEX_WAKE_PRIVATE, FUTEX_CMP_REQUEUE_PRIVATE = 132, FUTEX_WAKE_BITSET_PRIVATE = 138 };
enum { FUTEX_OP_SET, FUTEX_OP_ADD, FUTEX_OP_OR, FUTEX_OP_ANDN, FUTEX_OP_XOR, FUTEX_OP_OPARG_SHIFT = 8 };
enum { FUTEX_OP_CMP_EQ, FUTEX_OP_CMP_NE, FUTEX_OP_CMP_LT, FUTEX_OP_CMP_LE, FUTEX_OP_CMP_GT, FUTEX_OP_CMP_GE };
#define FUTEX_OP(op, arg, cmp, cmparg) (((op & 15u) << 28) | ((cmp & 15u) << 24) | ((arg & 0xfffu) << 12) | (cmparg & 0xfffu))
#ifndef CLONE_PIDFD
#define CLONE_PIDFD 0x1000
#endif
#ifndef SYS_clone3
#define SYS_clone3 435
#endif
#ifndef SYS_futex
#define SYS_futex SYS_futex_time32
#endif

static void show(const char *what, long result)
{
    int error = errno;
    if (result == -1) printf("%s: %s\n", what, strerror(error));
    else printf("%s: %ld\n", what, result);
}
#define SHOW(call) (errno = 0, show(#call, call))

static long futex(void *word, int operation, unsigned value, void *time, void *word2, unsigned value3)
{
    return syscall(SYS_futex, word, operation, value, time, word2, value3);
}

static long start(unsigned long flags, void *stack, int *tid)
{
#ifdef __x86_64__
    return syscall(SYS_clone, flags, stack, tid, tid, NULL);
#else
    return syscall(SYS_clone, flags, stack, tid, NULL, tid);
#endif
}

static void clone_errors(void)
{
    int word = 0;
    char stack[64];
    SHOW(start(CLONE_THREAD, stack, NULL));
    SHOW(start(CLONE_THREAD | CLONE_SIGHAND, stack, NULL));
    SHOW(start(CLONE_SIGHAND, stack, NULL));
    SHOW(start(CLONE_THREAD | CLONE_VM, stack, NULL));
    SHOW(start(CLONE_FS | CLONE_NEWNS | SIGCHLD, stack, NULL));
    SHOW(start(CLONE_PIDFD | CLONE_PARENT_SETTID | SIGCHLD, stack, &word));
    char arguments[128] = {0};
    SHOW(syscall(SYS_clone3, arguments, 8));
    SHOW(syscall(SYS_clone3, arguments, 5000));
    SHOW(syscall(SYS_clone3, (void *)8, 64));
    *(uint64_t *)arguments = CLONE_THREAD;
    SHOW(syscall(SYS_clone3, arguments, 64));
    *(uint64_t *)arguments = 1ull << 40;
    SHOW(syscall(SYS_clone3, arguments, 64));
    *(uint64_t *)arguments = 0;
    ((uint64_t *)arguments)[4] = 65;
    SHOW(syscall(SYS_clone3, arguments, 64));
    ((uint64_t *)arguments)[4] = SIGCHLD;
    ((uint64_t *)arguments)[5] = 4096;
    SHOW(syscall(SYS_clone3, arguments, 64));
    ((uint64_t *)arguments)[5] = 0;
    arguments[100] = 1;
    SHOW(syscall(SYS_clone3, arguments, 128));
}

static void futex_errors(void)
{
    int word = 5, other = 0;
    char *page = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    char *none = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    struct timespec short_time = {0, 1000000}, bad = {0, 2000000000}, negative = {-1, 0}, past = {1, 0};
    SHOW(futex(&word, FUTEX_WAIT, 4, NULL, NULL, 0));
    SHOW(futex((char *)&word + 1, FUTEX_WAIT, 5, NULL, NULL, 0));
    SHOW(futex((void *)8, FUTEX_WAIT, 5, NULL, NULL, 0));
    SHOW(futex((void *)8, FUTEX_WAKE, 1, NULL, NULL, 0));
    SHOW(futex((void *)8, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, 1, NULL, NULL, 0));
    SHOW(futex((void *)-4096, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, 1, NULL, NULL, 0));
    SHOW(futex(none, FUTEX_WAIT | FUTEX_PRIVATE_FLAG, 0, NULL, NULL, 0));
    SHOW(futex(none, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, 1, NULL, NULL, 0));
    SHOW(futex(page, FUTEX_WAKE, 1, NULL, NULL, 0));
    SHOW(futex(&word, FUTEX_WAIT, 5, &short_time, NULL, 0));
    SHOW(futex(&word, FUTEX_WAIT, 5, &bad, NULL, 0));
    SHOW(futex(&word, FUTEX_WAIT, 5, &negative, NULL, 0));
    SHOW(futex(&word, FUTEX_WAIT, 5, (void *)8, NULL, 0));
    SHOW(futex(&word, FUTEX_WAIT_BITSET, 5, &past, NULL, 1));
    SHOW(futex(&word, FUTEX_WAIT_BITSET, 5, &past, NULL, 0));
    SHOW(futex(&word, FUTEX_WAIT_BITSET | FUTEX_CLOCK_REALTIME, 5, &past, NULL, 1));
    SHOW(futex(&word, FUTEX_WAKE_BITSET, 5, NULL, NULL, 0));
    SHOW(futex(&word, FUTEX_WAKE | FUTEX_CLOCK_REALTIME, 5, NULL, NULL, 0));
    SHOW(futex(&word, FUTEX_WAKE, 0, NULL, NULL, 0));
    SHOW(futex(&word, FUTEX_REQUEUE, 1, (void *)1, &other, 0));
    SHOW(futex(&word, FUTEX_REQUEUE, -1, (void *)1, &other, 0));
    SHOW(futex(&word, FUTEX_CMP_REQUEUE, 1, (void *)1, &other, 4));
    SHOW(futex(&word, FUTEX_CMP_REQUEUE, 1, (void *)1, (char *)&other + 2, 5));
    SHOW(futex(&word, FUTEX_CMP_REQUEUE_PI, 1, (void *)1, &word, 5));
    SHOW(futex(&word, FUTEX_CMP_REQUEUE_PI, 2, (void *)1, &other, 5));
    SHOW(futex(&word, FUTEX_CMP_REQUEUE_PI, 1, (void *)1, &other, 4));
    SHOW(futex(&word, FUTEX_WAKE_OP, 1, (void *)1, &other, FUTEX_OP(FUTEX_OP_ADD, 3, FUTEX_OP_CMP_EQ, 0)));
    SHOW((long)other);
    SHOW(futex(&word, FUTEX_WAKE_OP, 1, (void *)1, &other, FUTEX_OP(FUTEX_OP_ANDN, 1, FUTEX_OP_CMP_GT, 2)));
    SHOW((long)other);
    SHOW(futex(&word, FUTEX_WAKE_OP, 1, (void *)1, &other, FUTEX_OP(FUTEX_OP_OPARG_SHIFT | FUTEX_OP_OR, 4, FUTEX_OP_CMP_LE, -1)));
    SHOW((long)other);
    SHOW(futex(&word, FUTEX_WAKE_OP, 1, (void *)1, &other, FUTEX_OP(FUTEX_OP_SET, -2, FUTEX_OP_CMP_NE, 5)));
    SHOW((long)other);
    SHOW(futex(&word, FUTEX_WAKE_OP, 1, (void *)1, &other, FUTEX_OP(7, 1, 0, 0)));
    SHOW(futex(&word, FUTEX_WAKE_OP, 1, (void *)1, &other, FUTEX_OP(0, 1, 9, 0)));
    SHOW(futex(&word, FUTEX_WAKE_OP, 1, (void *)1, page, FUTEX_OP(0, 1, 0, 0)));
    SHOW(futex(&word, FUTEX_FD, 0, NULL, NULL, 0));
    SHOW(futex(&word, 77, 0, NULL, NULL, 0));
    word = 0;
    SHOW(futex(&word, FUTEX_LOCK_PI, 0, NULL, NULL, 0));
    SHOW(word == syscall(SYS_gettid));
    SHOW(futex(&word, FUTEX_LOCK_PI, 0, NULL, NULL, 0));
    SHOW(futex(&word, FUTEX_TRYLOCK_PI, 0, NULL, NULL, 0));
    SHOW(futex(&word, FUTEX_UNLOCK_PI, 0, NULL, NULL, 0));
    SHOW((long)word);
    SHOW(futex(&word, FUTEX_UNLOCK_PI, 0, NULL, NULL, 0));
    word = 999999;
    SHOW(futex(&word, FUTEX_LOCK_PI, 0, NULL, NULL, 0));
    SHOW(futex(&word, FUTEX_UNLOCK_PI, 0, NULL, NULL, 0));
    SHOW(futex(page, FUTEX_LOCK_PI, 0, NULL, NULL, 0));
    SHOW(futex(&word, FUTEX_WAIT_REQUEUE_PI, 1, NULL, &word, 0));
    SHOW(futex(&word, FUTEX_WAIT_REQUEUE_PI, 1, NULL, &other, 0));
    SHOW(syscall(449, NULL, 1, 0, NULL, 0));
    SHOW(syscall(449, &word, 0, 0, NULL, 0));
    SHOW(syscall(449, &word, 129, 0, NULL, 0));
    struct { uint64_t value, address; uint32_t flags, reserved; } v = {5, (uintptr_t)&word, 2, 0};
    word = 4;
    SHOW(syscall(449, &v, 1, 0, NULL, 0));
    v.flags = 1;
    SHOW(syscall(449, &v, 1, 0, NULL, 0));
    v.flags = 2, v.reserved = 1;
    SHOW(syscall(449, &v, 1, 0, NULL, 0));
    void *head;
    size_t size;
    SHOW(syscall(SYS_set_robust_list, NULL, 5));
    SHOW(syscall(SYS_get_robust_list, 0, &head, &size));
    SHOW((long)(size == 3 * sizeof(long)));
    SHOW(syscall(SYS_get_robust_list, 888888, &head, &size));
    SHOW(syscall(SYS_get_robust_list, 0, NULL, &size));
}

/* A robust list of nonsense. */
static void *with_bad_list(void *kind)
{
    static long loop[3], far[3] = {16, 0, 0}, odd[3];
    loop[0] = (long)loop, loop[1] = 0, loop[2] = (long)loop | 1;
    odd[0] = (long)odd + 3, odd[1] = 1;
    long *lists[] = {loop, far, odd, (long *)24};
    syscall(SYS_set_robust_list, lists[(long)kind], 3 * sizeof(long));
    return kind;
}

static int shared_word;
static void *waits(void *number)
{
    return futex(&shared_word, FUTEX_WAIT_PRIVATE, 0, NULL, NULL, 0) ? NULL : number;
}

static void counts(void)
{
    pthread_t threads[5];
    int other = 0;
    for (long i = 0; i < 5; i++) pthread_create(threads + i, NULL, waits, (void *)i);
    long woken = 0, moved = 0;
    while (moved < 2) moved += futex(&shared_word, FUTEX_CMP_REQUEUE_PRIVATE, 0, (void *)(2 - moved), &other, 0), usleep(200);
    while (woken < 2) woken += futex(&other, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0), usleep(200);
    while (woken < 5) woken += futex(&shared_word, FUTEX_WAKE_BITSET_PRIVATE, 10, NULL, NULL, 4), usleep(200);
    for (int i = 0; i < 5; i++) pthread_join(threads[i], NULL);
    printf("moved %ld, woken %ld\n", moved, woken);
}

static void *forks(void *unused)
{
    int status;
    pid_t child = fork();
    if (!child) {
        pthread_t thread;
        void *value;
        int same = getpid() == syscall(SYS_gettid);
        pthread_create(&thread, NULL, waits, (void *)3);
        while (!futex(&shared_word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0)) usleep(200);
        pthread_join(thread, &value);
        _exit(10 * same + (int)(long)value);
    }
    waitpid(child, &status, 0);
    return (void *)(long)WEXITSTATUS(status);
}

static void *spins(void *unused) { for (;;) ; return unused; }
static void *sleeps(void *unused) { for (;;) pause(); return unused; }

static void *executes(void *path)
{
    execl(path, path, "again", NULL);
    return NULL;
}

static void *outlives(void *unused)
{
    usleep(2000);
    printf("the first thread has ended\n");
    fflush(stdout);
    syscall(SYS_exit, 9);
    return unused;
}

int main(int argc, char **argv)
{
    pthread_t thread;
    void *value;
    setvbuf(stdout, NULL, _IONBF, 0);
    if (argc > 1) {
        printf("%s, first thread: %d\n", argv[1], getpid() == syscall(SYS_gettid));
        pthread_create(&thread, NULL, outlives, NULL);
        syscall(SYS_exit, 7);
    }
    clone_errors();
    futex_errors();
    for (long kind = 0; kind < 4; kind++) pthread_create(&thread, NULL, with_bad_list, (void *)kind), pthread_join(thread, &value);
    counts();
    pthread_create(&thread, NULL, forks, NULL);
    pthread_join(thread, &value);
    printf("fork of a thread: %ld\n", (long)value);
    pthread_create(&thread, NULL, spins, NULL);
    pthread_create(&thread, NULL, sleeps, NULL);
    pthread_create(&thread, NULL, executes, argv[0]);
    sleeps(NULL);
    return 0;
}
