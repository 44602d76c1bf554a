"""chkshlib of System V Release 3: compares two COFF files. FILE1 is compatible with FILE2 if every library symbol of FILE1 is in FILE2 at the
same address, and both name the same target path (docs/historical-systems.md).

    executable  target      can the program run with the library?
    executable  host        could that host library have produced the program?
    host        target      would programs that are linked with the host run with the target?
    target      target, host  host      can FILE2 take the place of FILE1?   (asked in both directions: can each replace the other?)
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field

from uselib.linker.errors import Diagnostic, FormatError
from uselib.linker.formats.ar import MAGIC, Archive
from uselib.linker.historical.coff import format as coff

_MARKER = "_lib_"


class CoffFileKind(enum.Enum):
    EXECUTABLE = "executable"
    HOST = "host library"
    TARGET = "target library"


QUESTIONS = {
    (CoffFileKind.EXECUTABLE, CoffFileKind.TARGET): "can the program run with the library?",
    (CoffFileKind.EXECUTABLE, CoffFileKind.HOST): "could the host library have produced the program?",
    (CoffFileKind.HOST, CoffFileKind.TARGET): "would programs linked with the host library run with the target?",
    (CoffFileKind.TARGET, CoffFileKind.TARGET): "can the second target take the place of the first?",
    (CoffFileKind.HOST, CoffFileKind.HOST): "can the second host library take the place of the first?",
}


@dataclass(frozen=True)
class LibraryFile:
    """The facts of a file that chkshlib compares. symbols: name -> address, of a library's exports, or of a program's imports. paths: target
    paths it names. ranges: those of a target's sections. imports: a target's imports from other libraries.
    """

    where: str
    kind: CoffFileKind
    symbols: dict[str, int]
    paths: tuple[str, ...] = ()
    ranges: tuple[tuple[int, int], ...] = ()
    imports: dict[str, int] = field(default_factory=dict)


def is_checkable(data: bytes) -> bool:
    """A linked COFF file, or an archive whose first member is a COFF object."""
    if coff.is_coff(data):
        return True
    if data[:8] != MAGIC:
        return False
    try:
        first = Archive(data, "").first()
    except FormatError:
        return False
    return first is not None and coff.is_coff(data[first.start : first.start + first.size])


def read(data: bytes, where: str) -> LibraryFile:
    """Reads a file. Raises FormatError: damaged, or neither program, host nor target library."""
    if data[:8] == MAGIC:
        return _host(data, where)
    file = coff.decode(data, where)
    if file.optional is None or not file.flags & coff.F_EXEC:
        raise FormatError(Diagnostic(where, "is an object: chkshlib compares programs, host and target libraries"))
    absolute = {
        s.name: s.value
        for s in file.symbols
        if s.storage == coff.C_EXT and s.section == coff.N_ABS and not s.name.startswith(_MARKER)
    }
    if file.optional.magic == coff.LIBMAGIC:
        own = {s.name: s.value for s in file.symbols if s.storage == coff.C_EXT and s.section > 0}
        ranges = tuple(
            (s.address, s.address + s.size) for s in file.sections if s.size and not s.flags & coff.STYP_INFO
        )
        return LibraryFile(where, CoffFileKind.TARGET, own, (), ranges, absolute)
    paths = [r.path for s in file.sections if s.flags & coff.STYP_LIB for r in coff.decode_libraries(s.content, where)]
    return LibraryFile(where, CoffFileKind.EXECUTABLE, absolute, tuple(paths))


def _host(data: bytes, where: str) -> LibraryFile:
    archive = Archive(data, where)
    symbols: dict[str, int] = {}
    paths: list[str] = []
    for member in archive.members():
        place = f"{where}({member.name})"
        content = bytes(data[member.start : member.start + member.size])
        if not coff.is_coff(content):
            raise FormatError(Diagnostic(place, "is not a COFF object"))
        file = coff.decode(content, place)
        for section in file.sections:
            if section.flags & coff.STYP_LIB:
                paths += [record.path for record in coff.decode_libraries(section.content, place)]
        for symbol in file.symbols:
            if symbol.storage == coff.C_EXT and symbol.section == coff.N_ABS and not symbol.name.startswith(_MARKER):
                symbols[symbol.name] = symbol.value
    if not paths:
        raise FormatError(Diagnostic(where, "is not a host library: it has no .lib section"))
    return LibraryFile(where, CoffFileKind.HOST, symbols, tuple(paths))


@dataclass(frozen=True)
class CompatibilityVerdict:
    """The verdict of one direction. problems: reasons against it. warnings: those of -b."""

    first: LibraryFile
    second: LibraryFile
    question: str
    problems: tuple[str, ...]
    warnings: tuple[str, ...] = ()

    @property
    def compatible(self) -> bool:
        return not self.problems


def compare(
    first: LibraryFile, second: LibraryFile, ignore_paths: bool = False, bounds: bool = False
) -> CompatibilityVerdict:
    """Whether `first` is compatible with `second`. Raises FormatError if the two kinds cannot be compared."""
    question = QUESTIONS.get((first.kind, second.kind))
    if question is None:
        raise FormatError(
            Diagnostic(
                first.where,
                f"{first.kind.value} and {second.kind.value} are not compared in this order",
                remedy="swap the files",
            )
        )
    problems = []
    if not ignore_paths and first.paths and second.paths and not set(second.paths) & set(first.paths):
        problems.append(
            f"{first.where} names the target {', '.join(first.paths)}, {second.where} {', '.join(second.paths)}"
        )
    wanted = first.symbols
    if (
        first.kind is CoffFileKind.EXECUTABLE and second.kind is CoffFileKind.TARGET
    ):  # a program may use other libraries too
        wanted = {
            n: a
            for n, a in wanted.items()
            if n in second.symbols or any(low <= a < high for low, high in second.ranges)
        }
    elif first.kind is CoffFileKind.EXECUTABLE:
        addresses = set(second.symbols.values())
        wanted = {n: a for n, a in wanted.items() if n in second.symbols or a in addresses}
    for name, address in sorted(wanted.items()):
        there = second.symbols.get(name)
        if there is None:
            problems.append(f"{name}: is not in {second.where}")
        elif there != address:
            problems.append(f"{name}: at {address:#x} in {first.where}, at {there:#x} in {second.where}")
    warnings = _bounds(first, second) if bounds else ()
    return CompatibilityVerdict(first, second, question, tuple(problems), warnings)


def _bounds(*files: LibraryFile) -> tuple[str, ...]:
    """-b: library symbols outside the sections of the target."""
    ranges = [r for file in files for r in file.ranges]
    if not ranges:
        return ()
    return tuple(
        f"{name}: {address:#x} of {file.where} lies outside the target's sections"
        for file in files
        for name, address in sorted(file.symbols.items())
        if not any(low <= address < high for low, high in ranges)
    )


def refers(first: LibraryFile, second: LibraryFile) -> list[str]:
    """-n: the names by which the first target refers to the second."""
    return sorted(
        name
        for name, address in first.imports.items()
        if second.symbols.get(name) == address or _within(address, second.ranges)
    )


def _within(address: int, ranges: tuple[tuple[int, int], ...]) -> bool:
    return any(low <= address < high for low, high in ranges)
