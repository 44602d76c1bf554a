"""Host descriptors that any process of the run can get by a number, whichever process has opened them.

A descriptor lies as a message with SCM_RIGHTS in the queue of a socket that all processes inherit. Looking at the message (MSG_PEEK)
gives a copy of the descriptor and leaves the message there. An object whose only descriptor lies here exists until it is taken out.
Source: unix(7), SO_PEEK_OFF in socket(7).
"""

from __future__ import annotations

import _socket as host
import array
import os
import struct
from collections.abc import Iterable
from contextlib import suppress

_QUEUES = 4  # a queue holds a few hundred messages
_NUMBER = struct.Struct("<Q")
_ROOM = host.CMSG_SPACE(4)
_NO_OFFSET = -1
_SEND_BUFFER = 4 << 20  # bytes; the host may give less
_PEEK_OFFSET = 42  # SO_PEEK_OFF
_NOW = host.MSG_DONTWAIT | host.MSG_CMSG_CLOEXEC


def rights(ancillary: Iterable[tuple[int, int, bytes]]) -> list[int]:
    """The host's descriptors of a message (SCM_RIGHTS)."""
    found: list[int] = []
    for level, kind, data in ancillary:
        if level == host.SOL_SOCKET and kind == host.SCM_RIGHTS:
            numbers = array.array("i")
            numbers.frombytes(data[: len(data) - len(data) % 4])
            found += numbers
    return found


class DescriptorStore:
    """The callers of all methods hold the run's lock."""

    def __init__(self) -> None:
        self._queues = [host.socketpair(host.AF_UNIX, host.SOCK_STREAM) for _ in range(_QUEUES)]
        for sender, _ in self._queues:
            sender.setsockopt(host.SOL_SOCKET, host.SO_SNDBUF, _SEND_BUFFER)

    def put(self, number: int, fd: int) -> None:
        """Raises OSError (EAGAIN) when the store is full."""
        sender, _ = self._queues[number % _QUEUES]
        rights = [(host.SOL_SOCKET, host.SCM_RIGHTS, array.array("i", [fd]))]
        sender.sendmsg([_NUMBER.pack(number)], rights, host.MSG_DONTWAIT)

    def copy(self, number: int) -> int | None:
        """A new descriptor of what is stored under the number, or None."""
        _, queue = self._queues[number % _QUEUES]
        queue.setsockopt(host.SOL_SOCKET, _PEEK_OFFSET, 0)
        try:
            while True:
                data, ancillary, _, _ = queue.recvmsg(8, _ROOM, _NOW | host.MSG_PEEK)
                fds = rights(ancillary)
                if fds and _NUMBER.unpack(data)[0] == number:
                    return fds[0]
                for fd in fds:
                    os.close(fd)
        except BlockingIOError:
            return None
        finally:
            queue.setsockopt(host.SOL_SOCKET, _PEEK_OFFSET, _NO_OFFSET)

    def take(self, number: int) -> int | None:
        """Takes what is stored under the number out of the store, or returns None."""
        sender, queue = self._queues[number % _QUEUES]
        seen: set[int] = set()
        while True:
            try:
                data, ancillary, _, _ = queue.recvmsg(8, _ROOM, _NOW)
            except BlockingIOError:
                return None
            fds, found = rights(ancillary), _NUMBER.unpack(data)[0]
            if found == number and fds:
                return fds[0]
            for fd in fds:
                sender.sendmsg([data], [(host.SOL_SOCKET, host.SCM_RIGHTS, array.array("i", [fd]))])
                os.close(fd)
            if found in seen:
                return None
            seen.add(found)

    def remove(self, number: int) -> None:
        if (fd := self.take(number)) is not None:
            os.close(fd)

    def close(self) -> None:
        for pair in self._queues:
            for end in pair:
                with suppress(OSError):
                    end.close()
