/* What a process sees of another one: files of its /proc/PID, its descriptors (pidfd_getfd), and robust locks that it held when it was killed. */
#define _GNU_SOURCE
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static char text[1 << 16];

static const char *contents(int pid, const char *name)
{
	char path[64];
	int size = 0, part;
	snprintf(path, sizeof path, "/proc/%d/%s", pid, name);
	int file = open(path, O_RDONLY);
	if (file < 0)
		return strerror(errno);
	while ((part = read(file, text + size, sizeof text - 1 - size)) > 0)
		size += part;
	text[size] = 0;
	close(file);
	return text;
}

static const char *target(int pid, const char *name)
{
	char path[64];
	snprintf(path, sizeof path, "/proc/%d/%s", pid, name);
	int size = readlink(path, text, sizeof text - 1);
	if (size < 0)
		return strerror(errno);
	text[size] = 0;
	return text;
}

static void files(void)
{
	int pair[2], status, count = 0, found = 0;
	char byte;
	struct dirent *entry;
	socketpair(AF_UNIX, SOCK_STREAM, 0, pair);
	int child = fork();
	if (!child) {
		prctl(PR_SET_NAME, "other"), chdir("/");
		dup2(open("file", O_RDONLY), 50), dup2(open("/dev/null", O_WRONLY), 60);
		write(pair[1], "r", 1), read(pair[1], &byte, 1);
		_exit(3);
	}
	read(pair[0], &byte, 1);
	printf("%s", contents(child, "comm"));
	printf("%s %s\n", target(child, "cwd"), target(child, "root"));
	printf("%s\n", target(child, "fd/60"));
	printf("%s\n", target(child, "fd/55"));
	printf("stack %d\n", strstr(contents(child, "maps"), "[stack]") != 0);
	printf("limits %d\n", strstr(contents(child, "limits"), "Max open files") != 0);
	printf("pos %d\n", strstr(contents(child, "fdinfo/60"), "pos:\t0\n") != 0);
	printf("environ %d auxv %d\n", strstr(contents(child, "environ"), "Permission") == 0, contents(child, "auxv")[0] != 'P');
	snprintf(text, sizeof text, "/proc/%d/fd", child);
	DIR *directory = opendir(text);
	while (directory && (entry = readdir(directory)))
		if (isdigit(entry->d_name[0]))
			count++, found |= atoi(entry->d_name) == 60;
	printf("descriptors %d, 60 %d\n", count >= 4, found);
	int pidfd = syscall(SYS_pidfd_open, child, 0), got = syscall(SYS_pidfd_getfd, pidfd, pair[1], 0);
	printf("getfd %d\n", got >= 0);
	printf("%zd", write(got, "x", 1));
	printf(" %zd\n", read(pair[0], &byte, 1));
	got = syscall(SYS_pidfd_getfd, pidfd, 99, 0);
	printf("getfd %d %s\n", got, strerror(errno));
	write(pair[0], "x", 1);
	waitid(P_PID, child, 0, WEXITED | WNOWAIT);
	printf("%s\n", target(child, "exe"));
	printf("[%s]\n", contents(child, "cmdline"));
	waitpid(child, &status, 0);
	printf("%x %s\n", status, target(child, "exe"));
}

static void robust(int protocol)
{
	int status, child, ready[2];
	char byte;
	pthread_mutexattr_t attributes;
	pthread_mutex_t *mutex = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pipe(ready);
	pthread_mutexattr_init(&attributes);
	pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
	pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
	pthread_mutexattr_setprotocol(&attributes, protocol);
	pthread_mutex_init(mutex, &attributes);
	if (!(child = fork())) {
		pthread_mutex_lock(mutex);
		write(ready[1], "r", 1);
		for (;;)
			pause();
	}
	read(ready[0], &byte, 1);
	kill(child, SIGKILL);
	int result = pthread_mutex_lock(mutex);
	waitpid(child, &status, 0);
	printf("owner died %d, status %x\n", result == EOWNERDEAD, status);
	result = pthread_mutex_consistent(mutex);
	printf("%d %d\n", result, pthread_mutex_unlock(mutex));
	printf("%d\n", pthread_mutex_trylock(mutex));
}

int main(void)
{
	files();
	robust(PTHREAD_PRIO_NONE), robust(PTHREAD_PRIO_INHERIT);
	return 0;
}
