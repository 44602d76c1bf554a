""".relr.dyn: the words that move with the output, packed (-z pack-relative-relocs; gABI, "Relative Relocation Table").

    even entry    the address of a word that moves
    odd entry     a bitmap: its bits from 1 on are the words behind those that earlier entries cover; 1 alone says nothing

Only even addresses can be packed, and the choice is made before there are any: words of sections with an alignment of 1, and of sections
that are cut into pieces, stay in .rela.dyn or .rel.dyn.
"""

from __future__ import annotations

from collections.abc import Iterable

from uselib.linker.formats.elf import SHF_ALLOC, SHF_MERGE, SHT_RELR
from uselib.linker.passes import eh_frame
from uselib.linker.passes.model import InputSection

NAME = ".relr.dyn"
_NOTHING = 1  # a bitmap without words


def packable(section: InputSection) -> bool:
    """Whether the address of a word at an even offset is even wherever its section goes."""
    in_pieces = section.flags & SHF_MERGE or section.name == eh_frame.NAME
    return section.alignment > 1 and not in_pieces


def encode(addresses: Iterable[int], word: int) -> list[int]:
    """The entries for these even addresses; word: bytes of an entry."""
    entries: list[int] = []
    bits, first = 8 * word - 1, -1  # of a bitmap; the word that its bit 1 is
    bitmap = 0
    for address in sorted(addresses):
        distance = address - first
        if bitmap and distance >= bits * word:
            entries.append(bitmap << 1 | 1)
            bitmap, first = 0, first + bits * word
            distance = address - first
        if first >= 0 and 0 <= distance < bits * word and not distance % word:
            bitmap |= 1 << distance // word
            continue
        if bitmap:
            entries.append(bitmap << 1 | 1)
        entries.append(address)
        bitmap, first = 0, address + word
    return [*entries, bitmap << 1 | 1] if bitmap else entries


class PackedRelatives:
    """.relr.dyn, whose size follows from the addresses: it grows until it has room (`fit`)."""

    def __init__(self, word: int) -> None:
        self._word, self._entries = word, [_NOTHING]
        self.section = InputSection(None, 0, NAME, SHT_RELR, SHF_ALLOC, word, word, word)
        self.section.build = self._packed

    def fit(self, addresses: Iterable[int]) -> bool:
        """Takes the addresses of a layout. False: the section has grown, and the layout has to be made again."""
        self._entries, section = encode(addresses, self._word), self.section
        size = len(self._entries) * self._word
        if size <= section.size:
            return True
        section.size = size
        if section.output is not None:
            section.output.size = size
        return False

    def _packed(self) -> bytes:
        room = self.section.size // self._word
        entries = [*self._entries, *[_NOTHING] * (room - len(self._entries))]
        return b"".join(entry.to_bytes(self._word, "little") for entry in entries)
