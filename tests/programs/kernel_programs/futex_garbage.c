/* 3,000 calls of futex with operations, addresses and values that do not fit each other, and robust lists that lead nowhere or in a circle. */
#define _GNU_SOURCE
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { WAIT, FD = 2, REQUEUE, CMP_REQUEUE, WAKE_OP, WAIT_REQUEUE_PI = 11, CMP_REQUEUE_PI };

static uint32_t seed = 1;
static int words[2048];
static long microsecond[4];

static unsigned number(unsigned below)
{
	seed = seed * 1103515245 + 12345;
	return (seed >> 16) % below;
}

static void calls(void)
{
	for (int i = 0; i < 3000; i++) {
		int operation = number(16) | (number(2) ? 128 : 0) | (number(4) ? 0 : 256), command = operation & 127;
		long addresses[] = {(long)words, (long)words + 4, (long)words + 1, 0, 8, (long)calls & ~3, -4096, (long)words + 8188};
		long values[] = {0, 1, -1, 0x7fffffff, 0x5000000, 0x20000001};
		long first = addresses[number(8)], second = addresses[number(8)], value = values[number(6)], fourth = values[number(6)];
		long last = values[number(6)];
		memset(words, 0, sizeof words);
		memset(microsecond, 0, sizeof microsecond);
		microsecond[1] = 1000;
		if (command != REQUEUE && command != CMP_REQUEUE && command != WAKE_OP && command != CMP_REQUEUE_PI)
			fourth = (long)microsecond;
		long result = syscall(SYS_futex, first, operation, value, fourth, second, last);
		printf("%d: %x %d %d\n", i, operation, (int)result, result < 0 ? errno : 0);
	}
}

/* A child ends with this list. */
static void list(const char *name, void *next, long offset, void *pending)
{
	static struct { void *next; long offset; void *pending; } head;
	int status;
	fflush(stdout);
	pid_t child = fork();
	if (!child) {
		head.next = next, head.offset = offset, head.pending = pending;
		syscall(SYS_set_robust_list, &head, sizeof head);
		_exit(9);
	}
	waitpid(child, &status, 0);
	printf("%s: %x\n", name, status);
}

int main(void)
{
	static void *one, *two, *odd;
	one = &two, two = &one, odd = (char *)&odd + 1;
	calls();
	list("a circle", &one, 0, 0);
	list("page 0", (void *)8, 0, (void *)8);
	list("the end of memory", (void *)-1, 0, (void *)-4096);
	list("an odd address", &odd, 1 << 20, (char *)&odd + 3);
	list("code", (void *)(uintptr_t)calls, -8, (void *)(uintptr_t)calls);
	list("a far offset", &one, -1L << 20, &one);
	return 0;
}
