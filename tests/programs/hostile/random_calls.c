/* System calls with random numbers and arguments, each round in a child of its own: random_calls SEED ROUNDS CALLS [int80]
 *
 * Whatever happens to a child, the first process goes on, unless a child has killed it: it prints how many rounds ended and how.
 * The same seed makes the same calls.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

typedef unsigned long word;

enum { ROOM = 1 << 16, PAGE = 4096, LAST_CALL = 475 };

static uint64_t state;
static char *room; /* ROOM bytes, then a page for reading, then a page without access */
static int low;    /* by int 0x80 in 64-bit mode: addresses and values of 32 bits */

static uint32_t random32(void)
{
	state = state * 6364136223846793005u + 1442695040888963407u;
	return state >> 33;
}

static word call(word number, const word *a)
{
	word result;
#ifdef __x86_64__
	if (low) {
		__asm__ volatile("push %%rbp; mov 40(%%rdi), %%rbp; mov 32(%%rdi), %%rdi; int $0x80; pop %%rbp"
				 : "=a"(result)
				 : "0"(number), "b"(a[0]), "c"(a[1]), "d"(a[2]), "S"(a[3]), "D"(a)
				 : "memory", "cc", "r8", "r9", "r10", "r11");
		return result;
	}
	register word r10 __asm__("r10") = a[3], r8 __asm__("r8") = a[4], r9 __asm__("r9") = a[5];
	__asm__ volatile("syscall"
			 : "=a"(result)
			 : "0"(number), "D"(a[0]), "S"(a[1]), "d"(a[2]), "r"(r10), "r"(r8), "r"(r9)
			 : "memory", "cc", "rcx", "r11");
#else
	__asm__ volatile("pushl %%ebx; pushl %%ebp; movl (%5), %%ebx; movl 20(%5), %%ebp; movl 16(%5), %%edi; int $0x80; popl %%ebp; popl %%ebx"
			 : "=a"(result)
			 : "0"(number), "c"(a[1]), "d"(a[2]), "S"(a[3]), "D"(a)
			 : "memory", "cc");
#endif
	return result;
}

static const char *const NAMES[] = {
	"file", "", ".", "..", "/", "dir", "dir/x", "link", "loop", "new", "new/x", "/dev/null", "/dev/zero", "/dev/tty", "/dev/ptmx", "/dev/shm/x",
	"/proc/self/fd/3", "/proc/self/maps", "/proc/self/fd", "/proc/self/exe", "/proc/1/root", "/dev/fd/0/..", "/nowhere/x", "/etc/passwd",
	"fifo", "/tmp", "user.name", "trusted.name", "/proc/self/mem", "/proc/self/task/1000/comm", "/proc/sys/kernel/pid_max", "\xff\xfe",
};

static word value(void)
{
	static const word numbers[] = {
		0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 16, 32, 64, 100, 512, 1024, 4095, 4096, 65536, 0x10000000, 0x7fffffff, 0x80000000, (word)-1, (word)-2,
		(word)-100, (word)-4096, 0x5401, 0x5413, 0x541b, 01000, 02000, 04000, 0100, 0200000, 02000000, 0x20000000, 0x00010000, 0x00011200,
	};
	static word last;
	switch (random32() % 12) {
	case 0: case 1: return random32() % 16;				   /* a descriptor, a signal, a small number */
	case 2: return numbers[random32() % (sizeof numbers / sizeof *numbers)];
	case 3: return (word)room + random32() % ROOM;
	case 4: case 5: return (word)room + random32() % 32 * 256;	   /* a name, or numbers */
	case 6: return (word)room + ROOM - random32() % 16;		   /* the end of what can be written */
	case 7: return (word)room + ROOM + random32() % (2 * PAGE);
	case 8: return (word)getpid() - random32() % 2 * 2 * (word)getpid();
	case 9: return last;
	case 10: return 1u << random32() % 31;
	default: return last = random32() | (uint64_t)random32() << 20;
	}
}

static void fill(void)
{
	for (int n = 0; n < 32; n++) {
		char *at = room + n * 256;
		word *words = (word *)at;
		if (n < 20)
			strcpy(at, NAMES[random32() % (sizeof NAMES / sizeof *NAMES)]);
		else
			for (int i = 0; i < 256 / (int)sizeof(word); i++)
				words[i] = random32() % 3 ? random32() % 300 : value();
	}
}

static void child(int calls)
{
	alarm(random32() % 4 ? 0 : 1);
	open("file", O_RDWR);
	open("dir", O_RDONLY | O_DIRECTORY);
	int ends[2];
	pipe(ends);
	socketpair(AF_UNIX, SOCK_STREAM, 0, ends);
	open("/dev/zero", O_RDWR);
	for (int n = 0; n < calls; n++) {
		word a[6], number = random32() % 40 ? random32() % LAST_CALL : value();
		if (n % 8 == 0)
			fill();
		for (int i = 0; i < 6; i++)
			a[i] = low ? (uint32_t)value() : value();
		call(number, a);
	}
	_exit(0);
}

int main(int count, char **words)
{
	uint64_t seed = count > 1 ? strtoull(words[1], 0, 0) : 1;
	int rounds = count > 2 ? atoi(words[2]) : 1, calls = count > 3 ? atoi(words[3]) : 100, ended = 0, killed = 0, stopped = 0;
	low = count > 4;
	int flags = MAP_PRIVATE | MAP_ANONYMOUS;
#ifdef MAP_32BIT
	flags |= MAP_32BIT;
#endif
	room = mmap(0, ROOM + 2 * PAGE, PROT_READ | PROT_WRITE, flags, -1, 0);
	mprotect(room + ROOM, PAGE, PROT_READ);
	mprotect(room + ROOM + PAGE, PAGE, PROT_NONE);
	for (int n = 0; n < rounds; n++) {
		int status = 0, pid;
		state = seed * 1000003 + n;
		for (int i = 0; i < 4; i++)
			random32();
		if (!(pid = fork())) {
			setpgid(0, 0);
			child(calls);
		}
		for (int i = 0; i < 200; i++) { /* a child that waits for ever is ended after a fifth of a second */
			if (waitpid(pid, &status, WNOHANG) == pid) {
				pid = 0;
				break;
			}
			nanosleep(&(struct timespec){0, 1000000}, 0);
		}
		kill(-1, SIGKILL); /* its own children as well */
		if (pid) {
			stopped += waitpid(pid, &status, 0) == pid;
		} else if (WIFEXITED(status))
			ended++;
		else
			killed++;
	}
	printf("%d rounds: %d ended, %d killed, %d stopped\n", rounds, ended, killed, stopped);
	return 0;
}
