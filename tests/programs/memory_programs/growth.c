/* The heap, the stack, and mappings that grow down: limits and neighbours. */
#define _GNU_SOURCE
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PAGE = 4096, RW = PROT_READ | PROT_WRITE, ANON = MAP_PRIVATE | MAP_ANONYMOUS, GAP = 256 * PAGE };
static sigjmp_buf back;
static void note(int sig, siginfo_t *info, void *context) { siglongjmp(back, sig == SIGBUS ? 2 : 1); }
#define SAY(call) do { errno = 0; long r = (long)(call); printf("%s: %s\n", #call, r == -1 ? strerror(errno) : "ok"); } while (0)
#define TOUCH(what) do { int s = sigsetjmp(back, 1); if (!s) { what; printf("%s: done\n", #what); } else printf("%s: %s\n", #what, s == 1 ? "SIGSEGV" : "SIGBUS"); } while (0)
static char *brk_(void *p) { return (char *)syscall(SYS_brk, p); }
static void limit(int what, rlim_t soft)
{
	struct rlimit now;
	getrlimit(what, &now);
	now.rlim_cur = soft;
	setrlimit(what, &now);
}

static int deep(int levels)
{
	volatile char frame[PAGE];
	frame[0] = levels;
	return levels ? deep(levels - 1) + frame[0] - frame[0] : 0;
}

static void in_child(void (*run)(void))
{
	int status;
	if (!fork()) {
		run();
		_exit(0);
	}
	wait(&status);
	printf("status %x\n", status & 0x7f);
}

static void all_of_the_stack(void) { deep(8 << 8); }
static void most_of_the_stack(void) { printf("%d\n", deep(7 << 8)); }
static void less_stack(void)
{
	limit(RLIMIT_STACK, 1 << 20);
	printf("%d\n", deep(128));
	deep(300);
}
static void more_stack(void)
{
	limit(RLIMIT_STACK, 16 << 20);
	printf("%d\n", deep(14 << 8));
}
static void less_memory(void)
{
	limit(RLIMIT_AS, 4 << 20);
	deep(6 << 8);
}

int main(void)
{
	setvbuf(stdout, 0, _IONBF, 0);
	static char alternate[65536];
	sigaltstack(&(stack_t){.ss_sp = alternate, .ss_size = sizeof alternate}, 0);
	struct sigaction action = {.sa_sigaction = note, .sa_flags = SA_SIGINFO | SA_ONSTACK};
	struct sigaction old;
	in_child(most_of_the_stack);
	in_child(all_of_the_stack);
	in_child(less_stack);
	in_child(more_stack);
	in_child(less_memory);
	sigaction(SIGSEGV, &action, 0);
	sigaction(SIGBUS, &action, 0);

	/* brk */
	char *start = brk_(0);
	printf("%d\n", brk_(start + 10 * PAGE + 5) == start + 10 * PAGE + 5);
	start[10 * PAGE + 4] = 1;
	TOUCH(*(volatile char *)(((uintptr_t)start + 12 * PAGE) & -PAGE) = 1);
	printf("below %d\n", brk_(start - (1 << 20)) == start + 10 * PAGE + 5);
	printf("same %d\n", brk_(start + 10 * PAGE + 5) == start + 10 * PAGE + 5);
	char *page = (char *)(((uintptr_t)start + 20 * PAGE) & -PAGE);
	mmap(page, PAGE, RW, ANON | MAP_FIXED, -1, 0);
	printf("into a neighbour %d\n", brk_(start + 30 * PAGE) == start + 10 * PAGE + 5);
	munmap(page, PAGE);
	printf("now %d\n", brk_(start + 30 * PAGE) == start + 30 * PAGE);
	memset(start, 3, 30 * PAGE);
	brk_(start + 5 * PAGE);
	brk_(start + 30 * PAGE);
	printf("%d %d\n", start[4 * PAGE], start[20 * PAGE]);
	munmap(page, 2 * PAGE); /* a hole in the heap */
	printf("smaller %d\n", brk_(start + 5 * PAGE) == start + 5 * PAGE);
	printf("larger %d\n", brk_(start + 30 * PAGE) == start + 30 * PAGE);
	TOUCH(page[0] = 1);
	limit(RLIMIT_DATA, 1 << 20);
	printf("limited %d\n", brk_(start + (2 << 20)) == start + 30 * PAGE);
	SAY(mmap(0, 4 << 20, RW, ANON, -1, 0));
	SAY(mmap(0, 4 << 20, PROT_READ, ANON, -1, 0));
	char *reserved = mmap(0, 4 << 20, PROT_NONE, ANON, -1, 0);
	SAY(mprotect(reserved, 4 << 20, RW));
	SAY(mprotect(reserved, PAGE, RW));
	SAY(mmap(0, 4 << 20, RW, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
	limit(RLIMIT_DATA, RLIM_INFINITY);
	limit(RLIMIT_AS, 64 << 20);
	printf("limited %d\n", brk_(start + (100 << 20)) == start + 30 * PAGE);
	limit(RLIMIT_AS, RLIM_INFINITY);
	printf("unlimited %d\n", brk_(start + (50 << 20)) == start + (50 << 20));

	/* MAP_GROWSDOWN */
	char *room = mmap(0, 4 * GAP, PROT_NONE, ANON, -1, 0);
	munmap(room, 4 * GAP);
	char *g = mmap(room + 3 * GAP, 2 * PAGE, RW, ANON | MAP_FIXED | MAP_GROWSDOWN, -1, 0);
	printf("there %d\n", g == room + 3 * GAP);
	TOUCH(g[-1] = 1);
	TOUCH(g[-10 * PAGE] = 2);
	TOUCH(printf("%d\n", g[-5 * PAGE]));
	mmap(room, PAGE, RW, ANON | MAP_FIXED, -1, 0);
	TOUCH(g[-2 * GAP + 8 * PAGE] = 1);
	TOUCH(room[GAP] = 1);
	TOUCH(g[-GAP] = 1);
	munmap(room, PAGE);
	TOUCH(room[GAP] = 1);
	SAY(mprotect(g, PAGE, RW | PROT_GROWSDOWN));
	SAY(mprotect(g, PAGE, PROT_READ | PROT_GROWSDOWN));
	TOUCH(g[-PAGE] = 1);
	TOUCH(room[2 * PAGE] = 1);
	char *other = mmap(0, 2 * GAP, PROT_NONE, ANON, -1, 0);
	munmap(other, GAP + PAGE);
	g = mmap(other + GAP, PAGE, RW, ANON | MAP_FIXED | MAP_GROWSDOWN, -1, 0);
	limit(RLIMIT_STACK, 64 * 1024);
	TOUCH(g[-8 * PAGE] = 1);
	TOUCH(g[-20 * PAGE] = 1);
	limit(RLIMIT_STACK, 8 << 20);
	/* what the kernel writes grows it too */
	int ends[2];
	pipe(ends);
	write(ends[1], "abc", 3);
	printf("%zd\n", read(ends[0], g - 30 * PAGE, 3));
	printf("%.3s\n", g - 30 * PAGE);
	return 0;
}
