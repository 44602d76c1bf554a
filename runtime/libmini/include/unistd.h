#ifndef _UNISTD_H
#define _UNISTD_H
#include <stddef.h>
#include <sys/types.h>
#define STDIN_FILENO 0
#define STDOUT_FILENO 1
#define STDERR_FILENO 2
#ifndef SEEK_SET
#define SEEK_SET 0
#define SEEK_CUR 1
#define SEEK_END 2
#endif
#define F_OK 0
#define R_OK 4
#define W_OK 2
#define X_OK 1
extern char **environ;
ssize_t read(int, void *, size_t);
ssize_t write(int, const void *, size_t);
int close(int);
off_t lseek(int, off_t, int);
int access(const char *, int);
int unlink(const char *);
int rmdir(const char *);
int link(const char *, const char *);
int symlink(const char *, const char *);
ssize_t readlink(const char *restrict, char *restrict, size_t);
char *getcwd(char *, size_t);
int chdir(const char *);
int ftruncate(int, off_t);
int fsync(int);
int isatty(int);
int pipe(int[2]);
int dup(int);
int dup2(int, int);
pid_t fork(void);
int execve(const char *, char *const[], char *const[]);
int execv(const char *, char *const[]);
void _exit(int) __attribute__((__noreturn__));
pid_t getpid(void);
pid_t getppid(void);
uid_t getuid(void);
uid_t geteuid(void);
gid_t getgid(void);
gid_t getegid(void);
unsigned alarm(unsigned);
unsigned sleep(unsigned);
int usleep(unsigned);
int pause(void);
int brk(void *);
void *sbrk(ptrdiff_t);
int uselib(const char *);
long syscall(long, ...);
int getopt(int, char *const[], const char *);
extern char *optarg;
extern int optind, opterr, optopt;
#endif
