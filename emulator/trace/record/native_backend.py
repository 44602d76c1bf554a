"""The native recorder: native/recorder.c, loaded with ctypes, and its state, which this module owns.

`_Trace` below is `struct Trace` there, field by field; the sizes are compared when it is loaded.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from ctypes import POINTER, c_int, c_uint8, c_uint32, c_uint64, c_void_p
from functools import cache
from typing import Any

from uselib.emulator import native_module
from uselib.emulator.native_module import fields
from uselib.emulator.process.interfaces import WatchableMachine
from uselib.emulator.trace.record.backend import (
    BEFORE_FORK,
    EXTRA,
    FOREIGN,
    MAX_RESOLVED,
    MAX_RESOLVERS,
    MAX_SITES,
    RESOLVER,
    STACKS,
    UNPREPARED,
    WORDS,
    FunctionSpec,
    Helpers,
    Setup,
    Want,
)
from uselib.emulator.trace.store.format import RECORD, Batch, EventKind
from uselib.linker.quick_dataclass import replace

MODULE = "uselib.emulator.trace._native"
_MAPPINGS = 16
_PAYLOAD = 4 << 20  # bytes; one call copies at most 16 strings of 64 KiB
_FLUSH = ctypes.CFUNCTYPE(None)
_PREPARE = ctypes.CFUNCTYPE(None, c_uint32)


class _Mapping(ctypes.Structure):
    _fields_ = fields("u64 start, end; i64 delta")


_RESOLVE = ctypes.CFUNCTYPE(c_int, c_uint64, POINTER(_Mapping))


class _NativeStack(ctypes.Structure):
    _fields_ = fields("u64 low, high; pointer frames; u32 count, capacity, base, outer; u64 used")


class _Function(ctypes.Structure):
    _fields_ = fields("u8 flags, words, wants, reserved; u32 first_want, slot, unused; u64 low, high, entry")


class _PendingResolver(ctypes.Structure):
    _fields_ = fields("u64 sp, caller; u32 function, unused")


class _Want(ctypes.Structure):
    _fields_ = fields("u8 word, kind; u16 size")


class _Trace(ctypes.Structure):
    _fields_ = fields(
        """
        pointer reg_read, registers; flush flush; resolve resolve; prepare prepare;
        pointer records; u64 count, capacity;
        pointer payload; u64 payload_used, payload_capacity;
        u64 sequence, first, calls, blocks, filtered;
        pointer functions; u64 function_count; pointer wants;
        pointer keys, values; u64 key_mask; pointer bloom, sites; u64 site_count;
        pointer caller_ranges; u64 caller_count;
        u64 remaining, sample, sampled;
        u32 bits, clock_blocks, returns, filter_callers, active, max_depth, disabled, current;
        u64 via; u32 via_function, home; u64 stack_clock;
        u64 block;
        u32 other_thread, unused;
        pointer control; u64 drop; pointer resolved; u64 resolved_count; u32 watched, resolver_count; resolvers resolvers;
        u32 mapping_count, mapping_next; mappings mappings; stacks stacks
        """,
        flush=_FLUSH,
        resolve=_RESOLVE,
        prepare=_PREPARE,
        resolvers=_PendingResolver * MAX_RESOLVERS,
        mappings=_Mapping * _MAPPINGS,
        stacks=_NativeStack * STACKS,
    )


class _NativeTable(ctypes.Structure):
    _fields_ = fields("pointer trace; u64 begin; u32 first, slot_size")


@cache
def library() -> ctypes.CDLL | None:
    """The shared object; None as native_module.load says."""
    sizes = [ctypes.sizeof(_Trace), RECORD.size, *map(ctypes.sizeof, (_Function, _Want, _NativeTable))]
    lib = native_module.load(MODULE, {"uselib_sizes": sizes})
    if lib is None:
        return None
    lib.uselib_event.argtypes = [c_void_p, c_uint32, c_uint32, c_uint64, c_uint64, c_void_p, c_uint32]
    lib.uselib_add_entries.argtypes = [c_void_p, c_void_p, c_uint64, c_uint32]
    for name in ("uselib_forked", "uselib_release"):
        getattr(lib, name).argtypes = [c_void_p]
    lib.uselib_drop_entries.argtypes = [c_void_p, c_uint64, c_uint64]
    for name in ("uselib_event", "uselib_add_entries", "uselib_drop_entries", "uselib_forked", "uselib_release"):
        getattr(lib, name).restype = None
    return lib


class NativeBackend:
    """See backend.Backend."""

    def __init__(self, machine: WatchableMachine, setup: Setup, helpers: Helpers) -> None:
        lib = library()
        assert lib is not None
        self._lib, self._machine, self._setup, self._helpers = lib, machine, setup, helpers
        self._records = (c_uint64 * (RECORD.size // 8 * setup.capacity))()
        self._payload: Any = (c_uint8 * 0)()
        self._bloom = (c_uint64 * (1 << (c_uint64 * 6).in_dll(lib, "uselib_sizes")[5] - 6))()
        self._sites = (c_uint64 * (2 * MAX_SITES if setup.returns else 0))()
        self._keep: list[Any] = []  # tables that hooks refer to
        self._specs: list[FunctionSpec] = []
        trace = self._trace = _Trace()
        trace.reg_read = machine.native_function("uc_reg_read")
        trace.registers = machine.register_file()
        trace.flush = _FLUSH(self.drain)
        trace.resolve = _RESOLVE(self._resolved)
        trace.prepare = _PREPARE(self._prepare)
        trace.records, trace.capacity = ctypes.addressof(self._records), setup.capacity
        trace.bloom = ctypes.addressof(self._bloom)
        trace.sites = ctypes.addressof(self._sites)
        trace.remaining, trace.sample = setup.first, setup.sample
        trace.bits, trace.clock_blocks, trace.returns = setup.bits, setup.clock_blocks, setup.returns
        trace.active, trace.max_depth = setup.active, setup.max_depth
        self._chosen = (c_uint64 * (2 * MAX_RESOLVED))()
        trace.resolved = ctypes.addressof(self._chosen)
        trace.control, trace.drop = machine.native_function("uc_ctl"), machine.drop_control
        self._at = ctypes.addressof(trace)
        self._gone: list[tuple[int, tuple[int, int]]] = []  # functions there were, and where their object was
        self._build()
        if setup.callers is not None:
            self.set_callers(setup.callers)
        if setup.everything:
            machine.watch_blocks_native(1, 1, native_module.address(lib.uselib_on_block), self._at)

    # -- properties -----------------------------------------------------------------------------------------------------

    @property
    def sequence(self) -> int:
        return int(self._trace.sequence)

    @property
    def sequence_address(self) -> int:
        return self._at + _Trace.sequence.offset

    @property
    def block(self) -> int:
        return int(self._trace.block)

    @property
    def block_address(self) -> int:
        return self._at + _Trace.block.offset

    @property
    def remaining(self) -> int:
        return int(self._trace.remaining)

    @property
    def active(self) -> bool:
        return bool(self._trace.active)

    @property
    def filtered(self) -> int:
        return int(self._trace.filtered)

    # -- functions ------------------------------------------------------------------------------------------------------

    def _build(self) -> None:
        """Arrays with room for twice the functions there are, and for what resolvers choose."""
        trace, room = self._trace, 256
        while room < 2 * len(self._specs):
            room *= 2
        slots = 4 * (room + MAX_RESOLVED)
        slots = 1 << slots.bit_length()
        self._functions = (_Function * room)()
        self._want_rows: list[Want] = []
        self._keys, self._values = (c_uint64 * slots)(), (c_uint32 * slots)()
        trace.functions = ctypes.addressof(self._functions)
        trace.keys, trace.values = ctypes.addressof(self._keys), ctypes.addressof(self._values)
        trace.key_mask = slots - 1
        self._enter(0)
        for number, (begin, end) in self._gone:
            self._lib.uselib_drop_entries(self._at, begin, end)
            self._add_entries(number)
        for at in range(0, 2 * trace.resolved_count, 2):
            address = (c_uint64 * 1)(self._chosen[at])
            self._lib.uselib_add_entries(self._at, address, 1, self._chosen[at + 1])

    def _enter(self, first: int) -> None:
        """Functions from number `first` on into the arrays; their addresses go into the table of entries."""
        specs, trace = self._specs, self._trace
        for number in range(first, len(specs)):
            row, spec = self._functions[number], specs[number]
            row.slot = spec.slot + 1
            row.low, row.high, row.entry = *spec.own, spec.address
            self._fill(row, spec)
        trace.function_count = len(specs)
        self._place_wants()
        self._add_entries(first)

    def _add_entries(self, first: int) -> None:
        specs = self._specs[first:]
        if self._setup.everything:
            self._lib.uselib_add_entries(
                self._at, (c_uint64 * len(specs))(*(s.address for s in specs)), len(specs), first
            )
            return
        for number, spec in enumerate(specs, first):  # slots have hooks of their own
            if spec.flags & (FOREIGN | RESOLVER):
                self._lib.uselib_add_entries(self._at, (c_uint64 * 1)(spec.address), 1, number)

    def _fill(self, row: Any, spec: FunctionSpec) -> None:
        row.flags, row.words, row.wants = spec.flags, spec.words, len(spec.wants)
        row.first_want = len(self._want_rows)
        self._want_rows += spec.wants

    def _place_wants(self) -> None:
        rows, trace = self._want_rows, self._trace
        self._wants = (_Want * max(len(rows), 1))()
        for place, want in zip(self._wants, rows, strict=False):
            place.word, place.kind, place.size = want.word, want.kind, want.size
        trace.wants = ctypes.addressof(self._wants)
        if rows and not len(self._payload):
            self._payload = (c_uint8 * _PAYLOAD)()
            trace.payload, trace.payload_capacity = ctypes.addressof(self._payload), _PAYLOAD

    def _prepare(self, function: int) -> None:
        words, wants = self._helpers.prepare(function)
        spec = self._specs[function]
        self._specs[function] = replace(spec, flags=spec.flags & ~UNPREPARED, words=words, wants=wants)
        self._fill(self._functions[function], self._specs[function])
        self._place_wants()

    def add_functions(self, first: int, specs: Sequence[FunctionSpec]) -> None:
        assert first == len(self._specs)
        self._specs.extend(specs)
        if len(self._specs) > len(self._functions):
            self._build()
        else:
            self._enter(first)

    def set_callers(self, ranges: Sequence[tuple[int, int]]) -> None:
        self._ranges = (c_uint64 * max(2 * len(ranges), 1))(*(end for pair in ranges for end in pair))
        trace = self._trace
        trace.caller_ranges, trace.caller_count = ctypes.addressof(self._ranges), len(ranges)
        trace.filter_callers = 1

    def watch(self, begin: int, size: int, count: int, first: int) -> list[int]:
        if self._setup.everything or not count:
            return []
        table = _NativeTable(self._at, begin, first, size)
        self._keep.append(table)
        function = native_module.address(self._lib.uselib_on_slot)
        return [self._machine.watch_blocks_native(begin, begin + size * count, function, ctypes.addressof(table))]

    def watch_entries(self) -> None:
        if self._setup.everything or self._trace.watched:
            return
        self._trace.watched = 1
        function, bits = (
            native_module.address(self._lib.uselib_on_entry),
            (c_uint64 * 6).in_dll(self._lib, "uselib_sizes")[5],
        )
        self._machine.watch_filtered(function, self._at, ctypes.addressof(self._bloom), bits)

    def forget_functions(self, begin: int, end: int) -> None:
        self._lib.uselib_drop_entries(self._at, begin, end)
        self._gone.append((len(self._specs), (begin, end)))

    # -- memory ---------------------------------------------------------------------------------------------------------

    def _resolved(self, address: int, found: Any) -> int:
        mapping = self._helpers.resolve(address)
        if mapping is None:
            return 0
        row = found.contents
        row.start, row.end, row.delta = mapping.start, mapping.end, mapping.delta
        return 1

    def other_thread(self) -> None:
        self._trace.other_thread = 1

    def forget(self) -> None:
        self._trace.mapping_count = 0

    # -- events ---------------------------------------------------------------------------------------------------------

    def event(self, kind: EventKind, function: int, pc: int, sp: int, words: Sequence[int]) -> None:
        values = (c_uint64 * (WORDS + EXTRA))(*words)
        self._lib.uselib_event(self._at, kind, function, pc, sp, values, len(words))

    def drain(self) -> None:
        trace = self._trace
        count = trace.count
        if not count:
            return
        records = memoryview(self._records).cast("B")[: RECORD.size * count]
        payload = memoryview(self._payload).cast("B")[: trace.payload_used] if trace.payload_used else b""
        trace.count = trace.payload_used = 0
        self._helpers.sink(Batch(trace.first, records, payload))

    def forked(self) -> None:
        self._lib.uselib_forked(self._at)

    def stop(self) -> None:
        self._trace.disabled = 1

    def close(self) -> None:
        self._lib.uselib_release(self._at)


assert BEFORE_FORK == (1 << 64) - 1  # as in recorder.c
