/* Mappings: placement, splitting, growth, protection, files. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static sigjmp_buf jump;
static void leave(int sig, siginfo_t *info, void *context)
{
	printf("signal %d code %d\n", sig, info->si_code);
	siglongjmp(jump, 1);
}

#define ANON (MAP_PRIVATE | MAP_ANONYMOUS)
#define RW (PROT_READ | PROT_WRITE)
#define TRY(x) (errno = 0, (long)(x) == -1 ? errno : 0)

int main(int argc, char **argv)
{
	setvbuf(stdout, 0, _IONBF, 0);
	struct sigaction action = {0};
	action.sa_sigaction = leave;
	action.sa_flags = SA_SIGINFO;
	sigaction(SIGSEGV, &action, 0);
	sigaction(SIGBUS, &action, 0);

	char *a = mmap(0, 5 * 4096, RW, ANON, -1, 0);
	for (int i = 0; i < 5 * 4096; i++)
		a[i] = i / 4096 + 1;
	munmap(a + 4096, 4096);
	mprotect(a + 3 * 4096, 4096, PROT_READ);
	printf("%d %d %d %d\n", a[0], a[2 * 4096], a[3 * 4096], a[4 * 4096]);
	if (!sigsetjmp(jump, 1))
		a[4096] = 1;
	if (!sigsetjmp(jump, 1))
		a[3 * 4096] = 1;
	printf("fixed %d\n", mmap(a + 4096, 4096, RW, ANON | MAP_FIXED, -1, 0) == a + 4096);
	printf("zero %d\n", a[4096]);
	printf("noreplace %d\n", TRY(mmap(a, 4096, RW, ANON | MAP_FIXED_NOREPLACE, -1, 0)) == EEXIST);
	printf("hint %d\n", mmap(a, 4096, RW, ANON, -1, 0) != a);
	char *b = mremap(a + 2 * 4096, 4096, 3 * 4096, MREMAP_MAYMOVE);
	printf("moved %d: %d %d\n", b != a + 2 * 4096, b[0], b[2 * 4096]);
	if (!sigsetjmp(jump, 1))
		printf("%d\n", a[2 * 4096]);
	printf("shrunk %d\n", mremap(b, 3 * 4096, 4096, 0) == b);
	char *spread = mmap(0, 1 << 20, PROT_NONE, ANON, -1, 0);
	printf("reserve %d\n", mprotect(spread + 4096, 8192, RW));
	spread[4096] = spread[12287] = 3;
	if (!sigsetjmp(jump, 1))
		spread[0] = 1;
	memset(spread + 4096, 9, 8192);
	madvise(spread + 4096, 4096, MADV_DONTNEED);
	printf("dropped %d %d\n", spread[4096], spread[8192]);
	printf("errors %d %d %d %d %d\n", TRY(mmap(0, 0, RW, ANON, -1, 0)) == EINVAL,
	       TRY(mmap((void *)1, 4096, RW, ANON | MAP_FIXED, -1, 0)) == EINVAL, TRY(munmap(a + 1, 4096)) == EINVAL,
	       TRY(mprotect((char *)0x10000, 4096, RW)) == ENOMEM, TRY(mmap(0, 4096, RW, MAP_PRIVATE, 99, 0)) == EBADF);

	char *heap = (char *)syscall(SYS_brk, 0);
	printf("brk %d\n", (char *)syscall(SYS_brk, heap + 3 * 65536) == heap + 3 * 65536);
	memset(heap, 7, 3 * 65536);
	syscall(SYS_brk, heap + 2 * 65536);
	syscall(SYS_brk, heap + 3 * 65536);
	printf("again %d %d\n", heap[0], heap[2 * 65536 + 8192]);

	int fd = open(argv[1], O_RDONLY);
	char *file = mmap(0, 3 * 4096, RW, MAP_PRIVATE, fd, 0);
	printf("file %.5s\n", file);
	file[0] = 'J';
	char *other = mmap(0, 4096, PROT_READ, MAP_SHARED, fd, 0);
	printf("private %c shared %c\n", file[0], other[0]);
	printf("tail %d\n", file[4000]);
	if (!sigsetjmp(jump, 1))
		printf("%d\n", ((volatile char *)file)[4096 + 5]);
	printf("no write %d\n", TRY(mprotect(other, 4096, RW)) == EACCES);
	printf("EFAULT %d %d\n", TRY(write(1, (void *)16, 4)) == EFAULT, TRY(read(fd, other, 4)) == EFAULT);
	close(fd);
	printf("still %.4s\n", other + 1);

	int *shared = mmap(0, 4096, RW, MAP_SHARED | MAP_ANONYMOUS, -1, 0), *mine = mmap(0, 4096, RW, ANON, -1, 0);
	*shared = *mine = 1;
	if (!fork()) {
		*shared = *mine = 2;
		_exit(0);
	}
	wait(0);
	printf("shared %d mine %d\n", *shared, *mine);

	unsigned char code[] = {0xb8, 42, 0, 0, 0, 0xc3}; /* mov $42, %eax; ret */
	unsigned char *run = mmap(0, 4096, RW | PROT_EXEC, ANON, -1, 0);
	for (int i = 0; i < 40; i++) {
		code[1] = i;
		memcpy(run + (i % 3) * 1024, code, sizeof code);
		if (((int (*)(void))(run + (i % 3) * 1024))() != i)
			printf("stale code at %d\n", i);
	}
	memcpy(run, code, sizeof code);
	mprotect(run, 4096, PROT_READ | PROT_EXEC);
	printf("run %d\n", ((int (*)(void))run)());
	mprotect(run, 4096, RW);
	run[1] = 99;
	if (!sigsetjmp(jump, 1))
		((int (*)(void))run)();
	mprotect(run, 4096, PROT_READ | PROT_EXEC);
	printf("run %d\n", ((int (*)(void))run)());
	munmap(run, 4096);
	run = mmap(run, 4096, RW | PROT_EXEC, ANON | MAP_FIXED, -1, 0);
	code[1] = 55;
	memcpy(run, code, sizeof code);
	printf("run %d\n", ((int (*)(void))run)());
	/* code that changes the instruction behind it: movb $7, 2(%eax or %rax); mov imm8... in the same page */
	unsigned char self[] = {
#ifdef __x86_64__
		0xc6, 0x05, 1, 0, 0, 0, 7, 0xb8, 1, 0, 0, 0, 0xc3, /* movb $7, 1(%rip); mov $1, %eax; ret */
#else
		0xe8, 0, 0, 0, 0, 0x58, 0xc6, 0x40, 5, 7, 0xb8, 1, 0, 0, 0, 0xc3, /* call .; pop %eax; movb $7, 5(%eax); ... */
#endif
	};
#ifndef __x86_64__
	self[8] = 6;
#endif
	for (int i = 0; i < 3; i++) {
		memcpy(run + 512, self, sizeof self);
		printf("self %d\n", ((int (*)(void))(run + 512))());
	}
	void *many[300];
	for (int i = 0; i < 300; i++)
		memset(many[i] = malloc(1 + i * 997), i, 1 + i * 997);
	for (int i = 0; i < 300; i += 2)
		free(many[i]);
	for (int i = 1; i < 300; i += 2)
		if (((unsigned char *)many[i])[i * 997] != (unsigned char)i)
			printf("lost %d\n", i);
	char *big = malloc(100 << 20);
	big[0] = big[(100 << 20) - 1] = 1;
	big = realloc(big, 150 << 20);
	printf("big %d\n", big[0] + big[(100 << 20) - 1]);
	return 0;
}
