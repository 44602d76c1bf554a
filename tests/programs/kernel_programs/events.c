/* epoll, eventfd, timerfd, signalfd, timer_create, setitimer: what they give and what fails. */
#define _GNU_SOURCE
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#define T(x) do { errno = 0; long r_ = (long)(x); printf("%d %s = %ld %s\n", __LINE__, #x, r_, r_ < 0 ? strerror(errno) : ""); fflush(stdout); } while (0)
static uint64_t v;
static char buf[1000];
static void epolls(void)
{
	int p[2], e, q[2]; struct epoll_event ev = {EPOLLIN, {.u64 = 0x123456789abcULL}}, out[8]; pipe(p); pipe(q);
	T(epoll_create(0)); T(epoll_create1(1)); T(e = epoll_create1(EPOLL_CLOEXEC)); T(fcntl(e, F_GETFD));
	T(epoll_ctl(e, EPOLL_CTL_ADD, p[0], &ev)); T(epoll_ctl(e, EPOLL_CTL_ADD, p[0], &ev)); T(epoll_ctl(e, EPOLL_CTL_MOD, q[0], &ev)); T(epoll_ctl(e, EPOLL_CTL_DEL, q[0], 0)); T(epoll_ctl(e, EPOLL_CTL_ADD, e, &ev)); T(epoll_ctl(e, EPOLL_CTL_ADD, 99, &ev)); T(epoll_ctl(99, EPOLL_CTL_ADD, p[0], &ev)); T(epoll_ctl(p[0], EPOLL_CTL_ADD, p[1], &ev)); T(epoll_ctl(e, 77, p[0], &ev)); T(epoll_ctl(e, EPOLL_CTL_ADD, q[0], 0));
	int f = open("regular", O_CREAT | O_RDWR, 0600); T(epoll_ctl(e, EPOLL_CTL_ADD, f, &ev)); unlink("regular"); int d = open(".", O_RDONLY); T(epoll_ctl(e, EPOLL_CTL_ADD, d, &ev)); close(f); close(d);
	T(epoll_wait(e, out, 0, 0)); T(epoll_wait(e, out, -1, 0)); T(epoll_wait(p[0], out, 1, 0)); T(epoll_wait(e, out, 8, 0)); T(epoll_wait(e, out, 8, 20));
	write(p[1], "x", 1); T(epoll_wait(e, out, 8, -1)); printf("%x %llx\n", out[0].events, (long long)out[0].data.u64); T(epoll_wait(e, out, 8, 0)); T(epoll_wait(e, (void *)8, 8, 0));
	ev.events = EPOLLIN | EPOLLET; ev.data.u32 = 2; T(epoll_ctl(e, EPOLL_CTL_MOD, p[0], &ev)); T(epoll_wait(e, out, 8, 0)); T(epoll_wait(e, out, 8, 0)); write(p[1], "y", 1); T(epoll_wait(e, out, 8, 0));
	ev.events = EPOLLIN | EPOLLONESHOT; T(epoll_ctl(e, EPOLL_CTL_MOD, p[0], &ev)); T(epoll_wait(e, out, 8, 0)); T(epoll_wait(e, out, 8, 0)); T(epoll_ctl(e, EPOLL_CTL_MOD, p[0], &ev)); T(epoll_wait(e, out, 8, 0));
	int dup1 = dup(p[0]); ev.events = EPOLLIN; ev.data.u32 = 3; T(epoll_ctl(e, EPOLL_CTL_ADD, dup1, &ev)); T(epoll_wait(e, out, 8, 0)); printf("%d\n", out[0].data.u32); T(epoll_ctl(e, EPOLL_CTL_DEL, dup1, 0)); close(dup1);
	ev.events = EPOLLOUT; ev.data.u32 = 4; T(epoll_ctl(e, EPOLL_CTL_ADD, q[1], &ev)); T(epoll_wait(e, out, 1, 0)); close(q[0]); T(epoll_wait(e, out, 8, 0)); printf("%x\n", out[0].events); close(q[1]); T(epoll_wait(e, out, 8, 0));
	int outer = epoll_create1(0); ev.events = EPOLLIN; T(epoll_ctl(outer, EPOLL_CTL_ADD, e, &ev)); T(epoll_wait(outer, out, 8, 0)); T(epoll_ctl(e, EPOLL_CTL_ADD, outer, &ev)); ev.data.u32 = 9; T(epoll_ctl(e, EPOLL_CTL_MOD, p[0], &ev)); T(epoll_wait(outer, out, 8, 0)); struct pollfd pf = {outer, POLLIN}; T(poll(&pf, 1, 0));
	ev.events = EPOLLIN | EPOLLEXCLUSIVE; int x = eventfd(0, 0); T(epoll_ctl(e, EPOLL_CTL_ADD, x, &ev)); T(epoll_ctl(e, EPOLL_CTL_MOD, x, &ev)); ev.events |= EPOLLONESHOT; T(epoll_ctl(e, EPOLL_CTL_ADD, outer, &ev));
	T(read(e, buf, 1)); T(write(e, buf, 1)); struct timespec ts = {0, 1000000}; T(epoll_ctl(e, EPOLL_CTL_DEL, p[0], 0)); T(epoll_pwait(e, out, 8, 1, 0));
	/* children share the instance */
	ev.events = EPOLLIN; ev.data.u64 = 77; if (!fork()) { epoll_ctl(e, EPOLL_CTL_ADD, p[0], &ev); _exit(0); } wait(0); T(epoll_wait(e, out, 8, 0)); printf("%lld\n", (long long)out[0].data.u64);
	for (int i = 3; i < 20; i++) close(i);
}
static void eventfds(void)
{
	int e, s; T(eventfd(0, 0x100)); T(e = eventfd(3, EFD_NONBLOCK)); T(read(e, &v, 4)); T(read(e, &v, 8)); printf("%d\n", (int)v); T(read(e, &v, 8)); v = 5; T(write(e, &v, 8)); T(write(e, &v, 4)); v = -1; T(write(e, &v, 8)); v = -2; T(write(e, &v, 8)); T(read(e, &v, 8)); printf("%d\n", (int)v);
	T(s = eventfd(2, EFD_SEMAPHORE | EFD_NONBLOCK | EFD_CLOEXEC)); T(read(s, &v, 8)); printf("%d\n", (int)v); T(read(s, &v, 8)); T(read(s, &v, 8)); v = 0; T(write(s, &v, 8)); struct pollfd p = {s, POLLIN | POLLOUT}; T(poll(&p, 1, 0)); printf("%x\n", p.revents); T(pread(s, &v, 8, 0)); T(lseek(s, 0, SEEK_SET) == -1 && errno == ESPIPE);
	close(e); close(s);
}
static void timerfds(void)
{
	struct itimerspec i = {{0, 0}, {0, 20000000}}, o; int t, e;
	T(timerfd_create(99, 0)); T(timerfd_create(CLOCK_MONOTONIC, 1)); T(timerfd_create(CLOCK_PROCESS_CPUTIME_ID, 0)); T(t = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK)); T(read(t, &v, 8)); T(timerfd_settime(t, 0, &i, &o)); printf("%d %d\n", (int)o.it_value.tv_sec, (int)o.it_value.tv_nsec); T(read(t, &v, 8)); T(timerfd_gettime(t, &o)); printf("%d\n", o.it_value.tv_nsec > 0 && o.it_value.tv_nsec <= 20000000);
	struct pollfd p = {t, POLLIN | POLLOUT}; T(poll(&p, 1, 0)); T(poll(&p, 1, -1)); printf("%x\n", p.revents); T(read(t, &v, 4)); T(read(t, &v, 8)); printf("%d\n", (int)v); T(read(t, &v, 8)); T(timerfd_gettime(t, &o)); printf("%d\n", (int)o.it_value.tv_nsec);
	i.it_value.tv_nsec = 1000000000; T(timerfd_settime(t, 0, &i, 0)); i.it_value.tv_nsec = 1; T(timerfd_settime(t, 99, &i, 0)); T(timerfd_settime(0, 0, &i, 0)); T(timerfd_settime(99, 0, &i, 0)); T(write(t, &v, 8)); T(timerfd_gettime(0, &o));
	fcntl(t, F_SETFL, 0); i.it_value.tv_nsec = 10000000; i.it_interval.tv_nsec = 10000000; T(timerfd_settime(t, 0, &i, 0)); T(read(t, &v, 8)); printf("%d\n", (int)v >= 1); usleep(55000); T(read(t, &v, 8)); printf("%d\n", (int)v >= 4); T(timerfd_gettime(t, &o)); printf("%d\n", (int)o.it_interval.tv_nsec);
	memset(&i, 0, sizeof i); T(timerfd_settime(t, 0, &i, &o)); printf("%d\n", o.it_value.tv_nsec > 0); 
	struct timespec now; clock_gettime(CLOCK_REALTIME, &now); int r = timerfd_create(CLOCK_REALTIME, 0); i.it_value = now; i.it_value.tv_sec -= 1; T(timerfd_settime(r, TFD_TIMER_ABSTIME, &i, 0)); T(read(r, &v, 8)); printf("%d\n", (int)v); i.it_value = now; i.it_value.tv_nsec += 30000000; if (i.it_value.tv_nsec >= 1000000000) i.it_value.tv_nsec -= 1000000000, i.it_value.tv_sec++; T(timerfd_settime(r, TFD_TIMER_ABSTIME, &i, 0)); T(read(r, &v, 8)); printf("%d\n", (int)v);
	e = epoll_create1(0); struct epoll_event ev = {EPOLLIN | EPOLLET, {.fd = 5}}, out; T(epoll_ctl(e, EPOLL_CTL_ADD, t, &ev)); memset(&i, 0, sizeof i); i.it_value.tv_sec = 1; T(timerfd_settime(t, 0, &i, 0)); T(epoll_wait(e, &out, 1, 10)); T(epoll_wait(e, &out, 1, 5000)); T(epoll_wait(e, &out, 1, 0)); T(read(t, &v, 8));
	close(t); close(e); close(r);
}
static volatile int count, last_code, last_value, last_overrun;
static void handler(int n, siginfo_t *i, void *u) { count++; last_code = i->si_code; last_value = i->si_value.sival_int; last_overrun = i->si_overrun; }
static void posix_timers(void)
{
	struct sigaction sa = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO}; timer_t t, u; struct sigevent e = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1, .sigev_value.sival_int = 42}; struct itimerspec i = {{0, 0}, {0, 10000000}}, o;
	sigaction(SIGUSR1, &sa, 0); sigaction(SIGALRM, &sa, 0); sigaction(SIGRTMIN, &sa, 0);
	T(timer_create(99, &e, &t)); e.sigev_signo = 99; T(timer_create(CLOCK_MONOTONIC, &e, &t)); e.sigev_signo = SIGUSR1; T(timer_create(CLOCK_MONOTONIC, &e, &t)); T(timer_gettime(t, &o)); printf("%d\n", (int)o.it_value.tv_nsec); T(timer_settime(t, 0, &i, &o)); T(pause()); printf("%d code %d value %d\n", count, last_code, last_value); T(timer_getoverrun(t)); T(timer_gettime(t, &o)); printf("%d\n", (int)o.it_value.tv_nsec);
	i.it_value.tv_nsec = 1000000000; T(timer_settime(t, 0, &i, 0)); i.it_value.tv_nsec = 5000000; i.it_interval.tv_nsec = 5000000; T(timer_settime((timer_t)99, 0, &i, 0)); 
	sigset_t s; sigemptyset(&s); sigaddset(&s, SIGUSR1); sigprocmask(SIG_BLOCK, &s, 0); T(timer_settime(t, 0, &i, 0)); usleep(42000); count = 0; sigprocmask(SIG_UNBLOCK, &s, 0); printf("%d %d\n", count >= 1, last_overrun >= 5); T(timer_gettime(t, &o)); printf("%d\n", (int)o.it_interval.tv_nsec); T(timer_delete(t)); T(timer_delete(t)); T(timer_gettime(t, &o));
	T(timer_create(CLOCK_REALTIME, 0, &u)); memset(&i, 0, sizeof i); i.it_value.tv_nsec = 1; count = 0; T(timer_settime(u, 0, &i, 0)); usleep(1000); printf("%d %d\n", count, last_code); T(timer_delete(u));
	e.sigev_notify = SIGEV_NONE; T(timer_create(CLOCK_MONOTONIC, &e, &u)); i.it_value.tv_sec = 5; T(timer_settime(u, 0, &i, 0)); T(timer_gettime(u, &o)); printf("%d\n", (int)o.it_value.tv_sec >= 4); T(timer_delete(u));
	T(timer_create(CLOCK_PROCESS_CPUTIME_ID, &e, &u)); T(timer_delete(u)); 
	struct timespec ts; clock_gettime(CLOCK_MONOTONIC, &ts); ts.tv_nsec += 20000000; if (ts.tv_nsec >= 1000000000) ts.tv_nsec -= 1000000000, ts.tv_sec++; memset(&i, 0, sizeof i); i.it_value = ts; e.sigev_notify = SIGEV_SIGNAL; e.sigev_signo = SIGRTMIN; timer_create(CLOCK_MONOTONIC, &e, &u); count = 0; T(timer_settime(u, TIMER_ABSTIME, &i, 0)); T(usleep(1000000)); printf("%d\n", count); timer_delete(u);
}
static void signalfds(void)
{
	sigset_t s; sigemptyset(&s); sigaddset(&s, SIGUSR1); sigaddset(&s, SIGCHLD); sigaddset(&s, SIGRTMIN + 1); sigprocmask(SIG_BLOCK, &s, 0); int f; struct signalfd_siginfo in[4]; struct pollfd p;
	T(signalfd(0, &s, 0)); T(signalfd(99, &s, 0)); T(signalfd(-1, &s, 1)); T(f = signalfd(-1, &s, SFD_NONBLOCK)); T(read(f, in, sizeof *in)); T(read(f, in, 10)); p.fd = f; p.events = POLLIN | POLLOUT; T(poll(&p, 1, 0)); raise(SIGUSR1); T(poll(&p, 1, 0)); printf("%x\n", p.revents); T(kill(getpid(), SIGUSR1)); union sigval sv = {.sival_int = 33}; sigqueue(getpid(), SIGRTMIN + 1, sv);
	T(read(f, in, sizeof in)); printf("%d %d %d; %d %d %d\n", in[0].ssi_signo, in[0].ssi_pid == getpid(), in[0].ssi_uid == getuid(), in[1].ssi_signo == SIGRTMIN + 1, in[1].ssi_code, in[1].ssi_int); T(poll(&p, 1, 0)); T(read(f, in, sizeof in)); 
	pid_t pid = fork(); if (!pid) { kill(getppid(), SIGUSR1); _exit(5); } fcntl(f, F_SETFL, 0); int got = 0; while (got < 2) { int n = read(f, in, sizeof *in); if (in[0].ssi_signo == SIGUSR1) printf("usr1 from child %d\n", in[0].ssi_pid == pid), got++; if (in[0].ssi_signo == SIGCHLD) printf("chld %d status %d code %d\n", in[0].ssi_pid == pid, in[0].ssi_status, in[0].ssi_code), got++; } wait(0);
	int e = epoll_create1(0); struct epoll_event ev = {EPOLLIN}, out; T(epoll_ctl(e, EPOLL_CTL_ADD, f, &ev)); T(epoll_wait(e, &out, 1, 0)); raise(SIGUSR1); T(epoll_wait(e, &out, 1, 1000)); siginfo_t si; struct timespec z = {0, 0}; T(sigtimedwait(&s, &si, &z)); T(epoll_wait(e, &out, 1, 0));
	sigemptyset(&s); T(signalfd(f, &s, 0) == f); raise(SIGUSR1); T(epoll_wait(e, &out, 1, 0)); sigaddset(&s, SIGUSR1); signalfd(f, &s, 0); T(epoll_wait(e, &out, 1, 0)); T(read(f, in, sizeof *in)); T(write(f, in, 128));
}
static void alarms(void)
{
	struct itimerval i = {{0, 5000}, {0, 5000}}, o; struct sigaction sa = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO}; sigaction(SIGALRM, &sa, 0); sigaction(SIGPROF, &sa, 0); sigaction(SIGVTALRM, &sa, 0);
	count = 0; T(setitimer(ITIMER_REAL, &i, 0)); while (count < 3) ; T(getitimer(ITIMER_REAL, &o)); printf("%d\n", (int)o.it_interval.tv_usec); memset(&i, 0, sizeof i); T(setitimer(ITIMER_REAL, &i, &o)); printf("%d\n", last_code == SI_KERNEL);
	i.it_value.tv_usec = 10000; count = 0; T(setitimer(ITIMER_VIRTUAL, &i, 0)); while (!count) ; count = 0; T(setitimer(ITIMER_PROF, &i, 0)); while (!count) ; T(setitimer(77, &i, 0)); i.it_value.tv_usec = 1000000; T(setitimer(ITIMER_REAL, &i, 0)); T(alarm(100)); T(alarm(0)); T(getitimer(9, &o));
	struct timespec ts = {0, 1000000000}; T(nanosleep(&ts, 0)); ts.tv_nsec = -1; T(clock_nanosleep(CLOCK_MONOTONIC, 0, &ts, 0)); ts.tv_nsec = 1; T(clock_nanosleep(99, 0, &ts, 0)); T(clock_nanosleep(CLOCK_THREAD_CPUTIME_ID, 0, &ts, 0)); T(clock_nanosleep(CLOCK_BOOTTIME, 0, &ts, 0)); T(clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, 0)); ts.tv_sec = 2; ts.tv_nsec = 0; alarm(1); struct timespec left = {0}; T(nanosleep(&ts, &left)); printf("%d\n", (int)left.tv_sec + (left.tv_nsec > 500000000)); 
}
int main(void) { for (int i = 3; i < 20; i++) close(i); epolls(); eventfds(); timerfds(); posix_timers(); alarms(); signalfds(); return 0; }
