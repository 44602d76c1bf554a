"""Compressed sections of ELF files (SHF_COMPRESSED), decompressed. Source: System V ABI, chapter 4, "Compressed sections"."""

from __future__ import annotations

from struct import Struct

from uselib.linker.formats.elf import ElfClass, bad


def decompress(content: memoryview, elf_class: ElfClass, where: str) -> tuple[memoryview, int]:
    """The content and alignment of an SHF_COMPRESSED section (Elf_Chdr: type, [reserved,] size, alignment; then zlib)."""
    import zlib  # rarely needed

    wide = elf_class.word == 8
    record = Struct("<IIQQ" if wide else "<III")
    if len(content) < record.size:
        raise bad(where, "truncated compression header")
    fields = record.unpack_from(content)
    kind, size, alignment = fields[0], fields[-2], fields[-1]
    if kind not in (1, 2):
        raise bad(where, f"compressed by method {kind}; zlib and zstd are known", "compile with -gz=zlib or -gz=none")
    if size > 1 << 32:
        raise bad(where, f"its header says that it has {size:#x} bytes when decompressed: too many")
    if kind == 2:
        return memoryview(_zstd(bytes(content[record.size :]), size, where)), alignment
    try:
        engine = zlib.decompressobj()
        result = engine.decompress(content[record.size :], size + 1)
    except zlib.error as failure:
        raise bad(where, f"cannot be decompressed: {failure}") from None
    if len(result) != size:
        raise bad(where, f"has {len(result)} bytes when decompressed instead of {size}")
    return memoryview(result), alignment


def _zstd(data: bytes, size: int, where: str) -> bytes:
    from uselib.linker.formats import zstd  # rarely needed

    try:
        return zstd.decompress(data, size)
    except zstd.ZstdError as failure:
        raise bad(where, f"compressed by zstd: {failure}", "compile with -gz=zlib or -gz=none") from None
