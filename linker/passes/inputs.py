"""Reading of object files: an ELF file's records become an `ObjectFile` (model.py), checked. Raises FormatError where a file is damaged."""

from __future__ import annotations

from collections.abc import Sequence

from uselib.linker.formats import elf
from uselib.linker.formats.compressed_sections import decompress
from uselib.linker.formats.elf import (
    RESERVED,
    SHF_COMPRESSED,
    SHF_EXCLUDE,
    SHF_EXECINSTR,
    SHN_XINDEX,
    SHT_GROUP,
    SHT_LLVM_ADDRSIG,
    SHT_NOBITS,
    SHT_NULL,
    SHT_REL,
    SHT_RELA,
    SHT_STRTAB,
    SHT_SYMTAB,
    SHT_SYMTAB_SHNDX,
    STT_SECTION,
)
from uselib.linker.formats.string_table import StringTable
from uselib.linker.passes.model import MAX_ALIGNMENT, InputSection, InputStub, ObjectFile
from uselib.linker.quick_dataclass import NamedTuple

STACK_NOTE = ".note.GNU-stack"
_RELOCATIONS = frozenset((SHT_REL, SHT_RELA))
_TABLES = frozenset(
    (SHT_NULL, SHT_SYMTAB, SHT_STRTAB, SHT_REL, SHT_RELA, SHT_GROUP, SHT_SYMTAB_SHNDX, SHT_LLVM_ADDRSIG)
)
_OTHER_KINDS = {elf.ET_EXEC: "an executable", elf.ET_DYN: "a dynamic shared library"}


def read_object(data: memoryview, where: str, stub: InputStub | None = None) -> ObjectFile:
    """Reads an object. Raises FormatError naming `where` if it is damaged or not a relocatable object."""
    file = elf.ElfFile(data, where)
    if file.kind != elf.ET_REL:
        what = _OTHER_KINDS.get(file.kind, "a core file")
        raise elf.bad(where, f"{what}, not a relocatable object", "link with its object files or .a")
    types = [header.type for header in file.sections]
    relocations = [index for index, kind in enumerate(types) if kind in _RELOCATIONS]
    table = _symbol_table(file, types)
    groups = _groups(file, table, types) if SHT_GROUP in types else []
    result = ObjectFile(where, stub, file, table.symbols, table.first_global, table.strings, groups)
    _add_sections(result, table.used)
    for index in relocations:
        target = file.sections[index].info
        if not 0 < target < len(types):
            raise elf.bad(where, f"relocation section {index} is for section {target}, which does not exist")
        section = result.sections[target]
        if section is not None:
            section.relocated_by.append(index)
    return result


class _SymbolTable(NamedTuple):
    symbols: Sequence[elf.ElfSymbol]
    first_global: int
    strings: StringTable
    used: set[int]  # the sections in which symbols lie


def _symbol_table(file: elf.ElfFile, types: list[int]) -> _SymbolTable:
    """The symbols with their true section indices (gABI: there is at most one table)."""
    if SHT_SYMTAB not in types:
        return _SymbolTable([], 0, StringTable(b"", file.where), set())
    index = types.index(SHT_SYMTAB)
    header, count = file.sections[index], len(file.sections)
    table, strings = file.symbols(index), file.strings(header.link)
    if header.info > len(table):
        raise elf.bad(
            file.where,
            f"symbol table {index} has {len(table)} symbols, but says that globals start at {header.info}",
        )
    used = table.section_numbers()
    beyond = [number for number in used if number >= count and number not in RESERVED]
    if beyond:
        raise elf.bad(file.where, f"a symbol lies in section {min(beyond)} of {count}")
    symbols: Sequence[elf.ElfSymbol] = table
    if SHN_XINDEX in used:
        symbols = _with_wide_indices(file, index, table)
        used = {symbol.section for symbol in symbols}
    return _SymbolTable(symbols, header.info, strings, used)


def _with_wide_indices(file: elf.ElfFile, table: int, symbols: Sequence[elf.ElfSymbol]) -> list[elf.ElfSymbol]:
    """Symbols of objects with more than 0xff00 sections: the index is in SHT_SYMTAB_SHNDX."""
    for index, header in enumerate(file.sections):
        if header.type == SHT_SYMTAB_SHNDX and header.link == table:
            wide = file.records(index, 4).cast("I")
            if len(wide) < len(symbols):
                break
            result = [
                s._replace(section=elf.section_number(wide[i])) if s.section == SHN_XINDEX else s
                for i, s in enumerate(symbols)
            ]
            if all(s.section < len(file.sections) or s.section in RESERVED for s in result):
                return result
    raise elf.bad(file.where, "the table of extended section indices is missing or damaged")


def _groups(file: elf.ElfFile, table: _SymbolTable, types: list[int]) -> list[tuple[str, list[int]]]:
    """The COMDAT groups: signature and member sections."""
    return [group for i, kind in enumerate(types) if kind == SHT_GROUP for group in _comdat(file, table, i)]


def _comdat(file: elf.ElfFile, table: _SymbolTable, index: int) -> list[tuple[str, list[int]]]:
    """Signature and member sections of group `index`; nothing if it is not a COMDAT group."""
    words, header = list(file.records(index, 4).cast("I")), file.sections[index]
    if not words or not words[0] & elf.GRP_COMDAT:
        return []
    members = [elf.section_number(member) for member in words[1:]]
    if header.info >= len(table.symbols) or any(member >= len(file.sections) for member in members):
        raise elf.bad(file.where, f"damaged section group {index}")
    symbol = table.symbols[header.info]
    name = table.strings[symbol.name]
    if not name and symbol.type == STT_SECTION:
        name = file.names[file.sections[symbol.section].name]
    return [(name, members)]


def _add_sections(file: ObjectFile, used: set[int]) -> None:
    """Makes an `InputSection` of each section that has contents, or a symbol; sets `executable_stack`."""
    headers, names = file.elf.sections, file.elf.names
    sections: list[InputSection | None] = [None] * len(headers)
    lto = False
    for index, header in enumerate(headers):
        if header.type in _TABLES:
            continue
        empty = not header.size and index not in used
        code = header.flags & SHF_EXECINSTR
        if empty and not code:
            continue
        name = names[header.name]
        if name == STACK_NOTE:
            file.executable_stack |= bool(code)
        elif header.flags & SHF_EXCLUDE:
            lto |= not empty and name.startswith(".gnu.lto_")
        elif not empty:
            sections[index] = _section(file, index, name)
    if lto:
        code = any(s is not None and s.flags & SHF_EXECINSTR and s.size for s in sections)
        file.link_time = "also" if code else "only"
    file.sections = sections


def refuse_link_time(where: str) -> None:
    """An object that only its compiler can read, which has not given a plugin, or that does not want it. Raises FormatError."""
    remedy = "link by the compiler that made it, which passes -plugin; or compile with -fno-lto or -ffat-lto-objects"
    raise elf.bad(where, "holds link-time-optimisation data only", remedy)


def _section(file: ObjectFile, index: int, name: str) -> InputSection:
    _, kind, flags, _, offset, size, _, _, alignment, entry_size = file.elf.sections[index]
    if alignment & (alignment - 1) or alignment > MAX_ALIGNMENT:
        raise elf.bad(file.where, f"section {name} has alignment {alignment}, which is not a power of two up to 64 MiB")
    data = file.elf.data
    content = data[:0] if kind == SHT_NOBITS else data[offset : offset + size]
    if flags & SHF_COMPRESSED:
        content, alignment = decompress(content, file.elf.elf_class, f"{file.where}:({name})")
        flags, size = flags & ~SHF_COMPRESSED, len(content)
    return InputSection(file, index, name, kind, flags, size, alignment, entry_size, content)


def excluded_sections(file: ObjectFile) -> None:
    """ld -r: sections with SHF_EXCLUDE are excluded from programs only. Those of link-time optimisation stay out: they are for the compiler's
    objects one by one."""
    for index, header in enumerate(file.elf.sections):
        name = file.elf.section_name(index)
        wanted = header.flags & SHF_EXCLUDE and header.type not in _TABLES and header.size
        if wanted and index not in file.discarded and not name.startswith(".gnu.lto_"):
            file.sections[index] = _section(file, index, name)
