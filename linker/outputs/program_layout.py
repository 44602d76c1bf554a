"""Layout of programs: GNU ld's order of sections, segments R, RX, R and RW."""

from __future__ import annotations

from itertools import pairwise

from uselib.linker.errors import Diagnostic, error
from uselib.linker.formats import elf
from uselib.linker.formats.elf import (
    PT_DYNAMIC,
    PT_GNU_EH_FRAME,
    PT_GNU_PROPERTY,
    PT_GNU_RELRO,
    PT_GNU_STACK,
    PT_INTERP,
    PT_LOAD,
    PT_PHDR,
    PT_TLS,
    SHF_ALLOC,
    SHF_EXECINSTR,
    SHF_TLS,
    SHF_WRITE,
    SHT_NOBITS,
    SHT_NOTE,
    ProgramHeader,
)
from uselib.linker.image import EXEC, PAGE, READ, WRITE, Machine
from uselib.linker.options import Options
from uselib.linker.passes.layout import Layout, Placement, align, default_place, note_headers
from uselib.linker.passes.model import InputSection, OutputSection
from uselib.linker.passes.properties import NAME as PROPERTIES
from uselib.linker.passes.resolution import Resolution
from uselib.linker.quick_dataclass import dataclass, field

# Order of output sections. Those not listed go by their flags, behind the listed ones of the same kind.
_ORDER = (
    ".interp .note.gnu.property .note.gnu.build-id .note.uselib .note.ABI-tag <note> .hash .gnu.hash .dynsym .dynstr .gnu.version "
    ".gnu.version_d .gnu.version_r .rela.dyn .rel.dyn .rela.plt .rel.plt .relr.dyn <first> "
    ".init .plt .plt.got .plt.sec <text-first> .text .fini <text> "
    ".lib .rodata .rodata1 <rodata> .eh_frame_hdr .eh_frame .gcc_except_table "
    ".tdata .tbss .preinit_array .init_array .fini_array .ctors .dtors .jcr .data.rel.ro .dynamic .got .got.plt .data .data1 "
    "<data> "
    ".bss <bss> .lbss <debug>"
).split()
_RANK = {name: rank for rank, name in enumerate(_ORDER)}
_TEXT_RANK, _READ_RANK, _WRITE_RANK = _RANK[".init"], _RANK[".lib"], _RANK[".tdata"]
_MOST_HEADERS = 13  # program headers there is room for: 6 segments, TLS, stack, notes, eh_frame, properties
_MOST_DYNAMIC = 17  # the same with PHDR, INTERP, DYNAMIC, RELRO
_FIRST = frozenset(_ORDER[_RANK[".hash"] : _RANK["<first>"]]) | {".interp"}
_RELRO = frozenset(_ORDER[_RANK[".tdata"] : _RANK[".got.plt"]])  # written by the dynamic linker only


def rank(section: OutputSection) -> int:
    """Sort key of an output section of a program."""
    if not section.flags & SHF_ALLOC:
        return _RANK["<debug>"]
    fixed = _RANK.get(section.name)
    kind = "bss" if section.type == SHT_NOBITS else "data"
    if section.flags & SHF_EXECINSTR:
        low, high, other = _TEXT_RANK, _READ_RANK, "<text>"
    elif section.flags & SHF_WRITE:
        low, high, other = _WRITE_RANK, _RANK["<debug>"], f"<{kind}>"
    elif section.type == SHT_NOTE:
        low, high, other = 0, _TEXT_RANK, "<note>"
    elif section.name in _FIRST:
        low, high, other = 0, _TEXT_RANK, "<first>"
    else:
        low, high, other = _READ_RANK, _WRITE_RANK, "<rodata>"
    if section.flags & SHF_TLS:
        return _RANK[".tbss" if section.type == SHT_NOBITS else ".tdata"]
    return fixed if fixed is not None and low <= fixed < high else _RANK[other]


def executable_stack(resolution: Resolution, options: Options) -> bool:
    """Whether the stack is executable: by -z execstack, or since an object says that it needs it, of which it warns."""
    if options.executable_stack is not None:
        return options.executable_stack
    needing = [file.where for file in resolution.files if file.executable_stack]
    if needing and options.warn_execstack:
        text = "requires executable stack (because the .note.GNU-stack section is executable)"
        resolution.warnings.append(
            Diagnostic(needing[0], text, remedy="see whether its code needs that; -z noexecstack forbids it")
        )
    return bool(needing)


DEFAULT_BASE = {Machine.I386: 0x08048000, Machine.X86_64: 0x400000}


def _permissions(section: OutputSection) -> int:
    return READ | (WRITE if section.flags & SHF_WRITE else 0) | (EXEC if section.flags & SHF_EXECINSTR else 0)


def _is_tls_zeroes(section: OutputSection) -> bool:
    """.tbss: it takes no room in the program's memory, since each thread gets a block of its own."""
    return section.type == SHT_NOBITS and bool(section.flags & SHF_TLS)


@dataclass
class _Load:
    """A PT_LOAD segment in the making."""

    flags: int
    sections: list[OutputSection] = field(default_factory=list)

    def takes(self, section: OutputSection, page: int) -> bool:
        """Whether a section may follow: it has the same permissions, and no contents that would lie behind zeroes. Zeroes that are aligned
        stricter than a page get a segment of their own, since address and file offset are equal modulo a segment's alignment: the file has
        no room for them."""
        if self.flags != _permissions(section):
            return False
        if section.type == SHT_NOBITS and section.alignment > page and any(s.type != SHT_NOBITS for s in self.sections):
            return False
        return section.type == SHT_NOBITS or all(s.type != SHT_NOBITS or s.flags & SHF_TLS for s in self.sections)

    def header(self, address: int, offset: int, headers_size: int, page: int) -> ProgramHeader:
        """The program header of a segment that begins at an address and file offset, with the ELF headers if they have a size."""
        solid = [s for s in self.sections if not _is_tls_zeroes(s)]
        end = max([address + headers_size, *(s.end for s in solid)])
        file_end = max([offset + headers_size, *(s.offset + s.size for s in solid if s.type != SHT_NOBITS)])
        slack = min(address % page, offset)  # a segment begins at a page in memory and in the file
        address, offset = address - slack, offset - slack
        unit = max([page, *(s.alignment for s in solid)])  # whoever chooses the address must know the strictest
        if file_end == offset:
            offset = file_end = address % unit
        return ProgramHeader(PT_LOAD, self.flags, offset, address, file_end - offset, end - address, unit)


@dataclass(frozen=True)
class ProgramLayout:
    """Programs: headers and notes R, code RX, constants R, data RW; a page of its own for each (-z separate-code)."""

    base: int | None = None
    starts: tuple[tuple[str, int], ...] = ()  # addresses of single sections
    page: int = PAGE
    executable_stack: bool = False
    stack_size: int = 0
    dynamic: bool = False  # with PT_PHDR, PT_DYNAMIC, PT_GNU_RELRO
    relro: bool = False
    now: bool = False  # all symbols are bound at start-up: .got.plt is not written to afterwards

    def place(self, section: InputSection) -> Placement | None:
        if section.file is None and section.name == PROPERTIES:  # the inputs' notes are left out, the merged one is not
            return Placement(PROPERTIES)
        return default_place(section.name, section.file.where if section.file is not None else "")

    def assign(self, sections: list[OutputSection], machine: Machine) -> Layout:
        ordered = sorted(sections, key=rank)
        loaded = [s for s in ordered if s.flags & SHF_ALLOC]
        rest = [s for s in ordered if not s.flags & SHF_ALLOC]
        base = self._base(machine)
        thread = [s for s in loaded if s.flags & SHF_TLS]
        if thread:  # the block's start must be aligned as its strictest variable: TP offsets count from its end
            thread[0].alignment = max(s.alignment for s in thread)
        records = elf.class_of(machine)
        most = _MOST_DYNAMIC if self.dynamic else _MOST_HEADERS
        headers_size = records.header.size + most * records.segment.size
        loads, size = self._place_loaded(loaded, base + headers_size, headers_size)
        headers = self._headers(base, headers_size, loads, loaded)
        if self.dynamic or self.relro:
            headers = self._dynamic_headers(headers, loaded, base + records.header.size, records)
        if len(headers) > most:
            raise error("ld", f"{len(headers)} program headers are more than the {most} there is room for")
        for section in rest:
            section.offset = align(size, section.alignment)
            size = section.offset + (section.size if section.type != SHT_NOBITS else 0)
        _verify(loaded, base, headers_size, machine)
        tls = next((h for h in headers if h.type == PT_TLS), None)
        tls_start = tls.address if tls else 0
        pointer = tls_start + align(tls.memory_size, tls.alignment) if tls else 0
        return Layout(machine, base, tuple(loaded + rest), tuple(headers), size, tls_start, pointer)

    def _base(self, machine: Machine) -> int:
        """Of the image, as GNU ld chooses it. Raises LinkError."""
        base = self.base if self.base is not None else DEFAULT_BASE[machine] & -self.page
        if base % self.page:
            raise error("ld", f"the image base {base:#x} is not a multiple of the page size {self.page:#x}")
        return base

    def _place_loaded(self, loaded: list[OutputSection], address: int, offset: int) -> tuple[list[_Load], int]:
        """Gives addresses and file offsets to the sections in memory, from `address` and `offset` on; segments, end in the file."""
        starts = dict(self.starts)
        loads = [_Load(READ)]  # with the ELF headers, whatever follows
        last = self._last_relro(loaded)
        for section in loaded:
            if _is_tls_zeroes(section):
                section.address, section.offset = align(address, section.alignment), offset
                loads[-1].sections.append(section)
                continue
            start = starts.get(section.name)
            if start is not None or not loads[-1].takes(section, self.page):
                address, offset = align(address, self.page) if start is None else start, align(offset, self.page)
                if section.type != SHT_NOBITS:
                    offset += (address - offset) % self._unit(loaded, _permissions(section))
                loads.append(_Load(_permissions(section)))
            section.address = align(address, section.alignment)
            in_file = section.type != SHT_NOBITS
            section.offset = offset + section.address - address if in_file else offset
            loads[-1].sections.append(section)
            address = section.end
            offset = section.offset + (section.size if in_file else 0)
            if section is last:  # what is protected ends at a page
                rest = -address % self.page
                address, offset = address + rest, offset + rest
        return loads, offset

    def _unit(self, loaded: list[OutputSection], permissions: int) -> int:
        """What address and file offset of a segment are equal modulo: a page, or the alignment of the strictest contents."""
        contents = (s.alignment for s in loaded if s.type != SHT_NOBITS and _permissions(s) == permissions)
        return max([self.page, *contents])

    def _protected(self, section: OutputSection) -> bool:
        return self.relro and (section.name in _RELRO or (self.now and section.name == ".got.plt"))

    def _last_relro(self, loaded: list[OutputSection]) -> OutputSection | None:
        """The last section that start-up makes read-only."""
        return next((s for s in reversed(loaded) if self._protected(s) and not _is_tls_zeroes(s)), None)

    def _dynamic_headers(
        self, headers: list[ProgramHeader], loaded: list[OutputSection], table: int, records: elf.ElfClass
    ) -> list[ProgramHeader]:
        """With PT_PHDR (only before PT_INTERP), PT_DYNAMIC and PT_GNU_RELRO. table: the address of the program headers."""
        by_name = {section.name: section for section in reversed(loaded)}
        result = list(headers)
        if (section := by_name.get(".dynamic")) is not None:
            at = 1 + max(n for n, header in enumerate(result) if header.type == PT_LOAD)
            row = ProgramHeader(
                PT_DYNAMIC, READ | WRITE, section.offset, section.address, section.size, section.size, records.word
            )
            result.insert(at, row)
        protected = [s for s in loaded if self._protected(s) and not _is_tls_zeroes(s)]
        if protected:
            first, end = protected[0], align(protected[-1].end, self.page)
            file_end = max(s.offset + s.size for s in protected if s.type != SHT_NOBITS)
            size = end - first.address
            result.append(
                ProgramHeader(PT_GNU_RELRO, READ, first.offset, first.address, file_end - first.offset, size, 1)
            )
        if result[0].type == PT_INTERP:
            size = (len(result) + 1) * records.segment.size
            result.insert(0, ProgramHeader(PT_PHDR, READ, records.header.size, table, size, size, records.word))
        return result

    def _headers(
        self, base: int, headers_size: int, loads: list[_Load], loaded: list[OutputSection]
    ) -> list[ProgramHeader]:
        result = [loads[0].header(base, 0, headers_size, self.page)]
        for load in loads[1:]:
            first = next((s for s in load.sections if not _is_tls_zeroes(s)), None)
            if first is not None:
                result.append(load.header(first.address, first.offset, 0, self.page))
        result.sort(key=lambda header: header.address)  # the kernel requires PT_LOAD in ascending order
        by_name = {section.name: section for section in reversed(loaded)}
        interpreter, frames = by_name.get(".interp"), by_name.get(".eh_frame_hdr")
        if interpreter is not None and interpreter.type != SHT_NOBITS:  # gABI: in front of every PT_LOAD
            result.insert(0, _header_of(PT_INTERP, interpreter, 1))
        result += note_headers(loaded)
        if (properties := by_name.get(PROPERTIES)) is not None:
            result.append(_header_of(PT_GNU_PROPERTY, properties, properties.alignment))
        result += _tls_header([s for s in loaded if s.flags & SHF_TLS])
        if frames is not None:
            result.append(_header_of(PT_GNU_EH_FRAME, frames, 4))
        stack = READ | WRITE | (EXEC if self.executable_stack else 0)
        result.append(ProgramHeader(PT_GNU_STACK, stack, 0, 0, 0, self.stack_size, 16))
        return result


def _header_of(kind: int, section: OutputSection, alignment: int) -> ProgramHeader:
    """A read-only program header for a single section."""
    return ProgramHeader(kind, READ, section.offset, section.address, section.size, section.size, alignment)


def _tls_header(thread: list[OutputSection]) -> list[ProgramHeader]:
    """PT_TLS: the image of a thread's block. None without thread-local sections."""
    if not thread:
        return []
    first = thread[0]
    file_end = max([first.offset, *(s.offset + s.size for s in thread if s.type != SHT_NOBITS)])
    end, alignment = max(s.end for s in thread), max(s.alignment for s in thread)
    file_size, memory_size = file_end - first.offset, end - first.address
    return [ProgramHeader(PT_TLS, READ, first.offset, first.address, file_size, memory_size, alignment)]


def _verify(loaded: list[OutputSection], base: int, headers_size: int, machine: Machine) -> None:
    """No overlap, and no address outside the machine's space. Raises LinkError."""
    limit = 1 << 32 if machine is Machine.I386 else 1 << 47
    spans = [(base, base + headers_size, "the ELF headers")]
    spans += [(s.address, s.end, s.name) for s in loaded if s.size and not _is_tls_zeroes(s)]
    spans.sort()
    for (_, end, one), (start, _, two) in pairwise(spans):
        if start < end:
            text = f"{one} and {two} overlap at {start:#x}"
            raise error("ld", text, remedy="move one with -Ttext, -Tdata or --image-base")
    _, end, name = spans[-1]
    if end > limit:
        raise error("ld", f"{name} ends at {end:#x}, beyond the address space of {machine.label}")
