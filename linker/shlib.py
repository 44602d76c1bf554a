"""mkshlib: a target library and its stub library from objects.

The target library is an ordinary link (link.py) with four things of its own, given as an `OutputKind`:

- before anything else, what cannot be in a library is refused, and the exports are chosen (exports.py);
- linker-made sections: notes, bootstrap, jump table, interposition thunks and pointers;
- a layout policy (shlib_layout.py) and a symbol policy (exports.LibrarySymbols);
- symbol table rows: `f` at its slot, `f$impl` at the function itself.

The stub library is made from the finished link (shlib_stub.py), since it records final addresses and the digest.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from linker import bootstrap, digest, jump_table, registry, shlib_stub, stub
from linker.errors import Diagnostic, Diagnostics, LinkError, error
from linker.exports import Exports, LibrarySymbols, choose, exported_sections, is_function, place_of, refuse
from linker.formats import elf, notes
from linker.formats.elf import SHF_ALLOC, SHF_EXECINSTR, SHF_MERGE, SHF_STRINGS, SHF_WRITE, SHT_NOTE, SHT_PROGBITS
from linker.image import READ, Export, ExportKind, Identity, LibraryHeader, Machine, Segment
from linker.inputs import UNDEFINED, InputSection, ObjectFile, StubLibrary, Symbol
from linker.interpose import IMPLEMENTATION_SUFFIX, POINTER_SUFFIX, THUNK_SIZE, THUNK_SUFFIX, thunk
from linker.layout import Layout
from linker.link import LinkJob, OutputKind, link
from linker.options import Options
from linker.relocations import Applying, Needs
from linker.resolve import Resolution, define
from linker.shlib_layout import BOOTSTRAP, JUMP_TABLE, POINTERS, THUNKS, LibraryLayout, Placed
from linker.shlib_output import write
from linker.shlib_plan import Plan, Request, settle
from linker.writer import Row

# The program's initialisers are not the library's: start-up runs a library's own ones from its header (LibraryHeader).
# A C library's start-up code that refers to these finds an empty array.
_PROGRAM_ARRAYS = tuple(f"__{kind}_array_{end}" for kind in ("preinit", "init", "fini") for end in ("start", "end"))


@dataclass(frozen=True)
class Product:
    """A library made: the target's bytes, its header and exports, its stub, and the warnings."""

    target: bytes
    header: LibraryHeader
    exports: tuple[Export, ...]
    stub: stub.StubLibrary
    map: str
    warnings: tuple[str, ...]

    @property
    def function_count(self) -> int:
        return sum(export.kind is ExportKind.FUNCTION for export in self.exports)

    @property
    def member_count(self) -> int:
        return len(self.stub.members)


@dataclass(frozen=True)
class _Pointers:
    """Interposable functions: those with a thunk and pointer of ours, and those with a pointer variable of the library's.

    made: in order of thunks and pointer words. declared: (function, pointer variable, stub member with the triple).
    """

    made: tuple[str, ...]
    declared: tuple[tuple[str, Symbol, str], ...]


class Library(OutputKind):
    """The OutputKind of target libraries; see the module's docstring. One use."""

    def __init__(self, plan: Plan, base: int | registry.Allocator) -> None:
        self._plan = plan
        self._base = base
        self.own: list[ObjectFile] = []
        self.dependencies: tuple[tuple[StubLibrary, Identity], ...] = ()
        self.warnings: list[Diagnostic] = []
        self.exported: dict[str, Export] = {}
        self.header: LibraryHeader | None = None
        self.interpositions: _Pointers = _Pointers((), ())
        self._exports = Exports({}, {}, {}, {}, 0)
        self._arrays: list[Symbol] = []
        self._empty: dict[Symbol, int] = {}
        self._made: dict[str, InputSection] = {}
        self._policy: LibraryLayout | None = None
        self._thunks: dict[str, int] = {}
        self._machine = Machine.X86_64
        self._needs_data = False

    # -- before the link's passes --------------------------------------------------------------------------------------

    def prepare(self, resolution: Resolution, options: Options) -> list[InputSection]:
        plan = self._plan
        self._machine = resolution.machine
        inputs = frozenset(plan.own_inputs)
        self.own = [f for f in resolution.files if f.stub is None and _is_of(f.where, inputs)]
        if not self.own:
            raise error("mkshlib", "the inputs hold no objects")
        refuse(resolution.files)
        self._exports = choose(resolution.symbols.values(), frozenset(map(id, self.own)), plan.spec)
        self._name_empty_slots(resolution)
        self.interpositions = self._pointers(resolution)
        self.dependencies = shlib_stub.dependencies(resolution.stubs, self.own_and_private(resolution))
        for file in resolution.files:
            if file.stub is not None:  # nothing of another library's stub goes into this one
                for section in file.sections:
                    if section is not None:
                        section.live = False
        for name in _PROGRAM_ARRAYS:
            symbol = resolution.symbols.get(name)
            if symbol is not None and symbol.rank == UNDEFINED:
                define(symbol, None, 0)
                self._arrays.append(symbol)
        self._conflicts(resolution)
        return [_comment(text) for text in plan.spec.ident]

    @staticmethod
    def own_and_private(resolution: Resolution) -> list[ObjectFile]:
        """Every file that goes into the library."""
        return [file for file in resolution.files if file.stub is None]

    def _name_empty_slots(self, resolution: Resolution) -> None:
        """Each empty slot gets a local symbol, NAME$empty or slotN$empty: whoever lands there finds a name."""
        for number in range(1, self._exports.slot_count + 1):
            if number not in self._exports.slots:
                name = self._plan.spec.reserved.get(number, f"slot{number}") + jump_table.EMPTY_SUFFIX
                symbol = resolution.symbols[name] = Symbol(name)
                define(symbol, None, 0)
                self._empty[symbol] = number

    def _pointers(self, resolution: Resolution) -> _Pointers:
        """Sorts out #interposable, --interposable and #init. Raises LinkError for names that cannot be interposed."""
        problems = Diagnostics()
        spec, functions = self._plan.spec, self._exports.functions
        made = dict.fromkeys(spec.interposable)
        declared = []
        own = frozenset(map(id, self.own))
        for line in spec.init:
            pointer = resolution.symbols.get(line.pointer)
            if pointer is None or pointer.rank == UNDEFINED or id(pointer.file) not in own:
                made[line.symbol] = None  # no such variable: the pointer is ours
            elif is_function(pointer):
                problems.add(line.where, "is a function, not a pointer to one", symbol=line.pointer)
            else:
                declared.append((line.symbol, pointer, line.member))
        for name in made:
            if name not in functions:
                known = resolution.symbols.get(name)
                why = "is not a function that this library exports"
                if known is not None and known.file is not None and known.file.stub is not None:
                    why += f"; {known.file.stub.file_name} has it"
                problems.add(spec.where, why, symbol=name, remedy="take it off the interposable functions")
        problems.raise_if_any()
        return _Pointers(jump_table.default_order(made), tuple(declared))

    def _conflicts(self, resolution: Resolution) -> None:
        """Names that this library defines although a library that it refers to has them too."""
        used = {id(library) for library, _ in self.dependencies}
        for name, file, library in resolution.conflicts:
            if id(library) in used and name in self._exports.functions.keys() | self._exports.data.keys():
                where = file.where if file is not None else "mkshlib"
                self.warnings.append(
                    Diagnostic(where, f"{library.file_name} defines it too, and goes on using its own", symbol=name,
                               remedy="rename one, or make it interposable there")
                )  # fmt: skip

    # -- sections and layout -------------------------------------------------------------------------------------------

    def sections(self, resolution: Resolution, needs: Needs) -> list[InputSection]:
        made, word = self._made, self._machine.word
        code = SHF_ALLOC | SHF_EXECINSTR
        count = self._exports.slot_count
        pointers = len(self.interpositions.made)
        self._needs_data = (
            bool(pointers or needs.uses_got or needs.got or exported_sections(self._exports))
            or any(s.flags & SHF_WRITE for f in self.own_and_private(resolution) for s in f.sections
                   if s is not None and s.live and s.flags & SHF_ALLOC)
        )  # fmt: skip

        def add(name: str, kind: int, flags: int, size: int, alignment: int) -> InputSection:
            section = made[name] = InputSection(None, 0, name, kind, flags, size, alignment)
            return section

        # the note's size does not depend on addresses: measure it with a header of zeros
        add(notes.SECTION, SHT_NOTE, SHF_ALLOC, len(self._notes(self._blank())), 4).build = lambda run: (
            self._final_notes()
        )
        boot = add(BOOTSTRAP, SHT_PROGBITS, code, len(bootstrap.code(self._machine)), 16)
        boot.content = bootstrap.code(self._machine)
        if count:
            add(JUMP_TABLE, SHT_PROGBITS, code, count * jump_table.SLOT_SIZE, 8).build = self._build_table
        if pointers:
            add(THUNKS, SHT_PROGBITS, code, pointers * THUNK_SIZE, 8).build = self._build_thunks
            cells = add(POINTERS, SHT_PROGBITS, SHF_ALLOC | SHF_WRITE, pointers * word, word)
            cells.build = self._build_pointers
        return list(made.values())

    def layout(self, options: Options, resolution: Resolution) -> LibraryLayout:
        plan = self._plan
        self._policy = LibraryLayout(
            self._base, plan.data_address, plan.gap, plan.scheme, exported_sections(self._exports),
            not plan.strip_debug, plan.file_name,
        )  # fmt: skip
        return self._policy

    def laid_out(self, resolution: Resolution, layout: Layout) -> None:
        assert self._policy is not None and self._policy.placed is not None
        placed = self._policy.placed
        for symbol in self._arrays:
            symbol.value = symbol.address = placed.base
        thunks = self._made.get(THUNKS)
        if thunks is not None:
            self._thunks = {n: thunks.address + i * THUNK_SIZE for i, n in enumerate(self.interpositions.made)}
        hidden = [s for s in resolution.symbols.values() if s.visibility and s.section is not None and is_function(s)]
        self.symbols = LibrarySymbols(self._exports, self._table, self._thunks, hidden)
        self.header = self._header(placed, layout)
        for name in jump_table.default_order(self._exports.functions):
            symbol, number = self._exports.functions[name], self._exports.number_of[name]
            self.exported[name] = Export(
                name, ExportKind.FUNCTION, self.header.slot_address(number), symbol.size, number, symbol.address
            )
        for name, symbol in sorted(self._exports.data.items(), key=lambda item: (item[1].address, item[0])):
            self.exported[name] = Export(name, ExportKind.DATA, symbol.address, symbol.size)
        self._check_room(placed)

    @property
    def _table(self) -> int:
        section = self._made.get(JUMP_TABLE)
        return section.address if section is not None else 0

    def _check_room(self, placed: Placed) -> None:
        """The library must not lie where a library lies that it refers to, and what it exports must lie in it."""
        problems = Diagnostics()
        for symbol in (*self._exports.functions.values(), *self._exports.data.values()):
            if symbol.section is not None and not placed.base <= symbol.address <= placed.base + placed.size:
                problems.add(place_of(symbol), f"lies outside its section, at {symbol.address:#x}", symbol=symbol.name)
        for library, who in self.dependencies:
            if who.base < placed.base + placed.size and placed.base < who.end:
                problems.add(
                    self._plan.file_name,
                    f"at {placed.base:#x}-{placed.base + placed.size - 1:#x} overlaps {who.file_name} at "
                    f"{who.base:#x}-{who.end - 1:#x}, which it refers to ({library.where})",
                    remedy="move one of them with --text",
                )
        problems.raise_if_any()

    # -- contents ------------------------------------------------------------------------------------------------------

    def _blank(self) -> LibraryHeader:
        """A header with all names and counts, and without addresses."""
        plan = self._plan
        segment = Segment(0, 0, 0, 0, READ)
        return LibraryHeader(
            self._machine, Identity(plan.name, plan.version, 0, 0, bytes(32), self._exports.slot_count), 0, 0,
            jump_table.SLOT_SIZE, (0, 0), (0, 0), (segment,) * (2 if self._needs_data else 1),
            tuple(who.file_name for _, who in self.dependencies),
        )  # fmt: skip

    def _header(self, placed: Placed, layout: Layout) -> LibraryHeader:
        def array(name: str) -> tuple[int, int]:
            section = layout.find(name)
            return (section.address, section.size // self._machine.word) if section is not None else (0, 0)

        blank = self._blank()
        return replace(
            blank,
            identity=replace(blank.identity, base=placed.base, size=placed.size),
            bootstrap=self._made[BOOTSTRAP].address,
            jump_table=self._table,
            init_array=array(".init_array"),
            fini_array=array(".fini_array"),
            segments=placed.segments,
        )

    def _notes(self, header: LibraryHeader) -> bytes:
        needs = b"".join(notes.encode_needs(who, self._machine) for _, who in self.dependencies)
        return notes.encode_library(header) + needs

    def _final_notes(self) -> bytes:
        assert self.header is not None
        return self._notes(self.header)

    def _build_table(self, run: Applying) -> bytes:
        targets: list[int | None] = [None] * self._exports.slot_count
        for number, name in self._exports.slots.items():
            targets[number - 1] = self._thunks.get(name, self._exports.functions[name].address)
        return jump_table.encode(self._table, targets)

    def _build_thunks(self, run: Applying) -> bytes:
        cells = self._made[POINTERS].address
        return b"".join(
            thunk(self._machine, address, cells + index * self._machine.word)
            for index, address in enumerate(self._thunks.values())
        )

    def _build_pointers(self, run: Applying) -> bytes:
        word = self._machine.word
        return b"".join(self._exports.functions[n].address.to_bytes(word, "little") for n in self.interpositions.made)

    # -- the rest of the file --------------------------------------------------------------------------------------------

    def rows(self, symbol: Symbol) -> Iterable[Row] | None:
        if symbol.rank == UNDEFINED:
            return []
        if symbol in self._empty:
            at = self._table + (self._empty[symbol] - 1) * jump_table.SLOT_SIZE
            return [(symbol.name, elf.STT_FUNC, 0, self._output_index(JUMP_TABLE), at, jump_table.SLOT_SIZE)]
        section = symbol.section
        if section is not None and (section.output is None or not section.live):
            return []
        index = section.output.index if section is not None and section.output is not None else elf.SHN_ABS
        export = self.exported.get(symbol.name)
        if export is None:
            if self._plan.strip_all or (
                symbol.file is not None and symbol.file.stub is not None and not symbol.referenced
            ):
                return []
            return [(symbol.name, symbol.type, 0, index, symbol.address, symbol.size)]  # STB_LOCAL
        binding = (elf.STB_WEAK if symbol.binding == elf.STB_WEAK else elf.STB_GLOBAL) << 4
        if export.kind is ExportKind.DATA:
            return [(export.name, binding | (symbol.type or elf.STT_OBJECT), 0, index, export.address, export.size)]
        return self._function_rows(export, binding, index)

    def _function_rows(self, export: Export, binding: int, index: int) -> list[Row]:
        function = elf.STT_FUNC
        table = self._output_index(JUMP_TABLE)
        rows: list[Row] = [
            (export.name, binding | function, 0, table, export.address, jump_table.SLOT_SIZE),
            (export.name + IMPLEMENTATION_SUFFIX, function, 0, index, export.implementation, export.size),
        ]
        if export.name in self._thunks:
            number = list(self._thunks).index(export.name)
            cell = self._made[POINTERS].address + number * self._machine.word
            rows += [
                (
                    export.name + THUNK_SUFFIX,
                    function,
                    0,
                    self._output_index(THUNKS),
                    self._thunks[export.name],
                    THUNK_SIZE,
                ),
                (
                    export.name + POINTER_SUFFIX,
                    elf.STT_OBJECT,
                    0,
                    self._output_index(POINTERS),
                    cell,
                    self._machine.word,
                ),
            ]
        return rows

    def _output_index(self, name: str) -> int:
        output = self._made[name].output
        return output.index if output is not None else 0

    def entry(self, resolution: Resolution, layout: Layout, options: Options) -> int:
        return self._made[BOOTSTRAP].address

    def finish(self, image: bytearray, layout: Layout) -> None:
        """Writes the digest of the file, its own field zero."""
        assert self.header is not None
        note = next(notes.notes(self._notes(self.header), "mkshlib"))
        at = self._made[notes.SECTION].address - layout.base + note.offset + notes.DIGEST_OFFSET
        value = digest.digest_at(image, at)
        image[at : at + len(value)] = value
        self.header = replace(self.header, identity=replace(self.header.identity, digest=value))

    def stub_library(self) -> stub.StubLibrary:
        """The stub, once the link is finished."""
        assert self.header is not None
        cells = self._made.get(POINTERS)
        word = self._machine.word
        pointers = {n: cells.address + i * word for i, n in enumerate(self.interpositions.made)} if cells else {}
        return stub.StubLibrary(
            self._machine,
            self.header.identity,
            self.header.dependencies,
            shlib_stub.members(self.own, self.exported),
            shlib_stub.interpositions(pointers, self.interpositions.declared, self.exported),
        )


def _is_of(where: str, inputs: frozenset[str]) -> bool:
    """Whether `where`, FILE or FILE(MEMBER), belongs to one of the input files (either name may hold parentheses)."""
    if where in inputs:
        return True
    at = where.find("(")
    while at >= 0:
        if where[:at] in inputs:
            return True
        at = where.find("(", at + 1)
    return False


def _comment(text: str) -> InputSection:
    """`#ident`: a string of .comment."""
    data = text.encode() + b"\0"
    return InputSection(None, 0, ".comment", SHT_PROGBITS, SHF_MERGE | SHF_STRINGS, len(data), 1, 1, data)


def _map(product_header: LibraryHeader, exports: Sequence[Export], layout: Layout) -> str:
    """What went where, as text: output sections, then slots, then data."""
    lines = [f"{product_header.identity.file_name} at {product_header.identity.base:#x}"]
    lines += [f"{s.address:#012x} {s.size:#10x}  {s.name}" for s in layout.sections if s.flags & SHF_ALLOC]
    for export in exports:
        if export.kind is ExportKind.FUNCTION:
            lines.append(f"{export.address:#012x} {export.slot:>10}  {export.name} -> {export.implementation:#x}")
        else:
            lines.append(f"{export.address:#012x} {export.size:#10x}  {export.name}")
    return "\n".join(lines)


def make(plan: Plan, base: int | registry.Allocator) -> Product:
    """Makes a library in memory. Raises LinkError, FormatError, OSError."""
    kind = Library(plan, base)
    try:
        linked = link(LinkJob(plan.options, kind))
    except LinkError as failure:  # what the linker says of itself, it says here of the library
        raise LinkError(
            *(replace(d, where=plan.file_name) if d.where == "ld" else d for d in failure.diagnostics)
        ) from None
    assert kind.header is not None
    if not kind.exported:
        kind.warnings.append(Diagnostic(plan.file_name, "exports nothing"))
    exports = tuple(kind.exported.values())
    warnings = [*linked.warnings, *kind.warnings]
    return Product(
        bytes(linked.image), kind.header, exports, kind.stub_library(), _map(kind.header, exports, linked.layout),
        tuple(map(str, warnings)),
    )  # fmt: skip


def build(request: Request, directory: str | Path, form: str = "archive") -> Product:
    """mkshlib: makes a library and writes all its files below `directory`. Raises ToolError, OSError.

    form: of the stub library: archive, directory or both. With a registry, the address is taken from it or, for a new
    library, entered in it once the files are there.
    """
    plan = settle(request)
    if not plan.registry:
        assert plan.base is not None
        product = make(plan, plan.base)
        write(product.target, product.stub, directory, form)
        return product
    with registry.locked(plan.registry) as book:
        book.check()
        allocator = registry.Allocator(book, plan.name, plan.version.major, plan.base)
        product = make(plan, allocator)
        write(product.target, product.stub, directory, form)
        if allocator.changed is not None:
            registry.write(allocator.changed)
    return product


__all__ = ["Library", "Product", "Request", "build", "make", "place_of", "settle", "write"]
