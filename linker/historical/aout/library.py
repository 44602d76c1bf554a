"""Shared libraries in a.out format (`mkshlib --format aout`), as the DLL tools of 1993 made them from control files (control.py).

    Text            version word, a zero word; slots `e9 rel32 00 00 00` from Text + 8; room up to Text + Jump
                    exported constants in their places; then all other text and constants; zeroes up to the cells
    Data - GOT      address of the conflict list, its magic, and a cell with the address of each exported variable
    Data            exported variables in their places; then all other data, the lists below; bss

All references to an exported function get its slot, calls within the library too: start-up can then make all of them lead to the program's
own function by changing one slot. References to an exported variable hold its address; the library lists each such place:

    conflict list       2 + n, &magic, &image fixups, n cells of other libraries' conflict lists, 0      (a set vector)
    image fixups        0, &builtin fixups                  redefinitions of other libraries' symbols: none
    builtin fixups      1, &place list; or 0
    place list          pairs (cell, place), 0, 0           start-up takes the cell's old value from each place and adds the new one

A classic library (Classic=1), as before the DLL tools, has the slots, and neither cells nor lists. If a program redefines a symbol, the
library goes on using its own.

Source: docs/historical-systems.md, Linux a.out; checked by programs of 1993, which start with such libraries.
"""

from __future__ import annotations

from collections.abc import Iterator

from uselib.linker.errors import Diagnostics, error
from uselib.linker.formats.elf import SHF_ALLOC, SHF_EXECINSTR, SHF_WRITE, SHT_NOBITS, SHT_PROGBITS
from uselib.linker.historical.aout.control import CELLS_AT, ControlFiles
from uselib.linker.historical.aout.format import Magic, word
from uselib.linker.historical.aout.program import CONFLICTS, aliases, encode_image
from uselib.linker.historical.aout.stub import CLASSIC, DUMMY, ControlLine, word_of
from uselib.linker.historical.aout.to_elf import INDIRECT, SET_VECTOR
from uselib.linker.image import Machine
from uselib.linker.options import Options
from uselib.linker.outputs.kind import OutputKind
from uselib.linker.passes.layout import Layout, LayoutPolicy, Placement, align
from uselib.linker.passes.model import UNDEFINED, InputSection, OutputSection, Symbol
from uselib.linker.passes.output_symbols import OutputSymbols
from uselib.linker.passes.relocations import Needs
from uselib.linker.passes.resolution import Resolution

MAGIC = 0xFEEB1ED3
_R_386_32, _R_386_GOTOFF = 1, 9  # the fields that hold an address, or move with one
_DATA = SHF_ALLOC | SHF_WRITE
_TABLE, _CONSTANT, _TEXT = range(3)  # order in .text
_CELLS, _VARIABLE, _PLAIN, _LISTS = range(4)  # order in .data
_FAR = 1 << 20


class SlotSymbols:
    """The SymbolPolicy: a reference to an exported function gets its slot, for calls as well as for pointers."""

    distinguishes_branches = True

    def __init__(self) -> None:
        self.slots: dict[Symbol, int] = {}

    def reference(self, symbol: Symbol) -> int:
        return self.slots.get(symbol, symbol.address)

    branch = reference


# f:  b8 04 00 00 00  mov eax, 4 (write);  bb 02 00 00 00  mov ebx, 2;  b9 MSG  mov ecx, text;  ba LEN  mov edx, length;  cd 80  int 0x80
#     b8 01 00 00 00  mov eax, 1 (exit);   bb 7f 00 00 00  mov ebx, 127; cd 80  int 0x80
_TRAP = (
    bytes.fromhex("b804000000 bb02000000 b9")
    + b"MSG_"
    + bytes.fromhex("ba")
    + b"LEN_"
    + bytes.fromhex("cd80 b801000000 bb7f000000 cd80")
)


def trap_code(address: int, text: bytes) -> bytes:
    """The code of a retired slot: it prints `text` and ends the program with status 127."""
    return _TRAP.replace(b"MSG_", word(address + len(_TRAP))).replace(b"LEN_", word(len(text))) + text


class AoutLibrary(OutputKind):
    """An a.out library of i386."""

    def __init__(self, control: ControlFiles) -> None:
        self.control = control
        self.word = word_of(control.version) | (CLASSIC if control.classic else 0)
        self.symbols = self.policy = SlotSymbols()
        self.aliases: list[tuple[Symbol, Symbol]] = []
        # cell, section, offset of a field with a variable's address
        self._places: list[tuple[int, InputSection, int]] = []
        self._vectors: dict[str, list[InputSection]] = {}
        self._order: dict[int, tuple[str, int]] = {}

    # -- the passes' questions ----------------------------------------------------------------------------------------

    def prepare(self, resolution: Resolution, options: Options) -> list[InputSection]:
        if resolution.machine is not Machine.I386:
            raise error("mkshlib", "a.out is a format of i386", remedy="give objects for i386")
        self.aliases = aliases(resolution)
        control, problems = self.control, Diagnostics()
        files = (
            (control.functions, "jump.funcs", "write U to retire the slot"),
            (control.variables, "jump.vars", "its room stays: define it"),
        )
        for lines, where, retired in files:
            for number, line in enumerate(lines, 1):
                symbol = resolution.symbols.get(line.symbol)
                if line.type != "U" and line.symbol != DUMMY and (symbol is None or symbol.rank == UNDEFINED):
                    problems.add(f"{where}:{number}", "no object defines it", symbol=line.symbol, remedy=retired)
        problems.raise_if_any()
        for number, line in enumerate(control.functions, 1):
            if line.type != "U" and line.symbol != DUMMY:
                self.policy.slots[resolution.symbols[line.symbol]] = control.slot(number)
        text = f"{control.name}: a function was called that this version does not have any more\n".encode()
        table = self._made(".jump", ".text", _TABLE, control.jump, SHF_ALLOC | SHF_EXECINSTR)
        trap = self._made(".retired", ".text", _FAR - 1, len(_TRAP) + len(text), SHF_ALLOC | SHF_EXECINSTR)
        trap.build = lambda: trap_code(trap.address, text)
        table.build = lambda: self._table(resolution, trap.address)
        cells = self._made(".cells", ".data", _CELLS, control.got)
        cells.build = lambda: self._cells(resolution)
        for file in resolution.files:
            for section in file.sections:
                if section is not None and section.name.startswith(SET_VECTOR):
                    self._vectors.setdefault(section.name.removeprefix(SET_VECTOR), []).append(section)
        return [table, trap, cells]

    def _made(self, name: str, output: str, order: int, size: int, flags: int = _DATA) -> InputSection:
        section = InputSection(None, 0, name, SHT_PROGBITS, flags, size, 4)
        self._order[id(section)] = (output, order)
        return section

    def sections(self, resolution: Resolution, needs: Needs) -> list[InputSection]:
        """The lists, now that every relocation has been seen."""
        if self.control.classic:
            return self._placeholders()
        cells = {
            resolution.symbols[line.symbol]: self.control.cell(index)
            for index, line in enumerate(self.control.variables)
            if line.symbol in resolution.symbols
        }
        for section in resolution.allocated():
            file = section.file
            assert file is not None
            for offset, kind, index, _ in section.relocation_rows():
                symbol = file.global_symbol(index)
                if symbol in cells and kind in (_R_386_32, _R_386_GOTOFF):
                    self._places.append((cells[symbol], section, offset))
        others = self._vectors.get(CONFLICTS, [])
        count = 2 + sum(section.size for section in others) // 4
        head = self._made(".conflicts", ".data", _LISTS * _FAR, 12)
        for number, section in enumerate(others):
            self._order[id(section)] = (".data", _LISTS * _FAR + 1 + number)
        rest = self._made(
            ".fixups", ".data", _LISTS * _FAR + _FAR - 1, 4 + 8 + (8 if self._places else 0) + 8 * len(self._places) + 8
        )
        head.build = lambda: word(count) + word(self.control.cells + 4) + word(rest.address + 4)
        rest.build = lambda: self._lists(rest.address)
        self.conflict_list = head
        return [head, rest, *self._placeholders()]

    def _placeholders(self) -> list[InputSection]:
        """Room that control files reserve for later variables."""
        return [
            self._made(f".room{number}", output, order, line.size, SHF_ALLOC if output == ".text" else _DATA)
            for number, line, output, order in self._variable_lines()
            if line.symbol == DUMMY and line.size
        ]

    def _variable_lines(self) -> Iterator[tuple[int, ControlLine, str, int]]:
        """(number, line, output section, order in it) of each constant and each variable of jump.vars."""
        for number, line in enumerate(self.control.constants):
            yield number, line, ".text", _CONSTANT + number
        for number, line in enumerate(self.control.writable):
            yield number, line, ".data", _VARIABLE * _FAR + number

    def _lists(self, address: int) -> bytes:
        """The conflict list's end; image fixups; builtin fixups; place list."""
        if not self._places:
            return bytes(4) + word(0) + word(0) + bytes(8)
        builtin = address + 4 + 8
        out = bytearray(bytes(4) + word(0) + word(builtin) + word(1) + word(builtin + 8))
        for cell, section, offset in self._places:
            out += word(cell) + word(section.address + offset)
        return bytes(out + bytes(8))

    def layout(self, options: Options, resolution: Resolution) -> LayoutPolicy:
        self._place_variables(resolution)
        return _AoutLibraryLayout(self.control, self._order)

    def _place_variables(self, resolution: Resolution) -> None:
        """Places exported variables by the control files. Each needs a section of its own, no larger than its room."""
        problems = Diagnostics()
        taken: set[int] = set()
        for _, line, output, order in self._variable_lines():
            if line.symbol == DUMMY:
                continue
            symbol = resolution.symbols[line.symbol]
            section = symbol.section
            where = symbol.file.where if symbol.file is not None else self.control.where
            if section is None:
                problems.add(where, "is absolute, where a variable of the library is needed", symbol=line.symbol)
            elif symbol.value or id(section) in taken:
                problems.add(
                    where,
                    f"shares {section.name} with other data",
                    symbol=line.symbol,
                    remedy="compile with -fdata-sections, so that each variable has a section of its own",
                )
            elif section.size > line.size:
                problems.add(
                    where,
                    f"has {section.size:#x} bytes, and jump.vars gives it room for {line.size:#x}",
                    symbol=line.symbol,
                    remedy="its room cannot grow within a major version",
                )
            else:
                taken.add(id(section))
                section.size, section.alignment = line.size, 1
                self._order[id(section)] = (output, order)
        problems.raise_if_any()

    def laid_out(self, resolution: Resolution, layout: Layout) -> None:
        for alias, target in self.aliases:
            alias.value = alias.address = target.address
        for name, address in self.control.places().items():
            symbol = resolution.symbols[name]
            if symbol.address != address:  # only a placeholder before it can have moved it
                raise error(
                    self.control.where,
                    f"lies at {symbol.address:#x} instead of {address:#x}",
                    symbol=name,
                    remedy="keep the lines of jump.vars, with the sizes they have always had",
                )

    def entry(self, resolution: Resolution, layout: Layout, options: Options) -> int:
        return self.control.text

    def complete(self, image: bytearray, layout: Layout, entry: int, rows: OutputSymbols | None) -> None:
        image[:] = encode_image(Magic.ZMAGIC, image, layout, entry, rows, library=True)

    # -- contents -------------------------------------------------------------------------------------------------------

    def _table(self, resolution: Resolution, trap: int) -> bytes:
        out = bytearray(word(self.word) + bytes(4))
        for number, line in enumerate(self.control.functions, 1):
            target = trap
            if line.type != "U" and line.symbol != DUMMY:
                target = resolution.symbols[line.symbol].address
            out += b"\xe9" + word(target - (self.control.slot(number) + 5)) + bytes(3)
        return bytes(out).ljust(self.control.jump, b"\0")

    def _cells(self, resolution: Resolution) -> bytes:
        if self.control.classic:
            return bytes(self.control.got)
        out = bytearray(word(self.conflict_list.address) + word(MAGIC))
        assert len(out) == CELLS_AT
        for line in self.control.variables:
            symbol = resolution.symbols.get(line.symbol)
            out += word(symbol.address if symbol is not None and line.symbol != DUMMY else 0)
        return bytes(out)


class _AoutLibraryLayout:
    """The LayoutPolicy: text from Text, cells and data up to and from Data."""

    def __init__(self, control: ControlFiles, order: dict[int, tuple[str, int]]) -> None:
        self.control, self.order = control, order

    def place(self, section: InputSection) -> Placement | None:
        if not section.flags & SHF_ALLOC or section.name.startswith(INDIRECT):
            return None
        known = self.order.get(id(section))
        if known is not None:
            return Placement(*known)
        if section.type == SHT_NOBITS:
            return Placement(".bss")
        return Placement(".data", _PLAIN * _FAR) if section.flags & SHF_WRITE else Placement(".text", _FAR - 2)

    def assign(self, sections: list[OutputSection], machine: Machine) -> Layout:
        by_name = {section.name: section for section in sections}
        bss = by_name.get(".bss") or OutputSection(".bss", SHT_NOBITS, _DATA, 4)
        text, data = by_name[".text"], by_name[".data"]
        room = self.control.cells - self.control.text
        if text.size > room:
            raise error(
                self.control.where,
                f"the text has {text.size:#x} bytes, and there is room for {room:#x} before the cells",
                remedy="a higher Data needs a new major version: programs know the addresses of variables",
            )
        text.address, text.offset, text.size = self.control.text, 0, room
        data.address, data.offset = self.control.cells, room
        data.size = align(data.size, 4)
        bss.address, bss.offset = align(data.end, bss.alignment), data.offset + data.size
        return Layout(machine, text.address, (text, data, bss), (), bss.offset, 0, 0)
