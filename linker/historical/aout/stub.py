"""Stub archives (`libX.sa`) and control files (`jump.funcs`) of Linux's a.out libraries: the names of slots and variables.

A stub archive is an ar archive of a.out objects. Its first member describes the library:

    struct libentry { char *name; char *avers; u32 address; u32 version; }
    globals ___libX_MAJOR_(MINOR*100+PATCH) and __NEEDS_SHRLIB_libX_MAJOR at it; both pointers are relocated into the member's text
    absolute symbols __PLT_f (the slot of f) and __GOT_v (the cell of the global offset table with v's address)

The other members define absolute symbols. C names have a `_` in front, which is removed here.

`jump.funcs` of the DLL tools has a line for each slot: size, type, symbol, library, object; slot n (from 1) is at base + 8 n. Types: T exported
function; t kept, no longer exported; U retired (jumps to a trap). The symbol `__DUMMY__` holds a place.

Source: docs/historical-systems.md, Linux a.out; checked against the archives and libraries of 1993. Bytes -> dataclasses; no I/O.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from uselib.linker.errors import Diagnostic, FormatError
from uselib.linker.formats.ar import BSD_INDEX, MAGIC, Archive
from uselib.linker.formats.library_names import NEEDS_PREFIX
from uselib.linker.historical.aout import format as aout
from uselib.linker.image import Version

SLOT_SIZE = 8
CLASSIC = 0x1000_0000
SLOT_PREFIX, CELL_PREFIX = "__PLT_", "__GOT_"  # of a function's slot, of a variable's cell
DUMMY = "__DUMMY__"


def version_of(word: int) -> Version:
    """A version word as major.minor.patch: bits 16-27 are the major, the low 16 bits minor * 100 + patch."""
    return Version(word >> 16 & 0xFFF, (word & 0xFFFF) // 100, (word & 0xFFFF) % 100)


def word_of(version: Version) -> int:
    """The inverse of version_of."""
    return version.major << 16 | version.minor * 100 + version.patch


def c_name(symbol: str) -> str:
    """`_printf` -> `printf`."""
    return symbol[1:] if symbol.startswith("_") else symbol


@dataclass(frozen=True)
class AoutStub:
    """The library that a stub archive or control file describes. Addresses of functions are those of their slots."""

    where: str
    name: str = ""  # as start-up looks for it: "/libc.so.4"
    version_text: str = ""
    base: int = 0
    version: int = 0
    functions: dict[str, int] = field(default_factory=dict)
    data: dict[str, int] = field(default_factory=dict)
    cells: dict[str, int] = field(default_factory=dict)

    def names(self) -> dict[int, str]:
        """Slot address -> name. Of several names of one slot the shortest counts. A classic library's stubs do not say which symbols are
        slots (no __PLT_), so all are taken; a reader with the table looks up its slots.
        """
        best: dict[int, str] = {}
        for name, address in (self.functions or self.data).items():
            old = best.get(address)
            if old is None or (old.startswith("_"), len(old), old) > (name.startswith("_"), len(name), name):
                best[address] = name
        return best


def read_archive(data: bytes, where: str) -> AoutStub:
    """Reads a stub archive. Raises FormatError: no archive, damaged members, no library described."""
    archive = Archive(data, where)
    functions: dict[str, int] = {}
    cells: dict[str, int] = {}
    absolute: dict[str, int] = {}
    entry: tuple[str, str, int, int] | None = None
    for member in archive.members():
        content = bytes(data[member.start : member.start + member.size])
        if member.name == BSD_INDEX or not aout.is_aout(content):
            continue
        file = aout.decode(content, f"{where}({member.name})")
        if entry is None:
            entry = _entry(file, f"{where}({member.name})")
        for symbol in file.symbols:
            if symbol.stab or symbol.type != aout.N_ABS | aout.N_EXT:
                continue
            if symbol.name.startswith(SLOT_PREFIX):
                functions[c_name(symbol.name[len(SLOT_PREFIX) :])] = symbol.value
            elif symbol.name.startswith(CELL_PREFIX):
                cells[c_name(symbol.name[len(CELL_PREFIX) :])] = symbol.value
            else:
                absolute[c_name(symbol.name)] = symbol.value
    if entry is None:
        raise FormatError(
            Diagnostic(where, "is not a stub archive: no member describes a library (__NEEDS_SHRLIB_...)")
        )
    slots = set(functions.values())
    functions |= {name: value for name, value in absolute.items() if value in slots}
    data_symbols = {name: value for name, value in absolute.items() if value not in slots}
    return AoutStub(where, *entry, functions, data_symbols, cells)


def _entry(file: aout.Aout, where: str) -> tuple[str, str, int, int] | None:
    """struct libentry of a member, if it has one: name, version text, base, version word."""
    symbol = next((s for s in file.symbols if s.name.startswith(NEEDS_PREFIX) and s.kind != aout.N_UNDF), None)
    if symbol is None:
        return None
    memory = file.text + file.data  # an object's data follows its text
    if not 0 <= symbol.value <= len(memory) - 16:
        raise FormatError(Diagnostic(where, "is outside its member", symbol=symbol.name))
    name, text, base, version = (
        int.from_bytes(memory[at : at + 4], "little") for at in range(symbol.value, symbol.value + 16, 4)
    )
    return _string(memory, name, where), _string(memory, text, where), base, version


def _string(memory: bytes, at: int, where: str) -> str:
    end = memory.find(b"\0", at)
    if at >= len(memory) or end < 0:
        raise FormatError(Diagnostic(where, "its library's name lies outside the member"))
    return memory[at:end].decode("latin-1")


@dataclass(frozen=True, slots=True)
class ControlLine:
    """A line of jump.funcs or jump.vars. size in bytes; library and object may be empty (of slots that are only kept)."""

    size: int
    type: str
    symbol: str
    library: str
    object: str


def parse_control(text: str, where: str, types: str = "TtUDKC") -> tuple[ControlLine, ...]:
    """Reads jump.funcs or jump.vars. Raises FormatError with the line's number."""
    found = []
    for number, line in enumerate(text.splitlines(), 1):
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        try:
            size = int(words[0], 16)
        except ValueError:
            size = -1
        if size < 0 or len(words) < 3 or words[1] not in types:
            raise FormatError(
                Diagnostic(f"{where}:{number}", f"is not `SIZE TYPE SYMBOL LIBRARY OBJECT` with a type of {types}")
            )
        found.append(ControlLine(size, words[1], *[*words[2:5], "", ""][:3]))
    return tuple(found)


def from_control(text: str, where: str, base: int) -> AoutStub:
    """The named slots of a jump.funcs, in a library at `base`. Raises FormatError."""
    lines = parse_control(text, where, "TtU")
    functions = {
        c_name(line.symbol): base + SLOT_SIZE * number for number, line in enumerate(lines, 1) if line.symbol != DUMMY
    }
    return AoutStub(where, base=base, functions=functions)


def read(data: bytes, where: str, base: int) -> AoutStub:
    """Reads a stub archive or a jump.funcs, for the library at `base`. Raises FormatError."""
    if data.startswith(MAGIC):
        return read_archive(data, where)
    try:
        return from_control(data.decode("ascii"), where, base)
    except UnicodeDecodeError:
        raise FormatError(Diagnostic(where, "is neither a stub archive nor a jump.funcs")) from None
