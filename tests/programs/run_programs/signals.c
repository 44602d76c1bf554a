/* Signal delivery: what a handler sees and what happens afterwards. Prints nothing that differs between machines. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

static sigjmp_buf jump;
static volatile sig_atomic_t count, order[16];
static char *page;

static void set(int sig, void (*handler)(int, siginfo_t *, void *), int flags)
{
	struct sigaction action;
	memset(&action, 0, sizeof action);
	action.sa_sigaction = handler;
	action.sa_flags = SA_SIGINFO | flags;
	if (sigaction(sig, &action, 0))
		perror("sigaction");
}

static void repair(int sig, siginfo_t *info, void *context)
{
	printf("signal %d code %d offset %ld\n", sig, info->si_code, (long)((char *)info->si_addr - page));
	mprotect(page, 4096, PROT_READ | PROT_WRITE);
	count++;
}

static void leave(int sig, siginfo_t *info, void *context)
{
	printf("signal %d code %d\n", sig, info->si_code);
	siglongjmp(jump, 1);
}

static void skip(int sig, siginfo_t *info, void *context)
{
	ucontext_t *u = context;
#ifdef __x86_64__
	printf("trap at %d\n", *(unsigned char *)u->uc_mcontext.gregs[REG_RIP]);
	u->uc_mcontext.gregs[REG_RIP] += 2;
	u->uc_mcontext.gregs[REG_RBX] = 77;
#else
	printf("trap at %d\n", *(unsigned char *)u->uc_mcontext.gregs[REG_EIP]);
	u->uc_mcontext.gregs[REG_EIP] += 2;
	u->uc_mcontext.gregs[REG_EBX] = 77;
#endif
}

static void note(int sig, siginfo_t *info, void *context)
{
	order[count++] = sig;
	if (sig == SIGUSR1 && count == 1)
		raise(SIGUSR2);
}

static void plain(int sig)
{
	order[count++] = sig;
}

static void deep(int sig, siginfo_t *info, void *context)
{
	stack_t now;
	sigaltstack(0, &now);
	printf("signal %d on the alternate stack: %d\n", sig, !!(now.ss_flags & SS_ONSTACK));
	siglongjmp(jump, 1);
}

static int overflow(volatile char *up)
{
	volatile char room[4096];
	room[0] = up ? up[0] : 1;
	return overflow(room) + room[0];
}

static void floats(int sig)
{
	volatile double x = 1.5;
	for (int i = 0; i < 100; i++)
		x = x * 1.25 + i;
	volatile long double y = x;
	y = y / 3;
}

int main(void)
{
	setvbuf(stdout, 0, _IONBF, 0);
	page = mmap(0, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	set(SIGSEGV, repair, 0);
	mprotect(page, 4096, PROT_NONE);
	page[123] = 5;
	mprotect(page, 4096, PROT_NONE);
	printf("read %d\n", ((volatile char *)page)[123]);
	mprotect(page, 4096, PROT_READ);
	*(volatile int *)(page + 4090) = 9;
	mprotect(page, 8192, PROT_NONE);
	mprotect(page + 4096, 4096, PROT_READ | PROT_WRITE);
	memset(page, 1, 8192);
	printf("repaired %d\n", count);

	set(SIGSEGV, leave, 0);
	if (!sigsetjmp(jump, 1))
		*(volatile int *)8 = 1;
	if (!sigsetjmp(jump, 1))
		((void (*)(void))page)();
	set(SIGFPE, leave, 0);
	volatile int zero = 0;
	if (!sigsetjmp(jump, 1))
		zero = 1 / zero;
	set(SIGILL, leave, 0);
	if (!sigsetjmp(jump, 1))
		__asm__ volatile("ud2");
	set(SIGTRAP, leave, 0);
	if (!sigsetjmp(jump, 1))
		__asm__ volatile("int3");

	set(SIGILL, skip, 0);
	long value = 5;
	__asm__ volatile("ud2" : "+b"(value));
	printf("ebx %ld\n", value);

	set(SIGUSR1, note, 0);
	set(SIGUSR2, note, 0);
	count = 0;
	raise(SIGUSR1);
	printf("nested: %d %d %d\n", count, order[0], order[1]);

	sigset_t set1, old, pending;
	sigemptyset(&set1);
	sigaddset(&set1, SIGUSR1);
	sigaddset(&set1, SIGUSR2);
	sigprocmask(SIG_BLOCK, &set1, &old);
	count = 1;
	raise(SIGUSR2);
	raise(SIGUSR1);
	raise(SIGUSR1);
	sigpending(&pending);
	printf("pending %d %d, run %d\n", sigismember(&pending, SIGUSR1), sigismember(&pending, SIGUSR2), count);
	sigprocmask(SIG_SETMASK, &old, 0);
	printf("then %d: %d %d\n", count, order[1], order[2]);

	struct sigaction action = {0};
	action.sa_handler = plain;
	action.sa_flags = SA_RESETHAND | SA_NODEFER;
	sigaction(SIGUSR1, &action, 0);
	count = 0;
	raise(SIGUSR1);
	sigaction(SIGUSR1, 0, &action);
	printf("reset: %d %d\n", count, action.sa_handler == SIG_DFL);

	stack_t stack = {0};
	stack.ss_sp = malloc(65536);
	stack.ss_size = 65536;
	sigaltstack(&stack, 0);
	set(SIGSEGV, deep, SA_ONSTACK);
	if (!sigsetjmp(jump, 1))
		overflow(0);

	signal(SIGALRM, plain);
	count = 0;
	struct itimerval timer = {{0, 0}, {0, 20000}};
	setitimer(ITIMER_REAL, &timer, 0);
	sigemptyset(&set1);
	sigsuspend(&set1);
	printf("suspended until %d, errno %d\n", order[0], errno == EINTR);
	setitimer(ITIMER_REAL, &timer, 0);
	count = 0;
	while (!count)
		;
	printf("computed until %d\n", order[0]);

	signal(SIGPIPE, plain);
	int fds[2];
	pipe(fds);
	close(fds[0]);
	count = 0;
	printf("write %d", (int)write(fds[1], "x", 1));
	printf(" errno %d signals %d\n", errno == EPIPE, count);

	signal(SIGCHLD, plain);
	count = 0;
	pid_t child = fork();
	if (!child)
		_exit(7);
	int status;
	while (waitpid(child, &status, 0) < 0)
		;
	printf("child %d, SIGCHLD %d\n", WEXITSTATUS(status), count);

	signal(SIGUSR1, plain); /* restarts */
	pipe(fds);
	count = 0;
	child = fork();
	if (!child) {
		usleep(100000);
		kill(getppid(), SIGUSR1);
		usleep(100000);
		write(fds[1], "y", 1);
		_exit(0);
	}
	char c = 0;
	int n = read(fds[0], &c, 1);
	printf("read %d %c signals %d\n", n, c, count > 0);
	waitpid(child, &status, 0);
	action.sa_handler = plain;
	action.sa_flags = 0; /* does not restart */
	sigaction(SIGUSR1, &action, 0);
	signal(SIGCHLD, SIG_DFL);
	child = fork();
	if (!child) {
		usleep(100000);
		kill(getppid(), SIGUSR1);
		pause();
	}
	n = read(fds[0], &c, 1);
	printf("read %d errno %d\n", n, errno == EINTR);
	kill(child, SIGTERM);
	waitpid(child, &status, 0);
	printf("killed %d by %d\n", WIFSIGNALED(status), WTERMSIG(status));

	signal(SIGUSR2, floats);
	double sum = 0;
	long double wide = 1;
	for (int i = 1; i < 50; i++) {
		if (i % 10 == 0)
			raise(SIGUSR2);
		sum += 1.0 / i;
		wide = wide * 3 / 2 + i;
	}
	printf("%.15f %.15Lg\n", sum, wide);
	raise(SIGKILL);
	return 1;
}
