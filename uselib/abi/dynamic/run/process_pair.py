"""Two processes that correspond, one of each run: their events with names and text, and the candidates for the first difference."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from uselib.abi.dynamic.run.compared_words import NOTHING, ComparedWords, compared_words
from uselib.abi.dynamic.run.inputs import RunInputs
from uselib.abi.dynamic.run.pointers import PointerTargets
from uselib.abi.dynamic.run.result import Divergence
from uselib.abi.dynamic.run.side_run import SideRun
from uselib.abi.dynamic.run.streams import Stream
from uselib.emulator.trace.prototypes.decode import CallDecoder
from uselib.linker.formats.library_names import plain_name

AT_END = 1 << 62  # place of a difference that is found only at the end of the run
CONTEXT = 3  # calls shown before a divergence


@dataclass(frozen=True)
class DivergenceCandidate:
    """A difference and where it is. place: (sequence number in the old run, rank of the kind)."""

    place: tuple[int, int]
    make: Callable[[], Divergence]


@dataclass
class ProcessPair:
    """All facts about two processes that correspond.

    ignored: whether arguments and results of a function are not compared. main: the process that was started, not a child of it.
    limited: a limit ended both, so the further events of one side do not count as a difference. cut: not all events were kept. ended: how
    each side died (`SIGSEGV`), or empty. notes: what was not compared, in words.
    """

    inputs: RunInputs
    old: Stream
    new: Stream
    old_run: SideRun
    new_run: SideRun
    pointers: tuple[PointerTargets, PointerTargets]
    ignored: Callable[[str], bool]
    main: bool
    limited: bool
    cut: bool
    ended: tuple[str, str]
    notes: set[str] = field(default_factory=set)

    def name(self, address: int) -> str:
        """The name that the program is bound to at an address; else the symbol there."""
        name = self.inputs.bound.functions.get(address) or (
            self.inputs.old.slots[address].name if address in self.inputs.old.slots else ""
        )
        return name or self._names.get(address) or f"{address:#x}"

    def __post_init__(self) -> None:
        self._names: dict[int, str] = {}
        for stream in (self.new, self.old):
            for number in stream.process.functions.values():
                function = stream.trace.functions[number]
                self._names[function.address] = function.name
        self._shapes: dict[int, ComparedWords] = {}
        self._decoders = tuple(CallDecoder(self.inputs.machine, self._namer(stream)) for stream in (self.old, self.new))

    @staticmethod
    def _namer(stream: Stream) -> Callable[[int], str]:
        def name(word: int) -> str:
            place = stream.process.places.place(word) if word > 0xFFFF else None
            return plain_name(place.symbol) if place is not None and not place.offset else ""

        return name

    def shape(self, address: int) -> ComparedWords:
        """The words that are compared of the function at an address."""
        if address not in self._shapes:
            name = self.name(address)
            if self.ignored(name):
                self._shapes[address] = NOTHING
                self.notes.add(f"{name}: arguments and results not compared (--ignore)")
            else:
                self._shapes[address] = compared_words(self.inputs.find(name), self.inputs.machine)
        return self._shapes[address]

    # -- text ---------------------------------------------------------------------------------------------------------

    def caller(self, stream: Stream, row: int) -> str:
        """`main+0x1c`: the return address of a call."""
        address = int(stream.caller[row])
        if not stream.is_call(row):
            at = stream.row_of(address) if address < 1 << 63 else -1
            if at < 0 or stream.sequence[at] != address:
                return ""
            address = int(stream.caller[at])
        place = stream.process.places.caller(address)
        return str(place) if place is not None and place.symbol else f"{address:#x}"

    @property
    def streams(self) -> tuple[tuple[Stream, SideRun], tuple[Stream, SideRun]]:
        return (self.old, self.old_run), (self.new, self.new_run)

    def place(self, stream: Stream, address: int) -> str:
        """`main+0x1c` of an address in code."""
        place = stream.process.places.place(address)
        return str(place) if place is not None and place.symbol else f"{address:#x}"

    def datum(self, address: int) -> str:
        """`limit`, or `table+0x8`, by the program's bindings."""
        place = self.inputs.old.datum_at(address)
        if place is None:
            return f"{address:#x}"
        name = self.inputs.bound.data.get(place.address, place.name)
        return name if address == place.address else f"{name}+{address - place.address:#x}"

    def call_text(self, side: int, row: int) -> str:
        """`add(a=2, b=3)`, or `add() = 5` for a return."""
        stream = self.old if side == 0 else self.new
        address = int(stream.address[row])
        name, prototype = self.name(address), self.inputs.find(self.name(address))
        payload, words = stream.payload(row), stream.words(row)
        decoder = self._decoders[side]
        if stream.is_call(row):
            arguments = decoder.arguments(prototype, words, payload) if prototype is not None else ["..."]
            return f"{name}({', '.join(arguments)})"
        if prototype is None:
            return f"{name}(...) returns"
        result = decoder.result(prototype, words, payload)
        return f"{name}(...) = {result}" if result else f"{name}(...) returns"

    def context(self, row: int) -> tuple[str, ...]:
        """The last calls before a top-level row of the old side, which both processes made."""
        before = [r for r in self.old.top[max(row - 4 * CONTEXT, 0) : row].tolist() if self.old.is_call(r)]
        return tuple(
            f"#{self.old.number(r)} {self.call_text(0, r)}  from {self.caller(self.old, r)}" for r in before[-CONTEXT:]
        )

    def difference(self, kind: str, message: str, at: int, rank: int) -> DivergenceCandidate:
        """A difference in the arguments or results of top-level event `at`, which both processes have. message: with `{}` for the name of the
        function.
        """
        old_row, new_row = int(self.old.top[at]), int(self.new.top[at])

        def make() -> Divergence:
            name = self.name(int(self.old.address[old_row]))
            return Divergence(
                kind,
                message.format(name),
                self.call_text(0, old_row),
                self.call_text(1, new_row),
                self.old.number(old_row),
                self.new.number(new_row),
                self.caller(self.old, old_row),
                name,
                context=self.context(at),
            )

        return DivergenceCandidate((int(self.old.sequence[old_row]), rank), make)


def first(candidates: Iterable[DivergenceCandidate]) -> Divergence | None:
    """The earliest candidate."""
    found = min(candidates, key=lambda candidate: candidate.place, default=None)
    return found.make() if found is not None else None
