"""SHF_MERGE sections: equal strings and constants of all inputs are kept once (System V ABI, chapter 4)."""

from __future__ import annotations

from bisect import bisect_right

from uselib.linker.errors import Diagnostic, FormatError
from uselib.linker.formats.elf import SHF_MERGE, SHF_STRINGS
from uselib.linker.passes.model import InputSection


class MergedPieces:
    """Where the entries of one input section went: `starts` are input offsets, `targets` offsets in the merged one."""

    __slots__ = ("merged", "starts", "targets")

    def __init__(self, merged: InputSection, starts: list[int], targets: list[int]) -> None:
        self.merged = merged
        self.starts = starts
        self.targets = targets

    def address(self, offset: int) -> int:
        """An offset inside an entry stays inside it; one beyond the end stays as far behind the last entry."""
        index = max(bisect_right(self.starts, offset) - 1, 0)
        return self.merged.address + self.targets[index] + offset - self.starts[index]


def mergeable(section: InputSection) -> bool:
    """Whether to merge the section: its entries must be whole, and no relocation may change them."""
    return bool(
        section.flags & SHF_MERGE
        and section.entsize
        and section.size
        and len(section.content) == section.size
        and not section.size % section.entsize
        and not section.relocated_by
        and (section.entsize in (1, 2, 4) if section.flags & SHF_STRINGS else section.alignment <= section.entsize)
    )


class Merger:
    """Collects the mergeable sections of one output place (same flags, entry size and alignment)."""

    def __init__(self, like: InputSection) -> None:
        self.section = InputSection(None, 0, like.name, like.type, like.flags, 0, like.alignment, like.entsize)
        self._offsets: dict[bytes, int] = {}
        self._chunks: list[bytes] = []
        self._whole: dict[bytes, tuple[list[int], list[int]]] = {}

    def add(self, section: InputSection) -> None:
        """Merges a section and sets its `pieces`. Raises FormatError for a string without an end."""
        content = bytes(section.content)
        found = self._whole.get(content)
        if found is None:
            found = self._whole[content] = self._split(content, section)
        section.pieces = MergedPieces(self.section, *found)

    def _split(self, content: bytes, section: InputSection) -> tuple[list[int], list[int]]:
        width, alignment = section.entsize, section.alignment
        if not section.flags & SHF_STRINGS:
            entries = [content[i : i + width] for i in range(0, len(content), width)]
        elif content[-width:] != b"\0" * width:
            raise FormatError(Diagnostic(section.where, "its last string has no end"))
        elif width == 1:
            entries = [entry + b"\0" for entry in content[:-1].split(b"\0")]
        else:
            entries = _wide_strings(content, width)
        starts, targets, position = [], [], 0
        offsets, chunks, size = self._offsets, self._chunks, self.section.size
        for entry in entries:
            target = offsets.get(entry)
            if target is None:
                gap = -size % alignment
                if gap:
                    chunks.append(b"\0" * gap)
                target = offsets[entry] = size + gap
                size = target + len(entry)
                chunks.append(entry)
            starts.append(position)
            targets.append(target)
            position += len(entry)
        self.section.size = size
        return starts, targets

    def finish(self) -> InputSection:
        self.section.content = b"".join(self._chunks)
        return self.section


def _wide_strings(content: bytes, width: int) -> list[bytes]:
    end = b"\0" * width
    entries, start = [], 0
    for position in range(0, len(content), width):
        if content[position : position + width] == end:
            entries.append(content[start : position + width])
            start = position + width
    return entries
