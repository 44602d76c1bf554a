"""Vma: one mapping of a guest, what may lie behind it, and the ordered list of them (Linux: struct vm_area_struct)."""

from __future__ import annotations

import os
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from functools import cached_property

from uselib.linker.quick_dataclass import dataclass, replace

PAGE = 4096
PROT_READ, PROT_WRITE, PROT_EXEC = 1, 2, 4


FileIdentity = tuple[int, int]  # device and inode; -1 and a number of our own


class MappedFile:
    """A file that mappings refer to. It keeps a descriptor of its own, so that the guest may close the one it has.
    mutable: guests may change it."""

    def __init__(self, fd: int, name: str, *, mutable: bool = False) -> None:
        self.fd = os.dup(fd)
        self.name = name
        self.mutable = mutable

    @cached_property
    def identity(self) -> FileIdentity:
        """The same for every mapping of the file."""
        status = os.fstat(self.fd)
        return status.st_dev, status.st_ino

    def size(self) -> int:
        """Bytes in the file now: a page wholly beyond them raises SIGBUS."""
        return os.fstat(self.fd).st_size

    def pages(self) -> int:
        """Likewise, as whole pages."""
        return -(-self.size() // PAGE) * PAGE

    def __del__(self) -> None:
        fd, self.fd = getattr(self, "fd", -1), -1
        if fd >= 0:
            os.close(fd)


class SharedMemory:
    """Anonymous memory that is shared: to Linux a file without a name, which has the size of the mapping that made it."""

    def __init__(self, size: int) -> None:
        self._size = size

    @property
    def identity(self) -> FileIdentity:
        return -1, id(self)

    def size(self) -> int:
        return self._size


@dataclass(frozen=True)
class Vma:
    """Guest addresses [start, end) with one set of attributes.

    memory: for shared anonymous memory. offset: of `start` in the file, or in the shared memory. may_write: whether
    mprotect may allow writing (not for a shared mapping of a file open for reading only). name: what /proc/self/maps and
    fault reports call it, such as `[heap]` or a path. origin: the file that the contents were copied from, where a
    format does not let pages be mapped. locked: by mlock. forked: children of a fork get it.
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
    memory: SharedMemory | None = None
    locked: bool = False
    forked: bool = True

    @property
    def backing(self) -> MappedFile | SharedMemory | None:
        """What other mappings may show as well, and what has an end behind which there are no pages."""
        return self.file or self.memory

    @property
    def known(self) -> MappedFile | None:
        """The file that the contents came from, mapped or copied."""
        return self.file or self.origin

    @property
    def size(self) -> int:
        return self.end - self.start

    def cut(self, start: int, end: int) -> Vma:
        """The part of it within [start, end), which must lie inside."""
        return replace(self, start=start, end=end, offset=self.offset + (start - self.start if self.backing else 0))

    @property
    def _attributes(self) -> tuple[object, ...]:
        return self.prot, self.shared, self.may_write, self.grows_down, self.name, self.locked, self.forked

    @property
    def is_data(self) -> bool:
        """Whether it counts for RLIMIT_DATA (is_data_mapping)."""
        return not self.shared and not self.grows_down and bool(self.prot & PROT_WRITE)

    def joins(self, other: Vma) -> bool:
        """Whether `other` follows directly and has the same attributes, so that the two are one."""
        if self.end != other.start or self._attributes != other._attributes:
            return False
        if self.backing is None or other.backing is None:
            return self.backing is other.backing and self.origin is other.origin
        return self.backing is other.backing and self.offset + self.size == other.offset


class VmaList:
    """Mappings in order of address; they never overlap.

    They are kept from the highest to the lowest, because mmap places each new one below the others: it is then appended and nothing moves.
    """

    def __init__(self) -> None:
        self._keys: list[int] = []  # -start, ascending
        self._items: list[Vma] = []
        self._shared: dict[FileIdentity, dict[int, Vma]] = {}  # by where they start
        self.total = 0  # bytes mapped

    def __iter__(self) -> Iterator[Vma]:
        """From the lowest address up."""
        return iter(self._items[::-1])

    def __len__(self) -> int:
        return len(self._items)

    def shared(self, identity: FileIdentity) -> Iterable[Vma]:
        """The shared mappings of a file or of shared memory."""
        return self._shared.get(identity, {}).values()

    def _note(self, vma: Vma) -> None:
        if vma.shared and vma.backing is not None:
            self._shared.setdefault(vma.backing.identity, {})[vma.start] = vma

    def _forget(self, vma: Vma) -> None:
        if vma.shared and vma.backing is not None:
            same = self._shared[vma.backing.identity]
            del same[vma.start]
            if not same:
                del self._shared[vma.backing.identity]

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
        for vma in hit:
            self._forget(vma)
        for vma in keep:
            self._note(vma)
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
            above = self._items.pop(index)
            del self._keys[index]
            self._forget(above)
            vma = replace(vma, end=above.end)
        if index < len(self._items) and self._items[index].joins(vma):
            below = self._items[index]
            self._forget(below)
            vma = self._items[index] = replace(below, end=vma.end)
        else:
            self._items.insert(index, vma)
            self._keys.insert(index, -vma.start)
        self._note(vma)
