/* Signals and threads: whose they are, which thread they reach, waits that they end, cancellation. */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static __thread int me;
static volatile sig_atomic_t got[4], ended_by;
static pthread_barrier_t together;

static void note(int signal) { got[me]++; ended_by = signal; }

static void yield(int n) { while (n--) sched_yield(); }

static volatile int finished;

static void *wait_in_read(void *fd)
{
    char byte;
    me = 1;
    pthread_barrier_wait(&together);
    ssize_t n = read((int)(long)fd, &byte, 1);
    int error = errno;
    finished = 1;
    return (void *)(long)(n < 0 ? -error : n);
}

static void to_a_thread(int restart)
{
    int pipes[2];
    pthread_t thread;
    void *result;
    struct sigaction action = {.sa_handler = note, .sa_flags = restart ? SA_RESTART : 0};
    sigaction(SIGUSR1, &action, NULL);
    memset((void *)got, 0, sizeof got);
    pipe(pipes);
    finished = 0;
    pthread_barrier_init(&together, NULL, 2);
    pthread_create(&thread, NULL, wait_in_read, (void *)(long)pipes[0]);
    pthread_barrier_wait(&together);
    yield(3);
    int failed = 0;
    do { /* the thread need not be within read yet */
        failed |= pthread_kill(thread, SIGUSR1);
        yield(3), usleep(1000);
    } while (restart ? !got[1] : !finished);
    if (restart) write(pipes[1], "x", 1);
    pthread_join(thread, &result);
    printf("kill %d, first %d, other %d, read %s\n", failed, got[0], got[1] > 0, (long)result == -EINTR ? "EINTR" : (long)result == 1 ? "1" : "?");
    close(pipes[0]), close(pipes[1]);
}

static volatile int taken, started;

static void until(volatile int *counter, int value)
{
    while (*counter < value) usleep(500);
}

static void *wait_for_signals(void *set)
{
    int signal, sum = 0;
    for (int i = 0; i < 3; i++) {
        if (sigwait(set, &signal)) return NULL;
        sum = sum * 100 + signal;
        taken++;
    }
    return (void *)(long)sum;
}

static void with_sigwait(void)
{
    sigset_t set;
    pthread_t thread;
    void *result;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1), sigaddset(&set, SIGUSR2), sigaddset(&set, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    pthread_create(&thread, NULL, wait_for_signals, &set);
    kill(getpid(), SIGUSR2);
    until(&taken, 1);
    pthread_kill(thread, SIGTERM);
    until(&taken, 2);
    kill(getpid(), SIGUSR1);
    pthread_join(thread, &result);
    printf("sigwait: %ld\n", (long)result);
    struct timespec no_time = {0, 1000000};
    int nothing = sigtimedwait(&set, NULL, &no_time);
    printf("nothing left: %d %s\n", nothing, strerror(errno));
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

static sigset_t inherited;

static void *masks(void *unused)
{
    sigset_t now, pending;
    (void)unused;
    pthread_sigmask(SIG_SETMASK, NULL, &inherited);
    sigemptyset(&now), sigaddset(&now, SIGHUP), sigaddset(&now, SIGUSR1);
    pthread_sigmask(SIG_BLOCK, &now, NULL);
    pthread_kill(pthread_self(), SIGHUP);
    sigpending(&pending);
    long mine = sigismember(&pending, SIGHUP);
    return (void *)mine;
}

static void own_masks(void)
{
    sigset_t set, pending, mask;
    pthread_t thread;
    void *result;
    sigemptyset(&set), sigaddset(&set, SIGUSR2);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    pthread_create(&thread, NULL, masks, NULL);
    pthread_join(thread, &result);
    sigpending(&pending);
    pthread_sigmask(SIG_SETMASK, NULL, &mask);
    printf("masks: inherited %d, pending there %ld, here %d, blocked here %d\n", sigismember(&inherited, SIGUSR2), (long)result,
           sigismember(&pending, SIGHUP), sigismember(&mask, SIGHUP));
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

/* A signal of the process's goes to the thread that has it open. */
static void *has_it_open(void *unused)
{
    sigset_t set;
    (void)unused;
    me = 2;
    sigemptyset(&set), sigaddset(&set, SIGUSR1);
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
    pthread_barrier_wait(&together);
    while (!got[2]) sched_yield();
    return NULL;
}

static void open_one(void)
{
    sigset_t set;
    pthread_t thread;
    memset((void *)got, 0, sizeof got);
    sigemptyset(&set), sigaddset(&set, SIGUSR1);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    pthread_barrier_init(&together, NULL, 2);
    pthread_create(&thread, NULL, has_it_open, NULL);
    pthread_barrier_wait(&together);
    kill(getpid(), SIGUSR1);
    pthread_join(thread, NULL);
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
    printf("open: first %d, other %d\n", got[0], got[2]);
}

static void *alternate(void *unused)
{
    stack_t stack = {.ss_sp = malloc(1 << 16), .ss_size = 1 << 16}, before;
    (void)unused;
    sigaltstack(&stack, &before);
    long was_off = before.ss_flags & SS_DISABLE;
    sigaltstack(NULL, &before);
    return (void *)(was_off && before.ss_sp == stack.ss_sp ? 1L : 0L);
}

static void own_stacks(void)
{
    pthread_t thread;
    void *result;
    stack_t mine;
    pthread_create(&thread, NULL, alternate, NULL);
    pthread_join(thread, &result);
    sigaltstack(NULL, &mine);
    printf("alternate stack: %ld, here %s\n", (long)result, mine.ss_flags & SS_DISABLE ? "none" : "one");
}

static int cleaned;
static void clean(void *unused) { (void)unused; cleaned++; }

static void *cancelled_in_wait(void *unused)
{
    pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
    pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
    pthread_cleanup_push(clean, NULL);
    pthread_mutex_lock(&mutex);
    for (;;) pthread_cond_wait(&cond, &mutex);
    pthread_cleanup_pop(0);
    return unused;
}

static void *cancelled_in_sleep(void *unused)
{
    pthread_cleanup_push(clean, NULL);
    for (;;) sleep(1000);
    pthread_cleanup_pop(0);
    return unused;
}

static void *cancelled_in_read(void *fd)
{
    char byte;
    pthread_cleanup_push(clean, NULL);
    for (;;) read((int)(long)fd, &byte, 1);
    pthread_cleanup_pop(0);
    return NULL;
}

static void *cancelled_while_it_computes(void *unused)
{
    pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, NULL);
    pthread_cleanup_push(clean, NULL);
    started = 1;
    for (volatile long i = 0;; i++) ;
    pthread_cleanup_pop(0);
    return unused;
}

static void cancellation(void)
{
    void *(*bodies[])(void *) = {cancelled_in_wait, cancelled_in_sleep, cancelled_in_read, cancelled_while_it_computes};
    int pipes[2];
    pipe(pipes);
    for (int i = 0; i < 4; i++) {
        pthread_t thread;
        void *result;
        pthread_create(&thread, NULL, bodies[i], (void *)(long)pipes[0]);
        if (i == 3) until(&started, 1);
        else yield(3), usleep(2000);
        pthread_cancel(thread);
        pthread_join(thread, &result);
        printf("cancelled: %s, cleaned %d\n", result == PTHREAD_CANCELED ? "yes" : "no", cleaned);
    }
}

static void *sleeps(void *unused)
{
    struct timespec t = {0, 30000000}, left = {0, 0};
    (void)unused;
    me = 3;
    int result = nanosleep(&t, &left);
    return (void *)(long)(result ? errno : 0);
}

static void timers(void)
{
    pthread_t thread;
    void *result;
    struct itimerval timer = {{0, 5000}, {0, 5000}}, off = {{0, 0}, {0, 0}};
    struct sigaction action = {.sa_handler = note};
    memset((void *)got, 0, sizeof got);
    sigaction(SIGALRM, &action, NULL);
    pthread_create(&thread, NULL, sleeps, NULL);
    setitimer(ITIMER_REAL, &timer, NULL);
    while (!got[0] && !got[3]) pause();
    setitimer(ITIMER_REAL, &off, NULL);
    pthread_join(thread, &result);
    printf("timer: first %d, other %d, its sleep %ld\n", got[0] > 0, got[3], (long)result);
}

int main(void)
{
    setvbuf(stdout, NULL, _IONBF, 0);
    to_a_thread(0);
    to_a_thread(1);
    with_sigwait();
    own_masks();
    open_one();
    own_stacks();
    cancellation();
    timers();
    long result = syscall(SYS_tgkill, getpid(), 77777, 0);
    printf("no such thread: %ld %s\n", result, strerror(errno));
    result = syscall(SYS_tgkill, getpid(), syscall(SYS_gettid), 65);
    printf("bad signal: %ld %s\n", result, strerror(errno));
    return 0;
}
