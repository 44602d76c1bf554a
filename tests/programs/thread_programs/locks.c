/* Kinds of locks: robust, with priority inheritance, shared between processes, error-checking, recursive; what they say when they are misused. */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static const char *name(int error)
{
    switch (error) {
    case 0: return "0";
    case EPERM: return "EPERM";
    case ESRCH: return "ESRCH";
    case EAGAIN: return "EAGAIN";
    case EBUSY: return "EBUSY";
    case EINVAL: return "EINVAL";
    case EDEADLK: return "EDEADLK";
    case ETIMEDOUT: return "ETIMEDOUT";
    case EOWNERDEAD: return "EOWNERDEAD";
    case ENOTRECOVERABLE: return "ENOTRECOVERABLE";
    default: return strerror(error);
    }
}

static pthread_mutex_t *make(pthread_mutex_t *mutex, int type, int protocol, int robust, int shared)
{
    pthread_mutexattr_t how;
    pthread_mutexattr_init(&how);
    pthread_mutexattr_settype(&how, type);
    if (protocol) pthread_mutexattr_setprotocol(&how, protocol);
    if (robust) pthread_mutexattr_setrobust(&how, PTHREAD_MUTEX_ROBUST);
    if (shared) pthread_mutexattr_setpshared(&how, PTHREAD_PROCESS_SHARED);
    int failure = pthread_mutex_init(mutex, &how);
    if (failure) printf("init: %s\n", name(failure));
    return mutex;
}

static struct timespec soon(long ms)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    t.tv_nsec += ms * 1000000;
    while (t.tv_nsec >= 1000000000) t.tv_nsec -= 1000000000, t.tv_sec++;
    return t;
}

static void *take_and_end(void *mutex)
{
    return (void *)(long)pthread_mutex_lock(mutex);
}

static void *take_and_give(void *mutex)
{
    int a = pthread_mutex_lock(mutex), b = pthread_mutex_unlock(mutex);
    return (void *)(long)(a ? a : b);
}

static void *try(void *mutex)
{
    int result = pthread_mutex_trylock(mutex);
    if (!result) pthread_mutex_unlock(mutex);
    return (void *)(long)result;
}

static void *try_for_a_while(void *mutex)
{
    struct timespec until = soon(5);
    return (void *)(long)pthread_mutex_timedlock(mutex, &until);
}

static void *unlock(void *mutex) { return (void *)(long)pthread_mutex_unlock(mutex); }

static int in_thread(void *(*body)(void *), void *argument)
{
    pthread_t thread;
    void *result;
    if (pthread_create(&thread, NULL, body, argument)) return -1;
    pthread_join(thread, &result);
    return (int)(long)result;
}

static void misuse(const char *what, int type, int protocol, int robust)
{
    pthread_mutex_t mutex;
    make(&mutex, type, protocol, robust, 0);
    printf("%s: lock %s", what, name(pthread_mutex_lock(&mutex)));
    if (type != PTHREAD_MUTEX_NORMAL) {
        int again = pthread_mutex_lock(&mutex);
        printf(", again %s", name(again));
        if (!again) pthread_mutex_unlock(&mutex);
    }
    printf(", other try %s", name(in_thread(try, &mutex)));
    printf(", other timed %s", name(in_thread(try_for_a_while, &mutex)));
    if (type == PTHREAD_MUTEX_ERRORCHECK) printf(", other unlock %s", name(in_thread(unlock, &mutex)));
    printf(", unlock %s", name(pthread_mutex_unlock(&mutex)));
    printf(", other %s\n", name(in_thread(take_and_give, &mutex)));
}

static void robust(const char *what, int protocol)
{
    pthread_mutex_t mutex;
    make(&mutex, PTHREAD_MUTEX_NORMAL, protocol, 1, 0);
    printf("%s: owner %s", what, name(in_thread(take_and_end, &mutex)));
    printf(", then %s", name(pthread_mutex_lock(&mutex)));
    printf(", consistent %s", name(pthread_mutex_consistent(&mutex)));
    printf(", unlock %s", name(pthread_mutex_unlock(&mutex)));
    printf(", lock %s", name(pthread_mutex_lock(&mutex)));
    printf(", unlock %s", name(pthread_mutex_unlock(&mutex)));
    in_thread(take_and_end, &mutex);
    printf(", dead again %s", name(pthread_mutex_lock(&mutex)));
    printf(", unlock %s", name(pthread_mutex_unlock(&mutex)));
    printf(", for good %s\n", name(pthread_mutex_lock(&mutex)));
}

/* A thread that waits while the owner ends. */
static pthread_mutex_t waited;
static pthread_barrier_t both;

static void *own_and_end(void *unused)
{
    (void)unused;
    pthread_mutex_lock(&waited);
    pthread_barrier_wait(&both);
    for (int i = 0; i < 20; i++) sched_yield();
    return NULL;
}

static void waiter(int protocol)
{
    pthread_t thread;
    make(&waited, PTHREAD_MUTEX_NORMAL, protocol, 1, 0);
    pthread_barrier_init(&both, NULL, 2);
    pthread_create(&thread, NULL, own_and_end, NULL);
    pthread_barrier_wait(&both);
    printf("waiter: %s\n", name(pthread_mutex_lock(&waited)));
    pthread_join(thread, NULL);
}

static pthread_mutex_t pi;
static int counted;

static void *count(void *unused)
{
    (void)unused;
    for (int i = 0; i < 300; i++) {
        pthread_mutex_lock(&pi);
        int before = counted;
        if (i % 32 == 0) sched_yield();
        counted = before + 1;
        pthread_mutex_unlock(&pi);
    }
    return NULL;
}

static void contended(void)
{
    pthread_t threads[4];
    make(&pi, PTHREAD_MUTEX_NORMAL, PTHREAD_PRIO_INHERIT, 0, 0);
    for (int i = 0; i < 4; i++) pthread_create(threads + i, NULL, count, NULL);
    for (int i = 0; i < 4; i++) pthread_join(threads[i], NULL);
    printf("with inheritance: %d\n", counted);
}

/* Shared between processes. */
struct shared { pthread_mutex_t mutex, robust; pthread_cond_t cond; pthread_barrier_t barrier; sem_t full, empty; int turn, value, item, sum; };

static void between_processes(int protocol)
{
    struct shared *s = mmap(NULL, sizeof *s, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pthread_condattr_t cond;
    pthread_barrierattr_t barrier;
    make(&s->mutex, PTHREAD_MUTEX_NORMAL, protocol, 0, 1);
    make(&s->robust, PTHREAD_MUTEX_NORMAL, protocol, 1, 1);
    pthread_condattr_init(&cond), pthread_condattr_setpshared(&cond, PTHREAD_PROCESS_SHARED), pthread_cond_init(&s->cond, &cond);
    pthread_barrierattr_init(&barrier), pthread_barrierattr_setpshared(&barrier, PTHREAD_PROCESS_SHARED), pthread_barrier_init(&s->barrier, &barrier, 2);
    sem_init(&s->full, 1, 0), sem_init(&s->empty, 1, 1);
    fflush(stdout);
    if (!fork()) {
        for (int i = 0; i < 200; i++) {
            pthread_mutex_lock(&s->mutex);
            s->value++;
            pthread_mutex_unlock(&s->mutex);
        }
        for (int i = 0; i < 20; i++) {
            pthread_mutex_lock(&s->mutex);
            while (s->turn % 2 == 0) pthread_cond_wait(&s->cond, &s->mutex);
            s->turn++;
            pthread_cond_signal(&s->cond);
            pthread_mutex_unlock(&s->mutex);
        }
        for (int i = 1; i <= 20; i++) {
            sem_wait(&s->full);
            s->sum += s->item;
            sem_post(&s->empty);
        }
        pthread_mutex_lock(&s->robust);
        pthread_barrier_wait(&s->barrier);
        usleep(1000);
        _exit(3);
    }
    for (int i = 0; i < 200; i++) {
        pthread_mutex_lock(&s->mutex);
        s->value++;
        pthread_mutex_unlock(&s->mutex);
    }
    for (int i = 0; i < 20; i++) {
        pthread_mutex_lock(&s->mutex);
        while (s->turn % 2) pthread_cond_wait(&s->cond, &s->mutex);
        s->turn++;
        pthread_cond_signal(&s->cond);
        pthread_mutex_unlock(&s->mutex);
    }
    for (int i = 1; i <= 20; i++) {
        sem_wait(&s->empty);
        s->item = i;
        sem_post(&s->full);
    }
    pthread_barrier_wait(&s->barrier);
    int left = pthread_mutex_lock(&s->robust), status;
    wait(&status);
    printf("processes: %d, %d, robust %s, status %d\n", s->value, s->sum, name(left), WEXITSTATUS(status));
}

int main(void)
{
    setvbuf(stdout, NULL, _IONBF, 0);
    misuse("normal", PTHREAD_MUTEX_NORMAL, 0, 0);
    misuse("checked", PTHREAD_MUTEX_ERRORCHECK, 0, 0);
    misuse("recursive", PTHREAD_MUTEX_RECURSIVE, 0, 0);
    misuse("pi", PTHREAD_MUTEX_NORMAL, PTHREAD_PRIO_INHERIT, 0);
    misuse("pi checked", PTHREAD_MUTEX_ERRORCHECK, PTHREAD_PRIO_INHERIT, 0);
    misuse("robust checked", PTHREAD_MUTEX_ERRORCHECK, 0, 1);
    robust("robust", 0);
    robust("robust pi", PTHREAD_PRIO_INHERIT);
    waiter(0);
    waiter(PTHREAD_PRIO_INHERIT);
    contended();
    between_processes(0);
    return 0;
}
