"""The format of a file, by its first bytes. This module imports no reader of a format, since most files are ELF.

The names of the formats are those of the modules: linker/historical/NAME/format.py reads, to_elf.py there makes ELF of objects,
loader/programs/NAME.py starts programs.
"""

from __future__ import annotations

from collections.abc import Callable

Bytes = bytes | memoryview

_AOUT_MAGICS = (
    b"\x07\x01",
    b"\x08\x01",
    b"\x0b\x01",
    b"\xcc\x00",
)  # OMAGIC 0407, NMAGIC 0410, ZMAGIC 0413, QMAGIC 0314
_AOUT_MACHINES = (0, 100)  # M_386; linkers before 1993 left the field empty
_COFF_HEADER = 20
_COFF_OPTIONAL = (0, 28)  # bytes
_COFF_SECTIONS = 4096  # more than this many is damage


def is_elf(data: Bytes) -> bool:
    """Whether the file begins as an ELF file does, of any machine."""
    return bytes(data[:4]) == b"\x7fELF"


def is_aout(data: Bytes) -> bool:
    """Whether it begins as an a.out file of Linux on i386 does: one of the four magics, the machine, no flags but the lowest two."""
    return len(data) >= 4 and bytes(data[:2]) in _AOUT_MAGICS and data[2] in _AOUT_MACHINES and not data[3] & ~0x03


def is_coff(data: Bytes) -> bool:
    """Whether it begins as a COFF file for i386 does: magic 0x14c, a number of sections, an optional header of System V or none."""
    if len(data) < _COFF_HEADER or bytes(data[:2]) != b"\x4c\x01":
        return False
    count, optional, flags = (int.from_bytes(data[at : at + 2], "little") for at in (2, 16, 18))
    return 0 < count < _COFF_SECTIONS and optional in _COFF_OPTIONAL and not flags & 0x8000


def is_bitcode(data: Bytes) -> bool:
    """Whether it is LLVM's intermediate code, with or without a wrapper (LLVM, "Bitcode File Format")."""
    return bytes(data[:4]) in (b"BC\xc0\xde", b"\xde\xc0\x17\x0b")


def is_textbook(data: Bytes) -> bool:
    """Whether its first line is that of an object, program or shared library of the textbook."""
    return bytes(data[:5]) == b"LINK\n"


def is_textbook_library(data: Bytes) -> bool:
    """Whether it is a library in the textbook's file format. Such a library is not an object, so format_of does not name it."""
    return bytes(data[:8]) == b"LIBRARY "


TEXTBOOK_MAP = "MAP"  # a file of each library in the textbook's directory format

_FORMATS: tuple[tuple[str, Callable[[Bytes], bool]], ...] = (
    ("elf", is_elf),
    ("aout", is_aout),
    ("coff", is_coff),
    ("textbook", is_textbook),
)


def format_of(data: Bytes) -> str:
    """`elf`, `aout`, `coff`, `textbook`, or nothing; 20 bytes are enough."""
    return next((name for name, matches in _FORMATS if matches(data)), "")
