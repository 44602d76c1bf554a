/* Reads and writes in all the ways that end differently: a line each. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

static volatile sig_atomic_t pipes_broken;
static int everything;
static void broken(int number) { pipes_broken++; }

static void say(const char *what, long result)
{
	int reason = errno;
	if (result < 0) printf("%s: %s\n", what, strerror(reason));
	else printf("%s: %ld\n", what, result);
	errno = 0;
}

static long fill(int fd)
{
	char block[4096] = {0};
	long done, all = 0;
	while ((done = write(fd, block, sizeof block)) > 0) all += done;
	return all;
}

/* The last bytes of a page in front of one that is not there, cannot be written, or cannot be read. */
static char *edge(int protection)
{
	char *pages = mmap(0, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	memset(pages, 'x', 8192);
	if (protection < 0) munmap(pages + 4096, 4096);
	else mprotect(pages + 4096, 4096, protection);
	return pages + 4090;
}

static void straddling(int in, int out, const char *name, int protection)
{
	char text[64], *at = edge(protection), rest[64];
	struct iovec parts[2] = {{rest, 4}, {at, 16}};
	write(out, "0123456789abcdef", 16);
	long done = read(in, at, 16);
	if (everything) sprintf(text, "%s: read", name), say(text, done); /* Linux leaves all of it in the pipe */
	sprintf(text, "%s: write", name), say(text, write(out, at, 16));
	sprintf(text, "%s: writev", name), say(text, writev(out, parts, 2));
	fcntl(in, F_SETFL, O_NONBLOCK);
	done = readv(in, parts, 2);
	if (everything) sprintf(text, "%s: readv", name), say(text, done);
	while (read(in, rest, sizeof rest) > 0);
	fcntl(in, F_SETFL, 0);
}

static void replaced(void)
{
	int first[2], second[2];
	char buffer[16] = "";
	pipe(first), pipe(second);
	for (int i = 0; i < 3; i++) write(first[1], "first", 5), read(first[0], buffer, 5);
	write(second[1], "second", 6);
	dup2(second[0], first[0]);
	say("read of another pipe by dup2", read(first[0], buffer, 16));
	puts(buffer);
	close(first[0]);
	say("read after close", read(first[0], buffer, 16));
	close(second[0]);
	int file = open("/dev/null", O_RDONLY);
	say("the number is used again", file == first[0]);
	say("read of what it is now", read(file, buffer, 16));
	dup2(second[1], 700);
	say("write to what nobody reads", write(700, "x", 1));
	close(700);
	say("write after close", write(700, "x", 1));
	say("read of the wrong end", read(second[1], buffer, 1));
	say("write to a number that is none", write(-1, "x", 1));
	say("write to a number too high", write(5000, "x", 1));
}

static void vectors(void)
{
	int ends[2];
	char a[4], b[8], c[64] = "";
	struct iovec in[3] = {{a, 3}, {0, 0}, {b, 5}}, bad = {b, -1}, many[40];
	pipe(ends);
	for (int i = 0; i < 40; i++) many[i] = (struct iovec){"abcdefghij" + i % 10, 1};
	say("writev", writev(ends[1], (struct iovec[]){{"one", 3}, {0, 0}, {"three", 5}}, 3));
	say("readv", readv(ends[0], in, 3));
	printf("%.3s %.5s\n", a, b);
	say("writev of many", writev(ends[1], many, 40));
	say("read of it", read(ends[0], c, sizeof c));
	puts(c);
	say("writev of none", writev(ends[1], many, 0));
	say("writev of too many", writev(ends[1], many, 2000));
	say("readv of a negative size", readv(ends[0], &bad, 1));
	say("writev at a bad address", writev(ends[1], (void *)8, 2));
	say("write of nothing", write(ends[1], "", 0));
	say("read of nothing", read(ends[0], c, 0));
}

static void files(void)
{
	char buffer[64], name[] = "file";
	int fd = open(name, O_RDWR | O_CREAT | O_TRUNC, 0600);
	write(fd, "0123456789", 10);
	say("lseek to the start", lseek(fd, 0, SEEK_SET));
	say("read", read(fd, buffer, 4));
	say("lseek here", lseek(fd, 0, SEEK_CUR));
	say("lseek behind the end", lseek(fd, 5, SEEK_END));
	say("read at the end", read(fd, buffer, 4));
	say("lseek before the start", lseek(fd, -1, SEEK_SET));
	say("lseek in no way", lseek(fd, 0, 99));
	lseek(fd, 2, SEEK_SET);
	if (!fork()) read(fd, buffer, 3), _exit(0);
	wait(0);
	say("the offset after a child's read", lseek(fd, 0, SEEK_CUR));
	say("read to the end", read(fd, buffer, 64));
	say("ftruncate", ftruncate(fd, 3));
	say("lseek to the end", lseek(fd, 0, SEEK_END));
	int ends[2];
	pipe(ends);
	say("lseek of a pipe", lseek(ends[0], 0, SEEK_CUR));
	close(fd);
	fd = open(name, O_RDONLY);
	say("write to a file that is only read", write(fd, "x", 1));
	char *mapped = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	say("read into the same file's mapping", read(fd, mapped + 1, 2));
	printf("%.3s\n", mapped);
	truncate(name, 0);
	say("read where the file has no page", read(ends[0] + 100, mapped, 1));
	write(ends[1], "x", 1);
	say("read from a pipe to there", read(ends[0], mapped, 1));
}

static void events(void)
{
	uint64_t value = 7;
	int fd = eventfd(0, EFD_NONBLOCK);
	say("read of an event that is none", read(fd, &value, 8));
	say("write of an event", write(fd, &value, 8));
	say("short read of an event", read(fd, &value, 4));
	say("read of an event", read(fd, &value, 8));
	say("its value", value);
}

int main(int argc, char **argv)
{
	int ends[2];
	char buffer[64];
	everything = argc > 1;
	setvbuf(stdout, 0, _IOLBF, 0);
	signal(SIGPIPE, broken);
	pipe(ends);
	for (int i = 0; i < 5; i++) write(ends[1], "0123456789abcdef", 16), read(ends[0], buffer, 16);
	straddling(ends[0], ends[1], "a page that is not there", -1);
	straddling(ends[0], ends[1], "a page that is read only", PROT_READ);
	straddling(ends[0], ends[1], "a page without rights", PROT_NONE);
	fcntl(ends[0], F_SETFL, O_NONBLOCK);
	say("read of an empty pipe", read(ends[0], buffer, 16));
	fcntl(ends[1], F_SETFL, O_NONBLOCK);
	say("bytes in a full pipe", fill(ends[1]));
	say("write to a full pipe", write(ends[1], buffer, 16));
	say("read of a full pipe", read(ends[0], buffer, 16));
	say("write of a page to it", write(ends[1], buffer, 16));
	close(ends[1]);
	while (read(ends[0], buffer, 64) > 0);
	say("read at the end of a pipe", read(ends[0], buffer, 16));
	close(ends[0]);
	pipe(ends);
	close(ends[0]);
	say("write to a closed pipe", write(ends[1], "x", 1));
	say("writev to a closed pipe", writev(ends[1], &(struct iovec){"x", 1}, 1));
	say("SIGPIPE came", pipes_broken);
	signal(SIGPIPE, SIG_IGN);
	say("write to a closed pipe, ignored", write(ends[1], "x", 1));
	replaced();
	vectors();
	files();
	events();
	fflush(stdout);
	signal(SIGPIPE, SIG_DFL);
	write(ends[1], "x", 1);
	return 0;
}
