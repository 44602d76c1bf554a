"""Sections that the linker itself adds: common variables, build-id, .eh_frame_hdr. (The GOT and its like: got.py.)"""

from __future__ import annotations

import struct
from contextlib import suppress
from importlib import import_module

from uselib.linker.errors import error
from uselib.linker.formats.elf import (
    SHF_ALLOC,
    SHF_TLS,
    SHF_WRITE,
    SHT_NOBITS,
    SHT_NOTE,
    SHT_PROGBITS,
    STT_COMMON,
    STT_OBJECT,
    STT_TLS,
)
from uselib.linker.options import Options
from uselib.linker.passes import eh_frame
from uselib.linker.passes.layout import Layout
from uselib.linker.passes.model import COMMON, MAX_ALIGNMENT, STRONG, InputSection
from uselib.linker.passes.properties import property_section
from uselib.linker.passes.resolution import Resolution


def allocate_commons(resolution: Resolution) -> list[InputSection]:
    """Gives every common symbol a place of its own in .bss (or .tbss)."""
    result = []
    for symbol in resolution.symbols.values():
        if symbol.rank != COMMON:
            continue
        thread = symbol.type == STT_TLS
        flags = SHF_ALLOC | SHF_WRITE | (SHF_TLS if thread else 0)
        alignment = symbol.alignment
        if alignment & (alignment - 1) or alignment > MAX_ALIGNMENT:
            where = symbol.file.where if symbol.file else ""
            raise error(
                where, f"a common symbol has alignment {alignment}, not a power of two up to 64 MiB", symbol=symbol.name
            )
        name = ".tcommon" if thread else "COMMON"
        section = InputSection(symbol.file, 0, name, SHT_NOBITS, flags, symbol.size, alignment)
        symbol.section, symbol.value, symbol.rank = section, 0, STRONG
        if symbol.type == STT_COMMON or not symbol.type:
            symbol.type = STT_OBJECT
        result.append(section)
    return result


def requested_sections(resolution: Resolution, options: Options) -> list[InputSection]:
    """What options or inputs ask for: --build-id, --eh-frame-hdr, whose contents come last (fill_eh_frame_header, seal); properties."""
    result = []
    if (section := property_section(resolution.files, resolution.machine, options.keywords)) is not None:
        result.append(section)
    if options.build_id:
        result.append(build_id_section(options.build_id))
    if options.package_metadata:
        result.append(_package_section(options.package_metadata))
    if options.eh_frame_hdr:
        frames = [section for section in resolution.allocated() if section.name == eh_frame.NAME]
        if frames:
            result.append(eh_frame_header(frames))
    return result


def _package_section(text: str) -> InputSection:
    """FDO_PACKAGING_METADATA: JSON that says which package a program comes from (systemd.io, "Package Metadata for Executable Files")."""
    descriptor = text.encode("utf-8", "surrogateescape") + b"\0"
    content = (
        struct.pack("<III", 4, len(descriptor), 0xCAFE1A7E) + b"FDO\0" + descriptor + b"\0" * (-len(descriptor) % 4)
    )
    return InputSection(None, 0, ".note.package", SHT_NOTE, SHF_ALLOC, len(content), 4, 0, content)


def build_id_section(style: str) -> InputSection:
    """NT_GNU_BUILD_ID (type 3): name "GNU", descriptor filled in by `seal`."""
    size = {"sha1": 20, "md5": 16}.get(style, len(style) // 2)
    descriptor = b"\0" * size if style in ("sha1", "md5") else bytes.fromhex(style)
    content = struct.pack("<III", 4, size, 3) + b"GNU\0" + descriptor + b"\0" * (-size % 4)
    return InputSection(None, 0, ".note.gnu.build-id", SHT_NOTE, SHF_ALLOC, len(content), 4, 0, content)


def seal(image: bytearray, layout: Layout, style: str) -> None:
    """Writes the digest of the whole output, its own field zero, into the build-id note."""
    section = layout.find(".note.gnu.build-id")
    if section is not None and style in ("sha1", "md5"):
        digest = _digest(image, style)
        image[section.offset + 16 : section.offset + 16 + len(digest)] = digest


_SMALL = 1 << 20  # bytes: OpenSSL takes longer to load than it then saves


def _digest(image: bytearray, style: str) -> bytes:
    """SHA-1 or MD5."""
    if len(image) < _SMALL:
        with suppress(ImportError):  # the modules that hashlib itself falls back on
            found: bytes = getattr(import_module(f"_{style}"), style)(image).digest()
            return found
    import hashlib

    return hashlib.new(style, image, usedforsecurity=False).digest()


def eh_frame_header(frames: list[InputSection]) -> InputSection:
    """.eh_frame_hdr of the right size; `fill_eh_frame_header` fills it after relocation."""
    size = 12 + 8 * eh_frame.count(frames)
    return InputSection(None, 0, eh_frame.HEADER, SHT_PROGBITS, SHF_ALLOC, size, 4, 0, b"\0" * size)


def fill_eh_frame_header(image: bytearray, layout: Layout) -> None:
    index, frames = layout.find(eh_frame.HEADER), layout.find(eh_frame.NAME)
    if index is None or frames is None:
        return
    data = bytes(image[frames.offset : frames.offset + frames.size])
    image[index.offset : index.offset + index.size] = eh_frame.header(
        data, frames.address, index.address, index.size, layout.machine.word
    )
