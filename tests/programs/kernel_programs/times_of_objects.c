/* Times of System V objects lie between the readings of the clock around them, also when a file that is younger than the emulator's clock is
 * looked at in between; and time that is left of a timer is less than what was set. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

static void look(const char *name)
{
	struct stat status;
	close(open(name, O_WRONLY | O_CREAT, 0600)); /* made now, by the host's clock */
	stat(name, &status);
}

static const char *between(time_t before, time_t when)
{
	return when < before ? "too early" : when > before + 5 ? "too late" : "right";
}

static void objects(const char *name, time_t before)
{
	struct { long type; char text[8]; } message = {1, "text"};
	struct msqid_ds queue;
	struct semid_ds set;
	struct shmid_ds segment;
	struct sembuf up = {0, 1, 0};
	int messages = msgget(IPC_PRIVATE, 0600), semaphores = semget(IPC_PRIVATE, 1, 0600), memory = shmget(IPC_PRIVATE, 4096, 0600);
	msgsnd(messages, &message, 8, 0), msgrcv(messages, &message, 8, 0, 0);
	semop(semaphores, &up, 1);
	shmdt(shmat(memory, 0, 0));
	msgctl(messages, IPC_STAT, &queue), semctl(semaphores, 0, IPC_STAT, &set), shmctl(memory, IPC_STAT, &segment);
	printf("%s: queue %s %s %s, semaphores %s %s, segment %s %s %s\n", name, between(before, queue.msg_ctime), between(before, queue.msg_stime),
	       between(before, queue.msg_rtime), between(before, set.sem_ctime), between(before, set.sem_otime), between(before, segment.shm_ctime),
	       between(before, segment.shm_atime), between(before, segment.shm_dtime));
	printf("not later than now: %d\n", queue.msg_ctime <= time(0) && segment.shm_dtime <= time(0));
	msgctl(messages, IPC_RMID, 0), semctl(semaphores, 0, IPC_RMID), shmctl(memory, IPC_RMID, 0);
}

static void timers(void)
{
	struct itimerspec hundred = {{0, 0}, {100, 0}}, left, old;
	struct sigevent none = {.sigev_notify = SIGEV_NONE};
	struct itimerval fifty = {{0, 0}, {50, 0}}, rest;
	timer_t timer;
	timer_create(CLOCK_MONOTONIC, &none, &timer);
	timer_settime(timer, 0, &hundred, 0);
	timer_gettime(timer, &left);
	printf("%d\n", left.it_value.tv_sec == 99 && left.it_value.tv_nsec > 0);
	timer_settime(timer, 0, &hundred, &old);
	printf("%d\n", old.it_value.tv_sec == 99 && old.it_value.tv_nsec <= left.it_value.tv_nsec);
	int fd = timerfd_create(CLOCK_MONOTONIC, 0);
	timerfd_settime(fd, 0, &hundred, 0);
	timerfd_gettime(fd, &left);
	printf("%d\n", left.it_value.tv_sec == 99 && left.it_value.tv_nsec > 0);
	setitimer(ITIMER_REAL, &fifty, 0);
	getitimer(ITIMER_REAL, &rest);
	printf("%ld\n", (long)rest.it_value.tv_sec);
	printf("%u\n", alarm(0));
}

int main(void)
{
	struct timespec now;
	time_t before = time(0);
	look("one");
	objects("a file after the reading", before);
	look("two");
	before = time(0);
	objects("a file before the reading", before);
	clock_gettime(CLOCK_REALTIME, &now);
	look("three");
	objects("clock_gettime", now.tv_sec);
	timers();
	return 0;
}
