/* Calls for comparing --strace with strace(1). Deterministic results only. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

static char buf[4096];

int main(void)
{
    umask(022);
    int fd = open("file", O_RDWR | O_CREAT | O_TRUNC, 0644);
    write(fd, "line\n\t\"quoted\\\" \1\0017\377", 21);
    write(fd, "a long buffer that is cut after thirty-two bytes", 48);
    lseek(fd, 0, SEEK_SET);
    read(fd, buf, 100);
    read(fd, buf, 100);
    pread(fd, buf, 4, 2);
    pwrite(fd, "x", 1, 1);
    open("none", O_RDONLY | O_CLOEXEC);
    open("file", O_WRONLY | O_APPEND | O_NONBLOCK);
    openat(AT_FDCWD, "sub/none", O_RDONLY | O_DIRECTORY);
    mkdir("sub", 0755);
    mkdir("sub", 0700);
    rename("file", "file2");
    symlink("file2", "link");
    readlink("link", buf, sizeof buf);
    access("file2", R_OK | W_OK);
    access("file2", F_OK);
    dup2(fd, 9);
    dup3(fd, 9, O_CLOEXEC);
    fcntl(fd, F_GETFD);
    fcntl(9, F_GETFD);
    fcntl(fd, F_SETFD, FD_CLOEXEC);
    fcntl(fd, F_DUPFD, 20);
    fcntl(fd, F_SETFL, O_APPEND);
    ftruncate(fd, 10);
    ioctl(fd, TIOCGWINSZ, buf);
    close(9);
    close(9);
    unlink("link");
    unlinkat(AT_FDCWD, "sub", AT_REMOVEDIR);
    chdir("/none");
    chmod("file2", 0600);
    kill(getpid(), 0);
    mmap(0, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == (void *)1;
    getpgid(0) == 1;
    fchmod(fd, 0604);
    fsync(fd);
    struct rlimit r;
    getrlimit(RLIMIT_CORE, &r);
    alarm(0);
    unlink("file2");
    _exit(7);
}
