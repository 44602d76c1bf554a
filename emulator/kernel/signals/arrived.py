"""ArrivedSignals: what siginfo_t says of a signal that the host has delivered.

For a signal that a process of the guest has sent, it is the entry in this process's box (shared/signal_boxes.py). For SIGCHLD, it is the
child that has ended, stopped or gone on. All others come from the kernel, as for a key of the terminal, or from a process outside of the
guest, which has no number here. Source: kernel/signal.c of Linux (send_signal_locked, do_notify_parent), sigaction(2).
"""

from __future__ import annotations

import os
import signal as host
from collections.abc import Mapping
from contextlib import suppress

from uselib.emulator.kernel.identity import ProcessIdentity
from uselib.emulator.kernel.pids import PidTable
from uselib.emulator.kernel.shared.signal_boxes import Origin
from uselib.emulator.kernel.signals.frames import SI_KERNEL, SI_USER, SignalInfo
from uselib.emulator.kernel.signals.numbers import (
    NOTIFIED,
    SA_NOCLDSTOP,
    SIGCHLD,
    SIGCONT,
    SIGHUP,
    SIGINT,
    SIGIO,
    SIGQUIT,
    SIGTSTP,
    SIGTTIN,
    SIGTTOU,
    SIGURG,
    SIGWINCH,
    SignalAction,
)

_KERNEL_SENDS = frozenset({SIGHUP, SIGINT, SIGQUIT, SIGTSTP, SIGTTIN, SIGTTOU, SIGCONT, SIGURG, SIGWINCH, SIGIO})
_REAL_TIME = 32
_CHANGES = os.WEXITED | os.WSTOPPED | os.WCONTINUED | os.WNOHANG | os.WNOWAIT
_ENDS = frozenset({os.CLD_EXITED, os.CLD_KILLED, os.CLD_DUMPED})


class ArrivedSignals:
    """The signals that have arrived at one process."""

    def __init__(self, identity: ProcessIdentity, pids: PidTable, actions: Mapping[int, SignalAction]) -> None:
        self._identity, self._pids, self._actions = identity, pids, actions
        self._latest: dict[int, Origin] = {}  # of standard signals
        self._last_child = SignalInfo(SIGCHLD, SI_USER)
        self._told: dict[int, tuple[int, int]] = {}  # child -> code and status that were reported last

    def all(self, signal: int) -> list[SignalInfo]:
        """The origins of the signals with this number. Python's handler runs once for several signals that arrive together, and may run
        again for signals that have been taken already. A real-time signal without an entry in the box has not arrived.
        """
        pids = self._pids
        if pids.alone:
            return [self._of_kernel(signal)]
        found = pids.boxes.take(pids.box, signal)
        if found:
            self._latest[signal] = found[-1]
            return [_info(signal, origin) for origin in found]
        if signal == SIGCHLD:
            return self._of_child()
        if signal >= _REAL_TIME:
            return []
        return [self._of_kernel(signal)]

    def one(self, signal: int, code: int, child: int, status: int) -> SignalInfo:
        """The origin of a signal taken from the host's queue, with the host's si_code and, for SIGCHLD, its number of the child and the
        status.
        """
        pids = self._pids
        found = [] if pids.alone else pids.boxes.take(pids.box, signal, 1)
        if found:
            return _info(signal, found[0])
        if signal == SIGCHLD and code > 0:
            return self._child_info(pids.guest(child) or 0, code, status)
        return self._of_kernel(signal)

    def notified(self) -> list[SignalInfo]:
        """The origins of the signals NOTIFIED, if another process has sent the notification."""
        pids = self._pids
        return [_info(signal, origin) for signal in sorted(NOTIFIED) for origin in pids.boxes.take(pids.box, signal)]

    def host_acts(self, acts: bool) -> None:
        """Says whether the host's action is right for the signals NOTIFIED from now on."""
        self._pids.set_host_acts(acts)

    def forget(self, signal: int) -> None:
        """Forgets signals of this number that have arrived while they were ignored. Signals that the host keeps because they are blocked
        are not forgotten.
        """
        pids = self._pids
        if not pids.alone and signal not in host.sigpending():
            pids.boxes.take(pids.box, signal)

    def _of_kernel(self, signal: int) -> SignalInfo:
        if signal in _KERNEL_SENDS:
            return SignalInfo(signal, SI_KERNEL)
        latest = self._latest.get(signal)
        return SignalInfo(signal, SI_USER) if latest is None else _info(signal, latest)

    def _of_child(self) -> list[SignalInfo]:
        """The first child with something new to report. Without one, the last report is repeated, since the child may be gone already."""
        quiet = self._actions.get(SIGCHLD, SignalAction()).flags & SA_NOCLDSTOP
        stopped = False
        for child, number in self._pids.children(self._identity.pid):
            result = None
            with suppress(ChildProcessError):
                result = os.waitid(os.P_PID, number, _CHANGES)
            if result is None or self._told.get(child) == (result.si_code, result.si_status):
                continue
            self._told[child] = result.si_code, result.si_status
            if result.si_code in _ENDS or not quiet:
                return [self._child_info(child, result.si_code, result.si_status)]
            stopped = True
        return [] if stopped else [self._last_child]

    def _child_info(self, child: int, code: int, status: int) -> SignalInfo:
        self._last_child = SignalInfo(SIGCHLD, code, child, self._identity.uid, status=status)
        return self._last_child


def _info(signal: int, origin: Origin) -> SignalInfo:
    return SignalInfo(signal, origin.code, origin.pid, origin.uid, value=origin.value)
