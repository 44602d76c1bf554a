/* madvise, msync, mincore, mlock: what they change, and their errors. */
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
#include <sys/wait.h>
#include <unistd.h>

enum { PAGE = 4096, RW = PROT_READ | PROT_WRITE, ANON = MAP_PRIVATE | MAP_ANONYMOUS, NONE = PROT_NONE };
enum { FREE = 8, WIPEONFORK = 18, KEEPONFORK, COLD, PAGEOUT, POPULATE_READ, POPULATE_WRITE };
static sigjmp_buf back;
static void note(int sig, siginfo_t *info, void *context) { siglongjmp(back, sig == SIGBUS ? 2 : 1); }
#define SAY(call) do { errno = 0; long r = (long)(call); printf("%s: %s\n", #call, r == -1 ? strerror(errno) : "ok"); } while (0)
#define TOUCH(what) do { int s = sigsetjmp(back, 1); if (!s) { what; printf("%s: done\n", #what); } else printf("%s: %s\n", #what, s == 1 ? "SIGSEGV" : "SIGBUS"); } while (0)

static int raw(void *p, size_t size, int advice) { return syscall(SYS_madvise, p, size, advice); }

/* For what the kernel's configuration decides, which is not to be told: it is an error or it is not, and the memory stays. */
static void either(char *p, int advice)
{
	p[0] = 11;
	int r = raw(p, PAGE, advice);
	printf("advice %d: %s, %d\n", advice, r && errno != EINVAL && errno != EBADF ? strerror(errno) : "well", p[0]);
}

int main(void)
{
	setvbuf(stdout, 0, _IONBF, 0);
	struct sigaction action = {.sa_sigaction = note, .sa_flags = SA_SIGINFO};
	sigaction(SIGSEGV, &action, 0);
	sigaction(SIGBUS, &action, 0);
	int fd = open("data", O_RDWR | O_CREAT | O_TRUNC, 0600), ro;
	static char text[3 * PAGE];
	memset(text, 'f', sizeof text);
	write(fd, text, sizeof text);
	ro = open("data", O_RDONLY);
	char *a = mmap(0, 4 * PAGE, RW, ANON, -1, 0), *p = mmap(0, 3 * PAGE, RW, MAP_PRIVATE, fd, 0);
	char *s = mmap(0, 3 * PAGE, RW, MAP_SHARED, fd, 0), *m = mmap(0, 3 * PAGE, RW, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	char *r = mmap(0, 3 * PAGE, PROT_READ, MAP_SHARED, ro, 0), *n = mmap(0, PAGE, PROT_NONE, ANON, -1, 0);

	/* arguments */
	SAY(raw(a, PAGE, 99));
	SAY(raw(a, PAGE, -1));
	SAY(raw(a + 1, PAGE, 0));
	SAY(raw(a + 1, 0, 0));
	SAY(raw(a, 0, 0));
	SAY(raw(a, 0, 99));
	SAY(raw((void *)0x20000000, 0, 4));
	SAY(raw((void *)0x20000000, PAGE, 0));
	SAY(raw(a, (size_t)-PAGE, 0));
	SAY(raw(a, (size_t)-1, 0));
	for (int advice = 0; advice < 4; advice++)
		SAY(raw(a, 4 * PAGE, advice));

	/* MADV_DONTNEED */
	memset(a, 1, 4 * PAGE), memset(p, 2, 3 * PAGE), memset(s, 3, PAGE), memset(m, 4, 3 * PAGE);
	SAY(raw(a + PAGE, 2 * PAGE, MADV_DONTNEED));
	printf("%d %d %d %d\n", a[0], a[PAGE], a[2 * PAGE], a[3 * PAGE]);
	SAY(raw(p, 2 * PAGE, MADV_DONTNEED));
	printf("%d %d %d\n", p[0], p[PAGE], p[2 * PAGE]);
	SAY(raw(s, PAGE, MADV_DONTNEED));
	SAY(raw(m, PAGE, MADV_DONTNEED));
	SAY(raw(r, PAGE, MADV_DONTNEED));
	SAY(raw(n, PAGE, MADV_DONTNEED));
	printf("%d %d\n", s[0], m[0]);
	a[0] = a[3 * PAGE] = 7;
	munmap(a + PAGE, 2 * PAGE);
	SAY(raw(a, 4 * PAGE, MADV_DONTNEED)); /* a hole: the rest is done */
	printf("%d %d\n", a[0], a[3 * PAGE]);
	a = mmap(0, 4 * PAGE, RW, ANON, -1, 0);

	/* MADV_FREE, MADV_REMOVE, MADV_WILLNEED and others */
	SAY(raw(s, PAGE, FREE));
	SAY(raw(m, PAGE, FREE));
	SAY(raw(p, PAGE, FREE));
	SAY(raw(a, PAGE, FREE));
	SAY(raw(m, PAGE, MADV_REMOVE));
	printf("%d %d\n", m[0], m[PAGE]);
	SAY(raw(a, PAGE, MADV_REMOVE));
	SAY(raw(p, PAGE, MADV_REMOVE));
	SAY(raw(r, PAGE, MADV_REMOVE));
	SAY(raw(s, PAGE, MADV_WILLNEED));
	for (int advice = 12; advice < 18; advice++)
		either(a, advice);
	either(a, MADV_WILLNEED);
	SAY(raw(a, PAGE, COLD));
	SAY(raw(a, PAGE, POPULATE_READ));
	SAY(raw(a, PAGE, POPULATE_WRITE));
	SAY(raw(n, PAGE, POPULATE_READ));
	SAY(raw(r, PAGE, POPULATE_WRITE));

	/* children */
	char *gone = mmap(0, 2 * PAGE, RW, ANON, -1, 0), *wiped = mmap(0, 2 * PAGE, RW, ANON, -1, 0);
	memset(gone, 5, 2 * PAGE), memset(wiped, 6, 2 * PAGE);
	SAY(raw(gone, PAGE, MADV_DONTFORK));
	SAY(raw(wiped, PAGE, WIPEONFORK));
	SAY(raw(s, PAGE, WIPEONFORK));
	SAY(raw(p, PAGE, WIPEONFORK));
	SAY(raw((void *)0x20000000, PAGE, MADV_DONTFORK));
	if (!fork()) {
		TOUCH(printf("%d\n", gone[0]));
		printf("%d %d %d\n", gone[PAGE], wiped[0], wiped[PAGE]);
		printf("again %d\n", mmap(gone, PAGE, RW, ANON | MAP_FIXED_NOREPLACE, -1, 0) == gone);
		if (!fork()) {
			printf("%d %d\n", gone[0], wiped[0]);
			_exit(0);
		}
		wait(0);
		_exit(0);
	}
	wait(0);
	printf("%d %d\n", gone[0], wiped[0]);
	SAY(raw(gone, PAGE, MADV_DOFORK));
	SAY(raw(wiped, PAGE, KEEPONFORK));
	if (!fork()) {
		printf("%d %d\n", gone[0], wiped[0]);
		_exit(0);
	}
	wait(0);

	/* msync */
	s[0] = 9;
	SAY(msync(s, PAGE, MS_SYNC));
	SAY(msync(s, PAGE, MS_ASYNC));
	SAY(msync(s, PAGE, MS_SYNC | MS_ASYNC));
	SAY(msync(s, PAGE, 8));
	SAY(msync(s, PAGE, 0));
	SAY(msync(s + 1, PAGE, MS_SYNC));
	SAY(msync(s, 0, MS_SYNC));
	SAY(msync(a, PAGE, MS_SYNC | MS_INVALIDATE));
	SAY(msync((void *)0x20000000, PAGE, MS_SYNC));
	SAY(msync((void *)0x20000000, 0, MS_SYNC));
	munmap(a + PAGE, PAGE);
	SAY(msync(a, 3 * PAGE, MS_ASYNC));
	SAY(msync(a, (size_t)-PAGE, MS_ASYNC));

	/* mincore */
	unsigned char vector[8] = {0};
	memset(s, 1, 3 * PAGE);
	SAY(mincore(s, 3 * PAGE, vector));
	printf("%d %d %d %d\n", vector[0] & 1, vector[1] & 1, vector[2] & 1, vector[3]);
	SAY(mincore(s, 1, vector));
	SAY(mincore(s + 1, PAGE, vector));
	SAY(mincore(a, 3 * PAGE, vector));
	SAY(mincore(a, 0, vector));
	SAY(mincore(s, PAGE, (void *)16));
	SAY(mincore((void *)0x20000000, PAGE, vector));

	/* mlock */
	SAY(mlock(a, PAGE));
	SAY(mlock(a + 100, 10));
	SAY(mlock(a, 3 * PAGE));
	SAY(munlock(a, 3 * PAGE));
	SAY(munlock((void *)0x20000000, PAGE));
	SAY(mlock(a, 0));
	SAY(syscall(SYS_mlock2, a, PAGE, 1));
	SAY(syscall(SYS_mlock2, a, PAGE, 2));
	SAY(mlock(a, (size_t)-1));
	SAY(raw(a, PAGE, MADV_DONTNEED));
	SAY(raw(a, PAGE, COLD));
	SAY(msync(a, PAGE, MS_INVALIDATE));
	if (!fork()) {
		SAY(raw(a, PAGE, MADV_DONTNEED));
		_exit(0);
	}
	wait(0);
	SAY(munlock(a, PAGE));
	SAY(raw(a, PAGE, MADV_DONTNEED));
	SAY(mlockall(0));
	SAY(mlockall(8));
	SAY(mlockall(4));
	SAY(mlockall(MCL_FUTURE));
	char *l = mmap(0, PAGE, RW, ANON, -1, 0);
	SAY(raw(l, PAGE, MADV_DONTNEED));
	SAY(munlockall());
	SAY(raw(l, PAGE, MADV_DONTNEED));
	return 0;
}
