"""Images of a.out files: programs, and libraries with their jump tables.

A library usually has no symbols of its own. Names of slots come from its stub archive or its jump.funcs (stub.py).

    base + 0        version word
    base + 8 k      slot k: e9 rel32, then 00 00 00;   k from 1; the table ends at the first word of another form
"""

from __future__ import annotations

import os.path
import re
from collections.abc import Mapping

from uselib.linker.historical.aout import format as aout
from uselib.linker.historical.aout.stub import CLASSIC, SLOT_SIZE, version_of
from uselib.linker.image import Export, ExportKind, Identity, Image, ImageSymbol, LibraryHeader, Machine, Segment

_JMP = 0xE9
_IN_SECTION = frozenset((aout.N_TEXT, aout.N_DATA, aout.N_BSS))


def is_library(header: aout.ExecHeader) -> bool:
    """Whether the file is meant for uselib(2): programs are entered on their first page, libraries lie far above it."""
    return header.mapped and header.entry >= 0x100000 and not header.entry & 0xFFF


def slot_count(text: bytes) -> int:
    """Slots of a library's jump table, from its text."""
    count = 0
    while True:
        slot = text[SLOT_SIZE * (count + 1) : SLOT_SIZE * (count + 2)]
        if len(slot) < SLOT_SIZE or slot[0] != _JMP or any(slot[5:]):
            return count
        count += 1


def _slot_target(text: bytes, base: int, number: int) -> int:
    at = SLOT_SIZE * number
    return (base + at + 5 + int.from_bytes(text[at + 1 : at + 5], "little", signed=True)) & 0xFFFF_FFFF


def shared_object_name(where: str) -> str:
    """`/lib/libc.so.4.3.3` -> `libc`."""
    return re.sub(r"\.so(\.\d+)*$", "", os.path.basename(where))


def library_header(file: aout.ExecHeader, text: bytes, where: str) -> LibraryHeader:
    """The library's header in the form that tracer and inspector use. size: text, data and bss, in whole pages."""
    base = file.library_base()
    segments = file.segments(base)
    word = int.from_bytes(text[:4], "little")
    end = max((segment.end for segment in segments), default=base)
    count = slot_count(text)
    identity = Identity(
        shared_object_name(where), version_of(word & ~CLASSIC), base, (end - base + 0xFFF) & -0x1000, bytes(32), count
    )
    return LibraryHeader(Machine.I386, identity, 0, base + SLOT_SIZE, SLOT_SIZE, (0, 0), (0, 0), segments, ())


def read_image(data: bytes, where: str, names: Mapping[int, str] | None = None) -> Image:
    """A program or library. names: of slots, by address. Raises FormatError."""
    file = aout.decode(data, where)
    header = file.header
    base = header.library_base() if is_library(header) else None
    library = library_header(header, file.text, where) if base is not None else None
    rows = sorted((s for s in file.symbols if not s.stab and s.kind in _IN_SECTION and s.name), key=lambda s: s.value)
    symbols = [
        ImageSymbol(s.name[1:] if s.name.startswith("_") else s.name, s.value, 0, s.kind == aout.N_TEXT) for s in rows
    ]
    exports: list[Export] = []
    if library is not None:
        assert base is not None
        for number in range(1, library.identity.slot_count + 1):
            address = library.slot_address(number)
            target = _slot_target(file.text, base, number)
            name = (names or {}).get(address, "")
            if name:
                exports.append(Export(name, ExportKind.FUNCTION, address, 0, number, target))
                symbols.append(ImageSymbol(name, target, 0, True))
    segments: tuple[Segment, ...] = header.segments(base)
    return Image(
        machine=Machine.I386,
        entry=header.entry,
        segments=segments,
        tls=None,
        program_headers=(0, 0, 0),
        stack_executable=True,
        interpreter="",
        library=library,
        needs=(),
        library_names=(),
        library_path="",
        bindings=(),
        symbols=tuple(symbols),
        exports=tuple(exports),
    )
