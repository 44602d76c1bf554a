/* Signals, processes, pipes. */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

static volatile sig_atomic_t seen, count;
static void *volatile fault_address;
static jmp_buf place;
static char *page;

static void note(int number) { seen = number, count++; }

static void repair(int number, siginfo_t *info, void *context) {
    (void)context;
    seen = number;
    fault_address = info->si_addr;
    mprotect(page, 4096, PROT_READ | PROT_WRITE);
}

static void escape(int number) {
    seen = number;
    longjmp(place, 1);
}

int main(void) {
    struct sigaction action;
    sigset_t set, old;
    int fds[2], status;
    char buffer[32];
    signal(SIGUSR1, note);
    raise(SIGUSR1);
    printf("%d %d\n", seen == SIGUSR1, count);
    sigemptyset(&set), sigaddset(&set, SIGUSR1);
    sigprocmask(SIG_BLOCK, &set, &old);
    raise(SIGUSR1), raise(SIGUSR1);
    printf("%d ", count);
    sigpending(&set);
    printf("%d ", sigismember(&set, SIGUSR1));
    sigprocmask(SIG_SETMASK, &old, 0);
    printf("%d\n", count);

    page = mmap(0, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    memset(&action, 0, sizeof action);
    action.sa_sigaction = repair;
    action.sa_flags = SA_SIGINFO;
    sigaction(SIGSEGV, &action, 0);
    *(volatile char *)(page + 100) = 'x'; /* faults, is repaired, and runs again */
    printf("%d %d %c\n", seen == SIGSEGV, (char *)fault_address == page + 100, page[100]);

    memset(&action, 0, sizeof action);
    action.sa_handler = escape;
    action.sa_flags = SA_NODEFER;
    sigaction(SIGFPE, &action, 0);
    if (!setjmp(place)) {
        volatile int zero = 0;
        printf("%d\n", 1 / zero);
    }
    printf("%d\n", seen == SIGFPE);

    signal(SIGALRM, note);
    alarm(1);
    pause();
    printf("%d %d\n", seen == SIGALRM, errno == EINTR);

    fflush(stdout);
    if (pipe(fds)) return 1;
    if (fork() == 0) {
        close(fds[0]);
        if (write(fds[1], "from the child", 14) != 14) _exit(1);
        _exit(42);
    }
    close(fds[1]);
    memset(buffer, 0, sizeof buffer);
    while (read(fds[0], buffer + strlen(buffer), 8) > 0) {}
    wait(&status);
    printf("%s %d\n", buffer, WEXITSTATUS(status));
    fflush(stdout);
    if (fork() == 0) {
        signal(SIGTERM, SIG_DFL);
        raise(SIGTERM);
    }
    wait(&status);
    printf("%d %d\n", WIFSIGNALED(status) != 0, WTERMSIG(status));
    return 0;
}
