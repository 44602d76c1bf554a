"""Unwind tables: .eh_frame without the entries of discarded code, and .eh_frame_hdr, its sorted index.

.eh_frame is a list of records: u32 length, u32 id (0: a CIE; else an FDE whose CIE lies that many bytes before this
field), then for an FDE the code address it is for. Source: Linux Standard Base, "Exception Frames".
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from uselib.linker.formats.elf import ElfRelocation
from uselib.linker.passes.inputs import InputSection

NAME = ".eh_frame"
HEADER = ".eh_frame_hdr"


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


def drop_dead(section: InputSection) -> None:
    """Rewrites an input .eh_frame without the FDEs whose code was discarded, and without unused CIEs."""
    file = section.file
    if file is None or not section.relocated_by:
        return
    relocations = section.relocations()
    found = records(section.content)
    if found is None:
        return
    listed = list(found)
    by_offset = {r[0]: r for r in relocations}
    dead = set()
    for record in listed:
        if record.cie is None:
            continue
        relocation = by_offset.get(record.offset + 8)
        if relocation is not None and relocation[2] < len(file.symbols):
            target = file.section_of(relocation[2])
            shndx = file.symbols[relocation[2]][3]
            if (
                shndx in file.discarded
                or (target is not None and not target.live)
                or (target is None and 0 < shndx < 0xFF00)
            ):
                dead.add(record.offset)
    if not dead:
        return
    used = {record.cie for record in listed if record.cie is not None and record.offset not in dead}
    moved: dict[int, int] = {}
    out = bytearray()
    kept: list[FrameRecord] = []
    for record in listed:
        if record.offset in dead or (record.cie is None and record.offset not in used):
            continue
        moved[record.offset] = len(out)
        kept.append(record)
        out += section.content[record.offset : record.offset + record.size]
    end = listed[-1].offset + listed[-1].size
    tail = len(out)
    out += section.content[end:]
    for record in kept:
        if record.cie is not None and record.cie in moved:
            at = moved[record.offset]
            struct.pack_into("<I", out, at + 4, at + 4 - moved[record.cie])
    changed: list[ElfRelocation] = []
    position = 0
    for offset, kind, index, addend in sorted(relocations, key=lambda r: r[0]):
        while position < len(kept) and offset >= kept[position].offset + kept[position].size:
            position += 1
        if position < len(kept) and offset >= kept[position].offset:
            changed.append((offset - kept[position].offset + moved[kept[position].offset], kind, index, addend))
        elif offset >= end:
            changed.append((offset - end + tail, kind, index, addend))
    section.content, section.size, section.records = bytes(out), len(out), changed


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
