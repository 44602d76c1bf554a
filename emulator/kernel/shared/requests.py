"""Requests: what one process of the guest asks another one, which alone knows it (its memory, its open files).

A question lies in memory that all processes share, and NOTIFY tells the other process to look. It answers from its signal handler, whatever it
does at that time, with a number (0, or an errno) and descriptors of the host's. There is one question at a time. A process that has been
stopped, or computes without a system call, does not answer.
"""

from __future__ import annotations

import _socket as host
import array
import marshal
import os
import select
import struct
import time
from collections.abc import Callable, Sequence
from contextlib import suppress

from uselib.emulator.kernel.shared.lock import RunLock
from uselib.emulator.kernel.shared.run import REQUESTS, RunShared
from uselib.emulator.kernel.shared.store import rights
from uselib.linker.quick_typing import Any

_HEADER = struct.Struct("<III")  # serial number, the process that is asked (0: nobody), bytes of the question
_ANSWER = struct.Struct("<Ii")  # serial number, result
_MOST_FILES = 250
_PATIENCE = 1.0  # s
_LOOK = 50  # ms between looks whether the process still runs
Question = tuple[Any, ...]


class Requests:
    """Of a run; made before the first fork."""

    def __init__(self, shared: RunShared) -> None:
        self._memory = shared.memory
        self._place, self._room = REQUESTS
        self._lock = RunLock()
        self._out, self._in = host.socketpair(host.AF_UNIX, host.SOCK_DGRAM)

    def ask(
        self, pid: int, question: Question, notify: Callable[[], None], there: Callable[[], bool]
    ) -> tuple[int, list[int]] | None:
        """Result and descriptors; None: there is no answer. notify: tells the process; there: whether it can answer. Raises
        ProcessLookupError."""
        data = marshal.dumps(question)
        with self._lock:
            while (late := self._receive()) is not None:  # an answer that came too late
                _close(late[2])
            serial = _HEADER.unpack_from(self._memory, self._place)[0] + 1 & 0xFFFF_FFFF
            start = self._place + _HEADER.size
            self._memory[start : start + len(data)] = data
            _HEADER.pack_into(self._memory, self._place, serial, pid, len(data))
            notify()
            end = time.monotonic() + _PATIENCE
            poller = select.poll()  # select(2) takes no descriptors from 1024 on
            poller.register(self._in, select.POLLIN)
            while time.monotonic() < end and there():
                if poller.poll(_LOOK) and (answer := self._receive()) is not None:
                    number, result, fds = answer
                    if number == serial:
                        return result, fds
                    _close(fds)
            _HEADER.pack_into(self._memory, self._place, serial, 0, 0)
        return None

    def _receive(self) -> tuple[int, int, list[int]] | None:
        try:
            room = host.CMSG_SPACE(4 * (_MOST_FILES + 1))
            data, ancillary, _, _ = self._in.recvmsg(_ANSWER.size, room, host.MSG_DONTWAIT | host.MSG_CMSG_CLOEXEC)
        except BlockingIOError:
            return None
        return (*_ANSWER.unpack(data), rights(ancillary))

    def take(self, pid: int) -> tuple[int, Question] | None:
        """In the process that was notified: number and question, if one is for it."""
        serial, asked, size = _HEADER.unpack_from(self._memory, self._place)
        if asked != pid:
            return None
        start = self._place + _HEADER.size
        question = marshal.loads(self._memory[start : start + size])
        _HEADER.pack_into(self._memory, self._place, serial, 0, 0)
        return serial, question

    def answer(self, serial: int, result: int, fds: Sequence[int]) -> None:
        message = [(host.SOL_SOCKET, host.SCM_RIGHTS, array.array("i", fds[:_MOST_FILES]))] if fds else []
        with suppress(OSError):
            self._out.sendmsg([_ANSWER.pack(serial, result)], message, host.MSG_DONTWAIT)


def _close(fds: Sequence[int]) -> None:
    for fd in fds:
        os.close(fd)
