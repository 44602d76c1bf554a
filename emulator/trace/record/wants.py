"""Which arguments are copied at call time: what the prototypes of the called functions say."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

# declarations and dwarf are needed at the first call that is recorded, when a sandbox no longer lets Python write their byte code
from uselib.emulator.trace.prototypes import declarations, dwarf  # noqa: F401
from uselib.emulator.trace.prototypes.capture import wanted, wanted_result, wanted_words
from uselib.emulator.trace.prototypes.damage import Warn, unsaid
from uselib.emulator.trace.prototypes.sources import PrototypeFile, Prototypes, open_prototypes
from uselib.emulator.trace.record.backend import WORDS, Copy, Want
from uselib.emulator.trace.record.known_files import KnownFile
from uselib.emulator.trace.record.recorded_files import RecordedFunction
from uselib.linker.formats.dynamic_symbols import unversioned
from uselib.linker.image import Machine

if TYPE_CHECKING:
    from uselib.emulator.trace.prototypes.type_views import Prototype

MOST_WANTS = 16  # of one function, as in native/recorder.c
_RESULTS = {Copy.STRING: Copy.RESULT_STRING, Copy.BYTES: Copy.RESULT_BYTES}


def wants_of(prototype: Prototype | None, machine: Machine, *, results: bool) -> tuple[int, tuple[Want, ...]]:
    """How many argument words of a function are recorded, and what is copied of its arguments. results: also of what its result points to."""
    if prototype is None:
        return WORDS, ()
    rows = [Want(c.word, c.maximum, Copy(c.kind)) for c in wanted(prototype, machine, registers=True)]
    if results:
        rows += [Want(c.word, c.maximum, _RESULTS[Copy(c.kind)]) for c in wanted_result(prototype)]
    return max(wanted_words(prototype, machine), WORDS), tuple(rows[:MOST_WANTS])


class PrototypeWants:
    """A recorder's `wants`. The files are read when this is made (later a sandbox may forbid it), and prototypes are looked up at the
    first call that is recorded. files: what `--prototypes` named; results: also what results point to; warn: takes sentences about
    damaged debug information. Raises FormatError for a prototype file with errors."""

    def __init__(self, files: Sequence[str] = (), *, results: bool = False, warn: Warn = unsaid) -> None:
        self._files, self._results, self._warn = [PrototypeFile.read(file) for file in files], results, warn
        for file in self._files:
            file.parsed(Machine.X86_64)  # errors now, not in the middle of the run
        self._opened: dict[tuple[Machine, tuple[str, ...]], object] = {}

    def __call__(
        self, function: RecordedFunction, machine: Machine, known: Sequence[KnownFile]
    ) -> tuple[int, tuple[Want, ...]]:
        key = machine, tuple(file.digest for file in known)
        prototypes = self._opened.get(key)
        if not isinstance(prototypes, Prototypes):
            library = "mini" if any(file.object_name.startswith("libmini") for file in known) else "musl"
            names = {file.host_path: file.path for file in known}
            prototypes = open_prototypes(machine, names, self._files, library, self._warn, names)
            self._opened[key] = prototypes
        return wants_of(prototypes.find(unversioned(function.name)), machine, results=self._results)
