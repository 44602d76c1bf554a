/* Random calls about memory in one small range: after each, every page contains the same natively and in the emulator. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { PAGE = 4096, PAGES = 24, RW = PROT_READ | PROT_WRITE };
static char *const base = (char *)0x30000000;
static uint32_t state, sum;
static int ends[2], file, memory;
static unsigned below(unsigned n) { return (state = state * 1664525 + 1013904223) / 65536 % n; }
static void mix(uint32_t x) { sum = (sum ^ x) * 16777619; }

static void look(void)
{
	static unsigned char page[PAGE];
	for (int i = 0; i < PAGES; i++) {
		if (write(ends[1], base + i * PAGE, PAGE) != PAGE) {
			mix(errno);
			continue;
		}
		read(ends[0], page, PAGE);
		mix(page[0] | page[1] << 8 | page[PAGE - 1] << 16);
	}
}

static long step(char *what)
{
	int from = below(PAGES), count = 1 + below(PAGES - from < 6 ? PAGES - from : 6), to = below(PAGES), prot = below(8);
	char *at = base + from * PAGE;
	size_t size = count * PAGE;
	switch (*what = below(12)) {
	case 0: case 1: return (long)mmap(at, size, prot, MAP_FIXED | MAP_ANONYMOUS | (below(2) ? MAP_SHARED : MAP_PRIVATE), -1, 0);
	case 2: return (long)mmap(at, size, prot, MAP_FIXED | (below(2) ? MAP_SHARED : MAP_PRIVATE), below(2) ? file : memory, below(4) * PAGE);
	case 3: return munmap(at, size);
	case 4: case 5: return mprotect(at, size, prot);
	case 6: return (long)syscall(SYS_mremap, at, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED | (below(2) ? 4 : 0), base + to * PAGE);
	case 7: return (long)syscall(SYS_mremap, at, 0, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, base + to * PAGE);
	case 8: return (long)syscall(SYS_mremap, at, size, PAGE * (1 + below(6)), 0, 0);
	case 9: return madvise(at, size, below(2) ? MADV_DONTNEED : MADV_REMOVE);
	case 10: return pwrite(below(2) ? file : memory, &(char){state >> 24}, 1, below(6) * PAGE);
	default:
		write(ends[1], &(int){state}, 2);
		long got = read(ends[0], at, 2);
		char rest[2];
		int wrong = errno;
		if (got < 0)
			read(ends[0], rest, 2);
		errno = wrong;
		return got;
	}
}

int main(void)
{
	pipe(ends);
	file = open("file", O_RDWR | O_CREAT | O_TRUNC, 0600), memory = memfd_create("m", 0);
	mmap(base + PAGES * PAGE, PAGE, PROT_NONE, MAP_FIXED | MAP_ANONYMOUS | MAP_PRIVATE, -1, 0);
	for (int seed = 1; seed <= 4; seed++) {
		state = seed * 7919;
		ftruncate(file, 0), ftruncate(memory, 0);
		ftruncate(file, 4 * PAGE), ftruncate(memory, 5 * PAGE);
		munmap(base, PAGES * PAGE);
		for (int i = 0; i < 150; i++) {
			char what;
			long result = step(&what);
			int wrong = result == -1 ? errno : 0;
			sum = 0;
			look();
			printf("%d.%d %d: %ld %d %08x\n", seed, i, what, result, wrong, sum);
		}
	}
	return 0;
}
