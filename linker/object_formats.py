"""Object files of other formats than ELF, translated where they are read: all passes behind it know ELF objects only."""

from __future__ import annotations

from linker.formats import aout, aout_object, coff, coff_object, elf, textbook, textbook_object


def as_elf(data: bytes | memoryview, where: str) -> memoryview | None:
    """The object as ELF: itself if it is one; None if the data is no object file. Raises FormatError if it is a damaged one."""
    if data[:4] == elf.MAGIC:
        return memoryview(data)
    head = bytes(data[:32])
    if aout.is_aout(head):
        return memoryview(aout_object.to_elf(bytes(data), where))
    if textbook.is_object(head):
        return memoryview(textbook_object.to_elf(bytes(data), where))
    if coff.is_coff(head):
        return memoryview(coff_object.to_elf(bytes(data), where))
    return None
