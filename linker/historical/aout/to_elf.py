"""An a.out object as an ELF one, so that the linker's passes need to know one format of input.

a.out                                                ELF
    text, data, bss, one after the other from 0          .text, .data, .bss, each from 0
    N_EXT|N_UNDF with a value                            a common symbol (alignment: 4, or the size's own if smaller)
    an element of set vector V (N_SETA, N_SETT, ...)     a word in section .set_vector.V, with a relocation to where it points
    an indirect symbol (N_INDR; the next entry names it)  defined in an empty section .indirect.TARGET: AoutProgram makes it an alias
    a relocation against a section (not r_extern)        one against a symbol at that section's start; the addend loses the old address
    __PLT_f and __GOT_x of a stub archive (absolute)      weak symbols: several libraries may have them (AoutProgram sees all)
    a pc-relative field                                  R_386_PC*: a.out's field has the old place subtracted, ELF's addend does not
Debugging entries (stabs) and warnings are left out.

Sources: a.out(5) for the relocations; i386 psABI for ELF's.
"""

from __future__ import annotations

from uselib.linker.errors import Diagnostic, FormatError
from uselib.linker.formats.elf import (
    SHF_ALLOC,
    SHF_EXECINSTR,
    SHF_GNU_RETAIN,
    SHF_WRITE,
    SHT_NOBITS,
    STB_GLOBAL,
    STB_LOCAL,
    STB_WEAK,
)
from uselib.linker.formats.elf_object import (
    ABSOLUTE,
    COMMON,
    UNDEFINED,
    ObjectRelocation,
    ObjectSection,
    ObjectSymbol,
    fits,
    write_object,
)
from uselib.linker.historical.aout import format as aout
from uselib.linker.historical.aout.format import (
    N_ABS,
    N_BSS,
    N_DATA,
    N_EXT,
    N_INDR,
    N_SETA,
    N_TEXT,
    N_UNDF,
    N_WARNING,
    Aout,
    AoutRelocation,
)
from uselib.linker.historical.aout.stub import CELL_PREFIX, SLOT_PREFIX
from uselib.linker.image import Machine
from uselib.linker.quick_typing import NoReturn

SET_VECTOR = ".set_vector."
INDIRECT = ".indirect."
_SECTION = {N_TEXT: ".text", N_DATA: ".data", N_BSS: ".bss"}
_FLAGS = {N_TEXT: SHF_ALLOC | SHF_EXECINSTR, N_DATA: SHF_ALLOC | SHF_WRITE, N_BSS: SHF_ALLOC | SHF_WRITE}
_START = {N_TEXT: ".Ltext", N_DATA: ".Ldata", N_BSS: ".Lbss"}  # local symbols; `.L`: not for the output
# size -> R_386_32, _16, _8; and the pc-relative ones
_ABSOLUTE_KIND = {4: 1, 2: 20, 1: 22}
_RELATIVE_KIND = {4: 2, 2: 21, 1: 23}
_ZERO = ".Lzero"  # an absolute symbol, for pc-relative jumps to fixed addresses
_N_FN = 0x1E  # the name of a file, as some linkers leave it in objects


def to_elf(data: bytes, where: str) -> bytes:
    """The object as ELF. Raises FormatError: not an object (linked already), damaged, or with more set vectors and aliases than ELF has
    sections.
    """
    return _AoutTranslation(aout.decode(data, where), where).run()


class _AoutTranslation:
    def __init__(self, file: Aout, where: str) -> None:
        header = file.header
        if header.magic is not aout.Magic.OMAGIC:
            raise FormatError(
                Diagnostic(where, "is linked already, so it is not an object", remedy="link with its objects or .sa")
            )
        self.file, self.where = file, where
        text, contents = len(file.text), len(file.data)
        self.start = {N_TEXT: 0, N_DATA: text, N_BSS: text + contents}
        self.symbols: list[ObjectSymbol] = [
            ObjectSymbol(name, section=_SECTION[kind], binding=STB_LOCAL) for kind, name in _START.items()
        ]
        self.symbols.append(ObjectSymbol(_ZERO, section=ABSOLUTE, binding=STB_LOCAL))
        self.known = {symbol.name for symbol in self.symbols}
        self.sets: dict[str, list[ObjectRelocation]] = {}

    def run(self) -> bytes:
        absolutes = 0
        aliases: dict[str, ObjectSection] = {}
        known = self.file.symbols
        for number, symbol in enumerate(known):
            if symbol.stab or symbol.kind == N_WARNING or not symbol.name:
                continue
            if symbol.kind == N_INDR:
                if number + 1 == len(known) or not known[number + 1].name:
                    self._bad("is an indirect symbol, but no symbol follows that names its target", symbol.name)
                section = INDIRECT + known[number + 1].name
                aliases.setdefault(section, ObjectSection(section, b"", SHF_ALLOC))
                self._add(ObjectSymbol(symbol.name, section=section))
                continue
            if symbol.set_element:
                kind = symbol.kind - N_SETA + N_ABS
                if kind == N_ABS:
                    name = f".Labs{absolutes}"
                    self._element(symbol.name, name, 0)
                    self._add(ObjectSymbol(name, symbol.value, section=ABSOLUTE, binding=STB_LOCAL))
                    absolutes += 1
                else:
                    self._element(symbol.name, _START[kind], symbol.value - self.start[kind])
                continue
            self._symbol(symbol)
        if not fits(3 + len(aliases) + len(self.sets), len(self.symbols)):
            self._bad(
                f"has {len(self.sets)} set vectors, {len(aliases)} indirect and {len(known)} other symbols, which are too many"
            )
        bss = self.file.header.bss
        sections = [
            self._section(N_TEXT, self.file.text, self.file.text_relocations),
            self._section(N_DATA, self.file.data, self.file.data_relocations),
            ObjectSection(".bss", b"", _FLAGS[N_BSS], SHT_NOBITS, 4, size=bss),
            *aliases.values(),
        ]
        for name, elements in self.sets.items():
            flags = SHF_ALLOC | SHF_WRITE | SHF_GNU_RETAIN
            sections.append(ObjectSection(SET_VECTOR + name, bytes(4 * len(elements)), flags, 1, 4, tuple(elements)))
        return write_object(Machine.I386, sections, self.symbols)

    def _bad(self, message: str, symbol: str = "") -> NoReturn:
        raise FormatError(Diagnostic(self.where, message, symbol))

    def _add(self, symbol: ObjectSymbol) -> None:
        self.symbols.append(symbol)
        self.known.add(symbol.name)

    def _element(self, vector: str, symbol: str, addend: int) -> None:
        elements = self.sets.setdefault(vector, [])
        elements.append(ObjectRelocation(4 * len(elements), symbol, _ABSOLUTE_KIND[4], addend))

    def _symbol(self, symbol: aout.AoutSymbol) -> None:
        binding = STB_GLOBAL if symbol.type & N_EXT else STB_LOCAL
        if symbol.common:
            size = symbol.common
            alignment = 4 if size >= 4 else 2 if size >= 2 else 1
            self._add(ObjectSymbol(symbol.name, alignment, size, section=COMMON))
        elif symbol.kind == N_UNDF:
            if symbol.name not in self.known:  # else it comes again, behind an indirect symbol
                self._add(ObjectSymbol(symbol.name, section=UNDEFINED))
        elif symbol.kind == N_ABS:
            if symbol.name.startswith((SLOT_PREFIX, CELL_PREFIX)):
                binding = STB_WEAK
            self._add(ObjectSymbol(symbol.name, symbol.value, binding=binding, section=ABSOLUTE))
        elif symbol.kind in _SECTION:
            value = symbol.value - self.start[symbol.kind]
            if value < 0:
                self._bad("lies before its section", symbol.name)
            self._add(ObjectSymbol(symbol.name, value, binding=binding, section=_SECTION[symbol.kind]))
        elif symbol.kind != _N_FN:
            self._bad(f"has the unknown type {symbol.type:#x}", symbol.name)

    def _section(self, kind: int, content: bytes, relocations: tuple[AoutRelocation, ...]) -> ObjectSection:
        rows = tuple(self._relocation(kind, content, r) for r in relocations)
        return ObjectSection(_SECTION[kind], content, _FLAGS[kind], alignment=4, relocations=rows)

    def _relocation(self, kind: int, content: bytes, r: AoutRelocation) -> ObjectRelocation:
        kinds = _RELATIVE_KIND if r.relative else _ABSOLUTE_KIND
        if r.size not in kinds or r.flags or not 0 <= r.address <= len(content) - r.size:
            self._bad(f"has a relocation at {r.address:#x} of {_SECTION[kind]} that is damaged or not of i386")
        addend = int.from_bytes(content[r.address : r.address + r.size], "little", signed=True)
        if r.relative:
            addend += self.start[kind] + r.address
        if r.external:
            symbols = self.file.symbols
            name = symbols[r.number].name if r.number < len(symbols) else ""
            if name not in self.known:  # none, or a debugging entry
                self._bad(
                    f"has a relocation against symbol {r.number} of {len(symbols)}, which is missing or a debugging entry"
                )
            return ObjectRelocation(r.address, name, kinds[r.size], addend)
        target = r.number & aout.N_TYPE
        if target == N_ABS:
            return ObjectRelocation(r.address, _ZERO, kinds[r.size], addend)
        if target not in _START:
            self._bad(f"has a relocation against section {r.number}, which does not exist")
        return ObjectRelocation(r.address, _START[target], kinds[r.size], addend - self.start[target])
