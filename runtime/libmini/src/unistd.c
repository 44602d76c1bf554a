/* Files, processes and memory: thin routines around system calls. */
#include <dirent.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>
#include "system.h"

#define RETURN(type, call) return (type)__mini_result(call)

ssize_t read(int fd, void *data, size_t n) { RETURN(ssize_t, CALL3(read, fd, data, n)); }
ssize_t write(int fd, const void *data, size_t n) { RETURN(ssize_t, CALL3(write, fd, data, n)); }
int close(int fd) { RETURN(int, CALL1(close, fd)); }
int access(const char *path, int mode) { RETURN(int, CALL2(access, path, mode)); }
int unlink(const char *path) { RETURN(int, CALL1(unlink, path)); }
int rmdir(const char *path) { RETURN(int, CALL1(rmdir, path)); }
int link(const char *from, const char *to) { RETURN(int, CALL2(link, from, to)); }
int symlink(const char *from, const char *to) { RETURN(int, CALL2(symlink, from, to)); }
ssize_t readlink(const char *restrict path, char *restrict to, size_t n) { RETURN(ssize_t, CALL3(readlink, path, to, n)); }
int chdir(const char *path) { RETURN(int, CALL1(chdir, path)); }
int fsync(int fd) { RETURN(int, CALL1(fsync, fd)); }
int pipe(int fds[2]) { RETURN(int, CALL1(pipe, fds)); }
int dup(int fd) { RETURN(int, CALL1(dup, fd)); }
int dup2(int from, int to) { RETURN(int, CALL2(dup2, from, to)); }
pid_t fork(void) { RETURN(pid_t, CALL0(fork)); }
int execve(const char *path, char *const argv[], char *const envp[]) { RETURN(int, CALL3(execve, path, argv, envp)); }
int execv(const char *path, char *const argv[]) { return execve(path, argv, environ); }
pid_t getpid(void) { RETURN(pid_t, CALL0(getpid)); }
pid_t getppid(void) { RETURN(pid_t, CALL0(getppid)); }
unsigned alarm(unsigned seconds) { RETURN(unsigned, CALL1(alarm, seconds)); }
int pause(void) { RETURN(int, CALL0(pause)); }
int uname(struct utsname *name) { RETURN(int, CALL1(uname, name)); }
pid_t waitpid(pid_t pid, int *status, int options) { RETURN(pid_t, CALL4(wait4, pid, status, options, 0)); }
pid_t wait(int *status) { return waitpid(-1, status, 0); }
int munmap(void *p, size_t n) { RETURN(int, CALL2(munmap, p, n)); }
int mprotect(void *p, size_t n, int prot) { RETURN(int, CALL3(mprotect, p, n, prot)); }
int uselib(const char *path) { RETURN(int, CALL1(uselib, path)); }

#ifdef __x86_64__
uid_t getuid(void) { return (uid_t)CALL0(getuid); }
uid_t geteuid(void) { return (uid_t)CALL0(geteuid); }
gid_t getgid(void) { return (gid_t)CALL0(getgid); }
gid_t getegid(void) { return (gid_t)CALL0(getegid); }
off_t lseek(int fd, off_t offset, int whence) { RETURN(off_t, CALL3(lseek, fd, offset, whence)); }
int ftruncate(int fd, off_t size) { RETURN(int, CALL2(ftruncate, fd, size)); }
#else
uid_t getuid(void) { return (uid_t)CALL0(getuid32); }
uid_t geteuid(void) { return (uid_t)CALL0(geteuid32); }
gid_t getgid(void) { return (gid_t)CALL0(getgid32); }
gid_t getegid(void) { return (gid_t)CALL0(getegid32); }
off_t lseek(int fd, off_t offset, int whence) {
    off_t result;
    long error = CALL6(_llseek, fd, (long)(offset >> 32), (long)offset, &result, whence, 0);
    return error < 0 ? __mini_result(error) : result;
}
int ftruncate(int fd, off_t size) { RETURN(int, CALL3(ftruncate64, fd, (long)size, (long)(size >> 32))); }
#endif

enum { LARGE_FILE = sizeof(long) == 4 ? 0100000 : 0 };

int open(const char *path, int flags, ...) {
    va_list list;
    mode_t mode;
    va_start(list, flags);
    mode = flags & O_CREAT ? va_arg(list, mode_t) : 0;
    va_end(list);
    RETURN(int, CALL3(open, path, flags | LARGE_FILE, mode));
}

int creat(const char *path, mode_t mode) { return open(path, O_CREAT | O_WRONLY | O_TRUNC, mode); }

int fcntl(int fd, int command, ...) {
    va_list list;
    long argument;
    va_start(list, command);
    argument = va_arg(list, long);
    va_end(list);
#ifdef __x86_64__
    RETURN(int, CALL3(fcntl, fd, command, argument));
#else
    RETURN(int, CALL3(fcntl64, fd, command, argument));
#endif
}

void *mmap(void *p, size_t n, int prot, int flags, int fd, off_t offset) {
    if (offset < 0 || offset % 4096) {
        errno = EINVAL;
        return MAP_FAILED;
    }
#ifdef __x86_64__
    RETURN(void *, CALL6(mmap, p, n, prot, flags, fd, offset));
#else
    RETURN(void *, CALL6(mmap2, p, n, prot, flags, fd, offset / 4096));
#endif
}

static char *current_break;

int brk(void *to) {
    current_break = (char *)CALL1(brk, to);
    if (current_break == to) return 0;
    errno = ENOMEM;
    return -1;
}

void *sbrk(ptrdiff_t more) {
    char *old;
    if (!current_break) current_break = (char *)CALL1(brk, 0);
    old = current_break;
    return more && brk(old + more) < 0 ? (void *)-1 : old;
}

char *getcwd(char *to, size_t n) {
    char *made = 0;
    if (!to && !(to = made = malloc(n = n ? n : 4096))) return 0;
    if (__mini_result(CALL2(getcwd, to, n)) >= 0) return to;
    free(made);
    return 0;
}

int isatty(int fd) {
    unsigned char terminal[64]; /* struct termios of the kernel is smaller */
    return __mini_result(CALL3(ioctl, fd, 0x5401 /* TCGETS */, terminal)) == 0;
}

struct __dir {
    int fd, position, size;
    _Alignas(16) char buffer[4096];
};

DIR *opendir(const char *path) {
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *d = fd < 0 ? 0 : malloc(sizeof *d);
    if (!d) {
        if (fd >= 0) close(fd);
        return 0;
    }
    d->fd = fd;
    d->position = d->size = 0;
    return d;
}

struct dirent *readdir(DIR *d) {
    struct dirent *entry;
    if (d->position >= d->size) {
        d->size = (int)__mini_result(CALL3(getdents64, d->fd, d->buffer, sizeof d->buffer));
        d->position = 0;
        if (d->size <= 0) return d->size = 0, (struct dirent *)0;
    }
    entry = (struct dirent *)(void *)(d->buffer + d->position);
    d->position += entry->d_reclen;
    return entry;
}

int closedir(DIR *d) {
    int result = close(d->fd);
    free(d);
    return result;
}
