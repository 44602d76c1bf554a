"""ELF relocatable objects of i386 and x86-64: constants, record layouts, and a reader that checks all it hands out.

ELF32 and ELF64 order the fields of their records differently; everything here comes out in one order (the ELF64 one), as
named tuples. Symbols and relocations, of which a link reads up to millions, stay in the file's bytes: `SymbolTable` and
`RelocationTable` make a record when it is asked for. Records are made by tuple.__new__ from whole tuples, which takes half as
long as a call of the class.

Source: System V ABI, generic part (chapters 4 and 5), and its i386 and x86-64 supplements.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import repeat
from operator import itemgetter
from struct import Struct
from struct import error as StructError

from uselib.linker.errors import Diagnostic, FormatError
from uselib.linker.formats.string_table import StringTable
from uselib.linker.image import Machine
from uselib.linker.quick_dataclass import NamedTuple
from uselib.linker.quick_typing import overload

ET_REL, ET_EXEC, ET_DYN = 1, 2, 3
EM_386, EM_X86_64 = 3, 62
ELFCLASS32, ELFCLASS64 = 1, 2
ELFDATA2LSB, EV_CURRENT = 1, 1
ELFOSABI_NONE, ELFOSABI_GNU = 0, 3
MAGIC = b"\x7fELF"

SHT_NULL, SHT_PROGBITS, SHT_SYMTAB, SHT_STRTAB, SHT_RELA, SHT_HASH, SHT_DYNAMIC, SHT_NOTE = range(8)
SHT_NOBITS, SHT_REL = 8, 9
SHT_DYNSYM, SHT_INIT_ARRAY, SHT_FINI_ARRAY, SHT_PREINIT_ARRAY, SHT_GROUP, SHT_SYMTAB_SHNDX = 11, 14, 15, 16, 17, 18
SHT_RELR = 19
SHT_LLVM_ADDRSIG = 0x6FFF4C03
SHT_X86_64_UNWIND = 0x70000001

SHF_WRITE, SHF_ALLOC, SHF_EXECINSTR = 1, 2, 4
SHF_MERGE, SHF_STRINGS, SHF_INFO_LINK, SHF_LINK_ORDER = 0x10, 0x20, 0x40, 0x80
SHF_GROUP, SHF_TLS, SHF_COMPRESSED, SHF_GNU_RETAIN, SHF_EXCLUDE = 0x200, 0x400, 0x800, 0x200000, 0x80000000

SHN_UNDEF, SHN_LORESERVE, SHN_ABS, SHN_COMMON, SHN_XINDEX = 0, 0xFF00, 0xFFF1, 0xFFF2, 0xFFFF
RESERVED = range(SHN_LORESERVE, SHN_XINDEX + 1)  # values of st_shndx that are no sections
STB_LOCAL, STB_GLOBAL, STB_WEAK, STB_GNU_UNIQUE, STB_LOOS = 0, 1, 2, 10, 10
STT_NOTYPE, STT_OBJECT, STT_FUNC, STT_SECTION, STT_FILE, STT_COMMON, STT_TLS, STT_GNU_IFUNC = 0, 1, 2, 3, 4, 5, 6, 10
STV_DEFAULT, STV_INTERNAL, STV_HIDDEN, STV_PROTECTED = 0, 1, 2, 3
GRP_COMDAT = 1

PT_LOAD, PT_DYNAMIC, PT_INTERP, PT_NOTE, PT_PHDR, PT_TLS = 1, 2, 3, 4, 6, 7
PT_GNU_EH_FRAME, PT_GNU_STACK, PT_GNU_RELRO, PT_GNU_PROPERTY = 0x6474E550, 0x6474E551, 0x6474E552, 0x6474E553


class SectionHeader(NamedTuple):
    """Elf_Shdr."""

    name: int  # offset in the section names
    type: int
    flags: int
    address: int
    offset: int
    size: int
    link: int
    info: int
    alignment: int
    entry_size: int


class ElfSymbol(NamedTuple):
    """Elf_Sym."""

    name: int  # offset in the string table
    info: int  # binding << 4 | type
    other: int  # visibility in the lowest two bits
    section: int  # st_shndx
    value: int
    size: int

    @property
    def type(self) -> int:
        return self.info & 15

    @property
    def binding(self) -> int:
        return self.info >> 4


class ElfRelocation(NamedTuple):
    """Elf_Rel or Elf_Rela."""

    offset: int
    type: int
    symbol: int  # index in the symbol table
    addend: int | None  # None: SHT_REL keeps it in the field itself


class ProgramHeader(NamedTuple):
    """Elf_Phdr without p_paddr, which is written equal to p_vaddr."""

    type: int
    flags: int
    offset: int
    address: int
    file_size: int
    memory_size: int
    alignment: int


_new = tuple.__new__  # mapped over rows, it makes a named tuple as fast as (a, b) makes a tuple
_RELA64 = Struct("<QIIq")
_SYMBOL_ORDER = itemgetter(0, 3, 4, 5, 1, 2)  # of Elf32_Sym's fields in ElfSymbol


class ElfClass:
    """The record layouts of one ELF class, and how to pack each from the common field order."""

    def __init__(self, word: int) -> None:
        self.word = word
        wide = word == 8
        self.header = Struct("<16sHHIQQQIHHHHHH" if wide else "<16sHHIIIIIHHHHHH")
        self.section = Struct("<IIQQQQIIQQ" if wide else "<10I")
        self.segment = Struct("<IIQQQQQQ" if wide else "<8I")
        self.symbol = Struct("<IBBHQQ" if wide else "<IIIBBH")
        self.rela = Struct("<QQq" if wide else "<IIi")
        self.rel = Struct("<QQ" if wide else "<II")

    def pack_symbol(self, symbol: ElfSymbol) -> bytes:
        name, info, other, section, value, size = symbol
        if self.word == 8:
            return self.symbol.pack(name, info, other, section, value, size)
        return self.symbol.pack(name, value, size, info, other, section)

    def pack_relocation(self, relocation: ElfRelocation) -> bytes:
        """Elf_Rela, or Elf_Rel if there is no addend."""
        offset, kind, symbol, addend = relocation
        info = symbol << 32 | kind if self.word == 8 else symbol << 8 | kind
        return self.rel.pack(offset, info) if addend is None else self.rela.pack(offset, info, addend)

    def pack_segment(self, header: ProgramHeader) -> bytes:
        """A program header; physical address = virtual address."""
        kind, flags, offset, address, file_size, memory_size, alignment = header
        if self.word == 8:
            return self.segment.pack(kind, flags, offset, address, address, file_size, memory_size, alignment)
        return self.segment.pack(kind, offset, address, address, file_size, memory_size, flags, alignment)

    def segments(self, data: bytes | memoryview) -> list[ProgramHeader]:
        if self.word == 8:
            rows = ((t, f, o, v, fs, ms, a) for t, f, o, v, _, fs, ms, a in self.segment.iter_unpack(data))
        else:
            rows = ((t, f, o, v, fs, ms, a) for t, o, v, _, fs, ms, f, a in self.segment.iter_unpack(data))
        return [ProgramHeader(*row) for row in rows]

    def sections(self, data: bytes | memoryview) -> list[SectionHeader]:
        return list(map(_new, repeat(SectionHeader), self.section.iter_unpack(data)))


class SymbolTable(Sequence[ElfSymbol]):
    """The records of a symbol table, made one by one from the file's bytes."""

    __slots__ = ("_record", "_wide", "data")

    def __init__(self, data: memoryview, elf_class: ElfClass) -> None:
        self.data = data
        self._record = elf_class.symbol
        self._wide = elf_class.word == 8

    def __len__(self) -> int:
        return len(self.data) // self._record.size

    @overload
    def __getitem__(self, index: int) -> ElfSymbol: ...

    @overload
    def __getitem__(self, index: slice) -> list[ElfSymbol]: ...

    def __getitem__(self, index: int | slice) -> ElfSymbol | list[ElfSymbol]:
        if isinstance(index, slice):
            first, last, step = index.indices(len(self))
            return list(map(_new, repeat(ElfSymbol), self.rows(first, last)))[::step]
        size = self._record.size
        if not 0 <= index < len(self.data) // size:
            raise IndexError(index)
        row = self._record.unpack_from(self.data, index * size)
        return _new(ElfSymbol, row if self._wide else _SYMBOL_ORDER(row))

    def __iter__(self) -> Iterator[ElfSymbol]:
        return map(_new, repeat(ElfSymbol), self.rows())

    def rows(self, first: int = 0, last: int | None = None) -> Iterator[tuple[int, ...]]:
        """The fields of the symbols from number `first` to before `last`, as plain tuples."""
        size = self._record.size
        rows: Iterator[tuple[int, ...]] = self._record.iter_unpack(
            self.data[first * size : len(self.data) if last is None else last * size]
        )
        return rows if self._wide else map(_SYMBOL_ORDER, rows)

    def infos(self, first: int = 0, last: int | None = None) -> bytes:
        """The field st_info of these symbols."""
        return bytes(self.data[4 if self._wide else 12 :: self._record.size][first:last])

    def section_numbers(self) -> set[int]:
        """All values of st_shndx."""
        return set(self.data.cast("H")[3 if self._wide else 7 :: self._record.size // 2])


class RelocationTable(Sequence[ElfRelocation]):
    """The records of a relocation section, made one by one from the file's bytes. rela: they have addends."""

    __slots__ = ("_record", "_wide", "data", "rela")

    def __init__(self, data: memoryview, elf_class: ElfClass, rela: bool) -> None:
        self.data = data
        self.rela = rela
        self._wide = elf_class.word == 8
        self._record = elf_class.rela if rela else elf_class.rel

    def __len__(self) -> int:
        return len(self.data) // self._record.size

    @overload
    def __getitem__(self, index: int) -> ElfRelocation: ...

    @overload
    def __getitem__(self, index: slice) -> list[ElfRelocation]: ...

    def __getitem__(self, index: int | slice) -> ElfRelocation | list[ElfRelocation]:
        if isinstance(index, slice):
            return list(self)[index]
        size = self._record.size
        if not 0 <= index < len(self.data) // size:
            raise IndexError(index)
        offset, info, *addend = self._record.unpack_from(self.data, index * size)
        shift, mask = (32, 0xFFFFFFFF) if self._wide else (8, 0xFF)
        return ElfRelocation(offset, info & mask, info >> shift, addend[0] if addend else None)

    def __iter__(self) -> Iterator[ElfRelocation]:
        return map(_new, repeat(ElfRelocation), self.rows())

    def rows(self) -> Iterable[tuple[int, int, int, int | None]]:
        """The fields of the records, as plain tuples."""
        if self._wide and self.rela:  # r_info in its halves: the order of the fields
            return _RELA64.iter_unpack(self.data)
        rows = self._record.iter_unpack(self.data)
        if self._wide:
            return [(o, i & 0xFFFFFFFF, i >> 32, None) for o, i in rows]
        if self.rela:
            return [(o, i & 0xFF, i >> 8, a) for o, i, a in rows]
        return [(o, i & 0xFF, i >> 8, None) for o, i in rows]


CLASSES = {ELFCLASS32: ElfClass(4), ELFCLASS64: ElfClass(8)}
_MACHINES = {(ELFCLASS32, EM_386): Machine.I386, (ELFCLASS64, EM_X86_64): Machine.X86_64}


def class_of(machine: Machine) -> ElfClass:
    return CLASSES[ELFCLASS64 if machine is Machine.X86_64 else ELFCLASS32]


def identification(machine: Machine, osabi: int) -> bytes:
    """e_ident."""
    elf_class = ELFCLASS64 if machine is Machine.X86_64 else ELFCLASS32
    return MAGIC + bytes((elf_class, ELFDATA2LSB, EV_CURRENT, osabi)) + bytes(8)


def bad(where: str, message: str, remedy: str = "") -> FormatError:
    return FormatError(Diagnostic(where, message, remedy=remedy))


def identify(data: bytes | memoryview, where: str) -> tuple[Machine, ElfClass]:
    """The machine of an ELF file. Raises FormatError for anything that is not ELF of one of the two machines."""
    if bytes(data[:4]) != MAGIC:
        raise bad(where, "not an ELF file")
    if len(data) < 20 or data[4] not in CLASSES:
        raise bad(where, "truncated or damaged ELF header")
    if data[5] != 1:
        raise bad(where, "a big-endian ELF file; only i386 and x86-64 are linked here")
    machine = _MACHINES.get((data[4], data[18] | data[19] << 8))
    if machine is None:
        number = data[18] | data[19] << 8
        what = "x32 (ELF32 for x86-64)" if (data[4], number) == (ELFCLASS32, EM_X86_64) else f"ELF machine {number}"
        raise bad(where, f"{what} is neither i386 nor x86-64")
    elf_class = CLASSES[data[4]]
    if len(data) < elf_class.header.size:
        raise bad(where, "truncated ELF header")
    return machine, elf_class


def section_number(index: int) -> int:
    """The number by which a section is known here, from its index in the file.

    Indices from 0xff00 on are raised by 0x100: the numbers 0xff00 to 0xffff are left to SHN_ABS, SHN_COMMON and their like."""
    return index if index < SHN_LORESERVE else index + len(RESERVED)


def file_index(number: int) -> int:
    """The index in the file of the section that is known here by a number."""
    return number if number < SHN_LORESERVE else number - len(RESERVED)


def _many_sections(headers: list[SectionHeader]) -> list[SectionHeader]:
    """The headers of an object with more than 0xff00 sections, by section number; empty ones stand in the numbers left out."""
    related = (SHT_REL, SHT_RELA)
    shifted = [
        header._replace(
            link=section_number(header.link),
            info=section_number(header.info) if header.type in related else header.info,
        )
        for header in headers
    ]
    gap = [SectionHeader(*(0,) * len(SectionHeader._fields))] * len(RESERVED)
    return shifted[:SHN_LORESERVE] + gap + shifted[SHN_LORESERVE:]


class ElfFile:
    """Sections and symbols of an ELF file, still as records. `data` is the file (or the archive member)."""

    __slots__ = (
        "data",
        "elf_class",
        "entry",
        "flags",
        "kind",
        "machine",
        "names",
        "program_headers",
        "sections",
        "where",
    )

    def __init__(self, data: memoryview, where: str) -> None:
        self.machine, self.elf_class = identify(data, where)
        self.data = data
        self.where = where
        (_, self.kind, _, _, self.entry, phoff, shoff, self.flags, _, phentsize, phnum, shentsize, shnum, shstrndx) = (
            self.elf_class.header.unpack_from(data)
        )
        self.program_headers = (phoff, phentsize, phnum)
        record = self.elf_class.section
        self.sections: list[SectionHeader] = []
        if shoff:
            if shentsize != record.size:
                raise bad(where, f"section headers of {shentsize} bytes instead of {record.size}")
            try:
                if shnum == 0 or shstrndx == SHN_XINDEX:  # more than 0xff00 sections: the counts are in header 0
                    zero = SectionHeader(*record.unpack_from(data, shoff))
                    shnum, shstrndx = shnum or zero.size, zero.link if shstrndx == SHN_XINDEX else shstrndx
                if shoff + shnum * record.size > len(data):
                    raise StructError
                self.sections = self.elf_class.sections(data[shoff : shoff + shnum * record.size])
                if shnum > SHN_LORESERVE:
                    self.sections, shstrndx = _many_sections(self.sections), section_number(shstrndx)
            except StructError:
                raise bad(where, "truncated: the section headers lie beyond the end of the file") from None
        size = len(data)
        for section in self.sections:
            if section.offset + section.size > size and section.type not in (SHT_NOBITS, SHT_NULL):
                raise bad(where, f"truncated: section {self.sections.index(section)} lies beyond the end of the file")
        self.names = self.strings(shstrndx) if self.sections and shstrndx else StringTable(b"\0", where)

    def segments(self) -> list[ProgramHeader]:
        """The program headers that lie in the file."""
        at, _, count = self.program_headers
        end = at + count * self.elf_class.segment.size
        return self.elf_class.segments(self.data[at:end]) if end <= len(self.data) else []

    def section_name(self, index: int) -> str:
        return self.names[self.sections[index].name]

    def content(self, index: int) -> memoryview:
        """The bytes of section `index` (none for SHT_NOBITS)."""
        section = self.sections[index]
        if section.type == SHT_NOBITS:
            return self.data[:0]
        return self.data[section.offset : section.offset + section.size]

    def strings(self, index: int) -> StringTable:
        if not 0 < index < len(self.sections) or self.sections[index].type != SHT_STRTAB:
            raise bad(self.where, f"section {index} should be a string table")
        return StringTable(bytes(self.content(index)), self.where)

    def records(self, index: int, size: int) -> memoryview:
        """The content of a section whose length must be a multiple of `size`."""
        content = self.content(index)
        if len(content) % size:
            raise bad(self.where, f"section {index} has {len(content)} bytes, not a multiple of {size}")
        return content

    def symbols(self, index: int) -> SymbolTable:
        """The symbols of symbol table `index`. Section indices are not checked here."""
        return SymbolTable(self.records(index, self.elf_class.symbol.size), self.elf_class)

    def relocations(self, index: int) -> RelocationTable:
        """The records of relocation section `index`."""
        rela = self.sections[index].type == SHT_RELA
        size = self.elf_class.rela.size if rela else self.elf_class.rel.size
        return RelocationTable(self.records(index, size), self.elf_class, rela)
