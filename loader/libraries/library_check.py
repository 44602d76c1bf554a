"""What start-up checks of a library before it maps it (runtime/crt/map.h: check_page, single_load), in Python.

The same checks in the same order with the same words, from the first page of the file and its size, so that `uselib ldd`
can say what a program would say; tests/loader/libraries/test_versions_check.py compares the two on damaged files.
"""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Sequence
from dataclasses import dataclass

from uselib.linker.errors import FormatError
from uselib.linker.formats import elf, notes
from uselib.linker.image import PAGE, Identity, LibraryHeader, Machine
from uselib.linker.versions import VersionRule

FORMAT_ERROR = "Exec format error."
NOT_A_LIBRARY = "Exec format error: not a shared library."
WRONG_MACHINE = "Wrong machine."
SHORT = "File is shorter than its header says."
OTHER_NAME = "Exec format error: another library has this name."
OTHER_BASE = "Wrong address: the library was made for another base."
INCOMPATIBLE = "Incompatible version."
FEWER = "Incompatible version: it has fewer functions."
OCCUPIED = "Address range is occupied."
NO_BOOTSTRAP = "Exec format error: it has no bootstrap."
DAMAGED = "Exec format error: its header is damaged."

_MAX_SEGMENTS = 64
MAX_LIBRARIES = 64
BY_BOOTSTRAP = ("mmap", "bsdos", "interp")  # schemes in which each library maps itself
_ET_EXEC, _PT_LOAD, _PT_NOTE = 2, 1, 4
_PREFIX = 20  # bytes of a note before its descriptor: Elf_Nhdr and the name, padded
_FIXED = 128  # of the NT_LIBRARY descriptor before its segments
_WRAP = (1 << 64) - 1


@dataclass(frozen=True)
class Range:
    """Addresses that are taken: [base, end)."""

    base: int
    end: int


@dataclass(frozen=True)
class _Segment:
    """A program header: p_type, p_offset, p_vaddr, p_filesz, p_memsz."""

    type: int
    offset: int
    address: int
    file_size: int
    memory_size: int


@dataclass(frozen=True)
class Checked:
    """reason: in the words of start-up, empty if the library would be mapped. header: if the page has one."""

    reason: str
    header: LibraryHeader | None = None
    single_load: bool = False  # the layout that uselib(2) takes


def _headers(page: bytes, machine: Machine) -> list[_Segment] | None:
    """The program headers, if they are within the page."""
    wide = machine is Machine.X86_64
    (at,) = struct.unpack_from("<Q" if wide else "<I", page, 32 if wide else 28)
    size, count = struct.unpack_from("<HH", page, 54 if wide else 42)
    if size != (56 if wide else 32) or at > PAGE or count * size > PAGE - at:
        return None
    rows = elf.class_of(machine).segments(page[at : at + count * size])
    return [_Segment(kind, offset, address, *sizes) for kind, _, offset, address, *sizes, _ in rows]


def _notes_of_page(headers: list[_Segment] | None) -> tuple[int, int] | None:
    """Offset and size of the first note segment, if it is within the page."""
    note = next((row for row in headers or () if row.type == _PT_NOTE), None)
    if note is None or note.offset >= PAGE or note.file_size > PAGE - note.offset:
        return None
    return note.offset, note.file_size


def _library_note(page: bytes, at: int, size: int) -> bytes | None:
    """The descriptor of NT_LIBRARY, which must be the first note, and whole."""
    if size < _PREFIX + _FIXED:
        return None
    name_size, length, kind = struct.unpack_from("<III", page, at)
    if name_size != 7 or kind != notes.NT_LIBRARY or page[at + 12 : at + 19] != notes.NOTE_NAME:
        return None
    room = min(size - _PREFIX, length)
    if room < _FIXED:
        return None
    descriptor = page[at + _PREFIX : at + _PREFIX + room]
    (form,) = struct.unpack_from("<I", descriptor)
    segments, name_at, dependency_at, dependencies = struct.unpack_from("<IIII", descriptor, 80)
    if form != notes.FORMAT or segments > _MAX_SEGMENTS or _FIXED + segments * 40 > room or name_at >= room:
        return None
    if dependency_at > room or dependencies > MAX_LIBRARIES:
        return None
    whole = descriptor.count(b"\0", name_at) and descriptor.count(b"\0", dependency_at) >= dependencies
    return descriptor if whole else None


def needs_of_page(page: bytes, machine: Machine) -> tuple[Identity, ...]:
    """The NT_NEEDS notes on a library's header page, up to the first that is damaged."""
    place = _notes_of_page(_headers(page, machine))
    found: list[Identity] = []
    if place is not None:
        with contextlib.suppress(FormatError):
            found.extend(notes.needs(page[place[0] : place[0] + place[1]], ""))
    return tuple(found)


def check_version(header: LibraryHeader, linked: Identity, rule: VersionRule) -> str:
    """Empty if a library's descriptor suits a program linked with `linked`; otherwise the reason why not."""
    who = header.identity
    if who.base != linked.base:
        what = OTHER_BASE
    elif not rule.admits(who.version, linked.version):
        what = INCOMPATIBLE
    elif who.slot_count < linked.slot_count:
        what = FEWER
    else:
        return ""
    return f"{what} (is {who.version}, needs {linked.version})"


def _within(header: LibraryHeader, array: tuple[int, int]) -> bool:
    address, count = array
    offset, size = address - header.identity.base, header.identity.size
    return not count or (0 <= offset <= size and count <= (size - offset) // header.machine.word)


def _contents(page: bytes, file_size: int, headers: list[_Segment] | None, machine: Machine) -> str | LibraryHeader:
    """The header of a library for this machine, or what is wrong."""
    place = _notes_of_page(headers)
    if place is not None and sum(place) > file_size:
        return SHORT
    descriptor = _library_note(page, *place) if place is not None else None
    if struct.unpack_from("<H", page, 16) != (_ET_EXEC,) or descriptor is None:
        return NOT_A_LIBRARY
    if struct.unpack_from("<H", descriptor, 14) != (machine.value,):
        return WRONG_MACHINE
    try:
        return notes.decode_library(descriptor, "")
    except (FormatError, ValueError):  # a list of dependencies without an end
        return NOT_A_LIBRARY


def _layout(header: LibraryHeader, file_size: int) -> str:
    """Whether its arrays and segments lie within the library and the file."""
    who = header.identity
    top = (1 << 8 * header.machine.word) - PAGE
    if who.size > 0x80000000 or (who.base + who.size) & _WRAP > top:
        return FORMAT_ERROR
    if not _within(header, header.init_array) or not _within(header, header.fini_array):
        return FORMAT_ERROR
    for s in header.segments:
        if s.offset > file_size or s.file_size > file_size - s.offset:
            return SHORT
        offset = s.address - who.base
        if s.file_size > s.memory_size or not 0 <= offset <= who.size or s.memory_size > who.size - offset:
            return FORMAT_ERROR
    return ""


def _sum_matches(page: bytes, headers: list[_Segment] | None) -> bool:
    """check_sum of map.h, on a page whose first note is NT_LIBRARY."""
    place = _notes_of_page(headers)
    assert place is not None
    at = place[0] + _PREFIX
    (size,) = struct.unpack_from("<I", page, place[0] + 4)
    (segments,) = struct.unpack_from("<I", page, at + 80)
    return bool(segments) and size <= PAGE - at and notes.checksum_matches(page[at : at + size])


def _single_load(headers: list[_Segment], header: LibraryHeader, file_size: int) -> bool:
    """Whether load_elf_library of Linux takes the file, and its one segment puts every part at its address."""
    loads = [row for row in headers if row.type == _PT_LOAD]
    if len(headers) > 2 or len(loads) != 1:
        return False
    load, who = loads[0], header.identity
    if load.offset or load.address != who.base or load.file_size > file_size:
        return False
    return load.file_size <= load.memory_size <= who.size and all(
        s.offset == s.address - who.base
        and s.offset + s.file_size <= load.file_size
        and s.offset + s.memory_size <= load.memory_size
        for s in header.segments
    )


def _overlaps(taken: Sequence[Range], base: int, end: int) -> bool:
    return any(base < other.end and other.base < end for other in taken)


def _first_look(
    page: bytes, file_size: int, linked: Identity, machine: Machine, by_bootstrap: bool, taken: Sequence[Range]
) -> str:
    """Why the file cannot be a library of the program's machine at that place, before its headers are followed; or empty."""
    if by_bootstrap and file_size <= 0:
        return FORMAT_ERROR
    if by_bootstrap and _overlaps(taken, linked.base, linked.base + PAGE):
        return OCCUPIED
    if page[:4] != b"\x7fELF":
        return FORMAT_ERROR
    if page[4] != machine.word // 4 or struct.unpack_from("<H", page, 18) != (machine.value,):
        return WRONG_MACHINE
    return ""


def check(
    page: bytes,
    file_size: int,
    linked: Identity,
    machine: Machine,
    rule: VersionRule,
    scheme: str,
    taken: Sequence[Range],
) -> Checked:
    """What start-up of a program of `scheme` finds. page: the first page of the file; taken: what is mapped already."""
    page = page[:PAGE].ljust(PAGE, b"\0")
    by_bootstrap = scheme in BY_BOOTSTRAP
    if reason := _first_look(page, file_size, linked, machine, by_bootstrap, taken):
        return Checked(reason)
    headers = _headers(page, machine)
    header = _contents(page, file_size, headers, machine)
    if isinstance(header, str):
        return Checked(header)
    single = _single_load(headers or [], header, file_size)
    who = header.identity
    if who.name != linked.name:
        return Checked(OTHER_NAME, header, single)
    reason = check_version(header, linked, rule) or _layout(header, file_size)
    if not reason and _overlaps(taken, who.base, who.end):
        reason = OCCUPIED
    if not reason and by_bootstrap and not who.base <= header.bootstrap < who.base + PAGE:
        reason = NO_BOOTSTRAP
    if not reason and scheme == "uselib" and not single:
        reason = FORMAT_ERROR
    if not reason and not _sum_matches(page, headers):
        reason = DAMAGED
    return Checked(reason, header, single)
