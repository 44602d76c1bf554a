/* fork, exec, wait, pipes, exit statuses. With an argument it is the program that exec starts. */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

int main(int argc, char **argv)
{
	setvbuf(stdout, 0, _IONBF, 0);
	if (argc > 1) {
		printf("exec:");
		for (int i = 1; i < argc; i++)
			printf(" %s", argv[i]);
		for (int i = 0; environ[i]; i++)
			printf(" [%s]", environ[i]);
		printf("\n");
		return 5;
	}
	int status, fds[2];
	pipe(fds);
	pid_t child = fork();
	if (!child) {
		close(fds[0]);
		dprintf(fds[1], "from the child, parent is right: %d", getppid() != 1);
		_exit(3);
	}
	close(fds[1]);
	char text[100];
	int n, all = 0;
	while ((n = read(fds[0], text + all, sizeof text - all)) > 0)
		all += n;
	printf("%.*s\n", all, text);
	printf("waited %d", waitpid(child, &status, 0) == child);
	printf(" status %d\n", WEXITSTATUS(status));
	printf("no more %d %d\n", wait(&status), errno == ECHILD);

	child = vfork();
	if (!child) {
		execve(argv[0], (char *[]){argv[0], "one", "two", 0}, (char *[]){"A=b", 0});
		_exit(99);
	}
	waitpid(child, &status, 0);
	printf("exec status %d\n", WEXITSTATUS(status));

	child = vfork();
	if (!child) {
		usleep(50000);
		write(1, "child first\n", 12);
		_exit(6);
	}
	write(1, "then parent\n", 12);
	waitpid(child, &status, 0);
	posix_spawn_file_actions_t actions;
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addclose(&actions, 0);
	n = posix_spawn(&child, argv[0], &actions, 0, (char *[]){argv[0], "spawned", 0}, (char *[]){0});
	waitpid(child, &status, 0);
	printf("spawn %d %d", n, WEXITSTATUS(status));
	printf(" %d\n", posix_spawn(&child, "/nonexistent", 0, 0, argv, environ) == ENOENT);

	child = fork();
	if (!child)
		abort();
	waitpid(child, &status, 0);
	printf("abort %d %d\n", WIFSIGNALED(status), WTERMSIG(status));
	child = fork();
	if (!child)
		for (;;)
			;
	kill(child, SIGKILL);
	waitpid(child, &status, 0);
	printf("kill %d\n", WTERMSIG(status));
	child = fork();
	if (!child)
		for (;;)
			pause();
	printf("not yet %d\n", waitpid(child, &status, WNOHANG));
	kill(child, SIGTERM);
	siginfo_t info;
	printf("waitid %d %d %d\n", waitid(P_PID, child, &info, WEXITED), info.si_code == CLD_KILLED, info.si_status);
	printf("errors %d", execl("/nonexistent", "x", (char *)0));
	printf(" %d", errno == ENOENT);
	printf(" %d", waitpid(child, &status, 0) == -1 && errno == ECHILD);
	printf(" %d\n", kill(child, 0) == -1 && errno == ESRCH);
	for (int i = 0; i < 3; i++)
		if (!fork())
			exit(i);
	int sum = 0;
	while (wait(&status) > 0)
		sum += WEXITSTATUS(status);
	printf("three %d\n", sum);
	execl(argv[0], argv[0], "last", (char *)0);
	return 1;
}
