/* Messages over sockets: open files and credentials, several at a time, waiting, epoll. */
#define _GNU_SOURCE
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/time.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#define T(x) do { errno = 0; long r_ = (long)(x); printf("%d %s = %ld %s\n", __LINE__, #x, r_, r_ < 0 ? strerror(errno) : ""); fflush(stdout); } while (0)
static char buf[4096];
static int send_fd(int s, int *fds, int n, const char *text)
{
	union { struct cmsghdr h; char c[CMSG_SPACE(300 * 4)]; } u; memset(&u, 0, sizeof u);
	struct iovec v = {(void *)text, strlen(text)};
	struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = &u, .msg_controllen = CMSG_SPACE(4 * n)};
	struct cmsghdr *c = CMSG_FIRSTHDR(&m); c->cmsg_level = SOL_SOCKET; c->cmsg_type = SCM_RIGHTS; c->cmsg_len = CMSG_LEN(4 * n); memcpy(CMSG_DATA(c), fds, 4 * n);
	return sendmsg(s, &m, 0);
}
static int last_fd[10];
static void receive(int s, int room, int flags)
{
	union { struct cmsghdr h; char c[1000]; } u; memset(&u, 0, sizeof u); memset(buf, 0, 100);
	struct iovec v[2] = {{buf, 2}, {buf + 2, 50}}; struct sockaddr_un a;
	struct msghdr m = {.msg_name = &a, .msg_namelen = sizeof a, .msg_iov = v, .msg_iovlen = 2, .msg_control = &u, .msg_controllen = room};
	errno = 0; int r = recvmsg(s, &m, flags);
	printf("recvmsg %d %s name %d flags %x control %d", r, r < 0 ? strerror(errno) : buf, m.msg_namelen, m.msg_flags & ~0x80000000, (int)m.msg_controllen);
	if (r >= 0) for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c)) {
		printf(" [%d %d %d", c->cmsg_level, c->cmsg_type, (int)c->cmsg_len);
		if (c->cmsg_type == SCM_RIGHTS) { int n = (c->cmsg_len - CMSG_LEN(0)) / 4; for (int i = 0; i < n; i++) { int fd = ((int *)CMSG_DATA(c))[i]; last_fd[i] = fd; printf(" fd %d cloexec %d", fd, fcntl(fd, F_GETFD)); } }
		if (c->cmsg_type == SCM_CREDENTIALS) { struct ucred *k = (void *)CMSG_DATA(c); printf(" pid %d uid %d", k->pid == getpid() ? 1 : k->pid == getppid() ? 2 : 3, k->uid == getuid()); }
		printf("]");
	}
	printf("\n"); fflush(stdout);
}
static void rights(int type)
{
	int sv[2], p[2], fds[10];
	T(socketpair(AF_UNIX, type, 0, sv)); pipe(p); fds[0] = p[0]; fds[1] = open("file", O_CREAT | O_RDWR, 0600); fds[2] = open(".", O_RDONLY); write(fds[1], "content", 7);
	T(send_fd(sv[0], fds, 1, "pipe")); receive(sv[1], 500, 0); write(p[1], "through", 7); T(read(last_fd[0], buf, 100)); printf("%.7s\n", buf); close(last_fd[0]);
	T(send_fd(sv[0], fds, 3, "three")); receive(sv[1], 500, MSG_CMSG_CLOEXEC); T(lseek(last_fd[1], 0, SEEK_CUR)); T(lseek(last_fd[1], 0, SEEK_SET)); T(read(fds[1], buf, 4)); struct stat st; T(fstat(last_fd[2], &st)); printf("%o\n", st.st_mode & S_IFMT); T(fchdir(last_fd[2])); for (int i = 0; i < 3; i++) close(last_fd[i]);
	T(send_fd(sv[0], fds, 3, "cut")); receive(sv[1], CMSG_SPACE(4), 0); close(last_fd[0]); receive(sv[1], 100, MSG_DONTWAIT);
	T(send_fd(sv[0], fds, 1, "none")); T(read(sv[1], buf, 100)); 
	T(send_fd(sv[0], fds, 1, "no room")); receive(sv[1], 0, 0);
	fds[0] = 99; T(send_fd(sv[0], fds, 1, "bad"));
	fds[0] = sv[0]; T(send_fd(sv[0], fds, 1, "itself")); receive(sv[1], 500, 0); T(write(last_fd[0], "via", 3)); T(read(sv[1], buf, 10)); close(last_fd[0]);
	int one = 1; T(setsockopt(sv[1], SOL_SOCKET, SO_PASSCRED, &one, sizeof one)); T(write(sv[0], "who", 3)); receive(sv[1], 500, 0);
	pid_t pid = fork();
	if (!pid) { int f[1] = {p[1]}; send_fd(sv[0], f, 1, "cfd"); receive(sv[0], 500, 0); write(last_fd[0], "from child", 10); _exit(0); }
	receive(sv[1], 500, MSG_PEEK); close(last_fd[0]); receive(sv[1], 500, 0); write(last_fd[0], "x", 1); T(read(p[0], buf, 10)); close(last_fd[0]);
	int np[2]; pipe(np); fds[0] = np[1]; send_fd(sv[1], fds, 1, "to child"); close(np[1]); T(read(np[0], buf, 100)); int s; wait(&s); T(read(np[0], buf, 100));
	for (int i = 3; i < 20; i++) close(i);
}
static void many(void)
{
	int sv[2]; socketpair(AF_UNIX, SOCK_DGRAM, 0, sv);
	struct mmsghdr m[4]; struct iovec v[4]; memset(m, 0, sizeof m); for (int i = 0; i < 4; i++) { v[i].iov_base = "abcdefg" + i; v[i].iov_len = 7 - i; m[i].msg_hdr.msg_iov = v + i; m[i].msg_hdr.msg_iovlen = 1; }
	T(sendmmsg(sv[0], m, 4, 0)); printf("%d %d\n", m[0].msg_len, m[3].msg_len);
	static char in[4][10]; for (int i = 0; i < 4; i++) { v[i].iov_base = in[i]; v[i].iov_len = 5; } 
	T(recvmmsg(sv[1], m, 2, 0, 0)); printf("%d %d %x %.5s\n", m[0].msg_len, m[1].msg_len, m[0].msg_hdr.msg_flags, in[1]);
	T(recvmmsg(sv[1], m, 4, MSG_WAITFORONE, 0)); T(recvmmsg(sv[1], m, 4, MSG_DONTWAIT, 0)); 
	int a; T(write(sv[0], "12345", 5)); write(sv[0], "123", 3); T(ioctl(sv[1], FIONREAD, &a)); printf("%d\n", a);
	
	struct msghdr h = {0}; T(sendmsg(sv[0], &h, 0)); T(recvmsg(sv[1], &h, 0));
	close(sv[0]); close(sv[1]);
}
static void sigpipe(int n) { printf("signal %d\n", n); fflush(stdout); }
static void alarmed(int n) { printf("alarm\n"); fflush(stdout); }
static void later(int ms) { struct itimerval v = {.it_value.tv_usec = ms * 1000}; setitimer(ITIMER_REAL, &v, 0); }
static void waiting(void)
{
	int sv[2]; socketpair(AF_UNIX, SOCK_STREAM, 0, sv); signal(SIGPIPE, sigpipe);
	struct timeval tv = {0, 30000}; T(setsockopt(sv[0], SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof tv)); T(read(sv[0], buf, 1)); T(setsockopt(sv[0], SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof tv));
	fcntl(sv[0], F_SETFL, O_NONBLOCK); long total = 0, r; static char big[65536]; while ((r = write(sv[0], big, sizeof big)) > 0) total += r; printf("%d %s\n", total > 100000, strerror(errno)); struct pollfd p = {sv[0], POLLOUT}; T(poll(&p, 1, 0));
	while (total > 0) total -= read(sv[1], big, sizeof big); T(poll(&p, 1, 0)); fcntl(sv[0], F_SETFL, 0);
	T(write(sv[1], "ab", 2)); tv.tv_usec = 50000; T(recv(sv[0], buf, 5, MSG_WAITALL));
	struct sigaction sa = {.sa_handler = alarmed}; sigaction(SIGALRM, &sa, 0); tv.tv_usec = 0; setsockopt(sv[0], SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof tv); later(50); T(read(sv[0], buf, 1)); 
	sa.sa_flags = SA_RESTART; sigaction(SIGALRM, &sa, 0); if (!fork()) { usleep(250000); write(sv[1], "late", 4); _exit(0); } later(50); T(read(sv[0], buf, 10)); wait(0);
	int s = socket(AF_INET, SOCK_STREAM, 0); struct sockaddr_in a = {AF_INET}; bind(s, (void *)&a, sizeof a); listen(s, 1); sa.sa_flags = 0; sigaction(SIGALRM, &sa, 0); later(50); T(accept(s, 0, 0)); 
	close(sv[1]); T(write(sv[0], "x", 1)); T(send(sv[0], "x", 1, MSG_NOSIGNAL)); T(read(sv[0], buf, 1)); close(sv[0]); close(s);
	s = socket(AF_INET, SOCK_STREAM, 0); T(write(s, "x", 1)); close(s);
}
static void epolls(void)
{
	int e = epoll_create1(0), s = socket(AF_INET, SOCK_STREAM, 0), c, d; struct sockaddr_in a = {AF_INET}; socklen_t n = sizeof a; bind(s, (void *)&a, sizeof a); listen(s, 5); getsockname(s, (void *)&a, &n);
	struct epoll_event ev = {EPOLLIN, {.u64 = 0x1234567890}}, out[5]; T(epoll_ctl(e, EPOLL_CTL_ADD, s, &ev)); T(epoll_wait(e, out, 5, 0));
	c = socket(AF_INET, SOCK_STREAM, 0); a.sin_addr.s_addr = htonl(INADDR_LOOPBACK); T(connect(c, (void *)&a, sizeof a)); T(epoll_wait(e, out, 5, 1000)); printf("%x %llx\n", out[0].events, (long long)out[0].data.u64); T(d = accept(s, 0, 0)); T(epoll_wait(e, out, 5, 0));
	ev.events = EPOLLIN | EPOLLRDHUP | EPOLLET; ev.data.u64 = 5; T(epoll_ctl(e, EPOLL_CTL_ADD, d, &ev)); T(write(c, "x", 1)); T(epoll_wait(e, out, 5, 1000)); printf("%x\n", out[0].events); T(epoll_wait(e, out, 5, 0)); T(write(c, "x", 1)); T(epoll_wait(e, out, 5, 0));
	T(shutdown(c, SHUT_WR)); T(epoll_wait(e, out, 5, 1000)); printf("%x\n", out[0].events); close(c);
	for (int i = e; i < 12; i++) close(i);
}
static void names(void)
{
	struct addrinfo *r, h = {0, AF_INET, SOCK_STREAM}; int e = getaddrinfo("127.0.0.1", "80", &h, &r); printf("getaddrinfo %d\n", e); if (!e) { char t[100]; getnameinfo(r->ai_addr, r->ai_addrlen, t, sizeof t, buf, sizeof buf, NI_NUMERICHOST | NI_NUMERICSERV); printf("%s %s\n", t, buf); }
}
int main(void) { for (int i = 3; i < 20; i++) close(i); rights(SOCK_STREAM); rights(SOCK_DGRAM); rights(SOCK_SEQPACKET); many(); waiting(); epolls(); names(); return 0; }
