"""Thread: what Linux keeps for each thread (struct task_struct and thread_struct), apart from its registers."""

from __future__ import annotations

from uselib.emulator.kernel.signals.numbers import SS_DISABLE
from uselib.linker.quick_dataclass import NamedTuple, dataclass, field
from uselib.linker.quick_typing import TYPE_CHECKING

if TYPE_CHECKING:
    from uselib.emulator.kernel.signals.frames import SignalInfo


class Sequences(NamedTuple):
    """What rseq(2) has registered: the address of the area, and the word that stands before each abort address."""

    area: int
    signature: int


@dataclass(eq=False)
class Thread:
    """One thread of the process.

    blocked: its signal mask, bit 0 for signal 1. suspended_mask: the mask that comes back when a handler has run
    (sigsuspend, ppoll), or None. alternate: sigaltstack's ss_sp, ss_flags, ss_size. interrupted_call: number of the call that a signal has
    ended, and whether SA_RESTART restarts it. tls: i386's entries of the GDT -> base, limit, flags. pending: signals that were sent to this
    thread alone. clear_tid: the word that becomes 0 when it ends (set_tid_address); 0: none. robust: head of its list of robust futexes
    (set_robust_list); 0: none. name: prctl(PR_SET_NAME) of a thread that is not the first. context: its registers while it does not run
    (ThreadProcessor). sequences: what rseq(2) has registered. asleep: native code has put it to sleep in a futex call, which goes on from
    there.
    """

    tid: int
    blocked: int = 0
    suspended_mask: int | None = None
    alternate: tuple[int, int, int] = (0, SS_DISABLE, 0)
    interrupted_call: tuple[int, bool] | None = None
    tls: dict[int, tuple[int, int, int]] = field(default_factory=dict)
    pending: list[SignalInfo] = field(default_factory=list)
    clear_tid: int = 0
    robust: int = 0
    name: str | None = None
    restarts: bool = True  # False: the call that was interrupted gives EINTR after any handler
    sigwait: int = 0  # signals that it waits for in sigwait, though they are blocked
    context: int | None = None
    sequences: Sequences | None = None
    asleep: bool = False

    def after_exec(self, pid: int) -> None:
        """After execve the thread is the only one of the process. Its mask and pending signals stay."""
        self.tid = pid
        self.suspended_mask = None
        self.alternate = (0, SS_DISABLE, 0)
        self.tls.clear()
        self.clear_tid = self.robust = 0
        self.name = None
        self.sequences = None
