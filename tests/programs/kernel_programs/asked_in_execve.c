/* A process that calls execve again and again is asked for its /proc/PID meanwhile: it goes on, and whole answers come. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static void begin(const char *times)
{
	execle("/proc/self/exe", "again", times, (char *)0, (char *[]){"NAME=value", 0});
	_exit(1);
}

int main(int count, char **words)
{
	static const char *const names[] = {"environ", "auxv", "cmdline", "maps", "status", "limits", "fdinfo/0"};
	static char name[64], text[65536];
	int child, status = 0, wrong = 0;
	long seen = 0;
	if (count > 1) {
		snprintf(text, sizeof text, "%d", atoi(words[1]) - 1);
		if (strcmp(words[1], "0"))
			begin(text);
		_exit(7);
	}
	if (!(child = fork()))
		begin("25");
	while (!waitpid(child, &status, WNOHANG))
		for (int i = 0; i < 7; i++) {
			snprintf(name, sizeof name, "/proc/%d/%s", child, names[i]);
			int fd = open(name, O_RDONLY);
			long size = fd < 0 ? 0 : read(fd, text, sizeof text);
			if (size > 0)
				seen++;
			if (i == 1 && size > 0 && size % (2 * sizeof(long)))
				wrong++;
			close(fd);
		}
	printf("%x %d %d\n", status, seen > 0, wrong);
	return 0;
}
