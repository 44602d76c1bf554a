/* Rare calls about memory: memory of processes by way of the kernel, pages in another order. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PAGE = 4096, RW = PROT_READ | PROT_WRITE, ANON = MAP_PRIVATE | MAP_ANONYMOUS };
#define SAY(call) do { errno = 0; long r = (long)(call); if (r == -1) printf("%s: %s\n", #call, strerror(errno)); else printf("%s: %ld\n", #call, r); } while (0)
static long from(pid_t pid, struct iovec *here, int n, struct iovec *there, int m, int flags)
{
	return syscall(SYS_process_vm_readv, pid, here, n, there, m, flags);
}
static long to(pid_t pid, struct iovec *here, int n, struct iovec *there, int m, int flags)
{
	return syscall(SYS_process_vm_writev, pid, here, n, there, m, flags);
}

static void named(char *at)
{
	char line[400], *name;
	unsigned long start, end;
	FILE *maps = fopen("/proc/self/maps", "r");
	while (maps && fgets(line, sizeof line, maps))
		if (sscanf(line, "%lx-%lx", &start, &end) == 2 && (unsigned long)at >= start && (unsigned long)at < end)
			printf("%s", (name = strchr(line, '[')) || (name = strstr(line, "/dev")) ? name : "-\n");
	if (maps)
		fclose(maps);
}

int main(void)
{
	setvbuf(stdout, 0, _IONBF, 0);
	char *p = mmap(0, 4 * PAGE, RW, ANON, -1, 0), text[20] = "hello world", buffer[20] = "", more[20] = "";
	munmap(p + 3 * PAGE, PAGE);
	strcpy(p, "one two three");
	pid_t me = getpid();

	struct iovec here[] = {{buffer, 5}, {more, 8}}, there[] = {{p, 3}, {p + 3, 10}};
	SAY(from(me, here, 2, there, 2, 0));
	printf("%s|%s\n", buffer, more);
	SAY(to(me, &(struct iovec){text, 11}, 1, &(struct iovec){p + PAGE - 4, 11}, 1, 0));
	printf("%s\n", p + PAGE - 4);
	SAY(from(me, here, 2, there, 2, 1));
	SAY(from(me, here, 2, there, -1, 0));
	SAY(from(me, here, 2000, there, 2, 0));
	SAY(from(me, here, 0, there, 2, 0));
	SAY(from(me, here, 2, there, 0, 0));
	SAY(from(me, here, 2, (void *)16, 2, 0));
	SAY(from(me, (void *)16, 2, there, 2, 0));
	SAY(from(me, &(struct iovec){buffer, 10}, 1, &(struct iovec){(void *)16, 10}, 1, 0));
	SAY(from(me, &(struct iovec){(void *)16, 10}, 1, &(struct iovec){p, 10}, 1, 0));
	SAY(from(me, &(struct iovec){buffer, 20}, 1, &(struct iovec){p + 3 * PAGE - 6, 20}, 1, 0));
	SAY(from(99999999, here, 2, there, 2, 0));
	mprotect(p, PAGE, PROT_READ);
	SAY(to(me, &(struct iovec){text, 4}, 1, &(struct iovec){p, 4}, 1, 0));
	mprotect(p, PAGE, RW);

	/* pages in another order */
	char *s = mmap(0, 3 * PAGE, RW, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	s[0] = 1, s[PAGE] = 2, s[2 * PAGE] = 3;
	SAY(syscall(SYS_remap_file_pages, s, PAGE, 0, 2, 0));
	printf("%d %d %d\n", s[0], s[PAGE], s[2 * PAGE]);
	s[2 * PAGE] = 9;
	printf("%d\n", s[0]);
	SAY(syscall(SYS_remap_file_pages, s, PAGE, 1, 0, 0));
	SAY(syscall(SYS_remap_file_pages, p, PAGE, 0, 0, 0));
	SAY(syscall(SYS_remap_file_pages, s + 1, 10, 0, 0, 0));

	named(s + PAGE);
	return 0;
}
