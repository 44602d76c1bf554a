"""Layout of programs: GNU ld's order of sections, segments R, RX, R and RW."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from uselib.linker.errors import error
from uselib.linker.formats import elf
from uselib.linker.formats.elf import (
    PT_GNU_EH_FRAME,
    PT_GNU_STACK,
    PT_INTERP,
    PT_LOAD,
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
from uselib.linker.passes.inputs import InputSection
from uselib.linker.passes.layout import (
    Layout,
    OutputSection,
    Placement,
    align,
    default_place,
    note_headers,
)

# rank of output sections; those not listed go by their flags, behind the listed ones of the same kind
_RANK = {name: rank for rank, name in enumerate((
    ".interp", ".note.gnu.build-id", ".note.uselib", ".note.ABI-tag", "<note>", ".rela.plt", ".rel.plt", "<first>",
    ".init", ".plt", "<text-first>", ".text", ".fini", "<text>",
    ".lib", ".rodata", ".rodata1", "<rodata>", ".eh_frame_hdr", ".eh_frame", ".gcc_except_table",
    ".tdata", ".tbss", ".preinit_array", ".init_array", ".fini_array", ".ctors", ".dtors", ".jcr", ".data.rel.ro", ".got",
    ".data", ".data1", "<data>", ".bss", "<bss>", ".lbss", "<debug>",
))}  # fmt: skip
_TEXT_RANK, _READ_RANK, _WRITE_RANK = _RANK[".init"], _RANK[".lib"], _RANK[".tdata"]


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
    elif section.name in (".rela.plt", ".rel.plt", ".interp"):
        low, high, other = 0, _TEXT_RANK, "<first>"
    else:
        low, high, other = _READ_RANK, _WRITE_RANK, "<rodata>"
    if section.flags & SHF_TLS:
        return _RANK[".tbss" if section.type == SHT_NOBITS else ".tdata"]
    return fixed if fixed is not None and low <= fixed < high else _RANK[other]


DEFAULT_BASE = {Machine.I386: 0x08048000, Machine.X86_64: 0x400000}


@dataclass(frozen=True)
class ProgramLayout:
    """Programs: headers and notes R, code RX, constants R, data RW; a page of its own for each (-z separate-code)."""

    base: int | None = None
    starts: tuple[tuple[str, int], ...] = ()  # addresses of single sections
    page: int = PAGE
    executable_stack: bool = False
    stack_size: int = 0
    strip: bool = False

    def place(self, section: InputSection) -> Placement | None:
        return default_place(section.name, section.file.where if section.file is not None else "")

    def assign(self, sections: list[OutputSection], machine: Machine) -> Layout:
        ordered = sorted(sections, key=rank)
        loaded = [s for s in ordered if s.flags & SHF_ALLOC]
        rest = [s for s in ordered if not s.flags & SHF_ALLOC]
        base = self.base if self.base is not None else DEFAULT_BASE[machine]
        starts = dict(self.starts)
        thread = [s for s in loaded if s.flags & SHF_TLS]
        if thread:  # the block's start must be aligned as its strictest variable: TP offsets count from its end
            thread[0].alignment = max(s.alignment for s in thread)
        if base % self.page:
            raise error("ld", f"the image base {base:#x} is not a multiple of the page size {self.page:#x}")
        layout = elf.class_of(machine)
        fixed = 12  # program headers there is room for: 6 segments, TLS, stack, notes, eh_frame
        position = layout.header.size + fixed * layout.segment.size
        address, offset = base + position, position
        segments: list[tuple[int, list[OutputSection]]] = []
        if not loaded or self._flags(loaded[0]) != READ or loaded[0].name in starts:
            segments.append((READ, []))
        for section in loaded:
            flags = self._flags(section)
            nobits = section.type == SHT_NOBITS
            thread_local = nobits and bool(section.flags & SHF_TLS)
            jump = section.name in starts
            new = jump or not segments or segments[-1][0] != flags
            if not new and not nobits and any(s.type == SHT_NOBITS and not s.flags & SHF_TLS for s in segments[-1][1]):
                new = True
            if new and not thread_local:
                if segments:
                    address, offset = align(address, self.page), align(offset, self.page)
                if jump:
                    address = starts[section.name]
                    offset = align(offset, self.page) + address % self.page
                elif not segments:
                    address, offset = base + position, position
                segments.append((flags, []))
            start = align(address, section.alignment)
            if not thread_local and (not nobits):
                offset += start - address
            section.address, section.offset = start, offset
            segments[-1][1].append(section)
            if thread_local:
                section.offset = offset
                continue
            address = start + section.size
            if not nobits:
                offset += section.size
            elif section.size:
                section.offset = offset
        headers = self._headers(base, position, segments, loaded, machine)
        if len(headers) > fixed:
            raise error("ld", f"{len(headers)} program headers are more than the {fixed} there is room for")
        for section in rest:
            offset = align(offset, section.alignment)
            section.offset = offset
            offset += section.size if section.type != SHT_NOBITS else 0
        self._verify(loaded, base, position, machine)
        tls = next((h for h in headers if h.type == PT_TLS), None)
        tls_start = tls.address if tls else 0
        pointer = tls_start + align(tls.memory_size, tls.alignment) if tls else 0
        return Layout(machine, base, tuple(loaded + rest), tuple(headers), offset, tls_start, pointer)

    @staticmethod
    def _flags(section: OutputSection) -> int:
        return READ | (WRITE if section.flags & SHF_WRITE else 0) | (EXEC if section.flags & SHF_EXECINSTR else 0)

    def _headers(
        self, base: int, header_size: int, segments: Sequence[tuple[int, list[OutputSection]]],
        loaded: list[OutputSection], machine: Machine,
    ) -> list[ProgramHeader]:  # fmt: skip
        result = []
        for number, (flags, members) in enumerate(segments):
            solid = [s for s in members if not (s.flags & SHF_TLS and s.type == SHT_NOBITS)]
            if number == 0 and flags == READ:
                start, offset = base, 0
                end = max([base + header_size, *(s.end for s in solid)])
                file_end = max([header_size, *(s.offset + s.size for s in solid if s.type != SHT_NOBITS)])
            elif solid:
                start, offset = solid[0].address, solid[0].offset
                end = max(s.end for s in solid)
                file_end = max([offset, *(s.offset + s.size for s in solid if s.type != SHT_NOBITS)])
                slack = start % self.page
                start, offset = start - min(slack, offset), offset - min(slack, offset)
            else:
                continue
            if file_end == offset:
                offset = file_end = start % self.page
            result.append(ProgramHeader(PT_LOAD, flags, offset, start, file_end - offset, end - start, self.page))
        result.sort(key=lambda header: header.address)  # the kernel wants PT_LOAD in ascending order
        interpreter = next((s for s in loaded if s.name == ".interp" and s.type != SHT_NOBITS), None)
        if interpreter is not None:  # gABI: in front of every PT_LOAD
            at, offset, size = interpreter.address, interpreter.offset, interpreter.size
            result.insert(0, ProgramHeader(PT_INTERP, READ, offset, at, size, size, 1))
        result += note_headers(loaded)
        thread = [s for s in loaded if s.flags & SHF_TLS]
        if thread:
            alignment = max(s.alignment for s in thread)
            first = thread[0]
            file_end = max([first.offset, *(s.offset + s.size for s in thread if s.type != SHT_NOBITS)])
            result.append(
                ProgramHeader(
                    PT_TLS, READ, first.offset, first.address, file_end - first.offset,
                    max(s.end for s in thread) - first.address, alignment,
                )
            )  # fmt: skip
        frame = next((s for s in loaded if s.name == ".eh_frame_hdr"), None)
        if frame is not None:
            result.append(ProgramHeader(PT_GNU_EH_FRAME, READ, frame.offset, frame.address, frame.size, frame.size, 4))
        stack = READ | WRITE | (EXEC if self.executable_stack else 0)
        result.append(ProgramHeader(PT_GNU_STACK, stack, 0, 0, 0, self.stack_size, 16))
        return result

    def _verify(self, loaded: list[OutputSection], base: int, header_size: int, machine: Machine) -> None:
        """No overlap, and no address outside the machine's space."""
        limit = 1 << 32 if machine is Machine.I386 else 1 << 47
        spans = [(base, base + header_size, "the ELF headers")]
        spans += [
            (s.address, s.end, s.name) for s in loaded if s.size and not (s.flags & SHF_TLS and s.type == SHT_NOBITS)
        ]
        spans.sort()
        for (_, end, one), (start, _, two) in pairwise(spans):
            if start < end:
                raise error(
                    "ld",
                    f"{one} and {two} overlap at {start:#x}",
                    remedy="move one with -Ttext, -Tdata or --image-base",
                )
        if spans[-1][1] > limit:
            raise error("ld", f"{spans[-1][2]} ends at {spans[-1][1]:#x}, beyond the address space of {machine.label}")
