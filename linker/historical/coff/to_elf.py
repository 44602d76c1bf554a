"""A COFF object of i386 as an ELF one, so that the linker's passes need to know one format of input.

Sections keep their names (.text, .data, .bss, .init, .lib, ...); a common symbol has the alignment of its size, 4 at most. COFF's
fields hold the old value of their symbol, ELF's addends do not. Debugging entries, line numbers and .comment are left out.

Source: coff(4); i386 psABI for ELF's relocations.
"""

from __future__ import annotations

from uselib.linker.errors import Diagnostic, FormatError
from uselib.linker.formats.elf import (
    SHF_ALLOC,
    SHF_EXECINSTR,
    SHF_GNU_RETAIN,
    SHF_WRITE,
    SHT_NOBITS,
    SHT_PROGBITS,
    STB_GLOBAL,
    STB_LOCAL,
)
from uselib.linker.formats.elf_object import (
    ABSOLUTE,
    COMMON,
    ObjectRelocation,
    ObjectSection,
    ObjectSymbol,
    fits,
    write_object,
)
from uselib.linker.historical.coff import format as coff
from uselib.linker.historical.coff.format import C_EXT, N_ABS, N_DEBUG, N_UNDEF, Coff, CoffSection, CoffSymbol
from uselib.linker.image import Machine
from uselib.linker.quick_typing import NoReturn

# COFF type -> (ELF type, bytes, pc-relative)
_KINDS = {
    coff.R_DIR32: (1, 4, False),
    coff.R_PCRLONG: (2, 4, True),
    coff.R_DIR16: (20, 2, False),
    coff.R_RELWORD: (20, 2, False),
    coff.R_PCRWORD: (21, 2, True),
    coff.R_RELBYTE: (22, 1, False),
    coff.R_PCRBYTE: (23, 1, True),
}
LIBRARIES = ".lib"


def to_elf(data: bytes, where: str) -> bytes:
    """The object as ELF. Raises FormatError: linked already, damaged, or with a relocation that is not of i386."""
    file = coff.decode(data, where)
    if file.flags & coff.F_EXEC or (file.optional is not None and file.flags & coff.F_RELFLG):
        raise FormatError(
            Diagnostic(where, "is linked already, so it is not an object", remedy="link with its objects")
        )
    return _CoffTranslation(file, where).run()


class _CoffTranslation:
    def __init__(self, file: Coff, where: str) -> None:
        self.file, self.where = file, where
        self.taken = [self._taken(section) for section in file.sections]
        self.symbols = [
            ObjectSymbol(self._start(number), section=section.name, binding=STB_LOCAL)
            for number, section in enumerate(file.sections, 1)
            if self.taken[number - 1]
        ]
        self.known = {symbol.name for symbol in self.symbols}
        self.by_index = {symbol.index: symbol for symbol in file.symbols}

    @staticmethod
    def _taken(section: CoffSection) -> bool:
        return section.name == LIBRARIES or not section.flags & (coff.STYP_INFO | coff.STYP_DSECT)

    @staticmethod
    def _start(number: int) -> str:
        return f".Lsection{number}"

    def _bad(self, message: str, symbol: str = "") -> NoReturn:
        raise FormatError(Diagnostic(self.where, message, symbol))

    def run(self) -> bytes:
        names = [section.name for section in self.file.sections]
        if len(set(names)) != len(names):
            self._bad("has two sections of one name")
        for symbol in self.file.symbols:
            translated = self._symbol(symbol)
            if translated is not None:
                self.symbols.append(translated)
                self.known.add(translated.name)
        if not fits(len(names), len(self.symbols)):
            self._bad(f"has {len(self.symbols)} symbols, which are too many")
        sections = [s for number, s in enumerate(map(self._section, self.file.sections)) if self.taken[number]]
        return write_object(Machine.I386, sections, self.symbols)

    def _symbol(self, symbol: CoffSymbol) -> ObjectSymbol | None:
        """The symbol in ELF; None for one that is left out."""
        if symbol.section == N_DEBUG or symbol.storage not in (C_EXT, coff.C_STAT, coff.C_LABEL) or not symbol.name:
            return None
        binding = STB_GLOBAL if symbol.storage == C_EXT else STB_LOCAL
        if symbol.common:
            alignment = 4 if symbol.value >= 4 else 2 if symbol.value >= 2 else 1
            return ObjectSymbol(symbol.name, alignment, symbol.value, section=COMMON)
        if symbol.section == N_UNDEF:
            return ObjectSymbol(symbol.name) if symbol.storage == C_EXT else None
        if symbol.section == N_ABS:
            return ObjectSymbol(symbol.name, symbol.value, binding=binding, section=ABSOLUTE)
        if not self.taken[symbol.section - 1] or (binding == STB_LOCAL and symbol.auxiliary):  # a section's own
            return None
        section = self.file.sections[symbol.section - 1]
        if not section.address <= symbol.value <= section.address + section.size:
            self._bad("lies outside its section", symbol.name)
        return ObjectSymbol(symbol.name, symbol.value - section.address, binding=binding, section=section.name)

    def _section(self, section: CoffSection) -> ObjectSection:
        empty = bool(section.flags & coff.STYP_BSS) or not section.content
        flags = SHF_ALLOC | (SHF_EXECINSTR if section.flags & coff.STYP_TEXT else 0)
        if section.flags & (coff.STYP_DATA | coff.STYP_BSS):
            flags |= SHF_WRITE
        if section.name == LIBRARIES:
            flags = SHF_ALLOC | SHF_GNU_RETAIN
        rows = tuple(self._relocation(section, r) for r in section.relocations)
        kind = SHT_NOBITS if empty and section.size else SHT_PROGBITS
        return ObjectSection(section.name, section.content, flags, kind, 4, rows, section.size if empty else 0)

    def _relocation(self, section: CoffSection, r: coff.CoffRelocation) -> ObjectRelocation:
        known = _KINDS.get(r.type)
        offset = r.address - section.address
        symbol = self.by_index.get(r.symbol)
        if known is None or symbol is None or not 0 <= offset <= len(section.content) - known[1]:
            self._bad(
                f"has a relocation at {r.address:#x} of {section.name} (type {r.type}) that is damaged or not of i386"
            )
        kind, size, relative = known
        addend = int.from_bytes(section.content[offset : offset + size], "little", signed=True) - symbol.value
        if relative:
            addend += r.address
        if symbol.section > 0 and symbol.storage != C_EXT:
            target = self.file.sections[symbol.section - 1]
            if not self.taken[symbol.section - 1]:
                self._bad(f"refers to {target.name}, which is not loaded")
            return ObjectRelocation(offset, self._start(symbol.section), kind, addend + symbol.value - target.address)
        if symbol.name not in self.known:
            self._bad(f"has a relocation against {symbol.name or 'a symbol without a name'}, which is not loaded")
        return ObjectRelocation(offset, symbol.name, kind, addend)
