"""The bindings of a program, and the objects at those addresses in a version of the library.

A program that our ld linked records it (NT_BINDINGS). In a program that another linker linked, the symbol table still has the stub's
SHN_ABS symbols, used or not. For a stripped program the exports of the old version stand in.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from uselib.linker.errors import Diagnostic, FormatError
from uselib.linker.formats.elf_image import read_image
from uselib.linker.formats.library_names import IMPLEMENTATION_SUFFIX, plain_name
from uselib.linker.image import PAGE, ExportKind, Identity, Image, LibraryHeader
from uselib.linker.reading import read_file
from uselib.linker.versions import names_library

ET_DYN = 3


class RunsNotComparable(Exception):
    """The two versions cannot be compared; the text says why."""


@dataclass(frozen=True)
class LibraryExport:
    """An exported name at an address. size: bytes; slot: 0 for data."""

    name: str
    address: int
    size: int
    slot: int = 0

    @property
    def pages(self) -> range:
        """Addresses of the pages it lies in."""
        return range(self.address - self.address % PAGE, self.address + max(self.size, 1), PAGE)


@dataclass(frozen=True)
class LibraryVersion:
    """One version of the library under test."""

    path: str
    data: bytes
    image: Image
    header: LibraryHeader

    @property
    def identity(self) -> Identity:
        return self.header.identity

    @cached_property
    def slots(self) -> dict[int, LibraryExport]:
        """Address of each used slot -> its function."""
        return {e.address: LibraryExport(e.name, e.address, e.size, e.slot) for e in self.image.exports if e.slot}

    @cached_property
    def exported_data(self) -> tuple[LibraryExport, ...]:
        """Exported data, ascending by address."""
        found = [LibraryExport(e.name, e.address, e.size) for e in self.image.exports if e.kind is ExportKind.DATA]
        return tuple(sorted(found, key=lambda place: (place.address, -place.size, place.name)))

    @cached_property
    def _starts(self) -> list[int]:
        return [place.address for place in self.exported_data]

    def datum_at(self, address: int) -> LibraryExport | None:
        """The exported variable that contains the address."""
        at = bisect_right(self._starts, address) - 1
        while at >= 0:
            place = self.exported_data[at]
            if address < place.address + max(place.size, 1):
                return place
            if place.size:  # nothing larger can begin before it: exported data do not overlap
                return None
            at -= 1
        return None

    def slot_number(self, address: int) -> int:
        """Number of the slot at an address, 0 if there is none (whether used or not)."""
        offset = address - self.header.jump_table
        count = self.identity.slot_count
        if offset < 0 or not self.header.slot_size or offset % self.header.slot_size:
            return 0
        number = offset // self.header.slot_size + 1
        return number if number <= count else 0

    @cached_property
    def addresses(self) -> dict[str, int]:
        return {export.name: export.address for export in self.image.exports}

    @cached_property
    def _code(self) -> dict[str, tuple[int, int]]:
        return {
            plain_name(s.name): (s.address, s.size)
            for s in self.image.symbols
            if s.name.endswith(IMPLEMENTATION_SUFFIX)
        }

    def code(self, name: str) -> bytes:
        """The code of an exported function, with the displacements of calls and jumps set to zero; empty if unknown.

        The targets of e8 rel32 (call) and e9 rel32 (jmp) differ between versions even if the function is unchanged.
        """
        address, size = self._code.get(name, (0, 0))
        for segment in self.image.segments if size else ():
            if segment.address <= address and address + size <= segment.address + segment.file_size:
                at = segment.offset + address - segment.address
                return _without_displacements(self.data[at : at + size])
        return b""


def _without_displacements(code: bytes) -> bytes:
    out, at = bytearray(code), 0
    while at + 5 <= len(out):
        if out[at] in (0xE8, 0xE9):
            out[at + 1 : at + 5] = bytes(4)
            at += 5
        else:
            at += 1
    return bytes(out)


def read_library(path: str) -> LibraryVersion:
    """Raises OSError, FormatError for a damaged file, RunsNotComparable for a file of another kind."""
    data = bytes(read_file(path))
    if data[:4] == b"\x7fELF" and int.from_bytes(data[16:18], "little") == ET_DYN:
        raise RunsNotComparable(
            f"{path} is an ordinary shared object, and only fixed-address libraries are compared by runs; "
            "the static check (`uselib chkshlib`) reads both"
        )
    image = read_image(data, path)
    if image.library is None:
        raise FormatError(
            Diagnostic(
                path, "this is not a target library: it has no NT_LIBRARY note", remedy="name the file in shlib/"
            )
        )
    return LibraryVersion(path, data, image, image.library)


@dataclass(frozen=True)
class Bound:
    """What the program was bound to, by address. source: `note`, `symbols` or `library` (nothing recorded: the old version's
    own exports stand in)."""

    source: str
    functions: dict[int, str]
    data: dict[int, str]

    @property
    def remark(self) -> str:
        return _REMARKS[self.source]


_REMARKS = {
    "note": "",
    "symbols": "the program has no binding note (another linker): its bindings are the absolute symbols of its symbol table, "
    "among them names that it may not use",
    "library": "the program has neither a binding note nor symbols: it is assumed to be bound to what the old version exports",
}


def bound_names(program: Image, old: LibraryVersion) -> Bound:
    """The program's bindings to the library."""
    name, low, high = old.identity.name, old.identity.base, old.identity.end
    rows = [b for b in program.bindings if b.library == name]
    if rows:
        return Bound(
            "note",
            {b.address: b.symbol for b in rows if b.kind is ExportKind.FUNCTION},
            {b.address: b.symbol for b in rows if b.kind is ExportKind.DATA},
        )
    if program.bindings:  # our ld's note, and nothing of this library in it
        return Bound("note", {}, {})
    symbols = [s for s in program.symbols if s.absolute and s.name and low <= s.address < high]
    if symbols:
        return Bound(
            "symbols",
            {s.address: s.name for s in symbols if s.function},
            {s.address: s.name for s in symbols if not s.function},
        )
    return Bound(
        "library",
        {place.address: place.name for place in old.slots.values()},
        {place.address: place.name for place in old.exported_data},
    )


def check_pair(program: Image, where: str, old: LibraryVersion, new: LibraryVersion) -> Identity | None:
    """The identity that the program was linked with, None if only its libraries need the library. Raises RunsNotComparable."""
    if old.image.machine is not new.image.machine:
        raise RunsNotComparable(
            f"{old.path} is for {old.image.machine.label}, {new.path} for {new.image.machine.label}"
        )
    if program.machine is not old.image.machine:
        raise RunsNotComparable(f"{where} is for {program.machine.label}, the libraries for {old.image.machine.label}")
    if old.identity.name != new.identity.name:
        raise RunsNotComparable(
            f"these are two libraries, not two versions of one: {old.identity.name}, {new.identity.name}"
        )
    if old.identity.base != new.identity.base:
        raise RunsNotComparable(
            f"the base address has changed, {old.identity.base:#x} to {new.identity.base:#x}: programs are bound to addresses, "
            "so this is another library to them"
        )
    for identity in program.needs:
        if identity.name == old.identity.name:
            if identity.base != old.identity.base:
                raise RunsNotComparable(
                    f"{where} was linked with {identity.name} at {identity.base:#x}; these are at {old.identity.base:#x}"
                )
            return identity
    if not program.needs:
        raise RunsNotComparable(f"{where} was not linked with fixed-address libraries")
    return None


def recorded_names(program: Image, name: str, others: Iterable[str] = ()) -> tuple[str, ...]:
    """File names by which the library may be requested: as the program recorded it, and as other libraries do."""
    names = [recorded.rpartition("/")[2] for recorded in program.library_names]
    return tuple(dict.fromkeys(n for n in [*names, *others] if names_library(n, name)))
