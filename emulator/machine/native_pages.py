"""Page lookups that are answered without Python (native/page_table.c): loading it, and the table that PageTable writes.

`LookupTable` is what PageTable talks to. Where the shared object was not built, `PortableLookups` takes its place: it
stores nothing, so every lookup of Unicorn comes to Python. Both make Unicorn's TLB grow early (the C file says how).
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable
from ctypes import c_uint8, c_uint32, c_uint64, c_void_p
from functools import cache

from uselib.emulator import native_module
from uselib.emulator.machine.engine import MEM_FETCH, TLB_CALLBACK, Engine
from uselib.emulator.machine.register_file import locate_cpu
from uselib.linker.quick_typing import Any, Protocol

RUNS = 8  # beside PROT_READ and PROT_WRITE: the page may be fetched from
PAGE_BITS = 12
_TLB_FIRST = 256
_WORD = (1 << 64) - 1
MODULE = "uselib.emulator.machine._pages"

Fill = Callable[[int, int], int]


class LookupTable(Protocol):
    """What is known of pages, by page number (address >> 12). Values are PROT_READ | PROT_WRITE | RUNS; 0: ask Python."""

    def allow(self, first: int, count: int, value: int) -> None:
        """The pages that have no value get this one."""

    def put(self, page: int, value: int) -> None:
        """A page gets a value, whatever it had."""

    def forget(self, first: int, count: int) -> None:
        """The pages get 0, and the CPU looks them up again."""

    def place(self, first: int, count: int, shift: int) -> None:
        """The physical addresses of these pages are `shift` bytes from the virtual ones."""

    def close(self) -> None:
        """Frees it; the engine is closed already."""


class _Table(ctypes.Structure):
    _fields_ = (
        ("slow", c_void_p),
        ("control", c_void_p),
        ("flush", c_uint64),
        ("flush_page", c_void_p),
        ("cpu", c_void_p),
        ("tlb_mask", c_void_p),
        ("tlb_size", c_uint64),
        ("fills", c_uint64),
        ("asked", c_uint64),
        ("lost", c_uint64),
        ("chunks", c_void_p),
        ("mask", c_uint64),
        ("count", c_uint64),
        ("last", c_void_p),
        ("last_number", c_uint64),
        ("ranges", c_void_p),
        ("range_count", c_uint64),
        ("range_room", c_uint64),
    )


class _Entry(ctypes.Structure):
    """struct uc_tlb_entry."""

    _fields_ = (("paddr", c_uint64), ("perms", c_uint32))


@cache
def library() -> ctypes.CDLL | None:
    """The shared object; None if it was not built (or USELIB_NATIVE_PAGES=0 says to do without)."""
    if os.environ.get("USELIB_NATIVE_PAGES") == "0":
        return None
    lib = native_module.load(MODULE, {"uselib_page_sizes": (ctypes.sizeof(_Table), ctypes.sizeof(_Entry), 512)})
    if lib is None:
        return None
    table = ctypes.POINTER(_Table)
    lib.uselib_pages_new.argtypes, lib.uselib_pages_new.restype = [c_void_p, c_void_p, c_uint64], table
    lib.uselib_pages_set.argtypes = [table, c_uint64, c_uint64, c_uint8]
    lib.uselib_pages_put.argtypes = [table, c_uint64, c_uint8]
    lib.uselib_pages_get.argtypes, lib.uselib_pages_get.restype = [table, c_uint64], c_uint8
    lib.uselib_pages_clear.argtypes = [c_void_p, table, c_uint64, c_uint64]
    lib.uselib_pages_place.argtypes, lib.uselib_pages_place.restype = (
        [table, c_uint64, c_uint64, c_uint64],
        ctypes.c_bool,
    )
    lib.uselib_pages_shift.argtypes, lib.uselib_pages_shift.restype = [table, c_uint64], c_uint64
    for function in (lib.uselib_pages_set, lib.uselib_pages_put, lib.uselib_pages_clear, lib.uselib_pages_free):
        function.restype = None
    lib.uselib_pages_free.argtypes = [table]
    return lib


class NativeLookups:
    """The table in C."""

    def __init__(self, lib: ctypes.CDLL, engine: Engine, bits: int, fill: Fill, elsewhere: dict[int, int]) -> None:
        self._lib, self._engine = lib, engine
        self._slow = tlb_callback(fill, elsewhere, self._shift)  # lives as long as the table
        self._placed = False
        control = engine.function("uc_ctl")
        self.table: Any = lib.uselib_pages_new(native_module.address(self._slow), control, engine.flush_control)
        if not self.table:
            raise MemoryError
        flush_page, cpu = engine.private("tlb_flush_page"), locate_cpu(engine, bits)
        if flush_page and cpu:
            self.table.contents.flush_page, self.table.contents.cpu = flush_page, cpu
        self.table.contents.tlb_mask = engine.grow_tlb()
        engine.hook_lookups(native_module.address(lib.uselib_pages_fill), ctypes.cast(self.table, c_void_p).value or 0)

    @property
    def asked(self) -> int:
        """Lookups that came to Python."""
        return int(self.table.contents.asked)

    def allow(self, first: int, count: int, value: int) -> None:
        self._lib.uselib_pages_set(self.table, first, count, value)

    def put(self, page: int, value: int) -> None:
        self._lib.uselib_pages_put(self.table, page, value)

    def get(self, page: int) -> int:
        """For tests."""
        return int(self._lib.uselib_pages_get(self.table, page)) & (RUNS | 3)

    def forget(self, first: int, count: int) -> None:
        self._lib.uselib_pages_clear(self._engine.handle, self.table, first, count)

    def place(self, first: int, count: int, shift: int) -> None:
        if not self._lib.uselib_pages_place(self.table, first, count, shift & _WORD):
            raise MemoryError
        self._placed = True

    def _shift(self, page: int) -> int:
        return int(self._lib.uselib_pages_shift(self.table, page >> PAGE_BITS)) if self._placed else 0

    def close(self) -> None:
        self._lib.uselib_pages_free(self.table)


class PortableLookups:
    """Nothing is remembered: every lookup goes to `fill`."""

    def __init__(self, engine: Engine, fill: Fill, elsewhere: dict[int, int]) -> None:
        self._engine = engine
        self._fill = fill
        self._size, self._fills = _TLB_FIRST, 0
        self._shifts: dict[int, int] = {}  # by page; few programs have any
        engine.hook_lookups(
            tlb_callback(self._counted, elsewhere, lambda page: self._shifts.get(page >> PAGE_BITS, 0)), 0
        )

    def _counted(self, page: int, access: int) -> int:
        self._fills += 1
        if self._fills > self._size + self._size // 2:
            self._engine.flush_tlb()
            self._size, self._fills = 2 * self._size, 0
        return self._fill(page, access)

    def allow(self, first: int, count: int, value: int) -> None: ...

    def put(self, page: int, value: int) -> None: ...

    def forget(self, first: int, count: int) -> None:
        self._engine.flush_tlb()
        self._size, self._fills = _TLB_FIRST, 0

    def place(self, first: int, count: int, shift: int) -> None:
        self._shifts.update(dict.fromkeys(range(first, first + count), shift))

    def close(self) -> None: ...


class NoLookups:
    """Of a closed engine: changes of the address space have no effect."""

    def allow(self, first: int, count: int, value: int) -> None: ...
    def put(self, page: int, value: int) -> None: ...
    def forget(self, first: int, count: int) -> None: ...
    def place(self, first: int, count: int, shift: int) -> None: ...
    def close(self) -> None: ...


def lookups(engine: Engine, bits: int, fill: Fill, elsewhere: dict[int, int]) -> LookupTable:
    """The table for an engine; `fill(page address, access) -> permissions (0: fault)` is the policy behind it, and `elsewhere` says
    which pages have another physical address for reads and writes."""
    lib = library()
    return NativeLookups(lib, engine, bits, fill, elsewhere) if lib else PortableLookups(engine, fill, elsewhere)


def tlb_callback(fill: Fill, elsewhere: dict[int, int], shift: Callable[[int], int]) -> Any:
    """Wraps `fill` as a UC_HOOK_TLB_FILL callback. shift: of a page's physical address. struct uc_tlb_entry is { u64 paddr; u32 perms; }."""
    address_of, perms_of = c_uint64.from_address, c_uint32.from_address

    def callback(_uc: int, page: int, access: int, entry: int, _data: int) -> bool:
        perms = fill(page, access)
        if not perms:
            return False
        target = elsewhere.get(page, page) if access != MEM_FETCH else page
        address_of(entry).value = target + shift(target)
        perms_of(entry + 8).value = perms
        return True

    return TLB_CALLBACK(callback)
