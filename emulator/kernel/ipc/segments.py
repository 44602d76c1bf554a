"""System V shared memory. The bytes of a segment are a file in memory, which lies in the run's store.

Source: ipc/shm.c of Linux.
"""

from __future__ import annotations

import ctypes
import errno
import os

from uselib.emulator.kernel.errors import GuestError
from uselib.emulator.kernel.ipc.area import FREE, PLACE, SEGMENT, Area
from uselib.emulator.kernel.ipc.table import (
    IPC_PRIVATE,
    READ,
    WRITE,
    Objects,
    Slot,
    permissions,
    seconds,
)
from uselib.emulator.kernel.process import Process
from uselib.loader.memory.address_space import PAGE, PROT_EXEC, PROT_READ, PROT_WRITE

SHM_RDONLY, SHM_RND, SHM_REMAP, SHM_EXEC, SHM_HUGETLB = 0o10000, 0o20000, 0o40000, 0o100000, 0o4000
SHM_DEST, SHM_LOCKED = 0o1000, 0o2000  # bits of the mode
MOST, MOST_BYTES = 256, 256 << 20  # segments; bytes of one
_NUMBERS = 1 << 62  # in the run's store: those of segments begin here


class MemorySegment(Slot):
    """size: bytes. attached, detached: times; creator, last: process numbers."""

    _fields_ = [  # noqa: RUF012 (read once, when the class is made)
        ("size", ctypes.c_uint64),
        ("attached", ctypes.c_int64),
        ("detached", ctypes.c_int64),
        ("creator", ctypes.c_int32),
        ("last", ctypes.c_int32),
        ("locked", ctypes.c_uint8),
    ]
    size: int
    attached: int
    detached: int
    creator: int
    last: int
    locked: int


AFTER = FREE + (ctypes.sizeof(MemorySegment) * MOST + 4095) // 4096 * 4096


class Segments:
    """Those of a run. addresses: where this process has attached which."""

    def __init__(self, area: Area) -> None:
        self.area = area
        self.objects: Objects[MemorySegment] = Objects(MemorySegment, area.memory, PLACE + FREE, MOST)
        self.addresses: dict[int, tuple[int, int]] = {}  # address -> identifier, bytes

    def reap(self, process: Process) -> None:
        """With the lock held, before anything is looked at."""
        for row in self.area.of_ended(process, SEGMENT):
            identifier, row.kind = row.identifier, 0
            self._left(process, identifier, row.pid)

    def count(self, identifier: int) -> int:
        """How often it is attached."""
        return sum(row.identifier == identifier for row in self.area.holdings(SEGMENT))

    def get(self, process: Process, key: int, size: int, flags: int) -> int:
        with self.area.lock:
            self.reap(process)
            found = self.objects.find(process, key, flags)
            if found is not None:
                number, segment = found
                if size > segment.size:
                    raise GuestError(errno.EINVAL)
                return self.objects.identifier(number)
            if not size:
                raise GuestError(errno.EINVAL)
            if flags & SHM_HUGETLB and key != IPC_PRIVATE:
                raise GuestError(errno.ENOMEM)
            if size > MOST_BYTES:
                raise GuestError(errno.ENOMEM if size < 1 << 63 else errno.EINVAL)
            number, segment = self.objects.make(process, key, flags)
            segment.size, segment.creator = size, process.identity.pid
            identifier = self.objects.identifier(number)
            fd = os.memfd_create("SYSV", os.MFD_CLOEXEC)
            try:
                os.ftruncate(fd, (size + PAGE - 1) // PAGE * PAGE)
                self.area.store.put(_NUMBERS + identifier, fd)
            finally:
                os.close(fd)
            return identifier

    def attach(self, process: Process, identifier: int, address: int, flags: int) -> int:
        memory, who = process.memory, process.identity
        if address % PAGE:
            if not flags & SHM_RND:
                raise GuestError(errno.EINVAL)
            address -= address % PAGE
        if not address and flags & SHM_REMAP:
            raise GuestError(errno.EINVAL)
        prot = PROT_READ | (0 if flags & SHM_RDONLY else PROT_WRITE) | (PROT_EXEC if flags & SHM_EXEC else 0)
        with self.area.lock:
            self.reap(process)
            access = READ | (0 if flags & SHM_RDONLY else WRITE) | (1 if flags & SHM_EXEC else 0)
            _, segment = self.objects.get(process, identifier, access)
            fd = self.area.store.copy(_NUMBERS + identifier)
            if fd is None:
                raise GuestError(errno.EIDRM)
            size = (segment.size + PAGE - 1) // PAGE * PAGE
            placement = "hint" if not address else "fixed" if flags & SHM_REMAP else "noreplace"
            try:
                where = memory.map(
                    address,
                    size,
                    prot,
                    fd=fd,
                    shared=True,
                    placement=placement,
                    name=f"/SYSV{segment.key & 0xFFFFFFFF:08x} (deleted)",
                    may_write=not flags & SHM_RDONLY,
                )
            except GuestError as failure:
                raise GuestError(errno.EINVAL if failure.errno == errno.EEXIST else failure.errno) from None
            except OSError as failure:
                raise GuestError(
                    errno.EINVAL if failure.errno == errno.EEXIST else failure.errno or errno.ENOMEM
                ) from None
            finally:
                os.close(fd)
            self.area.hold(SEGMENT, who.pid, identifier)
            segment.attached, segment.last = seconds(process), who.pid
        self.addresses[where] = identifier, size
        return where

    def detach(self, process: Process, address: int) -> None:
        if address % PAGE or address not in self.addresses:
            raise GuestError(errno.EINVAL)
        identifier, size = self.addresses.pop(address)
        process.memory.unmap(address, size)
        self._release(process, identifier)

    def _release(self, process: Process, identifier: int) -> None:
        pid = process.identity.pid
        with self.area.lock:
            row = next((r for r in self.area.holdings(SEGMENT) if (r.pid, r.identifier) == (pid, identifier)), None)
            if row is not None:
                row.kind = 0
            self._left(process, identifier, pid)

    def _left(self, process: Process, identifier: int, pid: int) -> None:
        try:
            number = self.objects.number(identifier)
        except GuestError:
            return
        segment = self.objects.at(number)
        segment.detached, segment.last = seconds(process), pid
        if segment.dead and not self.count(identifier):
            self._free(number, identifier)

    def remove(self, number: int) -> None:
        """IPC_RMID: the segment is freed when no process has it attached any more. The lock is held."""
        identifier, segment = self.objects.identifier(number), self.objects.at(number)
        if self.count(identifier):
            segment.dead, segment.key = 1, IPC_PRIVATE
        else:
            self._free(number, identifier)

    def _free(self, number: int, identifier: int) -> None:
        self.area.store.remove(_NUMBERS + identifier)
        self.objects.free(number)

    def in_child(self, process: Process) -> None:
        """After a fork: the child has attached what its parent has."""
        with self.area.lock:
            for identifier, _ in self.addresses.values():
                self.area.hold(SEGMENT, process.identity.pid, identifier)

    def after_exec(self, process: Process) -> None:
        """The new program has nothing attached."""
        for identifier, _ in self.addresses.values():
            self._release(process, identifier)
        self.addresses.clear()

    def status(self, number: int) -> dict[str, int | bytes]:
        """struct shmid64_ds."""
        segment = self.objects.at(number)
        extra = (SHM_DEST if segment.dead else 0) | (SHM_LOCKED if segment.locked else 0)
        return permissions(segment, extra) | {
            "segsz": segment.size,
            "atime": segment.attached,
            "dtime": segment.detached,
            "ctime": segment.changed,
            "cpid": segment.creator,
            "lpid": segment.last,
            "nattch": self.count(self.objects.identifier(number)),
        }
