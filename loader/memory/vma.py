"""Vma: one mapping of a guest, and the ordered list of them (Linux: struct vm_area_struct)."""

from __future__ import annotations

import os
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import replace

from uselib.linker.quick_dataclass import dataclass

PAGE = 4096
PROT_READ, PROT_WRITE, PROT_EXEC = 1, 2, 4


class MappedFile:
    """A file that mappings refer to. Keeps its own descriptor, so that the guest may close its one."""

    def __init__(self, fd: int, name: str) -> None:
        self.fd = os.dup(fd)
        self.name = name

    def size(self) -> int:
        """Bytes in the file now: a page wholly beyond them raises SIGBUS."""
        return os.fstat(self.fd).st_size

    def __del__(self) -> None:
        fd, self.fd = getattr(self, "fd", -1), -1
        if fd >= 0:
            os.close(fd)


@dataclass(frozen=True)
class Vma:
    """Guest addresses [start, end) with one set of attributes.

    offset: of `start` in the file. may_write: whether mprotect may allow writing (not for a shared mapping of a file open
    for reading only). name: what /proc/self/maps and fault reports call it, such as `[heap]` or a path. origin: the file
    that the contents were copied from, where a format does not let pages be mapped.
    """

    start: int
    end: int
    prot: int
    file: MappedFile | None = None
    offset: int = 0
    shared: bool = False
    may_write: bool = True
    grows_down: bool = False
    name: str = ""
    origin: MappedFile | None = None

    @property
    def known(self) -> MappedFile | None:
        """The file that the contents came from, mapped or copied."""
        return self.file or self.origin

    @property
    def size(self) -> int:
        return self.end - self.start

    def cut(self, start: int, end: int) -> Vma:
        """The part of it within [start, end), which must lie inside."""
        return replace(self, start=start, end=end, offset=self.offset + (start - self.start if self.file else 0))

    def joins(self, other: Vma) -> bool:
        """Whether `other` follows directly and has the same attributes, so that the two are one."""
        if self.end != other.start or (self.prot, self.shared, self.may_write, self.grows_down, self.name) != (
            other.prot,
            other.shared,
            other.may_write,
            other.grows_down,
            other.name,
        ):
            return False
        if self.file is None or other.file is None:
            return self.file is other.file and self.origin is other.origin
        return self.file is other.file and self.offset + self.size == other.offset


class VmaList:
    """Mappings in order of address; they never overlap.

    They are kept from the highest to the lowest, because mmap places each new one below the others: it is then appended and nothing moves.
    """

    def __init__(self) -> None:
        self._keys: list[int] = []  # -start, ascending
        self._items: list[Vma] = []
        self.total = 0  # bytes mapped

    def __iter__(self) -> Iterator[Vma]:
        """From the lowest address up."""
        return iter(self._items[::-1])

    def __len__(self) -> int:
        return len(self._items)

    def find(self, address: int) -> Vma | None:
        """The mapping that contains `address`."""
        index = bisect_left(self._keys, -address)
        if index < len(self._items) and address < self._items[index].end:
            return self._items[index]
        return None

    def next_above(self, address: int) -> Vma | None:
        """The first mapping that starts above `address`."""
        index = bisect_left(self._keys, -address) - 1
        return self._items[index] if index >= 0 else None

    def last_below(self, address: int) -> Vma | None:
        """The last mapping that starts below or at `address`."""
        index = bisect_left(self._keys, -address)
        return self._items[index] if index < len(self._items) else None

    def _overlapping(self, start: int, end: int) -> tuple[int, int]:
        """The part of the list, first index and one behind the last, that shares an address with [start, end)."""
        first = last = bisect_right(self._keys, -end)
        while last < len(self._items) and self._items[last].end > start:
            last += 1
        return first, last

    def overlapping(self, start: int, end: int) -> list[Vma]:
        """The mappings that share an address with [start, end), from the lowest up."""
        first, last = self._overlapping(start, end)
        return self._items[first:last][::-1]

    def covers(self, start: int, end: int) -> bool:
        """Whether every address of the range is mapped."""
        for vma in self.overlapping(start, end):
            if vma.start > start:
                return False
            start = vma.end
        return start >= end

    def remove(self, start: int, end: int) -> list[Vma]:
        """Takes [start, end) out, splitting mappings at its ends; returns the parts taken out, from the lowest up."""
        first, last = self._overlapping(start, end)
        if first == last:
            return []
        hit = self._items[first:last][::-1]
        keep = []
        if hit[-1].end > end:
            keep.append(hit[-1].cut(end, hit[-1].end))
        if hit[0].start < start:
            keep.append(hit[0].cut(hit[0].start, start))
        self._items[first:last] = keep
        self._keys[first:last] = [-vma.start for vma in keep]
        parts = [
            vma if vma.start >= start and vma.end <= end else vma.cut(max(vma.start, start), min(vma.end, end))
            for vma in hit
        ]
        self.total -= sum(vma.size for vma in parts)
        return parts

    def insert(self, vma: Vma) -> None:
        """Adds a mapping where nothing is mapped, joining it with its neighbours if they are alike."""
        self.total += vma.size
        index = bisect_left(self._keys, -vma.start)  # of the next one below
        if index and vma.joins(self._items[index - 1]):
            index -= 1
            vma = replace(vma, end=self._items[index].end)
            del self._items[index], self._keys[index]
        if index < len(self._items) and self._items[index].joins(vma):
            self._items[index] = replace(self._items[index], end=vma.end)
            return
        self._items.insert(index, vma)
        self._keys.insert(index, -vma.start)
