/* mremap: growing, shrinking, moving, duplicating. */
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
#include <sys/wait.h>
#include <unistd.h>

enum { PAGE = 4096, RW = PROT_READ | PROT_WRITE, ANON = MAP_PRIVATE | MAP_ANONYMOUS };
#ifndef MREMAP_DONTUNMAP
#define MREMAP_DONTUNMAP 4
#endif
static sigjmp_buf back;
static void note(int sig, siginfo_t *info, void *context) { siglongjmp(back, sig == SIGBUS ? 2 : 1); }
#define SAY(call) do { errno = 0; long r = (long)(call); printf("%s: %s\n", #call, r == -1 ? strerror(errno) : "ok"); } while (0)
#define TOUCH(what) do { int s = sigsetjmp(back, 1); if (!s) { what; printf("%s: done\n", #what); } else printf("%s: %s\n", #what, s == 1 ? "SIGSEGV" : "SIGBUS"); } while (0)

static char *again(void *p, size_t old, size_t new, int flags, void *to) { return (char *)syscall(SYS_mremap, p, old, new, flags, to); }

static char *fresh(int pages, int first)
{
	char *p = mmap(0, (pages + 8) * PAGE, RW, ANON, -1, 0);
	munmap(p + pages * PAGE, 8 * PAGE);
	for (int i = 0; i < pages; i++)
		p[i * PAGE] = first + i;
	return p;
}

int main(void)
{
	setvbuf(stdout, 0, _IONBF, 0);
	struct sigaction action = {.sa_sigaction = note, .sa_flags = SA_SIGINFO};
	sigaction(SIGSEGV, &action, 0);
	sigaction(SIGBUS, &action, 0);
	volatile char *p = fresh(4, 10), *q, *r;

	/* arguments */
	SAY(again((void *)(p + 1), PAGE, PAGE, 0, 0));
	SAY(again((void *)p, PAGE, 0, 0, 0));
	SAY(again((void *)p, PAGE, PAGE, 8, 0));
	SAY(again((void *)p, PAGE, PAGE, MREMAP_FIXED, (void *)0x40000000));
	SAY(again((void *)p, PAGE, PAGE, MREMAP_DONTUNMAP, 0));
	SAY(again((void *)p, PAGE, 2 * PAGE, MREMAP_DONTUNMAP | MREMAP_MAYMOVE, 0));
	SAY(again((void *)p, PAGE, PAGE, MREMAP_FIXED | MREMAP_MAYMOVE, (void *)0x40000001));
	SAY(again((void *)p, 2 * PAGE, 2 * PAGE, MREMAP_FIXED | MREMAP_MAYMOVE, (void *)(p + PAGE)));
	SAY(again((void *)p, 2 * PAGE, PAGE, MREMAP_FIXED | MREMAP_MAYMOVE, (void *)(p + PAGE)));
	SAY(again((void *)p, PAGE, PAGE, MREMAP_FIXED | MREMAP_MAYMOVE, (void *)(uintptr_t)-PAGE));
	SAY(again((void *)p, PAGE, (size_t)-PAGE, MREMAP_MAYMOVE, 0));
	SAY(again((void *)0x20000000, PAGE, PAGE, 0, 0));
	SAY(again((void *)0x20000000, PAGE, 2 * PAGE, MREMAP_MAYMOVE, 0));
	SAY(again((void *)0x20000000, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, (void *)0x40000000));
	SAY(again((void *)p, 0, PAGE, 0, 0));
	SAY(again((void *)p, 0, PAGE, MREMAP_MAYMOVE, 0));
	SAY(again((void *)p, 5 * PAGE, 6 * PAGE, MREMAP_MAYMOVE, 0));
	SAY(again((void *)p, 16 * PAGE, 4 * PAGE, 0, 0));
	printf("%d %d\n", p[0], p[3 * PAGE]);

	/* in place */
	printf("grown %d\n", again((void *)p, 4 * PAGE, 6 * PAGE, 0, 0) == p);
	TOUCH(p[5 * PAGE] = 1);
	printf("shrunk %d\n", again((void *)p, 6 * PAGE, 5 * PAGE, 0, 0) == p);
	TOUCH(p[5 * PAGE] = 1);
	printf("the same %d\n", again((void *)p, 5 * PAGE, 5 * PAGE, 0, 0) == p);
	/* into a neighbour */
	SAY(mmap((void *)(p + 5 * PAGE), PAGE, PROT_READ, ANON | MAP_FIXED, -1, 0));
	SAY(again((void *)p, 5 * PAGE, 6 * PAGE, 0, 0));
	SAY(again((void *)p, 2 * PAGE, 3 * PAGE, 0, 0));
	q = again((void *)p, 2 * PAGE, 3 * PAGE, MREMAP_MAYMOVE, 0);
	printf("moved %d: %d %d %d\n", q != p, q[0], q[PAGE], q[2 * PAGE]);
	TOUCH(p[0]);
	TOUCH(p[2 * PAGE] = 1);

	/* to a place */
	r = mmap(0, 8 * PAGE, RW, ANON, -1, 0);
	memset((void *)r, 3, 8 * PAGE);
	printf("placed %d\n", again((void *)q, 3 * PAGE, 2 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, (void *)(r + 2 * PAGE)) == r + 2 * PAGE);
	printf("%d %d %d %d\n", r[PAGE], r[2 * PAGE], r[3 * PAGE], r[4 * PAGE]);
	TOUCH(q[0]);
	TOUCH(q[2 * PAGE]);
	printf("larger %d\n", again((void *)(r + 4 * PAGE), PAGE, 3 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, (void *)r) == r);
	printf("%d %d %d %d\n", r[0], r[PAGE], r[2 * PAGE], r[3 * PAGE]);
	TOUCH(r[4 * PAGE]);

	/* without unmapping */
	p = fresh(3, 20);
	q = again((void *)p, 3 * PAGE, 3 * PAGE, MREMAP_MAYMOVE | MREMAP_DONTUNMAP, 0);
	printf("kept %d: %d %d, %d %d\n", q != p, p[0], p[2 * PAGE], q[0], q[2 * PAGE]);
	p[0] = 9;
	printf("%d %d\n", p[0], q[0]);
	r = mmap(0, 3 * PAGE, PROT_READ, ANON, -1, 0);
	printf("fixed %d: %d\n", again((void *)q, 3 * PAGE, 3 * PAGE, MREMAP_MAYMOVE | MREMAP_DONTUNMAP | MREMAP_FIXED, (void *)r) == r, r[PAGE]);
	r[PAGE] = 1;

	/* shared memory: old size 0 makes a second mapping */
	char *s = mmap(0, 3 * PAGE, RW, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	s[0] = 1, s[PAGE] = 2;
	SAY(again(s, 0, PAGE, 0, 0));
	char *t = again(s, 0, 2 * PAGE, MREMAP_MAYMOVE, 0);
	printf("second %d: %d %d\n", t != s, t[0], t[PAGE]);
	t[1] = 5, s[PAGE + 1] = 6;
	printf("%d %d\n", s[1], t[PAGE + 1]);
	char *u = again(s + PAGE, 0, 2 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, mmap(0, 4 * PAGE, RW, ANON, -1, 0));
	u[2] = 7;
	printf("%d %d\n", s[PAGE + 2], t[PAGE + 2]);
	if (!fork()) {
		u[3] = 8;
		_exit(0);
	}
	wait(0);
	printf("%d %d\n", s[PAGE + 3], t[PAGE + 3]);
	munmap(s, 3 * PAGE);
	printf("%d %d\n", t[0], u[2]);
	volatile char *v = again(t, 2 * PAGE, 5 * PAGE, MREMAP_MAYMOVE, 0); /* more than there is */
	TOUCH(v[2 * PAGE]);
	TOUCH(v[3 * PAGE]);
	v = mmap(0, PAGE, RW, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	v = again((void *)v, PAGE, 3 * PAGE, MREMAP_MAYMOVE, 0);
	TOUCH(v[PAGE]);

	/* files */
	int fd = open("file", O_RDWR | O_CREAT | O_TRUNC, 0600);
	for (int i = 0; i < 6; i++)
		pwrite(fd, &(char){40 + i}, 1, i * PAGE);
	char *f = mmap(0, 2 * PAGE, RW, MAP_SHARED, fd, PAGE);
	f = again(f, 2 * PAGE, 4 * PAGE, MREMAP_MAYMOVE, 0);
	printf("%d %d\n", f[0], f[3 * PAGE]);
	f = again(f + PAGE, PAGE, 2 * PAGE, MREMAP_MAYMOVE, 0);
	printf("%d %d\n", f[0], f[PAGE]);
	char *g = again(f, 0, PAGE, MREMAP_MAYMOVE, 0);
	g[1] = 99;
	printf("%d\n", f[1]);
	char *h = mmap(0, 3 * PAGE, RW, MAP_PRIVATE, fd, 0);
	h[0] = 1;
	SAY(again(h, 0, PAGE, MREMAP_MAYMOVE, 0));
	h = again(h, 3 * PAGE, 5 * PAGE, MREMAP_MAYMOVE, 0);
	printf("%d %d %d\n", h[0], h[PAGE], h[4 * PAGE]);
	h = again(h, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_DONTUNMAP, 0);
	printf("%s\n", h == MAP_FAILED ? strerror(errno) : "moved");

	/* over several mappings, and protections that go along */
	p = fresh(4, 50);
	mprotect((void *)(p + PAGE), PAGE, PROT_READ);
	SAY(again((void *)p, 4 * PAGE, 5 * PAGE, MREMAP_MAYMOVE, 0));
	SAY(again((void *)p, 4 * PAGE, 2 * PAGE, 0, 0));
	TOUCH(p[2 * PAGE]);
	q = again((void *)(p + PAGE), PAGE, 2 * PAGE, MREMAP_MAYMOVE, 0);
	TOUCH(q[0] = 1);
	TOUCH(q[PAGE] = 1);
	printf("%d\n", q[0]);
	return 0;
}
