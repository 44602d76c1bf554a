"""The first difference in the calls of two processes: functions, arguments, results, and the memory that these point to.

The top-level events of both processes (streams.py) are compared as arrays up to the first that differs. Before that point arguments, results
and memory of the calls are compared. Every kind of difference gives at most one candidate, with its place in the old run; the earliest wins.

    call       another function or caller, or one side goes on where the other ends     status  one side dies in or after that call
    argument   a word that a parameter holds                                            result  likewise
    memory     what a pointer points to: strings, structures, buffers
"""

from __future__ import annotations

import numpy as np

from uselib.abi.dynamic.run.compared_words import ComparedWords, plain_bytes
from uselib.abi.dynamic.run.process_pair import AT_END, DivergenceCandidate, ProcessPair
from uselib.abi.dynamic.run.result import Divergence
from uselib.abi.dynamic.run.streams import Stream
from uselib.emulator.trace.prototypes.type_views import ArrayView, StructureView, TypeView
from uselib.emulator.trace.store.format import EventKind
from uselib.trace.reading.blocks import Array

_STACK_ROW, _VECTOR_ROW = 64, 65  # payload rows that belong to no pointer


def compare_events(pair: ProcessPair) -> list[DivergenceCandidate]:
    """Candidates from calls, arguments, results and memory of one pair of processes."""
    count = _common(pair)
    found = []
    if count < max(len(pair.old.top), len(pair.new.top)):
        candidate = _flow(pair, count, len(pair.old.top), len(pair.new.top))
        if candidate is not None:
            found.append(candidate)
    found += _values(pair, count)
    found += _memory(pair, count)
    return found


def _rows(stream: Stream, count: int) -> Array | slice:
    """The first `count` top-level rows, as a slice where all rows are top-level: no copy then."""
    return slice(0, count) if len(stream.top) == len(stream) else stream.top[:count]


def _common(pair: ProcessPair) -> int:
    """How many top-level events are the same on both sides: call or return, which function, from where."""
    limit = min(len(pair.old.top), len(pair.new.top))
    a, b = _rows(pair.old, limit), _rows(pair.new, limit)
    other = (pair.old.kind[a] != pair.new.kind[b]) | (pair.old.address[a] != pair.new.address[b])
    other |= (pair.old.caller[a] != pair.new.caller[b]) & (pair.old.kind[a] == EventKind.CALL)
    first_other = int(other.argmax()) if limit else 0
    return first_other if limit and other[first_other] else limit


def _flow(pair: ProcessPair, at: int, old_count: int, new_count: int) -> DivergenceCandidate | None:
    """The candidate for the first event that is not the same on both sides, top-level event `at`."""
    over = [at >= old_count, at >= new_count]
    if (pair.limited or pair.cut) and any(over):
        return None
    dead = [over[0] and pair.ended[0], over[1] and pair.ended[1]]
    kind = "status" if any(dead) else "call"
    old_row = int(pair.old.top[at]) if not over[0] else -1
    new_row = int(pair.new.top[at]) if not over[1] else -1

    def text(side: int, row: int) -> str:
        if row < 0:
            last = f" in {_open_call(pair, side)}" if dead[side] and _open_call(pair, side) else ""
            return f"killed by {dead[side]}{last}" if dead[side] else "makes no further call"
        stream = pair.old if side == 0 else pair.new
        where = pair.caller(stream, row)
        return pair.call_text(side, row) + (f"  from {where}" if where else "")

    def make() -> Divergence:
        message = "one side ends here, the other goes on" if any(over) else "the program calls something else"
        if any(dead):
            message = f"only the {'old' if dead[0] else 'new'} version's run is killed"
        first = old_row if old_row >= 0 else new_row
        stream = pair.old if old_row >= 0 else pair.new
        last = _last_call(pair, at)
        return Divergence(
            kind,
            message,
            text(0, old_row),
            text(1, new_row),
            pair.old.number(old_row if old_row >= 0 else len(pair.old) - 1),
            pair.new.number(new_row if new_row >= 0 else len(pair.new) - 1),
            pair.caller(stream, first),
            pair.name(int(stream.address[last if last >= 0 and any(dead) else first])),
            context=pair.context(at),
        )

    place = int(pair.old.sequence[old_row]) if old_row >= 0 else AT_END - 1
    return DivergenceCandidate((place, 0), make)


def _last_call(pair: ProcessPair, at: int) -> int:
    """Row, on the old side, of the latest common call before event `at`."""
    for row in reversed(pair.old.top[:at].tolist()):
        if pair.old.is_call(row):
            return int(row)
    return -1


def _open_call(pair: ProcessPair, side: int) -> str:
    """The top-level call that had not returned when the process died."""
    stream = pair.old if side == 0 else pair.new
    if not len(stream.top):
        return ""
    last = int(stream.top[-1])
    return pair.call_text(side, last) if stream.is_call(last) else ""


def _values(pair: ProcessPair, count: int) -> list[DivergenceCandidate]:
    """The first argument and the first result that differ among `count` common events."""
    functions = pair.old.process.functions
    size = max(functions, default=-1) + 2
    used = np.flatnonzero(np.bincount(pair.old.function, minlength=size)).tolist() if count else []
    addresses = {int(f): pair.old.trace.functions[functions[f]].address for f in used if f in functions}
    shapes = {f: pair.shape(address) for f, address in addresses.items()}
    found = []
    for kind, columns in ((EventKind.CALL, range(4)), (EventKind.RETURN, range(1))):
        for column in columns:
            masks, pointers = np.zeros(size, np.uint64), np.zeros(size, bool)
            for f, shape in shapes.items():
                masks[f] = shape.values.get(column, 0) if kind == EventKind.CALL else shape.result
                pointers[f] = column in shape.pointers if kind == EventKind.CALL else shape.result_pointer is not None
            at = _unequal(pair, count, kind, masks, pointers, column)
            found.append((at, "argument" if kind == EventKind.CALL else "result"))
    found.append((_further_words(pair, count), "argument"))
    words = {"argument": "{} is called with another argument", "result": "{} returns another result"}
    return [pair.difference(kind, words[kind], at, 1) for at, kind in found if at is not None]


def _unequal(pair: ProcessPair, count: int, kind: EventKind, masks: Array, pointers: Array, column: int) -> int | None:
    """The first of the common events whose word `column` differs, and not only as a pointer to the same object. masks, pointers: by function."""
    if not masks.any() and not pointers.any():
        return None
    a = _rows(pair.old, count)
    function, kinds = pair.old.function[a], pair.old.kind[a]
    at = np.flatnonzero((pointers | (masks != 0))[function] & (kinds == kind))
    x, y = pair.old.word(pair.old.top, at, column), pair.new.word(pair.new.top, at, column)
    differ = np.flatnonzero(x != y)
    if not len(differ):
        return None
    at, x, y = at[differ], x[differ], y[differ]
    plain = at[((x ^ y) & masks[function[at]]) != 0]
    leads = at[pointers[function[at]]]
    words = dict(zip(at[: 1 << 20].tolist(), zip(x.tolist(), y.tolist(), strict=True), strict=False))
    seen: set[tuple[int, int, int, int]] = set()
    for event in sorted({*_few(plain), *leads.tolist()}):
        old_row, new_row = int(pair.old.top[event]), int(pair.new.top[event])
        if kind == EventKind.RETURN and (pair.old.late(old_row) or pair.new.late(new_row)):
            continue
        if not pointers[pair.old.function[old_row]]:
            return int(event)
        if event not in words:
            break  # more than a million pointers differ, and all point to the same objects
        key = *words[event], pair.old.sp(old_row), pair.new.sp(new_row)
        if key in seen:
            continue
        if not pair.pointers[0].same(pair.pointers[1], (key[0], key[2]), (key[1], key[3])):
            return int(event)
        if len(seen) < 1 << 16:
            seen.add(key)
    return None


def _few(events: Array) -> list[int]:
    """The first few. Later ones matter only if all of these are returns that were noticed late."""
    found: list[int] = events[:4096].tolist()
    return found


def _further_words(pair: ProcessPair, count: int) -> int | None:
    """As `_unequal`, for argument words from the fifth on."""
    top = pair.old.top[:count]
    for row in sorted(pair.old.more):
        at = int(np.searchsorted(top, row))
        if at >= len(top) or top[at] != row:
            continue
        new_row = int(pair.new.top[at])
        shape = pair.shape(int(pair.old.address[row]))
        x, y = pair.old.more[row], pair.new.more.get(new_row, ())
        if x == y:
            continue
        sp = pair.old.sp(row), pair.new.sp(new_row)
        for n, (one, other) in enumerate(zip(x, y, strict=False), 4):
            if (one ^ other) & shape.values.get(n, 0):
                return at
            if n in shape.pointers and not pair.pointers[0].same(pair.pointers[1], (one, sp[0]), (other, sp[1])):
                return at
    return None


# -- memory -------------------------------------------------------------------------------------------------------------


def _pointed_type(shape: ComparedWords, word: int, back: bool) -> TypeView | None:
    return shape.result_pointer if back else shape.pointers.get(word)


def _memory(pair: ProcessPair, count: int) -> list[DivergenceCandidate]:
    """The first string, structure or buffer that differs among the common events."""
    if pair.old.raw_payload() == pair.new.raw_payload() or not count:
        return []
    sequence = pair.old.sequence[pair.old.top[:count]]
    copied = pair.old.payloads
    rows = np.sort(np.fromiter(copied, np.int64, len(copied)))
    at_all = np.searchsorted(sequence, rows)
    for at, number in zip(at_all.tolist(), rows.tolist(), strict=True):
        if at >= count or sequence[at] != number:
            continue
        old_row, new_row = int(pair.old.top[at]), int(pair.new.top[at])
        if _payload_differs(pair, old_row, new_row):
            what = "the result points to" if not pair.old.is_call(old_row) else "an argument points to"
            return [pair.difference("memory", f"{{}}: what {what} differs", at, 2)]
    return []


def _payload_differs(pair: ProcessPair, old_row: int, new_row: int) -> bool:
    shape = pair.shape(int(pair.old.address[old_row]))
    if not shape.known:
        return False
    a, b = pair.old.payload(old_row), pair.new.payload(new_row)
    back = not pair.old.is_call(old_row)
    for word in a.keys() & b.keys():
        x, y = a[word][0], b[word][0]
        if x == y or word in (_STACK_ROW, _VECTOR_ROW):
            continue
        type_ = _pointed_type(shape, word, back)
        if isinstance(type_, StructureView | ArrayView):
            size = min(len(x), len(y))
            mask = plain_bytes(type_, size)
            if any(m and x[n] != y[n] for n, m in enumerate(mask)):
                return True
        elif type_ is not None:
            return True
    return False
