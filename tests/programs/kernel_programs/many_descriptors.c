/* More open files than an fd_set has room for (select(2)): vfork, fork, questions to another process. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

int main(void)
{
	struct rlimit limit;
	int opened = 0, status = 0, child, fd;
	char name[64], text[16];
	getrlimit(RLIMIT_NOFILE, &limit);
	limit.rlim_cur = limit.rlim_max < 1200 ? limit.rlim_max : 1200;
	setrlimit(RLIMIT_NOFILE, &limit);
	while (opened < 1100 && open("/dev/null", O_RDONLY) >= 0)
		opened++;
	printf("%d\n", opened);
	fflush(stdout);
	if (!(child = vfork()))
		_exit(3);
	waitpid(child, &status, 0);
	printf("vfork: %d\n", WEXITSTATUS(status));
	fflush(stdout);
	if (!(child = fork()))
		for (;;)
			pause();
	sprintf(name, "/proc/%d/cmdline", child);
	fd = open(name, O_RDONLY);
	printf("command line: %d\n", fd >= 0 && read(fd, text, sizeof text) > 0);
	sprintf(name, "/proc/%d/maps", child);
	fd = open(name, O_RDONLY);
	printf("maps: %d\n", fd >= 0 && read(fd, text, sizeof text) > 0);
	kill(child, SIGKILL);
	waitpid(child, &status, 0);
	printf("killed: %x\n", status);
	return 0;
}
