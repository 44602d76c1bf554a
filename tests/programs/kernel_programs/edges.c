/* Arguments and states that are rare: timers of years before a wait, O_TRUNC through /proc/self/fd, mincore of more than the vector has room for. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/select.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

static void say(const char *what, long result)
{
	printf("%s: %ld %s\n", what, result, result < 0 ? strerror(errno) : "");
	fflush(stdout);
}

static void handler(int number) { (void)number; }

static void far_timer(void)
{
	struct sigaction action = {.sa_handler = handler};
	struct itimerval far = {{0, 0}, {0x7fffffff, 0}}, none = {{0, 0}, {0, 0}};
	struct timespec years = {0x7fffffff, 0};
	struct timeval long_time = {0x7ffffff, 0};
	int parent = getpid(), status, child;
	sigset_t signals, before;
	sigaction(SIGUSR1, &action, 0);
	sigemptyset(&signals), sigaddset(&signals, SIGUSR1);
	for (int way = 0; way < 4; way++) {
		sigprocmask(SIG_BLOCK, &signals, &before);
		if (!(child = fork())) {
			usleep(200000);
			kill(parent, SIGUSR1);
			_exit(0);
		}
		setitimer(ITIMER_REAL, &far, 0);
		switch (way) {
		case 0: say("ppoll", ppoll(0, 0, &years, &before)); break;
		case 1: sigprocmask(SIG_SETMASK, &before, 0), say("select", select(0, 0, 0, 0, &long_time)); break;
		case 2: say("sigsuspend", sigsuspend(&before)); break;
		case 3: sigprocmask(SIG_SETMASK, &before, 0), say("nanosleep", nanosleep(&years, 0)); break;
		}
		setitimer(ITIMER_REAL, &none, 0);
		sigprocmask(SIG_SETMASK, &before, 0);
		while (waitpid(child, &status, 0) < 0 && errno == EINTR)
			;
	}
}

static void truncate_again(void)
{
	char path[64];
	int file = open("/dev/null", O_RDWR), again;
	snprintf(path, sizeof path, "/proc/self/fd/%d", file);
	again = open(path, O_WRONLY | O_TRUNC);
	say("null again", again < 0 ? -1 : 0);
	file = open("some", O_RDWR | O_CREAT, 0666);
	write(file, "text", 4);
	snprintf(path, sizeof path, "/proc/self/fd/%d", file);
	again = open(path, O_WRONLY | O_TRUNC);
	struct stat status;
	fstat(file, &status);
	say("file again", again < 0 ? -1 : (long)status.st_size);
}

int main(void)
{
	far_timer();
	truncate_again();
	char *big = mmap(0, 64 << 20, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	char *vector = mmap(0, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	munmap(vector + 4096, 4096);
	say("mincore", syscall(SYS_mincore, big, 64 << 20, vector));
	return 0;
}
