"""Slots for System V IPC objects in shared memory: keys, identifiers, permissions.

Source: ipc/util.c of Linux. An identifier is a slot's number and a count of its uses: slot + 32768 * uses.
"""

from __future__ import annotations

import ctypes
import errno
import mmap
from collections.abc import Iterator
from typing import Generic, TypeVar

from uselib.emulator.kernel.clock import SECOND
from uselib.emulator.kernel.errors import GuestError
from uselib.emulator.kernel.process import Process

IPC_CREAT, IPC_EXCL, IPC_NOWAIT = 0o1000, 0o2000, 0o4000
IPC_RMID, IPC_SET, IPC_STAT, IPC_INFO = 0, 1, 2, 3
IPC_64 = 0x100  # a flag of i386's commands
IPC_PRIVATE = 0
READ, WRITE = 0o4, 0o2
_STRIDE = 32768


class Slot(ctypes.Structure):
    """The part that all kinds of objects share. used: it exists. uses: how often the slot has been used. dead: it has been removed (IPC_RMID)
    and is still attached.
    """

    _fields_ = [
        ("used", ctypes.c_uint8),
        ("dead", ctypes.c_uint8),
        ("uses", ctypes.c_uint32),
        ("key", ctypes.c_int32),
        ("mode", ctypes.c_uint32),
        ("uid", ctypes.c_uint32),
        ("gid", ctypes.c_uint32),
        ("cuid", ctypes.c_uint32),
        ("cgid", ctypes.c_uint32),
        ("changed", ctypes.c_int64),
    ]
    used: int
    dead: int
    uses: int
    key: int
    mode: int
    uid: int
    gid: int
    cuid: int
    cgid: int
    changed: int


S = TypeVar("S", bound=Slot)


class Objects(Generic[S]):
    """The objects of one kind, at a place in shared memory. All methods are called with the run's lock held."""

    def __init__(self, kind: type[S], memory: mmap.mmap, place: int, count: int) -> None:
        self._slots = (kind * count).from_buffer(memory, place)
        self.count = count

    def all(self) -> Iterator[tuple[int, S]]:
        """Number and slot of each object."""
        for number in range(self.count):
            if self._slots[number].used:
                yield number, self._slots[number]

    def identifier(self, number: int) -> int:
        return number + _STRIDE * (self._slots[number].uses % 65536)

    def number(self, identifier: int) -> int:
        """Of an object that exists. Raises GuestError: EINVAL, EIDRM for one that was removed."""
        number = identifier % _STRIDE
        if identifier < 0 or number >= self.count or not self._slots[number].used:
            raise GuestError(errno.EINVAL)
        if self.identifier(number) != identifier:
            raise GuestError(errno.EIDRM if self._slots[number].uses else errno.EINVAL)
        return number

    def at(self, number: int) -> S:
        return self._slots[number]

    def get(self, process: Process, identifier: int, access: int) -> tuple[int, S]:
        """Raises GuestError: EINVAL, EIDRM, EACCES."""
        number = self.number(identifier)
        slot = self._slots[number]
        if access and not allowed(process, slot, access):
            raise GuestError(errno.EACCES)
        return number, slot

    def by_key(self, key: int) -> int | None:
        return next((number for number, slot in self.all() if slot.key == key and not slot.dead), None)

    def find(self, process: Process, key: int, flags: int) -> tuple[int, S] | None:
        """The object of a key; None: a new object is to be made. Raises GuestError: ENOENT, EEXIST, EACCES."""
        number = None if key == IPC_PRIVATE else self.by_key(key)
        if number is None:
            if key != IPC_PRIVATE and not flags & IPC_CREAT:
                raise GuestError(errno.ENOENT)
            return None
        if flags & IPC_CREAT and flags & IPC_EXCL:
            raise GuestError(errno.EEXIST)
        slot = self._slots[number]
        if not allowed(process, slot, (flags >> 6 | flags >> 3 | flags) & 0o7):
            raise GuestError(errno.EACCES)
        return number, slot

    def make(self, process: Process, key: int, mode: int) -> tuple[int, S]:
        """Raises GuestError(ENOSPC)."""
        number = next((n for n in range(self.count) if not self._slots[n].used), None)
        if number is None:
            raise GuestError(errno.ENOSPC)
        slot = self._slots[number]
        uses = slot.uses
        ctypes.memset(ctypes.addressof(slot), 0, ctypes.sizeof(slot))
        who = process.identity
        slot.used, slot.uses, slot.key, slot.mode = 1, uses, key, mode & 0o777
        slot.uid = slot.cuid = who.effective_uid
        slot.gid = slot.cgid = who.effective_gid
        slot.changed = seconds(process)
        return number, slot

    def free(self, number: int) -> None:
        slot = self._slots[number]
        slot.used, slot.uses = 0, slot.uses + 1


def seconds(process: Process) -> int:
    return process.clock.stamp // SECOND


def allowed(process: Process, slot: Slot, access: int) -> bool:
    """Whether the process may read (4) or write (2) (ipcperms)."""
    who = process.identity
    if who.effective_uid == 0:
        return True
    if who.effective_uid in (slot.uid, slot.cuid):
        granted = slot.mode >> 6
    elif who.effective_gid in (slot.gid, slot.cgid):
        granted = slot.mode >> 3
    else:
        granted = slot.mode
    return not access & ~granted & 0o7


def check_owner(process: Process, slot: Slot) -> None:
    """Raises GuestError(EPERM): IPC_SET and IPC_RMID are for the owner, the creator and root."""
    if process.identity.effective_uid not in (slot.uid, slot.cuid, 0):
        raise GuestError(errno.EPERM)


def permissions(slot: Slot, extra: int = 0) -> dict[str, int | bytes]:
    """struct ipc64_perm. extra: bits beside the mode."""
    return {
        "perm_key": slot.key,
        "perm_uid": slot.uid,
        "perm_gid": slot.gid,
        "perm_cuid": slot.cuid,
        "perm_cgid": slot.cgid,
        "perm_mode": slot.mode | extra,
        "perm_seq": slot.uses % 65536,
    }
