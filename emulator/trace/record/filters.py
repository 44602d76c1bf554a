"""Which calls are recorded: the user's choice, turned into flags of functions and ranges of callers before the program runs."""

from __future__ import annotations

import fnmatch
import os
import re
from collections.abc import Iterable
from functools import cached_property

from uselib.emulator.trace.record.backend import RECORD_CALLS, TRIGGER_OFF, TRIGGER_ON
from uselib.emulator.trace.store.bindings import TracedBinding
from uselib.linker.quick_dataclass import dataclass


def _pattern(globs: Iterable[str]) -> re.Pattern[str] | None:
    """One expression for all globs (fnmatch(3): `*`, `?`, `[...]`), or None for no globs."""
    parts = [fnmatch.translate(glob) for glob in globs]
    return re.compile("|".join(parts)) if parts else None


@dataclass(frozen=True)
class Filters:
    """libraries, symbols, callers, calling_objects, trigger_on, trigger_off: globs; a name has to match one of them. depth: calls nested
    less deeply; first, last: number of events; sample: every Nth call. With trigger_on nothing is recorded before the
    first call of such a function, which is itself recorded; a call of a trigger_off function is not."""

    libraries: tuple[str, ...] = ()
    symbols: tuple[str, ...] = ()
    callers: tuple[str, ...] = ()
    calling_objects: tuple[str, ...] = ()
    trigger_on: tuple[str, ...] = ()
    trigger_off: tuple[str, ...] = ()
    depth: int | None = None
    first: int | None = None
    last: int | None = None
    sample: int = 1

    @cached_property
    def _patterns(self) -> tuple[re.Pattern[str] | None, ...]:
        names = (self.libraries, self.symbols, self.callers, self.trigger_on, self.trigger_off, self.calling_objects)
        return tuple(_pattern(globs) for globs in names)

    def flags(self, library: str, name: str) -> int:
        """RECORD_CALLS, TRIGGER_ON, TRIGGER_OFF of a function. A library's file name may be given for its name."""
        libraries, symbols, _, on, off, _ = self._patterns
        flags = 0
        if (libraries is None or libraries.fullmatch(library)) and (symbols is None or symbols.fullmatch(name)):
            flags |= RECORD_CALLS
        if on is not None and on.fullmatch(name):
            flags |= TRIGGER_ON
        if off is not None and off.fullmatch(name):
            flags |= TRIGGER_OFF
        return flags

    def takes_binding(self, row: TracedBinding) -> bool:
        """calling_objects: of the object that refers; libraries: of that found; symbols: with or without version."""
        libraries, symbols, _, _, _, objects = self._patterns
        names = row.symbol, row.plain_symbol
        return (
            (objects is None or objects.fullmatch(os.path.basename(row.referrer)) is not None)
            and (libraries is None or libraries.fullmatch(os.path.basename(row.definer)) is not None)
            and (symbols is None or any(symbols.fullmatch(name) for name in names))
        )

    def is_caller(self, name: str) -> bool:
        """Whether calls from a function of that name are wanted. Only asked if there are `callers`."""
        pattern = self._patterns[2]
        return pattern is not None and pattern.fullmatch(name) is not None

    def is_calling_object(self, file: str) -> bool:
        """Whether calls from the file of that name, without its directory, are wanted. Only asked if there are `calling_objects`."""
        pattern = self._patterns[5]
        return pattern is not None and pattern.fullmatch(file) is not None
