/* Pipes, signals and children for comparing --strace with strace(1). */
#define _GNU_SOURCE
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static char buf[100];

int main(void)
{
    int p[2];
    sigset_t set;
    pipe(p);
    write(p[1], "hello", 5);
    struct pollfd f[2] = {{p[0], POLLIN}, {p[1], POLLIN | POLLPRI}};
    poll(f, 2, 0);
    struct iovec v[2] = {{buf, 2}, {buf + 10, 10}};
    readv(p[0], v, 2);
    v[1].iov_len = 3;
    writev(p[1], v, 2);
    read(p[0], buf, 5);
    poll(f, 2, 0);
    signal(SIGUSR1, SIG_IGN);
    signal(SIGUSR1, SIG_DFL);
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    sigprocmask(SIG_BLOCK, &set, 0);
    sigprocmask(SIG_UNBLOCK, &set, 0);
    struct itimerval it = {{0, 0}, {100, 5}};
    setitimer(ITIMER_REAL, &it, 0);
    signal(SIGALRM, SIG_IGN);
    socketpair(AF_UNIX, SOCK_STREAM, 0, p);
    pipe2(p, O_NONBLOCK | O_CLOEXEC);
    read(p[0], buf, 1);
    wait4(-1, 0, WNOHANG, 0);
    fcntl(p[0], F_GETFL);
    lseek(p[0], 0, SEEK_CUR);
    umask(027);
    close(77);
    raise(SIGKILL);
}
