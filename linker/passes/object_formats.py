"""Object files of other formats than ELF, translated where they are read: all passes behind it know ELF objects only."""

from __future__ import annotations

from importlib import import_module

from uselib.linker.formats.magic import format_of
from uselib.linker.quick_typing import Protocol, cast


class Translator(Protocol):
    """What linker/historical/NAME/to_elf.py is."""

    def to_elf(self, data: bytes, where: str) -> bytes:
        """Raises FormatError."""


def as_elf(data: bytes | memoryview, where: str) -> memoryview | None:
    """The object as ELF: itself if it is one; None if the data is not an object file. Raises FormatError if the object is damaged."""
    name = format_of(data[:32])
    if not name:
        return None
    if name == "elf":
        return memoryview(data)
    translator = cast(Translator, import_module(f"uselib.linker.historical.{name}.to_elf"))
    return memoryview(translator.to_elf(bytes(data), where))
