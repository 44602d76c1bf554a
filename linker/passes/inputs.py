"""What a link works on: object files, their sections, and the global symbols that they share.

An `ObjectFile` keeps the file's own records (tuples, see formats/elf.py) for local symbols and relocations and makes
objects only for what later passes decide about: allocated sections and global symbols. These two are the only mutable
things of a link. Each attribute is written by one pass, named below, and is read-only after it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from uselib.linker.formats import elf
from uselib.linker.formats.elf import (
    SHF_COMPRESSED,
    SHF_EXCLUDE,
    SHF_EXECINSTR,
    SHN_ABS,
    SHN_LORESERVE,
    SHN_XINDEX,
    SHT_GROUP,
    SHT_LLVM_ADDRSIG,
    SHT_NOBITS,
    SHT_REL,
    SHT_RELA,
    SHT_STRTAB,
    SHT_SYMTAB,
    SHT_SYMTAB_SHNDX,
    STT_FUNC,
    STT_SECTION,
)
from uselib.linker.versions import library_name

if TYPE_CHECKING:
    from uselib.linker.passes.layout import OutputSection
    from uselib.linker.passes.relocations import Applying

MAX_ALIGNMENT = 1 << 26  # larger ones come from damaged files and would make huge outputs

# Strength of a definition: the higher replaces the lower (resolve.py). GNU ld: a common replaces a weak definition.
UNDEFINED, WEAK, COMMON, STRONG = 0, 1, 2, 3

_NOT_INPUT = frozenset((0, SHT_SYMTAB, SHT_STRTAB, SHT_REL, SHT_RELA, SHT_GROUP, SHT_SYMTAB_SHNDX, SHT_LLVM_ADDRSIG))


class PieceMap(Protocol):
    """Where the parts of a section went that is not copied as a whole (merged strings, .eh_frame without dead FDEs)."""

    def address(self, offset: int) -> int:
        """The final address of input offset `offset`."""


class InputSection:
    """A section of an object file, or (object None) one that the linker makes."""

    __slots__ = (
        "address",
        "alignment",
        "build",
        "content",
        "entsize",
        "file",
        "flags",
        "index",
        "live",
        "name",
        "offset",
        "output",
        "pieces",
        "records",
        "relocated_by",
        "size",
        "type",
    )

    def __init__(
        self,
        file: ObjectFile | None,
        index: int,
        name: str,
        kind: int,
        flags: int,
        size: int,
        alignment: int,
        entsize: int = 0,
        content: bytes | memoryview = b"",
    ) -> None:
        self.file = file
        self.index = index
        self.name = name
        self.type = kind
        self.flags = flags
        self.size = size  # bytes in memory
        self.alignment = alignment or 1
        self.entsize = entsize
        self.content = content  # empty for SHT_NOBITS
        self.relocated_by: list[int] = []  # relocation sections of the file for this section
        self.records: list[elf.ElfRelocation] | None = None
        self.build: Callable[[Applying], bytes] | None = None  # linker-made: content once addresses are known
        self.live = True  # gc
        self.output: OutputSection | None = None  # layout
        self.offset = 0  # layout: from the start of the output section
        self.address = 0  # layout
        self.pieces: PieceMap | None = None  # layout

    def relocations(self) -> list[elf.ElfRelocation]:
        """The relocations to be applied to this section: (offset, type, symbol index, addend or None)."""
        if self.records is None:
            self.records = []
            if self.file is not None:
                for index in self.relocated_by:
                    self.records += self.file.elf.relocations(index)
        return self.records

    @property
    def where(self) -> str:
        return f"{self.file.where}:({self.name})" if self.file is not None else self.name

    def __repr__(self) -> str:
        return f"<{self.where} {self.size:#x}>"


class Symbol:
    """A global symbol of the link; one for each name. Resolution fills it in, layout gives it its address."""

    __slots__ = (
        "address",
        "alignment",
        "binding",
        "file",
        "name",
        "provided",
        "rank",
        "referenced",
        "section",
        "size",
        "strong_reference",
        "type",
        "value",
        "visibility",
    )

    def __init__(self, name: str) -> None:
        self.name = name
        self.file: ObjectFile | None = None  # of the definition
        self.section: InputSection | None = None  # of the definition; None: absolute (or undefined, or common)
        self.rank = UNDEFINED
        self.value = 0  # offset in section, or absolute value
        self.size = 0
        self.type = 0
        self.binding = 0  # of the definition
        self.visibility = 0  # the narrowest seen
        self.alignment = 0  # of a common symbol
        self.referenced = False  # from an object that is not part of a stub library
        self.strong_reference = False
        self.provided = False  # defined by the linker
        self.address = 0  # layout

    @property
    def absolute(self) -> bool:
        return self.rank in (WEAK, STRONG) and self.section is None and not self.provided

    def __repr__(self) -> str:
        return f"<symbol {self.name} rank {self.rank} {self.address:#x}>"


@dataclass
class InputStub:
    """A stub library in use: what its `LIBRARY NAME` member says, and the names it defines."""

    where: str
    file_name: str  # libc_s.4.0.0
    dependencies: tuple[str, ...]  # file names
    names: frozenset[str]
    objects: list[ObjectFile] = field(default_factory=list)  # members that the link took

    @property
    def name(self) -> str:
        """The identity's name: libc_s."""
        return library_name(self.file_name)


class ObjectFile:
    """A relocatable object: records of formats/elf.py, plus sections and global symbols as objects."""

    __slots__ = (
        "discarded",
        "elf",
        "executable_stack",
        "first_global",
        "globals",
        "groups",
        "sections",
        "strings",
        "stub",
        "symbols",
        "where",
    )

    def __init__(self, data: memoryview, where: str, stub: InputStub | None = None) -> None:
        """Reads an object. Raises FormatError naming `where` if it is damaged or not a relocatable object."""
        self.where = where
        self.stub = stub
        file = self.elf = elf.ElfFile(data, where)
        if file.kind != elf.ET_REL:
            what = {elf.ET_EXEC: "an executable", elf.ET_DYN: "a dynamic shared library"}.get(file.kind, "a core file")
            raise elf.bad(where, f"{what}, where a relocatable object is wanted", "link with its object files or .a")
        self.symbols: list[elf.ElfSymbol] = []
        self.first_global = 0
        self.strings = elf.StringTable(b"", where)
        self.globals: list[Symbol] = []  # resolve: by symbol index - first_global
        self.groups: list[tuple[str, list[int]]] = []  # COMDAT: signature, members
        self.discarded: set[int] = set()  # resolve: sections of COMDAT groups that another file's copy stands for
        self.executable_stack = False
        records = file.sections
        count = len(records)
        self.sections: list[InputSection | None] = [None] * count
        used: set[int] = set()
        relocated: list[tuple[int, int]] = []
        for index, record in enumerate(records):
            kind = record.type
            if kind == SHT_SYMTAB:
                self.symbols = file.symbols(index)
                self.strings = file.strings(record.link)
                self.first_global = record.info
                self._check_symbols(index)
                used = {symbol.section for symbol in self.symbols}
            elif kind in (SHT_RELA, SHT_REL):
                if not 0 < record.info < count:
                    raise elf.bad(
                        where, f"relocation section {index} is for section {record.info}, which does not exist"
                    )
                relocated.append((record.info, index))
        # binutils puts the symbol table last, so the sections that symbols need are only known now
        data = file.data
        names = file.names
        lto = False
        for index, (name, kind, flags, _, offset, size, _, _, alignment, entsize) in enumerate(records):
            if kind in _NOT_INPUT:
                if kind == SHT_GROUP:
                    self._group(index)
                continue
            if not size and index not in used:
                if flags & SHF_EXECINSTR and names[name] == ".note.GNU-stack":
                    self.executable_stack = True
                continue
            text = names[name]
            if flags & SHF_EXCLUDE or text == ".note.GNU-stack":
                lto |= text.startswith(".gnu.lto_")
                self.executable_stack |= bool(flags & SHF_EXECINSTR) and text == ".note.GNU-stack"
                continue
            if alignment & (alignment - 1) or alignment > MAX_ALIGNMENT:
                raise elf.bad(
                    where, f"section {text} has alignment {alignment}, which is not a power of two up to 64 MiB"
                )
            content = data[:0] if kind == SHT_NOBITS else data[offset : offset + size]
            if flags & SHF_COMPRESSED:
                content, alignment = elf.decompress(content, file.elf_class, f"{where}:({text})")
                flags, size = flags & ~SHF_COMPRESSED, len(content)
            self.sections[index] = InputSection(self, index, text, kind, flags, size, alignment, entsize, content)
        if lto and not any(s is not None and s.flags & SHF_EXECINSTR and s.size for s in self.sections):
            raise elf.bad(where, "holds link-time-optimisation data only", "compile with -fno-lto or -ffat-lto-objects")
        for target, index in relocated:
            section = self.sections[target]
            if section is not None:
                section.relocated_by.append(index)

    def _check_symbols(self, table: int) -> None:
        count = len(self.elf.sections)
        if self.first_global > len(self.symbols):
            raise elf.bad(self.where, f"symbol table {table} has {len(self.symbols)} symbols, but says that "
                          f"globals start at {self.first_global}")  # fmt: skip
        for symbol in self.symbols:
            if count <= symbol.section < SHN_LORESERVE:
                raise elf.bad(self.where, f"a symbol lies in section {symbol.section} of {count}")
        if any(symbol.section == SHN_XINDEX for symbol in self.symbols):
            self._wide_indices(table)

    def _wide_indices(self, table: int) -> None:
        """Symbols of objects with more than 0xff00 sections: the index is in SHT_SYMTAB_SHNDX."""
        for index, record in enumerate(self.elf.sections):
            if record.type == SHT_SYMTAB_SHNDX and record.link == table:
                wide = self.elf.records(index, 4).cast("I")
                if len(wide) < len(self.symbols):
                    break
                self.symbols = [
                    s._replace(section=wide[i]) if s.section == SHN_XINDEX else s for i, s in enumerate(self.symbols)
                ]
                if all(s.section < len(self.elf.sections) or s.section >= SHN_LORESERVE for s in self.symbols):
                    return
        raise elf.bad(self.where, "the table of extended section indices is missing or damaged")

    def _group(self, index: int) -> None:
        words = list(self.elf.records(index, 4).cast("I"))
        if not words or not words[0] & elf.GRP_COMDAT:
            return
        signature = self.elf.sections[index].info
        if signature >= len(self.symbols) or any(member >= len(self.elf.sections) for member in words[1:]):
            raise elf.bad(self.where, f"damaged section group {index}")
        symbol = self.symbols[signature]
        name = self.strings[symbol.name]
        if not name and symbol.info & 15 == STT_SECTION:
            name = self.elf.names[self.elf.sections[symbol.section].name]
        self.groups.append((name, words[1:]))

    def global_symbol(self, index: int) -> Symbol | None:
        """The global symbol that symbol index `index` stands for, None for a local one."""
        return self.globals[index - self.first_global] if index >= self.first_global else None

    def symbol_name(self, index: int) -> str:
        """For messages: a section symbol has its section's name."""
        if index >= len(self.symbols):
            return f"symbol {index}"
        symbol = self.symbols[index]
        if symbol.info & 15 == STT_SECTION and symbol.section < len(self.elf.sections):
            return self.elf.names[self.elf.sections[symbol.section].name]
        if index >= self.first_global and self.globals:
            return self.globals[index - self.first_global].name
        return self.strings[symbol.name]

    def section_of(self, index: int) -> InputSection | None:
        """The section in which symbol `index` of this file is defined, following global resolution."""
        if index >= self.first_global:
            return self.globals[index - self.first_global].section
        shndx = self.symbols[index].section
        return self.sections[shndx] if shndx < SHN_LORESERVE else None

    def function_at(self, section: InputSection, offset: int) -> str:
        """The name of the function around `offset` in `section`, or empty."""
        for index, (_, info, _, shndx, value, size) in enumerate(self.symbols):
            if shndx == section.index and info & 15 == STT_FUNC and value <= offset < value + max(size, 1):
                return self.symbol_name(index)
        return ""

    def place(self, section: InputSection, offset: int) -> str:
        """`FILE(MEMBER):(section+0x12) in function f`, for messages."""
        function = self.function_at(section, offset)
        return f"{self.where}:({section.name}+{offset:#x})" + (f" in function {function}" if function else "")


def local_values(file: ObjectFile) -> list[int | None]:
    """Final addresses of the file's local symbols; None where the section was discarded or cut into pieces."""
    addresses: list[int | None] = [
        None if section is None or section.pieces is not None or not section.live else section.address
        for section in file.sections
    ]
    result: list[int | None] = []
    for symbol in file.symbols[: file.first_global]:
        shndx = symbol.section
        if shndx < SHN_LORESERVE:
            base = addresses[shndx] if shndx else 0
            result.append(None if base is None else base + symbol.value)
        else:
            result.append(symbol.value if shndx == SHN_ABS else None)
    return result
