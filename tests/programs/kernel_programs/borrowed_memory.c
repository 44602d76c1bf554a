/* Memory that parent and child have together: vfork, posix_spawn, clone with CLONE_VM; afterwards fork copies as before. */
#define _GNU_SOURCE
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static volatile int data = 1, zero;
static int filled[3000] = {7};

static void ended(const char *what, int child)
{
	int status = 0, found = waitpid(child, &status, __WALL);
	printf("%s: %d %x, data %d, zero %d, filled %d\n", what, found == child, status, data, zero, filled[2999]);
	fflush(stdout);
}

static int add(void *argument)
{
	*(volatile int *)argument += 5;
	data++, zero++, filled[2999]++;
	return 3;
}

static int answer(void *argument)
{
	volatile int *word = argument;
	struct timespec pause = {0, 1000000};
	while (*word != 1)
		nanosleep(&pause, 0);
	*word = 2;
	return 0;
}

static int killed(void *argument)
{
	(void)argument;
	return kill(getpid(), SIGKILL);
}

static int forks(void *argument)
{
	int status, child = fork();
	if (!child) {
		data = 1000;
		_exit(9);
	}
	waitpid(child, &status, 0);
	*(volatile int *)argument = WEXITSTATUS(status);
	return 0;
}

static void spawned(const char *path)
{
	char *words[] = {"x", 0}, *none[] = {0};
	int child = -1, result = posix_spawn(&child, path, 0, 0, words, none);
	printf("spawn %s: %s\n", path, strerror(result));
	printf("children: %d\n", waitpid(-1, 0, 0) > 0);
}

int main(void)
{
	char *stack = (char *)mmap(0, 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) + 65536;
	volatile int *heap = malloc(4096), local = 1;
	int child;
	*heap = 1;
	if (!(child = vfork())) {
		data = 2, local = 3, *heap = 4;
		_exit(5);
	}
	ended("vfork", child);
	printf("%d %d\n", local, *heap);
	if (!(child = fork())) {
		data = 77, local = 77, *heap = 77;
		_exit(6);
	}
	ended("fork", child);
	printf("%d %d\n", local, *heap);
	spawned("/nonexistent"), spawned("/");
	ended("clone", clone(add, stack, CLONE_VM | SIGCHLD, (void *)heap));
	ended("clone and wait", clone(add, stack, CLONE_VM | CLONE_VFORK | SIGCHLD, (void *)heap));
	ended("clone without", clone(add, stack, SIGCHLD, (void *)heap));
	ended("only waits", clone(add, stack, CLONE_VFORK | SIGCHLD, (void *)heap));
	printf("%d\n", *heap);
	local = 0;
	child = clone(answer, stack, CLONE_VM | SIGCHLD, (void *)&local);
	local = 1;
	while (local != 2)
		sched_yield();
	ended("both at a time", child);
	ended("killed", clone(killed, stack, CLONE_VM | SIGCHLD, 0));
	ended("forks", clone(forks, stack, CLONE_VM | SIGCHLD, (void *)heap));
	printf("%d\n", *heap);
	int cleared = 1;
	child = clone(add, stack, CLONE_VM | CLONE_CHILD_CLEARTID | SIGCHLD, (void *)heap, 0, 0, &cleared);
	ended("cleared", child);
	printf("%d\n", cleared);
	char *page = mmap(0, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	page[0] = page[4096] = 1;
	if (!(child = vfork())) {
		madvise(page, 4096, MADV_DONTNEED);
		_exit(page[0]);
	}
	ended("discarded", child);
	printf("%d %d\n", page[0], page[4096]);
	return 0;
}
