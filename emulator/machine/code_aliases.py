"""Executed pages whose memory can be changed elsewhere: through another mapping (CodeAliases), by another process (SharedCode).

The same page of a file (or of a memfd, or of shared anonymous memory) may be mapped in several places. Compilers at run time do that on
purpose: one mapping is written, the other executed. Unicorn knows translations by the address they were made from, so PageTable keeps to one
rule: as long as a page of a file has translations, no other mapping of it answers a write. A write is then refused, the translations go, and
the write is made; the next execution withdraws the right to write again. Files of which nothing shared and writable is mapped cost a note
for each executed page. A private mapping shares the file's pages until it is written; that it has been written is not looked for.

Other processes ask nobody. What they have changed is found by comparing, when a system call has returned: two processes agree on such a change
by way of the kernel. Of private mappings only those of files that guests may change are compared.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterable, Iterator

from uselib.loader.memory.vma import PAGE, PROT_WRITE, FileIdentity, Vma, VmaList

_Place = tuple[FileIdentity, int]  # a file and an offset in it, in bytes, of a page


class CodeAliases:
    """Pages of files that may have translations."""

    def __init__(self, vmas: VmaList) -> None:
        self._vmas = vmas
        self._pages: dict[FileIdentity, dict[int, set[int]]] = {}  # offset -> addresses
        self._places: dict[int, _Place] = {}

    def __bool__(self) -> bool:
        return bool(self._places)

    def executed(self, vma: Vma, page: int) -> list[int]:
        """Notes that `page` of a mapped file is executed. Returns the other pages that may be answered for writing and show the same memory."""
        assert vma.backing is not None
        identity, offset = vma.backing.identity, vma.offset + page - vma.start
        self._pages.setdefault(identity, {}).setdefault(offset, set()).add(page)
        self._places[page] = identity, offset
        return [
            place
            for other in self._vmas.shared(identity)
            if other.prot & PROT_WRITE and 0 <= offset - other.offset < other.size
            if (place := other.start + offset - other.offset) != page
        ]

    def concerns(self, vma: Vma) -> bool:
        """Whether a write to the mapping may reach an executed page of another one."""
        return vma.shared and vma.backing is not None and vma.backing.identity in self._pages

    def others(self, vma: Vma, page: int) -> set[int]:
        """Executed pages, other than this one, that a write to `page` changes."""
        if not self.concerns(vma):
            return set()
        assert vma.backing is not None
        return self._pages[vma.backing.identity].get(vma.offset + page - vma.start, set()) - {page}

    def reached(self, vma: Vma, start: int, end: int) -> set[int]:
        """Executed pages that a write to [start, end), page-aligned, changes, as far as it goes to this mapping."""
        if not self.concerns(vma):
            return set()
        assert vma.backing is not None
        first, last = (max(start, vma.start) - vma.start + vma.offset, min(end, vma.end) - vma.start + vma.offset)
        places = self._pages[vma.backing.identity]
        offsets: Iterable[int] = range(first, last, PAGE)
        if len(places) < (last - first) // PAGE:
            offsets = [offset for offset in places if first <= offset < last]
        return {page for offset in offsets for page in places.get(offset, ())}

    def of_file(self, identity: FileIdentity) -> set[int]:
        """All executed pages of a file."""
        return {page for pages in self._pages.get(identity, {}).values() for page in pages}

    def forget(self, pages: Iterable[int]) -> None:
        """They have no translations any more."""
        for page in pages:
            place = self._places.pop(page, None)
            if place is None:
                continue
            identity, offset = place
            places = self._pages[identity]
            places[offset].discard(page)
            if not places[offset]:
                del places[offset]
                if not places:
                    del self._pages[identity]


class SharedCode:
    """Executed pages that other processes may change, and what was in them."""

    def __init__(self) -> None:
        self._before: dict[int, tuple[int, bytes]] = {}  # guest page -> host address, contents

    def __bool__(self) -> bool:
        return bool(self._before)

    def note(self, page: int, host: int) -> None:
        self._before[page] = host, ctypes.string_at(host, PAGE)

    def changed(self) -> list[int]:
        """Pages that contain something else now."""
        return [page for page, (host, before) in self._before.items() if ctypes.string_at(host, PAGE) != before]

    def forget(self, pages: Iterable[int]) -> None:
        if self._before:
            for page in pages:
                self._before.pop(page, None)


def ranges(pages: Iterable[int]) -> Iterator[tuple[int, int]]:
    """The ranges [start, end) that pages make up, from the lowest up."""
    start = end = -1
    for page in sorted(pages):
        if page != end:
            if end >= 0:
                yield start, end
            start = page
        end = page + PAGE
    if end >= 0:
        yield start, end
