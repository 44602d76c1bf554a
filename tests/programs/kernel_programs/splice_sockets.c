/* splice between pipes and sockets: what the target does not take stays in the source. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static unsigned char out[65536], in[65536];

static void pair(int family, int s[2])
{
	if (family == AF_UNIX) {
		socketpair(AF_UNIX, SOCK_STREAM, 0, s);
		return;
	}
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t size = sizeof a;
	int listener = socket(AF_INET, SOCK_STREAM, 0);
	bind(listener, (void *)&a, size);
	listen(listener, 1);
	getsockname(listener, (void *)&a, &size);
	s[0] = socket(AF_INET, SOCK_STREAM, 0);
	connect(s[0], (void *)&a, size);
	s[1] = accept(listener, 0, 0);
	close(listener);
}

/* A megabyte through a pipe and a socket whose reader starts when it is full. */
static void through(int family)
{
	int s[2], p[2], full = 0;
	long sent = 0, got = 0, wrong = 0;
	pair(family, s);
	pipe2(p, O_NONBLOCK);
	fcntl(s[0], F_SETFL, O_NONBLOCK), fcntl(s[1], F_SETFL, O_NONBLOCK);
	while (got < 1 << 20) {
		if (sent < 1 << 20) {
			long most = (1 << 20) - sent;
			for (int i = 0; i < (int)sizeof out; i++) out[i] = (sent + i) * 7 >> 3;
			ssize_t n = write(p[1], out, most < (long)sizeof out ? most : (long)sizeof out);
			if (n > 0) sent += n;
		}
		ssize_t moved = splice(p[0], 0, s[0], 0, 1 << 20, SPLICE_F_NONBLOCK);
		if (moved > 0) continue;
		full += moved < 0 && errno == EAGAIN;
		ssize_t n;
		while ((n = read(s[1], in, sizeof in)) > 0)
			for (int i = 0; i < n; i++, got++) wrong += in[i] != (unsigned char)(got * 7 >> 3);
	}
	printf("family %d: sent %ld got %ld wrong %ld full %d\n", family, sent, got, wrong, full > 0);
	close(s[0]), close(s[1]), close(p[0]), close(p[1]);
}

/* A pipe with little room. */
static void into_a_pipe(int family)
{
	int s[2], p[2];
	long got = 0, wrong = 0;
	pair(family, s);
	pipe2(p, O_NONBLOCK);
	fcntl(s[1], F_SETFL, O_NONBLOCK); /* TCP of the kernel's asks the socket alone whether to wait */
	for (int i = 0; i < 50000; i++) out[i] = i * 5 >> 2;
	memset(in, 0, sizeof in);
	write(p[1], in, 61440);
	write(s[0], out, 50000);
	ssize_t moved = splice(s[1], 0, p[1], 0, 50000, SPLICE_F_NONBLOCK);
	printf("family %d: some %d\n", family, moved > 0 && moved < 50000);
	for (int left = 61440; left > 0;) left -= read(p[0], in, left);
	while (got < 50000) {
		splice(s[1], 0, p[1], 0, 50000, SPLICE_F_NONBLOCK);
		ssize_t n = read(p[0], in, sizeof in);
		if (n <= 0) break;
		for (int i = 0; i < n; i++, got++) wrong += in[i] != (unsigned char)(got * 5 >> 2);
	}
	printf("got %ld wrong %ld; then %s\n", got, wrong, splice(s[1], 0, p[1], 0, 1, SPLICE_F_NONBLOCK) < 0 && errno == EAGAIN ? "EAGAIN" : "?");
	close(s[0]);
	printf("at the end %d\n", (int)splice(s[1], 0, p[1], 0, 10, 0));
	close(s[1]), close(p[0]), close(p[1]);
}

int main(void)
{
	through(AF_UNIX);
	through(AF_INET);
	into_a_pipe(AF_UNIX);
	into_a_pipe(AF_INET);
	return 0;
}
