/* Signals. The handler returns to __mini_restore*, whose instructions end the signal. */
#include <signal.h>
#include <string.h>
#include <unistd.h>
#include "system.h"

HIDDEN void __mini_restore(void);
HIDDEN void __mini_restore_old(void);

enum { RESTORER = 0x04000000, MASK_SIZE = 8 };

int sigaction(int number, const struct sigaction *restrict action, struct sigaction *restrict old) {
    struct sigaction given;
    if (action) {
        given = *action;
        given.sa_flags |= RESTORER;
#ifdef __x86_64__
        given.sa_restorer = __mini_restore;
#else
        given.sa_restorer = given.sa_flags & SA_SIGINFO ? __mini_restore : __mini_restore_old;
#endif
    }
    return (int)__mini_result(CALL4(rt_sigaction, number, action ? &given : 0, old, MASK_SIZE));
}

void (*signal(int number, void (*handler)(int)))(int) {
    struct sigaction action = {0}, old;
    action.sa_handler = handler;
    action.sa_flags = SA_RESTART;
    return sigaction(number, &action, &old) < 0 ? SIG_ERR : old.sa_handler;
}

int sigprocmask(int how, const sigset_t *restrict set, sigset_t *restrict old) {
    return (int)__mini_result(CALL4(rt_sigprocmask, how, set, old, MASK_SIZE));
}

int sigpending(sigset_t *set) { return (int)__mini_result(CALL2(rt_sigpending, set, MASK_SIZE)); }
int sigsuspend(const sigset_t *set) { return (int)__mini_result(CALL2(rt_sigsuspend, set, MASK_SIZE)); }
int sigaltstack(const stack_t *restrict stack, stack_t *restrict old) {
    return (int)__mini_result(CALL2(sigaltstack, stack, old));
}
int kill(pid_t pid, int number) { return (int)__mini_result(CALL2(kill, pid, number)); }
int raise(int number) { return (int)__mini_result(CALL2(tkill, CALL0(gettid), number)); }

enum { BITS = 8 * sizeof(long) };

static int valid(int number) {
    if (number >= 1 && number <= 64) return 1;
    errno = EINVAL;
    return 0;
}

int sigemptyset(sigset_t *set) { return memset(set, 0, sizeof *set), 0; }
int sigfillset(sigset_t *set) { return memset(set, 255, sizeof *set), 0; }

int sigaddset(sigset_t *set, int number) {
    if (!valid(number)) return -1;
    set->__bits[(number - 1) / BITS] |= 1UL << (number - 1) % BITS;
    return 0;
}

int sigdelset(sigset_t *set, int number) {
    if (!valid(number)) return -1;
    set->__bits[(number - 1) / BITS] &= ~(1UL << (number - 1) % BITS);
    return 0;
}

int sigismember(const sigset_t *set, int number) {
    return valid(number) ? (int)(set->__bits[(number - 1) / BITS] >> (number - 1) % BITS & 1) : -1;
}
