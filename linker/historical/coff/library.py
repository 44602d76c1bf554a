"""Shared libraries of System V Release 3 (`mkshlib --format coff`): a target library and a host library from a specification file.

Target library (optional header 0443; mapped by the kernel; #address .text and .data are where these sections begin):

    .text   the branch table: slot n at .text + 5 (n - 1), `e9 rel32`; then all other code and constants
    .data   all data, exported or not, in link order; .bss behind it

Host library, an archive: a member for each object of the library with its exported symbols as absolute ones (a function is its highest slot)
and, for `#init`, code in `.init` that sets the library's pointers in the program's memory to the program's symbols:

    c7 05 POINTER IMPORT    movl $import, pointer

and a member `lib.o` with the path for the program's `.lib`; the other members refer to its symbol `_lib_NAME`, so that it is linked. A member
also refers to its object's undefined symbols in other objects and libraries, and to `_lib_NAME_init_MEMBER` of each member whose pointers it
may call through, so that these are set and their libraries mapped.

Source: docs/historical-systems.md, System V Release 3.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

from uselib.linker.errors import Diagnostics, error
from uselib.linker.formats.ar import NewMember, write_archive
from uselib.linker.formats.elf import SHF_ALLOC, SHF_EXECINSTR, SHT_PROGBITS, STV_HIDDEN, STV_INTERNAL
from uselib.linker.historical.coff import format as coff
from uselib.linker.historical.coff.format import C_EXT, N_ABS, N_UNDEF, Coff, CoffRelocation, CoffSection, CoffSymbol
from uselib.linker.historical.coff.program import LIBRARIES, CoffLayout, encode_image, own_files
from uselib.linker.image import Machine
from uselib.linker.library.exports import member_name
from uselib.linker.library.specification import Specification, hidden
from uselib.linker.options import Options
from uselib.linker.outputs.kind import OutputKind
from uselib.linker.passes.layout import Layout, LayoutPolicy
from uselib.linker.passes.model import UNDEFINED, InputSection, ObjectFile, Symbol
from uselib.linker.passes.output_symbols import OutputSymbol, OutputSymbols
from uselib.linker.passes.resolution import Resolution

SLOT_SIZE = 5


class BranchSymbols:
    """The SymbolPolicy: calls within the library go straight to the function; pointers to it get its slot."""

    distinguishes_branches = True

    def __init__(self) -> None:
        self.slots: dict[Symbol, int] = {}

    def reference(self, symbol: Symbol) -> int:
        return self.slots.get(symbol, symbol.address)

    def branch(self, symbol: Symbol) -> int:
        return symbol.address


@dataclass(frozen=True)
class HostMember:
    """The exports of one object of the library: name -> address, and the `.init` lines: (address of the pointer, import).

    needs: exported names of other objects that it refers to. setters: members with `.init` lines on which it may depend."""

    member: str
    symbols: dict[str, int]
    imports: tuple[tuple[int, str], ...]
    needs: tuple[str, ...] = ()
    setters: tuple[str, ...] = ()


class CoffLibrary(OutputKind):
    """A target library. target: the path that programs record."""

    has_rows = True

    def __init__(self, spec: Specification, target: str) -> None:
        self.spec, self.target = spec, target
        self.symbols = self.policy = BranchSymbols()
        self.exported: list[HostMember] = []

    def prepare(self, resolution: Resolution, options: Options) -> list[InputSection]:
        spec, problems = self.spec, Diagnostics()
        if resolution.machine is not Machine.I386:
            raise error("mkshlib", "COFF is a format of i386", remedy="give objects for i386")
        if spec.text_address is None or not spec.branch:
            problems.add(spec.where, "a target library needs #address .text and #branch")
            problems.raise_if_any()
        assert spec.text_address is not None
        for name, numbers in spec.branch.items():
            symbol = resolution.symbols.get(name)
            if symbol is None or symbol.rank == UNDEFINED:
                problems.add(
                    spec.branch_where.get(name, spec.where), "no object defines a function of this name", symbol=name
                )
                continue
            self.policy.slots[symbol] = spec.text_address + SLOT_SIZE * (numbers[-1] - 1)
        own = own_files(resolution)
        for file in resolution.files:
            for section in file.sections:
                if (
                    section is not None and id(file) not in own
                ):  # programs get paths and .init code of other host libraries
                    section.live = False
        problems.raise_if_any()
        self.table = InputSection(
            None, 0, ".branch", SHT_PROGBITS, SHF_ALLOC | SHF_EXECINSTR, SLOT_SIZE * spec.slot_count, 4
        )
        self.table.build = lambda: self._table(resolution)
        return [self.table]

    def _table(self, resolution: Resolution) -> bytes:
        """The bytes of the table. Several slots of one function all lead to it. An empty slot (`.empty_slot`) traps: 0f 0b ud2, 3 x cc
        int3.
        """
        slots = [b"\x0f\x0b\xcc\xcc\xcc"] * self.spec.slot_count
        for name, numbers in self.spec.branch.items():
            for number in numbers:
                at = self.table.address + SLOT_SIZE * (number - 1)
                rel = resolution.symbols[name].address - (at + SLOT_SIZE)
                slots[number - 1] = b"\xe9" + (rel & 0xFFFF_FFFF).to_bytes(4, "little")
        return b"".join(slots)

    def layout(self, options: Options, resolution: Resolution) -> LayoutPolicy:
        text = self.spec.text_address
        assert text is not None
        order = {id(self.table): (".text", 0)}
        return CoffLayout(text, self.spec.data_address, order, headers=0)

    def laid_out(self, resolution: Resolution, layout: Layout) -> None:
        spec = self.spec
        pointers: dict[str, list[tuple[str, str, str]]] = {}
        for line in spec.init:
            pointers.setdefault(line.member, []).append((line.pointer, line.symbol, line.where))
        problems = Diagnostics()
        own = own_files(resolution)
        setters = frozenset(pointers)
        for file in own.values():
            name = member_name(file.where)
            symbols = {s.name: self._address(s) for s in file.globals if self._exports(s, file)}
            imports = []
            for pointer, symbol, where in pointers.pop(name, ()):
                found = resolution.symbols.get(pointer)
                if found is None or found.section is None:
                    problems.add(where, "no object defines this pointer", symbol=pointer)
                else:
                    imports.append((found.address, symbol))
            if symbols or imports:
                needs, uses = self._needs(file, own), _reached(file, own) & setters - {name}
                self.exported.append(HostMember(name, symbols, tuple(imports), needs, tuple(sorted(uses))))
        for member, lines in pointers.items():
            problems.add(lines[0][2], f"no object of the library is called {member}")
        problems.raise_if_any()

    def _needs(self, file: ObjectFile, own: dict[int, ObjectFile]) -> tuple[str, ...]:
        """The references of a file to exports of this or another library."""
        names = set()
        for symbol in file.globals:
            where = symbol.file
            if where is None or where is file or symbol.rank == UNDEFINED:
                continue
            if id(where) not in own or self._exports(symbol, where):
                names.add(symbol.name)
        return tuple(sorted(names))

    def _address(self, symbol: Symbol) -> int:
        return self.policy.slots.get(symbol, symbol.address)

    def _exports(self, symbol: Symbol, file: ObjectFile) -> bool:
        """The exports: functions of the branch table, and data without #hide. Other functions have no slot, so they cannot be exported."""
        if symbol.file is not file or symbol.rank == UNDEFINED or symbol.visibility in (STV_HIDDEN, STV_INTERNAL):
            return False
        if symbol in self.policy.slots:
            return True
        if symbol.section is None or symbol.section.flags & SHF_EXECINSTR:
            return False
        return not hidden(symbol.name, self.spec.hide, self.spec.export)

    def rows(self, symbol: Symbol) -> list[OutputSymbol] | None:
        """The target's own symbols: an exported function stands at its slot, so that chkshlib can compare files."""
        if symbol.provided or (symbol.absolute and not symbol.referenced):
            return []  # _end and similar symbols are the program's; unreferenced symbols of other libraries are not imports
        slot = self.policy.slots.get(symbol)
        if slot is None or symbol.section is None or symbol.section.output is None:
            return None
        index = self.table.output.index if self.table.output is not None else symbol.section.output.index
        return [OutputSymbol(symbol.name, symbol.binding << 4 | symbol.type, 0, index, slot, 0)]

    def entry(self, resolution: Resolution, layout: Layout, options: Options) -> int:
        return self.spec.text_address or 0

    def complete(self, image: bytearray, layout: Layout, entry: int, rows: OutputSymbols | None) -> None:
        extra = []
        if self.spec.ident:
            content = b"".join(text.encode() + b"\0" for text in self.spec.ident)
            extra.append(CoffSection(".comment", 0, len(content), coff.STYP_INFO, content))
        image[:] = encode_image(coff.LIBMAGIC, image, layout, entry, rows, extra)


def _reached(file: ObjectFile, own: dict[int, ObjectFile]) -> set[str]:
    """The members that a file's code may reach, by any chain of references within the library."""
    seen, open_ = {id(file)}, [file]
    while open_:
        for symbol in open_.pop().globals:
            where = symbol.file
            if where is not None and id(where) in own and id(where) not in seen:
                seen.add(id(where))
                open_.append(where)
    return {member_name(own[key].where) for key in seen}


def host_library(target: str, exported: list[HostMember]) -> bytes:
    """The archive that programs link with."""
    marker = "_lib_" + os.path.basename(target)
    record = coff.encode_library(target)
    # the symbol's value has no meaning: it only pulls this member in
    first = Coff(
        (CoffSection(LIBRARIES, 0, len(record), coff.STYP_LIB, record, paddr=1),), (CoffSymbol(marker, 0, N_ABS),)
    )
    members = [NewMember("lib.o", coff.encode(first), (marker,))]
    for part in exported:
        symbols = [CoffSymbol(name, address, N_ABS) for name, address in sorted(part.symbols.items())]
        symbols.append(CoffSymbol(marker, 0, N_UNDEF))
        setter = f"{marker}_init_{part.member}"
        if part.imports:
            symbols.append(CoffSymbol(setter, 0, N_ABS))
        symbols += [CoffSymbol(f"{marker}_init_{member}", 0, N_UNDEF) for member in part.setters]
        symbols += [CoffSymbol(need, 0, N_UNDEF) for need in part.needs if need not in part.symbols]
        code, relocations = bytearray(), []
        for pointer, wanted in part.imports:
            if all(symbol.name != wanted for symbol in symbols):
                symbols.append(CoffSymbol(wanted, 0, N_UNDEF, C_EXT))
            index = next(i for i, symbol in enumerate(symbols) if symbol.name == wanted)
            old = symbols[index].value  # a COFF field holds its symbol's value in this file
            code += b"\xc7\x05" + pointer.to_bytes(4, "little") + old.to_bytes(4, "little")
            relocations.append(CoffRelocation(len(code) - 4, index, coff.R_DIR32))
        section = CoffSection(".text", 0, 0, coff.STYP_TEXT)
        if code:
            section = CoffSection(".init", 0, len(code), coff.STYP_TEXT, bytes(code), tuple(relocations))
        names = (*sorted(part.symbols), *((setter,) if part.imports else ()))
        members.append(NewMember(part.member, coff.encode(Coff((section,), tuple(symbols))), names))
    return write_archive(members)
