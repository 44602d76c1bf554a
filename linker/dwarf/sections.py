"""The debug sections of an ELF file: in the file, compressed or not, or in a separate file beside it (.gnu_debuglink)."""

from __future__ import annotations

import os
import zlib
from collections.abc import Mapping

from uselib.linker.errors import FormatError
from uselib.linker.formats import elf
from uselib.linker.formats.compressed_sections import decompress
from uselib.linker.quick_dataclass import dataclass
from uselib.linker.reading import read_file

_NAMES = ("info", "abbrev", "str", "line", "line_str", "str_offsets", "addr", "types", "loc", "loclists")
_LOCATIONS = ("loc", "loclists")  # where variables are: for calling conventions of i386 only
_RELOCATED = {1: 8, 10: 4, 11: 4}  # R_X86_64_64, R_X86_64_32, R_X86_64_32S -> bytes
_LINK = ".gnu_debuglink"


@dataclass(frozen=True)
class Sections:
    """The contents of the debug sections; empty where there is none. where: the file they come from."""

    where: str
    info: bytes
    abbrev: bytes = b""
    strings: bytes = b""
    line: bytes = b""
    line_str: bytes = b""
    str_offsets: bytes = b""
    addr: bytes = b""
    types: bytes = b""
    loc: bytes = b""
    loclists: bytes = b""
    problems: tuple[str, ...] = ()  # sentences: sections that could not be read


def find(file: elf.ElfFile, path: str) -> Sections | None:
    """The debug sections of a file, or of the debug file that it names; None if there are none.

    `problems` names sections and files that are missing, foreign or damaged (then `info` may be empty).
    """
    problems: list[str] = []
    contents = _contents(file, path, problems)
    if contents.get("info") or problems:
        return _sections(path, contents, problems)
    separate = _linked(file, path, problems)
    if separate is not None:
        name, other = separate
        contents = _contents(other, name, problems)
        return _sections(name, contents, problems)
    return _sections(path, {}, problems) if problems else None


def own(file: elf.ElfFile, path: str) -> Sections | None:
    """The debug sections in the file itself; None if there are none. `problems` names damaged ones."""
    problems: list[str] = []
    contents = _contents(file, path, problems)
    return _sections(path, contents, problems) if contents.get("info") or problems else None


def _sections(path: str, contents: Mapping[str, bytes], problems: list[str]) -> Sections:
    parts = {"strings" if key == "str" else key: content for key, content in contents.items()}
    return Sections(**{"where": path, "info": b"", "problems": tuple(problems), **parts})  # type: ignore[arg-type]


def _contents(file: elf.ElfFile, path: str, problems: list[str]) -> dict[str, bytes]:
    """The debug sections that are in this file."""
    contents: dict[str, bytes] = {}
    for index, section in enumerate(file.sections):
        name = file.names[section.name]
        old = name.startswith(".zdebug_")
        key = name[8:] if old else name[7:] if name.startswith(".debug_") else ""
        if key not in _NAMES or section.type == elf.SHT_NOBITS or (key in _LOCATIONS and file.elf_class.word == 8):
            continue
        try:
            content = file.content(index)
            if section.flags & elf.SHF_COMPRESSED:
                content, _ = decompress(content, file.elf_class, f"{path}:{name}")
            contents[key] = _old_compressed(bytes(content), f"{path}:{name}") if old else bytes(content)
            if file.kind == elf.ET_REL and file.elf_class.word == 8:
                contents[key] = _relocated(file, index, contents[key])
        except FormatError as problem:
            problems.append(f"debug information is missing: {problem}")
    return contents


def _old_compressed(content: bytes, where: str) -> bytes:
    """.zdebug_*: "ZLIB", the size as 8 bytes (the highest first), then zlib's stream."""
    if content[:4] != b"ZLIB" or len(content) < 12:
        raise elf.bad(where, "has no header of a compressed section")
    size = int.from_bytes(content[4:12], "big")
    try:
        result = zlib.decompressobj().decompress(content[12:], min(size, 1 << 32) + 1)
    except zlib.error as failure:
        raise elf.bad(where, f"cannot be decompressed: {failure}") from None
    if len(result) != size:
        raise elf.bad(where, f"has {len(result)} bytes when decompressed instead of {size}")
    return result


def _relocated(file: elf.ElfFile, target: int, content: bytes) -> bytes:
    """A section of an x86-64 object file, whose references to other sections are in relocations. Those of i386 stand in place
    (psABI 4.4: S is 0 for sections of an object file). Raises FormatError."""
    result = bytearray(content)
    for index, section in enumerate(file.sections):
        if section.type != elf.SHT_RELA or section.info != target:
            continue
        values = [symbol.value for symbol in file.symbols(section.link)] if section.link < len(file.sections) else []
        for offset, kind, symbol, addend in file.relocations(index):
            size = _RELOCATED.get(kind)
            if size is not None and offset + size <= len(result) and symbol < len(values):
                value = values[symbol] + (addend or 0) & (1 << 8 * size) - 1
                result[offset : offset + size] = value.to_bytes(size, "little")
    return bytes(result)


def _linked(file: elf.ElfFile, path: str, problems: list[str]) -> tuple[str, elf.ElfFile] | None:
    """The separate debug file: looked for beside the file and in .debug/ there, and known by its checksum (CRC-32)."""
    for index, section in enumerate(file.sections):
        if file.names[section.name] == _LINK:
            content = bytes(file.content(index))
            break
    else:
        return None
    name, end, _ = content.partition(b"\0")
    at = (len(name) + 4) & ~3
    if not end or not name or len(content) < at + 4:
        problems.append(f"{path}: its link to a separate debug file is damaged")
        return None
    text = os.path.basename(name.decode("utf-8", "surrogateescape"))
    expected = int.from_bytes(content[at : at + 4], "little")
    folder = os.path.dirname(path)
    for candidate in (os.path.join(folder, text), os.path.join(folder, ".debug", text)):
        if not os.path.isfile(candidate) or os.path.abspath(candidate) == os.path.abspath(path):
            continue
        try:
            data = read_file(candidate)
            if zlib.crc32(data) != expected:
                problems.append(f"{candidate}: is not the debug file of {path}: its checksum differs")
                continue
            other = elf.ElfFile(memoryview(data), candidate)
            if other.machine is file.machine:
                return candidate, other
            problems.append(f"{candidate}: is for another machine than {path}")
        except OSError as problem:
            problems.append(f"{candidate}: {problem.strerror}")
        except FormatError as problem:
            problems.append(str(problem))
    if not problems:
        problems.append(f"{path}: its debug information is in `{text}`, which is neither beside it nor in .debug/")
    return None
