"""Open files of events as messages (passing.py): epoll, inotify and timerfd instances, signalfd, pidfd. Imported when one of them is passed.

An epoll instance of another process is the host's, with all that was added to it. A signalfd reads the signals of who reads it (signalfd(2)).
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from uselib.emulator.kernel.process import Process
from uselib.emulator.kernel.vfs.descriptions import Description
from uselib.emulator.kernel.vfs.epoll_file import EpollFile
from uselib.emulator.kernel.vfs.pid_file import PidFile
from uselib.emulator.kernel.vfs.signal_file import SignalFile
from uselib.emulator.kernel.vfs.timer_file import TimerFile
from uselib.emulator.kernel.vfs.watch_file import WatchFile

Facts = dict[str, Any]


def _flags(file: Description) -> Facts:
    return {"flags": file.flags}


def _make_epoll(process: Process, fd: int, facts: Facts) -> Description:
    return EpollFile(fd)


def _make_watch(process: Process, fd: int, facts: Facts) -> Description:
    return WatchFile(facts["flags"], fd)


def _timer(file: Description) -> Facts:
    assert isinstance(file, TimerFile)
    return _flags(file) | {"which": file.which, "more": [file.cell]}


def _make_timer(process: Process, fd: int, facts: Facts) -> Description:
    file = TimerFile(facts["which"], facts["flags"], (fd, facts["more"][0]))
    file.follow(process.signals)
    return file


def _signals(file: Description) -> Facts:
    assert isinstance(file, SignalFile)
    return _flags(file) | {"mask": file.mask}


def _make_signals(process: Process, fd: int, facts: Facts) -> Description:
    os.close(fd)
    return SignalFile(process.signals, facts["mask"], facts["flags"])


def _pid(file: Description) -> Facts:
    assert isinstance(file, PidFile)
    return _flags(file) | {"pid": file.pid}


def _make_pid(process: Process, fd: int, facts: Facts) -> Description:
    return PidFile(facts["pid"], fd, facts["flags"])


KINDS: dict[
    type[Description], tuple[str, Callable[[Description], Facts], Callable[[Process, int, Facts], Description]]
] = {
    EpollFile: ("epoll", _flags, _make_epoll),
    PidFile: ("pid", _pid, _make_pid),
    SignalFile: ("signals", _signals, _make_signals),
    TimerFile: ("timer", _timer, _make_timer),
    WatchFile: ("watch", _flags, _make_watch),
}
