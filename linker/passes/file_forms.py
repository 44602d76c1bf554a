"""Other forms of the finished file: debug information compressed, no section headers, the loaded bytes alone."""

from __future__ import annotations

import struct
import zlib

from uselib.linker.errors import error
from uselib.linker.formats import elf, zstd
from uselib.linker.formats.elf import SHF_ALLOC, SHF_COMPRESSED, SHT_NOBITS
from uselib.linker.image import Machine
from uselib.linker.passes.layout import Layout, align
from uselib.linker.passes.writer import MAX_SIZE

_METHODS = {"zlib": 1, "zstd": 2}  # ch_type


def compress_debug(image: bytearray, layout: Layout, method: str) -> None:
    """--compress-debug-sections: packs what becomes smaller, and moves what lies behind. The image ends with section contents, those that
    are not loaded last. Raises LinkError."""
    rest = [section for section in layout.sections if not section.flags & SHF_ALLOC]
    if not rest:
        return
    contents = [bytes(image[s.offset : s.offset + s.size]) if s.type != SHT_NOBITS else b"" for s in rest]
    del image[rest[0].offset :]
    wide = layout.machine is Machine.X86_64
    for section, content in zip(rest, contents, strict=True):
        if section.name.startswith(".debug_") and content:
            header = (
                (_METHODS[method], 0, len(content), section.alignment)
                if wide
                else (_METHODS[method], len(content), section.alignment)
            )
            packed = struct.pack("<IIQQ" if wide else "<III", *header) + _packed(content, method, section.name)
            if len(packed) < len(content):
                content, section.alignment = packed, elf.class_of(layout.machine).word
                section.flags, section.size = section.flags | SHF_COMPRESSED, len(packed)
        section.offset = align(len(image), section.alignment)
        image += bytes(section.offset - len(image)) + content


def _packed(content: bytes, method: str, name: str) -> bytes:
    if method == "zlib":
        return zlib.compress(content)
    try:
        return zstd.compress(content)
    except zstd.ZstdError as failure:
        raise error("ld", f"{name}: zstd: {failure}", symbol="--compress-debug-sections", remedy="take zlib") from None


def without_section_headers(image: bytearray, layout: Layout) -> None:
    """-z nosectionheader: the file ends where what is loaded does."""
    loaded = [s.offset + s.size for s in layout.sections if s.flags & SHF_ALLOC and s.type != SHT_NOBITS]
    header = elf.class_of(layout.machine).header
    fields = list(header.unpack_from(image))
    fields[6] = fields[11] = fields[12] = fields[13] = 0  # e_shoff, e_shentsize, e_shnum, e_shstrndx
    header.pack_into(image, 0, *fields)
    del image[max(loaded, default=header.size) :]


def flat_image(image: bytearray, layout: Layout) -> bytearray:
    """--oformat binary: the loaded bytes, from the lowest address of a section with contents to the highest. Raises LinkError."""
    loaded = [s for s in layout.sections if s.flags & SHF_ALLOC and s.type != SHT_NOBITS and s.size]
    if not loaded:
        return bytearray()
    start, end = min(s.address for s in loaded), max(s.end for s in loaded)
    if end - start > MAX_SIZE:
        raise error(
            "ld", f"the output would have {end - start:#x} bytes; the limit is {MAX_SIZE:#x}", symbol="--oformat binary"
        )
    result = bytearray(end - start)
    for section in loaded:
        at = section.address - start
        result[at : at + section.size] = image[section.offset : section.offset + section.size]
    return result
