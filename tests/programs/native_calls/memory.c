/* System calls that change memory the CPU knows of: code, shared pages, descriptors that others hold. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

typedef int (*Function)(void);
static const unsigned char ONE[] = {0xb8, 1, 0, 0, 0, 0xc3}, TWO[] = {0xb8, 2, 0, 0, 0, 0xc3}; /* mov eax, N; ret */

static void read_code(const char *what, char *written, char *executed, int in, int out)
{
	int seen[4];
	for (int i = 0; i < 4; i++) {
		write(out, i % 2 ? TWO : ONE, sizeof ONE);
		read(in, written, sizeof ONE);
		seen[i] = ((Function)executed)();
	}
	printf("%s: %d %d %d %d\n", what, seen[0], seen[1], seen[2], seen[3]);
}

int main(int argc, char **argv)
{
	int ends[2], back[2];
	char buffer[32] = "";
	if (argc > 1) {
		printf("after exec: %ld\n", (long)read(3, buffer, 5));
		printf("closed by exec: %ld\n", (long)read(4, buffer, 5));
		return 0;
	}
	setvbuf(stdout, 0, _IONBF, 0);
	pipe(ends), pipe(back);
	char *both = mmap(0, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	read_code("code in its own page", both, both, ends[0], ends[1]);
	int file = memfd_create("code", 0);
	ftruncate(file, 4096);
	char *written = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
	char *executed = mmap(0, 4096, PROT_READ | PROT_EXEC, MAP_SHARED, file, 0);
	read_code("code in two mappings", written, executed, ends[0], ends[1]);

	volatile int *shared = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (!fork()) {
		for (int i = 1; i <= 100; i++) {
			read(ends[0], buffer, 1);
			*shared += i;
			write(back[1], "x", 1);
		}
		_exit(0);
	}
	int wrong = 0;
	for (int i = 1; i <= 100; i++) {
		write(ends[1], "x", 1);
		read(back[0], buffer, 1);
		wrong += *shared != i * (i + 1) / 2;
	}
	wait(0);
	printf("shared memory: %d, %d wrong\n", *shared, wrong);

	if (!fork()) { /* another process changes the code that this one executes */
		read(ends[0], buffer, 1);
		memcpy(written, TWO, sizeof TWO);
		write(back[1], "x", 1);
		_exit(0);
	}
	memcpy(written, ONE, sizeof ONE);
	int first = ((Function)executed)();
	write(ends[1], "x", 1);
	read(back[0], buffer, 1);
	printf("code from another process: %d, %d\n", first, ((Function)executed)());
	wait(0);

	char page[16] = "gift";
	struct iovec part = {page, 4};
	printf("vmsplice: %ld\n", (long)vmsplice(ends[1], &part, 1, 0));
	printf("read of it: %ld %.4s\n", (long)read(ends[0], buffer, 16), buffer);
	write(ends[1], "later", 5);
	dup2(ends[0], 3);
	int kept = open("/dev/null", O_RDONLY | O_CLOEXEC);
	dup3(kept, 4, O_CLOEXEC);
	if (kept != 4) close(kept);
	execl("/proc/self/exe", argv[0], "again", (char *)0);
	perror("exec");
	return 1;
}
