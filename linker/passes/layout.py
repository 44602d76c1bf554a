"""Layout: the output section, the order and the address of each input section.

What differs between kinds of output is a `LayoutPolicy`: programs have `ProgramLayout` in outputs/program_layout.py (GNU ld's order,
separate R, RX, R, RW segments); target libraries have their own in library/layout.py. After this pass every address is final.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import chain

from uselib.linker.errors import error
from uselib.linker.formats.elf import (
    PT_NOTE,
    SHF_ALLOC,
    SHF_GNU_RETAIN,
    SHF_GROUP,
    SHF_INFO_LINK,
    SHF_LINK_ORDER,
    SHF_MERGE,
    SHF_STRINGS,
    SHF_WRITE,
    SHT_NOBITS,
    SHT_NOTE,
    SHT_PROGBITS,
    ProgramHeader,
    section_number,
)
from uselib.linker.image import READ, Machine
from uselib.linker.options import Options
from uselib.linker.passes.merge import Merger, mergeable
from uselib.linker.passes.model import InputSection, ObjectFile, OutputSection
from uselib.linker.quick_dataclass import NamedTuple, dataclass
from uselib.linker.quick_typing import Protocol


class Placement(NamedTuple):
    """Name of the output section, and the sort key of the input section in it (equal keys keep link order)."""

    name: str
    order: int = 0


@dataclass(frozen=True)
class Layout:
    """All addresses of the output. `sections` in file order, allocated ones first."""

    machine: Machine
    base: int  # address of the ELF header, if it is mapped
    sections: tuple[OutputSection, ...]
    headers: tuple[ProgramHeader, ...]
    size: int  # of the file, up to the end of the section contents
    tls_start: int
    thread_pointer: int

    def find(self, name: str) -> OutputSection | None:
        return next((s for s in self.sections if s.name == name), None)


class LayoutPolicy(Protocol):
    """How an output is laid out."""

    def place(self, section: InputSection) -> Placement | None:
        """Where an input section goes; None: left out."""

    def assign(self, sections: list[OutputSection], machine: Machine) -> Layout:
        """Orders the output sections (their sizes are known) and gives addresses, file offsets and program headers."""


# -- names -------------------------------------------------------------------------------------------------------------

# Output name <- input names or, with "." behind them, prefixes of names; the first that fits. GNU ld's default script.
_INPUTS_OF = {
    ".text": ".stub .gnu.linkonce.t",
    ".rodata": ".gnu.linkonce.r",
    ".data.rel.ro": ".data.rel.ro .gnu.linkonce.d.rel.ro",
    ".data": ".data .gnu.linkonce.d",
    ".bss": ".gnu.linkonce.b COMMON",
    ".tdata": ".gnu.linkonce.td",
    ".tbss": ".gnu.linkonce.tb .tcommon",
    ".debug_info": ".gnu.linkonce.wi",
}
_UNCHANGED = (".gcc_except_table", ".eh_frame", ".lrodata", ".ldata", ".lbss", ".debug_line")
_NAMES = [(name, output) for output, names in _INPUTS_OF.items() for name in names.split()]
_NAMES += [(name, name) for name in _UNCHANGED]
_TEXT_ORDER = {"unlikely": 1, "exit": 2, "startup": 3, "hot": 4, "sorted": 5}  # by the word behind `.text.`
_TEXT = [Placement(".text", order) for order in range(10)]
_PLAIN = {name: Placement(name) for name in (".rodata", ".bss", ".tdata", ".tbss")}
_ARRAYS = {
    ".init_array": ".init_array",
    ".fini_array": ".fini_array",
    ".preinit_array": ".preinit_array",
    ".ctors": ".init_array",
    ".dtors": ".fini_array",
}
_LAST = 1 << 20
_CRT = ("crtbegin.o", "crtbeginT.o", "crtbeginS.o", "crtend.o", "crtendS.o", "crtendT.o")
_DROPPED = (".note.gnu.property", ".gnu_debuglink", ".gnu.warning", ".llvm.call-graph-profile", ".llvm_addrsig")


def default_place(name: str, file_name: str = "") -> Placement | None:
    """Output section and order for an input section called `name`, as in GNU ld's default script."""
    head, _, tail = name[1:].partition(".")
    if name.startswith(".text") and head == "text":
        if name.endswith("_unlikely"):
            return _TEXT[1]
        return _TEXT[_TEXT_ORDER.get(tail.partition(".")[0], 9)]
    plain = _PLAIN.get("." + head)
    if plain is not None and name.startswith("."):
        return plain
    for source, output in _ARRAYS.items():
        if name == source:
            if source in (".ctors", ".dtors") and file_name.rpartition("/")[2].rstrip(")").endswith(_CRT):
                return Placement(name)
            return Placement(output, _LAST)
        if name.startswith(source + "."):
            digits = name[len(source) + 1 :]
            if not digits.isdigit():
                return Placement(output, _LAST)
            priority = int(digits)
            return Placement(output, min(65535 - priority if source in (".ctors", ".dtors") else priority, _LAST - 1))
    for prefix, output in _NAMES:
        if name == prefix or (name.startswith(prefix) and name[len(prefix)] == "."):
            return _TEXT[9] if output == ".text" else Placement(output)
    if name.startswith((".gnu.lto_", ".gnu.warning.")) or name in _DROPPED:
        return None
    return Placement(name)


# -- from input sections to output sections ----------------------------------------------------------------------------

_DEBUG = (".debug", ".zdebug", ".stab")
_KEPT_FLAGS = ~(SHF_GROUP | SHF_LINK_ORDER | SHF_INFO_LINK | SHF_GNU_RETAIN)


def is_debug(section: InputSection) -> bool:
    """Whether -S leaves the section out."""
    return not section.flags & SHF_ALLOC and section.name.startswith(_DEBUG)


def link_order(
    files: Iterable[ObjectFile], options: Options, *linker_made: Iterable[InputSection]
) -> list[InputSection]:
    """Every section for the layout, in link order; debug information left out for -s and -S."""
    strip = options.strip_all or options.strip_debug
    result = []
    for file in files:
        for section in file.sections:
            if section is None or not section.live:
                continue
            in_memory = section.flags & SHF_ALLOC
            if in_memory or not (file.stub is not None or (strip and is_debug(section))):
                result.append(section)
    return [*result, *chain.from_iterable(linker_made)]


def gather(sections: Iterable[InputSection], policy: LayoutPolicy, unique: Sequence[str] = ()) -> list[OutputSection]:
    """Puts live input sections into output sections, merges SHF_MERGE ones, and gives offsets within output sections.

    After it every output section has its size. Linker-made sections (file None) come with their size set. unique: patterns of
    names of input sections that get an output section of their own (--unique).
    """
    outputs: dict[str, OutputSection] = {}
    orders: dict[str, list[tuple[int, InputSection]]] = {}
    mergers: dict[tuple[str, int, int, int], Merger] = {}
    for section in sections:
        if not section.live:
            continue
        where = policy.place(section)
        if where is None:
            section.live = False
            continue
        name = where.name
        if unique and _is_unique(section, where.name, unique):
            where = Placement(section.name)
            name = f"{section.name}\0{len(outputs)}"
        output = outputs.get(name)
        if output is None:
            output = outputs[name] = OutputSection(where.name, section.type, entsize=section.entsize)
            output.flags = section.flags & _KEPT_FLAGS
            orders[name] = []
        else:
            output.flags = common_flags(output.flags, section.flags & _KEPT_FLAGS)
            if output.entsize != section.entsize:
                output.entsize = 0
            if output.type != section.type:
                output.type = common_type(output.type, section.type)
        if section.name.startswith((".ctors", ".dtors")) and where.name != section.name:
            reverse_words(section)
        if section.flags & SHF_MERGE and mergeable(section):
            key = (name, section.flags & (SHF_STRINGS | SHF_WRITE), section.entsize, section.alignment)
            merger = mergers.get(key)
            if merger is None:
                merger = mergers[key] = Merger(section)
                orders[name].append((where.order, merger.section))
            merger.add(section)
            section.output = output
        else:
            orders[name].append((where.order, section))
    for merger in mergers.values():
        merger.finish()
    for name, output in outputs.items():
        arrange(output, orders[name])
    return list(outputs.values())


def arrange(output: OutputSection, pairs: list[tuple[int, InputSection]]) -> None:
    """Gives the inputs of an output section, each with its sort key, their order and offsets; the section its size and alignment."""
    pairs.sort(key=_order)
    output.inputs = [section for _, section in pairs]
    position, alignment = 0, 1
    for section in output.inputs:
        # unwind records follow one another without gaps: four zero bytes would end the list
        wanted = section.alignment if output.name != ".eh_frame" else min(section.alignment, 4)
        if wanted > 1:
            position = (position + wanted - 1) & -wanted
            if wanted > alignment:
                alignment = wanted
        section.offset = position
        section.output = output
        position += section.size
    output.size, output.alignment = position, alignment


# Names of output sections in GNU ld's default script, beside those above: input sections of other names are orphans.
_KNOWN = frozenset(
    (
        ".text .rodata .data .bss .tdata .tbss .data.rel.ro .ctors .dtors .init_array .fini_array .preinit_array .interp .init .fini "
        ".plt .rodata1 .data1 .got .jcr .eh_frame_hdr .comment .note.gnu.build-id .note.GNU-stack .note.gnu.property"
    ).split()
)


def _is_unique(section: InputSection, output: str, patterns: Sequence[str]) -> bool:
    """Whether --unique gives an input section an output section of its own. An empty pattern: all orphans."""
    from fnmatch import fnmatchcase  # only where it is asked for

    if section.file is None:
        return False
    orphan = output == section.name and output not in _KNOWN and not output.startswith((*_UNCHANGED, ".debug", ".stab"))
    return any(fnmatchcase(section.name, pattern) if pattern else orphan for pattern in patterns)


def reverse_words(section: InputSection) -> None:
    """Old-style constructor lists run backwards; in .init_array they must stand the other way round (as GNU ld does)."""
    assert section.file is not None
    word = section.file.elf.elf_class.word
    data = bytes(section.content)
    if len(data) % word:
        raise error(section.where, f"{len(data)} bytes are not a whole number of pointers")
    section.content = b"".join(data[at : at + word] for at in range(len(data) - word, -1, -word))
    section.records = [
        record._replace(offset=len(data) - word - record.offset // word * word + record.offset % word)
        for record in section.relocations()
    ]


def _order(pair: tuple[int, InputSection]) -> int:
    return pair[0]


def common_flags(old: int, new: int) -> int:
    """Of an output section: those of any input, but that entries may be merged if all allow it."""
    both = (old | new) & ~(SHF_MERGE | SHF_STRINGS)
    return both | (old & new & (SHF_MERGE | SHF_STRINGS))


def common_type(old: int, new: int) -> int:
    """Mixed contents: data wins over bss; otherwise plain program data."""
    kinds = {old, new} - {SHT_NOBITS}
    return kinds.pop() if len(kinds) == 1 else SHT_PROGBITS


def number(sections: Iterable[OutputSection]) -> None:
    """Gives output sections their header indices, as `section_number` has them."""
    for index, section in enumerate(sections, 1):
        section.index = section_number(index)


def settle(sections: Iterable[OutputSection]) -> None:
    """Final addresses of the input sections, from those of their output sections."""
    for output in sections:
        base = output.address
        for section in output.inputs:
            section.address = base + section.offset


def align(value: int, alignment: int) -> int:
    """`value` rounded up to a multiple of `alignment`, a power of two."""
    return (value + alignment - 1) & -alignment


def note_headers(loaded: Sequence[OutputSection]) -> list[ProgramHeader]:
    """PT_NOTE: one for each run of adjacent note sections of the same alignment."""
    runs: list[list[OutputSection]] = []
    for section in loaded:
        if section.type != SHT_NOTE:
            continue
        last = runs[-1][-1] if runs else None
        if (
            last is not None
            and last.alignment == section.alignment
            and align(last.end, section.alignment) == section.address
        ):
            runs[-1].append(section)
        else:
            runs.append([section])
    return [_note_header(run) for run in runs]


def _note_header(run: list[OutputSection]) -> ProgramHeader:
    first, size = run[0], run[-1].end - run[0].address
    return ProgramHeader(PT_NOTE, READ, first.offset, first.address, size, size, max(s.alignment for s in run))
