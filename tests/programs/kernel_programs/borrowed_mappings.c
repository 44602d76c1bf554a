/* Mappings that change while a child has the memory as well (CLONE_VM): new ones in the place of old ones, moved and protected ones. */
#define _GNU_SOURCE
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum { SIZE = 65536 };
static volatile int *word;
static volatile int over;

static int waits(void *argument)
{
	(void)argument;
	while (!over)
		usleep(1000);
	return 0;
}

static int writes(void *argument)
{
	*word = *(int *)argument;
	return 0;
}

static char *pages(void *address, int fixed)
{
	return mmap(address, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | fixed, -1, 0);
}

static char *stack;
static void child_writes(const char *what, int value)
{
	int status = 0, child = clone(writes, stack + SIZE, CLONE_VM | SIGCHLD, &value);
	waitpid(child, &status, 0);
	printf("%s: %x %d\n", what, status, *word);
	fflush(stdout);
}

int main(void)
{
	stack = pages(0, 0);
	char *room = pages(0, 0), *first = pages(0, 0), *moved;
	int status, child = clone(waits, room + SIZE, CLONE_VM | SIGCHLD, 0);
	munmap(first, SIZE);
	pages(first, MAP_FIXED);
	word = (int *)first;
	first[0] = 5, first[4096] = 6;
	printf("discarded: %d", madvise(first + 4096, 8192, MADV_DONTNEED));
	printf(" %d\n", first[4096]);
	child_writes("new mapping", 42);
	pages(first + 8192, MAP_FIXED);
	first[4096] = first[8192] = first[SIZE - 1] = 7;
	printf("two kinds: %d", madvise(first + 4096, SIZE - 4096, MADV_DONTNEED));
	printf(" %d %d %d\n", first[4096], first[8192], first[SIZE - 1]);
	word = (int *)(first + 8192);
	child_writes("a part of it is new", 43);
	moved = mremap(first, SIZE, 4 * SIZE, MREMAP_MAYMOVE | MREMAP_FIXED, pages(0, 0) - 16 * SIZE);
	printf("%d %d\n", *(int *)moved, *(int *)(moved + 8192));
	word = (int *)moved;
	printf("discarded: %d", madvise(moved, SIZE, MADV_DONTNEED));
	printf(" %d\n", *word);
	child_writes("moved", 44);
	word = (int *)(moved + 3 * SIZE);
	child_writes("grown", 45);
	mprotect(moved, 4096, PROT_READ);
	word = (int *)moved;
	mprotect(moved, 4096, PROT_READ | PROT_WRITE);
	child_writes("protected and not", 46);
	over = 1;
	waitpid(child, &status, 0);
	if (!(child = fork())) {
		*word = 99;
		_exit(0);
	}
	waitpid(child, &status, 0);
	printf("after a fork: %d\n", *word);
	return 0;
}
