/* Threads with locks: what it prints does not depend on their order. The argument is the number of rounds of each of eight threads. */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { THREADS = 8 };
static int rounds, count;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static void start(pthread_t *threads, int n, void *(*body)(void *))
{
    for (int i = 0; i < n; i++) {
        int failure = pthread_create(threads + i, NULL, body, (void *)(long)i);
        if (failure) printf("pthread_create: %s\n", strerror(failure)), exit(1);
    }
}

static long finish(pthread_t *threads, int n)
{
    long sum = 0;
    for (int i = 0; i < n; i++) {
        void *value;
        pthread_join(threads[i], &value);
        sum += (long)value;
    }
    return sum;
}

static void *count_up(void *number)
{
    for (int i = 0; i < rounds; i++) {
        pthread_mutex_lock(&lock);
        count++;
        pthread_mutex_unlock(&lock);
    }
    return number;
}

/* A queue with room for four, one producer and three consumers. */
static pthread_cond_t filled = PTHREAD_COND_INITIALIZER, emptied = PTHREAD_COND_INITIALIZER;
static long queue[4];
static int in_queue, first, done;

static void *consume(void *unused)
{
    long sum = 0;
    (void)unused;
    for (;;) {
        pthread_mutex_lock(&lock);
        while (!in_queue && !done) pthread_cond_wait(&filled, &lock);
        if (!in_queue) break;
        sum += queue[first];
        first = (first + 1) % 4;
        in_queue--;
        pthread_cond_signal(&emptied);
        pthread_mutex_unlock(&lock);
    }
    pthread_mutex_unlock(&lock);
    return (void *)sum;
}

static void produce(int n)
{
    for (int i = 1; i <= n; i++) {
        pthread_mutex_lock(&lock);
        while (in_queue == 4) pthread_cond_wait(&emptied, &lock);
        queue[(first + in_queue++) % 4] = i;
        pthread_cond_signal(&filled);
        pthread_mutex_unlock(&lock);
    }
    pthread_mutex_lock(&lock);
    done = 1;
    pthread_cond_broadcast(&filled);
    pthread_mutex_unlock(&lock);
}

static pthread_barrier_t barrier;
static int phase[THREADS], late;

static void *step(void *number)
{
    int me = (int)(long)number, serial = 0;
    for (int i = 1; i <= 50; i++) {
        phase[me] = i;
        serial += pthread_barrier_wait(&barrier) == PTHREAD_BARRIER_SERIAL_THREAD;
        for (int other = 0; other < THREADS; other++)
            if (phase[other] != i) late = 1;
        pthread_barrier_wait(&barrier);
    }
    return (void *)(long)serial;
}

static pthread_rwlock_t rw = PTHREAD_RWLOCK_INITIALIZER;
static long pair[2];

static void *read_or_write(void *number)
{
    long bad = 0;
    for (int i = 0; i < 200; i++)
        if ((long)number < 2) {
            pthread_rwlock_wrlock(&rw);
            pair[0]++;
            if (i % 16 == 0) sched_yield();
            pair[1]++;
            pthread_rwlock_unlock(&rw);
        } else {
            pthread_rwlock_rdlock(&rw);
            bad += pair[0] != pair[1];
            pthread_rwlock_unlock(&rw);
        }
    return (void *)bad;
}

static sem_t semaphore;
static int inside, most;

static void *enter(void *number)
{
    for (int i = 0; i < 50; i++) {
        sem_wait(&semaphore);
        int now = __atomic_add_fetch(&inside, 1, __ATOMIC_SEQ_CST);
        if (now > most) most = now;
        sched_yield();
        __atomic_sub_fetch(&inside, 1, __ATOMIC_SEQ_CST);
        sem_post(&semaphore);
    }
    return number;
}

static __thread int mine = 7;
static pthread_key_t key;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static int made, destroyed;

static void make_key_once(void) { made++; }
static void destroy(void *value) { destroyed += value != NULL; }

static void *own(void *number)
{
    pthread_once(&once, make_key_once);
    mine += (int)(long)number;
    pthread_setspecific(key, &mine);
    sched_yield();
    return (void *)(long)(mine + (pthread_getspecific(key) == &mine));
}

static volatile int flag;

static void *spin(void *number)
{
    while (!flag) ;
    return number;
}

static void *sleep_then_set(void *number)
{
    struct timespec time = {0, 20000000};
    nanosleep(&time, NULL);
    flag = 1;
    return number;
}

int main(int argc, char **argv)
{
    pthread_t threads[THREADS];
    rounds = argc > 1 ? atoi(argv[1]) : 1000;
    start(threads, THREADS, count_up);
    finish(threads, THREADS);
    printf("mutex: %d\n", count);

    start(threads, 3, consume);
    produce(300);
    printf("queue: %ld\n", finish(threads, 3));

    pthread_barrier_init(&barrier, NULL, THREADS);
    start(threads, THREADS, step);
    long serial = finish(threads, THREADS);
    printf("barrier: %ld serial, late %d\n", serial, late);

    start(threads, THREADS, read_or_write);
    long torn = finish(threads, THREADS);
    printf("rwlock: %ld torn, %ld written\n", torn, pair[0]);

    sem_init(&semaphore, 0, 3);
    start(threads, THREADS, enter);
    finish(threads, THREADS);
    printf("semaphore: %d\n", most >= 1 && most <= 3);

    pthread_key_create(&key, destroy);
    start(threads, THREADS, own);
    printf("own: %ld\n", finish(threads, THREADS));
    printf("once: %d\n", made);
    printf("destroyed: %d, first's own %d\n", destroyed, mine);

    start(threads, 3, spin);
    start(threads + 3, 1, sleep_then_set);
    printf("spin: %ld\n", finish(threads, 4));

    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    now.tv_nsec += 1000000;
    if (now.tv_nsec >= 1000000000) now.tv_sec++, now.tv_nsec -= 1000000000;
    pthread_mutex_lock(&lock);
    int timed = 0;
    while (!timed) timed = pthread_cond_timedwait(&filled, &lock, &now);
    printf("timed wait: %s\n", timed == ETIMEDOUT ? "ETIMEDOUT" : "?");
    printf("first thread: %d\n", (int)(getpid() == syscall(SYS_gettid)));
    return 0;
}
