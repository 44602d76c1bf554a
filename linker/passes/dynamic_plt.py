""".plt, .plt.sec and .plt.got of a dynamic output: calls of functions that the dynamic linker binds.

.plt        lazily bound: an entry for each slot of .got.plt, behind a header that calls the dynamic linker
.plt.sec    where the PLT's code has ENDBR (IBT): what calls go to in place of .plt
.plt.got    through a word of .got, which is bound at start-up
"""

from __future__ import annotations

from collections.abc import Sequence

from uselib.linker.formats.elf import SHF_ALLOC, SHF_EXECINSTR, SHT_PROGBITS
from uselib.linker.passes.dynamic_code import PLT_ENTRY, PltCode
from uselib.linker.passes.model import DynamicBinding, InputSection


class DynamicPlt:
    """The sections, each None if it has no entry; `fill` gives them their contents. pic: the output moves."""

    def __init__(self, code: PltCode, word: int, lazy: int, through_got: int, pic: bool) -> None:
        """lazy, through_got: numbers of entries."""
        self._code, self._pic, self.count = code, pic, lazy
        size = code.got_entry_size
        self.plt = _section(".plt", PLT_ENTRY * (1 + lazy) if lazy else 0, PLT_ENTRY, word if word == 4 else 16)
        self.second = _section(".plt.sec", PLT_ENTRY * lazy if code.separate else 0, PLT_ENTRY, PLT_ENTRY)
        self.through_got = _section(".plt.got", through_got * size, size, size)

    @property
    def sections(self) -> list[InputSection]:
        """What goes to the layout."""
        return [section for section in (self.plt, self.second, self.through_got) if section is not None]

    def address(self, number: int) -> int:
        """Where calls of the function with a lazily bound entry go; also the function's address, where that is its entry."""
        if self.second is not None:
            return self.second.address + number * PLT_ENTRY
        return self._lazy_entry(number)

    def entry_address(self, dynamic: DynamicBinding) -> int:
        """Where calls of a symbol with an entry go."""
        if not dynamic.through_got:
            return self.address(dynamic.plt)
        assert self.through_got is not None
        return self.through_got.address + dynamic.plt * self._code.got_entry_size

    def _lazy_entry(self, number: int) -> int:
        assert self.plt is not None
        return self.plt.address + PLT_ENTRY * (1 + number)

    def unbound(self) -> list[int]:
        """What the slots hold before their functions are bound: they come back to their entries, which call the dynamic linker."""
        return [self._lazy_entry(n) + self._code.lazy for n in range(self.count)]

    def fill(self, slots: Sequence[int], words: Sequence[int], got: int) -> None:
        """The contents. slots: addresses of the words of .got.plt; words: those of .got for .plt.got; got: _GLOBAL_OFFSET_TABLE_."""
        code, pic = self._code, self._pic
        if self.plt is not None:
            start = self.plt.address
            entries = [code.entry(self._lazy_entry(n), slot, n, start, got, pic) for n, slot in enumerate(slots)]
            self.plt.content = code.header(start, got, pic) + b"".join(entries)
        for section, targets in ((self.second, slots), (self.through_got, words)):
            if section is not None:
                size, first = code.got_entry_size, section.address
                entries = [code.got_entry(first + n * size, target, got, pic) for n, target in enumerate(targets)]
                section.content = b"".join(entries)


def _section(name: str, size: int, alignment: int, entry: int) -> InputSection | None:
    if not size:
        return None
    return InputSection(None, 0, name, SHT_PROGBITS, SHF_ALLOC | SHF_EXECINSTR, size, alignment, entry)
