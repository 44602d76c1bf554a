/* inotify, splice, tee, vmsplice, pidfd. */
#define _GNU_SOURCE
#include <sys/inotify.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#define T(x) do { errno = 0; long r_ = (long)(x); printf("%d %s = %ld %s\n", __LINE__, #x, r_, r_ < 0 ? strerror(errno) : ""); fflush(stdout); } while (0)
static char buf[4096];
static void events(int f)
{
	int n = read(f, buf, sizeof buf); unsigned last = 0;
	if (n < 0) printf("none: %s\n", strerror(errno));
	for (char *p = buf; p < buf + n;) { struct inotify_event *e = (void *)p; printf("wd %d mask %x cookie %d name %s\n", e->wd, e->mask, e->cookie ? e->cookie == last ? 2 : 1 : 0, e->len ? e->name : "-"); last = e->cookie; p += sizeof *e + e->len; }
}
static void watches(void)
{
	int f, w; mkdir("d", 0777); T(inotify_init1(1)); T(f = inotify_init1(IN_NONBLOCK)); T(inotify_add_watch(f, "none", IN_ALL_EVENTS)); T(inotify_add_watch(f, "d", 0)); T(inotify_add_watch(0, "d", IN_CREATE)); T(inotify_add_watch(99, "d", IN_CREATE)); T(w = inotify_add_watch(f, "d", IN_CREATE | IN_DELETE | IN_MOVE | IN_CLOSE_WRITE)); T(inotify_add_watch(f, "d", IN_CREATE | IN_DELETE | IN_MOVE | IN_CLOSE_WRITE) == w); events(f);
	close(open("d/a", O_CREAT | O_WRONLY, 0600)); struct pollfd p = {f, POLLIN}; T(poll(&p, 1, 0)); events(f); rename("d/a", "d/b"); events(f); mkdir("d/sub", 0777); unlink("d/b"); rmdir("d/sub"); events(f); T(inotify_rm_watch(f, w)); events(f); T(inotify_rm_watch(f, w));
	int g = open("file", O_CREAT | O_RDWR, 0600); T(inotify_add_watch(f, "file", IN_MODIFY | IN_ATTRIB | IN_DELETE_SELF | IN_ONESHOT)); write(g, "x", 1); write(g, "y", 1); events(f); T(inotify_add_watch(f, "file", IN_ONLYDIR | IN_MODIFY)); T(inotify_add_watch(f, "file", IN_MODIFY | IN_CLOSE)); T(read(f, buf, 4)); write(g, "z", 1); T(read(f, buf, 4)); close(g); events(f); if (!fork()) { g = open("file", O_WRONLY); write(g, "c", 1); _exit(0); } wait(0); events(f); unlink("file"); rmdir("d"); T(write(f, buf, 1)); close(f);
}
static void splices(void)
{
	int p[2], q[2], sv[2], f = open("data", O_CREAT | O_RDWR, 0600); loff_t o = 2; pipe(p); pipe(q); write(f, "0123456789", 10);
	T(splice(f, &o, p[1], 0, 4, 0)); printf("%d\n", (int)o); T(read(p[0], buf, 10)); printf("%.4s\n", buf); lseek(f, 0, SEEK_SET); T(splice(f, 0, p[1], 0, 100, 0)); T(tee(p[0], q[1], 5, 0)); T(read(q[0], buf, 100)); printf("%.5s\n", buf); T(splice(p[0], 0, q[1], 0, 3, SPLICE_F_MOVE)); o = 0; int g = open("out", O_CREAT | O_RDWR, 0600); T(splice(p[0], 0, g, &o, 100, 0)); printf("%d\n", (int)o); T(pread(g, buf, 100, 0)); printf("%.7s\n", buf);
	T(splice(f, 0, g, 0, 1, 0)); T(splice(p[0], &o, g, 0, 1, 0)); T(splice(p[1], 0, g, 0, 1, 0)); T(splice(99, 0, p[1], 0, 1, 0)); T(splice(p[0], 0, q[1], 0, 1, 16)); T(splice(p[0], 0, q[1], 0, 1, SPLICE_F_NONBLOCK)); T(tee(p[0], p[1], 1, 0)); T(tee(f, p[1], 1, 0)); T(tee(p[0], q[1], 1, SPLICE_F_NONBLOCK)); T(splice(p[0], 0, q[1], 0, 0, 0)); int a = open("out", O_WRONLY | O_APPEND); write(p[1], "z", 1); T(splice(p[0], 0, a, 0, 1, 0));
	struct iovec v[2] = {{"vm", 2}, {"splice", 6}}; T(vmsplice(q[1], v, 2, 0)); T(read(q[0], buf, 100)); T(vmsplice(f, v, 1, 0)); T(vmsplice(q[1], (void *)8, 1, 0)); socketpair(AF_UNIX, SOCK_STREAM, 0, sv); T(splice(p[0], 0, sv[0], 0, 10, 0)); T(read(sv[1], buf, 10)); write(sv[0], "sock", 4); T(splice(sv[1], 0, q[1], 0, 10, 0)); T(read(q[0], buf, 10)); close(p[0]); signal(SIGPIPE, SIG_IGN); T(splice(f, &(loff_t){0}, p[1], 0, 4, 0)); unlink("data"); unlink("out");
}
static void pidfds(void)
{
	int f, q[2]; pipe(q); pid_t pid = fork(); siginfo_t si; if (!pid) { char c; read(q[0], &c, 1); _exit(9); }
	T(f = syscall(SYS_pidfd_open, pid, 0)); T(fcntl(f, F_GETFD)); T(syscall(SYS_pidfd_open, -1, 0)); T(syscall(SYS_pidfd_open, 999999, 0)); T(syscall(SYS_pidfd_open, pid, 1)); struct pollfd p = {f, POLLIN}; T(poll(&p, 1, 0)); T(syscall(SYS_pidfd_send_signal, f, 0, 0, 0)); T(syscall(SYS_pidfd_send_signal, 0, 0, 0, 0)); T(syscall(SYS_pidfd_send_signal, f, 0, 0, 77)); memset(&si, 0, sizeof si); T(waitid(3, f, &si, WEXITED | WNOHANG)); printf("%d\n", si.si_pid); write(q[1], "x", 1); T(poll(&p, 1, 5000)); printf("%x\n", p.revents); T(waitid(3, f, &si, WEXITED)); printf("%d %d\n", si.si_pid == pid, si.si_status); T(waitid(3, f, &si, WEXITED)); T(syscall(SYS_pidfd_send_signal, f, SIGTERM, 0, 0)); T(read(f, buf, 1)); T(waitid(3, 0, &si, WEXITED));
	pid = fork(); if (!pid) { pause(); _exit(0); } f = syscall(SYS_pidfd_open, pid, 0); T(syscall(SYS_pidfd_send_signal, f, SIGKILL, 0, 0)); T(waitid(3, f, &si, WEXITED)); printf("%d %d\n", si.si_code == CLD_KILLED, si.si_status); int me = syscall(SYS_pidfd_open, getpid(), 0), d; T(d = syscall(SYS_pidfd_getfd, me, q[1], 0)); T(write(d, "1", 1)); T(read(q[0], buf, 1)); T(syscall(SYS_pidfd_getfd, me, 99, 0));
}
int main(void) { for (int i = 3; i < 20; i++) close(i); watches(); splices(); pidfds(); return 0; }
