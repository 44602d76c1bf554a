/* What siginfo_t says of signals that one process sends another: code, process, user, value; and of SIGCHLD. */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static pid_t parent, child;
static int hold[2];
static volatile int seen, to_thread = 1;

static const char *who(pid_t pid)
{
    return pid == child ? "child" : pid == parent ? "parent" : pid == 0 ? "nobody" : "other";
}

static void show(const char *how, const siginfo_t *info)
{
    printf("%s: signal %d code %d from %s uid %d", how, info->si_signo, info->si_code, who(info->si_pid), info->si_uid == getuid());
    if (info->si_code == SI_QUEUE) printf(" value %d", info->si_value.sival_int);
    if (info->si_signo == SIGCHLD) printf(" status %d", info->si_status);
    printf("\n");
}

static void on_signal(int number, siginfo_t *info, void *context)
{
    seen++;
    show("handler", info);
    if (getpid() != parent) kill(parent, SIGUSR1);
}

static void handle(int number, int flags)
{
    struct sigaction action = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | flags};
    sigfillset(&action.sa_mask);
    sigaction(number, &action, NULL);
}

static void queue(pid_t pid, int number, int value)
{
    if (sigqueue(pid, number, (union sigval){.sival_int = value})) printf("sigqueue %d: errno %d\n", number, errno);
}

static void send_all(void)
{
    kill(parent, SIGUSR1);
    queue(parent, SIGUSR2, 7);
    for (int i = 1; i <= 3; i++) queue(parent, SIGRTMIN + 3, i * 10);
    if (to_thread) syscall(SYS_tkill, parent, SIGRTMIN + 1);
    queue(parent, SIGSEGV, 11); /* not of a fault */
    kill(parent, SIGPIPE);
    kill(parent, SIGBUS);
}

static sigset_t set_of(int n, const int *numbers)
{
    sigset_t set;
    sigemptyset(&set);
    for (int i = 0; i < n; i++) sigaddset(&set, numbers[i]);
    return set;
}

static void in_child(void (*body)(void))
{
    fflush(stdout);
    child = fork();
    if (child) return;
    body();
    _exit(3);
}

static void end(void)
{
    int status;
    while (waitpid(child, &status, 0) < 0 && errno == EINTR) continue;
    printf("child: %x\n", status);
}

static void nothing(void) {}
static void stops(void)
{
    char byte;
    raise(SIGSTOP);
    read(hold[0], &byte, 1); /* so that its end is another event */
}

static void waits(void)
{
    for (;;) pause();
}

static void spins(void)
{
    handle(SIGSEGV, SA_RESETHAND);
    write(1, "ready\n", 6);
    kill(parent, SIGUSR1);
    for (;;) continue;
}

int main(void)
{
    parent = getpid();
    pipe(hold);
    setvbuf(stdout, NULL, _IONBF, 0);
    int numbers[] = {SIGUSR1, SIGUSR2, SIGRTMIN + 1, SIGRTMIN + 3, SIGSEGV, SIGPIPE, SIGBUS, SIGCHLD};
    sigset_t all = set_of(8, numbers), none = set_of(0, numbers), without_chld = set_of(7, numbers);

    printf("-- blocked, then handlers\n");
    for (int i = 0; i < 7; i++) handle(numbers[i], 0);
    sigprocmask(SIG_BLOCK, &all, NULL);
    in_child(send_all);
    end();
    sigprocmask(SIG_SETMASK, &none, NULL);
    printf("seen %d\n", seen);

    printf("-- sigwaitinfo\n");
    to_thread = 0;
    sigprocmask(SIG_BLOCK, &all, NULL);
    in_child(send_all);
    end();
    siginfo_t info;
    struct timespec zero = {0};
    while (sigtimedwait(&all, &info, &zero) > 0) show("wait", &info);
    printf("-- nothing is left\n");
    sigprocmask(SIG_SETMASK, &none, NULL);

    printf("-- signalfd\n");
    sigprocmask(SIG_BLOCK, &without_chld, NULL);
    int fd = signalfd(-1, &without_chld, SFD_NONBLOCK);
    in_child(send_all);
    end();
    struct signalfd_siginfo got;
    while (read(fd, &got, sizeof got) == sizeof got)
        printf("signalfd: %d code %d from %s value %d\n", got.ssi_signo, got.ssi_code, who(got.ssi_pid), got.ssi_code == SI_QUEUE ? got.ssi_int : 0);
    close(fd);
    sigprocmask(SIG_SETMASK, &none, NULL);

    printf("-- ignored signals leave nothing behind\n");
    signal(SIGRTMIN + 3, SIG_IGN);
    signal(SIGUSR2, SIG_IGN);
    sigset_t others = all;
    sigdelset(&others, SIGRTMIN + 3);
    sigdelset(&others, SIGUSR2);
    sigprocmask(SIG_BLOCK, &others, NULL);
    in_child(send_all);
    end();
    while (sigtimedwait(&others, &info, &zero) > 0) continue;
    sigprocmask(SIG_SETMASK, &none, NULL);
    handle(SIGRTMIN + 3, 0);
    handle(SIGUSR2, 0);
    queue(parent, SIGUSR2, 1);
    in_child(nothing);
    end();

    printf("-- SIGCHLD\n");
    sigset_t chld = set_of(1, &numbers[7]);
    sigprocmask(SIG_BLOCK, &chld, NULL);
    handle(SIGCHLD, 0);
    in_child(nothing);
    sigsuspend(&none);
    end();
    in_child(stops);
    sigsuspend(&none);
    kill(child, SIGCONT);
    sigsuspend(&none);
    write(hold[1], "x", 1);
    end();
    while (sigtimedwait(&chld, &info, &zero) > 0) continue;
    in_child(waits);
    kill(child, SIGKILL);
    sigsuspend(&none);
    end();
    handle(SIGCHLD, SA_NOCLDSTOP);
    in_child(stops);
    int status;
    waitpid(child, &status, WUNTRACED);
    printf("stopped %x, pending %d\n", status, sigtimedwait(&chld, &info, &zero));
    kill(child, SIGCONT);
    write(hold[1], "x", 1);
    sigsuspend(&none);
    end();
    signal(SIGCHLD, SIG_DFL);
    sigprocmask(SIG_SETMASK, &none, NULL);

    printf("-- to a process that computes, whose handler is reset\n");
    sigset_t usr1 = set_of(1, &numbers[0]);
    sigprocmask(SIG_BLOCK, &usr1, NULL);
    in_child(spins);
    sigwaitinfo(&usr1, &info);
    show("wait", &info);
    kill(child, SIGSEGV);
    sigwaitinfo(&usr1, &info);
    kill(child, SIGSEGV);
    waitpid(child, &status, 0);
    printf("ended by a signal: %d\n", WIFSIGNALED(status));

    printf("-- by default\n");
    int fatal[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP, SIGSYS, SIGPIPE, SIGRTMIN, SIGRTMAX, SIGABRT};
    for (int i = 0; i < 10; i++) {
        signal(fatal[i], SIG_DFL);
        in_child(waits);
        kill(child, fatal[i]);
        waitpid(child, &status, 0);
        printf("%d: %x\n", fatal[i], status & 0x7f);
    }

    printf("-- errors\n");
    int sent = kill(child, SIGUSR1);
    printf("%d %d\n", sent, errno);
    siginfo_t made = {.si_signo = SIGUSR1, .si_code = SI_USER};
    in_child(waits);
    sent = syscall(SYS_rt_sigqueueinfo, child, SIGUSR1, &made);
    printf("%d %d\n", sent, errno);
    made.si_code = SI_TKILL;
    sent = syscall(SYS_rt_sigqueueinfo, child, SIGUSR1, &made);
    printf("%d %d\n", sent, errno);
    kill(child, SIGTERM);
    end();
    return 0;
}
