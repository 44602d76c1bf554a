/* One process makes a file short and long again, again and again; the other reads and writes its mapping, itself and by system calls. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
static sigjmp_buf back;
static void note(int sig) { (void)sig; siglongjmp(back, 1); }
int main(void)
{
	int fd = open("file", O_RDWR | O_CREAT | O_TRUNC, 0600), ends[2], status;
	ftruncate(fd, 16 * 4096);
	char *base = mmap(0, 16 * 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	pipe2(ends, O_NONBLOCK);
	pid_t first = getpid(), other = fork();
	if (!other) {
		while (getppid() == first) { ftruncate(fd, 0); ftruncate(fd, 16 * 4096); }
		_exit(1);
	}
	signal(SIGBUS, note);
	volatile int faults = 0, refused = 0, rounds = 0;
	while (rounds < 3000) {
		rounds++;
		if (sigsetjmp(back, 1)) { faults++; continue; }
		for (int page = 0; page < 16; page++) {
			base[page * 4096 + 8] = 1;
			*(volatile long *)(base + page * 4096 - (page ? 4 : 0)) += 1;
		}
		if (write(ends[1], base + 4096 * (rounds % 16) + 100, 64) != 64) refused++;
		if (read(ends[0], base + 4096 * (rounds % 15) + 4000, 64) != 64) refused++;
		if (access(base + 4096 * (rounds % 16), F_OK) && errno == EFAULT) refused++;
	}
	kill(other, SIGKILL);
	waitpid(other, &status, 0);
	printf("%s\n", faults ? "faults" : "none");
	return 0;
}
