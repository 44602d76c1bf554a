"""Errors and warnings while a target library is made: its inputs, double definitions, its address range."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from uselib.linker.errors import Diagnostic, Diagnostics
from uselib.linker.formats import elf
from uselib.linker.image import Identity
from uselib.linker.library.exports import Exports, place_of
from uselib.linker.library.layout import Placed
from uselib.linker.passes.model import InputSection, InputStub, ObjectFile
from uselib.linker.passes.resolution import Resolution

# Sections that run before main or at exit by their place in the program's .init, and so cannot be in a library.
_INIT_SECTIONS = {
    ".init": "make it a function with __attribute__((constructor))",
    ".fini": "make it a function with __attribute__((destructor))",
    ".preinit_array": "a library's initialisers go to .init_array",
}


def refuse(files: Sequence[ObjectFile]) -> None:
    """Raises LinkError with everything that a target library cannot have: TLS, IFUNC, .init and .fini code."""
    problems = Diagnostics()
    for file in files:
        if file.stub is not None:
            continue
        for section in file.sections:
            if section is None:
                continue
            if section.flags & elf.SHF_TLS:
                problems.add(
                    file.where,
                    "thread-local data cannot be in a fixed-address shared library yet",
                    symbol=_symbol_in(file, section),
                    remedy="make it ordinary data, or keep this member out of the library",
                )
            elif section.name in _INIT_SECTIONS and section.size:
                problems.add(
                    f"{file.where}:({section.name})",
                    f"code in {section.name} belongs to one program and cannot be in a library",
                    remedy=_INIT_SECTIONS[section.name],
                )
        for symbol in file.symbols:
            if symbol.info & 15 == elf.STT_GNU_IFUNC and symbol.section:
                problems.add(
                    file.where,
                    "an indirect function (IFUNC) is resolved at start-up, and a fixed-address library is not",
                    symbol=file.strings[symbol.name],
                    remedy="choose the implementation in the function itself",
                )
    problems.raise_if_any()


def _symbol_in(file: ObjectFile, section: InputSection) -> str:
    """The name of a symbol in a section (the first global one, else a local one, else the section's name)."""
    names = [
        (info >> 4 == elf.STB_LOCAL, file.strings[name])
        for name, info, _, shndx, _, _ in file.symbols
        if shndx == section.index and name and info & 15 != elf.STT_SECTION
    ]
    return min(names)[1] if names else section.name


def conflicts(resolution: Resolution, exports: Exports, used: Iterable[InputStub]) -> Iterator[Diagnostic]:
    """Warns of names that both this library and a library that it refers to (`used`) export."""
    libraries = set(map(id, used))
    for name, file, library in resolution.conflicts:
        if id(library) in libraries and name in exports.functions.keys() | exports.data.keys():
            yield Diagnostic(
                file.where if file is not None else "mkshlib",
                f"{library.file_name} defines it too, and continues to use its own",
                symbol=name,
                remedy="rename one, or make it interposable there",
            )


def check_range(
    where: str, placed: Placed, exports: Exports, dependencies: Sequence[tuple[InputStub, Identity]]
) -> None:
    """Raises LinkError if an export lies outside the library, or the library on one that it refers to."""
    problems = Diagnostics()
    end = placed.base + placed.size
    for symbol in (*exports.functions.values(), *exports.data.values()):
        if symbol.section is not None and not placed.base <= symbol.address <= end:
            problems.add(place_of(symbol), f"lies outside its section, at {symbol.address:#x}", symbol=symbol.name)
    for library, who in dependencies:
        if who.base < end and placed.base < who.end:
            problems.add(
                where,
                f"at {placed.base:#x}-{end - 1:#x} overlaps {who.file_name} at {who.base:#x}-{who.end - 1:#x}, "
                f"which it refers to ({library.where})",
                remedy="move one of them with --text",
            )
    problems.raise_if_any()
