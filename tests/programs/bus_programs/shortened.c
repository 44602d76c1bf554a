/* A mapped file becomes shorter, by whoever the first argument says; a second one: without a handler. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <stdint.h>
#include <stdlib.h>
#include <errno.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
static sigjmp_buf back;
static volatile int count;
static char *base;
static void note(int sig, siginfo_t *info, void *context)
{
	(void)context;
	printf("signal %d code %d offset %ld\n", sig, info->si_code, (long)((char *)info->si_addr - base));
	siglongjmp(back, 1);
}
#define TRY(what) do { printf("%s: ", #what); fflush(stdout); if (!sigsetjmp(back, 1)) { what; printf("done\n"); } fflush(stdout); } while (0)
static int length(int fd) { return ftruncate(fd, 0); }
int main(int argc, char **argv)
{
	int fd = !strcmp(argv[1], "memfd") ? memfd_create("m", 0) : open("file", O_RDWR | O_CREAT | O_TRUNC, 0600);
	int shared = strcmp(argv[1], "private") ? MAP_SHARED : MAP_PRIVATE;
	ftruncate(fd, 3 * 4096);
	base = mmap(0, 3 * 4096, PROT_READ | PROT_WRITE, shared, fd, 0);
	volatile char *p = base;
	volatile uint32_t *w = (volatile uint32_t *)base;
	struct sigaction action = {.sa_sigaction = note, .sa_flags = SA_SIGINFO};
	printf("start\n");
	if (argc < 3) sigaction(SIGBUS, &action, 0);
	p[5] = 1; p[4096] = 2; p[8192] = 3;
	if (argc > 2) { fflush(stdout); length(fd); }
	else if (!strcmp(argv[1], "child")) { if (!fork()) { length(fd); _exit(0); } wait(0); }
	else length(fd);
	char sum = 0;
	TRY(sum += p[5]);
	TRY(p[4097] = 7);
	TRY(w[2] += 1);
	TRY(__atomic_fetch_add(w + 3, 1, __ATOMIC_SEQ_CST));
	TRY(__asm__ volatile("movups %0, %%xmm1" : : "m"(*(base + 4096 - 8))));
	TRY(__asm__ volatile("fldt %0; fstp %%st(0)" : : "m"(*(base + 100))));
	TRY(__asm__ volatile("fstpt %0" : "=m"(*(base + 100))));
	TRY(__asm__ volatile("cmpxchg8b %0" : "+m"(*(base + 4096 + 64)) : : "eax", "ebx", "ecx", "edx", "memory"));
	char other[64] = {0};
	TRY(memcpy(base + 8192, other, 64));
	TRY(__asm__ volatile("rep movsb" : : "S"(base + 10), "D"(other), "c"(20)));
	ftruncate(fd, 4096);
	TRY(printf("again %d ", p[5]));
	TRY(__asm__ volatile("movups %0, %%xmm1" : : "m"(*(base + 4096 - 8))));
	TRY(w[1023]++);
	int in = open("/dev/zero", O_RDONLY);
	printf("read %d\n", read(in, base + 4096, 10) < 0 ? errno : 0);
	printf("write %d\n", write(1, base + 4096, 10) < 0 ? errno : 0);
	int code = open("code", O_RDWR | O_CREAT | O_TRUNC, 0600);
	static char page[4096];
	memset(page, 0xC3, sizeof page); /* ret */
	write(code, page, sizeof page);
	write(code, page, sizeof page);
	base = mmap(0, 2 * 4096, PROT_READ | PROT_EXEC, shared, code, 0);
	void (*near)(void) = (void (*)(void))(base + 7), (*far)(void) = (void (*)(void))(base + 4096 + 9);
	TRY(near());
	void (*fresh)(void) = (void (*)(void))(base + 64);
	if (!fork()) { ftruncate(code, 0); _exit(0); }
	wait(0);
	TRY(fresh()); /* its page has been executed, this place in it has not */
	TRY(near()); /* this has */
	ftruncate(code, 0);
	TRY(near());
	TRY(far());
	return 3;
}
