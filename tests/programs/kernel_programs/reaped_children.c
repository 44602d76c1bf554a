/* Children that nobody has to wait for (SIGCHLD ignored, SA_NOCLDWAIT): their numbers are free at their end. */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static void say(const char *what, long result)
{
	printf("%s: %ld %s\n", what, result, result < 0 ? strerror(errno) : "");
	fflush(stdout);
}

static void nothing(int number)
{
	(void)number;
}

/* Begins a child, and returns when it has ended. waited_for: it is there until somebody waits for it. */
static pid_t ended_child(int own_group, int waited_for)
{
	pid_t child = fork();
	if (!child) {
		if (own_group)
			setpgid(0, 0);
		_exit(7);
	}
	if (!waited_for) {
		while (waitpid(child, 0, 0) < 0 && errno == EINTR)
			;
		return child;
	}
	struct pollfd end = {syscall(SYS_pidfd_open, child, 0), POLLIN, 0};
	while (poll(&end, 1, -1) < 0)
		;
	close(end.fd);
	return child;
}

static void ask(const char *name, pid_t child)
{
	int status;
	printf("-- %s\n", name);
	say("kill 0", kill(child, 0));
	say("kill 9", kill(child, SIGKILL));
	say("tgkill", syscall(SYS_tgkill, child, child, 0));
	say("getpgid", getpgid(child) < 0 ? -1 : 0);
	say("getsid", getsid(child) < 0 ? -1 : 0);
	say("setpgid", setpgid(child, child));
	errno = 0;
	long priority = getpriority(PRIO_PROCESS, child);
	say("getpriority", errno ? priority : 0);
	say("kill of the group", kill(-child, 0));
	say("pidfd_open", syscall(SYS_pidfd_open, child, 0) < 0 ? -1 : 0);
	say("waitpid", waitpid(child, &status, WNOHANG) > 0);
	say("again", waitpid(child, &status, 0));
	say("kill 0", kill(child, 0));
}

int main(void)
{
	struct sigaction no_wait = {.sa_handler = nothing, .sa_flags = SA_NOCLDWAIT | SA_RESTART};

	signal(SIGCHLD, SIG_IGN);
	ask("ignored", ended_child(0, 0));
	ask("ignored, a group of its own", ended_child(1, 0));
	sigaction(SIGCHLD, &no_wait, 0);
	ask("SA_NOCLDWAIT with a handler", ended_child(0, 0));
	no_wait.sa_handler = SIG_DFL;
	sigaction(SIGCHLD, &no_wait, 0);
	ask("SA_NOCLDWAIT", ended_child(0, 0));
	signal(SIGCHLD, SIG_DFL);
	pid_t waiting = ended_child(0, 1);
	signal(SIGCHLD, SIG_IGN);
	ask("ignored after its end", waiting);
	signal(SIGCHLD, SIG_IGN);
	pid_t gone = ended_child(0, 0);
	signal(SIGCHLD, SIG_DFL);
	ask("ignored at its end, not now", gone);
	ask("not ignored", ended_child(1, 1));
	return 0;
}
