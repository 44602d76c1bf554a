"""The OutputKind of target libraries (outputs/kind.py).

A target library is an ordinary link with five things of its own:

- first, inputs that a library cannot have are refused, the exports are chosen (exports.py) and matched with those of the release before
(releases/record.py); - linker-made sections: notes, bootstrap, jump table, interposition thunks and pointers, the trap of retired functions,
  the history that the next release will read (releases/history.py);
- a layout policy (layout.py) and a symbol policy (exports.LibrarySymbols);
- rows of the symbol table (symbol_rows.py);
- the digest of the whole file, written last (digest.py).

The stub library is made from the finished link (stub_from_link.py), since it records final addresses and the digest.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

from uselib.linker.errors import Diagnostic, error
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
from uselib.linker.formats.library_names import POINTER_SUFFIX
from uselib.linker.image import Export, ExportKind, Identity, LibraryHeader, Machine
from uselib.linker.library import bootstrap, digest, jump_table, registry, stub, stub_from_link
from uselib.linker.library import retired_trap as retired
from uselib.linker.library.checks import check_range, conflicts, refuse
from uselib.linker.library.exports import Exports, LibrarySymbols, choose, is_function
from uselib.linker.library.header import blank_header, final_header
from uselib.linker.library.interpose import THUNK_SIZE, InterposableFunctions, interposable_functions, thunk
from uselib.linker.library.layout import BOOTSTRAP, JUMP_TABLE, THUNKS, EarlierOffsets, LibraryLayout, Placed
from uselib.linker.library.releases import history
from uselib.linker.library.releases.arrangement import EXPORTED
from uselib.linker.library.releases.history import History, SlotState
from uselib.linker.library.releases.record import ReleaseRecord
from uselib.linker.library.releases.rules import GrowthRoom
from uselib.linker.library.request import LibraryPlan
from uselib.linker.library.symbol_rows import TargetSymbolRows
from uselib.linker.options import Options
from uselib.linker.outputs.kind import OutputKind
from uselib.linker.passes.definitions import define
from uselib.linker.passes.layout import Layout
from uselib.linker.passes.model import UNDEFINED, InputSection, InputStub, ObjectFile, Symbol
from uselib.linker.passes.output_symbols import OutputSymbol
from uselib.linker.passes.relocations import Needs
from uselib.linker.passes.resolution import Resolution
from uselib.linker.quick_dataclass import replace

# A library does not run the program's initialisers: start-up runs the library's own from its header (LibraryHeader). # A C library's start-up
# code that refers to these symbols finds an empty array.
_PROGRAM_ARRAYS = tuple(f"__{kind}_array_{end}" for kind in ("preinit", "init", "fini") for end in ("start", "end"))


class TargetLibrary(OutputKind):
    """The OutputKind of target libraries; see the module's docstring. One use."""

    has_rows = True

    def __init__(self, plan: LibraryPlan, base: int | registry.AddressAllocator) -> None:
        self._plan = plan
        self._base = base
        self.own: list[ObjectFile] = []
        self.dependencies: tuple[tuple[InputStub, Identity], ...] = ()
        self.warnings: list[Diagnostic] = []
        self.exported: dict[str, Export] = {}
        self.header: LibraryHeader | None = None
        self.interpositions = InterposableFunctions()
        self.history: History | None = None
        self._history_bytes = b""
        self._exports = Exports()
        self.record = ReleaseRecord(plan, Machine.X86_64)
        self._arrays: list[Symbol] = []
        self._unfilled: dict[Symbol, int] = {}  # slots
        self._reserved: dict[Symbol, tuple[int, int]] = {}  # places without a datum: offset in .exported, bytes
        self._made: dict[str, InputSection] = {}
        self._policy: LibraryLayout | None = None
        self._thunks: dict[str, int] = {}
        self._machine = Machine.X86_64
        self._has_data = False
        self._routines = (0, 0)  # addresses: the bootstrap's continuation, the entry of an interpreter
        self._rows: TargetSymbolRows | None = None

    # -- before the link's passes --------------------------------------------------------------------------------------

    def prepare(self, resolution: Resolution, options: Options) -> list[InputSection]:
        plan = self._plan
        self._machine = resolution.machine
        self.own = [f for f in resolution.files if f.stub is None and plan.owns(f.where)]
        if not self.own:
            raise error("mkshlib", "the inputs hold no objects")
        refuse(resolution.files)
        if plan.previous is not None and plan.previous.history.machine is not self._machine:
            known = plan.previous.history.machine.label
            raise error(plan.previous.where, f"is for {known}, and the objects are for {self._machine.label}")
        own = frozenset(map(id, self.own))
        functions, data = choose(resolution.symbols.values(), own, plan.spec)
        self.interpositions = interposable_functions(resolution, functions, own, plan.spec)
        self.record = ReleaseRecord(plan, self._machine)
        slots = self.record.match(functions, data, self.interpositions.pointer_names())
        self._exports = Exports(functions, data, slots)
        for number, name in self._exports.unfilled():  # a local symbol, so that reports have a name for the address
            self._unfilled[self._local(resolution, name)] = number
        self.dependencies = stub_from_link.dependencies(resolution.stubs, self.own_and_private(resolution))
        for file in resolution.files:
            if file.stub is not None:  # sections of another library's stub are not linked in
                for section in file.sections:
                    if section is not None:
                        section.live = False
        for name in _PROGRAM_ARRAYS:
            symbol = resolution.symbols.get(name)
            if symbol is not None and symbol.rank == UNDEFINED:
                define(symbol, None, 0)
                self._arrays.append(symbol)
        self.warnings += conflicts(resolution, self._exports, [library for library, _ in self.dependencies])
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
        fillers = self.record.arrange([pointer for _, pointer, _ in self.interpositions.declared], cells)
        for name, offset, size in self.record.reserved_places():
            self._reserved[self._local(resolution, name)] = offset, size
        self._has_data = bool(self.record.arrangement.size or needs.uses_got or needs.got)
        self._has_data |= any(
            s.flags & SHF_WRITE
            for f in self.own_and_private(resolution)
            for s in f.sections
            if s is not None and s.live and s.flags & SHF_ALLOC
        )

        def add(name: str, kind: int, flags: int, size: int, alignment: int) -> InputSection:
            section = made[name] = InputSection(None, 0, name, kind, flags, size, alignment)
            return section

        # the note's size does not depend on addresses: measure it with a header of zeros
        add(notes.SECTION, SHT_NOTE, SHF_ALLOC, len(self._notes(self._blank_header())), 4).build = lambda: (
            self._final_notes()
        )
        add(BOOTSTRAP, SHT_PROGBITS, code, len(self._bootstrap(placed=False)), 16).build = self._bootstrap
        if count:
            add(JUMP_TABLE, SHT_PROGBITS, code, count * jump_table.SLOT_SIZE, 8).build = self._build_table
        if pointers:
            add(THUNKS, SHT_PROGBITS, code, len(pointers) * THUNK_SIZE, 8).build = self._build_thunks
        if self._retired_slots():
            size = len(self._build_trap())
            add(retired.SECTION, SHT_PROGBITS, code, size, 16).build = self._build_trap
            symbol = self._local(resolution, retired.SYMBOL)
            define(symbol, made[retired.SECTION], 0, size)
            symbol.type = elf.STT_FUNC
        # addresses do not change the length of a history, so it too can be measured before they are known
        add(history.SECTION, SHT_PROGBITS, 0, self.record.size(), 1).build = lambda: self._history_text()
        return [*made.values(), *fillers]

    def _retired_slots(self) -> list[history.SlotRecord]:
        return [record for record in self._exports.records if record.state is SlotState.RETIRED]

    def layout(self, options: Options, resolution: Resolution) -> LibraryLayout:
        plan, old = self._plan, self._plan.step.old
        earlier = EarlierOffsets()
        if old is not None and plan.step.inherited is not None:
            earlier = EarlierOffsets(
                table=old.table - old.base if old.slots else 0,
                data=old.data - old.base if old.data_size else 0,
                release=str(old.releases[0]),
                may_move=plan.step.major,
            )
        self._policy = LibraryLayout(
            self._base,
            plan.data_address,
            plan.gap,
            plan.scheme,
            {id(section): order for order, section in enumerate(self.record.arrangement.sections)},
            keep_debug=not plan.strip_debug,
            where=plan.file_name,
            earlier=earlier,
        )
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
        self.header = self._final_header(placed, layout)
        for name in jump_table.default_order(self._exports.functions):
            symbol, number = self._exports.functions[name], self._exports.number_of[name]
            self.exported[name] = Export(
                name, ExportKind.FUNCTION, self.header.slot_address(number), symbol.size, number, symbol.address
            )
        for name, symbol in sorted(self._exports.data.items(), key=lambda item: (item[1].address, item[0])):
            self.exported[name] = Export(name, ExportKind.DATA, symbol.address, symbol.size)
        check_range(self._plan.file_name, placed, self._exports, self.dependencies)
        exported = layout.find(EXPORTED)
        self.history = self.record.record(placed.base, self._table, exported.address if exported is not None else 0)
        self._rows = self._symbol_rows()

    def _symbol_rows(self) -> TargetSymbolRows:
        old_names: dict[str, tuple[str, ...]] = {}
        for alias in self.record.names.aliases:
            old_names[alias.new] = (*old_names.get(alias.new, ()), alias.old)
        sections = self.record.arrangement.sections
        return TargetSymbolRows(
            exports=self.exported,
            old_names=old_names,
            thunks=self._thunks,
            unfilled=self._unfilled,
            reserved=self._reserved,
            exported=sections[0] if sections else None,
            made=self._made,
            table=self._table,
            word=self._machine.word,
            strip_all=self._plan.strip_all,
        )

    def _routine(self, resolution: Resolution, name: str) -> int:
        """Address of the library's own function `name`, 0 for the empty name. Raises LinkError."""
        if not name:
            return 0
        symbol = resolution.symbols.get(name)
        ours = symbol is not None and symbol.file is not None and symbol.file.stub is None
        if symbol is None or not ours or symbol.section is None or not is_function(symbol):
            raise error(
                "mkshlib",
                "is not a function of this library",
                symbol=name,
                remedy="name one with --bootstrap or --interpreter, or leave the option out",
            )
        return symbol.address

    def _bootstrap(self, placed: bool = True) -> bytes:
        mapper = bootstrap.code(self._machine)
        if not self._plan.bootstrap:
            return mapper
        return mapper + bootstrap.continued(
            self._machine, self._routines[0] - self._made[BOOTSTRAP].address if placed else 0
        )

    @property
    def _table(self) -> int:
        section = self._made.get(JUMP_TABLE)
        return section.address if section is not None else 0

    # -- contents ------------------------------------------------------------------------------------------------------

    def _blank_header(self) -> LibraryHeader:
        dependencies = [who for _, who in self.dependencies]
        return blank_header(self._plan, self._machine, self._exports.slot_count, dependencies, self._has_data)

    def _final_header(self, placed: Placed, layout: Layout) -> LibraryHeader:
        start = self._made[BOOTSTRAP].address
        continuation = start + len(bootstrap.code(self._machine)) if self._routines[0] else 0
        return final_header(self._blank_header(), placed, layout, start, self._table, continuation)

    def _notes(self, header: LibraryHeader) -> bytes:
        needs = b"".join(notes.encode_needs(who, self._machine) for _, who in self.dependencies)
        return notes.encode_library(header) + needs

    def _final_notes(self) -> bytes:
        assert self.header is not None
        return self._notes(self.header)

    def _history_text(self) -> bytes:
        assert self.history is not None
        if not self._history_bytes:  # for the library and for its stub
            self._history_bytes = history.encode(self.history)
        return self._history_bytes

    def _build_table(self) -> bytes:
        targets: list[int | None] = [None] * self._exports.slot_count
        for record in self._exports.records:
            if record.state is SlotState.FUNCTION:
                name = record.name
                targets[record.number - 1] = self._thunks.get(name, self._exports.functions[name].address)
        gone = self._retired_slots()
        trap = self._made[retired.SECTION].address if gone else 0
        return jump_table.encode(self._table, targets, {record.number: trap for record in gone})

    def _build_thunks(self) -> bytes:
        return b"".join(
            thunk(self._machine, address, self._made[name + POINTER_SUFFIX].address)
            for name, address in self._thunks.items()
        )

    def _build_pointer(self, function: str) -> bytes:
        return self._exports.functions[function].address.to_bytes(self._machine.word, "little")

    def _build_trap(self) -> bytes:
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
        assert self._rows is not None
        return self._rows.rows(symbol)

    def entry(self, resolution: Resolution, layout: Layout, options: Options) -> int:
        return self._routines[1] or self._made[BOOTSTRAP].address

    def finish(self, image: bytearray, layout: Layout) -> None:
        """Copies initial values of data that moved to their old places too; then stores the digest of the file, computed with its own field
        zero.
        """
        assert self.header is not None and self.history is not None
        for source, to, size in self.record.initial_copies(self.history):
            at = source - layout.base
            image[to - layout.base : to - layout.base + size] = image[at : at + size]
        note = next(notes.notes(self._notes(self.header), "mkshlib"))
        at = self._made[notes.SECTION].address - layout.base + note.offset + notes.DIGEST_OFFSET
        value = digest.digest_at(image, at)
        image[at : at + len(value)] = value
        self.header = replace(self.header, identity=replace(self.header.identity, digest=value))

    def room(self) -> GrowthRoom:
        """The room that later releases may use."""
        assert self._policy is not None and self._policy.placed is not None
        placed = self._policy.placed
        text = placed.data_address - placed.text_end if self.record.arrangement.size else None
        return GrowthRoom(
            text, placed.data_address, placed.end, limit=None, slots=jump_table.LARGEST - self._exports.slot_count
        )

    def stub_library(self) -> stub.StubContents:
        """The stub, once the link is finished."""
        assert self.header is not None
        pointers = {name: self._made[name + POINTER_SUFFIX].address for name in self.interpositions.made}
        old_names = {alias.old: alias.new for alias in self.record.names.aliases}
        return stub.StubContents(
            self._machine,
            self.header.identity,
            self.header.dependencies,
            stub_from_link.with_old_names(stub_from_link.members(self.own, self.exported), old_names),
            stub_from_link.interpositions(pointers, self.interpositions.declared, self.exported),
            self._history_text(),
        )


def _comment(text: str) -> InputSection:
    """`#ident`: a string of .comment."""
    data = text.encode() + b"\0"
    return InputSection(None, 0, ".comment", SHT_PROGBITS, SHF_MERGE | SHF_STRINGS, len(data), 1, 1, data)
