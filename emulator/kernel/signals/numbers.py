"""Numbers of signals, flags of their actions, and struct sigaction.

Source: include/uapi/asm-generic/signal.h, arch/x86/include/uapi/asm/signal.h, signal(7).
"""

from __future__ import annotations

import signal as host_signal

from uselib.linker.quick_dataclass import dataclass

COUNT = 64
SIGHUP, SIGINT, SIGQUIT, SIGILL, SIGTRAP, SIGABRT, SIGBUS, SIGFPE, SIGKILL = range(1, 10)
SIGUSR1, SIGSEGV, SIGUSR2, SIGPIPE, SIGALRM, SIGTERM, SIGSTKFLT, SIGCHLD, SIGCONT, SIGSTOP = range(10, 20)
SIGTSTP, SIGTTIN, SIGTTOU, SIGURG, SIGXCPU, SIGXFSZ, SIGVTALRM, SIGPROF, SIGWINCH, SIGIO, SIGPWR, SIGSYS = range(20, 32)

SIG_DFL, SIG_IGN = 0, 1
SA_NOCLDSTOP, SA_NOCLDWAIT, SA_SIGINFO, SA_INTERRUPT = 1, 2, 4, 0x2000_0000
SA_RESTORER, SA_ONSTACK, SA_RESTART, SA_NODEFER, SA_RESETHAND = (
    0x0400_0000,
    0x0800_0000,
    0x1000_0000,
    0x4000_0000,
    0x8000_0000,
)
SS_ONSTACK, SS_DISABLE, SS_AUTODISARM = 1, 2, 1 << 31

IGNORED = frozenset({SIGCHLD, SIGCONT, SIGURG, SIGWINCH})
STOPS = frozenset({SIGSTOP, SIGTSTP, SIGTTIN, SIGTTOU})
SYNCHRONOUS = frozenset({SIGSEGV, SIGBUS, SIGILL, SIGTRAP, SIGFPE, SIGSYS})
# The host uses these signals itself. Another process of the guest is notified of them by a host signal (SignalState.notified).
NOTIFIED = SYNCHRONOUS | {SIGPIPE, 32, 33, 64}
UNBLOCKABLE = 1 << SIGKILL - 1 | 1 << SIGSTOP - 1
NAMES = {int(s): s.name for s in host_signal.Signals}


def bit(signal: int) -> int:
    return 1 << signal - 1


def order(signal: int) -> tuple[bool, int]:
    """Which of several pending signals comes first (next_signal in kernel/signal.c)."""
    return signal not in SYNCHRONOUS, signal


@dataclass(frozen=True)
class SignalAction:
    """struct sigaction."""

    handler: int = SIG_DFL
    flags: int = 0
    restorer: int = 0
    mask: int = 0
