"""The call flow of each thread of a process as arrays: what was called (a token that two traces share) and at which level."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

from uselib.emulator.trace.store.format import EventKind
from uselib.trace.reading.blocks import Array, blocks, function_numbers
from uselib.trace.reading.levels import levels
from uselib.trace.reading.model import TracedProcess, TraceFile
from uselib.trace.reading.progress import Progress
from uselib.trace.reading.threads import by_thread


class Vocabulary:
    """Numbers for names, shared by the two traces."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self._numbers: dict[str, int] = {}

    def number(self, name: str) -> int:
        found = self._numbers.get(name)
        if found is None:
            found = self._numbers[name] = len(self.names)
            self.names.append(name)
        return found


@dataclass
class Flow:
    """The calls of a thread: token, level and sequence number of each; arguments, results: a hash of each call's values as far
    as they are compared (results: 0 where no return was seen). thread: 0 in a process with one thread."""

    process: TracedProcess
    token: Array
    level: Array
    sequence: Array
    arguments: Array
    results: Array
    thread: int = 0

    def __len__(self) -> int:
        return len(self.token)

    def empty(self, thread: int) -> Flow:
        """Of a thread of the same process that made no calls."""
        none = (self.token[:0], self.level[:0], self.sequence[:0], self.arguments[:0], self.results[:0])
        return Flow(self.process, *none, thread)

    @property
    def key(self) -> Array:
        return self.token.astype(np.uint64) << np.uint64(32) | self.level.astype(np.uint64)


class ValueHasher:
    """Turns the values of calls into numbers to compare; see values.py. This one compares none."""

    def arguments(self, process: TracedProcess, functions: Array, records: Array, sequence: Array) -> Array:
        return np.zeros(len(records), np.uint64)

    def results(self, process: TracedProcess, functions: Array, records: Array) -> Array:
        return np.zeros(len(records), np.uint64)


_RELEASE = re.compile(r"^([^!]*\.so\.\d+)(?:\.\d+)+!")
_COLUMNS = {"token": np.uint32, "level": np.uint16, "sequence": np.uint64, "arguments": np.uint64, "results": np.uint64}


class _Growing:
    """The columns of a flow while it is read."""

    def __init__(self) -> None:
        self.count = 0
        self.stack: list[int] = []  # raw depths of the open calls
        self._room = {name: np.zeros(0, kind) for name, kind in _COLUMNS.items()}

    def __getitem__(self, name: str) -> Array:
        return self._room[name][: self.count]

    def flow(self, process: TracedProcess, thread: int) -> Flow:
        token, level, sequence, arguments, results = (room[: self.count] for room in self._room.values())
        return Flow(process, token, level, sequence, arguments, results, thread)

    def add(self, rows: dict[str, Array]) -> None:
        start, self.count = self.count, self.count + len(rows["token"])
        for name, room in self._room.items():
            if len(room) < self.count:
                room = np.concatenate([room[:start], np.zeros(max(self.count, 2 * len(room)) - start, room.dtype)])
                self._room[name] = room
            if name in rows:
                room[start : self.count] = rows[name]


def _without_release(label: str) -> str:
    """`libz.so.1!inflate` of `libz.so.1.3.1!inflate`: two releases with the same name for dynamic linkers have the same functions."""
    return _RELEASE.sub(r"\1!", label, count=1)


class FlowReader:
    """Makes the flows of a trace's processes. words: the tokens, shared with the other trace; by_caller: a call from another function is
    another call."""

    def __init__(self, trace: TraceFile, words: Vocabulary, by_caller: bool = False) -> None:
        self._trace, self._words, self._by_caller = trace, words, by_caller

    def flows(self, process: TracedProcess, values: ValueHasher) -> list[Flow]:
        """A flow for each thread, the process's own first, then by their numbers. Reads the records of the process once."""
        found: dict[int, _Growing] = {process.pid: _Growing()}
        with Progress(f"reading {self._trace.path}", process.record_count) as progress:
            for block in blocks(self._trace, process, progress.step):
                for thread, rows in by_thread(block):
                    growing = found.setdefault(thread, _Growing())
                    self._piece(process, values, growing, block.records[rows], block.sequence[rows])
        several = bool(process.thread_firsts)

        def first(row: tuple[int, _Growing]) -> tuple[bool, int]:
            return row[0] != process.pid, row[0]

        return [growing.flow(process, thread if several else 0) for thread, growing in sorted(found.items(), key=first)]

    def _piece(
        self, process: TracedProcess, values: ValueHasher, growing: _Growing, records: Array, sequence: Array
    ) -> None:
        kind = records["kind"]
        is_call = (kind == EventKind.CALL) | (kind == EventKind.INNER_CALL)
        is_return = (kind == EventKind.RETURN) | (kind == EventKind.INNER_RETURN)
        rows = np.flatnonzero(is_call | is_return)
        found = levels(records["depth"][rows].astype(np.int64), is_call[rows], growing.stack)
        growing.stack = found.stack
        calls, numbers = records[is_call], sequence[is_call]
        functions = function_numbers(self._trace, process, calls["function"])
        growing.add(
            {
                "token": self._tokens(process, functions, calls["caller"]),
                "level": np.minimum(found.level[is_call[rows]], 0xFFFF),
                "sequence": numbers,
                "arguments": values.arguments(process, functions, calls, numbers),
            }
        )
        back = records[is_return]
        if len(back):
            known_calls = growing["sequence"]
            at = np.searchsorted(known_calls, back["caller"])
            known = at < len(known_calls)
            known[known] = known_calls[at[known]] == back["caller"][known]
            back, at = back[known], at[known]
            functions = function_numbers(self._trace, process, back["function"])
            growing["results"][at] = values.results(process, functions, back)

    def _tokens(self, process: TracedProcess, functions: Array, callers: Array) -> Array:
        names = [self._words.number(_without_release(function.label)) for function in self._trace.functions]
        tokens = np.array(names or [0], np.uint32)[functions]
        return _with_callers(process, callers, tokens, self._words) if self._by_caller else tokens


def _with_callers(process: TracedProcess, callers: Array, tokens: Array, words: Vocabulary) -> Array:
    distinct, inverse = np.unique(callers, return_inverse=True)
    names = [place.symbol if (place := process.places.caller(c)) is not None else "?" for c in distinct.tolist()]
    callers_of = np.array([words.number(name) for name in names], np.uint64)[inverse]
    pairs, inverse = np.unique(callers_of << np.uint64(32) | tokens.astype(np.uint64), return_inverse=True)
    numbers = [words.number(f"{words.names[p >> 32]} -> {words.names[p & 0xFFFFFFFF]}") for p in pairs.tolist()]
    return np.array(numbers, np.uint32)[inverse]
