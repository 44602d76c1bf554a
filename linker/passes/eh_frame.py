"""Unwind tables: .eh_frame without the entries of discarded code, and .eh_frame_hdr, its sorted index.

.eh_frame is a list of records: u32 length, u32 id (0: a CIE; else an FDE whose CIE lies that many bytes before this
field), then for an FDE the code address it is for. Source: Linux Standard Base, "Exception Frames".
"""

from __future__ import annotations

import struct
from bisect import bisect_right
from collections.abc import Collection, Iterator, Sequence
from operator import attrgetter

from uselib.linker.formats.elf import RESERVED, SHN_UNDEF, ElfRelocation
from uselib.linker.passes.model import InputSection, ObjectFile
from uselib.linker.passes.resolution import Resolution
from uselib.linker.quick_dataclass import dataclass

NAME = ".eh_frame"
HEADER = ".eh_frame_hdr"
_LENGTH_AND_ID = struct.Struct("<II").unpack_from


@dataclass(frozen=True, slots=True)
class FrameRecord:
    """offset and size of a whole record; cie: offset of its CIE for an FDE, None for a CIE."""

    offset: int
    size: int
    cie: int | None


def records(data: bytes | memoryview) -> Iterator[FrameRecord] | None:
    """The records, or None if the section is not well-formed (it is then copied as it stands)."""
    result, at = [], 0
    while at + 4 <= len(data):
        (length,) = struct.unpack_from("<I", data, at)
        if length == 0:
            break
        if length == 0xFFFFFFFF or length < 4 or at + 4 + length > len(data):
            return None
        (back,) = struct.unpack_from("<I", data, at + 4)
        result.append(FrameRecord(at, length + 4, at + 4 - back if back else None))
        at += 4 + length
    return iter(result)


def drop_dead_frames(resolution: Resolution, discarded: list[InputSection]) -> None:
    """Removes unwind records of discarded code and of empty ranges before any pass reads their relocations."""
    for file in resolution.files:
        for section in file.sections:
            if section is not None and section.name == NAME:
                empty = empty_ranges(section.content)
                if empty or discarded or file.discarded:
                    drop_dead(section, empty)


def empty_ranges(data: bytes | memoryview) -> set[int]:
    """The offsets of the FDEs that are for no code: gcc makes them for functions without instructions.

    They begin where the next function does, and a search for that one must not find them (GNU ld leaves them out too)."""
    found: set[int] = set()
    widths: dict[int, int] = {}  # by offset of a CIE: bytes of an address, and of the range behind it
    at, end = 0, len(data) - 8
    while at < end:
        length, back = _LENGTH_AND_ID(data, at)
        if length in (0, 0xFFFFFFFF):
            break
        if back and length >= 12:
            cie = at + 4 - back
            width = widths.get(cie, 0)
            if not width:
                width = widths[cie] = _width_of(data, cie)
            start = at + 8 + width
            if not any(data[start : start + width]) and start + width <= at + 4 + length:
                found.add(at)
        at += 4 + length
    return found


def _width_of(data: bytes | memoryview, cie: int) -> int:
    """Bytes of an address in the FDEs of the CIE at this offset. Only x86-64 has 8; there, gcc and clang use 4 (sdata4)."""
    try:
        encoding = _encoding_of(bytes(data[cie : cie + 256]), 0)
    except (ValueError, IndexError):
        return 4
    return {2: 2, 10: 2, 3: 4, 11: 4, 4: 8, 12: 8}.get(encoding & 0x0F, 4)


def drop_dead(section: InputSection, empty: Collection[int] = ()) -> None:
    """Rewrites an input .eh_frame without the FDEs whose code was discarded, those at the offsets `empty`, and unused CIEs."""
    file = section.file
    if file is None or not section.relocated_by:
        return
    found = records(section.content)
    if found is None:
        return
    listed = list(found)
    relocations = section.relocations()
    dead = _dead(file, listed, relocations).union(empty)
    if not dead:
        return
    used = {record.cie for record in listed if record.cie is not None and record.offset not in dead}
    kept = [r for r in listed if (r.offset in used if r.cie is None else r.offset not in dead)]
    end = listed[-1].offset + listed[-1].size
    content, moved = _compacted(section.content, kept, end)
    section.records = _moved(relocations, kept, moved, end)
    section.content, section.size = content, len(content)


def _dead(file: ObjectFile, listed: list[FrameRecord], relocations: Sequence[ElfRelocation]) -> set[int]:
    """The offsets of the FDEs whose code was discarded. The relocation 8 bytes into the record names the code."""
    by_offset = {relocation.offset: relocation.symbol for relocation in relocations}
    dead = set()
    for record in listed:
        index = by_offset.get(record.offset + 8) if record.cie is not None else None
        if index is not None and index < len(file.symbols):
            target, number = file.section_of(index), file.symbols[index].section
            left_out = not target.live if target is not None else number != SHN_UNDEF and number not in RESERVED
            if left_out or number in file.discarded:
                dead.add(record.offset)
    return dead


def _compacted(content: bytes | memoryview, kept: list[FrameRecord], end: int) -> tuple[bytes, dict[int, int]]:
    """The kept records and what follows the last record at `end`, one behind the other; old offset -> new offset of each, and of `end`."""
    moved: dict[int, int] = {}
    out = bytearray()
    for record in kept:
        at = moved[record.offset] = len(out)
        out += content[record.offset : record.offset + record.size]
        if record.cie is not None and record.cie in moved:
            struct.pack_into("<I", out, at + 4, at + 4 - moved[record.cie])
    moved[end] = len(out)
    out += content[end:]
    return bytes(out), moved


def _moved(
    relocations: Sequence[ElfRelocation], kept: list[FrameRecord], moved: dict[int, int], end: int
) -> list[ElfRelocation]:
    """The relocations of the kept records and of what lies behind `end`, with their new offsets, in ascending order."""
    starts = [record.offset for record in kept]
    result = []
    for relocation in sorted(relocations, key=attrgetter("offset")):
        at = relocation.offset
        number = bisect_right(starts, at) - 1
        if number >= 0 and at < kept[number].offset + kept[number].size:
            start = kept[number].offset
        elif at >= end:
            start = end
        else:
            continue
        result.append(relocation._replace(offset=at - start + moved[start]))
    return result


def _encoding_of(data: bytes, cie: int) -> int:
    """The FDE pointer encoding of the CIE at offset `cie` (DW_EH_PE_*); absptr if it has no `R` augmentation."""
    at = cie + 9
    end = data.index(b"\0", at)
    augmentation = data[at:end].decode("latin-1")
    at = end + 1
    if not augmentation.startswith("z"):
        return 0
    for _ in range(2):  # code and data alignment factors, LEB128
        while data[at] & 0x80:
            at += 1
        at += 1
    if data[cie + 8] == 1:
        at += 1  # version 1: the return address register is a byte
    else:
        while data[at] & 0x80:
            at += 1
        at += 1
    while data[at] & 0x80:  # length of the augmentation data
        at += 1
    at += 1
    for letter in augmentation[1:]:
        if letter == "R":
            return data[at]
        if letter == "L":
            at += 1
        elif letter == "P":
            at += 1 + {0: 4, 2: 2, 3: 4, 4: 8}.get(data[at] & 7, 4)
    return 0


def header(frames: bytes, frames_address: int, header_address: int, size: int, word: int) -> bytes:
    """.eh_frame_hdr for a relocated .eh_frame: version 1, pointer pcrel sdata4, count udata4, table datarel sdata4.

    Without a table (encoding 0xff: search linearly) if .eh_frame cannot be understood.
    """
    rows = []
    try:
        for record in records(frames) or ():
            if record.cie is None:
                continue
            encoding = _encoding_of(frames, record.cie)
            at = record.offset + 8
            if encoding & 0x0F in (0x0B, 3):
                start = int.from_bytes(frames[at : at + 4], "little", signed=encoding & 8 != 0)
            else:
                width = 8 if encoding & 0x0F in (4, 0x0C) else word
                start = int.from_bytes(frames[at : at + width], "little", signed=encoding & 8 != 0)
            if encoding & 0x70 == 0x10:
                start += frames_address + at
            if word == 4:
                start &= 0xFFFFFFFF
            rows.append((start, frames_address + record.offset))
        rows.sort()
        table = b"".join(struct.pack("<ii", a - header_address, b - header_address) for a, b in rows)
        pointer = struct.pack("<i", frames_address - header_address - 4)
        if 12 + len(table) > size:
            raise ValueError
        return (b"\x01\x1b\x03\x3b" + pointer + struct.pack("<I", len(rows)) + table).ljust(size, b"\0")
    except (ValueError, IndexError, struct.error):
        pointer = struct.pack("<i", (frames_address - header_address - 4) & 0x7FFFFFFF)
        return (b"\x01\x1b\xff\xff" + pointer).ljust(size, b"\0")


def count(sections: list[InputSection]) -> int:
    """How many FDEs the given input sections have: the size of the table."""
    return sum(1 for s in sections for record in (records(s.content) or ()) if record.cie is not None)
