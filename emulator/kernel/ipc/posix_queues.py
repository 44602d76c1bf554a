"""POSIX message queues (mq_overview(7)).

A queue's open files share an eventfd of the host's that counts its messages, so that poll and epoll work. Source: ipc/mqueue.c of Linux.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
from collections.abc import Callable
from contextlib import suppress

from uselib.emulator.kernel import constants as C
from uselib.emulator.kernel.errors import GuestError
from uselib.emulator.kernel.ipc.area import Area
from uselib.emulator.kernel.process import Process
from uselib.emulator.kernel.shared import run
from uselib.emulator.kernel.vfs.host_files import HostFile

MESSAGES, BYTES, ROOT_MESSAGES, ROOT_BYTES = 10, 8192, 65536, 16 << 20  # msg_max, msgsize_max, and what root may have
_COUNT, _ROOM = 64, 120 << 10
_HEAD = struct.Struct("<II")  # priority, bytes
_NUMBERS = 3 << 60  # in the run's store: those of the queues' eventfds begin here
_NAME_MOST = 255
_OUT = 0x4 | 0x100 | 0x200
SIGNAL, NONE = 1, 2  # PosixQueue.notify: what is done when a message comes; 0: nobody has asked


class PosixQueue(ctypes.Structure):
    """serial: of this use of the slot, 0: free. size: bytes of the name, 0: it has been unlinked. opens: open files. receivers: calls that wait.
    filled: bytes of `data`, which has the messages in the order in which they are received."""

    _fields_ = [
        ("serial", ctypes.c_uint64),
        ("value", ctypes.c_uint64),
        ("size", ctypes.c_uint32),
        ("opens", ctypes.c_int32),
        ("mode", ctypes.c_uint32),
        ("uid", ctypes.c_uint32),
        ("gid", ctypes.c_uint32),
        ("most", ctypes.c_uint32),
        ("most_bytes", ctypes.c_uint32),
        ("count", ctypes.c_uint32),
        ("filled", ctypes.c_uint32),
        ("receivers", ctypes.c_uint32),
        ("notify", ctypes.c_uint32),
        ("notify_pid", ctypes.c_int32),
        ("notify_signal", ctypes.c_int32),
        ("text", ctypes.c_uint8 * 256),
        ("data", ctypes.c_uint8 * _ROOM),
    ]
    serial: int
    value: int
    size: int
    opens: int
    mode: int
    uid: int
    gid: int
    most: int
    most_bytes: int
    count: int
    filled: int
    receivers: int
    notify: int
    notify_pid: int
    notify_signal: int


class QueueFile(HostFile):
    """An open message queue."""

    inside = True

    def __init__(self, queues: PosixQueues, queue: PosixQueue, fd: int, flags: int, name: bytes) -> None:
        super().__init__(fd, b"/" + name, flags & (C.O_ACCMODE | C.O_NONBLOCK))
        self.queues, self.queue, self.serial = queues, queue, queue.serial
        self.waits = True

    def asked(self, events: int) -> int:
        return events if self.queue.count < self.queue.most else events & ~_OUT

    def close(self) -> None:
        super().close()
        self.queues.closed(self.queue, self.serial)


class PosixQueues:
    """Those of a run."""

    def __init__(self, area: Area) -> None:
        self.area = area
        place, size = run.QUEUES
        assert ctypes.sizeof(PosixQueue) * _COUNT <= size
        self._slots = (PosixQueue * _COUNT).from_buffer(area.memory, place)

    def _find(self, name: bytes) -> PosixQueue | None:
        return next((q for q in self._slots if q.serial and q.size and bytes(q.text[: q.size]) == name), None)

    def open(
        self, process: Process, name: bytes, flags: int, mode: int, attributes: tuple[int, int] | None
    ) -> QueueFile:
        """attributes: messages and bytes of one. Raises GuestError."""
        if len(name) > _NAME_MOST:
            raise GuestError(errno.ENAMETOOLONG)
        if not name:
            raise GuestError(errno.ENOENT)
        if b"/" in name:
            raise GuestError(errno.EACCES)
        with self.area.lock:
            queue = self._find(name)
            if queue is None:
                if not flags & C.O_CREAT:
                    raise GuestError(errno.ENOENT)
                queue = self._make(process, name, mode, attributes)
            elif flags & C.O_CREAT and flags & C.O_EXCL:
                raise GuestError(errno.EEXIST)
            else:
                self._check_access(process, queue, flags)
            fd = self.area.store.copy(_NUMBERS + queue.serial)
            if fd is None:
                raise GuestError(errno.ENOENT)
            queue.opens += 1
        return QueueFile(self, queue, fd, flags, name)

    def _make(self, process: Process, name: bytes, mode: int, attributes: tuple[int, int] | None) -> PosixQueue:
        most, size = attributes or (MESSAGES, BYTES)
        root = process.identity.effective_uid == 0
        limits = (ROOT_MESSAGES, ROOT_BYTES) if root else (MESSAGES, BYTES)
        if not (0 < most <= limits[0] and 0 < size <= limits[1]):
            raise GuestError(errno.EINVAL)
        if most * (size + _HEAD.size) > _ROOM:
            raise GuestError(errno.ENOMEM)
        queue = next((q for q in self._slots if not q.serial), None)
        if queue is None:
            raise GuestError(errno.ENOSPC)
        serial = 1 + max((q.serial for q in self._slots), default=0)
        ctypes.memset(ctypes.addressof(queue), 0, PosixQueue.data.offset)
        queue.text[: len(name)] = list(name)
        queue.size, queue.mode, queue.most, queue.most_bytes = len(name), mode & 0o777 & ~process.fs.umask(), most, size
        queue.uid, queue.gid = process.identity.effective_uid, process.identity.effective_gid
        fd = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK | os.EFD_SEMAPHORE)
        try:
            self.area.store.put(_NUMBERS + serial, fd)
        finally:
            os.close(fd)
        queue.serial = serial
        return queue

    @staticmethod
    def _check_access(process: Process, queue: PosixQueue, flags: int) -> None:
        who = process.identity
        shift = 6 if who.effective_uid == queue.uid else 3 if who.effective_gid == queue.gid else 0
        wanted = (4, 2, 6, 6)[flags & C.O_ACCMODE]
        if who.effective_uid and wanted & ~(queue.mode >> shift):
            raise GuestError(errno.EACCES)

    def unlink(self, process: Process, name: bytes) -> None:
        with self.area.lock:
            queue = self._find(name)
            if queue is None:
                raise GuestError(errno.ENOENT)
            if process.identity.effective_uid not in (0, queue.uid):
                raise GuestError(errno.EACCES)
            queue.size = 0
            self._drop(queue)

    def closed(self, queue: PosixQueue, serial: int) -> None:
        """One open file of the queue has been closed."""
        with self.area.lock:
            if queue.serial == serial:
                queue.opens -= 1
                self._drop(queue)

    def _drop(self, queue: PosixQueue) -> None:
        if not queue.size and queue.opens <= 0:
            self.area.store.remove(_NUMBERS + queue.serial)
            queue.serial = 0

    def before_fork(self, process: Process) -> None:
        """Before a fork: counts the child's open files."""
        found = {id(entry.description): entry.description for entry in process.files.descriptors.values()}
        with self.area.lock:
            for file in found.values():
                if isinstance(file, QueueFile):
                    file.queue.opens += 1

    # -- messages ---------------------------------------------------------------------------------------------------------

    @staticmethod
    def _messages(queue: PosixQueue) -> list[tuple[int, bytes]]:
        data = ctypes.string_at(ctypes.addressof(queue) + PosixQueue.data.offset, queue.filled)
        found, place = [], 0
        while place < len(data):
            priority, size = _HEAD.unpack_from(data, place)
            found.append((priority, data[place + _HEAD.size : place + _HEAD.size + size]))
            place += _HEAD.size + size
        return found

    @staticmethod
    def _store(queue: PosixQueue, messages: list[tuple[int, bytes]]) -> None:
        data = b"".join(_HEAD.pack(priority, len(text)) + text for priority, text in messages)
        ctypes.memmove(ctypes.addressof(queue) + PosixQueue.data.offset, data, len(data))
        queue.filled, queue.count = len(data), len(messages)

    def send(
        self, process: Process, file: QueueFile, text: bytes, priority: int, timeout: int | None,
        tell: Callable[[int, int, int], None],
    ) -> None:  # fmt: skip
        """tell: sends a signal, of process, signal and value. Raises GuestError."""
        queue = file.queue

        def attempt() -> bool | None:
            with self.area.lock:
                if queue.count >= queue.most:
                    if file.flags & C.O_NONBLOCK:
                        raise GuestError(errno.EAGAIN)
                    return None
                messages = self._messages(queue)
                place = next((n for n, (other, _) in enumerate(messages) if other < priority), len(messages))
                messages.insert(place, (priority, text))
                self._store(queue, messages)
                os.eventfd_write(file.fd, 1)
                first = queue.count == 1 and not queue.receivers
                notify, queue.notify = (queue.notify, 0) if first else (0, queue.notify)
                self.area.changed()
            if notify == SIGNAL:
                tell(queue.notify_pid, queue.notify_signal, queue.value)
            return True

        if self.area.wait(process, attempt, timeout) is None:
            raise GuestError(errno.ETIMEDOUT)

    def receive(self, process: Process, file: QueueFile, timeout: int | None) -> tuple[int, bytes]:
        """Priority and text. Raises GuestError."""
        queue, waits = file.queue, False

        def attempt() -> tuple[int, bytes] | None:
            nonlocal waits
            with self.area.lock:
                queue.receivers -= int(waits)
                waits = False
                messages = self._messages(queue)
                if not messages:
                    if file.flags & C.O_NONBLOCK:
                        raise GuestError(errno.EAGAIN)
                    waits = True
                    queue.receivers += 1
                    return None
                self._store(queue, messages[1:])
                with suppress(BlockingIOError):
                    os.eventfd_read(file.fd)
                self.area.changed()
                return messages[0]

        try:
            found = self.area.wait(process, attempt, timeout)
        finally:
            if waits:
                with self.area.lock:
                    queue.receivers -= 1
        if found is None:
            raise GuestError(errno.ETIMEDOUT)
        return found
