"""BSD/OS's map of libraries and load addresses, and the table that shlicc makes from it for a program.

The map is a text file, one library a line, `#` begins a comment:

    /shlib/libc_s.1.0.0    0x60000000     # the library's path, and the address it is loaded at

From the libraries that a program is linked with, `shlicc` writes an assembler file with an array of {name, address}, which any assembler and
linker can take: the linker need not know about shared libraries. The C library comes first, because start-up maps it alone and passes it the
table. BSD/OS's own layout of the array is not known; this one is ours (struct uselib_place of runtime/include/uselib.h).
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from uselib.linker.errors import Diagnostic, Diagnostics, LinkError, error
from uselib.linker.image import PAGE, Machine
from uselib.linker.library.stub import StubIdentity
from uselib.linker.reading import read_file
from uselib.linker.versions import library_name

C_LIBRARY = "libc_s"
SYMBOL = "_SHARED_LIBRARY_TABLE"


@dataclass(frozen=True)
class MapEntry:
    """A line of the map."""

    path: str
    address: int
    line: int

    @property
    def name(self) -> str:
        return library_name(self.path)


@dataclass(frozen=True)
class LibraryMap:
    """A map file."""

    file: str
    places: tuple[MapEntry, ...]

    def find(self, name: str) -> MapEntry | None:
        return next((place for place in self.places if place.name == name), None)

    def at(self, place: MapEntry) -> str:
        return f"{self.file}:{place.line}"


def parse_map(text: str, file: str) -> LibraryMap:
    """Raises LinkError with every damaged line, as FILE:LINE."""
    problems = Diagnostics()
    places: dict[str, MapEntry] = {}
    for number, line in enumerate(text.splitlines(), 1):
        where, words = f"{file}:{number}", line.partition("#")[0].split()
        if not words:
            continue
        if len(words) != 2:
            problems.add(
                where,
                "write a library's path and its load address, and nothing else",
                remedy="`uselib shlicc --print-map DIR` writes such a file",
            )
            continue
        path, digits = words
        try:
            address = int(digits, 0)
        except ValueError:
            problems.add(where, f"`{digits}` is not an address")
            continue
        if not path.startswith("/") or not path.isprintable() or '"' in path or "\\" in path:
            problems.add(where, f"`{path}` is not an absolute path of a library")
        elif address <= 0 or address % PAGE or address >= 1 << 47:
            problems.add(where, f"address {digits} is not on a page boundary of the address space")
        elif (other := places.get(library_name(path))) is not None:
            problems.add(where, f"{other.name} is already in line {other.line}")
        else:
            places[library_name(path)] = MapEntry(path, address, number)
    problems.raise_if_any()
    return LibraryMap(file, tuple(places.values()))


def read_map(file: str) -> LibraryMap:
    """Raises LinkError."""
    try:
        text = read_file(file).decode()
    except OSError as failure:
        remedy = "name a map with --map or SHLIB_MAP; `uselib shlicc --print-map DIR` writes one"
        raise error(file, f"cannot be read: {failure.strerror}", remedy=remedy) from None
    except UnicodeDecodeError:
        raise error(file, "is not text") from None
    return parse_map(text, file)


def choose(book: LibraryMap, stubs: Sequence[StubIdentity]) -> tuple[MapEntry, ...]:
    """The places of the libraries that a program is linked with and of those that they depend on, the C library first.

    Raises LinkError: one is not in the map, is elsewhere than its stub library says, or overlaps another."""
    problems = Diagnostics()
    chosen: dict[str, MapEntry] = {}

    def take(name: str, asking: str) -> MapEntry | None:
        place = book.find(name)
        if place is None:
            problems.add(book.file, f"has no line for {name}, which {asking} needs", remedy="add its path and address")
        else:
            chosen[name] = place
        return place

    spans = []
    for found in stubs:
        who = found.identity
        place = take(who.name, found.where)
        if place is None:
            continue
        if place.address != who.base:
            problems.add(
                book.at(place),
                f"{who.name} is to be loaded at {place.address:#x}, and {found.where} is for {who.base:#x}",
                remedy="correct the map, or link with the stub library that belongs to it",
            )
        spans.append((place.address, place.address + who.size, place))
        for dependency in found.dependencies:
            if library_name(dependency) not in chosen:
                take(library_name(dependency), found.where)
    spans += [(p.address, p.address + PAGE, p) for p in chosen.values() if p not in [span[2] for span in spans]]
    for (_, end, one), (start, _, two) in pairwise(sorted(spans, key=lambda span: span[:2])):
        if start < end:
            other = f"{one.name} at {one.address:#x}-{end - 1:#x} (line {one.line})"
            problems.add(book.at(two), f"{two.name} at {start:#x} overlaps {other}")
    if C_LIBRARY not in chosen:
        problems.add("shlicc", f"the program is not linked with {C_LIBRARY}, whose bootstrap maps the others")
    problems.raise_if_any()
    return tuple(sorted(chosen.values(), key=lambda place: place.name != C_LIBRARY))


def source(machine: Machine, places: Sequence[MapEntry], *, interpreter: bool) -> str:
    """The assembler file: the table, the directories for libraries that these depend on, and for scheme interp PT_INTERP."""
    word = ".long" if machine is Machine.I386 else ".quad"
    directories = ":".join(dict.fromkeys(os.path.dirname(place.path) for place in places))
    lines = [
        "# Written by shlicc: the program's shared libraries and where they are loaded.",
        '    .section .rodata, "a"',
    ]
    lines += ["    .balign 8", f"    .globl {SYMBOL}", f"    .type {SYMBOL}, @object", f"{SYMBOL}:"]
    lines += [f"    {word} .Lname{number}, {place.address:#x}" for number, place in enumerate(places)]
    lines += [f"    {word} 0, 0", f"    .size {SYMBOL}, . - {SYMBOL}"]
    lines += [f'.Lname{number}: .asciz "{place.path}"' for number, place in enumerate(places)]
    lines += ['    .section .libpath, "a"', "    .globl _SHARED_LIBRARY_PATH", "_SHARED_LIBRARY_PATH:"]
    lines.append(f'    .asciz "{directories}"')
    if interpreter:
        lines += ['    .section .interp, "a"', f'    .asciz "{places[0].path}"']
    return "\n".join([*lines, '    .section .note.GNU-stack, "", @progbits', ""])


__all__ = ["Diagnostic", "LibraryMap", "LinkError", "MapEntry", "choose", "parse_map", "read_map", "source"]
