/* /proc/self/mem, and CPU clocks of processes that are there or not. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static void say(const char *what, long long result)
{
	printf("%s: %lld %s\n", what, result, result < 0 ? strerror(errno) : "");
	fflush(stdout);
}

static char buffer[20000];

static void memory(void)
{
	off_t page = sysconf(_SC_PAGESIZE);
	struct stat status;
	int fd = open("/proc/self/mem", O_RDWR), file = open("file", O_RDWR | O_CREAT, 0600);
	ftruncate(file, 100);
	char *four = mmap(0, 6 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	memset(four, 'a', 6 * page);
	mprotect(four + page, page, PROT_NONE);
	mprotect(four + 2 * page, page, PROT_READ);
	munmap(four + 3 * page, page);
	char *shared = mmap(four + 4 * page, page, PROT_READ, MAP_SHARED | MAP_FIXED, file, 0);
	mmap(four + 5 * page, page, PROT_READ, MAP_PRIVATE | MAP_FIXED, file, page);
	off_t at = (uintptr_t)four;
	say("open", fd < 0 ? -1 : 0);
	fstat(fd, &status);
	printf("%o %lld\n", status.st_mode, (long long)status.st_size);
	say("read", pread(fd, buffer, 100, at)), say("value", buffer[99]);
	say("without permission", pread(fd, buffer, 100, at + page)), say("value", buffer[99]);
	say("up to a hole", pread(fd, buffer, sizeof buffer, at + 10));
	say("hole", pread(fd, buffer, 10, at + 3 * page));
	say("page 0", pread(fd, buffer, 10, 0));
	say("nothing of a hole", pread(fd, buffer, 0, 0));
	say("behind the file", pread(fd, buffer, 10, at + 5 * page));
	say("shared file", pread(fd, buffer, 10, at + 4 * page));
	say("bad buffer", pread(fd, (void *)8, 10, at));
	say("write", pwrite(fd, "new", 3, at)), say("value", four[2]);
	say("read-only", pwrite(fd, "new", 3, at + 2 * page)), say("value", four[2 * page + 2]);
	say("PROT_NONE", pwrite(fd, "new", 3, at + page));
	say("across", pwrite(fd, buffer, 20, at + 3 * page - 10));
	say("write to a hole", pwrite(fd, "new", 3, at + 3 * page));
	say("shared, read-only", pwrite(fd, "new", 3, at + 4 * page)), say("value", shared[0]);
	say("from a bad buffer", pwrite(fd, (void *)8, 10, at));
	say("seek", lseek(fd, at + page - 1, SEEK_SET) == at + page - 1);
	say("read", read(fd, buffer, 2));
	say("position", lseek(fd, 0, SEEK_CUR) - at);
	say("SEEK_END", lseek(fd, 0, SEEK_END));
	say("before 0", lseek(fd, 0, SEEK_SET)), say("read at 0", read(fd, buffer, 1));
	lseek(fd, at, SEEK_SET);
	struct iovec parts[] = {{buffer, 3}, {buffer, page}};
	say("readv", readv(fd, parts, 2));
	say("position", lseek(fd, 0, SEEK_CUR) - at);
	if (!fork())
		_exit(read(fd, buffer, 7) != 7);
	wait(0);
	say("after a child has read", lseek(fd, 0, SEEK_CUR) - at);
	int reader = open("/proc/self/mem", O_RDONLY), writer = open("/proc/self/mem", O_WRONLY);
	say("write to O_RDONLY", pwrite(reader, "x", 1, at));
	say("read of O_WRONLY", pread(writer, buffer, 1, at));
}

static int forty_two(void)
{
	return 42;
}

static void code(void)
{
	volatile int sum = forty_two();
	unsigned char text[32], *function = (unsigned char *)(uintptr_t)forty_two;
	int fd = open("/proc/self/mem", O_RDWR), at = -1;
	pread(fd, text, sizeof text, (uintptr_t)function);
	say("code is the same", !memcmp(text, function, sizeof text));
	for (int i = 0; i < 31; i++)
		if (text[i] == 0xb8 && text[i + 1] == 42)
			at = i + 1;
	say("found", at > 0);
	say("patch", pwrite(fd, "\x07", 1, (uintptr_t)function + at));
	int (*volatile call)(void) = forty_two;
	sum += call();
	say("sum", sum);
}

static void clocks(void)
{
	clockid_t clock = 0;
	struct timespec now;
	pid_t ended = fork();
	if (!ended)
		_exit(0);
	siginfo_t info;
	waitid(P_PID, ended, &info, WEXITED | WNOWAIT);
	say("zombie", clock_getcpuclockid(ended, &clock));
	say("read", clock_gettime(clock, &now));
	waitpid(ended, 0, 0);
	say("gone", clock_getcpuclockid(ended, &clock));
	say("read", clock_gettime(clock, &now));
	say("itself", clock_getcpuclockid(getpid(), &clock));
	say("read", clock_gettime(clock, &now));
	say("0", clock_getcpuclockid(0, &clock));
	say("parent", clock_getcpuclockid(99999999, &clock));
	for (int kind = 0; kind < 8; kind++) {
		printf("%d: ", kind);
		say("self", clock_gettime(-8 | kind, &now));
		say("pid", clock_gettime(~getpid() * 8 | kind, &now));
		say("ended", clock_gettime(~ended * 8 | kind, &now));
		say("resolution", clock_getres(~ended * 8 | kind, 0));
	}
}

int main(void)
{
	memory();
	code();
	clocks();
	return 0;
}
