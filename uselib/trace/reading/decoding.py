"""Arguments and results as text, and which of their bits mean something: by prototype where there is one (from the DWARF of the
files in the trace, from `--prototypes`, or the standard C library's), else words in hexadecimal."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import TYPE_CHECKING, Protocol

from uselib.emulator.trace.prototypes.damage import Warn, said_once
from uselib.linker.formats.dynamic_symbols import unversioned
from uselib.linker.formats.library_names import plain_name
from uselib.linker.image import Machine
from uselib.trace.reading.events import Event
from uselib.trace.reading.model import Function, TracedProcess, TraceFile

if TYPE_CHECKING:
    from uselib.emulator.trace.prototypes.decode import CallDecoder
    from uselib.emulator.trace.prototypes.sources import Prototypes
    from uselib.emulator.trace.prototypes.type_views import Prototype

Masks = tuple[tuple[int, int, int, int], int]
"""The bits that mean something: of the first four argument words, of the result."""
ALL_BITS: Masks = (((1 << 64) - 1,) * 4, (1 << 64) - 1)
NO_BITS: Masks = ((0,) * 4, 0)


class Decoder(Protocol):
    """What turns words into text."""

    def arguments(self, call: Event) -> list[str]: ...

    def result(self, function: Function | None, back: Event) -> str:
        """Empty for a function without result."""
        ...


def decoder_for(trace: TraceFile, plain: bool = False, files: Iterable[str] = (), warn: Warn | None = None) -> Decoder:
    """plain: words, whatever prototypes there are. files: of --prototypes. warn: as `open_prototypes`; without it stderr has the
    warnings. Raises FormatError for the files of --prototypes."""
    return PlainWords() if plain else ByPrototype(trace, files, warn or said_once())


def _place(process: TracedProcess, word: int) -> str:
    """A name for a pointer: a function's start only, since a number that happens to lie in a file is more often a number."""
    if word <= 0xFFFF:
        return ""
    place = process.places.place(word)
    return plain_name(place.symbol) if place is not None and not place.offset else ""


class PlainWords:
    """A Decoder without prototypes: the strings that were copied, and words."""

    def arguments(self, call: Event) -> list[str]:
        from uselib.emulator.trace.prototypes.values import quoted

        return [
            quoted(*call.payload[index]) if index in call.payload else self._word(call.process, word)
            for index, word in enumerate(call.words[:4])
        ]

    def result(self, function: Function | None, back: Event) -> str:
        return self._word(back.process, back.words[0])

    def _word(self, process: TracedProcess, word: int) -> str:
        name = _place(process, word)
        return f"&{name}" if name else hex(word) if word > 9 else str(word)


class ByPrototype:
    """A Decoder with prototypes; those of each machine in the trace are opened when the first event of it is shown."""

    def __init__(self, trace: TraceFile, files: Iterable[str], warn: Warn) -> None:
        self._trace, self._warn = trace, warn
        self._files = tuple(files)
        self._prototypes: dict[Machine, Prototypes] = {}
        # by machine and name: functions may be of another trace (diff), with other numbers
        self._found: dict[tuple[str, str], Prototype | None] = {}
        self._decoders: dict[int, CallDecoder] = {}
        for machine in {_machine(process) for process in trace.processes} if self._files else ():
            self._sources(machine)  # errors in the user's files are said at once

    def arguments(self, call: Event) -> list[str]:
        prototype = self._prototype(call.process, call.function)
        return self._decoder(call.process).arguments(prototype, call.words, call.payload)

    def result(self, function: Function | None, back: Event) -> str:
        prototype = self._prototype(back.process, function or back.function)
        return self._decoder(back.process).result(prototype, back.words, back.payload)

    def masks(self, process: TracedProcess, function: Function) -> Masks:
        """Which bits of a function's words its prototype gives a meaning; none without prototype. Floating point numbers are not
        among them."""
        from uselib.emulator.trace.prototypes.conventions import Arguments, Where, result_parts

        machine = _machine(process)
        prototype = self._prototype(process, function)
        if prototype is None:
            return NO_BITS
        words = [0, 0, 0, 0]
        places = Arguments(machine, prototype.result)
        for part in (part for parameter in prototype.parameters for part in places.next(parameter.type)):
            if part.where is Where.WORD and part.index < 4:
                words[part.index] = (1 << 8 * part.size) - 1
        result = 0
        for part in result_parts(prototype.result, machine)[:1]:
            if part.where is Where.WORD:
                result = (1 << 8 * part.size) - 1
        return (words[0], words[1], words[2], words[3]), result

    def _prototype(self, process: TracedProcess, function: Function | None) -> Prototype | None:
        if function is None:
            return None
        key = process.machine, function.name
        if key not in self._found:
            self._found[key] = self._sources(_machine(process)).find(unversioned(plain_name(function.name)))
        return self._found[key]

    def _sources(self, machine: Machine) -> Prototypes:
        found = self._prototypes.get(machine)
        if found is None:
            from uselib.emulator.trace.prototypes.sources import open_prototypes

            paths = {f.path: None for p in self._trace.processes if _machine(p) is machine for f in p.places.files}
            binaries = [path for path in paths if os.path.isfile(path)]
            found = self._prototypes[machine] = open_prototypes(machine, binaries, self._files, warn=self._warn)
        return found

    def _decoder(self, process: TracedProcess) -> CallDecoder:
        found = self._decoders.get(process.index)
        if found is None:
            from uselib.emulator.trace.prototypes.decode import CallDecoder

            def name(word: int) -> str:
                return _place(process, word)

            found = self._decoders[process.index] = CallDecoder(_machine(process), name)
        return found


def _machine(process: TracedProcess) -> Machine:
    return Machine.I386 if process.machine == "i386" else Machine.X86_64
