"""The signals of one guest process: actions, mask, pending signals. Their delivery: delivery.py.

Source: kernel/signal.c of Linux, signal(7).
"""

from __future__ import annotations

import signal as host_signal
from collections.abc import Callable

from uselib.emulator.kernel.clock import Clock
from uselib.emulator.kernel.identity import ProcessIdentity
from uselib.emulator.kernel.pids import PidTable
from uselib.emulator.kernel.signals.arrived import ArrivedSignals
from uselib.emulator.kernel.signals.frames import SI_TKILL, SI_USER, SignalInfo
from uselib.emulator.kernel.signals.host_side import HOST_OWN, HostSignals, SignalEvents
from uselib.emulator.kernel.signals.numbers import (
    IGNORED,
    NOTIFIED,
    SA_NOCLDSTOP,
    SA_NOCLDWAIT,
    SIG_DFL,
    SIG_IGN,
    SIGCHLD,
    SIGCONT,
    SIGHUP,
    SIGINT,
    SIGTERM,
    STOPS,
    UNBLOCKABLE,
    SignalAction,
    bit,
)
from uselib.emulator.kernel.signals.timers import ProcessTimers
from uselib.emulator.kernel.threads.group import ThreadGroup
from uselib.emulator.kernel.threads.thread import Thread

_NOTIFIED_MASK = sum(bit(signal) for signal in NOTIFIED)


_DEFAULT = SignalAction()


class SignalState:
    """See the module's docstring. `ready` is False only while there is nothing to deliver."""

    def __init__(
        self,
        identity: ProcessIdentity,
        thread: Thread,
        clock: Clock,
        pids: PidTable,
        events: SignalEvents,
        host: Callable[[Callable[[int, object], None], SignalEvents], HostSignals] = HostSignals,
    ) -> None:
        self.identity = identity
        self.thread = thread
        self._clock = clock
        self.actions: dict[int, SignalAction] = {}
        self.pending: list[SignalInfo] = []
        self.on_post: list[Callable[[SignalInfo], None]] = []  # called when a signal becomes pending (signalfd)
        self.arrivals = ArrivedSignals(identity, pids, self.actions)
        self.events = events
        self.host = host(self._arrived, events)
        self.timers = ProcessTimers(clock, self.host.open_wakeup, events.wait_needed)
        self._caught_defaults: frozenset[int] = frozenset()
        self._threads = ThreadGroup()  # signals of the process as a whole, as soon as it has several threads

    def share(self, threads: ThreadGroup) -> None:
        """The process has several threads from now on."""
        self._threads = threads

    # -- what waiting calls ask (waiting.py) ---------------------------------------------------------------------

    @property
    def wakeup_fd(self) -> int:
        return self.host.wakeup_fd

    def open_wakeup(self) -> None:
        """From now on signals with a guest handler end the host's poll(2) of `wakeup_fd`."""
        self.host.open_wakeup()

    def deliverable(self) -> bool:
        """Whether a signal would end a wait of the running thread."""
        self.timers.check()
        return self.deliverable_to(self.thread)

    def deliverable_to(self, thread: Thread) -> bool:
        """Whether a signal would end a wait of this thread. Timers are not looked at."""
        for queue in (thread.pending, self.pending):
            for info in queue:
                if not thread.blocked & bit(info.signal) and not self._ignored(info.signal):
                    return True
        return False

    def send(self, signal: int) -> None:
        """Sends a signal from the process itself (the kernel's send_sig(signal, current, 0))."""
        self.post(SignalInfo(signal, SI_USER, self.identity.pid, self.identity.uid))

    @property
    def ready(self) -> bool:
        clock = self._clock
        return (
            bool(self.pending)
            or bool(self.thread.pending)
            or self.thread.interrupted_call is not None
            or (clock.alarm_at is not None and clock.now >= clock.alarm_at)
        )

    # -- sending ------------------------------------------------------------------------------------------------------

    def post(self, info: SignalInfo, thread: Thread | None = None) -> None:
        """Makes a signal pending, for the process or for one thread. A standard signal that is pending already is not queued twice; an
        ignored one is dropped at once unless it is blocked."""
        signal = info.signal
        if not (thread or self.thread).blocked & bit(signal) and self._ignored(signal):
            return
        thread = thread or self._taker(signal)
        queue = self.pending if thread is None else thread.pending
        if signal < 32 and any(other.signal == signal for other in queue):
            return
        if signal == SIGCONT:
            self.pending[:] = [other for other in self.pending if other.signal not in STOPS]
        queue.append(info)
        for tell in self.on_post:
            tell(info)
        if self._threads.scheduler is not None:
            self._threads.scheduler.signalled = True

    def _taker(self, signal: int) -> Thread | None:
        """The thread that gets a signal sent to the process: the first that does not block it (complete_signal in kernel/signal.c). None: the
        signal stays with the process until a thread takes it.
        """
        if not self._threads.many:
            return None
        return next((thread for thread in self._threads.all.values() if not thread.blocked & bit(signal)), None)

    def _ignored(self, signal: int) -> bool:
        return self._ignored_by(self.action(signal), signal)

    @staticmethod
    def _ignored_by(action: SignalAction, signal: int) -> bool:
        return action.handler == SIG_IGN or (action.handler == SIG_DFL and signal in IGNORED)

    def action(self, signal: int) -> SignalAction:
        return self.actions.get(signal, _DEFAULT)

    def is_ignored(self, signal: int) -> bool:
        """Whether the action SIG_IGN is set. Signals that are ignored by default do not count."""
        return self.handler(signal) == SIG_IGN

    def handler(self, signal: int) -> int:
        return self.action(signal).handler

    def set_action(self, signal: int, action: SignalAction) -> None:
        if self._ignored(signal) and not self._ignored_by(action, signal):
            self.arrivals.forget(signal)  # signals that arrived while they were ignored
        self.actions[signal] = action
        if self._ignored(signal):
            for queue in (
                self.pending,
                self.thread.pending,
                *(thread.pending for thread in self._threads.all.values()),
            ):
                queue[:] = [info for info in queue if info.signal != signal]
        self._mirror(signal, action)

    def set_blocked(self, mask: int) -> None:
        mask &= ~UNBLOCKABLE
        if mask != self.thread.blocked:
            notified = (mask ^ self.thread.blocked) & _NOTIFIED_MASK
            self.thread.blocked = mask
            self.mirror_mask()
            if notified:
                self.tell_host_acts()

    def tell_host_acts(self) -> None:
        """Tells other processes whether they may leave the signals NOTIFIED to the host."""
        self.arrivals.host_acts(
            not self.thread.blocked & _NOTIFIED_MASK
            and not self._threads.many
            and all(self.handler(signal) == SIG_DFL for signal in NOTIFIED)
        )

    # -- the host's side ----------------------------------------------------------------------------------------------

    def mirror_mask(self) -> None:
        mask = self._threads.blocked() if self._threads.many else self.thread.blocked & ~self.thread.sigwait
        self.host.set_mask(mask)

    def _mirror(self, signal: int, action: SignalAction) -> None:
        """Gives the host the same disposition. For a guest handler it gets a handler that queues the signal."""
        if signal in NOTIFIED:
            if action.handler not in (SIG_DFL, SIG_IGN):
                self.open_wakeup()
            self.tell_host_acts()
            return
        if signal in HOST_OWN:
            return
        if action.handler == SIG_IGN or (action.handler == SIG_DFL and signal not in self._caught_defaults):
            flags = action.flags & (SA_NOCLDSTOP | SA_NOCLDWAIT) if signal == SIGCHLD else 0
            if self.host.changed(signal) or action.handler == SIG_IGN or flags:
                disposition = host_signal.SIG_IGN if action.handler == SIG_IGN else host_signal.SIG_DFL
                self.host.set(signal, disposition, action.flags)
            return
        self.host.open_wakeup()
        self.host.catch(signal, action.flags)

    def watch_children(self) -> bool:
        """From now on the end or stop of a child ends waits for wakeup_fd. Returns False if that cannot be: SIGCHLD is blocked, or this is
        not the host's main thread.
        """
        action = self.action(SIGCHLD)
        if self.thread.blocked & bit(SIGCHLD) or action.flags & SA_NOCLDSTOP:
            return False
        if self.handler(SIGCHLD) == SIG_DFL and not self.host.catches(SIGCHLD):
            self.host.catch(SIGCHLD, action.flags)
        return self.host.catches(SIGCHLD)

    def take_over(self) -> None:
        """The host process belongs to the guest from now on: Ctrl-C ends it without a Python exception."""
        self.host.set(SIGINT, host_signal.SIG_DFL)

    def give_back(self) -> None:
        """Restores the host's dispositions and mask as they were before the run. Signals that the guest kept blocked are dropped."""
        self.host.give_back(self.thread.blocked)

    def catch_defaults(self) -> None:
        """From now on Ctrl-C, hang-up and termination end the guest and not the host process at once, so that a recorder can finish first."""
        self._caught_defaults = frozenset({SIGINT, SIGTERM, SIGHUP})
        for signal in self._caught_defaults:
            self._mirror(signal, self.action(signal))

    def _arrived(self, signal: int, _frame: object) -> None:
        for info in self.arrivals.all(signal):
            self._post_arrived(info)

    def _post_arrived(self, info: SignalInfo) -> None:
        self.post(info, self._threads.all.get(self.identity.pid, self.thread) if info.code == SI_TKILL else None)

    def notified(self) -> bool:
        """Another process has sent the notification: there may be signals that the host does not know of. Returns True if one of them ends
        the process and a call that waits in the host without polling `wakeup_fd`.
        """
        for info in self.arrivals.notified():
            self._post_arrived(info)
        return self.wakeup_fd < 0 and self.deliverable_to(self.thread)

    def drain(self) -> None:
        """Empties the wakeup pipe. Its signals have been queued."""
        self.host.drain()

    def after_fork(self) -> None:
        """In the child after a fork: nothing is pending, no timers run, and it gets its own wakeup pipe."""
        self.tell_host_acts()
        self.pending.clear()
        self.thread.pending.clear()
        self.timers.after_fork()
        self.host.after_fork()

    def after_exec(self) -> None:
        """After execve: handlers are reset; ignored signals, mask, pending signals and timers stay."""
        for signal, action in list(self.actions.items()):
            if action.handler not in (SIG_DFL, SIG_IGN):
                self.set_action(signal, _DEFAULT)
            else:
                self.actions[signal] = SignalAction(action.handler)
