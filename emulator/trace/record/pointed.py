"""Which arguments are copied at call time: what the prototypes of the called functions say, as a recorder's wants."""

from __future__ import annotations

from collections.abc import Sequence

from uselib.emulator.trace.prototypes.damage import Warn, unsaid
from uselib.emulator.trace.prototypes.sources import read_prototype_file
from uselib.emulator.trace.record.backend import WORDS, Copy, Want
from uselib.emulator.trace.record.files import KnownFile
from uselib.linker.image import Machine

_NOTHING = (WORDS, ())


class PointedData:
    """Callable as a recorder's `wants`: prototypes are opened at the first call that is recorded. files: what `--prototypes`
    named; results: also what results point to; warn: takes sentences about damaged debug information. Raises FormatError for a
    prototype file with errors."""

    def __init__(self, files: Sequence[str] = (), *, results: bool = False, warn: Warn = unsaid) -> None:
        self._files, self._results, self._warn = tuple(files), results, warn
        for file in files:
            read_prototype_file(file, Machine.X86_64)  # errors now, not in the middle of the run
        self._opened: dict[tuple[Machine, tuple[str, ...]], object] = {}

    def __call__(self, name: str, machine: Machine, known: Sequence[KnownFile]) -> tuple[int, tuple[Want, ...]]:
        from uselib.emulator.trace.prototypes.capture import wanted, wanted_result, wanted_words
        from uselib.emulator.trace.prototypes.sources import Prototypes, open_prototypes

        key = machine, tuple(file.digest for file in known)
        prototypes = self._opened.get(key)
        if not isinstance(prototypes, Prototypes):
            library = "mini" if any(file.library.startswith("libmini") for file in known) else "musl"
            names = {file.host_path: file.path for file in known}
            prototypes = open_prototypes(machine, names, self._files, library, self._warn, names)
            self._opened[key] = prototypes
        prototype = prototypes.find(name)
        if prototype is None:
            return _NOTHING
        wants = [Want(c.word, c.maximum, Copy(c.kind)) for c in wanted(prototype, machine, registers=True)]
        if self._results:
            kinds = {Copy.STRING: Copy.RESULT_STRING, Copy.BYTES: Copy.RESULT_BYTES}
            wants += [Want(c.word, c.maximum, kinds[Copy(c.kind)]) for c in wanted_result(prototype)]
        return max(wanted_words(prototype, machine), WORDS), tuple(wants[:16])
