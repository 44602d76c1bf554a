"""LiveSink: a recorder's output as events, for the renderers of `uselib trace PROG`."""

from __future__ import annotations

import os
from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from uselib.emulator.trace.live.events import (
    Dispatch,
    Event,
    LibraryMapped,
    Returned,
    Signalled,
    SymbolBound,
    SystemCall,
    TraceStarted,
)
from uselib.emulator.trace.live.output import Output
from uselib.emulator.trace.store.bindings import TracedBinding, rows_of
from uselib.emulator.trace.store.format import LATE, RECORD, Batch, ChunkKind, EventKind


@dataclass
class _Names:
    """One process, as its chunks describe it."""

    pid: int
    program: str
    machine: str
    functions: dict[int, tuple[str, str, int]] = field(default_factory=dict)  # library, name, slot
    files: dict[int, dict[str, Any]] = field(default_factory=dict)  # base -> FILE chunk
    threads: list[tuple[int, int]] = field(default_factory=list)  # first event, thread
    bindings: list[TracedBinding] = field(default_factory=list)  # that have not been shown
    sequence: int = 0  # of the latest event shown

    def thread_of(self, sequence: int) -> int:
        """Events come in order, so what is over is forgotten."""
        while len(self.threads) > 1 and self.threads[1][0] <= sequence:
            del self.threads[0]
        first, thread = self.threads[0]
        return thread if first <= sequence else self.pid

    def place(self, address: int) -> tuple[str, str]:
        """`main+0x1c` and the name of the file; each empty if unknown."""
        for base, file in self.files.items():
            if base <= address < file["end"]:
                name = os.path.basename(file["path"])
                at = bisect_right(file["addresses"], address) - 1
                if at >= 0:
                    offset = address - file["addresses"][at]
                    size = file["sizes"][at]
                    if offset < max(size, 1) or not size:
                        return f"{file['names'][at]}+{offset:#x}", name
                return "", name
        return "", ""


class LiveSink:
    """Implements sinks.TraceSink. render: an event as text, with its newline."""

    def __init__(self, render: Callable[[Event], str], output: Output) -> None:
        self._render, self._output = render, output
        self.live = output.immediate
        self._processes: dict[int, _Names] = {}
        self._describers: dict[ChunkKind, Callable[[dict[str, Any], int], None]] = {
            ChunkKind.PROCESS: self._process,
            ChunkKind.TABLE: self._table,
            ChunkKind.FILE: self._file,
            ChunkKind.THREADS: self._threads,
            ChunkKind.BINDINGS: self._bindings,
        }

    def _emit(self, event: Event) -> None:
        self._output.write(self._render(event))

    # -- TraceSink ------------------------------------------------------------------------------------------------------

    def describe(self, kind: ChunkKind, value: dict[str, Any], process: int) -> None:
        describer = self._describers.get(kind)
        if describer is not None:
            describer(value, process)
        if self.live:
            self._output.flush()

    def batch(self, batch: Batch, process: int) -> None:
        names = self._processes[process]
        sequence = batch.first - 1
        for time, caller, _, *words, function, depth, kind, flags in RECORD.iter_unpack(batch.records):
            if kind == EventKind.MORE:
                continue
            if names.bindings and names.bindings[0].after <= sequence:
                self._show_bindings(names, sequence)
            sequence += 1
            maker = _MAKERS.get(kind)
            if maker is not None:
                event = maker(names, sequence, time, caller, tuple(words), function, depth, flags)
                self._emit(replace(event, thread=names.thread_of(sequence)) if names.threads else event)
        names.sequence = sequence
        self._show_bindings(names, sequence)
        if self.live:
            self._output.flush()

    def flush(self) -> None:
        self._output.flush()

    def forked(self) -> None:
        """Nothing is the parent's alone."""

    def close(self) -> None:
        self._output.close()

    # -- descriptions -----------------------------------------------------------------------------------------------------

    def _process(self, value: dict[str, Any], process: int) -> None:
        names = self._processes[process] = _Names(value["pid"], value["program"], value["machine"])
        parent = self._processes.get(value["parent"]) if value["parent"] is not None else None
        if parent is not None and parent.pid != names.pid:
            names.functions, names.files = dict(parent.functions), dict(parent.files)
        self._emit(TraceStarted(names.pid, names.program, names.machine))

    def _file(self, value: dict[str, Any], process: int) -> None:
        files = self._processes[process].files
        for base in [b for b, old in files.items() if b < value["end"] and value["base"] < old["end"]]:
            del files[base]  # what was there before is gone
        files[value["base"]] = value

    def _threads(self, value: dict[str, Any], process: int) -> None:
        self._processes[process].threads += zip(value["first"], value["thread"], strict=True)

    def _bindings(self, value: dict[str, Any], process: int) -> None:
        names = self._processes[process]
        names.bindings += rows_of(value)
        self._show_bindings(names, names.sequence)

    def _show_bindings(self, names: _Names, sequence: int) -> None:
        """Those that came before the event behind `sequence`."""
        while names.bindings and names.bindings[0].after <= sequence:
            row = names.bindings.pop(0)
            self._emit(SymbolBound(names.pid, row, (row.thread or names.pid) if names.threads else 0))

    def _table(self, value: dict[str, Any], process: int) -> None:
        names = self._processes[process]
        for number, (name, slot) in enumerate(zip(value["names"], value["slots"], strict=True), value["first"]):
            names.functions[number] = value["library"], name, slot or 0
        if (value["slots"] and value["slots"][0]) or (value.get("exported") and value["library"]):
            file = next(file for file in reversed(names.files.values()) if file["path"] == value["file"])
            base, slots = file["base"], len(value["slots"])
            size, exported = file["end"] - base, bool(value.get("exported"))
            self._emit(LibraryMapped(names.pid, value["library"], value["version"], base, size, slots, exported))


# -- a record as an event -------------------------------------------------------------------------------------------------

_Words = tuple[int, ...]


def _call(
    names: _Names, sequence: int, _time: int, caller: int, words: _Words, function: int, depth: int, _flags: int
) -> Dispatch:
    library, name, slot = names.functions[function]
    symbol, file = names.place(caller)
    return Dispatch(names.pid, sequence, library, slot, name, caller, symbol, file, words, depth)


def _return(
    names: _Names, sequence: int, _time: int, call: int, words: _Words, function: int, _depth: int, flags: int
) -> Returned:
    library, name, _ = names.functions[function]
    return Returned(names.pid, sequence, call, library, name, words[0], words[3], bool(flags & LATE))


def _system_call(
    names: _Names, sequence: int, _time: int, _pc: int, words: _Words, number: int, _depth: int, _flags: int
) -> SystemCall:
    return SystemCall(names.pid, sequence, _system_call_name(names.machine, number), words)


def _system_result(
    names: _Names, sequence: int, _time: int, _pc: int, words: _Words, number: int, _depth: int, _flags: int
) -> SystemCall:
    return SystemCall(names.pid, sequence, _system_call_name(names.machine, number), (), words[0])


def _signal(
    names: _Names, sequence: int, _time: int, _pc: int, words: _Words, _number: int, _depth: int, _flags: int
) -> Signalled:
    from uselib.emulator.kernel.signals.numbers import NAMES

    return Signalled(names.pid, sequence, NAMES.get(words[0], f"signal {words[0]}"), words[1])


_MAKERS: dict[
    int, Callable[[_Names, int, int, int, _Words, int, int, int], Dispatch | Returned | SystemCall | Signalled]
] = {
    EventKind.CALL: _call,
    EventKind.INNER_CALL: _call,
    EventKind.RETURN: _return,
    EventKind.INNER_RETURN: _return,
    EventKind.SYSCALL: _system_call,
    EventKind.SYSCALL_RESULT: _system_result,
    EventKind.SIGNAL: _signal,
}


def _system_call_name(machine: str, number: int) -> str:
    from uselib.emulator.kernel import table
    from uselib.linker.image import Machine

    which = Machine.I386 if machine == "i386" else Machine.X86_64
    return table.names(which).get(number, f"syscall_{number}")
