/* memfd_create: seals and their effects. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { PAGE = 4096, RW = PROT_READ | PROT_WRITE };
static sigjmp_buf back;
static void note(int sig, siginfo_t *info, void *context) { siglongjmp(back, sig == SIGBUS ? 2 : 1); }
#define SAY(call) do { errno = 0; long r = (long)(call); printf("%s: %s\n", #call, r == -1 ? strerror(errno) : "ok"); } while (0)
#define TOUCH(what) do { int s = sigsetjmp(back, 1); if (!s) { what; printf("%s: done\n", #what); } else printf("%s: %s\n", #what, s == 1 ? "SIGSEGV" : "SIGBUS"); } while (0)

int main(void)
{
	setvbuf(stdout, 0, _IONBF, 0);
	struct sigaction action = {.sa_sigaction = note, .sa_flags = SA_SIGINFO};
	sigaction(SIGSEGV, &action, 0);
	sigaction(SIGBUS, &action, 0);
	char name[300], link[100] = {0}, path[40];
	memset(name, 'n', sizeof name);
	name[249] = 0;
	int plain = memfd_create("plain", 0), fd = memfd_create("sealed", MFD_ALLOW_SEALING | MFD_CLOEXEC);
	SAY(memfd_create(name, 0));
	name[249] = 'n', name[250] = 0;
	SAY(memfd_create(name, 0));
	SAY(memfd_create("x", 0x80));
	SAY(memfd_create((char *)16, 0));
	printf("%d %d\n", fcntl(plain, F_GETFD), fcntl(fd, F_GETFD));
	printf("%x %x\n", fcntl(plain, F_GETFL), fcntl(fd, F_GETFL));
	sprintf(path, "/proc/self/fd/%d", fd);
	readlink(path, link, sizeof link - 1);
	printf("%s\n", link);
	struct stat status;
	fstat(fd, &status);
	printf("%o %ld %d\n", status.st_mode, (long)status.st_size, (int)status.st_nlink);

	printf("seals %d %d\n", fcntl(plain, F_GET_SEALS), fcntl(fd, F_GET_SEALS));
	SAY(fcntl(plain, F_ADD_SEALS, F_SEAL_WRITE));
	SAY(fcntl(open("file", O_RDWR | O_CREAT, 0600), F_GET_SEALS));
	SAY(fcntl(open("file", O_RDWR | O_CREAT, 0600), F_ADD_SEALS, 0));
	SAY(fcntl(fd, F_ADD_SEALS, 0x1000));
	ftruncate(fd, 2 * PAGE);
	SAY(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK));
	SAY(ftruncate(fd, PAGE));
	SAY(ftruncate(fd, 3 * PAGE));
	SAY(fcntl(fd, F_ADD_SEALS, F_SEAL_GROW));
	SAY(ftruncate(fd, 4 * PAGE));
	SAY(pwrite(fd, "x", 1, 3 * PAGE));
	SAY(pwrite(fd, "xyz", 3, 3 * PAGE - 1));
	SAY(fallocate(fd, 0, 0, 5 * PAGE));
	SAY(pwrite(fd, "x", 1, 0));
	char *w = mmap(0, PAGE, RW, MAP_SHARED, fd, 0), *p = mmap(0, PAGE, RW, MAP_PRIVATE, fd, 0);
	SAY(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE));
	w[1] = 5;
	munmap(w, PAGE);
	SAY(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE));
	printf("seals %d\n", fcntl(fd, F_GET_SEALS));
	SAY(pwrite(fd, "x", 1, 0));
	SAY(write(fd, "x", 1));
	SAY(mmap(0, PAGE, RW, MAP_SHARED, fd, 0));
	p[0] = 7;
	char *r = mmap(0, PAGE, PROT_READ, MAP_SHARED, fd, 0);
	if (r != MAP_FAILED) {
		printf("%d %d\n", r[1], p[0]);
		printf("%d\n", mprotect(r, PAGE, RW));
	}
	SAY(fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL));
	SAY(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK));
	printf("seals %d\n", fcntl(fd, F_GET_SEALS));

	int future = memfd_create("future", MFD_ALLOW_SEALING);
	ftruncate(future, PAGE);
	w = mmap(0, PAGE, RW, MAP_SHARED, future, 0);
	SAY(fcntl(future, F_ADD_SEALS, 0x10));
	TOUCH(w[0] = 3);
	SAY(pwrite(future, "x", 1, 0));
	SAY(mmap(0, PAGE, RW, MAP_SHARED, future, 0));
	r = mmap(0, PAGE, PROT_READ, MAP_SHARED, future, 0);
	printf("%d\n", r == MAP_FAILED ? -1 : r[0]);
	printf("%d\n", mprotect(r, PAGE, RW));
	return 0;
}
