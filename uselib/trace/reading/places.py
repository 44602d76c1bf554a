"""Names for addresses, from the FILE chunks of a trace: the files themselves need not be there any more."""

from __future__ import annotations

import os
from bisect import bisect_right
from dataclasses import dataclass
from functools import cached_property


@dataclass(frozen=True)
class TracedFile:
    """A file that was mapped from `base` to `end`. rows: (address, size, name) of its functions; since: events that came before."""

    path: str
    base: int
    end: int
    digest: str
    rows: tuple[tuple[int, int, str], ...]
    since: int = 0

    @property
    def name(self) -> str:
        return os.path.basename(self.path)

    @cached_property
    def sorted_rows(self) -> list[tuple[int, int, str]]:
        """One row an address: of two names at one address that with a size, and then the first in byte order."""
        best: dict[int, tuple[int, int, str]] = {}
        for row in sorted(self.rows, key=lambda r: (r[0], r[1] == 0, r[2])):
            best.setdefault(row[0], row)
        return list(best.values())

    @cached_property
    def starts(self) -> list[int]:
        return [row[0] for row in self.sorted_rows]


@dataclass(frozen=True, slots=True)
class Place:
    """Where an address lies. symbol: empty if none covers it; offset: from the symbol, or from the file's base."""

    file: TracedFile
    symbol: str
    offset: int

    def __str__(self) -> str:
        """`main+0x1c`, or `hello+0x1234` where the file has no symbol there."""
        name = self.symbol or self.file.name
        return f"{name}+{self.offset:#x}" if self.offset else name


class Places:
    """The mapped files of one process. A file mapped later over an earlier one takes its place; who says when an address was used (a number
    of events) gets the file that was there."""

    def __init__(self) -> None:
        self.files: list[TracedFile] = []
        self._bases: list[int] = []
        self._former: list[tuple[TracedFile, int]] = []  # files that were replaced, and at which number of events
        self._callers: dict[int, Place | None] = {}

    def copy(self) -> Places:
        other = Places()
        other.files, other._bases, other._former = list(self.files), list(self._bases), list(self._former)
        return other

    @property
    def changing(self) -> bool:
        """Whether there was another file at an address than there is at the end."""
        return bool(self._former)

    def add(self, file: TracedFile) -> None:
        if file.end <= file.base:
            return
        gone = [old for old in self.files if old.end > file.base and old.base < file.end]
        self._former += [(old, file.since) for old in gone if file.since > old.since]
        self.files = [old for old in self.files if old not in gone]
        self.files.append(file)
        self.files.sort(key=lambda f: f.base)
        self._bases = [f.base for f in self.files]
        self._callers.clear()

    def file_at(self, address: int) -> TracedFile | None:
        index = bisect_right(self._bases, address) - 1
        return self.files[index] if index >= 0 and address < self.files[index].end else None

    def _file_then(self, address: int, events: int | None) -> TracedFile | None:
        if events is not None:
            for file, until in self._former:
                if file.since < events <= until and file.base <= address < file.end:
                    return file
        return self.file_at(address)

    def place(self, address: int, events: int | None = None) -> Place | None:
        """None for an address in none of the files (stack, heap). events: sequence number of the event; None: at the end."""
        file = self._file_then(address, events) if self._former else self.file_at(address)
        if file is None:
            return None
        index = bisect_right(file.starts, address) - 1
        if index >= 0:
            start, size, name = file.sorted_rows[index]
            if not size or address < start + size:
                return Place(file, name, address - start)
        return Place(file, "", address - file.base)

    def caller(self, address: int, events: int | None = None) -> Place | None:
        """The place of a return address: the function is that of the call before it, for a call that never returns may be the
        last instruction of its function. events: as for `place`."""
        if address in self._callers and not self._former:
            return self._callers[address]
        found = self.place(address - 1, events) if address else None
        if found is not None:
            found = Place(found.file, found.symbol, found.offset + 1)
        if len(self._callers) < 1 << 16 and not self._former:
            self._callers[address] = found
        return found
