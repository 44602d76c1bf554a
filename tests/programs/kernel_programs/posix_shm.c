/* POSIX shared memory and named semaphores: files in /dev/shm. */
#define _GNU_SOURCE
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <semaphore.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#define T(x) do { errno = 0; long r_ = (long)(x); printf("%d %s = %ld %s\n", __LINE__, #x, r_, r_ < 0 ? strerror(errno) : ""); fflush(stdout); } while (0)
int main(void)
{
	int f, status; struct stat st; char name[40], other[40]; for (int i = 3; i < 20; i++) close(i);
	sprintf(name, "/uselib-test-%d", getpid()); sprintf(other, "%s-b", name);
	T(shm_open(name, O_RDWR, 0)); T(f = shm_open(name, O_CREAT | O_RDWR | O_EXCL, 0640)); T(shm_open(name, O_CREAT | O_RDWR | O_EXCL, 0600)); T(fstat(f, &st)); printf("%o %d\n", st.st_mode, (int)st.st_size); T(ftruncate(f, 8192)); char *p = mmap(0, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, f, 0); printf("%d\n", p != MAP_FAILED); strcpy(p, "parent");
	if (!fork()) { int g = shm_open(name, O_RDWR, 0); char *q = mmap(0, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, g, 0); printf("%s\n", q); strcpy(q + 4096, "child"); fflush(stdout); g = shm_open(other, O_CREAT | O_RDWR, 0600); write(g, "left", 4); _exit(0); } wait(&status); printf("%s\n", p + 4096);
	int g; T(g = shm_open(other, O_RDONLY, 0)); char b[10] = ""; T(read(g, b, 10)); printf("%s\n", b); T(write(g, "x", 1)); T(shm_unlink(other)); T(shm_unlink(other)); T(shm_open(other, O_RDONLY, 0)); T(lseek(g, 0, SEEK_SET)); T(read(g, b, 10)); close(g);
	char path[60]; sprintf(path, "/dev/shm%s", name); T(access(path, R_OK | W_OK)); T(stat("/dev/shm", &st)); printf("%o\n", st.st_mode & 07777); DIR *d = opendir("/dev/shm"); int seen = 0; for (struct dirent *e; (e = readdir(d));) seen += !strcmp(e->d_name, name + 1); printf("listed %d\n", seen); closedir(d); int t; T(t = open(path, O_RDWR | O_TRUNC)); T(fstat(f, &st)); printf("%d\n", (int)st.st_size); T(write(t, "abc", 3)); T(pread(f, b, 10, 0)); close(t); T(shm_unlink(name)); T(close(f));
	sem_t *s = sem_open(name, O_CREAT | O_EXCL, 0600, 1); printf("%d\n", s != SEM_FAILED); printf("%d %s\n", sem_open(name, O_CREAT | O_EXCL, 0600, 1) == SEM_FAILED, strerror(errno)); T(sem_wait(s)); T(sem_trywait(s)); if (!fork()) { sem_t *c = sem_open(name, 0); usleep(20000); sem_post(c); _exit(0); } T(sem_wait(s)); wait(0); int v; T(sem_getvalue(s, &v)); printf("%d\n", v); T(sem_close(s)); T(sem_unlink(name)); T(sem_unlink(name)); printf("%d %s\n", sem_open(name, 0) == SEM_FAILED, strerror(errno));
	return 0;
}
