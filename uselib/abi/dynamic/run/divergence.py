"""The first difference between two runs, in the order of execution.

The top-level events of both sides (streams.py) are compared as arrays up to the first that differs; before that point, what went into
the calls and what came out. Every kind of difference gives at most one candidate, with its place in the old run; the earliest wins.

    call       another function or caller, or one side goes on where the other ends     status  one side dies in or after that call
    argument   a word that a parameter holds                                            result  likewise
    memory     what a pointer led to: strings, structures, buffers
    data access, system call, output, file, wrong binding                               see the functions below
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np

from uselib.abi.dynamic.run.bindings import Bound, Library
from uselib.abi.dynamic.run.equivalence import NOTHING, Find, Pointers, Shape, plain_bytes, shape_of
from uselib.abi.dynamic.run.exit_text import end_text
from uselib.abi.dynamic.run.result import Divergence
from uselib.abi.dynamic.run.side import SideRun
from uselib.abi.dynamic.run.streams import Stream
from uselib.emulator.trace.prototypes.decode import Decoder
from uselib.emulator.trace.reading.align import common_prefix
from uselib.emulator.trace.reading.blocks import Array
from uselib.emulator.trace.store.format import EventKind
from uselib.linker.c_types.value_types import Array as ArrayType
from uselib.linker.c_types.value_types import Structure, Type
from uselib.linker.formats.library_names import plain_name
from uselib.linker.image import Image, Machine

AT_END = 1 << 62
CONTEXT = 3  # calls shown before a divergence
_STACK_ROW, _VECTOR_ROW = 64, 65  # payload rows that are no pointer's


@dataclass(frozen=True)
class Candidate:
    """A difference and where it is. place: (sequence number in the old run, rank of the kind)."""

    place: tuple[int, int]
    make: Callable[[], Divergence]


@dataclass
class Sides:
    """Everything that is known of two processes that correspond."""

    old: Stream
    new: Stream
    old_run: SideRun
    new_run: SideRun
    old_library: Library
    new_library: Library
    program: Image
    bound: Bound
    machine: Machine
    find: Find
    pointers: tuple[Pointers, Pointers]
    ignored: Callable[[str], bool]
    main: bool = True  # the process that was started, not a child of it
    limited: bool = False  # a limit ended both: what one side has beyond the other says nothing
    cut: bool = False  # not all events were kept
    ended: tuple[str, str] = ("", "")  # `SIGSEGV`, or empty
    notes: set[str] = field(default_factory=set)

    def name(self, address: int) -> str:
        """What the program means by an address; else the symbol there."""
        name = self.bound.functions.get(address) or (
            self.old_library.slots[address].name if address in self.old_library.slots else ""
        )
        return name or self._names.get(address) or f"{address:#x}"

    def __post_init__(self) -> None:
        self._names: dict[int, str] = {}
        for stream in (self.new, self.old):
            for number in stream.process.functions.values():
                function = stream.trace.functions[number]
                self._names[function.address] = function.name
        self._shapes: dict[int, Shape] = {}
        self._decoders = tuple(Decoder(self.machine, self._namer(stream)) for stream in (self.old, self.new))

    @staticmethod
    def _namer(stream: Stream) -> Callable[[int], str]:
        def name(word: int) -> str:
            place = stream.process.places.place(word) if word > 0xFFFF else None
            return plain_name(place.symbol) if place is not None and not place.offset else ""

        return name

    def shape(self, address: int) -> Shape:
        """What is compared of the function at an address."""
        if address not in self._shapes:
            name = self.name(address)
            if self.ignored(name):
                self._shapes[address] = NOTHING
                self.notes.add(f"{name}: arguments and results not compared (--ignore)")
            else:
                self._shapes[address] = shape_of(self.find(name), self.machine)
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
        """`limit`, or `table+0x8`, as the program means it."""
        place = self.old_library.datum_at(address)
        if place is None:
            return f"{address:#x}"
        name = self.bound.data.get(place.address, place.name)
        return name if address == place.address else f"{name}+{address - place.address:#x}"

    def call_text(self, side: int, row: int) -> str:
        """`add(a=2, b=3)`, or `add() = 5` for a return."""
        stream = self.old if side == 0 else self.new
        address = int(stream.address[row])
        name, prototype = self.name(address), self.find(self.name(address))
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
        """The last calls before a top-level row of the old side, which both sides made."""
        before = [r for r in self.old.top[max(row - 4 * CONTEXT, 0) : row].tolist() if self.old.is_call(r)]
        return tuple(
            f"#{self.old.number(r)} {self.call_text(0, r)}  from {self.caller(self.old, r)}" for r in before[-CONTEXT:]
        )


# -- the events ---------------------------------------------------------------------------------------------------------


def compare_events(sides: Sides) -> list[Candidate]:
    """Candidates from calls, arguments, results and memory of one pair of processes."""
    count = _common(sides)
    found = []
    if count < max(len(sides.old.top), len(sides.new.top)):
        candidate = _flow(sides, count, len(sides.old.top), len(sides.new.top))
        if candidate is not None:
            found.append(candidate)
    found += _values(sides, count)
    found += _memory(sides, count)
    return found


def _rows(stream: Stream, count: int) -> Array | slice:
    """The first `count` top-level rows, as a slice where all rows are top-level: no copy then."""
    return slice(0, count) if len(stream.top) == len(stream) else stream.top[:count]


def _common(sides: Sides) -> int:
    """How many top-level events are the same on both sides: call or return, which function, from where."""
    limit = min(len(sides.old.top), len(sides.new.top))
    a, b = _rows(sides.old, limit), _rows(sides.new, limit)
    other = (sides.old.kind[a] != sides.new.kind[b]) | (sides.old.address[a] != sides.new.address[b])
    other |= (sides.old.caller[a] != sides.new.caller[b]) & (sides.old.kind[a] == EventKind.CALL)
    first_other = int(other.argmax()) if limit else 0
    return first_other if limit and other[first_other] else limit


def _flow(sides: Sides, at: int, old_count: int, new_count: int) -> Candidate | None:
    """The streams part at top-level event `at`."""
    over = [at >= old_count, at >= new_count]
    if (sides.limited or sides.cut) and any(over):
        return None
    dead = [over[0] and sides.ended[0], over[1] and sides.ended[1]]
    kind = "status" if any(dead) else "call"
    old_row = int(sides.old.top[at]) if not over[0] else -1
    new_row = int(sides.new.top[at]) if not over[1] else -1

    def text(side: int, row: int) -> str:
        if row < 0:
            last = f" in {_open_call(sides, side)}" if dead[side] and _open_call(sides, side) else ""
            return f"killed by {dead[side]}{last}" if dead[side] else "makes no further call"
        stream = sides.old if side == 0 else sides.new
        where = sides.caller(stream, row)
        return sides.call_text(side, row) + (f"  from {where}" if where else "")

    def make() -> Divergence:
        message = "one side ends here, the other goes on" if any(over) else "the program calls something else"
        if any(dead):
            message = f"only the {'old' if dead[0] else 'new'} version's run is killed"
        first = old_row if old_row >= 0 else new_row
        stream = sides.old if old_row >= 0 else sides.new
        last = _last_call(sides, at)
        return Divergence(
            kind, message, text(0, old_row), text(1, new_row),
            sides.old.number(old_row) if old_row >= 0 else sides.old.number(len(sides.old) - 1),
            sides.new.number(new_row) if new_row >= 0 else sides.new.number(len(sides.new) - 1),
            sides.caller(stream, first), sides.name(int(stream.address[last if last >= 0 and any(dead) else first])),
            context=sides.context(at),
        )  # fmt: skip

    place = int(sides.old.sequence[old_row]) if old_row >= 0 else AT_END - 1
    return Candidate((place, 0), make)


def _last_call(sides: Sides, at: int) -> int:
    """Row, on the old side, of the latest common call before event `at`."""
    for row in reversed(sides.old.top[:at].tolist()):
        if sides.old.is_call(row):
            return int(row)
    return -1


def _open_call(sides: Sides, side: int) -> str:
    """The top-level call that never came back, of a process that died."""
    stream = sides.old if side == 0 else sides.new
    if not len(stream.top):
        return ""
    last = int(stream.top[-1])
    return sides.call_text(side, last) if stream.is_call(last) else ""


def _values(sides: Sides, count: int) -> list[Candidate]:
    """The first argument and the first result that differ among `count` common events."""
    functions = sides.old.process.functions
    size = max(functions, default=-1) + 2
    used = np.flatnonzero(np.bincount(sides.old.function, minlength=size)).tolist() if count else []
    addresses = {int(f): sides.old.trace.functions[functions[f]].address for f in used if f in functions}
    shapes = {f: sides.shape(address) for f, address in addresses.items()}
    found = []
    for kind, columns in ((EventKind.CALL, range(4)), (EventKind.RETURN, range(1))):
        for column in columns:
            masks, pointers = np.zeros(size, np.uint64), np.zeros(size, bool)
            for f, shape in shapes.items():
                masks[f] = shape.values.get(column, 0) if kind == EventKind.CALL else shape.result
                pointers[f] = column in shape.pointers if kind == EventKind.CALL else shape.result_pointer is not None
            at = _unequal(sides, count, kind, masks, pointers, column)
            found.append((at, "argument" if kind == EventKind.CALL else "result"))
    found.append((_further_words(sides, count), "argument"))
    return [_value_candidate(sides, at, kind) for at, kind in found if at is not None]


def _unequal(sides: Sides, count: int, kind: EventKind, masks: Array, pointers: Array, column: int) -> int | None:
    """The first of the common events whose word `column` differs in a way that counts. masks, pointers: by function."""
    if not masks.any() and not pointers.any():
        return None
    a = _rows(sides.old, count)
    function, kinds = sides.old.function[a], sides.old.kind[a]
    at = np.flatnonzero((pointers | (masks != 0))[function] & (kinds == kind))
    x, y = sides.old.word(sides.old.top, at, column), sides.new.word(sides.new.top, at, column)
    differ = np.flatnonzero(x != y)
    if not len(differ):
        return None
    at, x, y = at[differ], x[differ], y[differ]
    plain = at[((x ^ y) & masks[function[at]]) != 0]
    leads = at[pointers[function[at]]]
    words = dict(zip(at[: 1 << 20].tolist(), zip(x.tolist(), y.tolist(), strict=True), strict=False))
    seen: set[tuple[int, int, int, int]] = set()
    for event in sorted({*_few(plain), *leads.tolist()}):
        old_row, new_row = int(sides.old.top[event]), int(sides.new.top[event])
        if kind == EventKind.RETURN and (sides.old.late(old_row) or sides.new.late(new_row)):
            continue
        if not pointers[sides.old.function[old_row]]:
            return int(event)
        if event not in words:
            break  # a million pointers lie elsewhere, and all lead to the same
        key = *words[event], sides.old.sp(old_row), sides.new.sp(new_row)
        if key in seen:
            continue
        if not sides.pointers[0].same(sides.pointers[1], (key[0], key[2]), (key[1], key[3])):
            return int(event)
        if len(seen) < 1 << 16:
            seen.add(key)
    return None


def _few(events: Array) -> list[int]:
    """The first of them: those behind only matter if all of these are late returns."""
    found: list[int] = events[:4096].tolist()
    return found


def _further_words(sides: Sides, count: int) -> int | None:
    """Likewise for argument words from the fifth on."""
    top = sides.old.top[:count]
    for row in sorted(sides.old.more):
        at = int(np.searchsorted(top, row))
        if at >= len(top) or top[at] != row:
            continue
        new_row = int(sides.new.top[at])
        shape = sides.shape(int(sides.old.address[row]))
        x, y = sides.old.more[row], sides.new.more.get(new_row, ())
        if x == y:
            continue
        sp = sides.old.sp(row), sides.new.sp(new_row)
        for n, (one, other) in enumerate(zip(x, y, strict=False), 4):
            if (one ^ other) & shape.values.get(n, 0):
                return at
            if n in shape.pointers and not sides.pointers[0].same(sides.pointers[1], (one, sp[0]), (other, sp[1])):
                return at
    return None


def _value_candidate(sides: Sides, at: int, kind: str) -> Candidate:
    old_row, new_row = int(sides.old.top[at]), int(sides.new.top[at])

    def make() -> Divergence:
        name = sides.name(int(sides.old.address[old_row]))
        what = "with another argument" if kind == "argument" else "returns another result"
        return Divergence(
            kind, f"{name} is called {what}" if kind == "argument" else f"{name} {what}",
            sides.call_text(0, old_row), sides.call_text(1, new_row),
            sides.old.number(old_row), sides.new.number(new_row), sides.caller(sides.old, old_row), name,
            context=sides.context(at),
        )  # fmt: skip

    return Candidate((int(sides.old.sequence[old_row]), 1), make)


# -- memory -------------------------------------------------------------------------------------------------------------


def _pointed_type(shape: Shape, word: int, back: bool) -> Type | None:
    return shape.result_pointer if back else shape.pointers.get(word)


def _memory(sides: Sides, count: int) -> list[Candidate]:
    """The first string, structure or buffer that differs among the common events."""
    if sides.old.raw_payload() == sides.new.raw_payload() or not count:
        return []
    sequence = sides.old.sequence[sides.old.top[:count]]
    copied = sides.old.payloads()
    rows = np.sort(np.fromiter(copied, np.int64, len(copied)))
    at_all = np.searchsorted(sequence, rows)
    for at, number in zip(at_all.tolist(), rows.tolist(), strict=True):
        if at >= count or sequence[at] != number:
            continue
        old_row, new_row = int(sides.old.top[at]), int(sides.new.top[at])
        if _payload_differs(sides, old_row, new_row):
            return [_memory_candidate(sides, at)]
    return []


def _payload_differs(sides: Sides, old_row: int, new_row: int) -> bool:
    shape = sides.shape(int(sides.old.address[old_row]))
    if not shape.known:
        return False
    a, b = sides.old.payload(old_row), sides.new.payload(new_row)
    back = not sides.old.is_call(old_row)
    for word in a.keys() & b.keys():
        x, y = a[word][0], b[word][0]
        if x == y or word in (_STACK_ROW, _VECTOR_ROW):
            continue
        type_ = _pointed_type(shape, word, back)
        if isinstance(type_, Structure | ArrayType):
            size = min(len(x), len(y))
            mask = plain_bytes(type_, size)
            if any(m and x[n] != y[n] for n, m in enumerate(mask)):
                return True
        elif type_ is not None:
            return True
    return False


def _memory_candidate(sides: Sides, at: int) -> Candidate:
    old_row, new_row = int(sides.old.top[at]), int(sides.new.top[at])
    back = not sides.old.is_call(old_row)

    def make() -> Divergence:
        name = sides.name(int(sides.old.address[old_row]))
        what = "what the result points to differs" if back else "what an argument points to differs"
        return Divergence(
            "memory", f"{name}: {what}", sides.call_text(0, old_row), sides.call_text(1, new_row),
            sides.old.number(old_row), sides.new.number(new_row), sides.caller(sides.old, old_row), name,
            context=sides.context(at),
        )  # fmt: skip

    return Candidate((int(sides.old.sequence[old_row]), 2), make)


# -- effects ------------------------------------------------------------------------------------------------------------


def during(sides: Sides, side: int, sequence: int) -> tuple[int, str]:
    """(number, text) of the top-level call that is open after event `sequence`; (0, "") if there is none."""
    stream = sides.old if side == 0 else sides.new
    at = int(np.searchsorted(stream.top, stream.row_of(sequence), side="right")) - 1
    if at < 0:
        return 0, ""
    row = int(stream.top[at])
    if not stream.is_call(row):
        return stream.number(row), ""
    return stream.number(row), sides.call_text(side, row)


def compare_effects(sides: Sides) -> list[Candidate]:
    """System calls that change the world; what was written counts by its bytes, not by how many calls wrote it."""
    logs = [sides.old_run.effects(sides.old.process.index), sides.new_run.effects(sides.new.process.index)]
    _note_counts(sides, logs[0][0], logs[1][0])
    texts = [[row for row in log[1] if not row[1].startswith("> ")] for log in logs]
    length = min(len(texts[0]), len(texts[1]))
    at = next((n for n in range(length) if texts[0][n][1] != texts[1][n][1]), length)
    if at == len(texts[0]) == len(texts[1]) or (sides.limited and at == length):
        return []
    rows = [text[at] if at < len(text) else None for text in texts]

    def make() -> Divergence:
        calls = [during(sides, side, row[0]) if row is not None else (0, "") for side, row in enumerate(rows)]
        shown = [
            "no further such call" if row is None else row[1] + (f"  in {calls[side][1]}" if calls[side][1] else "")
            for side, row in enumerate(rows)
        ]
        return Divergence(
            "system call", "another change to files or processes", shown[0], shown[1], calls[0][0], calls[1][0],
            function=_function_of(calls[0][1] or calls[1][1]),
        )  # fmt: skip

    place = rows[0][0] if rows[0] is not None else AT_END - 1
    return [Candidate((place, 4), make)]


def _function_of(text: str) -> str:
    return text.partition("(")[0]


def _note_counts(sides: Sides, old: dict[str, int], new: dict[str, int]) -> None:
    if sides.limited:
        return
    rows = [f"{name} {old.get(name, 0)} / {new.get(name, 0)}" for name in sorted(old.keys() | new.keys())
            if old.get(name, 0) != new.get(name, 0)]  # fmt: skip
    if rows:
        sides.notes.add(f"system calls in other numbers (old / new): {', '.join(rows)}")


def compare_output(sides: Sides, number: int, old: bytes, new: bytes) -> list[Candidate]:
    """number: 1 stdout, 2 stderr."""
    if old == new:
        return []
    at = common_prefix(np.frombuffer(old, np.uint8), np.frombuffer(new, np.uint8))
    if sides.limited and at == min(len(old), len(new)):
        return []
    places = [
        _writer(run, stream, number, at) for run, stream in ((sides.old_run, sides.old), (sides.new_run, sides.new))
    ]

    def make() -> Divergence:
        calls = [during(sides, side, place) if place is not None else (0, "") for side, place in enumerate(places)]
        line = old.count(b"\n", 0, at) + 1
        name = "stdout" if number == 1 else "stderr"
        function = _function_of(calls[0][1] or calls[1][1])
        return Divergence(
            "output", f"{name} differs at byte {at}, line {line}", _line(old, at), _line(new, at), calls[0][0], calls[1][0],
            function=function,
        )  # fmt: skip

    return [Candidate((places[0] if places[0] is not None else AT_END, 5), make)]


def _writer(run: SideRun, stream: Stream, number: int, at: int) -> int | None:
    """Sequence number of the latest event before byte `at` was written."""
    done = 0
    for sequence, text in run.effects(stream.process.index)[1]:
        fields = text.split()
        if fields[0] != ">" or len(fields) < 3 or int(fields[1]) != number:
            continue
        done += int(fields[2])
        if done > at:
            return int(sequence)
    return None


def _line(data: bytes, at: int) -> str:
    """The line that byte `at` is in, as text."""
    start = data.rfind(b"\n", 0, at) + 1
    end = data.find(b"\n", at)
    text = data[start : end if end >= 0 else len(data)]
    if at >= len(data) and not text:
        return "(ends here)"
    return repr(text[:200].decode("utf-8", "backslashreplace"))


def compare_files(sides: Sides) -> list[Candidate]:
    """Files that only one side wrote, or that have other contents at the end."""
    old, new = sides.old_run.files, sides.new_run.files
    if sides.limited:
        return []
    for path in sorted(old.keys() | new.keys()):
        a, b = old.get(path), new.get(path)
        if a != b:
            found = Divergence("file", f"{path} differs", _file_text(a), _file_text(b))
            return [Candidate((AT_END, 6), partial(replace, found))]
    return []


def _file_text(value: str | None) -> str:
    if value is None:
        return "not written"
    return value if value.startswith(("removed", "link", "special")) else f"written, SHA-256 {value[:16]}..."


def compare_status(sides: Sides) -> list[Candidate]:
    """Exit status and signal of the process that was started."""
    a, b = sides.old_run.end, sides.new_run.end
    if (a.status, a.signal) == (b.status, b.signal) or sides.limited:
        return []
    divergence = Divergence("status", "the program ends in another way", end_text(a.status, a.signal, a.reason),
                            end_text(b.status, b.signal, b.reason))  # fmt: skip
    return [Candidate((AT_END, 7), lambda: divergence)]


def first(candidates: Iterable[Candidate]) -> Divergence | None:
    """The earliest candidate."""
    found = min(candidates, key=lambda candidate: candidate.place, default=None)
    return found.make() if found is not None else None
