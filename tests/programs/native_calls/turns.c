/* Threads that contend, yield, wait and read, and what they did in which order. */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { THREADS = 5, FUTEX_WAIT = 0, FUTEX_WAKE = 1, FUTEX_PRIVATE_FLAG = 128 };
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static pthread_barrier_t barrier;
static sem_t semaphore;
static int rounds, turn, count, ends[2], handled;
static volatile int word;
static unsigned long order = 5381; /* a hash of who ran when */
static __thread int number;
static int tids[THREADS];

static void note(int what) { order = (order * 33 + what) & 0x7fffffff; }
static long futex(int operation, int value, const struct timespec *limit) { return syscall(SYS_futex, &word, operation | FUTEX_PRIVATE_FLAG, value, limit, 0, ~0); }
static void on_signal(int signal) { handled++; }

static void *work(void *argument)
{
	number = (long)argument;
	tids[number] = syscall(SYS_gettid);
	for (int i = 0; i < rounds; i++) {
		pthread_mutex_lock(&mutex);
		note(number);
		count++;
		if (i % 3 == number % 3) sched_yield();
		if (tids[number] != syscall(SYS_gettid)) note(99);
		pthread_mutex_unlock(&mutex);
		if (i % 7 == 0) sched_yield();
	}
	pthread_barrier_wait(&barrier);
	for (int i = 0; i < rounds / 10; i++) { /* one after the other */
		pthread_mutex_lock(&mutex);
		while (turn != number) pthread_cond_wait(&changed, &mutex);
		note(number + 10);
		turn = (turn + 1) % THREADS;
		pthread_cond_broadcast(&changed);
		pthread_mutex_unlock(&mutex);
	}
	pthread_barrier_wait(&barrier);
	for (int i = 0; i < rounds / 10; i++) { /* a byte to each, by whoever comes first */
		char byte;
		if (number == 0)
			for (int n = 1; n < THREADS; n++) write(ends[1], "x", 1), sched_yield();
		else
			read(ends[0], &byte, 1), note(number + 20);
		if (i % 5 == 0) {
			struct timespec moment = {0, 1000 * (number + 1)};
			nanosleep(&moment, 0);
			note(number + 30);
		}
	}
	sem_wait(&semaphore);
	note(number + 40);
	sched_yield();
	sem_post(&semaphore);
	float half = 1.0f / (number + 2);
	for (int i = 0; i < 50; i++) half = half * 0.5f + 1, sched_yield();
	note((int)(half * 1e6));
	return 0;
}

static void *sleeper(void *argument)
{
	long result = futex(FUTEX_WAIT, 0, 0);
	note(result ? errno + 50 : 50);
	return 0;
}

int main(int argc, char **argv)
{
	pthread_t threads[THREADS];
	struct timespec limit = {0, 1000000}, now;
	struct sigaction action = {.sa_handler = on_signal};
	rounds = atoi(argv[1]);
	pipe(ends);
	pthread_barrier_init(&barrier, 0, THREADS);
	sem_init(&semaphore, 0, 1);
	for (long i = 0; i < THREADS; i++) pthread_create(threads + i, 0, work, (void *)i);
	for (int i = 0; i < THREADS; i++) pthread_join(threads[i], 0);
	printf("%d rounds\n", count);
	printf("woken: %ld\n", futex(FUTEX_WAKE, 1, 0));
	printf("another value: %ld %s\n", futex(FUTEX_WAIT, 5, 0), strerror(errno));
	printf("no time: %ld %s\n", futex(FUTEX_WAIT, 0, &limit), strerror(errno));
	sigaction(SIGUSR1, &action, 0);
	for (int i = 0; i < 3; i++) pthread_create(threads + i, 0, sleeper, 0);
	for (int i = 0; i < 6; i++) sched_yield();
	pthread_kill(threads[1], SIGUSR1);
	sched_yield();
	long woken = futex(FUTEX_WAKE, 1, 0);
	if (argc > 2) printf("woken of three: %ld\n", woken);
	sched_yield();
	word = 1;
	printf("the rest, at most two: %d\n", futex(FUTEX_WAKE, 9, 0) <= 2);
	for (int i = 0; i < 3; i++) pthread_join(threads[i], 0);
	printf("handled %d\n", handled);
	clock_gettime(CLOCK_MONOTONIC, &now);
	if (argc > 2) printf("order %lx at %ld.%09ld\n", order, (long)now.tv_sec, now.tv_nsec);
	return 0;
}
