/* System V IPC: shared memory, semaphores, messages, between processes; what fails. */
#define _GNU_SOURCE
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#define T(x) do { errno = 0; long r_ = (long)(x); printf("%d %s = %ld %s\n", __LINE__, #x, r_, r_ < 0 ? strerror(errno) : ""); fflush(stdout); } while (0)
#define OK(x) do { errno = 0; long r_ = (long)(x); printf("%d %s %s\n", __LINE__, #x, r_ == -1 ? strerror(errno) : "done"); fflush(stdout); } while (0)
union semun { int val; struct semid_ds *buf; unsigned short *array; };
static void memory(void)
{
	int id, other, status; struct shmid_ds d; char *a, *b; key_t key = 0x55534c00 + (getpid() & 0xff);
	OK(id = shmget(IPC_PRIVATE, 5000, IPC_CREAT | 0640)); T(shmctl(id, IPC_STAT, &d)); printf("%d %o %d %d %d %d %d\n", (int)d.shm_segsz, d.shm_perm.mode, (int)d.shm_nattch, d.shm_cpid == getpid(), d.shm_lpid, d.shm_perm.uid == getuid(), (int)d.shm_atime);
	OK(a = shmat(id, 0, 0)); OK(b = shmat(id, 0, SHM_RDONLY)); strcpy(a, "shared"); printf("%s %d\n", b, a == b); T(shmctl(id, IPC_STAT, &d)); printf("%d %d %d\n", (int)d.shm_nattch, d.shm_lpid == getpid(), d.shm_atime > 0);
	if (!fork()) { strcpy(a + 4096, "child"); shmctl(id, IPC_STAT, &d); printf("child %d\n", (int)d.shm_nattch); fflush(stdout); _exit(0); }
	wait(&status); printf("%s\n", b + 4096); T(shmctl(id, IPC_STAT, &d)); printf("%d\n", (int)d.shm_nattch);
	T(shmdt(b)); T(shmdt(b)); T(shmdt(a + 1)); T(shmdt((void *)0x1000)); OK(shmat(id, a, 0)); OK(shmat(id, a + 1, 0)); OK(shmat(id, a + 5, SHM_RND)); OK(shmat(-1, 0, 0)); OK(shmat(id + 77, 0, 0));
	T(shmctl(id, IPC_RMID, 0)); T(shmctl(id, IPC_STAT, &d)); printf("%o %d %d\n", d.shm_perm.mode, (int)d.shm_nattch, d.shm_perm.__ipc_perm_key); a[4999] = 'x'; OK(b = shmat(id, 0, 0)); T(shmdt(b)); T(shmdt(a)); T(shmctl(id, IPC_STAT, &d)); OK(shmat(id, 0, 0));
	T(shmget(key, 100, 0)); OK(id = shmget(key, 100, IPC_CREAT | 0600)); T(shmget(key, 100, IPC_CREAT | IPC_EXCL | 0600)); T(shmget(key, 100, 0) == id); T(shmget(key, 200, 0)); T(shmget(key, 0, 0) == id); T(shmget(IPC_PRIVATE, 0, IPC_CREAT)); T(shmctl(id, 999, &d)); T(shmctl(-1, IPC_STAT, &d));
	shmctl(id, IPC_STAT, &d); d.shm_perm.mode = 0444; T(shmctl(id, IPC_SET, &d)); T(shmctl(id, IPC_STAT, &d)); printf("%o\n", d.shm_perm.mode); T(shmctl(id, IPC_RMID, 0)); T(shmctl(id, IPC_RMID, 0));
	/* a key that a child makes is the parent's, too; a child that is killed lets go */
	if (!fork()) { other = shmget(key, 4096, IPC_CREAT | 0600); char *p = shmat(other, 0, 0); strcpy(p, "from child"); raise(SIGKILL); } wait(&status); OK(other = shmget(key, 4096, 0)); OK(a = shmat(other, 0, 0)); printf("%s\n", a); T(shmctl(other, IPC_STAT, &d)); printf("%d\n", (int)d.shm_nattch); T(shmctl(other, IPC_RMID, 0)); T(shmget(key, 4096, 0)); if (!fork()) _exit(a[0] == 'f'); wait(&status); T(WEXITSTATUS(status)); T(shmdt(a));
}
static void alarmed(int n) { }
static void semaphores(void)
{
	int id, status; struct semid_ds d; union semun u = {.buf = &d}; unsigned short v[5] = {1, 2, 3, 4, 5}, w[5]; struct sembuf o[3] = {{0, -1, 0}, {1, 1, 0}, {2, 0, IPC_NOWAIT}}; struct timespec ts = {0, 20000000};
	OK(id = semget(IPC_PRIVATE, 5, IPC_CREAT | 0600)); T(semctl(id, 0, GETVAL)); u.array = v; T(semctl(id, 0, SETALL, u)); u.array = w; T(semctl(id, 0, GETALL, u)); printf("%d %d %d\n", w[0], w[2], w[4]); u.buf = &d; T(semctl(id, 0, IPC_STAT, u)); printf("%d %o %d\n", (int)d.sem_nsems, d.sem_perm.mode, (int)d.sem_otime);
	T(semop(id, o, 3)); T(semctl(id, 0, GETVAL)); T(semctl(id, 1, GETVAL)); u.val = 0; T(semctl(id, 2, SETVAL, u)); T(semop(id, o, 3)); T(semctl(id, 0, GETVAL)); T(semctl(id, 1, GETVAL)); T(semctl(id, 0, GETPID) == getpid()); T(semctl(id, 2, GETPID) == getpid());
	o[0].sem_flg = IPC_NOWAIT; T(semop(id, o, 1)); o[0].sem_flg = 0; T(semtimedop(id, o, 1, &ts)); T(semctl(id, 0, GETNCNT)); ts.tv_nsec = -1; T(semtimedop(id, o, 1, &ts));
	o[0].sem_num = 5; T(semop(id, o, 1)); o[0].sem_num = 0; T(semop(id, o, 0)); T(semop(id, o, 100000)); T(semop(-1, o, 1)); T(semop(id + 9, o, 1)); T(semop(id, (void *)8, 1)); u.val = 32768; T(semctl(id, 0, SETVAL, u)); u.val = -1; T(semctl(id, 0, SETVAL, u)); T(semctl(id, 9, GETVAL)); T(semctl(id, -1, GETVAL)); T(semctl(id, 0, 999)); u.val = 32767; T(semctl(id, 0, SETVAL, u)); o[0].sem_op = 1; T(semop(id, o, 1)); u.val = 0; semctl(id, 0, SETVAL, u);
	T(semget(IPC_PRIVATE, 0, IPC_CREAT)); T(semget(IPC_PRIVATE, -1, IPC_CREAT)); T(semget(0x55534c99, 1, 0));
	/* two processes take turns */
	u.val = 0; semctl(id, 0, SETVAL, u); semctl(id, 1, SETVAL, u); pid_t pid = fork(); if (!pid) { for (int i = 0; i < 50; i++) { struct sembuf take = {0, -1, 0}, give = {1, 1, 0}; semop(id, &take, 1); semop(id, &give, 1); } _exit(7); }
	for (int i = 0; i < 50; i++) { struct sembuf give = {0, 1, 0}, take = {1, -1, 0}; semop(id, &give, 1); semop(id, &take, 1); } wait(&status); T(WEXITSTATUS(status)); T(semctl(id, 0, GETVAL)); T(semctl(id, 0, GETPID) == pid);
	/* undone at the end, also of a process that is killed */
	u.val = 5; semctl(id, 3, SETVAL, u); for (int i = 0; i < 2; i++) { if (!fork()) { struct sembuf t = {3, -3, SEM_UNDO}; semop(id, &t, 1); if (semctl(id, 3, GETVAL) != 2) printf("wrong\n"); if (i) raise(SIGKILL); _exit(0); } wait(0); T(semctl(id, 3, GETVAL)); }
	/* waiting ends by a signal, and by removal */
	struct sigaction sa = {.sa_handler = alarmed, .sa_flags = SA_RESTART}; sigaction(SIGALRM, &sa, 0); struct itimerval it = {.it_value.tv_usec = 20000}; setitimer(ITIMER_REAL, &it, 0); o[0].sem_num = 0; o[0].sem_op = -1; T(semop(id, o, 1));
	if (!fork()) { int r = semop(id, o, 1); printf("child %d %s\n", r, strerror(errno)); fflush(stdout); _exit(0); } while (semctl(id, 0, GETNCNT) != 1) usleep(1000); T(semctl(id, 0, GETNCNT)); semctl(id, 0, IPC_RMID); wait(0); T(semctl(id, 0, GETVAL)); T(semop(id, o, 1));
}
static void messages(void)
{
	struct { long type; char text[9000]; } m = {0}; struct msqid_ds d; int id, status;
	OK(id = msgget(IPC_PRIVATE, IPC_CREAT | 0600)); m.type = 0; T(msgsnd(id, &m, 1, 0)); m.type = -1; T(msgsnd(id, &m, 1, 0)); for (int i = 1; i <= 5; i++) { m.type = i % 3 + 1; sprintf(m.text, "text %d", i); T(msgsnd(id, &m, 7, 0)); } m.type = 9; T(msgsnd(id, &m, 0, 0)); T(msgsnd(id, &m, 8193, 0)); T(msgsnd(id, &m, -1, 0)); T(msgsnd(id, (void *)8, 1, 0)); T(msgsnd(id + 3, &m, 1, 0)); T(msgsnd(-1, &m, 1, 0));
	T(msgctl(id, IPC_STAT, &d)); printf("%d %d %d %d %d\n", (int)d.msg_qnum, (int)d.msg_qbytes, d.msg_lspid == getpid(), d.msg_lrpid, (int)d.msg_rtime);
	T(msgrcv(id, &m, 100, 2, 0)); printf("%ld %s\n", m.type, m.text); T(msgrcv(id, &m, 100, -2, 0)); printf("%ld %s\n", m.type, m.text); T(msgrcv(id, &m, 3, 0, 0)); T(msgrcv(id, &m, 3, 0, MSG_NOERROR)); printf("%ld %.3s\n", m.type, m.text); T(msgrcv(id, &m, 100, 3, MSG_EXCEPT)); printf("%ld\n", m.type); T(msgrcv(id, &m, 100, 77, IPC_NOWAIT)); T(msgrcv(id, &m, -1, 0, 0)); T(msgrcv(id, &m, 100, 9, 0)); printf("%ld\n", m.type);  T(msgrcv(id, &m, 100, 0, IPC_NOWAIT));
	m.type = 1; int n = 0; while (!msgsnd(id, &m, 1000, IPC_NOWAIT)) n++; printf("%d %s\n", n, strerror(errno)); while (msgrcv(id, &m, 9000, 0, IPC_NOWAIT) >= 0) n--; printf("%d\n", n); n = 0; d.msg_qbytes = 100; d.msg_perm.mode = 0600; T(msgctl(id, IPC_SET, &d)); while (!msgsnd(id, &m, 10, IPC_NOWAIT)) n++; printf("%d\n", n); while (msgrcv(id, &m, 9000, 0, IPC_NOWAIT) >= 0) ; d.msg_qbytes = 1 << 20; T(geteuid() ? msgctl(id, IPC_SET, &d) : (errno = EPERM, -1)); T(msgctl(id, 99, &d)); d.msg_qbytes = 16384; msgctl(id, IPC_SET, &d);
	if (!fork()) { for (int i = 0; i < 20; i++) { msgrcv(id, &m, 100, 1, 0); m.type = 2; msgsnd(id, &m, 5, 0); } _exit(3); } for (int i = 0; i < 20; i++) { m.type = 1; msgsnd(id, &m, 10, 0); if (msgrcv(id, &m, 100, 2, 0) != 5) printf("wrong\n"); } wait(&status); T(WEXITSTATUS(status));
	struct itimerval it = {.it_value.tv_usec = 20000}; setitimer(ITIMER_REAL, &it, 0); T(msgrcv(id, &m, 100, 0, 0)); int p[2]; pipe(p); if (!fork()) { write(p[1], "x", 1); int r = msgrcv(id, &m, 100, 0, 0); printf("child %d %s\n", r, strerror(errno)); fflush(stdout); _exit(0); } char c; read(p[0], &c, 1); usleep(100000); msgctl(id, IPC_RMID, 0); wait(0); T(msgsnd(id, &m, 1, 0)); T(msgget(0x55534c98, 0));
}
int main(void) { memory(); semaphores(); messages(); return 0; }
