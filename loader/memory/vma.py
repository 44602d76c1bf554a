"""Vma: one mapping of a guest, and the ordered list of them (Linux: struct vm_area_struct)."""

from __future__ import annotations

import os
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, replace

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
    """Mappings in order of address; they never overlap."""

    def __init__(self) -> None:
        self._starts: list[int] = []
        self._items: list[Vma] = []
        self.total = 0  # bytes mapped

    def __iter__(self) -> Iterator[Vma]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)

    def find(self, address: int) -> Vma | None:
        """The mapping that contains `address`."""
        index = bisect_right(self._starts, address) - 1
        if index >= 0 and address < self._items[index].end:
            return self._items[index]
        return None

    def next_above(self, address: int) -> Vma | None:
        """The first mapping that starts above `address`."""
        index = bisect_right(self._starts, address)
        return self._items[index] if index < len(self._items) else None

    def last_below(self, address: int) -> Vma | None:
        """The last mapping that starts below or at `address`."""
        index = bisect_right(self._starts, address) - 1
        return self._items[index] if index >= 0 else None

    def overlapping(self, start: int, end: int) -> list[Vma]:
        """The mappings that share an address with [start, end)."""
        index = max(bisect_right(self._starts, start) - 1, 0)
        found = []
        while index < len(self._items) and self._items[index].start < end:
            if self._items[index].end > start:
                found.append(self._items[index])
            index += 1
        return found

    def covers(self, start: int, end: int) -> bool:
        """Whether every address of the range is mapped."""
        for vma in self.overlapping(start, end):
            if vma.start > start:
                return False
            start = vma.end
        return start >= end

    def remove(self, start: int, end: int) -> list[Vma]:
        """Takes [start, end) out, splitting mappings at its ends; returns the parts taken out."""
        hit = self.overlapping(start, end)
        if not hit:
            return []
        first = bisect_right(self._starts, hit[0].start) - 1
        keep = []
        if hit[0].start < start:
            keep.append(hit[0].cut(hit[0].start, start))
        if hit[-1].end > end:
            keep.append(hit[-1].cut(end, hit[-1].end))
        self._items[first : first + len(hit)] = keep
        self._starts[first : first + len(hit)] = [vma.start for vma in keep]
        parts = [vma.cut(max(vma.start, start), min(vma.end, end)) for vma in hit]
        self.total -= sum(vma.size for vma in parts)
        return parts

    def insert(self, vma: Vma) -> None:
        """Adds a mapping where nothing is mapped, joining it with its neighbours if they are alike."""
        self.total += vma.size
        index = bisect_right(self._starts, vma.start)
        if index < len(self._items) and vma.joins(self._items[index]):
            vma = replace(vma, end=self._items[index].end)
            del self._items[index], self._starts[index]
        if index > 0 and self._items[index - 1].joins(vma):
            self._items[index - 1] = replace(self._items[index - 1], end=vma.end)
            return
        self._items.insert(index, vma)
        self._starts.insert(index, vma.start)
