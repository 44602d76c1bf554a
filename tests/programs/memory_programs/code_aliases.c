/* Code that is changed through another mapping of the same memory, by the kernel, or by another process. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PAGE = 4096, RW = PROT_READ | PROT_WRITE, RX = PROT_READ | PROT_EXEC, RWX = RW | PROT_EXEC, SIZE = 4 * PAGE };
static unsigned char code[] = {0xb8, 0, 0, 0, 0, 0xc3}; /* mov $N, %eax; ret */
static const char *what = "";

static unsigned char *with(int n)
{
	memcpy(code + 1, &n, 4);
	return code;
}

static void put(char *at, int n) { memcpy(at, with(n), sizeof code); }

static void expect(char *at, int n)
{
	int got = ((int (*)(void))at)();
	if (got != n)
		printf("%s: %d instead of %d\n", what, got, n);
}

static char *map(int fd, int prot, int how)
{
	char *p = mmap(0, SIZE, prot, how, fd, 0);
	if (p == MAP_FAILED)
		printf("%s: mmap: %s\n", what, strerror(errno));
	return p;
}

static int memory(const char *name)
{
	int fd = memfd_create(name, 0);
	ftruncate(fd, SIZE);
	return fd;
}

static int file(const char *name)
{
	int fd = open(name, O_RDWR | O_CREAT | O_TRUNC, 0600);
	ftruncate(fd, SIZE);
	return fd;
}

/* The way of compilers at run time: one mapping is written, the other is executed. */
static void two_mappings(int fd, int executed)
{
	char *w = map(fd, RW, MAP_SHARED), *x = map(fd, RX, executed);
	for (int i = 0; i < 40; i++) {
		int at = i % 4 * PAGE + i % 3 * 100;
		put(w + at, i);
		expect(x + at, i);
	}
	put(w + PAGE - 3, 77); /* in two pages */
	expect(x + PAGE - 3, 77);
	w[PAGE - 2] = 78;
	expect(x + PAGE - 3, 78);
	w[PAGE] = 1;
	expect(x + PAGE - 3, 78 + (1 << 16));
	mprotect(w, SIZE, PROT_READ);
	mprotect(w, SIZE, RW);
	put(w, 5);
	expect(x, 5);
	munmap(x, SIZE);
	char *y = mmap(x, PAGE, RX, executed | MAP_FIXED, fd, PAGE);
	put(w + PAGE, 6);
	expect(y, 6);
	put(w + PAGE, 7);
	expect(y, 7);
	munmap(w, SIZE);
	munmap(y, PAGE);
}

static void many_mappings(int fd)
{
	char *p[6];
	for (int i = 0; i < 6; i++)
		p[i] = map(fd, i < 2 ? RW : i < 4 ? RX : RWX, MAP_SHARED);
	for (int i = 0; i < 60; i++) {
		put(p[i % 6 < 2 ? i % 6 : 4 + i % 2], i);
		for (int j = 2; j < 6; j++)
			expect(p[j], i);
	}
	for (int i = 0; i < 6; i++)
		munmap(p[i], SIZE);
}

/* Code that changes what follows it, through another mapping: movb $N, other; then a jump to the changed instruction. */
static void changes_itself(int fd)
{
	char *w = map(fd, RW, MAP_SHARED), *x = map(fd, RX, MAP_SHARED);
#ifdef __x86_64__
	unsigned char text[] = {0x48, 0xb9, 0, 0, 0, 0, 0, 0, 0, 0, 0x88, 0x11, 0x31, 0xc0, 0x0f, 0xa2, 0xb8, 1, 0, 0, 0, 0xc3};
	long target = (long)(w + 512 + 17);
	memcpy(text + 2, &target, 8); /* mov $target, %rcx; mov %dl, (%rcx); xor %eax, %eax; cpuid; mov $1, %eax; ret */
#else
	unsigned char text[] = {0xb9, 0, 0, 0, 0, 0x88, 0x11, 0x31, 0xc0, 0x0f, 0xa2, 0xb8, 1, 0, 0, 0, 0xc3};
	long target = (long)(w + 512 + 12);
	memcpy(text + 1, &target, 4);
#endif
	memcpy(w + 512, text, sizeof text);
	for (int i = 0; i < 50; i++) {
		int result, dx = i;
		__asm__ volatile("call *%2" : "=a"(result), "+d"(dx) : "D"(x + 512) : "ebx", "ecx", "memory");
		if (result != i)
			printf("changes itself: %d instead of %d\n", result, i);
	}
	munmap(w, SIZE);
	munmap(x, SIZE);
}

/* The kernel writes into the file. */
static void written_file(int fd, int executed, const char *name)
{
	char *x = map(fd, RX, executed);
	for (int i = 0; i < 12; i++) {
		int at = i % 3 * PAGE;
		pwrite(fd, with(100 + i), sizeof code, at);
		expect(x + at, 100 + i);
		lseek(fd, at, SEEK_SET);
		write(fd, with(200 + i), sizeof code);
		expect(x + at, 200 + i);
		struct iovec parts[2] = {{code, 2}, {code + 2, 4}};
		with(300 + i);
		lseek(fd, at, SEEK_SET);
		writev(fd, parts, 2);
		expect(x + at, 300 + i);
		with(400 + i);
		pwritev(fd, parts, 2, at);
		expect(x + at, 400 + i);
	}
	int other = file("other");
	write(other, with(500), sizeof code);
	lseek(other, 0, SEEK_SET);
	lseek(fd, 0, SEEK_SET);
	sendfile(fd, other, 0, sizeof code);
	expect(x, 500);
	pwrite(other, with(501), sizeof code, 0);
	off_t from = 0, to = PAGE;
	if (syscall(SYS_copy_file_range, other, &from, fd, &to, sizeof code, 0) == sizeof code)
		expect(x + PAGE, 501);
	else if (errno != EXDEV)
		puts(strerror(errno));
	close(other);
	ftruncate(fd, PAGE + 1); /* the rest of the page is zero now */
	ftruncate(fd, SIZE);
	pwrite(fd, with(502) + 1, 5, PAGE + 1);
	expect(x + PAGE, 502);
	if (name) {
		close(open(name, O_RDWR | O_TRUNC));
		ftruncate(fd, SIZE);
		pwrite(fd, with(503), sizeof code, PAGE);
		expect(x + PAGE, 503);
		truncate(name, PAGE + 1);
		ftruncate(fd, SIZE);
		pwrite(fd, with(504) + 1, 5, PAGE + 1);
		expect(x + PAGE, 504);
	}
	munmap(x, SIZE);
}

/* The kernel writes into memory. */
static void written_memory(int fd)
{
	char *w = map(fd, RW, MAP_SHARED), *x = map(fd, RX, MAP_SHARED);
	int ends[2], pair[2];
	pipe(ends);
	socketpair(AF_UNIX, SOCK_STREAM, 0, pair);
	for (int i = 0; i < 12; i++) {
		int at = i % 3 * PAGE;
		write(ends[1], with(i), sizeof code);
		read(ends[0], w + at, sizeof code);
		expect(x + at, i);
		write(ends[1], with(100 + i), sizeof code);
		struct iovec parts[2] = {{w + at, 2}, {w + at + 2, 4}};
		readv(ends[0], parts, 2);
		expect(x + at, 100 + i);
		write(pair[1], with(200 + i), sizeof code);
		recv(pair[0], w + at, sizeof code, 0);
		expect(x + at, 200 + i);
		int source = file("source");
		ftruncate(source, 3 * PAGE);
		pwrite(source, with(300 + i), sizeof code, 2 * PAGE);
		pread(source, w + PAGE, 2 * PAGE + sizeof code, 0);
		expect(x + 3 * PAGE, 300 + i);
		close(source);
	}
	munmap(w, SIZE);
	munmap(x, SIZE);
}

/* A page of a private mapping that has been written is no longer the file's. */
static void private_copy(int fd)
{
	char *w = map(fd, RW, MAP_SHARED), *x = map(fd, RWX, MAP_PRIVATE);
	put(w, 1);
	put(w + PAGE, 1);
	expect(x, 1);
	put(x, 2);
	expect(x, 2);
	put(w, 3);
	put(w + PAGE, 3);
	expect(x, 2);
	expect(x + PAGE, 3);
	madvise(x, SIZE, MADV_DONTNEED);
	expect(x, 3);
	munmap(w, SIZE);
	munmap(x, SIZE);
}

/* Another process changes it; a system call lies between. */
static void other_process(char *w, char *x)
{
	int to[2], from[2], n = 0;
	put(w, 0);
	expect(x, 0);
	pipe(to);
	pipe(from);
	if (!fork()) {
		while (read(to[0], &n, sizeof n) == sizeof n && n >= 0) {
			put(w, n);
			write(from[1], &n, sizeof n);
		}
		_exit(0);
	}
	for (int i = 1; i < 6; i++) {
		write(to[1], &i, sizeof i);
		read(from[0], &n, sizeof n);
		expect(x, i);
	}
	n = -1;
	write(to[1], &n, sizeof n);
	wait(0);
	close(to[0]), close(to[1]), close(from[0]), close(from[1]);
}

#define STEP(call) (what = #call, call)

int main(void)
{
	setvbuf(stdout, 0, _IONBF, 0);
	int m = memory("m"), f = file("f");
	STEP(two_mappings(m, MAP_SHARED));
	STEP(two_mappings(f, MAP_SHARED));
	STEP(two_mappings(f, MAP_PRIVATE));
	STEP(two_mappings(m, MAP_PRIVATE));
	STEP(many_mappings(m));
	STEP(many_mappings(f));
	STEP(changes_itself(m));
	STEP(changes_itself(f));
	STEP(written_file(f, MAP_SHARED, "f"));
	STEP(written_file(f, MAP_PRIVATE, "f"));
	STEP(written_file(m, MAP_SHARED, 0));
	STEP(written_memory(m));
	STEP(written_memory(f));
	STEP(private_copy(f));
	STEP(other_process(map(m, RW, MAP_SHARED), map(m, RX, MAP_SHARED)));
	char *both = mmap(0, PAGE, RWX, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	STEP(other_process(both, both));
	puts("done");
	return 0;
}
