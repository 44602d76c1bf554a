"""What the guest's kernel knows of each socket: a record in memory that all processes of the run share.

A record is found by its index (the open file has it), or by an address. `serial` distinguishes one use of a record from the next; the
socket's other end is in the store under that number. A record is freed when the last descriptor of the last process is closed. A killed
process frees nothing; in that case the other end in the store shows that no process holds the socket any more (`Sockets.alive`).
"""

from __future__ import annotations

import ctypes
import errno
import os
import select
from collections.abc import Iterator

from uselib.emulator.kernel.errors import GuestError
from uselib.emulator.kernel.shared import run
from uselib.emulator.kernel.shared.run import RunShared
from uselib.emulator.kernel.sockets.addresses import ADDRESS_SIZE, Address, packed, unpacked
from uselib.linker.quick_dataclass import NamedTuple

OPTIONS = 48  # numbered options of a socket (options.py)
NEW, LISTENS, CONNECTED, PAIRED, REFUSED = 1, 2, 3, 4, 5  # SocketRecord.state; PAIRED: datagrams of a socketpair


class Credentials(NamedTuple):
    """struct ucred."""

    pid: int
    uid: int
    gid: int


class SocketRecord(ctypes.Structure):
    """One socket. bound: it has an address of its own. shut: SHUT_READ | SHUT_WRITE. node_*: the file that bears its name.
    answer: a connection that was made without waiting has not been reported yet. dead_writes: bytes went to a TCP peer that has closed."""

    _fields_ = [
        ("serial", ctypes.c_uint64),
        ("peer_serial", ctypes.c_uint64),
        ("node_device", ctypes.c_uint64),
        ("node_inode", ctypes.c_uint64),
        ("receive_timeout", ctypes.c_uint64),
        ("send_timeout", ctypes.c_uint64),
        ("references", ctypes.c_int32),
        ("peer_index", ctypes.c_uint32),
        ("backlog", ctypes.c_int32),
        ("waiting", ctypes.c_int32),
        ("error", ctypes.c_int32),
        ("pid", ctypes.c_int32),
        ("uid", ctypes.c_uint32),
        ("gid", ctypes.c_uint32),
        ("peer_pid", ctypes.c_int32),
        ("peer_uid", ctypes.c_uint32),
        ("peer_gid", ctypes.c_uint32),
        ("protocol", ctypes.c_int32),
        ("options", ctypes.c_int32 * OPTIONS),
        ("family", ctypes.c_uint8),
        ("type", ctypes.c_uint8),
        ("state", ctypes.c_uint8),
        ("bound", ctypes.c_uint8),
        ("shut", ctypes.c_uint8),
        ("answer", ctypes.c_uint8),
        ("dead_writes", ctypes.c_uint8),
        ("_local", ctypes.c_uint8 * ADDRESS_SIZE),
        ("_peer", ctypes.c_uint8 * ADDRESS_SIZE),
    ]
    serial: int
    peer_serial: int
    node_device: int
    node_inode: int
    receive_timeout: int
    send_timeout: int
    references: int
    peer_index: int
    backlog: int
    waiting: int
    error: int
    pid: int
    uid: int
    gid: int
    peer_pid: int
    peer_uid: int
    peer_gid: int
    protocol: int
    family: int
    type: int
    state: int
    bound: int
    shut: int
    answer: int
    dead_writes: int

    @property
    def local(self) -> Address:
        return unpacked(bytes(self._local))

    @local.setter
    def local(self, address: Address) -> None:
        self._local[:] = packed(address)

    @property
    def peer(self) -> Address:
        return unpacked(bytes(self._peer))

    @peer.setter
    def peer(self, address: Address) -> None:
        self._peer[:] = packed(address)

    def take_error(self) -> int:
        error, self.error = self.error, 0
        return error

    @property
    def owner(self) -> Credentials:
        return Credentials(self.pid, self.uid, self.gid)

    def set_owner(self, who: Credentials) -> None:
        self.pid, self.uid, self.gid = who

    def set_peer_owner(self, who: Credentials) -> None:
        self.peer_pid, self.peer_uid, self.peer_gid = who


class _Head(ctypes.Structure):
    _fields_ = [
        ("last_serial", ctypes.c_uint64),
        ("used", ctypes.c_uint32),  # records that have ever been used
        ("port", ctypes.c_uint32),
        ("name", ctypes.c_uint32),
    ]
    last_serial: int
    used: int
    port: int
    name: int


_PLACE, _SIZE = run.SOCKETS
_FIRST = 64  # bytes of the head
_ROOM = (_SIZE - _FIRST) // ctypes.sizeof(SocketRecord)


class Sockets:
    """The records of a run. The run's lock is held in calls of all methods that change which socket an address finds."""

    def __init__(self, shared: RunShared) -> None:
        self.shared = shared
        self.lock, self.store = shared.lock, shared.store
        self.head = _Head.from_buffer(shared.memory, _PLACE)
        self._records: dict[int, SocketRecord] = {}

    def record(self, index: int) -> SocketRecord:
        found = self._records.get(index)
        if found is None:
            place = _PLACE + _FIRST + index * ctypes.sizeof(SocketRecord)
            found = self._records[index] = SocketRecord.from_buffer(self.shared.memory, place)
        return found

    def all(self) -> Iterator[tuple[int, SocketRecord]]:
        """The records in use."""
        for index in range(self.head.used):
            record = self.record(index)
            if record.serial:
                yield index, record

    def new(self, family: int, type_: int, protocol: int) -> int:
        """Takes a free record, with one reference, and returns its index. Raises GuestError(ENFILE). The lock is held."""
        head = self.head
        index = next((i for i in range(head.used) if not self.record(i).serial), head.used)
        if index >= _ROOM:
            raise GuestError(errno.ENFILE)
        head.used = max(head.used, index + 1)
        record = self.record(index)
        ctypes.memset(ctypes.addressof(record), 0, ctypes.sizeof(SocketRecord))
        head.last_serial += 1
        record.serial = head.last_serial
        record.family, record.type, record.protocol, record.state, record.references = family, type_, protocol, NEW, 1
        return index

    def drop(self, index: int, serial: int) -> None:
        """Drops one reference, after the descriptor has been closed. The lock is held."""
        record = self.record(index)
        if record.serial != serial:
            return
        record.references -= 1
        if record.references <= 0 and not self.alive(record):
            self.free(record)

    def free(self, record: SocketRecord) -> None:
        """Frees the record of a socket."""
        self.store.remove(record.serial)
        record.serial = record.state = 0

    def alive(self, record: SocketRecord) -> bool:
        """Whether a process holds the socket, judged by its other end in the store. False too if that end has gone to another holder."""
        fd = self.store.copy(record.serial)
        if fd is None:
            return record.references > 0
        try:
            return not holderless(fd)
        finally:
            os.close(fd)


def holderless(fd: int) -> bool:
    """Whether all descriptors of the other end of a pair have been closed."""
    poller = select.poll()
    poller.register(fd, 0)
    return any(events & select.POLLHUP for _, events in poller.poll(0))
