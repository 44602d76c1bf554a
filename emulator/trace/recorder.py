"""Recorder: finds target libraries as they are mapped, watches their jump tables, and makes events.

A library shows itself by the NT_LIBRARY note on its first page, whether uselib(2) or the start-up code's mmap put it
there. A hook over the jump table's addresses fires on dispatch and nowhere else, so that a program without shared
libraries runs at full speed.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable

from emulator.interfaces import WatchableMachine
from emulator.trace.events import Dispatch, Event, LibraryMapped, TraceStarted
from emulator.trace.symbols import SymbolMap, read_file
from linker.image import LibraryHeader, Machine
from loader.address_space import AddressSpace, MemoryFault
from loader.headers import library_header
from loader.vma import Vma

ARGUMENTS = 4  # argument words shown
RECENT = 16  # events kept for a fault report


class Recorder:
    """Implements interfaces.RunObserver. `sink` gets each event; `close` is called at the end."""

    def __init__(self, sink: Callable[[Event], None], close: Callable[[], None] = lambda: None) -> None:
        self._sink = sink
        self._close = close
        self.process = 0
        self.sequence = 0
        self.recent: deque[Dispatch] = deque(maxlen=RECENT)
        self._tables: dict[int, tuple[LibraryHeader, int]] = {}  # base -> header, hook

    # -- RunObserver --------------------------------------------------------------------------------------------------

    def program_started(self, machine: WatchableMachine, space: AddressSpace, process: int, program: str) -> None:
        self.process = process
        self._machine, self._space = machine, space
        self._symbols = SymbolMap(space)
        self._tables = {}
        self._word = machine.bits // 8
        label = (Machine.I386 if machine.bits == 32 else Machine.X86_64).label
        self._sink(TraceStarted(process, program, label))
        machine.on_mapped = self._mapped
        for vma in space:
            self._mapped(vma)

    def forked(self, process: int) -> None:
        self.process = process
        self.sequence = 0

    def program_ended(self) -> None:
        self._close()

    def last_calls(self) -> list[str]:
        return [f"{call.library}:{call.symbol} from {call.caller_symbol or hex(call.caller)}" for call in self.recent]

    # -- libraries ----------------------------------------------------------------------------------------------------

    def _mapped(self, vma: Vma) -> None:
        """A file's first page may be that of a target library."""
        if vma.file is None or vma.offset:
            return
        try:
            header = library_header(os.pread(vma.file.fd, 4096, 0), vma.name)
        except OSError:
            return
        if header is None or header.identity.base != vma.start:
            return
        known = self._tables.get(vma.start)
        if known is not None:
            if known[0] == header:
                return
            self._machine.unwatch(known[1])
        who = header.identity
        image = read_file(vma.file)
        names = {} if image is None else {export.slot: export.name for export in image.exports if export.slot}
        begin = header.jump_table
        end = begin + who.slot_count * header.slot_size
        if end <= begin:
            return
        watch = self._watcher(header, names)
        self._tables[vma.start] = header, self._machine.watch_blocks(begin, end, watch)
        self._sink(LibraryMapped(self.process, who.name, str(who.version), who.base, who.size, who.slot_count))

    def _watcher(self, header: LibraryHeader, names: dict[int, str]) -> Callable[[int], None]:
        table, size, library = header.jump_table, header.slot_size, header.identity.name

        def dispatched(address: int) -> None:
            offset = address - table
            if offset % size:
                return  # a jump into the middle of a slot: not a dispatch
            slot = offset // size + 1
            self._dispatched(library, slot, names.get(slot, f"slot{slot}"))

        return dispatched

    # -- calls --------------------------------------------------------------------------------------------------------

    def _dispatched(self, library: str, slot: int, symbol: str) -> None:
        machine, word = self._machine, self._word
        registers = machine.cpu.general()
        sp = registers[7]
        size = word if word == 8 else word * (1 + ARGUMENTS)
        try:
            stack = self._space.read(sp, size)
        except MemoryFault:
            stack = b""
        words = [int.from_bytes(stack[i : i + word], "little") for i in range(0, len(stack), word)] or [0]
        in_registers = (registers[5], registers[4], registers[3], registers[2])  # rdi rsi rdx rcx
        arguments = in_registers if word == 8 else tuple(words[1:])
        place = self._symbols.place(words[0])
        name = "" if place is None or not place.symbol else f"{place.symbol}+{place.offset:#x}"
        file = "" if place is None else os.path.basename(place.file)
        self.sequence += 1
        event = Dispatch(self.process, self.sequence, library, slot, symbol, words[0], name, file, arguments)
        self.recent.append(event)
        self._sink(event)
