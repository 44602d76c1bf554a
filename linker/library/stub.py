"""Stub libraries: programs are linked with these instead of the library (System V called them host libraries).

A GNU archive, or a directory with the same members as files:

    /               symbol index (archive only)
    LIBRARY NAME    text: the target library's file name, then the file name of each library it depends on, a line each
    library.o       __NEEDS_SHRLIB_libN_s, .lib, .note.uselib (NT_NEEDS), uselib_interpose, .uselib.history (SHF_EXCLUDE, so that
                    linkers leave it out; for `mkshlib --previous`, releases/history.py)
    *.o             one for each input member: exported symbols as SHN_ABS; undefined references; __NEEDS_SHRLIB_libN_s

Any linker can read it, since it has nothing but ordinary sections and symbols: linking a member brings library.o, whose .lib adds the library's
name to the program's list. SHF_GNU_RETAIN keeps .lib through --gc-sections.

Undefined references are mirrored, so that a stub member pulls in the members that the real one needs. Those within the library keep their
binding. Those to other libraries are weak, because a program need not name the libraries of its libraries: start-up maps them
(docs/formats.md, start-up contract). An interposable function is weak in its stub, so that a program that defines it is not a duplicate.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from uselib.linker.errors import Diagnostic, FormatError
from uselib.linker.formats import notes
from uselib.linker.formats.ar import MAGIC, THIN_MAGIC, Archive, NewMember, write_archive
from uselib.linker.formats.elf import (
    SHF_ALLOC,
    SHF_EXCLUDE,
    SHF_GNU_RETAIN,
    SHN_ABS,
    SHN_UNDEF,
    SHT_NOTE,
    STB_GLOBAL,
    STB_WEAK,
    STT_FUNC,
    STT_OBJECT,
    ElfFile,
)
from uselib.linker.formats.elf_object import (
    ABSOLUTE,
    UNDEFINED,
    WORD_RELOCATION,
    BareSymbol,
    ObjectRelocation,
    ObjectSection,
    ObjectSymbol,
    write_bare_object,
    write_object,
)
from uselib.linker.formats.library_names import LIBRARY_NAME, LIBRARY_OBJECT, NEEDS_PREFIX
from uselib.linker.image import Export, ExportKind, Identity, Machine
from uselib.linker.library.interpose import SECTION as INTERPOSE_SECTION
from uselib.linker.library.interpose import Interposition
from uselib.linker.library.releases import history
from uselib.linker.quick_dataclass import NamedTuple, dataclass, field
from uselib.linker.reading import read_file

LIB_SECTION = ".lib"


class Reference(NamedTuple):
    """An undefined reference of an input member, to this library or (outside) to another one."""

    name: str
    weak: bool = False


@dataclass(frozen=True)
class StubMember:
    """A member of the input: its exports and its references."""

    name: str
    exports: tuple[Export, ...] = ()
    weak: frozenset[str] = frozenset()  # exports that are weak definitions
    references: tuple[Reference, ...] = ()


@dataclass(frozen=True)
class StubContents:
    machine: Machine
    identity: Identity
    dependencies: tuple[str, ...]  # file names
    members: tuple[StubMember, ...]
    interpositions: tuple[Interposition, ...] = field(default=())
    history: bytes = b""

    @property
    def needs_symbol(self) -> str:
        return NEEDS_PREFIX + self.identity.name


def _file_name(dependencies: tuple[str, ...], identity: Identity) -> bytes:
    return "".join(f"{line}\n" for line in (identity.file_name, *dependencies)).encode()


def _interpose_section(machine: Machine, rows: Sequence[Interposition]) -> ObjectSection:
    """The triples {pointer, symbol, slot}. The symbol's word is a relocation, so that it gets the program's definition."""
    word = machine.word
    data = b"".join(
        row.pointer.to_bytes(word, "little") + bytes(word) + row.slot.to_bytes(word, "little") for row in rows
    )
    kind = WORD_RELOCATION[machine]
    relocations = tuple(ObjectRelocation((3 * index + 1) * word, row.symbol, kind) for index, row in enumerate(rows))
    return ObjectSection(INTERPOSE_SECTION, data, SHF_ALLOC | SHF_GNU_RETAIN, alignment=word, relocations=relocations)


def _undefined(names: Iterable[str]) -> list[ObjectSymbol]:
    return [ObjectSymbol(name) for name in dict.fromkeys(names)]


def _library_object(stub: StubContents) -> bytes:
    keep = SHF_ALLOC | SHF_GNU_RETAIN
    sections = [
        ObjectSection(LIB_SECTION, stub.identity.file_name.encode() + b"\0", keep),
        ObjectSection(notes.SECTION, notes.encode_needs(stub.identity, stub.machine), keep, SHT_NOTE, 4),
    ]
    if stub.history:
        sections.append(ObjectSection(history.SECTION, stub.history, SHF_EXCLUDE))
    symbols = [ObjectSymbol(stub.needs_symbol, 0, 0, STT_OBJECT, STB_GLOBAL, LIB_SECTION)]
    rows = [row for row in stub.interpositions if not row.member]
    if rows:
        sections.append(_interpose_section(stub.machine, rows))
        symbols += _undefined(row.symbol for row in rows)
    return write_object(stub.machine, sections, symbols)


_TYPES = {ExportKind.FUNCTION: STT_FUNC, ExportKind.DATA: STT_OBJECT}


def _member_object(
    stub: StubContents, member: StubMember, own: frozenset[str], interposable: frozenset[str], rows: list[Interposition]
) -> bytes:
    symbols: list[BareSymbol] = []
    for e in member.exports:
        binding = STB_WEAK if e.name in member.weak or e.name in interposable else STB_GLOBAL
        symbols.append(BareSymbol(e.name, e.address, e.size, binding << 4 | _TYPES[e.kind], SHN_ABS))
    for name, weak in member.references:
        binding = STB_WEAK if weak or name not in own else STB_GLOBAL
        symbols.append(BareSymbol(name, 0, 0, binding << 4, SHN_UNDEF))
    symbols.append(BareSymbol(stub.needs_symbol, 0, 0, STB_GLOBAL << 4, SHN_UNDEF))
    if not rows:
        return write_bare_object(stub.machine, symbols)
    # a definition of or reference to the import may be there already
    there = {symbol.name for symbol in symbols}
    whole = [
        ObjectSymbol(s.name, s.value, s.size, s.info & 15, s.info >> 4, ABSOLUTE if s.section == SHN_ABS else UNDEFINED)
        for s in symbols
    ]
    whole += _undefined(row.symbol for row in rows if row.symbol not in there)
    return write_object(stub.machine, [_interpose_section(stub.machine, rows)], whole)


def members(stub: StubContents) -> tuple[NewMember, ...]:
    """The stub's members in order, `LIBRARY NAME` first; the names of the objects are made unique."""
    own = frozenset(export.name for member in stub.members for export in member.exports)
    interposable = frozenset(row.symbol for row in stub.interpositions)
    by_member: dict[str, list[Interposition]] = {}
    for row in stub.interpositions:
        if row.member:
            by_member.setdefault(row.member, []).append(row)
    result = [
        NewMember(LIBRARY_NAME, _file_name(stub.dependencies, stub.identity)),
        NewMember(LIBRARY_OBJECT, _library_object(stub), (stub.needs_symbol,)),
    ]
    taken = {LIBRARY_NAME, LIBRARY_OBJECT}
    for member in stub.members:
        content = _member_object(stub, member, own, interposable, by_member.pop(member.name, []))
        name = _unique(member.name, taken)
        result.append(NewMember(name, content, tuple(export.name for export in member.exports)))
    return tuple(result)


def _unique(name: str, taken: set[str]) -> str:
    """`a.o`, then `a~2.o`, `a~3.o`: members of an archive may share a name, files in a directory may not."""
    candidate, number = os.path.basename(name) or "member.o", 1
    if candidate in taken:
        stem, extension = os.path.splitext(candidate)
        while candidate in taken:
            number += 1
            candidate = f"{stem}~{number}{extension}"
    taken.add(candidate)
    return candidate


def archive(stub: StubContents) -> bytes:
    """The stub library as an archive."""
    return write_archive(members(stub))


# Reading: which library a stub stands for.


@dataclass(frozen=True)
class StubIdentity:
    """The identity that a stub library carries, and its `LIBRARY NAME`."""

    where: str
    machine: Machine
    identity: Identity
    file_name: str
    dependencies: tuple[str, ...]


def parse_library_name(data: bytes, where: str) -> tuple[str, tuple[str, ...]]:
    """(file name, dependencies) of a `LIBRARY NAME` member. Raises FormatError."""
    try:
        lines = data.decode("utf-8").splitlines()
    except UnicodeDecodeError:
        lines = []
    if not lines or not all(line and line.isprintable() for line in lines):
        raise FormatError(Diagnostic(where, f"its `{LIBRARY_NAME}` is not a list of file names"))
    return lines[0], tuple(lines[1:])


def needs_of(data: bytes | memoryview, where: str) -> tuple[Machine, tuple[Identity, ...]]:
    """The identities in the NT_NEEDS notes of an ELF object. Raises FormatError."""
    file = ElfFile(memoryview(data), where)
    return file.machine, tuple(notes.needs_of_object(file))


def is_stub(path: str | Path) -> bool:
    """Whether a file or directory is a stub library: its first ordinary member is `LIBRARY NAME`. Raises OSError."""
    if os.path.isdir(path):
        return os.path.isfile(os.path.join(path, LIBRARY_NAME))
    if not os.path.isfile(path):  # a pipe or a device could not be read twice
        return False
    with open(path, "rb") as file:
        if file.read(8) != MAGIC:
            return False
        while len(header := file.read(60)) == 60:
            name, size = header[:16].rstrip(), header[48:58].strip()
            if name == LIBRARY_NAME.encode() + b"/":
                return True
            if name not in (b"/", b"//", b"/SYM64/") or not size.isdigit():
                return False
            file.seek(int(size) + (int(size) & 1), os.SEEK_CUR)  # over the index and the long names
    return False


def read_identity(path: str | Path) -> StubIdentity:
    """The identity of the stub library at `path`, an archive or a directory. Raises FormatError, OSError."""
    where = str(path)
    if os.path.isdir(path):
        files = {name: Path(path, name) for name in (LIBRARY_NAME, LIBRARY_OBJECT)}
        absent = [name for name, file in files.items() if not file.is_file()]
        contents = {name: read_file(file) for name, file in files.items() if not absent}
    else:
        data = read_file(path)
        if data[:8] not in (MAGIC, THIN_MAGIC):
            raise FormatError(Diagnostic(where, "not a stub library: neither an archive nor a directory"))
        book = Archive(data, where)
        contents = {
            m.name: data[m.start : m.start + m.size]
            for m in book.members()[:2]
            if m.name in (LIBRARY_NAME, LIBRARY_OBJECT)
        }
        absent = [name for name in (LIBRARY_NAME, LIBRARY_OBJECT) if name not in contents]
    if absent:
        raise FormatError(Diagnostic(where, f"not a stub library: it has no `{absent[0]}`"))
    file_name, dependencies = parse_library_name(contents[LIBRARY_NAME], where)
    machine, found = needs_of(contents[LIBRARY_OBJECT], f"{where}({LIBRARY_OBJECT})")
    if len(found) != 1:
        raise FormatError(Diagnostic(f"{where}({LIBRARY_OBJECT})", f"{len(found)} NT_NEEDS notes; a stub has one"))
    return StubIdentity(where, machine, found[0], file_name, dependencies)
