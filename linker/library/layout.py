"""The LayoutPolicy of target libraries: header page, jump table, text, gap, data with the exported data first.

File offset = address - base throughout, so gaps are holes in the file, and one PT_LOAD can cover all of it (scheme
`uselib`). The jump table has the same place in every release of a library: base + 0x800, unless the notes need more
than that, and then base + 0x1000. A release that follows another one has the table and the exported data where that one
has them (as offsets from the base).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from uselib.linker.errors import error
from uselib.linker.formats import elf, notes
from uselib.linker.formats.elf import (
    PT_LOAD,
    SHF_ALLOC,
    SHF_EXECINSTR,
    SHF_MERGE,
    SHF_STRINGS,
    SHF_WRITE,
    SHT_NOBITS,
    SHT_PROGBITS,
    ProgramHeader,
)
from uselib.linker.image import EXEC, PAGE, READ, WRITE, Machine, Segment
from uselib.linker.library import retired_trap as retired
from uselib.linker.library.releases.arrangement import EXPORTED
from uselib.linker.library.request import default_gap
from uselib.linker.passes.layout import Layout, Placement, default_place, note_headers
from uselib.linker.passes.model import InputSection, OutputSection
from uselib.linker.quick_dataclass import dataclass, field

BOOTSTRAP, JUMP_TABLE, THUNKS = ".bootstrap", ".jumptable", ".interpose_thunks"
_TABLE_PLACES = (0x800, 0x1000)

_HEAD = (notes.SECTION, BOOTSTRAP)
_TEXT_RANK = {name: rank for rank, name in enumerate((JUMP_TABLE, THUNKS, retired.SECTION, ".text"))}
_CONSTANT_RANK = {name: rank for rank, name in enumerate((".rodata", ".eh_frame", ".gcc_except_table"))}
_DATA_RANK = {
    name: rank
    for rank, name in enumerate(
        (EXPORTED, ".data.rel.ro", ".data", "<other>", ".init_array", ".fini_array", ".got", ".got.plt")
    )
}
_HEAD_CLASS, _TEXT_CLASS, _CONSTANT_CLASS, _DATA_CLASS, _BSS_CLASS = range(5)


def _rank(section: OutputSection) -> tuple[int, int]:
    """(class, rank in it); sorting is stable, so the rest keeps link order."""
    if section.name in _HEAD:
        return _HEAD_CLASS, _HEAD.index(section.name)
    if section.flags & SHF_WRITE:
        if section.type == SHT_NOBITS:
            return _BSS_CLASS, 0
        return _DATA_CLASS, _DATA_RANK.get(section.name, _DATA_RANK["<other>"])
    if section.flags & SHF_EXECINSTR:
        return _TEXT_CLASS, _TEXT_RANK.get(section.name, len(_TEXT_RANK))
    return _CONSTANT_CLASS, _CONSTANT_RANK.get(section.name, len(_CONSTANT_RANK))


def _align(value: int, alignment: int) -> int:
    return (value + alignment - 1) & -alignment


@dataclass(frozen=True)
class Placed:
    """The result of a layout, for the header: the segments to be mapped and the whole size in memory."""

    base: int
    size: int  # whole pages
    segments: tuple[Segment, ...]
    data_address: int
    text_end: int
    end: int  # of the memory in use


@dataclass(frozen=True)
class _Ends:
    """Addresses of the loaded sections. text, file, memory: ends of the text, of the bytes in the file, and of all memory. data: start of the
    data, or 0.
    """

    text: int
    data: int
    file: int
    memory: int

    def segments(self, base: int) -> tuple[Segment, ...]:
        """The segments that the bootstrap maps."""
        text = Segment(base, self.text - base, 0, self.text - base, READ | EXEC)
        if not self.data:
            return (text,)
        return text, Segment(self.data, self.memory - self.data, self.data - base, self.file - self.data, READ | WRITE)


@dataclass(frozen=True)
class EarlierOffsets:
    """Where programs linked with earlier releases have the jump table and the exported data: offsets from the base, 0 if they have none.

    release: the one that fixed them, for messages. may_move: they are kept if there is room, and dropped otherwise (a new major version).
    """

    table: int = 0
    data: int = 0
    release: str = ""
    may_move: bool = False


@dataclass
class LibraryLayout:
    """LayoutPolicy of a target library.

    base: its address, or a function that gives one for a size in bytes (the registry).
    exported: ids of input sections with exported data -> their order. `placed` is set by assign().
    """

    base: int | Callable[[int], int]
    data_address: int | None
    gap: int | None
    scheme: str
    exported: Mapping[int, int]
    keep_debug: bool
    where: str = "mkshlib"
    earlier: EarlierOffsets = field(default_factory=EarlierOffsets)
    placed: Placed | None = field(default=None)

    def place(self, section: InputSection) -> Placement | None:
        order = self.exported.get(id(section))
        if order is not None:
            section.flags &= ~(SHF_MERGE | SHF_STRINGS)  # programs know its addresses: no merging
            section.flags |= SHF_WRITE
            return Placement(EXPORTED, order)
        file = section.file
        if file is None:
            return default_place(section.name)
        if file.stub is not None:
            return None
        if not section.flags & SHF_ALLOC and not self.keep_debug:
            return None
        return default_place(section.name, file.where)

    def assign(self, sections: list[OutputSection], machine: Machine) -> Layout:
        if callable(self.base):
            # addresses move as a whole, so the size does not depend on the base
            self._assign(sections, machine, 0x60000000)
            assert self.placed is not None
            return self._assign(sections, machine, self.base(self.placed.size))
        return self._assign(sections, machine, self.base)

    def _assign(self, sections: list[OutputSection], machine: Machine, base: int) -> Layout:
        for section in sections:
            if section.name == EXPORTED:  # it lies before private data, so it is in the file even if all of it is zero
                section.type, section.flags = SHT_PROGBITS, SHF_ALLOC | SHF_WRITE
        loaded = sorted((s for s in sections if s.flags & SHF_ALLOC), key=_rank)
        rest = [s for s in sections if not s.flags & SHF_ALLOC]
        records = elf.class_of(machine)
        header_count = 2 if self.scheme == "uselib" else 3
        ends = self._place_loaded(loaded, base, base + records.header.size + header_count * records.segment.size)
        self._check_limit(_align(ends.memory, PAGE), machine)
        segments = ends.segments(base)
        self.placed = Placed(base, _align(ends.memory, PAGE) - base, segments, ends.data, ends.text, ends.memory)
        headers = self._headers(segments, base, ends.file, ends.memory)
        headers += note_headers([s for s in loaded if s.name == notes.SECTION])
        offset = ends.file - base
        for section in rest:
            offset = _align(offset, section.alignment)
            section.offset = offset
            offset += section.size if section.type != SHT_NOBITS else 0
        return Layout(machine, base, tuple(loaded + rest), tuple(headers), offset, 0, 0)

    def _place_loaded(self, loaded: Sequence[OutputSection], base: int, head_end: int) -> _Ends:
        """Gives every mapped section its address and offset. head_end: the end of ELF header and program headers."""
        address = head_end
        text_end = data = file_end = 0
        table_placed = False
        for section in loaded:
            kind = _rank(section)[0]
            if kind == _TEXT_CLASS and not table_placed:
                table_placed = True
                address = self._table_place(base, address)
            if kind >= _DATA_CLASS and not data:
                text_end = address
                address = data = self._data_place(base, text_end)
            if section.alignment > PAGE and base % section.alignment:
                raise error(
                    self.where,
                    f"{section.name} needs alignment {section.alignment:#x}, and the base {base:#x} has less",
                    remedy="give a rounder --text address",
                )
            section.address = address = _align(address, section.alignment)
            section.offset = address - base
            address += section.size
            if kind == _DATA_CLASS:
                file_end = address
        text_end = text_end if data else address
        return _Ends(text_end, data, file_end or data or text_end, address)

    def _headers(self, segments: Sequence[Segment], base: int, file_end: int, end: int) -> list[ProgramHeader]:
        if self.scheme == "uselib":
            return [ProgramHeader(PT_LOAD, READ | WRITE | EXEC, 0, base, file_end - base, end - base, PAGE)]
        return [
            ProgramHeader(PT_LOAD, s.flags, s.offset, s.address, s.file_size, s.memory_size, PAGE) for s in segments
        ]

    def _table_place(self, base: int, head_end: int) -> int:
        earlier = base + self.earlier.table
        if self.earlier.table and head_end <= earlier:
            return earlier
        if self.earlier.table and not self.earlier.may_move:
            raise error(
                self.where,
                f"the header page is too small: its notes reach {head_end - earlier} bytes into the jump table, which programs have at "
                f"{earlier:#x} since {self.earlier.release}",
                remedy="depend on fewer libraries or on libraries with shorter names, or take a new major version with --renumber",
            )
        for place in _TABLE_PLACES:
            if head_end <= base + place:
                return base + place
        raise error(
            self.where,
            f"the header page is too small: {head_end - base - PAGE} bytes too many of notes",
            remedy="shorten the names of the libraries it depends on, or depend on fewer",
        )

    def _data_place(self, base: int, text_end: int) -> int:
        end, earlier = _align(text_end, PAGE), base + self.earlier.data
        if self.earlier.data and end <= earlier and not (self.earlier.may_move and self.data_address is not None):
            return earlier
        if self.earlier.data and not self.earlier.may_move:
            raise error(
                self.where,
                f"no room: the text ends at {text_end:#x}, and programs have the data at {earlier:#x} since {self.earlier.release}, so "
                f"{text_end - earlier} bytes of text are too many",
                remedy="make the code smaller (-Os), put part of it into another library that this one uses, or take a new major "
                "version with --renumber and a larger --gap",
            )
        if self.data_address is None:
            gap = self.gap if self.gap is not None else default_gap(text_end - base)
            return _align(end + gap, PAGE)
        if self.data_address < end:
            raise error(
                self.where,
                f"the text ends at {end:#x}, behind the data address {self.data_address:#x}",
                remedy="move the data up, or leave out its address",
            )
        return self.data_address

    def _check_limit(self, end: int, machine: Machine) -> None:
        limit = 1 << 32 if machine is Machine.I386 else 1 << 47
        if end > limit:
            raise error(self.where, f"the library ends at {end:#x}, beyond the address space of {machine.label}")
