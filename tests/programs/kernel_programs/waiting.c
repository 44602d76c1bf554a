/* Pipes, poll, select, epoll, eventfd, time, identity, limits: native and emulated output must be the same. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/sysinfo.h>
#include <sys/time.h>
#include <sys/times.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#define T(call) do { errno = 0; long res_ = (long)(call); printf("%d: %s = %ld", __LINE__, #call, res_); \
    if (res_ == -1) printf(" %s", strerror(errno)); printf("\n"); } while (0)

static char buf[8192];
static volatile int got;
static void handler(int s) { got += s; }

int main(void)
{
    setvbuf(stdout, 0, _IONBF, 0);
    int p[2], q[2], n;
    T(pipe(p)); T(pipe2(q, O_NONBLOCK | O_CLOEXEC)); T(pipe2(q, 12345)); T(fcntl(p[0], F_GETFL) & ~O_LARGEFILE); T(fcntl(q[1], F_GETFL) & ~O_LARGEFILE); T(fcntl(q[1], F_GETFD)); T(pipe((int *)1));
    T(read(q[0], buf, 1)); T(write(p[1], "abcdef", 6)); T(ioctl(p[0], FIONREAD, &n)); T(n); T(lseek(p[0], 0, SEEK_SET)); T(pread(p[0], buf, 1, 0));
    struct pollfd f[4] = {{p[0], POLLIN}, {q[0], POLLIN}, {q[1], POLLOUT}, {99, POLLIN}};
    T(poll(f, 4, 0)); for (int i = 0; i < 4; i++) printf("%d ", f[i].revents); printf("\n");
    f[3].fd = -1; T(poll(f, 2, 10)); T(read(p[0], buf, 3)); T(poll(f, 2, -1)); T(read(p[0], buf, 100)); T(poll(f, 2, 10)); T(poll(0, 0, 10));
    struct timespec ts = {0, 1000000}; T(ppoll(f, 2, &ts, 0)); ts.tv_nsec = -1; T(ppoll(f, 2, &ts, 0));
    fd_set r, w, e; FD_ZERO(&r); FD_ZERO(&w); FD_ZERO(&e); FD_SET(p[0], &r); FD_SET(p[1], &w); struct timeval tv = {0, 1000};
    T(select(10, &r, &w, &e, &tv)); T(FD_ISSET(p[0], &r)); T(FD_ISSET(p[1], &w)); FD_ZERO(&r); FD_SET(p[0], &r); T(select(10, &r, 0, 0, &tv)); FD_SET(60, &r); T(select(61, &r, 0, 0, &tv)); T(select(-1, 0, 0, 0, &tv));
    T(write(p[1], "x", 1)); FD_ZERO(&r); FD_SET(p[0], &r); T(pselect(10, &r, 0, 0, 0, 0));
    int ep; T(ep = epoll_create1(EPOLL_CLOEXEC)); struct epoll_event ev = {EPOLLIN, {.u64 = 0x1122334455667788ull}}, out[4]; T(epoll_ctl(ep, EPOLL_CTL_ADD, p[0], &ev)); T(epoll_ctl(ep, EPOLL_CTL_ADD, p[0], &ev)); T(epoll_ctl(ep, EPOLL_CTL_DEL, q[0], 0)); T(epoll_ctl(ep, EPOLL_CTL_ADD, ep, &ev)); T(epoll_ctl(ep, EPOLL_CTL_ADD, 99, &ev));
    T(epoll_wait(ep, out, 4, -1)); printf("%x %llx\n", out[0].events, (unsigned long long)out[0].data.u64); T(read(p[0], buf, 10)); T(epoll_wait(ep, out, 4, 5)); T(epoll_wait(ep, out, 0, 5)); ev.events = EPOLLOUT; ev.data.u32 = 7; T(epoll_ctl(ep, EPOLL_CTL_ADD, p[1], &ev)); T(epoll_wait(ep, out, 4, 5)); T(out[0].data.u32); T(epoll_ctl(ep, EPOLL_CTL_DEL, p[1], 0)); T(epoll_wait(ep, out, 4, 0)); T(epoll_wait(p[0], out, 4, 0));
    T(close(p[0])); T(close(p[1])); T(pipe(p)); ev.events = EPOLLIN; ev.data.u32 = 9; T(epoll_ctl(ep, EPOLL_CTL_ADD, p[0], &ev)); T(write(p[1], "y", 1)); T(epoll_wait(ep, out, 4, 5)); T(out[0].data.u32); T(read(p[0], buf, 10)); ev.events = EPOLLIN | EPOLLONESHOT; T(epoll_ctl(ep, EPOLL_CTL_MOD, p[0], &ev)); T(write(p[1], "y", 1)); T(epoll_wait(ep, out, 4, 5)); T(epoll_wait(ep, out, 4, 5)); T(read(p[0], buf, 10)); T(epoll_ctl(ep, 9, p[0], &ev));
    int event; T(event = eventfd(3, EFD_NONBLOCK)); unsigned long long value; T(read(event, &value, 8)); T(value); T(read(event, &value, 8)); value = 5; T(write(event, &value, 8)); T(write(event, &value, 8)); T(read(event, &value, 8)); T(value); T(read(event, buf, 4));
    int s[2]; T(socketpair(AF_UNIX, SOCK_STREAM, 0, s)); T(write(s[0], "to", 2)); T(read(s[1], buf, 10)); T(shutdown(s[0], SHUT_WR)); T(read(s[1], buf, 10)); T(close(s[0])); T(socketpair(AF_INET, SOCK_STREAM, 0, s) < 0);
    /* ends of pipes */
    T(close(p[1])); T(read(p[0], buf, 10)); f[0].revents = 0; T(poll(f, 1, -1)); T(f[0].revents); signal(SIGPIPE, handler); T(close(q[0])); T(write(q[1], "x", 1)); T(got); signal(SIGPIPE, SIG_IGN); T(write(q[1], "x", 1));
    /* time */
    struct timespec a, b; T(clock_gettime(CLOCK_MONOTONIC, &a)); ts.tv_sec = 0; ts.tv_nsec = 20000000; T(nanosleep(&ts, 0)); T(clock_gettime(CLOCK_MONOTONIC, &b)); long ms = (b.tv_sec - a.tv_sec) * 1000 + (b.tv_nsec - a.tv_nsec) / 1000000; T(ms >= 20 && ms < 2000);
    T(clock_gettime(12345, &a)); T(clock_getres(CLOCK_REALTIME, &a)); T(a.tv_nsec); ts.tv_nsec = 1000000000; T(nanosleep(&ts, 0)); T(clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &b, 0)); b.tv_nsec += b.tv_nsec < 990000000 ? 1000000 : 0; T(clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &b, 0)); T(clock_nanosleep(12345, 0, &b, 0));
    T(time(0) > 1600000000); struct timeval tv1; T(gettimeofday(&tv1, 0)); T(tv1.tv_sec - time(0) <= 1); struct tms tms; T(times(&tms) != -1); struct rusage ru; T(getrusage(RUSAGE_SELF, &ru)); T(getrusage(99, &ru)); T(clock() >= 0); T(clock_settime(CLOCK_REALTIME + 12345, &b));
    /* a sleep that a timer ends */
    struct sigaction sa = {.sa_handler = handler}; T(sigaction(SIGALRM, &sa, 0)); struct itimerval it = {{0, 0}, {0, 20000}}; got = 0; T(setitimer(ITIMER_REAL, &it, 0)); ts.tv_sec = 5; ts.tv_nsec = 0; T(nanosleep(&ts, &ts)); T(ts.tv_sec); T(got); T(setitimer(ITIMER_REAL, &it, 0)); T(poll(0, 0, 5000)); T(got); T(setitimer(ITIMER_REAL, &it, 0)); T(pause()); T(got);
    T(setitimer(ITIMER_REAL, &it, 0)); T(close(ep)); T(pipe(p)); T(read(p[0], buf, 1)); T(got);
    /* identity and limits */
    T(getpid() == getpgrp() || getpid() > 1); T(getuid() == geteuid()); T(getgid() == getegid()); T(setuid(getuid())); T(setgid(getgid())); T(umask(027)); T(umask(022)); T(getpid() > 0); T(getppid() > 0); T(sched_yield()); T(getpgid(0) == getpgrp());
    struct rlimit rl; T(getrlimit(RLIMIT_NOFILE, &rl)); rl.rlim_cur = 20; T(setrlimit(RLIMIT_NOFILE, &rl)); T(getrlimit(RLIMIT_NOFILE, &rl)); T(rl.rlim_cur); T(dup2(0, 20)); T(dup2(1, 19)); T(fcntl(0, F_DUPFD, 20)); for (int i = 0; i < 30 && dup(0) >= 0; i++); T(dup(0)); T(pipe(p)); T(getrlimit(99, &rl)); rl.rlim_cur = 2; rl.rlim_max = 1; T(setrlimit(RLIMIT_CORE, &rl));
    for (int i = 5; i < 20; i++) close(i);
    struct utsname u; T(uname(&u)); printf("%s\n", u.sysname); struct sysinfo si; T(sysinfo(&si)); T(si.mem_unit >= 1); cpu_set_t set; T(sched_getaffinity(0, sizeof set, &set)); T(CPU_COUNT(&set) >= 1); T(getrandom(buf, 10, 0)); T(getrandom(buf, 10, 999)); T(getentropy(buf, 256)); T(getentropy(buf, 257)); T(prctl(PR_SET_NAME, "name-of-process")); T(prctl(PR_GET_NAME, buf)); printf("%s\n", buf); T(getpriority(PRIO_PROCESS, 0)); T(sysconf(_SC_PAGESIZE)); T(sysconf(_SC_NPROCESSORS_ONLN) >= 1); T(gethostname(buf, 100));
    /* a file size limit */
    signal(SIGXFSZ, handler); got = 0; getrlimit(RLIMIT_FSIZE, &rl); rl.rlim_cur = 10; T(setrlimit(RLIMIT_FSIZE, &rl)); int fd; T(fd = open("limited", O_RDWR | O_CREAT, 0600)); T(write(fd, "0123456", 7)); T(write(fd, "0123456", 7)); T(write(fd, "x", 1)); T(got); T(pwrite(fd, "abc", 3, 9)); T(write(1, "long enough a line\n", 19));
    return 0;
}
