"""Values of a process and its kernel that can be set and read back, and have no other effect (prctl(2), proc(5), uname(2))."""

from __future__ import annotations

from copy import copy

from uselib.linker.quick_dataclass import dataclass, field
from uselib.linker.quick_typing import TYPE_CHECKING

if TYPE_CHECKING:
    from uselib.emulator.kernel.seccomp import Seccomp

PR_SET_KEEPCAPS = 8
_PDEATHSIG, _CHILD_SUBREAPER = 1, 36  # PR_SET_*
NO_LOGIN = 0xFFFFFFFF


@dataclass
class ProcessSettings:
    """A child inherits its parent's. Values of the kernel (host, domain, values) are not passed on to processes that exist already.

    policy, priority: sched(7); io_priority: None as long as it was not set. timer_slack: ns; default_slack: what 0 sets.
    values: /proc/sys/NAME -> what was written there. controls: option of prctl(2) -> value.
    attributes: st_dev and st_ino -> extended attributes that root has set.
    """

    host: bytes = b"uselib"
    domain: bytes = b"(none)"
    login_uid: int = NO_LOGIN
    oom_score_adj: int = 0
    personality: int = 0
    policy: int = 0
    priority: int = 0
    io_priority: int | None = None
    timer_slack: int = 50_000
    default_slack: int = 50_000
    no_new_privileges: bool = False
    values: dict[str, str] = field(default_factory=dict)
    controls: dict[int, int] = field(default_factory=dict)
    attributes: dict[tuple[int, int], dict[bytes, bytes]] = field(default_factory=dict)
    seccomp: Seccomp | None = None  # None: nothing is forbidden
    deadline: tuple[int, int, int] = (0, 0, 0)  # runtime, deadline, period of SCHED_DEADLINE, ns

    def after_fork(self) -> None:
        """What a child does not have (prctl(2)): the signal of its parent's end, orphans to look after."""
        for option in (_PDEATHSIG, _CHILD_SUBREAPER):
            self.controls.pop(option, None)
        self.default_slack = self.timer_slack
        self.seccomp = copy(self.seccomp)
