/* mmap, munmap and mprotect: which arguments are errors, and what is changed before one is met. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { PAGE = 4096, RW = PROT_READ | PROT_WRITE, ANON = MAP_PRIVATE | MAP_ANONYMOUS };
static sigjmp_buf back;
static void note(int sig, siginfo_t *info, void *context) { siglongjmp(back, sig == SIGBUS ? 2 : 1); }
#define SAY(call) do { errno = 0; long r = (long)(call); printf("%s: %s\n", #call, r == -1 ? strerror(errno) : "ok"); } while (0)
#define TOUCH(what) do { int s = sigsetjmp(back, 1); if (!s) { what; printf("%s: done\n", #what); } else printf("%s: %s\n", #what, s == 1 ? "SIGSEGV" : "SIGBUS"); } while (0)

static void *raw(uintptr_t at, size_t size, int prot, int flags, int fd, long offset)
{
#ifdef __x86_64__
	return (void *)syscall(SYS_mmap, at, size, prot, flags, fd, offset);
#else
	return (void *)syscall(SYS_mmap2, at, size, prot, flags, fd, offset >> 12);
#endif
}

int main(void)
{
	setvbuf(stdout, 0, _IONBF, 0);
	struct sigaction action = {.sa_sigaction = note, .sa_flags = SA_SIGINFO};
	sigaction(SIGSEGV, &action, 0);
	sigaction(SIGBUS, &action, 0);

	/* mprotect over a hole: what comes before it has changed */
	volatile char *p = mmap(0, 8 * PAGE, RW, ANON, -1, 0);
	for (int i = 0; i < 8; i++)
		p[i * PAGE] = i;
	SAY(munmap((void *)(p + 3 * PAGE), PAGE));
	SAY(mprotect((void *)p, 8 * PAGE, PROT_READ));
	TOUCH(p[0] = 1);
	TOUCH(p[2 * PAGE] = 1);
	TOUCH(p[4 * PAGE] = 1);
	SAY(mprotect((void *)(p + 3 * PAGE), PAGE, RW));
	SAY(mprotect((void *)(p + 1), PAGE, RW));
	SAY(mprotect((void *)(p + 3 * PAGE), 0, RW));
	SAY(mprotect((void *)(p + 3 * PAGE), 2 * PAGE, RW));
	SAY(mprotect((void *)p, PAGE, 0x10));
	SAY(mprotect((void *)p, PAGE, PROT_READ | 0x8));
	SAY(mprotect((void *)p, PAGE, PROT_GROWSDOWN | PROT_GROWSUP | RW));
	SAY(mprotect((void *)p, PAGE, PROT_GROWSDOWN | RW));
	SAY(mprotect((void *)p, PAGE, PROT_GROWSUP | RW));
	SAY(mprotect((void *)p, (size_t)-PAGE, RW));
	SAY(mprotect((void *)p, (size_t)-1, RW));
	TOUCH(p[0] = 1);

	/* munmap */
	SAY(munmap((void *)p, 0));
	SAY(munmap((void *)(p + 1), PAGE));
	SAY(munmap((void *)p, 1));
	TOUCH(p[1]);
	TOUCH(p[PAGE]);
	SAY(munmap((void *)p, 8 * PAGE));
	SAY(munmap((void *)p, 8 * PAGE));
	SAY(munmap((void *)(uintptr_t)-PAGE, PAGE));
	SAY(munmap((void *)(uintptr_t)-PAGE, 2 * PAGE));
	SAY(munmap((void *)p, (size_t)-1));

	/* mmap: arguments */
	SAY(raw(0, 0, RW, ANON, -1, 0));
	SAY(raw(0, PAGE, RW, MAP_ANONYMOUS, -1, 0));
	SAY(raw(0, PAGE, RW, MAP_SHARED_VALIDATE | MAP_ANONYMOUS, -1, 0));
	SAY(raw(0, PAGE, RW, MAP_TYPE | MAP_ANONYMOUS, -1, 0));
	SAY(raw(0, PAGE, RW, MAP_PRIVATE, -1, 0));
	SAY(raw(1, PAGE, RW, ANON | MAP_FIXED, -1, 0));
	SAY(raw(0, (size_t)-PAGE, RW, ANON, -1, 0));
	SAY(raw(0, (size_t)-1, RW, ANON, -1, 0));
	SAY(raw((uintptr_t)-PAGE, PAGE, RW, ANON | MAP_FIXED, -1, 0));
	SAY(raw((uintptr_t)-PAGE, PAGE, RW, ANON, -1, 0));
	SAY(raw(0, PAGE, 0, ANON, -1, 0));
	SAY(raw(0, PAGE, 0xf0, ANON, -1, 0));
	SAY(raw(0, PAGE, RW, ANON | MAP_LOCKED, -1, 0));
	SAY(raw(0, PAGE, RW, ANON | MAP_POPULATE | MAP_NONBLOCK, -1, 0));
	SAY(raw(0, 16 * PAGE, RW, ANON | MAP_NORESERVE | MAP_STACK | MAP_DENYWRITE | MAP_EXECUTABLE, -1, 0));
	SAY(raw(0x12345, PAGE, RW, ANON, -1, 0));
	printf("hint %d\n", (uintptr_t)raw(0x30000123, PAGE, RW, ANON, -1, 0) == 0x30000000);
	printf("low %d\n", (uintptr_t)raw(0x30100000, PAGE, RW, ANON | MAP_32BIT, -1, 0) < 0x80000000u);
	printf("low %d\n", (uintptr_t)raw(0, 64 * PAGE, RW, ANON | MAP_32BIT, -1, 0) < 0x80000000u || sizeof(long) == 4);

	/* MAP_FIXED and its relative */
	char *q = mmap(0, 6 * PAGE, RW, ANON, -1, 0);
	memset(q, 7, 6 * PAGE);
	SAY(raw((uintptr_t)q + PAGE, PAGE, RW, ANON | MAP_FIXED_NOREPLACE, -1, 0));
	printf("as it was %d\n", q[PAGE]);
	SAY(raw((uintptr_t)q + PAGE, 2 * PAGE, RW, ANON | MAP_FIXED, -1, 0));
	printf("%d %d %d %d\n", q[0], q[PAGE], q[2 * PAGE], q[3 * PAGE]);
	munmap(q + PAGE, PAGE);
	SAY(raw((uintptr_t)q + PAGE, PAGE, RW, ANON | MAP_FIXED_NOREPLACE, -1, 0));
	SAY(raw((uintptr_t)q + PAGE, PAGE, RW, ANON | MAP_FIXED_NOREPLACE | MAP_FIXED, -1, 0));

	/* files */
	int fd = open("data", O_RDWR | O_CREAT | O_TRUNC, 0600), ro = open("data", O_RDONLY), wo = open("data", O_WRONLY), ends[2];
	char text[PAGE + 100];
	memset(text, 'x', sizeof text);
	write(fd, text, sizeof text);
	pipe(ends);
	SAY(raw(0, PAGE, PROT_READ, MAP_SHARED, wo, 0));
	SAY(raw(0, PAGE, PROT_WRITE, MAP_PRIVATE, wo, 0));
	SAY(raw(0, PAGE, RW, MAP_SHARED, ro, 0));
	SAY(raw(0, PAGE, RW, MAP_PRIVATE, ro, 0));
	SAY(raw(0, PAGE, PROT_READ, MAP_SHARED, ro, 0));
	SAY(raw(0, PAGE, PROT_READ, MAP_PRIVATE, ends[0], 0));
	SAY(raw(0, PAGE, PROT_READ, MAP_PRIVATE, open(".", O_RDONLY), 0));
	SAY(raw(0, PAGE, PROT_READ, MAP_PRIVATE, open("data", O_PATH), 0));
	SAY(raw(0, PAGE, PROT_READ, MAP_PRIVATE, 77, 0));
	SAY(raw(0, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, 77, 0));
	SAY(raw(0, PAGE, RW, MAP_SHARED_VALIDATE, fd, 0));
	SAY(raw(0, PAGE, RW, MAP_SHARED_VALIDATE | MAP_SYNC, fd, 0));
	SAY(raw(0, PAGE, RW, MAP_SHARED_VALIDATE | 0x8000000, fd, 0));
	SAY(raw(0, PAGE, RW, MAP_SHARED | 0x8000000, fd, 0));
	SAY(raw(0, PAGE, RW, MAP_PRIVATE | MAP_GROWSDOWN, fd, 0));
	SAY(raw(0, PAGE, RW, MAP_SHARED | MAP_GROWSDOWN | MAP_ANONYMOUS, -1, 0));
	SAY(raw(0, PAGE, RW, MAP_PRIVATE | MAP_HUGETLB, fd, 0));
	SAY(mmap(0, PAGE, RW, MAP_SHARED, fd, 100));
	char *z = raw(0, PAGE, PROT_READ, MAP_PRIVATE, open("/dev/zero", O_RDONLY), 0);
	if (z != MAP_FAILED)
		printf("/dev/zero %d\n", z[10]);
	volatile char *f = raw(0, 4 * PAGE, RW, MAP_SHARED, fd, 0);
	TOUCH(f[PAGE + 99]);
	TOUCH(f[PAGE + 200]);
	TOUCH(f[2 * PAGE]);
	f[PAGE + 200] = 5; /* behind the end: seen by nobody who reads */
	printf("%zd\n", read(ro, text, sizeof text) + read(ro, text, sizeof text));
	ftruncate(fd, 3 * PAGE);
	TOUCH(f[2 * PAGE] = 9);
	pread(fd, text, 1, 2 * PAGE);
	printf("%d\n", text[0]);
	volatile char *g = raw(0, PAGE, PROT_READ, MAP_SHARED, ro, 2 * PAGE);
	printf("%d\n", g[0]);
	SAY(mprotect((void *)g, PAGE, RW));
	SAY(mprotect((void *)f, PAGE, PROT_NONE));
	TOUCH(f[0]);
	printf("read into it: %s\n", read(ro, (void *)f, 10) < 0 ? strerror(errno) : "ok");

	/* limits */
	struct rlimit limit;
	getrlimit(RLIMIT_AS, &limit);
	limit.rlim_cur = 256 << 20;
	setrlimit(RLIMIT_AS, &limit);
	SAY(raw(0, 400 << 20, RW, ANON, -1, 0));
	SAY(raw(0, 400 << 20, PROT_NONE, ANON | MAP_NORESERVE, -1, 0));
	SAY(raw(0, 1 << 20, RW, ANON, -1, 0));
	return 0;
}
