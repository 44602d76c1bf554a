/* Open files of events go to another process (SCM_RIGHTS): epoll, timerfd, eventfd, inotify, signalfd, memfd, and go on there. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <unistd.h>

enum { EPOLL, TIMER, EVENT, WATCH, MEMORY, SIGNALS, COUNT };

static void say(const char *what, long result)
{
	printf("%s: %ld %s\n", what, result, result < 0 ? strerror(errno) : "");
	fflush(stdout);
}

static void give(int socket, const int *files, int count)
{
	char control[CMSG_SPACE(sizeof(int) * COUNT)] = {0}, byte = 'x';
	struct iovec part = {&byte, 1};
	struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = CMSG_SPACE(sizeof(int) * count)};
	struct cmsghdr *header = CMSG_FIRSTHDR(&message);
	header->cmsg_level = SOL_SOCKET, header->cmsg_type = SCM_RIGHTS, header->cmsg_len = CMSG_LEN(sizeof(int) * count);
	memcpy(CMSG_DATA(header), files, sizeof(int) * count);
	if (sendmsg(socket, &message, 0) != 1)
		say("sendmsg", -1);
}

static void take(int socket, int *files, int room)
{
	char control[CMSG_SPACE(sizeof(int) * COUNT)], byte;
	struct iovec part = {&byte, 1};
	struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = CMSG_SPACE(sizeof(int) * room)};
	say("recvmsg", recvmsg(socket, &message, 0));
	struct cmsghdr *header = CMSG_FIRSTHDR(&message);
	int count = header ? (header->cmsg_len - CMSG_LEN(0)) / sizeof(int) : 0;
	printf("%d files, flags %x\n", count, message.msg_flags);
	if (count)
		memcpy(files, CMSG_DATA(header), sizeof(int) * count);
}

static void receiver(int socket)
{
	int files[COUNT];
	struct epoll_event event = {0};
	uint64_t number = 0;
	char bytes[600];
	struct signalfd_siginfo information;
	take(socket, files, COUNT);
	say("epoll_wait", epoll_wait(files[EPOLL], &event, 1, 2000));
	printf("data %u\n", event.data.u32);
	say("timer", read(files[TIMER], &number, 8));
	printf("%d\n", (int)number);
	say("event", read(files[EVENT], &number, 8));
	printf("%d\n", (int)number);
	close(open("made", O_CREAT | O_RDWR, 0600));
	say("watch", read(files[WATCH], bytes, sizeof bytes) > 0);
	printf("%s\n", ((struct inotify_event *)bytes)->name);
	say("memory", pread(files[MEMORY], bytes, 6, 0));
	printf("%.6s\n", bytes);
	raise(SIGUSR1);
	say("signals", read(files[SIGNALS], &information, sizeof information));
	printf("%d\n", information.ssi_signo);
	struct itimerspec spec = {.it_value = {0, 1000000}};
	say("armed here", timerfd_settime(files[TIMER], 0, &spec, 0));
	say("timer", read(files[TIMER], &number, 8));
	_exit(0);
}

int main(void)
{
	int pair[2], files[COUNT], status;
	sigset_t set;
	socketpair(AF_UNIX, SOCK_STREAM, 0, pair);
	sigemptyset(&set), sigaddset(&set, SIGUSR1), sigprocmask(SIG_BLOCK, &set, 0);
	if (!fork())
		receiver(pair[1]);
	files[EPOLL] = epoll_create1(0), files[TIMER] = timerfd_create(CLOCK_MONOTONIC, 0), files[EVENT] = eventfd(5, 0);
	files[WATCH] = inotify_init1(0), files[MEMORY] = memfd_create("m", 0), files[SIGNALS] = signalfd(-1, &set, 0);
	struct epoll_event event = {EPOLLIN, {.u32 = 77}};
	epoll_ctl(files[EPOLL], EPOLL_CTL_ADD, files[EVENT], &event);
	struct itimerspec spec = {.it_value = {0, 1000000}};
	timerfd_settime(files[TIMER], 0, &spec, 0);
	inotify_add_watch(files[WATCH], ".", IN_CREATE);
	write(files[MEMORY], "memory", 6);
	give(pair[0], files, COUNT);
	wait(&status);
	printf("status %x\n", status);
	give(pair[0], files, 2);
	take(pair[1], files, 1);
	give(pair[0], &files[TIMER], 1);
	take(pair[1], files, 0);
	return 0;
}
