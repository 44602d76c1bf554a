"""Thread: what Linux keeps for each thread (struct task_struct and thread_struct), apart from its registers."""

from __future__ import annotations

from dataclasses import field

from uselib.emulator.kernel.signals.numbers import SS_DISABLE
from uselib.linker.quick_dataclass import dataclass


@dataclass
class Thread:
    """One thread of the process.

    blocked: its signal mask, bit 0 for signal 1. suspended_mask: the mask that comes back when a handler has run
    (sigsuspend, ppoll), or None. alternate: sigaltstack's ss_sp, ss_flags, ss_size. interrupted_call: number of the call
    that a signal has ended, and whether SA_RESTART restarts it. tls: i386's entries of the GDT -> base, limit, flags.
    """

    tid: int
    blocked: int = 0
    suspended_mask: int | None = None
    alternate: tuple[int, int, int] = (0, SS_DISABLE, 0)
    interrupted_call: tuple[int, bool] | None = None
    tls: dict[int, tuple[int, int, int]] = field(default_factory=dict)

    def after_exec(self, pid: int) -> None:
        """execve: the thread is the process's only one; mask and pending signals stay."""
        self.tid = pid
        self.suspended_mask = None
        self.alternate = (0, SS_DISABLE, 0)
        self.tls.clear()
