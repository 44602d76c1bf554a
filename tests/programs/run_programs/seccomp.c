/* seccomp: the strict mode, filters with each of their actions, what a kernel refuses. */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

struct insn { uint16_t code; uint8_t jt, jf; uint32_t k; };
struct prog { unsigned short len; struct insn *filter; };
struct data { int nr; uint32_t arch; uint64_t ip, args[6]; };
#define LOAD(field) {0x20, 0, 0, offsetof(struct data, field)}
#define EQUAL(value, yes, no) {0x15, yes, no, value}
#define RETURN(value) {6, 0, 0, value}
#define ALLOW 0x7fff0000
#define ERRNO 0x50000

static int install(struct insn *rows, int count)
{
    struct prog program = {count, rows};
    int result = prctl(PR_SET_SECCOMP, 2, &program);
    return result ? errno : 0;
}
#define INSTALL(...) ({ struct insn rows[] = {__VA_ARGS__}; install(rows, sizeof rows / sizeof *rows); })

static void in_child(const char *name, void (*body)(void))
{
    int status;
    fflush(stdout);
    pid_t child = fork();
    if (!child) {
        body();
        _exit(0);
    }
    waitpid(child, &status, 0);
    printf("%s: %x\n", name, status & 0xff7f);
}

static void strict_ends(void)
{
    prctl(PR_SET_SECCOMP, 1);
    syscall(SYS_write, 1, "written\n", 8);
    syscall(SYS_exit, 3);
}

static void strict_kills(void)
{
    prctl(PR_SET_SECCOMP, 1);
    syscall(SYS_getppid);
    syscall(SYS_write, 1, "not reached\n", 12);
    syscall(SYS_exit, 3);
}

static void no_right(void)
{
    if (geteuid()) printf("without no_new_privs: %d\n", INSTALL(RETURN(ALLOW)));
    else printf("without no_new_privs: %d\n", EACCES);
    fflush(stdout);
}

static void errors(void)
{
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    printf("empty %d\n", install((struct insn[1]){RETURN(ALLOW)}, 0));
    printf("no return %d\n", INSTALL(LOAD(nr)));
    printf("jump out %d\n", INSTALL(EQUAL(1, 3, 0), RETURN(ALLOW)));
    printf("division by zero %d\n", INSTALL({0x34, 0, 0, 0}, RETURN(ALLOW)));
    printf("unaligned %d\n", INSTALL({0x20, 0, 0, 2}, RETURN(ALLOW)));
    printf("beyond %d\n", INSTALL({0x20, 0, 0, 64}, RETURN(ALLOW)));
    printf("indirect %d\n", INSTALL({0x40, 0, 0, 0}, RETURN(ALLOW)));
    printf("unknown %d\n", INSTALL({0xffff, 0, 0, 0}, RETURN(ALLOW)));
    printf("scratch %d\n", INSTALL({2, 0, 0, 16}, RETURN(ALLOW)));
    struct prog far = {1, (struct insn *)8};
    printf("address %d %d\n", prctl(PR_SET_SECCOMP, 2, &far), errno);
    printf("mode %d %d\n", prctl(PR_SET_SECCOMP, 7, 0), errno);
    uint32_t action = 0x7fff0000, none = 0x12340000;
    long result = syscall(SYS_seccomp, 2, 0, &action);
    printf("available %ld", result);
    result = syscall(SYS_seccomp, 2, 0, &none);
    printf(" %ld %d\n", result, errno);
    result = syscall(SYS_seccomp, 99, 0, 0);
    printf("operation %ld %d\n", result, errno);
    printf("now %d\n", prctl(PR_GET_SECCOMP));
    fflush(stdout);
}

static void filters(void)
{
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    printf("set %d\n", INSTALL(LOAD(nr), EQUAL(SYS_getppid, 0, 1), RETURN(ERRNO | 77), RETURN(ALLOW)));
    long result = syscall(SYS_getppid);
    printf("getppid %ld %d\n", result, errno);
    printf("mode %d\n", prctl(PR_GET_SECCOMP));
    /* by an argument: dup(40) may be made, others may not */
    printf("second %d\n", INSTALL(LOAD(nr), EQUAL(SYS_dup, 0, 3), LOAD(args[0]), EQUAL(40, 1, 0), RETURN(ERRNO | 78), RETURN(ALLOW)));
    long other = syscall(SYS_dup, 41), first = errno, allowed = syscall(SYS_dup, 40);
    printf("dup %ld %ld, %ld %d\n", other, first, allowed, errno);
    result = syscall(SYS_getppid);
    printf("still %ld %d\n", result, errno);
    /* arithmetic: (nr * 2 + 4 - 4) / 2 >> 0, in the scratch memory and X */
    printf("third %d\n", INSTALL(LOAD(nr), {0x24, 0, 0, 2}, {0x04, 0, 0, 4}, {0x14, 0, 0, 4}, {2, 0, 0, 5}, {0x61, 0, 0, 5}, {0, 0, 0, 0}, {0x87, 0, 0, 0},
                                 {0x34, 0, 0, 2}, {0x64, 0, 0, 1}, {0x74, 0, 0, 1}, {0x44, 0, 0, 0}, {0x54, 0, 0, 0xffff}, EQUAL(SYS_getpgrp, 0, 1), RETURN(ERRNO | 79), RETURN(ALLOW)));
    result = syscall(SYS_getpgrp);
    printf("getpgrp %ld %d\n", result, errno);
    int status;
    if (!fork()) _exit(syscall(SYS_getppid) == -1 && errno == 77 ? 5 : 6);
    wait(&status);
    printf("child %x\n", status);
    struct insn strict[] = {RETURN(ALLOW)};
    printf("strict after filters %d %d\n", prctl(PR_SET_SECCOMP, 1), errno);
    fflush(stdout);
}

static void kills(void)
{
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    INSTALL(LOAD(nr), EQUAL(SYS_getppid, 0, 1), RETURN(0x80000000), RETURN(ALLOW));
    syscall(SYS_getppid);
}

static void strictest(void)
{
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    INSTALL(LOAD(nr), EQUAL(SYS_getppid, 0, 1), RETURN(0), RETURN(ALLOW));
    INSTALL(LOAD(nr), EQUAL(SYS_getppid, 0, 1), RETURN(ERRNO | 1), RETURN(ALLOW));
    syscall(SYS_getppid);
}

static void on_trap(int number, siginfo_t *info, void *context)
{
    printf("trap: signal %d code %d errno %d call %d arch %x address %d\n", number, info->si_code, info->si_errno, info->si_syscall == SYS_getppid,
           info->si_arch & 0xff, info->si_call_addr != NULL);
}

static void traps(void)
{
    struct sigaction action = {.sa_sigaction = on_trap, .sa_flags = SA_SIGINFO};
    sigaction(SIGSYS, &action, NULL);
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    INSTALL(LOAD(nr), EQUAL(SYS_getppid, 0, 1), RETURN(0x30000 | 123), RETURN(ALLOW));
    long result = syscall(SYS_getppid);
    printf("result is the number: %d\n", result == SYS_getppid);
    INSTALL(LOAD(nr), EQUAL(SYS_getpgrp, 0, 1), RETURN(0x7ff00000), RETURN(ALLOW));
    result = syscall(SYS_getpgrp);
    printf("nobody traces: %ld %d\n", result, errno);
    fflush(stdout);
    signal(SIGSYS, SIG_IGN);
    syscall(SYS_getppid);
}

int main(void)
{
    in_child("strict, ends", strict_ends);
    in_child("strict, another call", strict_kills);
    in_child("no right", no_right);
    in_child("errors", errors);
    in_child("filters", filters);
    in_child("kills", kills);
    in_child("strictest", strictest);
    in_child("traps", traps);
    return 0;
}
