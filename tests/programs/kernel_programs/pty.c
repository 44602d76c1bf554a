/* Pseudo-terminals, sessions and jobs: a program that makes its own terminal, and what its signals reach. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#define T(call) do { errno = 0; long r_ = (long)(call); int e_ = errno; printf("%d: %s = %ld %s\n", __LINE__, #call, r_, r_ == -1 ? strerror(e_) : ""); } while (0)

static volatile int got[65];
static int report[2], go[2], master;
static char name[64], text[256];

static void on(int number) { got[number]++; }

static void tell(const char *what) { write(report[1], what, strlen(what) + 1); }

static const char *told(void)
{
	int n = 0;
	while (read(report[0], text + n, 1) == 1 && text[n])
		n++;
	return text;
}

static void wait_for_word(void) { char c; read(go[0], &c, 1); }

static void until(int number)
{
	sigset_t none;
	sigemptyset(&none);
	while (!got[number])
		sigsuspend(&none);
}

static void session(void)
{
	sigset_t held;
	sigemptyset(&held), sigaddset(&held, SIGWINCH), sigaddset(&held, SIGHUP);
	sigprocmask(SIG_BLOCK, &held, 0);
	char line[64];
	struct winsize size;
	close(master);
	setsid();
	int slave = open(name, O_RDWR), tty = open("/dev/tty", O_RDWR);
	snprintf(line, sizeof line, "tty %d session %d group %d", tty >= 0, tcgetsid(slave) == getpid(), tcgetpgrp(slave) == getpid());
	tell(line);
	signal(SIGWINCH, on);
	signal(SIGINT, on);
	wait_for_word();
	until(SIGWINCH);
	ioctl(slave, TIOCGWINSZ, &size);
	snprintf(line, sizeof line, "size %d %d", size.ws_row, size.ws_col);
	tell(line);
	int length = read(slave, line, sizeof line - 1);
	line[length] = 0;
	tell(line);
	pid_t job = fork();
	if (!job) {
		setpgid(0, 0);
		signal(SIGTTOU, SIG_IGN);
		tcsetpgrp(slave, getpid());
		signal(SIGTTOU, SIG_DFL), signal(SIGINT, SIG_DFL);
		tell("job in front");
		for (;;)
			pause();
	}
	int status;
	T(waitpid(job, &status, WUNTRACED) == job);
	printf("stopped %d by %d\n", WIFSTOPPED(status), WSTOPSIG(status));
	signal(SIGTTOU, SIG_IGN);
	T(tcgetpgrp(slave) == job);
	T(tcsetpgrp(slave, getpid()));
	T(kill(-job, SIGCONT));
	T(waitpid(job, &status, WCONTINUED) == job);
	printf("continued %d\n", WIFCONTINUED(status));
	T(kill(-job, SIGKILL));
	T(waitpid(-job, &status, 0) == job);
	printf("killed %d by %d; own interrupts %d\n", WIFSIGNALED(status), WTERMSIG(status), got[SIGINT]);
	job = fork();
	if (!job) {
		setpgid(0, 0);
		struct sigaction action = {.sa_handler = on};
		sigaction(SIGTTIN, &action, 0);
		errno = 0;
		length = read(slave, line, 1);
		printf("background read %d %s; SIGTTIN %d\n", length, errno == EINTR ? "EINTR" : "", got[SIGTTIN] > 0);
		signal(SIGTTIN, SIG_IGN);
		length = read(slave, line, 1);
		printf("ignored: %d %s\n", length, strerror(errno));
		signal(SIGTTIN, SIG_DFL);
		read(slave, line, 1);
		_exit(3);
	}
	setpgid(job, job);
	T(waitpid(job, &status, WUNTRACED) == job);
	printf("stopped %d by %d\n", WIFSTOPPED(status), WSTOPSIG(status));
	kill(job, SIGKILL);
	waitpid(job, &status, 0);
	T(tcsetpgrp(slave, 99999999));
	T(setpgid(0, 0));
	T(setsid());
	signal(SIGHUP, on);
	tell("hang up");
	until(SIGHUP);
	printf("read after hang-up %d\n", (int)read(slave, line, 1));
	_exit(5);
}

int main(void)
{
	struct termios modes;
	struct winsize size = {33, 77};
	struct stat status;
	char line[64];
	int state;
	setvbuf(stdout, 0, _IONBF, 0);
	pipe(report), pipe(go);
	master = posix_openpt(O_RDWR | O_NOCTTY);
	T(master >= 0);
	T(open("/dev/pts/99999", O_RDWR));
	T(grantpt(master));
	snprintf(name, sizeof name, "%s", ptsname(master));
	printf("%.9s\n", name);
	T(open(name, O_RDWR | O_NOCTTY));
	T(unlockpt(master));
	int slave = open(name, O_RDWR | O_NOCTTY);
	T(slave >= 0);
	T(isatty(slave));
	T(isatty(master));
	printf("%d\n", !strcmp(ttyname(slave), name));
	T(fstat(slave, &status));
	printf("%o major %d\n", status.st_mode & S_IFMT, (int)(status.st_rdev >> 8));
	T(tcgetattr(slave, &modes));
	modes.c_lflag &= ~ECHO;
	T(tcsetattr(slave, TCSANOW, &modes));
	T(tcgetpgrp(slave));
	T(tcgetsid(slave));
	T(ioctl(master, TIOCSWINSZ, &size));
	memset(&size, 0, sizeof size);
	T(ioctl(slave, TIOCGWINSZ, &size));
	printf("%d %d\n", size.ws_row, size.ws_col);
	T(write(slave, "out\n", 4));
	T(read(master, line, sizeof line));
	T(write(master, "in\n", 3));
	T(read(slave, line, sizeof line));
	T(tcflush(slave, TCIOFLUSH));
	close(slave);
	pid_t child = fork();
	if (!child)
		session();
	printf("%s\n", told());
	size.ws_row = 44, size.ws_col = 55;
	write(go[1], "x", 1);
	T(ioctl(master, TIOCSWINSZ, &size));
	printf("%s\n", told());
	write(master, "a line\n", 7);
	printf("%s", told());
	printf("%s\n", told());
	write(master, "\032", 1);
	printf("%s\n", told());
	close(master);
	T(waitpid(child, &state, 0) == child);
	printf("%d\n", WEXITSTATUS(state));
	T(open(name, O_RDWR | O_NOCTTY));
	return 0;
}
