"""Two versions of a library, loaded, and one call made on both."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from fnmatch import fnmatchcase

from uselib.abi.dynamic.probe import hints
from uselib.abi.dynamic.probe.argument_layout import ARENA, PreparedArguments, prepare
from uselib.abi.dynamic.probe.call import CallOutcome, ProbedLibrary
from uselib.abi.dynamic.probe.compare_outcomes import first_difference
from uselib.abi.dynamic.probe.spec import CallDifference, ProbeRequest
from uselib.abi.dynamic.probe.values import Value
from uselib.emulator.trace.prototypes.sources import Prototypes, open_prototypes
from uselib.emulator.trace.prototypes.type_views import Prototype
from uselib.linker.errors import Diagnostic, ToolError, error
from uselib.linker.formats.elf_image import read_image
from uselib.linker.image import ExportKind, Image
from uselib.linker.reading import read_file


@dataclass(frozen=True)
class CallComparison:
    ready: PreparedArguments
    old: CallOutcome
    new: CallOutcome
    difference: CallDifference | None

    @property
    def crashed(self) -> bool:
        """Whether the call crashed on both sides."""
        return all(side.end in ("signal", "limit") for side in (self.old, self.new))


class LibraryPair:
    """Two versions of a library, loaded. A context manager."""

    def __init__(self, request: ProbeRequest) -> None:
        """Raises ToolError: not two versions of one library."""
        self.request = request
        self._files = [read_file(request.old), read_file(request.new)]
        self.images = [_library(data, path) for data, path in zip(self._files, (request.old, request.new), strict=True)]
        _check(self.images, request)
        with ExitStack() as opened:
            files = [opened.enter_context(open(os.memfd_create("probe"), "r+b", buffering=0)) for _ in range(3)]
            standard = [file.fileno() for file in files]
            self.old = opened.enter_context(
                ProbedLibrary(request.old, standard, request.library_path, request.max_instructions)
            )
            self.new = opened.enter_context(
                ProbedLibrary(request.new, standard, request.library_path, request.max_instructions)
            )
            self._opened = opened.pop_all()
        self.exports = [{e.name: e for e in image.exports if e.kind is ExportKind.FUNCTION} for image in self.images]
        self._texts: tuple[bytes, ...] | None = None
        self._prototypes: Prototypes | None = None

    def __enter__(self) -> LibraryPair:
        return self

    def __exit__(self, *_: object) -> None:
        self._opened.close()

    def prototype(self, name: str) -> Prototype | None:
        """The prototype that old programs use: the user's declarations, the old version's DWARF, the C library's. Raises FormatError."""
        if self._prototypes is None:
            self._prototypes = open_prototypes(self.images[0].machine, [self.request.old], self.request.prototypes)
        return self._prototypes.find(name)

    def names(self) -> list[str]:
        """The requested functions, in order. A pattern selects functions that both versions have."""
        found: list[str] = []
        everything = sorted(self.exports[0].keys() & self.exports[1].keys())
        for pattern in self.request.functions:
            found += [name for name in everything if fnmatchcase(name, pattern)] if is_pattern(pattern) else [pattern]
        return list(dict.fromkeys(found))

    def hints(self, name: str) -> hints.Hints:
        """The constants of the function's code and of the library, for the strategies."""
        numbers = [hints.numbers(image, data, name) for image, data in zip(self.images, self._files, strict=True)]
        if self._texts is None:
            texts = [hints.texts(image, data) for image, data in zip(self.images, self._files, strict=True)]
            self._texts = hints.chosen_texts(*texts)
        request = self.request
        return hints.Hints(hints.chosen(*numbers), self._texts, request.ranges, request.null)

    def compare(
        self, prototype: Prototype, values: Sequence[Value], fresh: bool = True, base: int = ARENA
    ) -> CallComparison:
        """Makes one call on both sides, from the saved state or the present one. Raises Refused."""
        ready = prepare(prototype, values, self.old.machine, base)
        old = self.old.call(self.exports[0][prototype.name].address, prototype, ready, fresh)
        new = self.new.call(self.exports[1][prototype.name].address, prototype, ready, fresh)
        found = first_difference(prototype, ready, (self.old, old), (self.new, new), self.request.errno)
        return CallComparison(ready, old, new, found)


def _library(data: bytes, path: str) -> Image:
    image = read_image(data, path)
    if image.library is None:
        raise error(path, "is not a target library", remedy="give a file such as DIR/shlib/libc_s.1.2.3")
    return image


class LibrariesNotComparable(ToolError):
    """The two files are not versions of one library: exit status 16."""


def _check(images: Sequence[Image], request: ProbeRequest) -> None:
    old, new = images
    assert old.library is not None and new.library is not None
    one, two = old.library.identity, new.library.identity
    if old.machine is not new.machine:
        what = f"is for {new.machine.label}, {request.old} for {old.machine.label}"
    elif one.name != two.name:
        what = f"is {two.name}, {request.old} is {one.name}"
    else:
        return
    raise LibrariesNotComparable(Diagnostic(request.new, what))


def is_pattern(text: str) -> bool:
    """Whether the request names functions by a shell pattern, and not by name."""
    return any(c in text for c in "*?[")
