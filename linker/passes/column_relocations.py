"""The two looks at relocations (scan.py, apply.py) for large links: all rows of a batch at once.

`odd_relocations` finds those that the scan must look at one by one. `relocate_all` applies the linear ones that are as they
should be, and gives the others to `apply.relocate`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from uselib.linker.formats.elf import SHF_EXECINSTR
from uselib.linker.passes.apply import CALL, JCC, JMP, relocate
from uselib.linker.passes.columns import LARGE, UNKNOWN, RelocationBatch, batches, global_values, local_values
from uselib.linker.passes.model import InputSection, ObjectFile
from uselib.linker.passes.relocations import Applying, MachineRelocations
from uselib.linker.quick_typing import TYPE_CHECKING

if TYPE_CHECKING:
    from uselib.linker.passes.columns import Array

_TYPES = 256  # relocation types below this have a row in the tables; others are left to the functions for single ones


def odd_relocations(sections: Iterable[InputSection], plain: set[int]) -> Iterator[tuple[InputSection, list[int]]]:
    """The OddRelocations of large links."""
    known = _table(dict.fromkeys(plain, True), bool)
    for batch in batches(sections):
        counts = batch.spread([len(s.file.symbols) if s.file is not None else 0 for s in batch.sections])
        sizes = batch.spread([s.size for s in batch.sections])
        offset = batch.offset
        good = known[np.minimum(batch.type, _TYPES)] & (batch.symbol < counts) & (offset >= 0) & (offset < sizes)
        yield from batch.chosen(~good)


def _table(rows: dict[int, int] | dict[int, bool], kind: type) -> Array:
    """An array by relocation type. Its last row, of zeroes, is for all types that the others do not have."""
    result: Array = np.zeros(_TYPES + 1, kind)
    for index, value in rows.items():
        if index < _TYPES:
            result[index] = value
    return result


class _Kinds:
    """A machine's linear relocations in columns by type."""

    def __init__(self, machine: MachineRelocations) -> None:
        linear = machine.linear
        self.width = _table({kind: row.size for kind, row in linear.items()}, np.int64)  # 0: not linear
        self.s = _table({kind: row.s for kind, row in linear.items()}, np.int64)
        self.p = _table({kind: row.p for kind, row in linear.items()}, np.int64)
        self.g = _table({kind: row.g for kind, row in linear.items()}, np.int64)
        unchecked = {kind: row.low == row.high for kind, row in linear.items()}
        self.low = _table({k: -LARGE * 2 if unchecked[k] else row.low for k, row in linear.items()}, np.int64)
        self.high = _table({k: LARGE * 2 - 1 if unchecked[k] else row.high for k, row in linear.items()}, np.int64)
        self.branch = _table({kind: row.branch for kind, row in linear.items()}, bool)
        self.branch_like = _table(dict.fromkeys(machine.branch_like, True), bool)
        self.none = _table({kind: kind not in linear for kind in machine.none}, bool)
        self.sequence = _table(dict.fromkeys(machine.tls_sequences, True), bool)


class _Values:
    """The values of all symbol indices of all files: one array, and where each file's part begins."""

    def __init__(self, run: Applying, files: Iterable[ObjectFile]) -> None:
        self.start: dict[int, int] = {}
        references: list[Array] = []
        branches: list[Array] = []
        policy, position = run.policy, 0
        for file in files:
            local = local_values(file)
            for (owner, index), address in run.local_overrides.items():
                if owner == id(file):
                    local[index] = address
            self.start[id(file)] = position
            position += len(local) + len(file.globals)
            references += (local, global_values(file, policy.reference))
            if policy.distinguishes_branches:
                branches += (local, global_values(file, policy.branch))
        self.references = (
            np.concatenate([np.array([UNKNOWN]), *references])[1:] if references else np.zeros(0, np.int64)
        )
        self.branches = np.concatenate(branches) if branches else self.references


def relocate_all(run: Applying, places: Sequence[tuple[InputSection, int]]) -> None:
    """The RelocateAll of large links."""
    at = {id(section): place for section, place in places}
    sections = [section for section, _ in places if section.file is not None]
    files = {id(section.file): section.file for section in sections if section.file is not None}
    kinds, values = _Kinds(run.machine), _Values(run, files.values())
    for batch in batches(sections):
        left = _apply(run, batch, [at[id(section)] for section in batch.sections], kinds, values)
        for section, numbers in batch.chosen(left):
            records = section.relocations()
            relocate(run, section, at[id(section)], [(number, records[number]) for number in numbers])


def _apply(run: Applying, batch: RelocationBatch, starts: list[int], kinds: _Kinds, values: _Values) -> Array:
    """Applies what is linear, in its section and in range. Result: which relocations are left."""
    sections, offset, symbol = batch.sections, batch.offset, batch.symbol
    kind = np.minimum(batch.type, _TYPES)
    width = kinds.width[kind]
    sizes = batch.spread([s.size for s in sections])
    files = [s.file for s in sections if s.file is not None]
    counts = batch.spread([len(file.symbols) for file in files])
    good = (width > 0) & (offset >= 0) & (offset + width <= sizes) & (symbol < counts)
    good[1:] &= ~kinds.sequence[kind[:-1]]  # it may be consumed with the sequence before it
    rows = np.flatnonzero(good)
    kind, width, offset = kind[rows], width[rows], offset[rows]
    place = batch.spread(starts)[rows] + offset
    index = batch.spread([values.start[id(file)] for file in files])[rows] + symbol[rows]
    image = np.frombuffer(run.out, np.uint8)
    value = values.references[index]
    if values.branches is not values.references:
        code = batch.spread([bool(s.flags & SHF_EXECINSTR) for s in sections])[rows] != 0
        is_call = code & (kinds.branch[kind] | (kinds.branch_like[kind] & _is_branch(image, place, offset)))
        value = np.where(is_call, values.branches[index], value)
    addend = batch.addend[rows] if batch.addend is not None else _in_place(run.out, place, width)
    fits = (value != UNKNOWN) & (addend > -LARGE) & (addend < LARGE)
    address = batch.spread([s.address for s in sections])[rows] + offset
    result = kinds.s[kind] * np.where(fits, value, 0) + np.where(fits, addend, 0)
    result += kinds.g[kind] * run.got - kinds.p[kind] * address
    fits &= (kinds.low[kind] <= result) & (result <= kinds.high[kind]) & _apart(place, width)
    place, width, result = place[fits], width[fits], result[fits]
    for size in np.unique(width).tolist():
        chosen = width == size
        _fields(run.out, size)[place[chosen]] = result[chosen].astype(f"<i{size}")
    left = ~kinds.none[np.minimum(batch.type, _TYPES)]
    left[rows[fits]] = False
    return left


def _fields(out: bytearray, size: int) -> Array:
    """The output as fields of `size` bytes at every offset."""
    return np.ndarray(len(out) - size + 1, f"<i{size}", out, strides=1)


def _in_place(out: bytearray, place: Array, width: Array) -> Array:
    """The addends in the fields."""
    result = np.zeros(len(place), np.int64)
    for size in np.unique(width).tolist():
        chosen = width == size
        result[chosen] = _fields(out, size)[place[chosen]]
    return result


def _apart(place: Array, width: Array) -> Array:
    """Whether each field overlaps none of the others. Fields that do are left: their order counts."""
    order = np.argsort(place, kind="stable")
    sorted_place = place[order]
    overlaps = sorted_place[1:] < sorted_place[:-1] + width[order][:-1]
    result = np.ones(len(place), bool)
    if overlaps.any():
        result[order[1:][overlaps]] = False
        result[order[:-1][overlaps]] = False
    return result


def _is_branch(image: Array, place: Array, offset: Array) -> Array:
    """`apply.is_branch` for fields at these places of the output, at these offsets of their sections."""
    opcode, before = image[np.maximum(place - 1, 0)], image[np.maximum(place - 2, 0)]
    jcc = (opcode >= JCC.start) & (opcode < JCC.stop) & (before == 0x0F) & (offset >= 2)
    found: Array = (offset >= 1) & ((opcode == CALL) | (opcode == JMP) | jcc)
    return found
