"""Guest memory as host memory: windows of guest addresses that are reserved once, and host mmap inside them.

A `Window` is a contiguous range of guest addresses backed by a contiguous reservation of host addresses (PROT_NONE,
MAP_NORESERVE: it costs address space, not memory). Mapping a file into the guest is mmap(MAP_FIXED | MAP_PRIVATE) of the
file into the window, so no byte is copied, untouched pages are shared with every other process of the host, and the
host's fork(2) copies a whole guest. The machine is told of windows only, never of single mappings.

Host pages are readable and writable whenever the guest has a mapping, whatever the guest's permissions: those are
checked by AddressSpace and by the machine. Source: mmap(2), mremap(2).
"""

from __future__ import annotations

import ctypes
import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

from uselib.linker.quick_dataclass import dataclass

PAGE = 4096
_PROT_NONE, _PROT_READ, _PROT_RW = 0, 1, 3
_MAP_SHARED, _MAP_PRIVATE, _MAP_FIXED, _MAP_ANONYMOUS, _MAP_NORESERVE = 0x01, 0x02, 0x10, 0x20, 0x4000
_MREMAP_MAYMOVE, _MREMAP_FIXED = 1, 2
MADV_DONTNEED, MADV_REMOVE = 4, 9
_FAILED = ctypes.c_void_p(-1).value


@cache
def _libc() -> ctypes.CDLL:
    libc = ctypes.CDLL(None, use_errno=True)
    word, pointer, number = ctypes.c_size_t, ctypes.c_void_p, ctypes.c_int
    libc.mmap.argtypes = [pointer, word, number, number, number, ctypes.c_int64]
    libc.mmap.restype = pointer
    libc.munmap.argtypes = [pointer, word]
    libc.mremap.argtypes = [pointer, word, word, number, pointer]
    libc.mremap.restype = pointer
    libc.madvise.argtypes = [pointer, word, number]
    libc.msync.argtypes = [pointer, word, number]
    libc.mincore.argtypes = [pointer, word, ctypes.c_char_p]
    return libc


def _failure() -> OSError:
    number = ctypes.get_errno() or errno.ENOMEM
    return OSError(number, os.strerror(number))


def _mmap(address: int, size: int, prot: int, flags: int, fd: int = -1, offset: int = 0) -> int:
    result = _libc().mmap(address, size, prot, flags, fd, offset)
    if result == _FAILED:
        raise _failure()
    return int(result)


def _mremap(address: int, old_size: int, new_size: int, flags: int, target: int = 0) -> int:
    result = _libc().mremap(address, old_size, new_size, flags, target)
    if result == _FAILED:
        raise _failure()
    return int(result)


def _touched(host: int, size: int) -> Iterator[tuple[int, int]]:
    """The parts of host memory that have pages, as offsets. All of it where the host has put pages of processes on disk."""
    resident = ctypes.create_string_buffer(-(-size // PAGE))
    if not size or _swapped() or _libc().mincore(host, size, resident):
        yield 0, size
        return
    flags = bytes(byte & 1 for byte in resident.raw)
    at = flags.find(1)
    while at >= 0:
        end = flags.find(0, at)
        end = len(flags) if end < 0 else end
        yield at * PAGE, min(end * PAGE, size)
        at = flags.find(1, end)


def _swapped() -> bool:
    """Whether the host has pages on disk (sysinfo(2))."""
    information = (ctypes.c_ulong * 16)()
    return bool(_libc().sysinfo(information)) or information[8] != information[7]


@contextmanager
def _memory_file() -> Iterator[int]:
    file = os.memfd_create("copy", os.MFD_CLOEXEC)
    try:
        yield file
    finally:
        os.close(file)


_RESERVED = _MAP_PRIVATE | _MAP_ANONYMOUS | _MAP_NORESERVE


class Reservation:
    """A reservation of host memory that windows are cut out of. `used` bytes of its `size` belong to windows."""

    def __init__(self, host: int, size: int) -> None:
        self.host, self.size, self.used = host, size, 0

    @classmethod
    def reserve(cls, size: int) -> Reservation:
        """Raises OSError (ENOMEM) if the host has no room."""
        return cls(_mmap(0, size, _PROT_NONE, _RESERVED), size)

    @property
    def left(self) -> int:
        return self.size - self.used

    def cut(self, start: int, end: int) -> Window:
        """The window of [start, end), which fits."""
        at = self.host + self.used
        self.used += end - start
        return Window(start, end, at - start, self)

    def release(self) -> None:
        _libc().munmap(self.host, self.size)


@dataclass(frozen=True)
class Window:
    """Guest addresses [start, end) at host address start + delta. reservation: what it is a part of."""

    start: int
    end: int
    delta: int
    reservation: Reservation | None = None

    @classmethod
    def reserve(cls, start: int, end: int) -> Window:
        """Raises OSError (ENOMEM) if the host has no room."""
        host = _mmap(0, end - start, _PROT_NONE, _RESERVED)
        return cls(start, end, host - start)

    def release(self) -> None:
        """Gives the reservation and everything mapped in it back to the host."""
        _libc().munmap(self.start + self.delta, self.end - self.start)

    def map_anonymous(self, address: int, size: int, *, shared: bool) -> None:
        """Fresh zero pages. Shared pages stay shared with the children of a fork."""
        kind = _MAP_SHARED if shared else _MAP_PRIVATE
        _mmap(address + self.delta, size, _PROT_RW, kind | _MAP_FIXED | _MAP_ANONYMOUS | _MAP_NORESERVE)

    def map_file(self, address: int, size: int, fd: int, offset: int, *, shared: bool, writable: bool) -> None:
        """Pages of a file; `writable` matters for shared mappings only (the file must be open for writing)."""
        if shared:
            _mmap(
                address + self.delta, size, _PROT_RW if writable else _PROT_READ, _MAP_SHARED | _MAP_FIXED, fd, offset
            )
        else:
            _mmap(address + self.delta, size, _PROT_RW, _MAP_PRIVATE | _MAP_FIXED | _MAP_NORESERVE, fd, offset)

    def unmap(self, address: int, size: int) -> None:
        """Back to a mere reservation."""
        _mmap(address + self.delta, size, _PROT_NONE, _RESERVED | _MAP_FIXED)

    def move(self, old: int, target: int, size: int) -> None:
        """Moves pages with their contents (no copying) to a host address in guest memory; the old range becomes a reservation again."""
        _mremap(old + self.delta, size, size, _MREMAP_MAYMOVE | _MREMAP_FIXED, target)
        self.unmap(old, size)

    def show(self, host: int, skip: int, address: int, size: int) -> None:
        """Maps here the shared pages that lie `skip` bytes behind a host address, which stay mapped there."""
        again = _mremap(host, 0, skip + size, _MREMAP_MAYMOVE)
        _mremap(again + skip, size, size, _MREMAP_MAYMOVE | _MREMAP_FIXED, address + self.delta)
        if skip:
            _libc().munmap(again, skip)

    def replace(self, address: int, size: int, readable: int, *, shared: bool, whole: bool) -> None:
        """Puts fresh pages, shared or private, in place of these, with the same contents as far as the first `readable` bytes go. whole: copies
        all of these, else those only that were ever touched. Raises OSError (ENOMEM)."""
        kind = _MAP_SHARED if shared else _MAP_PRIVATE
        fresh = _mmap(0, size, _PROT_RW, kind | _MAP_ANONYMOUS | _MAP_NORESERVE)
        old = address + self.delta
        for start, end in ((0, readable),) if whole else _touched(old, readable):
            ctypes.memmove(fresh + start, old + start, end - start)
        _mremap(fresh, size, size, _MREMAP_MAYMOVE | _MREMAP_FIXED, old)

    def advise(self, address: int, size: int, advice: int) -> None:
        """madvise(2). MADV_DONTNEED: private anonymous pages read as zero again, private file pages as the file."""
        if _libc().madvise(address + self.delta, size, advice):
            raise _failure()

    def sync(self, address: int, size: int, flags: int) -> None:
        """msync(2)."""
        if _libc().msync(address + self.delta, size, flags):
            raise _failure()

    def read(self, address: int, size: int) -> bytes:
        """The caller has checked that the guest has the range mapped, and that a file covers it."""
        return ctypes.string_at(address + self.delta, size)

    def write(self, address: int, data: bytes | bytearray | memoryview) -> None:
        ctypes.memmove(address + self.delta, bytes(data), len(data))

    def read_of_file(self, address: int, size: int) -> bytes:
        """As many bytes as there are, read by the host's kernel: it stops at a page that the file no longer has, without a signal."""
        with _memory_file() as file:
            try:
                return os.pread(file, os.write(file, self.view(address, size)), 0)
            except OSError:  # EFAULT
                return b""

    def write_of_file(self, address: int, data: bytes | bytearray | memoryview) -> int:
        """Likewise. Returns the number of bytes written."""
        with _memory_file() as file:
            os.write(file, data)
            try:
                return os.preadv(file, [self.view(address, len(data))], 0)
            except OSError:
                return 0

    def zero(self, address: int, size: int) -> None:
        ctypes.memset(address + self.delta, 0, size)

    def view(self, address: int, size: int) -> memoryview:
        """The host memory itself, for reading files straight into the guest."""
        return memoryview((ctypes.c_char * size).from_address(address + self.delta)).cast("B")
