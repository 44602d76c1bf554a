"""Symbol bindings of dynamic programs, as they happen, with the system's dynamic linker as it is.

What is bound is read from the words that the dynamic linker writes, and not foretold:

    at start-up and in dlopen   the relocations of an object are read when the dynamic linker is done with them: when it protects the
                                object's RELRO, at the latest when the program is entered; without RELRO as soon as the last word is
                                written
    at the first call           a hook on the first entry of the object's PLT says which word is to be bound; it is read when there is
                                something to write into the trace
    dlsym                       hooks on its entry and where it returns to: arguments and result

How many objects were asked is not visible from outside: the rules of the dynamic linker (loader/libraries/lookup.py) say it. Where they
lead to another address than the word has, the number is left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from uselib.emulator.kernel import table
from uselib.emulator.process.interfaces import Kernel, WatchableMachine
from uselib.emulator.process.kernel_tap import KernelTap
from uselib.emulator.trace.record.backend import Backend
from uselib.emulator.trace.record.filters import Filters
from uselib.emulator.trace.record.known_files import KnownFile
from uselib.emulator.trace.record.loaded_objects import RTLD_GLOBAL, LoadedObjects, TracedObject, refers
from uselib.emulator.trace.record.process_output import ProcessOutput
from uselib.emulator.trace.record.recording_hooks import RecordingHooks
from uselib.emulator.trace.store.bindings import DLSYM, FIRST_CALL, LOAD, TracedBinding, chunk_of
from uselib.emulator.trace.store.format import ChunkKind
from uselib.linker.formats import elf
from uselib.linker.formats.dynamic_object import DynamicRow, RelocatedTo, SymbolicRelocation
from uselib.linker.image import Machine
from uselib.loader.libraries.lookup import Answer, LoadedObject, look_up
from uselib.loader.memory.address_space import AddressSpace, MemoryFault, page_down

_ENDBR = (b"\xf3\x0f\x1e\xfa", b"\xf3\x0f\x1e\xfb")
_PLT_ENTRY = 16  # bytes of it that are looked at
_NAME = 1 << 12


class _FirstCall(NamedTuple):
    """A call through the PLT that is being bound. place: of its word, None: not known; after, thread: see TracedBinding;
    sp: on entry to the PLT."""

    object: TracedObject
    place: int | None
    after: int
    sp: int
    thread: int


class _OpenCall(NamedTuple):
    """A call of dlsym, dlvsym or dlopen that has not returned. words: its arguments; version: it is dlvsym."""

    thread: int
    sp: int
    caller: int
    words: Sequence[int]
    version: bool = False


class BindingRecorder(RecordingHooks):
    """Writes the bindings that the filters let through: --from is about the object that refers, --library about the one found, --symbol about
    the name."""

    def __init__(self, output: ProcessOutput, filters: Filters) -> None:
        self._output, self._filters = output, filters
        self._rows: list[TracedBinding] = []

    # -- RecordingHooks ---------------------------------------------------------------------------------------------------

    def program_started(self, machine: WatchableMachine, space: AddressSpace, backend: Backend) -> None:
        self._machine, self._space, self._backend = machine, space, backend
        self._thread = 0  # the first one, as long as no other has run
        self._word = machine.bits // 8
        self._mask = (1 << machine.bits) - 1
        self._objects = LoadedObjects(space, machine.cpu.sp, self._word)
        self._by_exec = True
        self._plt: dict[int, TracedObject] = {}  # first entry of a PLT -> its object
        self._pushed: dict[
            tuple[int, int], int
        ] = {}  # first entry of a PLT, number that an entry pushes -> place of its word
        self._first_calls: list[_FirstCall] = []
        self._late: set[TracedObject] = set()  # a first call of theirs was not seen to end
        self._hooked: set[int] = set()
        self._symbol_calls: list[_OpenCall] = []
        self._opening: list[_OpenCall] = []
        names = table.names(Machine.I386 if machine.bits == 32 else Machine.X86_64)
        self._protect = next(number for number, name in names.items() if name == "mprotect")

    def wrap_kernel(self, kernel: Kernel) -> Kernel:
        self._by_exec = False
        return KernelTap(kernel, system_call=self._system_call)

    def thread(self, number: int) -> None:
        self._thread = number

    def object_mapped(self, known: KnownFile) -> None:
        one = self._objects.add(known, by_exec=self._by_exec)
        if one is None:
            return
        self._plt = {at: other for at, other in self._plt.items() if other in self._objects.all}
        self._opening = self._still_open(self._opening, self._machine.cpu.sp)
        one.shared |= any(call.words[1] & RTLD_GLOBAL for call in self._opening)
        if one.loaded.program:
            self._hook(known.image.entry + known.bias, self._entered)
        for name, handler in (("dlsym", self._on_dlsym), ("dlvsym", self._on_dlvsym), ("dlopen", self._on_dlopen)):
            address = one.exported(name)
            if address:
                self._hook(address, handler)

    def before_written(self) -> None:
        self._look(final=False)
        self._write()

    def forked(self) -> None:
        self._rows.clear()
        self._thread = 0

    def before_end(self) -> None:
        for one in self._unready():
            self._ready(one)
        self._look(final=True)
        self._write()

    # -- when the dynamic linker is done ----------------------------------------------------------------------------------

    def _hook(self, address: int, handler: object) -> None:
        if address not in self._hooked:
            self._hooked.add(address)
            self._machine.watch_blocks(address, address + 1, handler)  # type: ignore[arg-type]

    def _unready(self) -> list[TracedObject]:
        return [one for one in self._objects.all if not one.relocated]

    def _system_call(self, kernel: Kernel, number: int, arguments: list[int]) -> int:
        for one in self._unready():
            low, high = one.relro
            if page_down(low) < page_down(high):
                if number == self._protect and arguments[0] == page_down(low):
                    self._ready(one)
            elif self._last_is_written(one):
                self._ready(one)
        if self._rows and self._output.live:
            self._write()
        return kernel.system_call(number, arguments)

    def _last_is_written(self, one: TracedObject) -> bool:
        """Of an object without RELRO: the last word that the dynamic linker must change, if there is one."""
        there = one.loaded.object
        for row in reversed(there.relocations):
            if row.use.use is RelocatedTo.ADDRESS and there.symbols[row.symbol].binding == elf.STB_GLOBAL:
                return self._read(row.place + one.loaded.bias, row.use.size) != row.addend
        return False

    def _entered(self, _address: int) -> None:
        """The program begins: what was there from the start is ready."""
        for one in self._unready():
            self._ready(one)

    def _ready(self, one: TracedObject) -> None:
        """Its words are as the dynamic linker leaves them."""
        one.relocated = True
        scope, seen = None, set()
        for row in one.loaded.object.relocations:
            symbol, place = one.loaded.object.symbols[row.symbol], row.place + one.loaded.bias
            if place in seen or not refers(symbol, row):
                continue
            seen.add(place)
            word = self._read(place, row.use.size)
            if row.use.use is RelocatedTo.SLOT and row.slot and word == row.slot + one.loaded.bias & self._mask:
                one.unbound[place] = row
                continue
            scope = self._objects.scope(one) if scope is None else scope
            answer = look_up(symbol, scope, self._objects.rules, row.use.use)
            self._bound(one, symbol, row, word, answer, LOAD, self._backend.sequence, self._thread)
        self._indirect(one)
        self._watch_plt(one)

    def _indirect(self, one: TracedObject) -> None:
        """Exported IFUNCs that the object binds for itself."""
        there, bias = one.loaded.object, one.loaded.bias
        if not there.indirect:
            return
        resolvers = {s.value: s for s in there.symbols if s.defined and s.type == elf.STT_GNU_IFUNC}
        for row in there.indirect:
            symbol = resolvers.get(row.resolver)
            if symbol is not None:
                word = self._read(row.place + bias, self._word)
                kind = "R_X86_64_IRELATIVE" if self._word == 8 else "R_386_IRELATIVE"
                fields = one.path, symbol.label, one.path, word, LOAD, kind, "IFUNC", row.place + bias, 0
                self._add(TracedBinding(self._backend.sequence, self._thread, *fields))

    def _bound(
        self,
        one: TracedObject,
        symbol: DynamicRow,
        row: SymbolicRelocation,
        word: int,
        answer: Answer,
        when: str,
        after: int,
        thread: int,
    ) -> None:
        """A reference is bound: what its word says, and what the rules say of how it was found."""
        place, use, found = row.place + one.loaded.bias, row.use.use, answer.found
        if use in (RelocatedTo.COPY, RelocatedTo.TLS):  # the word does not say where it comes from
            address = 0 if found is None else found.address
            result = "TLS" if use is RelocatedTo.TLS else "copy"
            if use is RelocatedTo.COPY and found is not None and not self._same(place, address, symbol.size):
                answer = Answer(None, 0)
        else:
            address = word - row.addend + (place if use is RelocatedTo.RELATIVE else 0) & self._mask
            result = "IFUNC" if found is not None and found.symbol.type == elf.STT_GNU_IFUNC else ""
        definer, asked = self._definer(answer, address, result)
        name = found.symbol.version if found is not None and not symbol.version else symbol.version
        label = f"{symbol.name}@{name}" if name else symbol.name
        fields = one.path, label, definer, address, when, row.use.name, result, place, asked
        self._add(TracedBinding(after, thread, *fields))

    def _definer(self, answer: Answer, address: int, result: str) -> tuple[str, int | None]:
        """The object that an address was found in, and how many were asked. result: see TracedBinding."""
        found = answer.found
        expected = 0 if found is None else found.address & self._mask
        explained = expected == address or (found is not None and bool(result))
        if explained:
            return ("" if found is None else found.where.path), answer.asked
        there = self._objects.at(address)
        return ("" if there is None else there.path), None

    def _same(self, one: int, other: int, size: int) -> bool:
        try:
            return self._space.read(one, size) == self._space.read(other, size)
        except MemoryFault:
            return False

    def _read(self, address: int, size: int) -> int:
        try:
            return int.from_bytes(self._space.read(address, size), "little")
        except MemoryFault:
            return 0

    # -- first calls ------------------------------------------------------------------------------------------------------

    def _watch_plt(self, one: TracedObject) -> None:
        """A hook on what all entries of its PLT jump to as long as they are not bound."""
        targets: dict[int, int] = {}
        for place, row in one.unbound.items():
            address = row.slot + one.loaded.bias & self._mask
            first, number = self._pushes(address)
            if first:
                self._pushed[first, number] = place
            targets[first or address] = targets.get(first or address, 0) + 1
        for first in targets:
            self._plt[first] = one
            self._hook(first, self._first_call)

    def _pushes(self, address: int) -> tuple[int, int]:
        """An entry of a PLT behind its jump: 68 push number; e9 jmp first entry. (0, 0): it is another kind of entry."""
        try:
            code = self._space.read(address, _PLT_ENTRY)
        except MemoryFault:
            return 0, 0
        at = 4 if code[:4] in _ENDBR else 0
        jump = at + 5 + (code[at + 5] == 0xF2)  # bnd
        if code[at] != 0x68 or code[jump] != 0xE9:
            return 0, 0
        target = address + jump + 5 + int.from_bytes(code[jump + 1 : jump + 5], "little", signed=True)
        return target & self._mask, int.from_bytes(code[at + 1 : at + 5], "little")

    def _first_call(self, address: int) -> None:
        self._look(final=False)
        one = self._plt.get(address)
        if one is None or not one.unbound:
            return
        sp = self._machine.cpu.sp
        place = self._pushed.get((address, self._read(sp, self._word)))
        self._first_calls.append(_FirstCall(one, place, self._backend.sequence, sp, self._thread))

    def _look(self, *, final: bool) -> None:
        """Words that first calls have bound since the last time."""
        if not (self._first_calls or self._late or final):
            return
        sp, left = self._machine.cpu.sp, []
        for call in self._first_calls:
            places = [call.place] if call.place is not None else list(call.object.unbound)
            if not self._bound_now(call.object, places, call.after, call.thread):
                if self._thread == call.thread and sp > call.sp + 2 * self._word:
                    self._late.add(call.object)  # it is over
                else:
                    left.append(call)
        self._first_calls = left
        for one in self._objects.all if final else list(self._late):
            self._bound_now(one, list(one.unbound), self._backend.sequence, self._thread)

    def _bound_now(self, one: TracedObject, places: Iterable[int], after: int, thread: int) -> bool:
        """Whether one of these words is bound, or was before."""
        some = False
        for place in places:
            row = one.unbound.get(place)
            if row is None:
                some = True
                continue
            word = self._read(place, row.use.size)
            if word != row.slot + one.loaded.bias & self._mask:
                del one.unbound[place]
                symbol = one.loaded.object.symbols[row.symbol]
                answer = look_up(symbol, self._objects.scope(one), self._objects.rules, RelocatedTo.SLOT)
                self._bound(one, symbol, row, word, answer, FIRST_CALL, after, thread)
                some = True
        return some

    # -- dlsym, dlopen ----------------------------------------------------------------------------------------------------

    def _arguments(self, count: int) -> tuple[int, int, list[int]]:
        """Stack pointer, return address and arguments of a function that has just been entered."""
        registers = self._machine.cpu.general()
        sp = registers[7]
        caller = self._read(sp, self._word)
        if self._word == 8:
            return sp, caller, [registers[5], registers[4], registers[3]][:count]
        return sp, caller, [self._read(sp + 4 * n, 4) for n in range(1, count + 1)]

    def _on_dlopen(self, _address: int) -> None:
        sp, caller, words = self._arguments(2)
        self._opening = [*self._still_open(self._opening, sp), _OpenCall(self._thread, sp, caller, words)]
        if words[1] & RTLD_GLOBAL and words[0]:
            self._objects.share(self._text(words[0]))

    def _on_dlsym(self, _address: int) -> None:
        self._symbol_call(2)

    def _on_dlvsym(self, _address: int) -> None:
        self._symbol_call(3)

    def _symbol_call(self, count: int) -> None:
        sp, caller, words = self._arguments(count)
        open_calls = self._still_open(self._symbol_calls, sp)
        self._symbol_calls = [*open_calls, _OpenCall(self._thread, sp, caller, words, count == 3)]
        self._hook(caller, self._symbol_returned)

    def _still_open(self, calls: Iterable[_OpenCall], sp: int) -> list[_OpenCall]:
        """Those of other threads, and of this one those whose stack frames are there yet."""
        return [call for call in calls if call.thread != self._thread or call.sp > sp]

    def _symbol_returned(self, address: int) -> None:
        registers = self._machine.cpu.general()
        sp, result = registers[7], registers[0]
        for call in self._symbol_calls:
            if call.thread == self._thread and call.caller == address and call.sp + self._word == sp:
                self._symbol_calls.remove(call)
                self._symbol_found(call, result)
                return

    def _symbol_found(self, call: _OpenCall, result: int) -> None:
        one = self._objects.at(call.caller - 1)
        if one is None:
            return
        handle, name = call.words[0], self._text(call.words[1])
        version = self._text(call.words[2]) if call.version else ""
        asks = DynamicRow(name, version, bool(version), False, elf.STT_NOTYPE, elf.STB_GLOBAL, 0, 0, 0, False, 0)
        answer = look_up(asks, self._handle_scope(one, handle), self._objects.rules, newest=True)
        found = answer.found
        kind = "" if found is None else {elf.STT_GNU_IFUNC: "IFUNC", elf.STT_TLS: "TLS"}.get(found.symbol.type, "")
        definer, asked = self._definer(answer, result, kind if result else "")
        version = version or (found.symbol.version if found is not None else "")
        label = f"{name}@{version}" if version else name
        fields = one.path, label, definer, result, DLSYM, DLSYM, kind, call.caller, asked
        self._add(TracedBinding(self._backend.sequence, self._thread, *fields))

    def _handle_scope(self, one: TracedObject, handle: int) -> list[LoadedObject]:
        if not handle:  # RTLD_DEFAULT
            return self._objects.scope(one)
        if handle == self._mask:  # RTLD_NEXT
            return self._objects.next_scope(one)
        bias = self._read(handle, self._word)  # struct link_map of glibc and struct dso of musl begin with it
        there = next((other for other in self._objects.all if other.loaded.bias == bias), one)
        return self._objects.handle_scope(there)

    def _text(self, address: int) -> str:
        try:
            return self._space.read_string(address, _NAME).decode("utf-8", "backslashreplace")
        except (MemoryFault, OSError):
            return ""

    # -- rows -------------------------------------------------------------------------------------------------------------

    def _add(self, row: TracedBinding) -> None:
        if self._filters.takes_binding(row):
            self._rows.append(row)

    def _write(self) -> None:
        if self._rows:
            self._rows.sort(key=lambda row: row.after)
            self._output.describe(ChunkKind.BINDINGS, chunk_of(self._rows))
            self._rows.clear()
