""".plt, .plt.sec and .plt.got of a dynamic output: calls of functions that the dynamic linker binds.

.plt        lazily bound: an entry for each slot of .got.plt, behind a header that calls the dynamic linker
.plt.sec    where the PLT's code has ENDBR (IBT): what calls go to in place of .plt
.plt.got    through a word of .got, which is bound at start-up
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from uselib.linker.formats.elf import SHF_ALLOC, SHF_EXECINSTR, SHT_PROGBITS
from uselib.linker.formats.rows import linear_code
from uselib.linker.passes.dynamic_code import PLT_ENTRY, PltCode
from uselib.linker.passes.model import DynamicBinding, InputSection
from uselib.linker.passes.symbol_values import PltPlaces


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

    def branches(self) -> PltPlaces:
        """Where calls of symbols with an entry go: what entry_address says of all of them."""
        lazy = self.address(0) if self.count else 0
        through_got = self.through_got.address if self.through_got is not None else 0
        return PltPlaces(lazy, PLT_ENTRY, through_got, self._code.got_entry_size)

    def _lazy_entry(self, number: int) -> int:
        assert self.plt is not None
        return self.plt.address + PLT_ENTRY * (1 + number)

    def unbound(self) -> Sequence[int]:
        """What the slots hold before their functions are bound: they come back to their entries, which call the dynamic linker."""
        if not self.count:
            return ()
        first = self._lazy_entry(0) + self._code.lazy
        return range(first, first + self.count * PLT_ENTRY, PLT_ENTRY)

    def fill(self, slots: Sequence[int], words: Sequence[int], got: int) -> None:
        """The contents. slots: addresses of the words of .got.plt, one behind the other; words: those of .got for .plt.got; got:
        _GLOBAL_OFFSET_TABLE_."""
        code, pic = self._code, self._pic
        if self.plt is not None:
            start = self.plt.address

            def entry(n: int) -> bytes:
                return code.entry(self._lazy_entry(n), slots[n], n, start, got, pic)

            self.plt.content = code.header(start, got, pic) + linear_code(entry, self.count, code.entry_fields)
        if self.second is not None:
            self.second.content = linear_code(self._jump(self.second, slots, got), self.count, (code.got_field,))
        if self.through_got is not None:
            self.through_got.content = b"".join(map(self._jump(self.through_got, words, got), range(len(words))))

    def _jump(self, section: InputSection, targets: Sequence[int], got: int) -> Callable[[int], bytes]:
        """Entries that jump through words at these addresses."""
        code, pic, first, size = self._code, self._pic, section.address, self._code.got_entry_size
        return lambda n: code.got_entry(first + n * size, targets[n], got, pic)


def _section(name: str, size: int, alignment: int, entry: int) -> InputSection | None:
    if not size:
        return None
    return InputSection(None, 0, name, SHT_PROGBITS, SHF_ALLOC | SHF_EXECINSTR, size, alignment, entry)
