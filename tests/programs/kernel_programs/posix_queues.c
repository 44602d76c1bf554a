/* POSIX message queues. */
#define _GNU_SOURCE
#include <sys/wait.h>
#include <errno.h>
#include <fcntl.h>
#include <mqueue.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#define T(x) do { errno = 0; long r_ = (long)(x); printf("%d %s = %ld %s\n", __LINE__, #x, r_, r_ < 0 ? strerror(errno) : ""); fflush(stdout); } while (0)
static volatile int count, value, code;
static void handler(int n, siginfo_t *i, void *u) { count++; value = i->si_value.sival_int; code = i->si_code; }
int main(void)
{
	char name[40], b[100]; mqd_t q, r, w; struct mq_attr a = {0, 3, 50}, o; unsigned p; int status; struct timespec ts; for (int i = 3; i < 20; i++) close(i); sprintf(name, "/uselib-q-%d", getpid());
	T(mq_open(name, O_RDWR)); T(mq_open("bad", O_RDWR | O_CREAT, 0600, 0) < 0 ? 0 : mq_unlink("/bad")); T(mq_open("/a/b", O_RDWR | O_CREAT, 0600, 0)); a.mq_maxmsg = 0; T(mq_open(name, O_CREAT | O_RDWR, 0600, &a)); a.mq_maxmsg = 100000; T(mq_open(name, O_CREAT | O_RDWR, 0600, &a)); a.mq_maxmsg = 3; T(q = mq_open(name, O_CREAT | O_RDWR | O_EXCL, 0600, &a)); T(mq_open(name, O_CREAT | O_RDWR | O_EXCL, 0600, &a)); T(mq_getattr(q, &o)); printf("%ld %ld %ld %ld\n", o.mq_flags, o.mq_maxmsg, o.mq_msgsize, o.mq_curmsgs);
	T(mq_send(q, "low", 4, 1)); T(mq_send(q, "high", 5, 9)); T(mq_send(q, "low 2", 6, 1)); T(mq_send(q, b, 51, 0)); T(mq_send(q, b, 1, 40000)); clock_gettime(CLOCK_REALTIME, &ts); ts.tv_nsec += 10000000; if (ts.tv_nsec > 999999999) ts.tv_sec++, ts.tv_nsec -= 1000000000; T(mq_timedsend(q, "x", 1, 0, &ts)); struct pollfd f = {q, POLLIN | POLLOUT}; T(poll(&f, 1, 0)); printf("%x\n", f.revents);
	T(mq_receive(q, b, 10, &p)); T(mq_receive(q, b, 100, &p)); printf("%s %u\n", b, p); T(mq_receive(q, b, 50, &p)); printf("%s %u\n", b, p); T(mq_receive(q, b, 50, 0)); printf("%s\n", b); T(poll(&f, 1, 0)); printf("%x\n", f.revents); clock_gettime(CLOCK_REALTIME, &ts); T(mq_timedreceive(q, b, 50, &p, &ts)); ts.tv_nsec = -1; T(mq_timedreceive(q, b, 50, &p, &ts));
	a.mq_flags = O_NONBLOCK; T(mq_setattr(q, &a, &o)); T(mq_receive(q, b, 50, &p)); T(mq_getattr(q, &o)); printf("%lo\n", o.mq_flags); a.mq_flags = 0; mq_setattr(q, &a, 0); T(r = mq_open(name, O_RDONLY)); T(mq_send(r, "x", 1, 0)); T(w = mq_open(name, O_WRONLY | O_NONBLOCK)); T(mq_receive(w, b, 50, 0)); for (int i = 0; i < 3; i++) mq_send(w, "x", 1, 0); T(mq_send(w, "x", 1, 0)); for (int i = 0; i < 3; i++) mq_receive(r, b, 50, 0);
	struct sigaction sa = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO}; sigaction(SIGUSR1, &sa, 0); struct sigevent e = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1, .sigev_value.sival_int = 7}; T(mq_notify(q, &e)); T(mq_notify(q, &e)); mq_send(q, "n", 2, 0); printf("%d %d %d\n", count, value, code); mq_send(q, "n", 2, 0); printf("%d\n", count); T(mq_notify(q, &e)); T(mq_notify(q, 0)); e.sigev_signo = 99; T(mq_notify(q, &e)); mq_receive(q, b, 50, 0); mq_receive(q, b, 50, 0); T(mq_notify(0, &e)); T(mq_close(99)); T(mq_receive(0, b, 50, 0));
	if (!fork()) { for (int i = 0; i < 10; i++) { sprintf(b, "message %d", i); mq_send(q, b, 20, i); } _exit(0); } int got = 0; for (int i = 0; i < 10; i++) got += mq_receive(q, b, 50, 0); printf("%d\n", got); wait(&status); alarm(0);
	T(mq_unlink(name)); T(mq_unlink(name)); T(mq_open(name, O_RDWR)); T(mq_send(q, "still", 6, 0)); T(mq_receive(r, b, 50, 0)); T(mq_close(q)); T(mq_close(q));
	return 0;
}
