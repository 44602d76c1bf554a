"""The OutputKind of target libraries (link.py).

A target library is an ordinary link (link.py) with four things of its own, given as an `OutputKind`:

- before anything else, what cannot be in a library is refused, and the exports are chosen (exports.py) and matched with those
  of the release before (evolution.py);
- linker-made sections: notes, bootstrap, jump table, interposition thunks and pointers, the trap of retired functions,
  the history that the next release will ask for (history.py);
- a layout policy (shlib_layout.py) and a symbol policy (exports.LibrarySymbols);
- symbol table rows: `f` at its slot, `f$impl` at the function itself.

The stub library is made from the finished link (shlib_stub.py), since it records final addresses and the digest.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial

from uselib.linker.errors import Diagnostic, Diagnostics, error
from uselib.linker.formats import elf, notes
from uselib.linker.formats.elf import (
    SHF_ALLOC,
    SHF_EXECINSTR,
    SHF_MERGE,
    SHF_STRINGS,
    SHF_WRITE,
    SHT_NOTE,
    SHT_PROGBITS,
)
from uselib.linker.formats.library_names import IMPLEMENTATION_SUFFIX, POINTER_SUFFIX, THUNK_SUFFIX
from uselib.linker.image import READ, Export, ExportKind, Identity, LibraryHeader, Machine, Segment
from uselib.linker.library import (
    bootstrap,
    digest,
    jump_table,
    registry,
    stub,
)
from uselib.linker.library import (
    retired_trap as retired,
)
from uselib.linker.library import (
    stub_from_link as shlib_stub,
)
from uselib.linker.library.exports import Exports, LibrarySymbols, choose, is_function, place_of, refuse
from uselib.linker.library.interpose import THUNK_SIZE, thunk
from uselib.linker.library.layout import BOOTSTRAP, JUMP_TABLE, THUNKS, LibraryLayout, Placed
from uselib.linker.library.releases import history
from uselib.linker.library.releases.apply import Promises
from uselib.linker.library.releases.arrangement import EXPORTED
from uselib.linker.library.releases.history import History, SlotState
from uselib.linker.library.releases.rules import Room
from uselib.linker.library.request import Plan
from uselib.linker.link import OutputKind
from uselib.linker.options import Options
from uselib.linker.passes.inputs import UNDEFINED, InputSection, InputStub, ObjectFile, Symbol
from uselib.linker.passes.layout import Layout
from uselib.linker.passes.relocations import Applying, Needs
from uselib.linker.passes.resolve import Resolution, define
from uselib.linker.passes.writer import OutputSymbol

# The program's initialisers are not the library's: start-up runs a library's own ones from its header (LibraryHeader).
# A C library's start-up code that refers to these finds an empty array.
_PROGRAM_ARRAYS = tuple(f"__{kind}_array_{end}" for kind in ("preinit", "init", "fini") for end in ("start", "end"))


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
        self.dependencies: tuple[tuple[InputStub, Identity], ...] = ()
        self.warnings: list[Diagnostic] = []
        self.exported: dict[str, Export] = {}
        self.header: LibraryHeader | None = None
        self.interpositions: _Pointers = _Pointers((), ())
        self.history: History | None = None
        self._exports = Exports()
        self.promises = Promises(plan, Machine.X86_64)
        self._arrays: list[Symbol] = []
        self._unfilled: dict[Symbol, int] = {}  # slots
        self._reserved: dict[
            Symbol, tuple[int, int]
        ] = {}  # places that hold nothing any more: offset in .exported, bytes
        self._made: dict[str, InputSection] = {}
        self._policy: LibraryLayout | None = None
        self._thunks: dict[str, int] = {}
        self._machine = Machine.X86_64
        self._needs_data = False
        self._routines = (0, 0)  # addresses: where the bootstrap goes on, where the kernel enters an interpreter

    # -- before the link's passes --------------------------------------------------------------------------------------

    def prepare(self, resolution: Resolution, options: Options) -> list[InputSection]:
        plan = self._plan
        self._machine = resolution.machine
        inputs = frozenset(plan.own_inputs)
        self.own = [f for f in resolution.files if f.stub is None and _is_of(f.where, inputs)]
        if not self.own:
            raise error("mkshlib", "the inputs hold no objects")
        refuse(resolution.files)
        if plan.previous is not None and plan.previous.history.machine is not self._machine:
            known = plan.previous.history.machine.label
            raise error(plan.previous.where, f"is for {known}, and the objects are for {self._machine.label}")
        functions, data = choose(resolution.symbols.values(), frozenset(map(id, self.own)), plan.spec)
        self.interpositions = self._pointers(resolution, functions)
        self.promises = Promises(plan, self._machine)
        self._exports = Exports(functions, data, self.promises.settle(functions, data, self._pointer_names()))
        for number, name in self._exports.unfilled():  # a local symbol, so that whoever lands there finds a name
            self._unfilled[self._local(resolution, name)] = number
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

    @staticmethod
    def _local(resolution: Resolution, name: str) -> Symbol:
        """A symbol of our own; several may have one name, so the key in the table is made unique."""
        symbol, key = Symbol(name), name
        while key in resolution.symbols:
            key += "$"
        resolution.symbols[key] = symbol
        define(symbol, None, 0)
        return symbol

    def _pointer_names(self) -> frozenset[str]:
        """Places that uselib_interpose triples hold: our own pointers, and variables of the library."""
        made = {name + POINTER_SUFFIX for name in self.interpositions.made}
        return frozenset(made | {pointer.name for _, pointer, _ in self.interpositions.declared})

    def _pointers(self, resolution: Resolution, functions: Mapping[str, Symbol]) -> _Pointers:
        """Sorts out #interposable, --interposable and #init. Raises LinkError for names that cannot be interposed."""
        problems = Diagnostics()
        spec = self._plan.spec
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
        pointers = self.interpositions.made
        cells = {
            f: InputSection(None, 0, f + POINTER_SUFFIX, SHT_PROGBITS, SHF_ALLOC | SHF_WRITE, word, word)
            for f in pointers
        }
        for function, cell in cells.items():
            made[cell.name] = cell
            cell.build = partial(self._build_pointer, function)
        fillers = self.promises.arrange([pointer for _, pointer, _ in self.interpositions.declared], cells)
        for name, offset, size in self.promises.reserved():
            self._reserved[self._local(resolution, name)] = offset, size
        self._needs_data = (
            bool(self.promises.arrangement.size or needs.uses_got or needs.got)
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
        add(BOOTSTRAP, SHT_PROGBITS, code, len(self._bootstrap(None)), 16).build = self._bootstrap
        if count:
            add(JUMP_TABLE, SHT_PROGBITS, code, count * jump_table.SLOT_SIZE, 8).build = self._build_table
        if pointers:
            add(THUNKS, SHT_PROGBITS, code, len(pointers) * THUNK_SIZE, 8).build = self._build_thunks
        if self._retired_slots():
            size = len(self._build_trap(None))
            add(retired.SECTION, SHT_PROGBITS, code, size, 16).build = self._build_trap
            symbol = self._local(resolution, retired.SYMBOL)
            define(symbol, made[retired.SECTION], 0, size)
            symbol.type = elf.STT_FUNC
        # no address changes the length of a history, so it too can be measured before it is known
        add(history.SECTION, SHT_PROGBITS, 0, self.promises.size(), 1).build = lambda run: self._history_text()
        return [*made.values(), *fillers]

    def _retired_slots(self) -> list[history.SlotRecord]:
        return [record for record in self._exports.records if record.state is SlotState.RETIRED]

    def layout(self, options: Options, resolution: Resolution) -> LibraryLayout:
        plan = self._plan
        self._policy = LibraryLayout(
            self._base, plan.data_address, plan.gap, plan.scheme,
            {id(section): order for order, section in enumerate(self.promises.arrangement.sections)},
            not plan.strip_debug, plan.file_name,
        )  # fmt: skip
        old = plan.step.old
        if old is not None and plan.step.ground is not None:
            self._policy.promised_table = old.table - old.base if old.slots else 0
            self._policy.promised_data = old.data - old.base if old.data_size else 0
            self._policy.before = str(old.releases[0])
            self._policy.may_move = plan.step.major
        return self._policy

    def laid_out(self, resolution: Resolution, layout: Layout) -> None:
        assert self._policy is not None and self._policy.placed is not None
        placed = self._policy.placed
        for symbol in self._arrays:
            symbol.value = symbol.address = placed.base
        thunks = self._made.get(THUNKS)
        if thunks is not None:
            self._thunks = {n: thunks.address + i * THUNK_SIZE for i, n in enumerate(self.interpositions.made)}
        self._routines = (
            self._routine(resolution, self._plan.bootstrap),
            self._routine(resolution, self._plan.interpreter),
        )
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
        exported = layout.find(EXPORTED)
        self.history = self.promises.record(placed.base, self._table, exported.address if exported is not None else 0)

    def _routine(self, resolution: Resolution, name: str) -> int:
        """Address of the library's own function `name`, 0 for the empty name. Raises LinkError."""
        if not name:
            return 0
        symbol = resolution.symbols.get(name)
        ours = symbol is not None and symbol.file is not None and symbol.file.stub is None
        if symbol is None or not ours or symbol.section is None or not is_function(symbol):
            raise error("mkshlib", "is not a function of this library", symbol=name,
                        remedy="name one with --bootstrap or --interpreter, or leave the option out")  # fmt: skip
        return symbol.address

    def _bootstrap(self, run: Applying | None) -> bytes:
        mapper = bootstrap.code(self._machine)
        if not self._plan.bootstrap:
            return mapper
        return mapper + bootstrap.continued(
            self._machine, self._routines[0] - self._made[BOOTSTRAP].address if run else 0
        )

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
            continuation=self._routines[0] and self._made[BOOTSTRAP].address + len(bootstrap.code(self._machine)),
        )

    def _notes(self, header: LibraryHeader) -> bytes:
        needs = b"".join(notes.encode_needs(who, self._machine) for _, who in self.dependencies)
        return notes.encode_library(header) + needs

    def _final_notes(self) -> bytes:
        assert self.header is not None
        return self._notes(self.header)

    def _history_text(self) -> bytes:
        assert self.history is not None
        return history.encode(self.history)

    def _build_table(self, run: Applying) -> bytes:
        targets: list[int | None] = [None] * self._exports.slot_count
        for record in self._exports.records:
            if record.state is SlotState.FUNCTION:
                name = record.name
                targets[record.number - 1] = self._thunks.get(name, self._exports.functions[name].address)
        gone = self._retired_slots()
        trap = self._made[retired.SECTION].address if gone else 0
        return jump_table.encode(self._table, targets, {record.number: trap for record in gone})

    def _build_thunks(self, run: Applying) -> bytes:
        return b"".join(
            thunk(self._machine, address, self._made[name + POINTER_SUFFIX].address)
            for name, address in self._thunks.items()
        )

    def _build_pointer(self, function: str, run: Applying) -> bytes:
        return self._exports.functions[function].address.to_bytes(self._machine.word, "little")

    def _build_trap(self, run: Applying | None) -> bytes:
        def address(number: int) -> int:
            return self._table + (number - 1) * jump_table.SLOT_SIZE

        base = self.header.identity.base if self.header is not None else 0
        return retired.section(
            self._machine,
            base,
            [(address(r.number), retired.text(self._plan.file_name, r.name, r.since)) for r in self._retired_slots()],
        )

    # -- the rest of the file --------------------------------------------------------------------------------------------

    def rows(self, symbol: Symbol) -> Iterable[OutputSymbol] | None:
        if symbol.rank == UNDEFINED:
            return []
        if symbol in self._unfilled:
            at = self._table + (self._unfilled[symbol] - 1) * jump_table.SLOT_SIZE
            return [
                OutputSymbol(symbol.name, elf.STT_FUNC, 0, self._output_index(JUMP_TABLE), at, jump_table.SLOT_SIZE)
            ]
        if symbol in self._reserved:
            return [self._reserved_row(symbol.name, *self._reserved[symbol])]
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
            return [OutputSymbol(symbol.name, symbol.type, 0, index, symbol.address, symbol.size)]  # STB_LOCAL
        binding = (elf.STB_WEAK if symbol.binding == elf.STB_WEAK else elf.STB_GLOBAL) << 4
        others = [alias.old for alias in self.promises.names.aliases if alias.new == export.name]
        if export.kind is ExportKind.DATA:
            info = binding | (symbol.type or elf.STT_OBJECT)
            return [OutputSymbol(name, info, 0, index, export.address, export.size) for name in (export.name, *others)]
        rows = self._function_rows(export, binding, index)
        for name in others:  # an old name that is still offered: slot and implementation are the new one's
            rows += [rows[0]._replace(name=name), rows[1]._replace(name=name + IMPLEMENTATION_SUFFIX)]
        return rows

    def _reserved_row(self, name: str, offset: int, size: int) -> OutputSymbol:
        output = self.promises.arrangement.sections[0].output
        assert output is not None
        return OutputSymbol(name, elf.STT_OBJECT, 0, output.index, output.address + offset, size)

    def _function_rows(self, export: Export, binding: int, index: int) -> list[OutputSymbol]:
        function = elf.STT_FUNC
        table = self._output_index(JUMP_TABLE)
        rows: list[OutputSymbol] = [
            OutputSymbol(export.name, binding | function, 0, table, export.address, jump_table.SLOT_SIZE),
            OutputSymbol(export.name + IMPLEMENTATION_SUFFIX, function, 0, index, export.implementation, export.size),
        ]
        if export.name in self._thunks:
            cell = self._made[export.name + POINTER_SUFFIX]
            rows += [
                OutputSymbol(
                    export.name + THUNK_SUFFIX,
                    function,
                    0,
                    self._output_index(THUNKS),
                    self._thunks[export.name],
                    THUNK_SIZE,
                ),
                OutputSymbol(
                    export.name + POINTER_SUFFIX,
                    elf.STT_OBJECT,
                    0,
                    self._output_index(cell.name),
                    cell.address,
                    self._machine.word,
                ),
            ]
        return rows

    def _output_index(self, name: str) -> int:
        output = self._made[name].output
        return output.index if output is not None else 0

    def entry(self, resolution: Resolution, layout: Layout, options: Options) -> int:
        return self._routines[1] or self._made[BOOTSTRAP].address

    def finish(self, image: bytearray, layout: Layout) -> None:
        """Initial values of data that moved go to their old places too; then the digest of the file, its own field zero."""
        assert self.header is not None and self.history is not None
        for source, to, size in self.promises.copies(self.history):
            at = source - layout.base
            image[to - layout.base : to - layout.base + size] = image[at : at + size]
        note = next(notes.notes(self._notes(self.header), "mkshlib"))
        at = self._made[notes.SECTION].address - layout.base + note.offset + notes.DIGEST_OFFSET
        value = digest.digest_at(image, at)
        image[at : at + len(value)] = value
        self.header = replace(self.header, identity=replace(self.header.identity, digest=value))

    def room(self) -> Room:
        """What later releases may still use."""
        assert self._policy is not None and self._policy.placed is not None
        placed = self._policy.placed
        promised = self.promises.arrangement.size
        return Room(placed.data_address - placed.text_end if promised else None, placed.data_address, placed.end, None,
                    jump_table.LARGEST - self._exports.slot_count)  # fmt: skip

    def stub_library(self) -> stub.StubLibrary:
        """The stub, once the link is finished."""
        assert self.header is not None
        pointers = {name: self._made[name + POINTER_SUFFIX].address for name in self.interpositions.made}
        old_names = {alias.old: alias.new for alias in self.promises.names.aliases}
        return stub.StubLibrary(
            self._machine,
            self.header.identity,
            self.header.dependencies,
            shlib_stub.with_old_names(shlib_stub.members(self.own, self.exported), old_names),
            shlib_stub.interpositions(pointers, self.interpositions.declared, self.exported),
            self._history_text(),
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
