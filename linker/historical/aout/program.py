"""Programs in a.out format (`-m i386linux`), as the linkers of 1993 made them: ZMAGIC, with -N OMAGIC, with --qmagic QMAGIC.

    text    all code and constants, in link order (crt0.o first: programs are entered at the start of their text)
    data    on the next page (OMAGIC: directly behind), set vectors in it; bss behind it

The linker makes a set vector of all definitions of one symbol with a set type: count, the elements in link order, 0. `__SHARABLE_CONFLICTS__`
gets one element from the linker, in the second place: the list of symbols that both the program and a library define, so that start-up can
make the library use the program's (docs/historical-systems.md):

    count, then pairs (value, address): for a variable x    (&x, __GOT_x)                 the library's cell for its address
                                        for a function f    (f - (slot + 5), slot + 1)    the slot's rel32; slot = __PLT_f
    if libraries redefine variables of each other (libXaw has vendorShellClassRec in the place of libXt's), a pair (0, 0), then
    pairs (cell, cell): of the library that is linked first, of a later one, which gets what the first one holds
    then a pointer to the fixups within the image, 0 for programs

Start-up of libc 4.3.3 takes only every second pair of the latter kind (measured), so each is written twice. For a function of several
libraries the first library counts too: the slots of the others lead to its slot.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator
from dataclasses import dataclass

from uselib.linker.errors import error
from uselib.linker.formats.elf import SHF_ALLOC, SHF_WRITE, SHN_ABS, SHT_NOBITS, SHT_PROGBITS
from uselib.linker.historical.aout import format as aout
from uselib.linker.historical.aout.format import (
    N_ABS,
    N_BSS,
    N_DATA,
    N_EXT,
    N_SETV,
    N_TEXT,
    N_UNDF,
    Aout,
    ExecHeader,
    Magic,
    word,
)
from uselib.linker.historical.aout.stub import CELL_PREFIX, SLOT_PREFIX
from uselib.linker.historical.aout.to_elf import INDIRECT, SET_VECTOR
from uselib.linker.historical.symbol_table import ABSOLUTE_SECTION, UNDEFINED_SECTION, table_symbols
from uselib.linker.image import PAGE, Machine
from uselib.linker.options import Options
from uselib.linker.outputs.kind import OutputKind
from uselib.linker.passes.definitions import define
from uselib.linker.passes.layout import Layout, LayoutPolicy, Placement, align
from uselib.linker.passes.model import UNDEFINED, InputSection, OutputSection, Symbol
from uselib.linker.passes.output_symbols import OutputSymbol, OutputSymbols
from uselib.linker.passes.resolution import Resolution

CONFLICTS = "__SHARABLE_CONFLICTS__"
LIBRARIES = "___SHARED_LIBRARIES__"
_DATA_FLAGS = SHF_ALLOC | SHF_WRITE
_FIRST, _SECOND, _REST, _LAST = range(10, 14)  # order within a vector; behind ordinary data
_FIXUPS = 1 << 30  # behind all vectors, as the linkers of 1993 have it
_MAGICS = {"": Magic.ZMAGIC, "omagic": Magic.OMAGIC, "qmagic": Magic.QMAGIC}
# layout symbols that programs may use, with the `_` that C puts in front
_KINDS = {".text": N_TEXT, ".data": N_DATA, ".bss": N_BSS}
_ENDS = {"_etext": ".text", "__etext": ".text", "_edata": ".data", "__edata": ".data", "_end": ".bss", "__end": ".bss"}


@dataclass
class _SetVector:
    """A set vector: its head, the input sections with elements, the linker's own element, its end."""

    head: InputSection
    parts: list[InputSection]
    own: InputSection | None
    end: InputSection

    def ordered(self) -> Iterator[tuple[InputSection, int]]:
        """The sections with their order in the vector."""
        yield self.head, _FIRST
        for index, part in enumerate(self.parts):
            yield part, _REST + 1 if index else _SECOND
        if self.own is not None:
            yield self.own, _REST
        yield self.end, _LAST + 1


class AoutProgram(OutputKind):
    """An a.out executable of i386."""

    def __init__(self, magic: str = "") -> None:
        self.magic = _MAGICS[magic]
        self.vectors: dict[str, _SetVector] = {}
        self.fixups: InputSection | None = None
        self._ends: list[Symbol] = []
        self.aliases: list[tuple[Symbol, Symbol]] = []

    # -- the passes' questions ----------------------------------------------------------------------------------------

    def prepare(self, resolution: Resolution, options: Options) -> list[InputSection]:
        if resolution.machine is not Machine.I386:
            raise error("ld", "a.out is a format of i386", remedy="link objects for i386")
        made: list[InputSection] = []
        for name, parts in self._elements(resolution).items():
            made += self._vector(resolution, name, parts)
        self.aliases = aliases(resolution)
        for name in _ENDS:
            symbol = resolution.symbols.get(name)
            if symbol is not None and symbol.rank == UNDEFINED:
                define(symbol, None, 0)
                self._ends.append(symbol)
        return made

    @staticmethod
    def _elements(resolution: Resolution) -> dict[str, list[InputSection]]:
        found: dict[str, list[InputSection]] = {}
        for file in resolution.files:
            for section in file.sections:
                if section is not None and section.name.startswith(SET_VECTOR):
                    found.setdefault(section.name.removeprefix(SET_VECTOR), []).append(section)
        return found

    def _vector(self, resolution: Resolution, name: str, parts: list[InputSection]) -> list[InputSection]:
        head = InputSection(None, 0, f"{SET_VECTOR}{name}.head", SHT_PROGBITS, _DATA_FLAGS, 4, 4)
        end = InputSection(None, 0, f"{SET_VECTOR}{name}.end", SHT_PROGBITS, _DATA_FLAGS, 4, 4, content=bytes(4))
        own: InputSection | None = None
        made = [head, end]
        if name == CONFLICTS:
            own = InputSection(None, 0, f"{SET_VECTOR}{name}.own", SHT_PROGBITS, _DATA_FLAGS, 4, 4)
            pairs = redefined(resolution)
            self.fixups = InputSection(None, 0, ".fixups", SHT_PROGBITS, _DATA_FLAGS, 4 * (2 * pairs.count + 2), 4)
            self.fixups.build = lambda: fixup_list(pairs)
            own.build = lambda: word(self.fixups.address if self.fixups is not None else 0)
            made += [own, self.fixups]
        count = sum(part.size for part in parts) // 4 + (own is not None)
        head.content = word(count)
        self.vectors[name] = _SetVector(head, parts, own, end)
        symbol = resolution.symbols.get(name)
        if symbol is not None and symbol.rank == UNDEFINED:
            define(symbol, head, 0, 4 * (count + 2))
        elif symbol is not None and name in (CONFLICTS, LIBRARIES):
            where = symbol.file.where if symbol.file is not None else "ld"
            raise error(
                where,
                "is defined here, but the linker makes it from the elements in all objects",
                symbol=name,
                remedy="leave it out, or start-up code does not find the libraries",
            )
        return made

    def layout(self, options: Options, resolution: Resolution) -> LayoutPolicy:
        return AoutLayout(self.magic, dict(options.section_starts), self.vectors, options.base, self.fixups)

    def laid_out(self, resolution: Resolution, layout: Layout) -> None:
        for alias, target in self.aliases:
            alias.value = alias.address = target.address
        for symbol in self._ends:
            section = layout.find(_ENDS[symbol.name])
            symbol.value = symbol.address = section.end if section is not None else 0

    def entry(self, resolution: Resolution, layout: Layout, options: Options) -> int:
        """The start of the text, as crt0.o expects, unless -e names something else."""
        symbol = resolution.symbols.get(options.entry)
        if symbol is not None and symbol.rank != UNDEFINED:
            return symbol.address
        text = layout.find(".text")
        return text.address if text is not None else 0

    def complete(self, image: bytearray, layout: Layout, entry: int, rows: OutputSymbols | None) -> None:
        image[:] = encode_image(self.magic, image, layout, entry, rows, vectors=self.vectors)


def encode_image(
    magic: Magic,
    image: bytearray,
    layout: Layout,
    entry: int,
    rows: OutputSymbols | None,
    library: bool = False,
    vectors: Container[str] = (),
) -> bytes:
    """The file, from the contents of .text and .data at their offsets in `image`, and the size of .bss. library: data follows text at
    once, even within a page. vectors: names of set vectors, whose symbols have a type of their own (N_SETV)."""
    text, data, bss = (layout.find(name) for name in (".text", ".data", ".bss"))
    assert text is not None and data is not None and bss is not None
    contents = [bytes(image[section.offset : section.offset + section.size]) for section in (text, data)]
    if magic is not Magic.OMAGIC:  # pages of the file are mapped
        front = bytes(aout.HEADER_SIZE) if magic is Magic.QMAGIC else b""
        text_in_file = front + contents[0] if library else _padded(front + contents[0])
        contents = [text_in_file, contents[1] + bytes(-(len(text_in_file) + len(contents[1])) % PAGE)]
    zeros = bss.end - data.address - len(contents[1]) if bss.size else 0  # the last page of data has some already
    header = ExecHeader(magic, 0, 0, max(0, zeros), entry=entry)
    return aout.encode(Aout(header, contents[0], contents[1], symbols=tuple(_symbols(rows or (), layout, vectors))))


def _padded(content: bytes) -> bytes:
    return content + bytes(-len(content) % PAGE)


def _symbols(rows: Iterable[OutputSymbol], layout: Layout, vectors: Container[str]) -> Iterable[aout.AoutSymbol]:
    kinds = {n: _KINDS.get(section.name, N_ABS) for n, section in enumerate(layout.sections, 1)}
    kinds |= {UNDEFINED_SECTION: N_UNDF, ABSOLUTE_SECTION: N_ABS}
    for name, local, section, value in table_symbols(rows, layout):
        if not name.startswith((CELL_PREFIX, SLOT_PREFIX)):
            kind = N_SETV if name in vectors else kinds[section]
            yield aout.AoutSymbol(name, kind | (0 if local else N_EXT), value)


def aliases(resolution: Resolution) -> list[tuple[Symbol, Symbol]]:
    """Indirect symbols and their targets at the end of the chain. One without a definition becomes undefined again."""
    found = []
    for symbol in resolution.symbols.values():
        target, seen = symbol, {symbol.name}
        while target.section is not None and target.section.name.startswith(INDIRECT):
            following = resolution.symbols.get(target.section.name.removeprefix(INDIRECT))
            if following is None or following.name in seen:
                raise error(
                    symbol.file.where if symbol.file else "ld",
                    "is an indirect symbol, and no object defines its target",
                    symbol=symbol.name,
                )
            seen.add(following.name)
            target = following
        if target is not symbol:
            found.append((symbol, target))
    for symbol, target in found:
        if target.rank == UNDEFINED:
            symbol.rank, symbol.section = UNDEFINED, None
        else:
            define(symbol, None, 0)
    return found


# -- what the program redefines --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class RedefinedSymbols:
    """The changes that start-up makes in libraries: pairs as above, with addresses that are known after layout.

    own: (the program's definition, address of the library's cell or slot, whether it is a function). functions: (slot that is to lead
    elsewhere, slot that it leads to). cells: (cell to copy from, cell to copy to)."""

    own: tuple[tuple[Symbol, int, bool], ...]
    functions: tuple[tuple[int, int], ...]
    cells: tuple[tuple[int, int], ...]

    @property
    def count(self) -> int:
        """Pairs in the list."""
        return len(self.own) + len(self.functions) + (1 + 2 * len(self.cells) if self.cells else 0)


def _imports(resolution: Resolution) -> dict[str, list[int]]:
    """`__GOT_x` and `__PLT_f`, as all stub archives define them, in link order."""
    found: dict[str, list[int]] = {}
    for file in resolution.files:
        for record, symbol in zip(file.symbols[file.first_global :], file.globals, strict=False):
            if symbol.name.startswith((CELL_PREFIX, SLOT_PREFIX)) and record.section == SHN_ABS:
                addresses = found.setdefault(symbol.name, [])
                if record.value not in addresses:
                    addresses.append(record.value)
    return found


def redefined(resolution: Resolution) -> RedefinedSymbols:
    """The redefined symbols in order of names."""
    own: list[tuple[Symbol, int, bool]] = []
    functions: list[tuple[int, int]] = []
    cells: list[tuple[int, int]] = []
    for name, (first, *others) in sorted(_imports(resolution).items(), key=lambda item: item[0][len(CELL_PREFIX) :]):
        function = name.startswith(SLOT_PREFIX)
        symbol = resolution.symbols.get(name[len(CELL_PREFIX) :])
        if symbol is not None and symbol.rank != UNDEFINED and not symbol.absolute and not symbol.provided:
            own += [(symbol, address, function) for address in (first, *others)]
        elif function:
            functions += [(address, first) for address in others]
        else:
            cells += [(first, address) for address in others]
    return RedefinedSymbols(tuple(own), tuple(functions), tuple(cells))


def fixup_list(pairs: RedefinedSymbols) -> bytes:
    """The list's bytes."""
    out = bytearray(word(pairs.count))
    for symbol, place, function in pairs.own:
        out += _branch(place, symbol.address) if function else word(symbol.address) + word(place)
    for slot, target in pairs.functions:
        out += _branch(slot, target)
    if pairs.cells:
        out += bytes(8)
        for source, place in pairs.cells:
            out += 2 * (word(source) + word(place))
    return bytes(out + word(0))


def _branch(slot: int, target: int) -> bytes:
    """The pair that makes a slot lead to `target`: e9 rel32, counted from behind it."""
    return word(target - (slot + 5)) + word(slot + 1)


# -- layout --------------------------------------------------------------------------------------------------------------


class AoutLayout:
    """The LayoutPolicy of a.out programs."""

    def __init__(
        self,
        magic: Magic,
        starts: dict[str, int],
        vectors: dict[str, _SetVector],
        base: int | None = None,
        fixups: InputSection | None = None,
    ) -> None:
        self.magic, self.starts = magic, starts
        start = PAGE + aout.HEADER_SIZE if magic is Magic.QMAGIC else 0
        self.text = starts.get(".text", start if base is None else base)
        self._order: dict[int, int] = {} if fixups is None else {id(fixups): _FIXUPS}
        for number, vector in enumerate(vectors.values()):
            for section, place in vector.ordered():
                self._order[id(section)] = place + 16 * number

    def place(self, section: InputSection) -> Placement | None:
        if not section.flags & SHF_ALLOC or section.name.startswith(INDIRECT):
            return None
        order = self._order.get(id(section))
        if order is not None:
            return Placement(".data", order)
        if section.type == SHT_NOBITS:
            return Placement(".bss")
        return Placement(".data") if section.flags & SHF_WRITE else Placement(".text")

    def assign(self, sections: list[OutputSection], machine: Machine) -> Layout:
        by_name = {section.name: section for section in sections}
        for name in (".text", ".data", ".bss"):
            if name not in by_name:
                flags = SHF_ALLOC | (SHF_WRITE if name != ".text" else 0)
                by_name[name] = OutputSection(name, SHT_NOBITS if name == ".bss" else SHT_PROGBITS, flags, 4)
        text, data, bss = by_name[".text"], by_name[".data"], by_name[".bss"]
        text.address, text.offset = self.text, 0
        address = align(text.end, 4 if self.magic is Magic.OMAGIC else PAGE)
        if self.magic is Magic.OMAGIC:
            text.size = address - text.address
        data.address = self.starts.get(".data", address)
        if data.address != address:
            what = f"data at {data.address:#x} is not behind the text, where a.out needs it ({address:#x})"
            raise error("ld", what, remedy="leave out -Tdata")
        data.offset = align(text.offset + text.size, 4)
        data.size = align(data.size, 4)
        bss.address, bss.offset = align(data.end, bss.alignment), data.offset + data.size
        if bss.end > 1 << 32:
            raise error("ld", f".bss ends at {bss.end:#x}, beyond the address space of i386")
        return Layout(machine, text.address, (text, data, bss), (), bss.offset, 0, 0)
