/* The master of a pseudo-terminal is no controlling terminal, whoever is in the foreground of its slave: one thread waits for output there while
 * another one writes, and a handler of SIGTTIN is never called. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static int master, ready[2];
static char text[256];

static void on(int number) { (void)number; write(2, "SIGTTIN\n", 8); }

static void *reader(void *unused)
{
	size_t length = 0;
	write(ready[1], "r", 1);
	while (length < sizeof text - 1 && !strstr(text, "end")) {
		ssize_t n = read(master, text + length, sizeof text - 1 - length);
		if (n <= 0) break;
		length += n;
	}
	return unused;
}

int main(void)
{
	char c, line[64];
	pthread_t thread;
	signal(SIGTTIN, on);
	master = posix_openpt(O_RDWR | O_NOCTTY);
	grantpt(master), unlockpt(master);
	const char *name = ptsname(master);
	pipe(ready);
	pid_t child = fork();
	if (!child) {
		setsid();
		int slave = open(name, O_RDWR);
		write(ready[1], "s", 1);
		int length = read(slave, line, sizeof line - 1);
		line[length] = 0;
		dprintf(slave, "got %send\n", line);
		sleep(5); /* the output has been read by then: this process ends by the parent's signal */
		_exit(0);
	}
	read(ready[0], &c, 1);
	printf("slave opened: %c\n", c);
	pthread_create(&thread, 0, reader, 0);
	read(ready[0], &c, 1);
	printf("reader: %c\n", c);
	usleep(20000); /* it waits for the terminal now */
	write(master, "hello\n", 6);
	pthread_join(thread, 0);
	for (char *p = text; *p && p < strstr(text, "end"); p++)
		if (*p != '\r') putchar(*p);
	kill(child, SIGKILL);
	waitpid(child, 0, 0);
	return 0;
}
