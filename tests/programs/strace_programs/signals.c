/* Signals that are delivered, for comparing --strace with strace(1). */
#define _GNU_SOURCE
#include <signal.h>
#include <sys/time.h>
#include <unistd.h>

static void handler(int number) { write(1, "handled\n", 8); }

int main(void)
{
    signal(SIGUSR1, handler);
    signal(SIGALRM, handler);
    signal(SIGPIPE, handler);
    kill(getpid(), SIGUSR1);
    struct itimerval it = {{0, 0}, {0, 30000}};
    setitimer(ITIMER_REAL, &it, 0);
    pause();
    int p[2];
    pipe(p);
    close(p[0]);
    write(p[1], "x", 1);
    *(volatile char *)16 = 1;
}
