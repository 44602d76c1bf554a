/* Sockets: addresses, connections, datagrams, options, and what fails. */
#define _GNU_SOURCE
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <sys/stat.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#define T(x) do { errno = 0; long r_ = (long)(x); printf("%d %s = %ld %s\n", __LINE__, #x, r_, r_ < 0 ? strerror(errno) : ""); fflush(stdout); } while (0)
static char buf[4096];
static void unix_streams(void)
{
	struct sockaddr_un a = {AF_UNIX, "sock"}, b; socklen_t n;
	int s, c, d, status;
	T(s = socket(AF_UNIX, SOCK_STREAM, 0));
	T(listen(s, 5));
	T(accept(s, 0, 0));
	T(bind(s, (void *)&a, sizeof a));
	T(bind(s, (void *)&a, sizeof a));
	T(c = socket(AF_UNIX, SOCK_STREAM, 0));
	T(bind(c, (void *)&a, sizeof a));
	T(connect(c, (void *)&a, sizeof a));
	T(read(c, buf, 1)); T(write(c, "x", 1)); T(send(c, "x", 1, 0));
	struct pollfd p = {c, POLLIN | POLLOUT}; T(poll(&p, 1, 0)); printf("revents %x\n", p.revents);
	T(listen(s, 1));
	struct stat st; T(stat("sock", &st)); printf("%o\n", st.st_mode);
	T(connect(c, (void *)&a, sizeof a));
	T(connect(c, (void *)&a, sizeof a));
	n = sizeof b; T(d = accept(s, (void *)&b, &n)); printf("len %d\n", n);
	n = sizeof b; memset(&b, 0, sizeof b); T(getsockname(d, (void *)&b, &n)); printf("%d %s\n", n, b.sun_path);
	n = sizeof b; memset(&b, 0, sizeof b); T(getpeername(c, (void *)&b, &n)); printf("%d %s\n", n, b.sun_path);
	n = sizeof b; T(getpeername(s, (void *)&b, &n));
	n = sizeof b; T(getsockname(c, (void *)&b, &n)); printf("%d\n", n);
	struct ucred uc; n = sizeof uc; T(getsockopt(c, SOL_SOCKET, SO_PEERCRED, &uc, &n)); printf("%d %d %d\n", uc.pid == getpid(), uc.uid == getuid(), n);
	T(write(c, "hello", 5)); T(recv(d, buf, 3, MSG_PEEK)); T(read(d, buf, 100)); printf("%.5s\n", buf);
	T(recv(d, buf, 1, MSG_DONTWAIT));
	T(sendto(c, "x", 1, 0, (void *)&a, sizeof a));
	p.fd = d; p.events = POLLIN | POLLOUT | POLLRDHUP; T(poll(&p, 1, 0)); printf("%x\n", p.revents);
	p.fd = s; T(poll(&p, 1, 0)); printf("%x\n", p.revents);
	T(shutdown(c, SHUT_WR)); T(read(d, buf, 10)); p.fd = d; T(poll(&p, 1, 0)); printf("%x\n", p.revents);
	signal(SIGPIPE, SIG_IGN);
	T(write(c, "x", 1)); T(send(c, "x", 1, MSG_NOSIGNAL));
	T(write(d, "back", 4)); T(read(c, buf, 10));
	T(close(d)); T(read(c, buf, 10)); p.fd = c; T(poll(&p, 1, 0)); printf("%x\n", p.revents); T(close(c));
	T(close(s)); T(c = socket(AF_UNIX, SOCK_STREAM, 0)); T(connect(c, (void *)&a, sizeof a)); T(unlink("sock")); T(connect(c, (void *)&a, sizeof a));
	close(c);
	/* a server in another process */
	int s2 = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0); bind(s2, (void *)&a, sizeof a); listen(s2, 5);
	pid_t pid = fork();
	if (!pid) {
		int k = accept(s2, 0, 0); n = sizeof uc; getsockopt(k, SOL_SOCKET, SO_PEERCRED, &uc, &n);
		int got = read(k, buf, 100); buf[got] = 0; dprintf(k, "got %s from parent %d", buf, uc.pid == getppid()); _exit(3);
	}
	c = socket(AF_UNIX, SOCK_STREAM, 0); T(connect(c, (void *)&a, sizeof a)); T(write(c, "abc", 3)); memset(buf, 0, 100); T(recv(c, buf, 100, MSG_WAITALL)); printf("%s\n", buf);
	T(waitpid(pid, &status, 0) == pid); T(WEXITSTATUS(status)); close(c); close(s2); unlink("sock");
	/* abstract */
	struct sockaddr_un x = {AF_UNIX}; memcpy(x.sun_path, "\0abs", 4); socklen_t xn = offsetof(struct sockaddr_un, sun_path) + 4;
	s = socket(AF_UNIX, SOCK_STREAM, 0); T(bind(s, (void *)&x, xn)); T(listen(s, 1));
	c = socket(AF_UNIX, SOCK_STREAM, 0); T(bind(c, (void *)&x, xn)); T(connect(c, (void *)&x, xn)); T(connect(c, (void *)&x, xn + 1));
	n = sizeof b; T(getpeername(c, (void *)&b, &n)); printf("%d\n", n);
	close(s); close(c); s = socket(AF_UNIX, SOCK_STREAM, 0); T(bind(s, (void *)&x, xn)); close(s);
	s = socket(AF_UNIX, SOCK_DGRAM, 0); T(connect(s, (void *)&x, xn)); close(s);
	/* wrong kinds */
	s = socket(AF_UNIX, SOCK_SEQPACKET, 0); T(bind(s, (void *)&x, xn)); listen(s, 1);
	c = socket(AF_UNIX, SOCK_STREAM, 0); T(connect(c, (void *)&x, xn)); close(c);
	c = socket(AF_UNIX, SOCK_SEQPACKET, 0); T(connect(c, (void *)&x, xn)); T(d = accept4(s, 0, 0, SOCK_NONBLOCK | SOCK_CLOEXEC));
	T(send(c, "one", 3, 0)); T(send(c, "three", 5, 0)); T(recv(d, buf, 2, 0)); T(recv(d, buf, 100, 0)); T(recv(d, buf, 100, 0)); T(fcntl(d, F_GETFD)); T(fcntl(d, F_GETFL) & O_NONBLOCK);
	T(recv(c, buf, 1, MSG_OOB));
	close(c); T(recv(d, buf, 100, 0)); T(send(d, "x", 1, MSG_NOSIGNAL)); close(d); close(s);
}
static void unix_datagrams(void)
{
	struct sockaddr_un a = {AF_UNIX, "dg"}, b; socklen_t n; int s, c;
	T(s = socket(AF_UNIX, SOCK_DGRAM, 0)); T(bind(s, (void *)&a, sizeof a));
	T(c = socket(AF_UNIX, SOCK_DGRAM, 0)); T(send(c, "x", 1, 0)); T(sendto(c, "hello", 5, 0, (void *)&a, sizeof a)); T(sendto(c, "", 0, 0, (void *)&a, sizeof a));
	n = sizeof b; T(recvfrom(s, buf, 3, MSG_TRUNC, (void *)&b, &n)); printf("%d\n", n); T(recv(s, buf, 100, 0)); T(recv(s, buf, 100, MSG_DONTWAIT));
	T(connect(c, (void *)&a, sizeof a)); T(send(c, "again", 5, 0)); T(recv(s, buf, 100, MSG_PEEK)); T(read(s, buf, 100));
	T(listen(s, 1)); T(accept(s, 0, 0));
	struct sockaddr_un m = {AF_UNIX, "me"}; int q = socket(AF_UNIX, SOCK_DGRAM, 0); T(bind(q, (void *)&m, sizeof m)); T(sendto(q, "q", 1, 0, (void *)&a, sizeof a));
	n = sizeof b; memset(&b, 0, sizeof b); T(recvfrom(s, buf, 10, 0, (void *)&b, &n)); printf("%d %s\n", n, b.sun_path);
	T(sendto(s, "r", 1, 0, (void *)&b, n)); T(read(q, buf, 10));
	T(connect(s, (void *)&m, sizeof m)); T(send(c, "x", 1, 0)); T(sendto(c, "x", 1, 0, (void *)&a, sizeof a));
	close(s); T(send(c, "x", 1, 0)); T(send(c, "x", 1, 0)); T(sendto(c, "x", 1, 0, (void *)&a, sizeof a)); unlink("dg"); T(sendto(c, "x", 1, 0, (void *)&a, sizeof a)); unlink("me");
	int sv[2]; T(socketpair(AF_UNIX, SOCK_DGRAM, 0, sv)); T(write(sv[0], "one", 3)); T(write(sv[0], "two2", 4)); T(read(sv[1], buf, 100)); T(read(sv[1], buf, 2)); T(recv(sv[1], buf, 2, MSG_DONTWAIT));
	n = sizeof b; T(getsockname(sv[0], (void *)&b, &n)); printf("%d\n", n); n = sizeof b; T(getpeername(sv[0], (void *)&b, &n)); printf("%d\n", n);
	close(sv[1]); T(send(sv[0], "x", 1, MSG_NOSIGNAL));
}
static void options(int family, int type)
{
	static const struct { int level, name; const char *text; } all[] = {
	{SOL_SOCKET, SO_REUSEADDR, "REUSEADDR"}, {SOL_SOCKET, SO_TYPE, "TYPE"}, {SOL_SOCKET, SO_ERROR, "ERROR"}, {SOL_SOCKET, SO_KEEPALIVE, "KEEPALIVE"}, {SOL_SOCKET, SO_BROADCAST, "BROADCAST"}, {SOL_SOCKET, SO_ACCEPTCONN, "ACCEPTCONN"}, {SOL_SOCKET, SO_DOMAIN, "DOMAIN"}, {SOL_SOCKET, SO_PROTOCOL, "PROTOCOL"}, {SOL_SOCKET, SO_RCVLOWAT, "RCVLOWAT"}, {SOL_SOCKET, SO_SNDLOWAT, "SNDLOWAT"}, {SOL_SOCKET, SO_PASSCRED, "PASSCRED"}, {SOL_SOCKET, SO_OOBINLINE, "OOBINLINE"}, {SOL_SOCKET, SO_REUSEPORT, "REUSEPORT"}, {SOL_SOCKET, 999, "999"},
	{IPPROTO_TCP, TCP_NODELAY, "NODELAY"}, {IPPROTO_TCP, TCP_KEEPIDLE, "KEEPIDLE"}, {IPPROTO_TCP, TCP_KEEPCNT, "KEEPCNT"}, {IPPROTO_TCP, 999, "tcp 999"}, {IPPROTO_IP, IP_TTL, "TTL"}, {IPPROTO_IP, IP_TOS, "TOS"}, {IPPROTO_IPV6, IPV6_V6ONLY, "V6ONLY"}};
	int s = socket(family, type, 0), v; socklen_t n;
	for (unsigned i = 0; i < sizeof all / sizeof *all; i++) {
		if (family != AF_UNIX && all[i].name == SO_PASSCRED && all[i].level == SOL_SOCKET) continue; /* newer kernels have it for AF_UNIX only */
		n = sizeof v, v = -1, errno = 0; int r = getsockopt(s, all[i].level, all[i].name, &v, &n); printf("%d %d get %s %d %d %d %s\n", family, type, all[i].text, r, v, n, strerror(errno));
		v = 7, errno = 0; r = setsockopt(s, all[i].level, all[i].name, &v, sizeof v); n = sizeof v, v = -1; int e = errno; r |= getsockopt(s, all[i].level, all[i].name, &v, &n) << 4; printf("set %d %d %s\n", r, v, strerror(e));
	}
	T(setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &v, 2)); n = 2; v = -1; T(getsockopt(s, SOL_SOCKET, SO_TYPE, &v, &n)); printf("%x %d\n", v, n); n = -1; T(getsockopt(s, SOL_SOCKET, SO_TYPE, &v, &n));
	v = 5000; T(setsockopt(s, SOL_SOCKET, SO_SNDBUF, &v, sizeof v)); n = sizeof v; T(getsockopt(s, SOL_SOCKET, SO_SNDBUF, &v, &n)); printf("%d\n", v);
	v = 1; T(setsockopt(s, SOL_SOCKET, SO_RCVBUF, &v, sizeof v)); n = sizeof v; T(getsockopt(s, SOL_SOCKET, SO_RCVBUF, &v, &n)); printf("%d\n", v);
	struct timeval tv = {1, 500000}; T(setsockopt(s, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof tv)); memset(&tv, 0, sizeof tv); n = sizeof tv; T(getsockopt(s, SOL_SOCKET, SO_RCVTIMEO, &tv, &n)); printf("%ld %ld\n", (long)tv.tv_sec, (long)tv.tv_usec);
	tv.tv_usec = 1000000; T(setsockopt(s, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof tv));
	struct linger l = {1, 3}; T(setsockopt(s, SOL_SOCKET, SO_LINGER, &l, sizeof l)); n = sizeof l; T(getsockopt(s, SOL_SOCKET, SO_LINGER, &l, &n)); printf("%d %d\n", l.l_onoff, l.l_linger);
	close(s); T(getsockopt(s, SOL_SOCKET, SO_TYPE, &v, &n)); T(getsockopt(0, SOL_SOCKET, SO_TYPE, &v, &n));
}
static int port(int s) { struct sockaddr_in a; socklen_t n = sizeof a; getsockname(s, (void *)&a, &n); return ntohs(a.sin_port); }
static void inet(void)
{
	struct sockaddr_in a = {AF_INET, 0, {htonl(INADDR_LOOPBACK)}}, b; socklen_t n; int s, c, d;
	T(s = socket(AF_INET, SOCK_STREAM, 0)); T(write(s, "x", 1)); T(read(s, buf, 1)); T(accept(s, 0, 0)); n = sizeof b; T(getpeername(s, (void *)&b, &n)); n = sizeof b; T(getsockname(s, (void *)&b, &n)); printf("%d %d %s %d\n", n, b.sin_family, inet_ntoa(b.sin_addr), b.sin_port);
	struct pollfd p = {s, POLLIN | POLLOUT}; T(poll(&p, 1, 0)); printf("revents %x\n", p.revents);
	T(bind(s, (void *)&a, sizeof a)); T(bind(s, (void *)&a, sizeof a)); T(port(s) > 0); a.sin_port = htons(port(s));
	T(c = socket(AF_INET, SOCK_STREAM, 0)); T(connect(c, (void *)&a, sizeof a)); T(connect(c, (void *)&a, 8)); close(c);
	T(listen(s, 5)); T(d = socket(AF_INET, SOCK_STREAM, 0)); T(bind(d, (void *)&a, sizeof a)); close(d);
	T(c = socket(AF_INET, SOCK_STREAM, 0)); T(connect(c, (void *)&a, sizeof a)); T(connect(c, (void *)&a, sizeof a)); T(listen(c, 1));
	n = sizeof b; T(d = accept(s, (void *)&b, &n)); printf("%d %s %d\n", n, inet_ntoa(b.sin_addr), ntohs(b.sin_port) == port(c)); T(port(d) == ntohs(a.sin_port));
	n = sizeof b; T(getpeername(c, (void *)&b, &n)); printf("%s %d\n", inet_ntoa(b.sin_addr), b.sin_port == a.sin_port);
	T(send(c, "hello", 5, 0)); n = sizeof b; memset(&b, 0, sizeof b); T(recvfrom(d, buf, 10, 0, (void *)&b, &n)); printf("%d %d\n", n, b.sin_family); T(recv(d, buf, 10, MSG_DONTWAIT));
	T(sendto(c, "x", 1, 0, (void *)&a, sizeof a)); T(read(d, buf, 10));
	p.fd = d; p.events = POLLIN | POLLOUT | POLLRDHUP; T(poll(&p, 1, 0)); printf("%x\n", p.revents); p.fd = s; T(poll(&p, 1, 0)); printf("%x\n", p.revents);
	T(close(c)); T(poll(&p, 1, 0)); p.fd = d; T(poll(&p, 1, 1000)); printf("%x\n", p.revents); T(read(d, buf, 10)); T(write(d, "x", 1)); usleep(10000); T(write(d, "x", 1)); T(read(d, buf, 10)); T(close(d));
	/* not waiting */
	T(c = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0)); T(connect(c, (void *)&a, sizeof a)); p.fd = c; p.events = POLLOUT; T(poll(&p, 1, 1000)); printf("%x\n", p.revents); int v = -1; n = sizeof v; T(getsockopt(c, SOL_SOCKET, SO_ERROR, &v, &n)); printf("%d\n", v); T(connect(c, (void *)&a, sizeof a)); T(connect(c, (void *)&a, sizeof a)); close(c);
	T(fcntl(s, F_SETFL, O_NONBLOCK)); T(d = accept(s, 0, 0)); T(accept(s, 0, 0)); close(d); T(close(s));
	T(c = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0)); T(connect(c, (void *)&a, sizeof a)); p.fd = c; p.events = POLLOUT; T(poll(&p, 1, 1000)); printf("%x\n", p.revents); n = sizeof v; T(getsockopt(c, SOL_SOCKET, SO_ERROR, &v, &n)); printf("%d\n", v); n = sizeof v; T(getsockopt(c, SOL_SOCKET, SO_ERROR, &v, &n)); printf("%d\n", v); close(c);
	/* addresses */
	c = socket(AF_INET, SOCK_STREAM, 0); b = a; b.sin_port = htons(1); T(connect(c, (void *)&b, sizeof b)); b.sin_family = AF_INET6; T(bind(c, (void *)&b, sizeof b)); b.sin_family = AF_INET; b.sin_port = 0; inet_aton("192.0.2.1", &b.sin_addr); T(bind(c, (void *)&b, sizeof b)); inet_aton("127.9.9.9", &b.sin_addr); T(bind(c, (void *)&b, sizeof b)); close(c);
	/* a server in a child, sending much */
	s = socket(AF_INET, SOCK_STREAM, 0); a.sin_port = 0; a.sin_addr.s_addr = INADDR_ANY; int one = 1; T(setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one)); T(bind(s, (void *)&a, sizeof a)); T(listen(s, 1)); int pt = port(s);
	if (!fork()) { d = accept(s, 0, 0); n = sizeof b; getsockname(d, (void *)&b, &n); char *big = malloc(1 << 20); memset(big, 'a', 1 << 20); write(d, inet_ntoa(b.sin_addr), 9); int w = 0; while (w < 1 << 20) w += write(d, big + w, (1 << 20) - w); shutdown(d, SHUT_WR); _exit(read(d, buf, 100)); }
	c = socket(AF_INET, SOCK_STREAM, 0); inet_aton("127.0.0.2", &a.sin_addr); a.sin_port = htons(pt); T(connect(c, (void *)&a, sizeof a)); T(recv(c, buf, 9, MSG_WAITALL)); printf("%.9s\n", buf); long total = 0, k; while ((k = read(c, buf, sizeof buf)) > 0) total += k; printf("%ld\n", total); T(write(c, "abcd", 4)); int st; wait(&st); T(WEXITSTATUS(st)); close(c); close(s);
	/* IPv6 */
	struct sockaddr_in6 a6 = {AF_INET6, 0, 0, IN6ADDR_LOOPBACK_INIT}, b6; T(s = socket(AF_INET6, SOCK_STREAM, 0)); T(bind(s, (void *)&a6, sizeof a6)); T(listen(s, 1)); n = sizeof a6; T(getsockname(s, (void *)&a6, &n)); T(c = socket(AF_INET6, SOCK_STREAM, 0)); T(connect(c, (void *)&a6, sizeof a6)); n = sizeof b6; T(d = accept(s, (void *)&b6, &n)); char t[64]; printf("%d %s\n", n, inet_ntop(AF_INET6, &b6.sin6_addr, t, sizeof t)); close(c); close(d); close(s);
	s = socket(AF_INET6, SOCK_STREAM, 0); memset(&a6, 0, sizeof a6); a6.sin6_family = AF_INET6; T(bind(s, (void *)&a6, sizeof a6)); T(listen(s, 1)); n = sizeof a6; getsockname(s, (void *)&a6, &n); c = socket(AF_INET, SOCK_STREAM, 0); inet_aton("127.0.0.1", &a.sin_addr); a.sin_port = a6.sin6_port; T(connect(c, (void *)&a, sizeof a)); n = sizeof b6; T(d = accept(s, (void *)&b6, &n)); printf("%s\n", inet_ntop(AF_INET6, &b6.sin6_addr, t, sizeof t)); close(c); close(d); c = socket(AF_INET, SOCK_STREAM, 0); T(bind(c, (void *)&a, sizeof a)); close(c); close(s);
}
static void udp(void)
{
	struct sockaddr_in a = {AF_INET, 0, {htonl(INADDR_LOOPBACK)}}, b; socklen_t n; int s, c;
	T(s = socket(AF_INET, SOCK_DGRAM, 0)); T(send(s, "x", 1, 0)); T(bind(s, (void *)&a, sizeof a)); a.sin_port = htons(port(s)); T(c = socket(AF_INET, SOCK_DGRAM, 0)); T(port(c)); T(sendto(c, "hello", 5, 0, (void *)&a, sizeof a)); T(port(c) > 0);
	n = sizeof b; T(recvfrom(s, buf, 3, MSG_TRUNC, (void *)&b, &n)); printf("%s %d\n", inet_ntoa(b.sin_addr), ntohs(b.sin_port) == port(c)); T(sendto(s, "re", 2, 0, (void *)&b, n)); T(read(c, buf, 10));
	T(connect(c, (void *)&a, sizeof a)); T(send(c, "con", 3, 0)); T(recv(s, buf, 10, 0)); n = sizeof b; T(getpeername(c, (void *)&b, &n)); n = sizeof b; T(getpeername(s, (void *)&b, &n));
	T(shutdown(s, SHUT_RD)); T(listen(s, 1)); T(accept(s, 0, 0)); T(recv(s, buf, 10, MSG_DONTWAIT));
	int d = socket(AF_INET, SOCK_DGRAM, 0); T(sendto(d, "no", 2, 0, (void *)&b, sizeof b)); T(recv(c, buf, 10, MSG_DONTWAIT));
	T(send(d, buf, 1, 0)); static char big[70000]; T(sendto(d, big, sizeof big, 0, (void *)&a, sizeof a)); T(sendto(d, big, 0, 0, (void *)&a, sizeof a)); T(recv(s, buf, 10, 0));
	close(s); T(send(c, "x", 1, 0)); T(send(c, "x", 1, 0)); T(send(c, "x", 1, 0)); T(recv(c, buf, 1, 0));
	struct timeval tv = {0, 20000}; T(setsockopt(d, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof tv)); T(recv(d, buf, 10, 0));
	T(sendto(d, "x", 1, 0, (void *)&a, 4));
	memset(&b, 0, sizeof b); T(connect(c, (void *)&b, sizeof b)); T(send(c, "x", 1, 0));
}
static void kinds(void)
{
	T(socket(AF_INET, 77, 0)); T(socket(999, SOCK_STREAM, 0)); T(socket(AF_INET, SOCK_SEQPACKET, 0) == -1 ? -errno : 0); T(socket(AF_INET, SOCK_STREAM, IPPROTO_UDP)); T(socket(AF_INET, SOCK_DGRAM, IPPROTO_TCP)); T(socket(AF_UNIX, SOCK_STREAM, 5)); int sv[2]; T(socketpair(AF_INET, SOCK_STREAM, 0, sv)); T(socketpair(AF_UNIX, SOCK_STREAM, 0, (void *)8)); T(socket(AF_UNIX, SOCK_STREAM | 0x100, 0)); T(bind(0, 0, 0)); T(connect(99, 0, 0)); T(listen(0, 1));
	int s = socket(AF_UNIX, SOCK_STREAM, 0); struct sockaddr_un a = {AF_UNIX, "nodir/x"}; T(bind(s, (void *)&a, sizeof a)); T(connect(s, (void *)&a, sizeof a)); T(bind(s, (void *)&a, 1)); T(bind(s, (void *)8, sizeof a)); T(connect(s, (void *)&a, 200)); close(open("plain", O_CREAT | O_RDWR, 0600)); strcpy(a.sun_path, "plain"); T(connect(s, (void *)&a, sizeof a)); T(bind(s, (void *)&a, sizeof a)); unlink("plain");
	T(bind(s, (void *)&a, 2)); struct sockaddr_un b; socklen_t n = sizeof b; T(getsockname(s, (void *)&b, &n)); printf("%d\n", n);
}
int main(int c, char **v)
{
	unix_streams(); unix_datagrams(); options(AF_UNIX, SOCK_STREAM); options(AF_INET, SOCK_STREAM); options(AF_INET, SOCK_DGRAM); options(AF_INET6, SOCK_STREAM); inet(); udp(); kinds();
	return 0;
}
