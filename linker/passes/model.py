"""The data of a link: object files, their sections, the global symbols that they share, and sections of the output.

An `ObjectFile` keeps the file's own records (see formats/elf.py) for local symbols and relocations, and has objects for
sections and global symbols only. These two and the output sections are the only mutable data of a link. Each attribute is
written by one pass, named below, and is read-only after it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from uselib.linker.formats.elf import (
    RESERVED,
    SHT_NOBITS,
    STT_FUNC,
    STT_SECTION,
    STV_HIDDEN,
    STV_INTERNAL,
    ElfFile,
    ElfRelocation,
    ElfSymbol,
    RelocationTable,
    SymbolTable,
)
from uselib.linker.formats.shared_object import SharedObject, SharedSymbol
from uselib.linker.formats.string_table import StringTable
from uselib.linker.quick_dataclass import dataclass, field
from uselib.linker.quick_typing import TYPE_CHECKING, Protocol
from uselib.linker.versions import library_name

if TYPE_CHECKING:
    from uselib.linker.dwarf.object_lines import ObjectLines

MAX_ALIGNMENT = 1 << 26  # larger ones come from damaged files and would make huge outputs

# Strength of a definition: the higher replaces the lower (resolve.py). GNU ld: a common replaces a weak definition.
UNDEFINED, WEAK, COMMON, STRONG = 0, 1, 2, 3


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
        self.records: Sequence[ElfRelocation] | None = None  # relocations(); changed ones: eh_frame, layout
        self.build: Callable[[], bytes] | None = None  # linker-made: content once addresses are known
        self.live = True  # gc
        self.output: OutputSection | None = None  # layout
        self.offset = 0  # layout: from the start of the output section
        self.address = 0  # layout
        self.pieces: PieceMap | None = None  # layout

    def relocations(self) -> Sequence[ElfRelocation]:
        """The relocations to be applied to this section: in the order of the file."""
        if self.records is None:
            tables = [self.file.elf.relocations(index) for index in self.relocated_by] if self.file is not None else []
            self.records = tables[0] if len(tables) == 1 else [record for table in tables for record in table]
        return self.records

    def relocation_rows(self) -> Iterable[tuple[int, int, int, int | None]]:
        """The same as plain tuples, for loops over all of them."""
        records = self.relocations()
        return records.rows() if isinstance(records, RelocationTable) else records

    def packed_relocations(self) -> tuple[bytes | memoryview, bool]:
        """The same as the file's records, and whether these have addends."""
        records = self.relocations()
        if isinstance(records, RelocationTable):
            return records.data, records.rela
        if not records or self.file is None:
            return b"", False
        return b"".join(map(self.file.elf.elf_class.pack_relocation, records)), records[0].addend is not None

    @property
    def where(self) -> str:
        return f"{self.file.where}:({self.name})" if self.file is not None else self.name

    def __repr__(self) -> str:
        return f"<{self.where} {self.size:#x}>"


@dataclass
class OutputSection:
    """An output section; address and offset are set by the layout policy."""

    name: str
    type: int = SHT_NOBITS
    flags: int = 0
    alignment: int = 1
    entsize: int = 0
    inputs: list[InputSection] = field(default_factory=list)
    size: int = 0
    address: int = 0
    offset: int = 0
    index: int = 0  # section header
    link: str = ""  # the section that sh_link names
    link_number: int = 0  # or its number, where names are not enough (SHF_LINK_ORDER of ld -r)
    info: int = 0  # sh_info

    @property
    def end(self) -> int:
        return self.address + self.size


class Symbol:
    """A global symbol of the link; one for each name. Resolution fills it in, layout gives it its address."""

    __slots__ = (
        "address",
        "alignment",
        "binding",
        "dynamic",
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

    def __init__(
        self,
        name: str,
        file: ObjectFile | None = None,
        section: InputSection | None = None,
        rank: int = UNDEFINED,
        value: int = 0,
        size: int = 0,
        kind: int = 0,
        binding: int = 0,
        visibility: int = 0,
    ) -> None:
        self.name = name
        self.file = file  # of the definition
        self.section = section  # of the definition; None: absolute (or undefined, or common)
        self.rank = rank
        self.value = value  # offset in section, or absolute value
        self.size = size
        self.type = kind
        self.binding = binding  # of the definition
        self.visibility = visibility  # the narrowest seen
        self.alignment = 0  # of a common symbol
        self.referenced = False  # from an object that is not part of a stub library
        self.strong_reference = False
        self.provided = False  # defined by the linker
        self.address = 0  # layout
        self.dynamic: DynamicBinding | None = None  # resolve, dynamic_symbols: what a dynamic linker has to do with it

    @property
    def location(self) -> int:
        """Where the definition lies (0 if undefined): for a function resolved at start-up, its resolver."""
        section = self.section
        if section is None:
            return self.value
        if section.pieces is not None:
            return section.pieces.address(self.value)
        return section.address + self.value

    @property
    def hidden(self) -> bool:
        """Whether no other object of a program sees it, nor gives its definition."""
        return self.visibility in (STV_HIDDEN, STV_INTERNAL)

    @property
    def absolute(self) -> bool:
        return self.rank in (WEAK, STRONG) and self.section is None and not self.provided

    def __repr__(self) -> str:
        return f"<symbol {self.name} rank {self.rank} {self.address:#x}>"


@dataclass(slots=True, eq=False)
class SharedInput:
    """A shared object on the command line. as_needed: it is listed only if something refers to it strongly."""

    file: SharedObject
    as_needed: bool
    needed: bool = False  # resolve: it is listed in DT_NEEDED

    @property
    def soname(self) -> str:
        return self.file.soname


@dataclass(slots=True, eq=False)
class DynamicBinding:
    """What a dynamic linker has to do with a global symbol. `library` and `definition` come from resolution, the rest from
    dynamic_symbols.py; numbers from the scan."""

    library: SharedInput | None = None  # that has the definition which a reference is bound to
    definition: SharedSymbol | None = None
    referenced: bool = False  # by a shared object
    version: str = ""  # of a definition in the output
    explicit: bool = False  # the object itself names the version (.symver), maybe an empty one
    default_version: bool = True
    exported: bool = False  # the output defines it for others
    preemptible: bool = False  # what it is bound to is decided at start-up
    copied: bool = False  # the output has a copy of the variable
    canonical: bool = False  # its PLT entry is the function's address
    plt: int = -1  # number of its PLT entry
    through_got: bool = (
        False  # the entry is in .plt.got: it jumps through the symbol's GOT entry, which is bound at start-up
    )
    number: int = 0  # in .dynsym


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


@dataclass(slots=True, eq=False)
class ObjectFile:
    """A relocatable object: records of formats/elf.py, plus sections and global symbols as objects."""

    where: str
    stub: InputStub | None  # set if it is a member of a stub library
    elf: ElfFile
    symbols: Sequence[ElfSymbol]
    first_global: int
    strings: StringTable
    groups: list[tuple[str, list[int]]]  # COMDAT: signature, members
    sections: list[InputSection | None] = field(default_factory=list)  # by section index; None: no part of the link
    executable_stack: bool = False
    link_time: str = ""  # "also", "only": whether it has data for link-time optimisation, beside code or alone
    globals: list[Symbol] = field(default_factory=list)  # resolve: by symbol index - first_global
    discarded: set[int] = field(
        default_factory=set
    )  # resolve: sections of COMDAT groups that another file's copy stands for

    lines: ObjectLines | None = None  # place(): source lines, read for the first message

    def symbol_rows(self, first: int, last: int | None = None) -> Iterable[Sequence[int]]:
        """The symbol records from number `first` to before `last`, as plain tuples."""
        symbols = self.symbols
        return symbols.rows(first, last) if isinstance(symbols, SymbolTable) else symbols[first:last]

    def infos(self, first: int, last: int) -> Iterable[int]:
        """The field st_info of these symbols."""
        symbols = self.symbols
        return symbols.infos(first, last) if isinstance(symbols, SymbolTable) else [s.info for s in symbols[first:last]]

    def global_symbol(self, index: int) -> Symbol | None:
        """The global symbol that symbol index `index` stands for, None for a local one."""
        return self.globals[index - self.first_global] if index >= self.first_global else None

    def symbol_name(self, index: int) -> str:
        """For messages: a section symbol has its section's name."""
        if index >= len(self.symbols):
            return f"symbol {index}"
        symbol = self.symbols[index]
        if symbol.type == STT_SECTION and symbol.section < len(self.elf.sections):
            return self.elf.names[self.elf.sections[symbol.section].name]
        if index >= self.first_global and self.globals:
            return self.globals[index - self.first_global].name
        return self.strings[symbol.name]

    def section_of(self, index: int) -> InputSection | None:
        """The section in which symbol `index` of this file is defined, following global resolution."""
        if index >= self.first_global:
            return self.globals[index - self.first_global].section
        shndx = self.symbols[index].section
        return self.sections[shndx] if shndx not in RESERVED else None

    def function_at(self, section: InputSection, offset: int) -> str:
        """The name of the function around `offset` in `section`, or empty."""
        for index, (_, info, _, shndx, value, size) in enumerate(self.symbol_rows(0)):
            if shndx == section.index and info & 15 == STT_FUNC and value <= offset < value + max(size, 1):
                return self.symbol_name(index)
        return ""

    def place(self, section: InputSection, offset: int) -> str:
        """`FILE(MEMBER):(section+0x12) in function f, SOURCE:LINE`, for messages."""
        function = self.function_at(section, offset)
        place = f"{self.where}:({section.name}+{offset:#x})" + (f" in function {function}" if function else "")
        if self.lines is None:
            from uselib.linker.dwarf.object_lines import ObjectLines  # only for messages

            self.lines = ObjectLines(self.elf)
        line = self.lines.find(section.index, offset)
        return f"{place}, {line.file}:{line.line}" if line is not None else place
