/* Mappings far from one another, more than there are large windows for, and what lies in and across them. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PAGE = 4096, RW = PROT_READ | PROT_WRITE, RWX = RW | PROT_EXEC, ANON = MAP_PRIVATE | MAP_ANONYMOUS, COUNT = 300 };
#define APART ((size_t)(sizeof(long) == 8 ? 0x80000000u : 0x800000u))
#define FIRST ((uintptr_t)(sizeof(long) == 8 ? 0x100000000000u : 0x20000000u))
static sigjmp_buf back;
static volatile uintptr_t where;
static void note(int sig, siginfo_t *info, void *context)
{
	where = (uintptr_t)info->si_addr;
	siglongjmp(back, sig == SIGBUS ? 2 : 1);
}
#define TOUCH(what, base) do { int s = sigsetjmp(back, 1); if (!s) { what; printf("%s: done\n", #what); } else printf("%s: %s at %lx\n", #what, s == 1 ? "SIGSEGV" : "SIGBUS", (long)(where - (uintptr_t)(base))); } while (0)

static char *place(int i) { return (char *)(sizeof(long) == 8 ? (uintptr_t)0x100000000000ull + i * APART : FIRST + i * APART); }
static char *map(int i, long offset, size_t size, int prot, int fd)
{
	char *at = place(i) + offset;
	char *p = mmap(at, size, prot, (fd < 0 ? ANON : MAP_SHARED) | MAP_FIXED, fd, 0);
	if (p != at)
		printf("map %d: %s\n", i, strerror(errno));
	return p;
}

static int number(char *at) { return ((int (*)(void))at)(); }
static void put(char *at, int n)
{
	unsigned char code[] = {0xb8, 0, 0, 0, 0, 0xc3};
	memcpy(code + 1, &n, 4);
	memcpy(at, code, sizeof code);
}

int main(void)
{
	setvbuf(stdout, 0, _IONBF, 0);
	struct sigaction action = {.sa_sigaction = note, .sa_flags = SA_SIGINFO};
	sigaction(SIGSEGV, &action, 0);
	sigaction(SIGBUS, &action, 0);
	for (int i = 0; i < COUNT; i++)
		*(int *)map(i, 0, PAGE, RWX, -1) = i;
	int sum = 0;
	for (int i = 0; i < COUNT; i++)
		sum += *(int *)place(i);
	printf("%d\n", sum);

	/* a neighbour that comes later: the two are one mapping */
	char *p = place(COUNT - 1);
	map(COUNT - 1, PAGE, 3 * PAGE, RWX, -1);
	map(COUNT - 1, -PAGE, PAGE, RWX, -1);
	*(long *)(p + PAGE - 2) = 0x12345678;
	printf("%lx\n", *(long *)(p + PAGE - 2));
	memset(p - 100, 'x', PAGE + 200);
	int ends[2];
	pipe(ends);
	printf("%zd\n", write(ends[1], p - 50, PAGE + 100));
	memset(p - 100, 'y', PAGE + 200);
	printf("%zd\n", read(ends[0], p - 50, PAGE + 100));
	printf("%c %c %c %c\n", p[-51], p[-50], p[PAGE + 49], p[PAGE + 50]);
	write(ends[1], p - 50, PAGE + 100);
	struct iovec parts[] = {{p - 10, 20}, {p + PAGE - 10, 3 * PAGE}};
	printf("%zd\n", readv(ends[0], parts, 2));
	printf("%s\n", strcpy(p - 4, "across"));
	char *big = place(COUNT - 1) - PAGE;
	int fd = open("file", O_RDWR | O_CREAT | O_TRUNC, 0600);
	printf("%zd\n", write(fd, big, 5 * PAGE));
	printf("%zd\n", pread(fd, big, 5 * PAGE, 0));

	/* code */
	for (int i = COUNT - 20; i < COUNT; i++)
		for (int n = 0; n < 3; n++) {
			put(place(i) + 100, i * n);
			if (number(place(i) + 100) != i * n)
				printf("stale\n");
		}
	put(p + PAGE - 3, 77);
	printf("%d\n", number(p + PAGE - 3));
	put(p + PAGE - 3, 78);
	printf("%d\n", number(p + PAGE - 3));
	p[PAGE] = 1;
	printf("%d\n", number(p + PAGE - 3));
	put(p - 3, 5), put(p + 2 * PAGE - 3, 6);
	printf("%d %d\n", number(p - 3), number(p + 2 * PAGE - 3));
	mprotect(p - PAGE, 5 * PAGE, PROT_READ | PROT_EXEC);
	printf("%d %d\n", number(p - 3), number(p + 2 * PAGE - 3));
	TOUCH(p[0] = 1, p);
	mprotect(p - PAGE, 5 * PAGE, RW);
	TOUCH(number(p - 3), p);
	int memory = memfd_create("m", 0);
	ftruncate(memory, PAGE);
	char *w = map(COUNT, 0, PAGE, RW, memory), *x = map(COUNT + 1, 0, PAGE, PROT_READ | PROT_EXEC, memory);
	for (int i = 0; i < 30; i++) {
		put(w, i);
		if (number(x) != i)
			printf("stale\n");
	}

	/* faults, and files that become shorter */
	TOUCH(place(COUNT - 2)[PAGE] = 1, place(COUNT - 2));
	TOUCH(place(COUNT - 2)[-1] = 1, place(COUNT - 2));
	ftruncate(fd, 2 * PAGE);
	char *f = map(COUNT + 2, 0, 2 * PAGE, RW, fd);
	f[PAGE] = 4;
	ftruncate(fd, PAGE);
	TOUCH(f[PAGE + 7] = 1, f);
	TOUCH(f[PAGE + 9], f);
	if (!fork()) {
		ftruncate(fd, 0);
		_exit(0);
	}
	wait(0);
	TOUCH(f[11]++, f);
	printf("%zd\n", write(ends[1], f, 10));

	/* moving, giving back, forking */
	strcpy(p - 4, "moved");
	char *m = mremap(p - PAGE, 5 * PAGE, 9 * PAGE, MREMAP_MAYMOVE);
	printf("%s\n", m + PAGE - 4);
	m[8 * PAGE] = 1;
	TOUCH(p[0] = 1, p);
	p = mremap(m, 9 * PAGE, 6 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, place(COUNT - 3) - PAGE * 3);
	printf("%s\n", p + PAGE - 4);
	madvise(p, 6 * PAGE, MADV_DONTNEED);
	printf("%d\n", p[PAGE]);
	strcpy(p + 3 * PAGE - 4, "of mine");
	if (!fork()) {
		printf("%s\n", p + 3 * PAGE - 4);
		strcpy(p + 3 * PAGE - 4, "of child");
		_exit(0);
	}
	wait(0);
	printf("%s\n", p + 3 * PAGE - 4);
	munmap(p + PAGE, 4 * PAGE);
	TOUCH(p[3 * PAGE] = 1, p);
	TOUCH(p[5 * PAGE] = 1, p);
	for (int i = 0; i < COUNT; i += 2)
		munmap(place(i), PAGE);
	for (int i = 0; i < COUNT; i += 2)
		*(int *)map(i, 0, PAGE, RW, -1) += i;
	for (int i = sum = 0; i < COUNT; i += 2)
		sum += *(int *)place(i);
	printf("%d\n", sum);
	char *straddles = map(COUNT + 4, APART - PAGE, 2 * PAGE, RW, -1);
	*(long *)(straddles + PAGE - 2) = 9;
	printf("%ld\n", *(long *)(straddles + PAGE - 2));
	return 0;
}
