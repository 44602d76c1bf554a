"""Watches the library's exported data: which code outside the library read or wrote which object.

The pages with exported data are shown to the CPU as device memory (Machine.watch_pages), so that each access to them calls a
function, natively (trace/native/data_watch.c), or in Python where there is no C compiler: the same rows, some microseconds each.
Accesses to all other memory are as fast as without it.

The program counter of an access is that of its basic block, which the recorder notes. Accesses by the host (a system call that fills an
exported buffer) are not recorded.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from ctypes import c_uint32, c_uint64, c_void_p
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Protocol

from uselib.emulator import native_module
from uselib.emulator.process.interfaces import WatchableMachine
from uselib.loader.memory.address_space import PAGE, AddressSpace

MODULE = "uselib.emulator.trace._watch"
LOG = 1 << 14  # accesses kept one by one
ROWS = 1 << 14  # places in the table of rows, half of which are used
_READ = ctypes.CFUNCTYPE(c_uint64, c_void_p, c_uint64, c_uint32, c_void_p)
_WRITE = ctypes.CFUNCTYPE(None, c_void_p, c_uint64, c_uint32, c_uint64, c_void_p)

AccessRow = tuple[int, int, int, int, int, int, int, int]
"""pc of the block, start of the object (or the address), write, lowest address, end of the highest, count, first event, hash."""
AccessEntry = tuple[int, int, int, int, int, int]
"""Latest event before it, pc of the block, address, size, write, value."""


def _fields(names: str, kind: Any, more: str = "") -> list[tuple[str, Any]]:
    """Fields of one kind, then 32-bit ones."""
    return [(name, kind) for name in names.split()] + [(name, c_uint32) for name in more.split()]


# The structures of trace/native/data_watch.c, whose sizes `library` checks.
class _WatchedPage(ctypes.Structure):
    _fields_ = _fields("guest host", c_uint64)


class _Range(ctypes.Structure):
    _fields_ = _fields("start end", c_uint64)


class _AccessEntry(ctypes.Structure):
    _fields_ = _fields("sequence pc address value", c_uint64, "size write")


class _AccessRow(ctypes.Structure):
    _fields_ = _fields("pc object low high count first hash", c_uint64, "write used")


class _Watch(ctypes.Structure):
    _fields_ = [
        *_fields("block sequence pages ranges", c_void_p),
        *_fields("range_count low high", c_uint64),
        ("log", c_void_p),
        *_fields("log_count log_capacity", c_uint64),
        ("rows", c_void_p),
        *_fields("row_mask row_count lost", c_uint64),
    ]


@cache
def library() -> ctypes.CDLL | None:
    """The shared object; None as native_module.load says."""
    sizes = [ctypes.sizeof(kind) for kind in (_Watch, _WatchedPage, _Range, _AccessEntry, _AccessRow)]
    lib = native_module.load(MODULE, {"uselib_data_sizes": sizes, "uselib_digest_sizes": [128, 24]})
    if lib is None:
        return None
    lib.uselib_data_forget.argtypes = [c_void_p]
    lib.uselib_data_forget.restype = None
    lib.uselib_digest.argtypes = [c_void_p, c_uint64, c_void_p, c_uint64, c_void_p]  # digest.py
    lib.uselib_digest.restype = c_uint64
    return lib


class _Events(Protocol):
    """The trace's recorder."""

    @property
    def sequence(self) -> int: ...
    @property
    def sequence_address(self) -> int:
        """Where a native callback finds `sequence`; 0: nowhere."""

    @property
    def block(self) -> int: ...
    @property
    def block_address(self) -> int: ...


@dataclass(frozen=True)
class Watched:
    """ranges: exported objects, ascending and apart; pages: addresses of the pages that are watched, ascending; library: address
    range whose own accesses do not count."""

    ranges: tuple[tuple[int, int], ...]
    pages: tuple[int, ...]
    library: tuple[int, int]


class DataWatch:
    """Watches these pages of an address space, from before anything is mapped there. events: the recorder, for numbers of events."""

    def __init__(self, machine: WatchableMachine, space: AddressSpace, watched: Watched, events: _Events) -> None:
        hosts = [self._host(space, page) for page in watched.pages]
        lib = library()
        self._impl: _Native | _Python
        if lib is not None and events.sequence_address:
            self._impl = _Native(lib, watched, events, list(zip(watched.pages, hosts, strict=True)))
        else:
            self._impl = _Python(watched, events, list(zip(watched.pages, hosts, strict=True)))
        machine.watch_pages(watched.pages, self._impl.read, self._impl.write, self._impl.data)

    @staticmethod
    def _host(space: AddressSpace, page: int) -> int:
        for window in space.windows:
            if window.start <= page < window.end:
                return page + window.delta
        raise ValueError(f"{page:#x} is in no window")

    def forget(self) -> None:
        """A child begins with none of its parent's accesses."""
        self._impl.forget()

    def result(self) -> dict[str, Any]:
        """rows: list of AccessRow in order of their first event; log: list of AccessEntry; lost: accesses without a row."""
        rows, log, lost = self._impl.result()
        return {"rows": sorted(rows, key=lambda row: (row[6], row[0], row[1], row[2])), "log": log, "lost": lost}


class _Native:
    def __init__(self, lib: ctypes.CDLL, watched: Watched, events: _Events, pages: Sequence[tuple[int, int]]) -> None:
        self._lib = lib
        self._page_rows = (_WatchedPage * max(len(pages), 1))(*(_WatchedPage(*pair) for pair in pages))
        self._ranges = (_Range * max(len(watched.ranges), 1))(*(_Range(*pair) for pair in watched.ranges))
        self._log, self._rows = (_AccessEntry * LOG)(), (_AccessRow * ROWS)()
        self._events = events
        watch = self._state = _Watch()
        watch.block, watch.sequence = events.block_address, events.sequence_address
        watch.pages, watch.ranges = ctypes.addressof(self._page_rows), ctypes.addressof(self._ranges)
        watch.range_count = len(watched.ranges)
        watch.low, watch.high = watched.library
        watch.log, watch.log_capacity = ctypes.addressof(self._log), LOG
        watch.rows, watch.row_mask = ctypes.addressof(self._rows), ROWS - 1
        self.read, self.write = (
            native_module.address(getattr(lib, f"uselib_data_{kind}")) for kind in ("read", "write")
        )
        self.data = ctypes.addressof(watch)

    def forget(self) -> None:
        self._lib.uselib_data_forget(self.data)

    def result(self) -> tuple[list[AccessRow], list[AccessEntry], int]:
        used = [r for r in self._rows if r.used] if self._state.row_count else []
        rows = [(r.pc, r.object, r.write, r.low, r.high, r.count, r.first, r.hash) for r in used]
        log = [
            (e.sequence, e.pc, e.address, e.size, e.write, e.value)
            for e in (self._log[n] for n in range(self._state.log_count))
        ]
        return rows, log, int(self._state.lost)


@dataclass
class _Python:
    """The same as data_watch.c, in Python."""

    watched: Watched
    events: _Events
    pages: Sequence[tuple[int, int]]
    data: int = 0
    _rows: dict[tuple[int, int, int], list[int]] = field(default_factory=dict)
    _log: list[AccessEntry] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._callbacks = _READ(self._on_read), _WRITE(self._on_write)
        self.read, self.write = (native_module.address(callback) for callback in self._callbacks)

    def forget(self) -> None:
        self._rows.clear()
        self._log.clear()

    def result(self) -> tuple[list[AccessRow], list[AccessEntry], int]:
        return [(pc, at, write, *row) for (pc, at, write), row in self._rows.items()], self._log, 0  # type: ignore[misc]

    def _on_read(self, _uc: int, offset: int, size: int, _data: int) -> int:
        guest, host = self.pages[offset >> 12]
        value = int.from_bytes(ctypes.string_at(host + offset % PAGE, size), "little")
        self._note(guest + offset % PAGE, size, 0, value)
        return value

    def _on_write(self, _uc: int, offset: int, size: int, value: int, _data: int) -> None:
        guest, host = self.pages[offset >> 12]
        data = (value & (1 << 8 * size) - 1).to_bytes(size, "little")
        ctypes.memmove(host + offset % PAGE, data, size)
        self._note(guest + offset % PAGE, size, 1, int.from_bytes(data, "little"))

    def _note(self, address: int, size: int, write: int, value: int) -> None:
        pc, (low, high) = self.events.block, self.watched.library
        if low <= pc < high:
            return
        if len(self._log) < LOG:
            self._log.append((self.events.sequence, pc, address, size, write, value))
        at = next((start for start, end in self.watched.ranges if start <= address < end), address)
        row = self._rows.setdefault((pc, at, write), [address, address + size, 0, self.events.sequence, 0])
        row[0], row[1], row[2] = min(row[0], address), max(row[1], address + size), row[2] + 1
        hashed = (row[4] ^ (address - at) ^ value) * 0x9E3779B97F4A7C15 & (1 << 64) - 1
        row[4] = hashed ^ hashed >> 29
