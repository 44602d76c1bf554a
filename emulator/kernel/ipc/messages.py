"""Queues of System V messages.

Source: ipc/msg.c of Linux.
"""

from __future__ import annotations

import ctypes
import errno
import struct
from collections.abc import Iterator

from uselib.emulator.kernel.errors import GuestError
from uselib.emulator.kernel.ipc.area import PLACE, Area
from uselib.emulator.kernel.ipc.semaphores import AFTER as _START
from uselib.emulator.kernel.ipc.table import IPC_NOWAIT, READ, WRITE, Objects, Slot, permissions, seconds
from uselib.emulator.kernel.process import Process

MSG_NOERROR, MSG_EXCEPT, MSG_COPY = 0o10000, 0o20000, 0o40000
MOST_BYTES, QUEUE_BYTES, QUEUES = 8192, 16384, 64  # MSGMAX, MSGMNB
_ROOM = 96 << 10  # bytes of a queue, with a head for each message
_HEAD = struct.Struct("<qI4x")  # type, bytes


class MessageQueue(Slot):
    """total, count: bytes and number of the messages; filled: bytes of `data`. limit: bytes that the messages may have."""

    _fields_ = [  # noqa: RUF012 (read once, when the class is made)
        ("sent", ctypes.c_int64),
        ("received", ctypes.c_int64),
        ("total", ctypes.c_uint32),
        ("count", ctypes.c_uint32),
        ("limit", ctypes.c_uint32),
        ("filled", ctypes.c_uint32),
        ("sender", ctypes.c_int32),
        ("receiver", ctypes.c_int32),
        ("data", ctypes.c_uint8 * _ROOM),
    ]
    sent: int
    received: int
    total: int
    count: int
    limit: int
    filled: int
    sender: int
    receiver: int


AFTER = _START + (ctypes.sizeof(MessageQueue) * QUEUES + 4095) // 4096 * 4096


class MessageQueues:
    """Those of a run."""

    def __init__(self, area: Area) -> None:
        self.area = area
        self.objects: Objects[MessageQueue] = Objects(MessageQueue, area.memory, PLACE + _START, QUEUES)

    def get(self, process: Process, key: int, flags: int) -> int:
        with self.area.lock:
            found = self.objects.find(process, key, flags)
            if found is not None:
                return self.objects.identifier(found[0])
            number, queue = self.objects.make(process, key, flags)
            queue.limit = QUEUE_BYTES
            return self.objects.identifier(number)

    def _queue(self, process: Process, identifier: int, access: int, again: bool) -> MessageQueue:
        """again: the call has found it before, and has waited."""
        try:
            return self.objects.get(process, identifier, access)[1]
        except GuestError as failure:
            if again and failure.errno == errno.EINVAL:
                raise GuestError(errno.EIDRM) from None
            raise

    def send(self, process: Process, identifier: int, kind: int, text: bytes, flags: int) -> None:
        """Raises GuestError."""
        looked: list[bool] = []

        def attempt() -> bool | None:
            with self.area.lock:
                queue = self._queue(process, identifier, WRITE, bool(looked))
                size = _HEAD.size + len(text)
                full = queue.total + len(text) > queue.limit or queue.count + 1 > queue.limit
                if full or queue.filled + size > _ROOM:
                    if flags & IPC_NOWAIT:
                        raise GuestError(errno.EAGAIN)
                    looked.append(True)
                    return None
                place = ctypes.addressof(queue) + MessageQueue.data.offset + queue.filled
                ctypes.memmove(place, _HEAD.pack(kind, len(text)) + text, size)
                queue.filled, queue.total, queue.count = queue.filled + size, queue.total + len(text), queue.count + 1
                queue.sent, queue.sender = seconds(process), process.identity.pid
                self.area.changed()
                return True

        self.area.wait(process, attempt)

    @staticmethod
    def _messages(queue: MessageQueue) -> Iterator[tuple[int, int, bytes]]:
        """Place, type and text of each."""
        data = ctypes.string_at(ctypes.addressof(queue) + MessageQueue.data.offset, queue.filled)
        place = 0
        while place < len(data):
            kind, size = _HEAD.unpack_from(data, place)
            yield place, kind, data[place + _HEAD.size : place + _HEAD.size + size]
            place += _HEAD.size + size

    def _choose(self, queue: MessageQueue, wanted: int, flags: int) -> tuple[int, int, bytes] | None:
        """wanted 0: the first; above 0: the first of that type (MSG_EXCEPT: of another); below 0: the first of the lowest type up to -wanted."""
        messages = list(self._messages(queue))
        if flags & MSG_COPY:
            return messages[wanted] if 0 <= wanted < len(messages) else None
        if wanted == 0:
            return messages[0] if messages else None
        if wanted > 0:
            return next((m for m in messages if (m[1] != wanted) == bool(flags & MSG_EXCEPT)), None)
        return min((m for m in messages if m[1] <= -wanted), key=lambda m: (m[1], m[0]), default=None)

    def receive(self, process: Process, identifier: int, most: int, wanted: int, flags: int) -> tuple[int, bytes]:
        """Type and text. Raises GuestError."""
        looked: list[bool] = []

        def attempt() -> tuple[int, bytes] | None:
            with self.area.lock:
                queue = self._queue(process, identifier, READ, bool(looked))
                found = self._choose(queue, wanted, flags)
                if found is None:
                    if flags & (IPC_NOWAIT | MSG_COPY):
                        raise GuestError(errno.ENOMSG)
                    looked.append(True)
                    return None
                place, kind, text = found
                if len(text) > most and not flags & MSG_NOERROR:
                    raise GuestError(errno.E2BIG)
                if not flags & MSG_COPY:
                    self._take(queue, place, len(text))
                    queue.received, queue.receiver = seconds(process), process.identity.pid
                    self.area.changed()
                return kind, text[:most]

        answer = self.area.wait(process, attempt)
        assert answer is not None  # there is no time limit
        return answer

    @staticmethod
    def _take(queue: MessageQueue, place: int, size: int) -> None:
        start = ctypes.addressof(queue) + MessageQueue.data.offset + place
        whole = _HEAD.size + size
        ctypes.memmove(start, start + whole, queue.filled - place - whole)
        queue.filled, queue.total, queue.count = queue.filled - whole, queue.total - size, queue.count - 1

    def remove(self, number: int) -> None:
        """IPC_RMID: waiters get EIDRM. The lock is held."""
        self.objects.free(number)
        self.area.changed()

    def status(self, number: int) -> dict[str, int | bytes]:
        """struct msqid64_ds."""
        queue = self.objects.at(number)
        return permissions(queue) | {
            "stime": queue.sent,
            "rtime": queue.received,
            "ctime": queue.changed,
            "cbytes": queue.total,
            "qnum": queue.count,
            "qbytes": queue.limit,
            "lspid": queue.sender,
            "lrpid": queue.receiver,
        }
