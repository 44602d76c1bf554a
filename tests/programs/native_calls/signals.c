/* Signals around reads that are answered at once, and around those that wait. */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

static volatile sig_atomic_t count, children, alarms;
static void counted(int number) { count++; }
static void child(int number) { children++; }
static void alarmed(int number) { alarms++; }

static void handle(int number, void (*handler)(int), int flags)
{
	struct sigaction action = {.sa_handler = handler, .sa_flags = flags};
	sigaction(number, &action, 0);
}

static int out[2], back[2];
static char byte;

static void tell(void) { write(back[1], "x", 1); }
static void await(void) { while (read(out[0], &byte, 1) != 1); }

/* A signal that was sent before a byte was written has been handled when the byte has been read. */
static void before_data(void)
{
	int late = 0;
	pid_t parent = getpid();
	if (!fork()) {
		for (int i = 0; i < 50; i++) kill(parent, SIGUSR1), tell(), await();
		_exit(0);
	}
	for (int i = 0; i < 50; i++) {
		while (read(back[0], &byte, 1) != 1);
		late += count != i + 1;
		write(out[1], "x", 1);
	}
	wait(0);
	printf("50 signals, %d handled late, %d in all\n", late, count);
}

/* A read that waits ends with EINTR, or goes on after the handler. */
static void waiting(int flags)
{
	int seen = count;
	pid_t parent = getpid();
	handle(SIGUSR1, counted, flags);
	if (!fork()) {
		await();
		usleep(30000);
		kill(parent, SIGUSR1);
		if (flags & SA_RESTART) usleep(30000), tell();
		_exit(0);
	}
	write(out[1], "x", 1);
	errno = 0;
	long done = read(back[0], &byte, 1);
	printf("read %ld, %s, handled %d\n", done, errno ? strerror(errno) : "no error", count - seen);
	wait(0);
}

/* A signal that is blocked does not disturb, and comes when it is let in. */
static void held_back(void)
{
	sigset_t set, old;
	int seen = count;
	pid_t parent = getpid();
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigprocmask(SIG_BLOCK, &set, &old);
	if (!fork()) kill(parent, SIGUSR1), tell(), _exit(0);
	printf("blocked: read %ld, handled %d\n", (long)read(back[0], &byte, 1), count - seen);
	sigprocmask(SIG_SETMASK, &old, 0);
	printf("let in: handled %d\n", count - seen);
	wait(0);
}

/* A timer goes off while the program does nothing but short calls. */
static void timer(void)
{
	struct itimerval once = {{0, 0}, {0, 20000}};
	long rounds = 0;
	setitimer(ITIMER_REAL, &once, 0);
	while (!alarms && rounds < 50000000) write(out[1], "x", 1), read(out[0], &byte, 1), getpid(), rounds++;
	printf("alarms %d\n", alarms);
}

int main(void)
{
	setvbuf(stdout, 0, _IONBF, 0);
	pipe(out), pipe(back);
	handle(SIGUSR1, counted, SA_RESTART);
	handle(SIGALRM, alarmed, 0);
	before_data();
	waiting(0);
	waiting(SA_RESTART);
	held_back();
	timer();
	handle(SIGCHLD, child, 0);
	if (!fork()) _exit(0);
	while (!children) write(out[1], "x", 1), read(out[0], &byte, 1);
	printf("children %d\n", children);
	return 0;
}
