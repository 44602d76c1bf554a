/* A thread whose stack is taken away: while it yields, while it waits for a futex, by mprotect, and one that runs through its stack. */
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { SIZE = 1 << 16, FUTEX_WAIT = 0, FUTEX_WAKE = 1 };

static volatile int word, begun;

static void *yielding(void *unused)
{
	(void)unused;
	for (begun = 1;;)
		sched_yield();
}

static void *waiting(void *unused)
{
	begun = 1;
	while (!word)
		syscall(SYS_futex, &word, FUTEX_WAIT, 0, 0, 0, 0);
	return unused;
}

static void *deep(void *unused)
{
	volatile char room[4096];
	begun = room[0] = 1;
	return (char *)deep(unused) + room[0];
}

int main(int count, char **arguments)
{
	static void *(*const begin[])(void *) = {yielding, waiting, yielding, deep};
	int how = count > 1 ? atoi(arguments[1]) : 0;
	char *stack = mmap(0, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	pthread_attr_t attributes;
	pthread_t thread;
	pthread_attr_init(&attributes);
	pthread_attr_setstack(&attributes, stack, SIZE);
	if (pthread_create(&thread, &attributes, begin[how], 0))
		return 1;
	while (!begun)
		sched_yield();
	for (int i = 0; i < 100; i++)
		sched_yield();
	if (how == 2)
		mprotect(stack, SIZE, PROT_READ);
	else if (how != 3)
		munmap(stack, SIZE);
	word = 1;
	syscall(SYS_futex, &word, FUTEX_WAKE, 9, 0, 0, 0);
	for (;;)
		sched_yield();
}
