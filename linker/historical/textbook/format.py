"""The textbook's own formats (Levine, Linkers and Loaders, projects 3-1, 6-1, 6-2, 7-1, 9-1): objects and libraries as text.

An object, an executable or a shared library; numbers are hexadecimal but for the counts on the second line:

    LINK
    SEGMENTS SYMBOLS RELOCATIONS            how many (decimal)
    name start length flags                 each segment; flags: R readable, W writable, P present in the file
    name value segment type                 each symbol; segment 0: absolute or undefined; type D defined, U undefined
    location segment reference type         each relocation, of the field at `location` in `segment`; segments and symbols count from 1
    hexadecimal digits                      the contents of each present segment, a line each

    A4   the field holds an address in segment `reference`; it moves with that segment
    R4   the field holds the distance from behind it to an address in segment `reference`
    AS4  symbol `reference` is added to the field
    RS4  the distance from behind the field to symbol `reference` is added

A library in file format: a first line `LIBRARY nnnn pppppp [fffff [ggggg ...]]`: the number of modules (decimal), where the directory begins in
the file (hexadecimal), and for a stub library the name of its shared library, then those that this one depends on; the modules; the directory, a
line for each module: `offset length name...`: hexadecimal, then the global symbols that it defines.

A library in directory format: a directory with a file for each module, a file MAP with a line `module name...` for each, and for a stub
library a file `LIBRARY NAME` with the name of the shared library, then those that it depends on, a line each.

Bytes <-> dataclasses; no policy, no I/O.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from uselib.linker.errors import Diagnostic, FormatError
from uselib.linker.formats.library_names import LIBRARY_NAME
from uselib.linker.formats.magic import TEXTBOOK_MAP
from uselib.linker.formats.magic import is_textbook as is_textbook
from uselib.linker.formats.magic import is_textbook_library as is_textbook_library
from uselib.linker.quick_typing import NoReturn

MAP = TEXTBOOK_MAP
TYPES = ("A4", "R4", "AS4", "RS4")
_LARGEST = 1 << 28


@dataclass(frozen=True, slots=True)
class TextbookSegment:
    """contents: empty unless present. flags: letters of R, W, P."""

    name: str
    start: int
    length: int
    flags: str
    contents: bytes = b""

    @property
    def present(self) -> bool:
        return "P" in self.flags


@dataclass(frozen=True, slots=True)
class TextbookSymbol:
    """segment: from 1; 0: absolute (type D) or undefined (U). A value of an undefined one is the size of a common block, or 0."""

    name: str
    value: int
    segment: int
    type: str = "D"


@dataclass(frozen=True, slots=True)
class TextbookRelocation:
    location: int
    segment: int
    reference: int
    type: str


@dataclass(frozen=True)
class TextbookObject:
    segments: tuple[TextbookSegment, ...]
    symbols: tuple[TextbookSymbol, ...] = ()
    relocations: tuple[TextbookRelocation, ...] = ()


@dataclass(frozen=True)
class LibraryModule:
    """A module of a library. defines: global symbols."""

    name: str
    content: bytes
    defines: tuple[str, ...]


@dataclass(frozen=True)
class ModuleLibrary:
    """shared: of a stub library, the name of the shared library; dependencies: those that it depends on."""

    modules: tuple[LibraryModule, ...]
    shared: str = ""
    dependencies: tuple[str, ...] = ()


def _bad(where: str, message: str) -> NoReturn:
    raise FormatError(Diagnostic(where, message))


class _TextbookLines:
    """The lines of a file, with their numbers for messages."""

    def __init__(self, data: bytes, where: str) -> None:
        try:
            self.lines = data.decode("ascii").split("\n")
        except UnicodeDecodeError:
            _bad(where, "is not text")
        self.where, self.at = where, 0

    def next(self, what: str) -> list[str]:
        """The words of the next line. Raises FormatError at the end."""
        if self.at >= len(self.lines) or (self.at == len(self.lines) - 1 and not self.lines[-1]):
            _bad(self.where, f"is truncated: line {self.at + 1} should hold {what}")
        self.at += 1
        return self.lines[self.at - 1].split()

    def complain(self, what: str) -> NoReturn:
        _bad(f"{self.where}:{self.at}", what)

    def number(self, word: str, base: int = 16, largest: int = 0xFFFF_FFFF) -> int:
        try:
            value = int(word, base)
        except ValueError:
            value = -1
        if not 0 <= value <= largest or not word[:1].isalnum():
            self.complain(f"`{word}` is not a number up to {largest:#x}")
        return value


def decode(data: bytes, where: str) -> TextbookObject:
    """An object. Reads an object. Raises FormatError with FILE:LINE."""
    if not is_textbook(data):
        _bad(where, "is not an object of the textbook's format: its first line is not LINK")
    lines = _TextbookLines(bytes(data), where)
    lines.next("LINK")
    counts = lines.next("three counts")
    if len(counts) < 3:
        lines.complain("should hold three counts: segments, symbols, relocations")
    segment_count, symbol_count, relocation_count = (lines.number(word, 10, len(lines.lines)) for word in counts[:3])
    heads = [_segment(lines) for _ in range(segment_count)]
    symbols = tuple(_symbol(lines, segment_count) for _ in range(symbol_count))
    relocations = tuple(_relocation(lines, heads, symbol_count) for _ in range(relocation_count))
    segments = tuple(replace(head, contents=_contents(lines, head)) for head in heads)
    return TextbookObject(segments, symbols, relocations)


def _segment(lines: _TextbookLines) -> TextbookSegment:
    """Reads a segment without its contents, which come at the end of the file."""
    words = lines.next("a segment")
    if len(words) != 4 or not set(words[3]) <= set("RWP"):
        lines.complain("should be `name start length flags`, flags of R, W, P")
    return TextbookSegment(words[0], lines.number(words[1]), lines.number(words[2], largest=_LARGEST), words[3])


def _symbol(lines: _TextbookLines, segment_count: int) -> TextbookSymbol:
    words = lines.next("a symbol")
    if len(words) != 4 or words[3] not in ("D", "U"):
        lines.complain("should be `name value segment type`, type D or U")
    return TextbookSymbol(words[0], lines.number(words[1]), lines.number(words[2], 10, segment_count), words[3])


def _relocation(lines: _TextbookLines, heads: Sequence[TextbookSegment], symbol_count: int) -> TextbookRelocation:
    words = lines.next("a relocation")
    if len(words) < 4 or words[3] not in TYPES:
        lines.complain(f"should be `location segment reference type`, type one of {', '.join(TYPES)}")
    location, segment = lines.number(words[0]), lines.number(words[1], 10, len(heads))
    reference = lines.number(words[2], 10, symbol_count if words[3] in ("AS4", "RS4") else len(heads))
    if not segment or not reference:
        lines.complain("segments and symbols count from 1")
    head = heads[segment - 1]
    if not head.present or not head.start <= location <= head.start + head.length - 4:
        lines.complain(f"relocates {location:#x}, not a field of {head.name}")
    return TextbookRelocation(location, segment, reference, words[3])


def _contents(lines: _TextbookLines, head: TextbookSegment) -> bytes:
    if not head.present:
        return b""
    words = lines.next(f"the contents of {head.name}") if head.length else [""]
    contents = b""
    try:
        contents = bytes.fromhex("".join(words))
    except ValueError:
        lines.complain(f"contents of {head.name} that are not hexadecimal digits")
    if len(contents) != head.length:
        lines.complain(f"{head.name} has {len(contents)} bytes here and a length of {head.length}")
    return contents


def encode(file: TextbookObject) -> bytes:
    out = ["LINK", f"{len(file.segments)} {len(file.symbols)} {len(file.relocations)}"]
    out += [f"{s.name} {s.start:x} {s.length:x} {s.flags}" for s in file.segments]
    out += [f"{s.name} {s.value:x} {s.segment} {s.type}" for s in file.symbols]
    out += [f"{r.location:x} {r.segment} {r.reference} {r.type}" for r in file.relocations]
    out += [s.contents.hex() for s in file.segments if s.present and s.length]
    return ("\n".join(out) + "\n").encode("ascii", "backslashreplace")


def decode_library(data: bytes, where: str) -> ModuleLibrary:
    """A library in file format. Raises FormatError."""
    head, newline, _ = bytes(data).partition(b"\n")
    words = head.decode("latin-1").split()
    if len(words) < 3 or words[0] != "LIBRARY" or not newline or not words[1].isdigit():
        _bad(where, "is not a library of the textbook's format: its first line is not `LIBRARY nnnn pppppp ...`")
    try:
        count, position = int(words[1]), int(words[2], 16)
    except ValueError:
        _bad(f"{where}:1", f"`{words[2]}` is not an offset")
    if not len(head) < position <= len(data):
        _bad(f"{where}:1", f"the directory at {position:#x} is not within the file")
    lines = _TextbookLines(bytes(data[position:]), f"{where}(directory)")
    modules = []
    for number in range(1, count + 1):
        row = lines.next("a module")
        if len(row) < 2:
            lines.complain("should be `offset length name...`")
        offset, length = lines.number(row[0]), lines.number(row[1])
        if offset + length > position or offset <= len(head):
            lines.complain(f"module {number} lies outside the file")
        modules.append(LibraryModule(f"module{number}", bytes(data[offset : offset + length]), tuple(row[2:])))
    return ModuleLibrary(tuple(modules), words[3] if len(words) > 3 else "", tuple(words[4:]))


def encode_library(library: ModuleLibrary) -> bytes:
    """A library in file format."""
    names = " ".join((library.shared, *library.dependencies)).strip()
    tail = f" {names}\n" if names else "\n"
    start = len(f"LIBRARY {len(library.modules):04} {0:06x}") + len(tail)
    rows, body = [], bytearray()
    for module in library.modules:
        rows.append(" ".join((f"{start + len(body):x}", f"{len(module.content):x}", *module.defines)))
        body += module.content
    head = f"LIBRARY {len(library.modules):04} {start + len(body):06x}{tail}"
    if len(head) != start:
        raise FormatError(Diagnostic("library", "is too large for the format's six digits"))
    return head.encode() + bytes(body) + "".join(row + "\n" for row in rows).encode()


def directory_files(library: ModuleLibrary) -> dict[str, bytes]:
    """A library in directory format: file name -> contents."""
    files = {module.name: module.content for module in library.modules}
    files[MAP] = "".join(" ".join((module.name, *module.defines)) + "\n" for module in library.modules).encode()
    if library.shared:
        files[LIBRARY_NAME] = "\n".join((library.shared, *library.dependencies, "")).encode()
    return files


def parse_map(text: str, where: str) -> list[tuple[str, tuple[str, ...]]]:
    """A MAP file: module -> the symbols it defines. Raises FormatError."""
    rows = []
    for number, line in enumerate(text.splitlines(), 1):
        words = line.split()
        if not words:
            continue
        if "/" in words[0] or words[0] in (MAP, LIBRARY_NAME, ".", ".."):
            _bad(f"{where}:{number}", f"`{words[0]}` cannot be a module's file")
        rows.append((words[0], tuple(words[1:])))
    return rows
