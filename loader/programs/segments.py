"""Segments of an executable into an address space, as the kernel's ELF loader maps them.

An ET_EXEC goes where it says. An ET_DYN with an interpreter goes to the layout's program base; one without (static PIE, or a
dynamic linker that is run itself, or mapped as an interpreter) where mmap would put it: the highest place that is free.
Both are brought to the largest alignment that a PT_LOAD asks for.
Source: fs/binfmt_elf.c (elf_map, elf_load, total_mapping_size, maximum_alignment) of Linux.
"""

from __future__ import annotations

import errno
import os

from uselib.linker.image import EXEC, READ, WRITE, Image, Segment
from uselib.linker.quick_dataclass import replace
from uselib.loader.memory.address_space import (
    PAGE,
    PROT_EXEC,
    PROT_READ,
    PROT_WRITE,
    AddressSpace,
    MemoryFault,
    page_down,
    page_up,
)


def _fail(number: int) -> OSError:
    return OSError(number, os.strerror(number))


def prot_of(flags: int) -> int:
    """Segment flags (PF_*) as PROT_*."""
    pairs = ((READ, PROT_READ), (WRITE, PROT_WRITE), (EXEC, PROT_EXEC))
    return sum(prot for flag, prot in pairs if flags & flag)


def map_segment(space: AddressSpace, segment: Segment, fd: int, name: str, prot: int, placement: str = "fixed") -> None:
    """Maps one segment: its file pages, the rest of the last one cleared, anonymous pages for the rest.

    Raises OSError: ENOEXEC if file offset and address disagree within the page, and mmap's errors.
    """
    if (segment.address - segment.offset) % PAGE or segment.memory_size < segment.file_size:
        raise _fail(errno.ENOEXEC)
    if not segment.memory_size:
        return
    start = page_down(segment.address)
    skew = segment.address - start
    file_end = page_up(segment.address + segment.file_size) if segment.file_size else start
    memory_end = page_up(segment.end)
    if placement == "noreplace" and not space.is_free(start, memory_end):
        raise _fail(errno.EEXIST)
    if file_end > start:
        space.map(
            start, segment.file_size + skew, prot, fd=fd, offset=segment.offset - skew, placement="fixed", name=name
        )
        tail = segment.address + segment.file_size
        if prot & PROT_WRITE and segment.memory_size > segment.file_size and tail < file_end:
            try:
                space.check(tail, 1, "read")
                space.poke(tail, bytes(file_end - tail))
            except MemoryFault:
                raise _fail(errno.ENOEXEC) from None  # the file is shorter than its headers say
    if memory_end > file_end:
        space.map(file_end, memory_end - file_end, prot, placement="fixed", name="")


def load_segments(
    space: AddressSpace, image: Image, fd: int, name: str, *, interpreter: bool = False
) -> tuple[int, int]:
    """Maps all segments. interpreter: of a program that is mapped already, so that nothing may be in their way (EEXIST). Returns the
    load bias, which is 0 for an ET_EXEC, and the end of the last segment. Raises OSError (ENOEXEC, ENOMEM, EEXIST, ...)."""
    if not image.segments:
        raise _fail(errno.ENOEXEC)
    bias = _bias(space, image, at_base=bool(image.interpreter) and not interpreter) if image.relative else 0
    if interpreter:
        for segment in image.segments:
            start, end = page_down(segment.address + bias), page_up(segment.end + bias)
            if start < end and not space.is_free(start, end):
                raise _fail(errno.EEXIST)
    end = 0
    for segment in image.segments:
        part = replace(segment, address=segment.address + bias) if bias else segment
        map_segment(space, part, fd, name, prot_of(segment.flags))
        end = max(end, part.end)
    return bias, end


def _bias(space: AddressSpace, image: Image, *, at_base: bool) -> int:
    """What is added to the addresses of an ET_DYN. Raises OSError (ENOMEM, ENOEXEC)."""
    low = min(page_down(segment.address) for segment in image.segments)
    size = page_up(max(segment.end for segment in image.segments)) - low
    if size > space.layout.top:
        raise _fail(errno.ENOMEM)
    powers = [s.alignment for s in image.segments if s.alignment and not s.alignment & (s.alignment - 1)]
    alignment = max([PAGE, *powers])
    if at_base:
        base = space.layout.program_base & -alignment
        if base < space.layout.lowest or not space.is_free(base, base + size):
            raise _fail(errno.ENOMEM)
    else:
        if alignment > space.layout.top:
            raise _fail(errno.ENOMEM)
        base = (space.find_gap(size + alignment - PAGE) + alignment - 1) & -alignment
    return base - low
