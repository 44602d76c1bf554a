"""Arguments and results as numbers that can be compared between two runs.

A word that points into a mapped file counts as symbol and offset (without a symbol: as offset in the file, if both traces have the
same file, and else just as that file), one that points into the stack as its distance from the stack
pointer, a string that was copied as its bytes; so neither a library at another address nor a longer environment makes a difference.
How many words a function has is known from its prototype only; registers beyond that hold whatever was left in them.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from uselib.trace.reading.blocks import Array
from uselib.trace.reading.decoding import Masks
from uselib.trace.reading.events import payload_rows
from uselib.trace.reading.flow_reading import ValueHasher, Vocabulary
from uselib.trace.reading.model import Function, TracedProcess, TraceFile

_FACTOR, _MIX = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xD6E8FEB86659FD93)
_STACK_BELOW, _STACK_ABOVE = np.uint64(1 << 16), np.uint64(1 << 20)
WORDS = 4

# which bits of a function's argument words and result count
Known = Callable[[TracedProcess, Function], Masks]


def _mixed(values: Array) -> Array:
    values = (values ^ (values >> np.uint64(31))) * _MIX
    return np.asarray(values ^ (values >> np.uint64(29)))


class _Symbols:
    """The functions of a process's files as sorted arrays."""

    def __init__(self, process: TracedProcess, words: Vocabulary, same_files: frozenset[str]) -> None:
        rows: list[tuple[int, int, int]] = []
        for file in process.places.files:
            owner = process.libraries.get(file.path, "")
            for start, size, name in file.sorted_rows:
                if file.base <= start < file.end:
                    rows.append((start, size or 1, words.number(f"{owner}!{name}")))
        best = {row[0]: row for row in sorted(rows, key=lambda r: (r[0], -r[1]))}
        rows = [best[start] for start in sorted(best)]
        self.start = np.array([r[0] for r in rows], np.uint64)
        self.size = np.array([r[1] for r in rows], np.uint64)
        self.token = np.array([r[2] for r in rows], np.uint64)
        files = process.places.files
        self.low = np.uint64(files[0].base) if files else np.uint64(0)
        self.high = np.uint64(files[-1].end) if files else np.uint64(0)
        self.files = [
            (f.base, f.end, words.number(f"file {process.libraries.get(f.path) or f.name}"), f.digest in same_files)
            for f in files
        ]

    def normal(self, words: Array) -> Array:
        """Words that lie in a file's range, as (symbol, offset)."""
        out = words.copy()
        for base, end, token, same in self.files:  # data and code without a symbol: offset in the file
            inside = (words >= np.uint64(base)) & (words < np.uint64(end))
            offset = words[inside] - np.uint64(base) if same else np.uint64(0)
            out[inside] = (np.uint64(token) << np.uint64(32)) + offset
        if not len(self.start):
            return np.asarray(_mixed(out))
        at = np.maximum(np.searchsorted(self.start, words, side="right") - 1, 0)
        offset = words - self.start[at]
        named = (words >= self.start[at]) & (offset < self.size[at])
        out[named] = (self.token[at[named]] << np.uint64(32)) + offset[named]
        return np.asarray(_mixed(out))


class Values(ValueHasher):
    """A ValueHasher for one process of one trace."""

    def __init__(
        self, trace: TraceFile, process: TracedProcess, words: Vocabulary, known: Known, same_files: frozenset[str]
    ) -> None:
        """same_files: digests of files that both traces have."""
        self._trace, self._known = trace, known
        self._symbols = _Symbols(process, words, same_files)
        self._process = process
        self._arguments: list[tuple[int, ...]] = []  # masks by function number
        self._results: list[int] = []
        rows = [(sequence, word, hash(data)) for sequence, word, _, data in payload_rows(trace, process)]
        self._payload_sequence = np.array([r[0] for r in rows], np.uint64)
        self._payload_word = np.array([r[1] for r in rows], np.uint8)
        self._payload_hash = np.array([r[2] & (1 << 64) - 1 for r in rows], np.uint64)

    def _masks(self) -> tuple[Array, Array]:
        for function in self._trace.functions[len(self._results) :]:
            words, result = self._known(self._process, function)
            self._arguments.append(words)
            self._results.append(result)
        return np.array(self._arguments or [(0,) * WORDS], np.uint64), np.array(self._results or [0], np.uint64)

    def _normal(self, words: Array, sp: Array) -> Array:
        out = words.copy()
        pointer = (words >= self._symbols.low) & (words < self._symbols.high)
        if pointer.any():
            out[pointer] = self._symbols.normal(words[pointer])
        stack = (words >= sp - _STACK_BELOW) & (words < sp + _STACK_ABOVE) & ~pointer & (sp > _STACK_BELOW)
        out[stack] = _mixed(words[stack] - sp[stack])
        return out

    def arguments(self, process: TracedProcess, functions: Array, records: Array, sequence: Array) -> Array:
        masks = self._masks()[0][functions]
        total = np.zeros(len(records), np.uint64)
        for column in range(WORDS):
            mask = masks[:, column]
            if mask.any():
                word = self._normal(records["words"][:, column] & mask, records["sp"])
                self._with_strings(word, column, sequence)
                word = _mixed(word + np.uint64(column + 1))
                total = np.where(mask != 0, total * _FACTOR + word, total)
        return total

    def _with_strings(self, word: Array, column: int, sequence: Array) -> None:
        if not len(self._payload_sequence) or not len(sequence):
            return
        low, high = np.searchsorted(self._payload_sequence, [sequence[0], sequence[-1] + np.uint64(1)])
        mine = np.arange(low, high)[self._payload_word[low:high] == column]
        at = np.searchsorted(sequence, self._payload_sequence[mine])
        at, mine = at[at < len(sequence)], mine[at < len(sequence)]
        exact = sequence[at] == self._payload_sequence[mine]
        word[at[exact]] = self._payload_hash[mine[exact]]

    def results(self, process: TracedProcess, functions: Array, records: Array) -> Array:
        mask = self._masks()[1][functions]
        value = _mixed(self._normal(records["words"][:, 0] & mask, records["sp"])) | np.uint64(1)  # 0: no return seen
        return np.where(mask != 0, value, np.uint64(0))
