"""Which records of a piece are those of chosen functions: by numpy, so that a search among millions of events is not one among objects."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from uselib.emulator.trace.store.format import RECORD, EventKind
from uselib.trace.reading.blocks import DTYPE, Array

_NAMED = np.zeros(256, bool)
_NAMED[[EventKind.CALL, EventKind.RETURN, EventKind.INNER_CALL, EventKind.INNER_RETURN]] = True


class RowSelection:
    """Calls and returns of some functions. wanted: by their indexes in the records of a process; others: also those of indexes that are not
    there."""

    def __init__(self, wanted: dict[int, bool], others: bool) -> None:
        self._wanted = np.full(max(wanted, default=-1) + 2, others)  # the last one: larger indexes
        self._wanted[list(wanted)] = list(wanted.values())

    def rows(self, data: bytes, sequence: int) -> Iterator[tuple[int, tuple[int, ...]]]:
        """(sequence number, record) of the events that are wanted, with their MORE records. sequence: of the event before the piece."""
        records = np.frombuffer(data, DTYPE)
        numbers, kept = self._mask(records)
        for row in np.flatnonzero(kept).tolist():
            yield sequence + int(numbers[row]), RECORD.unpack_from(data, row * RECORD.size)

    def _mask(self, records: Array) -> tuple[Array, Array]:
        """How many events there are up to each record; which records are wanted."""
        kind = records["kind"]
        event = kind != EventKind.MORE
        numbers = np.cumsum(event)
        index = np.minimum(records["function"], len(self._wanted) - 1)
        kept = _NAMED[kind] & self._wanted[index]
        if not event.all():  # a MORE record goes with the event before it
            of_event = np.concatenate([[False], kept[event]])
            kept = of_event[numbers]
        return numbers, kept
