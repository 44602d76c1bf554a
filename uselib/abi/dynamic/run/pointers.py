"""When two pointers count as the same although the addresses differ.

Text, private data and heap may lie elsewhere in another version. So a pointer is compared by what it points to: the same symbol and
offset, the same distance into the stack, or both somewhere in mapped memory.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence

from uselib.abi.dynamic.run.bindings import LibraryVersion
from uselib.linker.formats.library_names import EMPTY_SUFFIX, plain_name
from uselib.linker.image import Image

_STACK_SIZE = 8 << 20  # bytes on either side of the stack pointer that are taken for the stack


class PointerTargets:
    """What addresses point to, on one side."""

    def __init__(self, library: LibraryVersion, others: list[Image], maps: Sequence[tuple[int, int]]) -> None:
        """others: images that are the same on both sides; maps: what was mapped in the end."""
        self._library, self._maps = library, sorted(tuple(pair) for pair in maps)
        self._low, self._high = library.identity.base, library.identity.end
        self._symbols = sorted(
            ((s.address, s.size or 1, plain_name(s.name)) for s in library.image.symbols if s.name),
            key=lambda row: (row[0], -row[1]),
        )
        self._ranges = [(s.address, s.end) for image in others for s in image.segments]

    def normal(self, word: int, sp: int) -> tuple[str, int]:
        """A region and an offset in it that does not depend on the version."""
        if word == 0:
            return "null", 0
        if self._low <= word < self._high:
            slot = self._library.slot_number(word)
            if slot:
                return "slot", slot
            named = [row for row in self._symbols if row[0] <= word < row[0] + row[1]]
            if named and EMPTY_SUFFIX not in named[-1][2]:
                return named[-1][2], word - named[-1][0]
            return "library", 0
        if any(low <= word < high for low, high in self._ranges):
            return "fixed", word
        if word > sp - _STACK_SIZE and word < sp + _STACK_SIZE:
            return "stack", word - sp
        at = bisect_right(self._maps, (word, 1 << 64)) - 1
        if at >= 0 and word < self._maps[at][1]:
            return "memory", 0
        return "number", word

    def same(self, other: PointerTargets, a: tuple[int, int], b: tuple[int, int]) -> bool:
        """a, b: word and stack pointer, of this side and the other."""
        if a == b:
            return True
        return self.normal(*a) == other.normal(*b)
