/* Host signals that the program handles. Python's own handler only records them for later, so native code has to know that there are
 * some: the handler here is put in front of Python's. */
#include "calls.h"

#include <signal.h>
#include <stddef.h>

volatile int64_t uselib_attention;

static struct sigaction behind[NSIG];

static void notice(int number, siginfo_t *info, void *context)
{
    uselib_attention = 1;
    const struct sigaction *next = &behind[number];
    if (next->sa_flags & SA_SIGINFO) next->sa_sigaction(number, info, context);
    else if (next->sa_handler != SIG_DFL && next->sa_handler != SIG_IGN) next->sa_handler(number);
}

EXPORT volatile int64_t *uselib_calls_attention(void) { return &uselib_attention; }

/* Call after Python's signal.signal has set a handler. -1: there is no handler, or no such signal. */
EXPORT int uselib_calls_watch_signal(int number)
{
    struct sigaction now;
    if (number <= 0 || number >= NSIG || sigaction(number, NULL, &now)) return -1;
    if (now.sa_flags & SA_SIGINFO && now.sa_sigaction == notice) return 0;
    if (!(now.sa_flags & SA_SIGINFO) && (now.sa_handler == SIG_DFL || now.sa_handler == SIG_IGN)) return -1;
    behind[number] = now;
    now.sa_flags |= SA_SIGINFO;
    now.sa_sigaction = notice;
    return sigaction(number, &now, NULL);
}
