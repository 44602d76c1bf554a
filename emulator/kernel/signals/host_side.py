"""HostSignals: the host's dispositions and mask while the guest runs, and the pipe that wakes calls that wait in the host.

The guest's signal mask is also the host process's mask, and a guest disposition of default or ignore is the host's as well, so that Ctrl-C
and kill(2) work by themselves. A signal with a guest handler has a host handler that only queues it.
"""

from __future__ import annotations

import os
import signal as host
from collections.abc import Callable
from contextlib import suppress

from uselib.emulator.kernel.host_calls import child_flags
from uselib.emulator.kernel.signals.frames import SignalInfo
from uselib.emulator.kernel.signals.numbers import COUNT, SIGCHLD, SIGKILL, SIGSTOP, SYNCHRONOUS, bit
from uselib.emulator.process.host_signals import change_mask
from uselib.linker.quick_dataclass import dataclass
from uselib.linker.quick_typing import Any

# The host keeps its own handling of these: faults of our own process, signals that the host's C library uses, and the signal by which the
# watcher ends a call that blocks
HOST_OWN = SYNCHRONOUS | {SIGKILL, SIGSTOP, 32, 33, 64}


@dataclass(frozen=True)
class SignalEvents:
    """What the signal code calls. delivered: a signal is delivered. wait_needed: from now on calls must wait for the wakeup descriptor and the
    next timer too. caught: the host signal has a Python handler now.
    """

    delivered: Callable[[SignalInfo], None]
    wait_needed: Callable[[], None]
    caught: Callable[[int], None]


class HostSignals:
    """arrived: the Python handler that queues a signal for the guest."""

    def __init__(self, arrived: Callable[[int, object], None], events: SignalEvents) -> None:
        self._arrived, self._events = arrived, events
        self._wakeup: tuple[int, int] | None = None
        self._before: dict[int, object] = {}  # host signal -> disposition before the run
        self._mask_before = change_mask(host.SIG_BLOCK, ())

    @property
    def wakeup_fd(self) -> int:
        """A descriptor that becomes readable when a signal with a handler arrives; -1: it is not open."""
        return self._wakeup[0] if self._wakeup else -1

    def open_wakeup(self) -> None:
        """From now on signals with a guest handler end the host's poll(2) of `wakeup_fd`."""
        if self._wakeup is None:
            self._wakeup = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
            with suppress(ValueError):  # only the main thread may
                host.set_wakeup_fd(self._wakeup[1], warn_on_full_buffer=False)
            self._events.wait_needed()

    def drain(self) -> None:
        """Empties the wakeup pipe. Its signals have been queued."""
        if self._wakeup is not None:
            try:
                while os.read(self._wakeup[0], 512):
                    pass
            except BlockingIOError:
                pass

    def after_fork(self) -> None:
        """In the child after a fork: it gets its own wakeup pipe."""
        if self._wakeup is not None:
            for fd in self._wakeup:
                os.close(fd)
            self._wakeup = None
            self.open_wakeup()

    def set_mask(self, mask: int) -> None:
        signals = [s for s in range(1, COUNT + 1) if mask & bit(s) and s not in HOST_OWN]
        change_mask(host.SIG_SETMASK, signals)

    def changed(self, signal: int) -> bool:
        """Whether the host's disposition is no longer that of before the run."""
        return signal in self._before

    def set(self, signal: int, disposition: Any, flags: int = 0) -> None:
        """flags: of the guest's action (child_flags)."""
        try:
            before = host.signal(signal, disposition)
        except ValueError:
            return  # not the host's main thread: signals from outside go to the embedding program
        if signal == SIGCHLD:
            child_flags(flags)
        self._before.setdefault(signal, before)
        if disposition == self._arrived:
            self._events.caught(signal)

    def catch(self, signal: int, flags: int = 0) -> None:
        """From now on the signal is queued for the guest when it arrives."""
        self.set(signal, self._arrived, flags)

    def catches(self, signal: int) -> bool:
        return host.getsignal(signal) == self._arrived

    def give_back(self, blocked: int) -> None:
        """Restores dispositions and mask as they were before the run. Signals that the guest kept blocked are dropped."""
        for pending in host.sigpending():
            if pending in self._before or blocked & bit(pending):
                host.sigwait([pending])
        for signal, before in self._before.items():
            host.signal(signal, before if before is not None else host.SIG_DFL)  # type: ignore[arg-type]
        self._before.clear()
        change_mask(host.SIG_SETMASK, self._mask_before)
        if self._wakeup is not None:
            with suppress(ValueError):
                host.set_wakeup_fd(-1)
            for fd in self._wakeup:
                os.close(fd)
            self._wakeup = None
