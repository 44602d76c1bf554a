"""String tables of ELF files, read and written."""

from __future__ import annotations

from collections.abc import Iterable

from uselib.linker.errors import Diagnostic, FormatError


class StringTable:
    """Names by offset. Undecodable bytes survive a round trip (surrogateescape)."""

    __slots__ = ("_text", "_where", "data")

    def __init__(self, data: bytes, where: str) -> None:
        if data and data[-1]:
            raise FormatError(Diagnostic(where, "a string table does not end with NUL"))
        self.data = data
        self._text = data.decode("ascii") if data.isascii() else None
        self._where = where

    def __getitem__(self, offset: int) -> str:
        if self._text is not None:
            end = self._text.find("\0", offset)
            if end >= 0:
                return self._text[offset:end]
        else:
            end = self.data.find(b"\0", offset)
            if end >= 0:
                return self.data[offset:end].decode("utf-8", "surrogateescape")
        if not self.data and offset == 0:
            return ""
        raise FormatError(Diagnostic(self._where, f"a name at offset {offset:#x} lies outside the string table"))

    def many(self, offsets: Iterable[int]) -> list[str]:
        """The names at these offsets."""
        text = self._text
        if text is not None:
            end = text.index
            try:
                return [text[at : end("\0", at)] for at in offsets]
            except ValueError:  # a name has no end: the slow way says which
                pass
        return [self[at] for at in offsets]


class StringTableBuilder:
    """A string table under construction: each string once."""

    __slots__ = ("_offsets", "data")

    def __init__(self) -> None:
        self.data = bytearray(b"\0")
        self._offsets: dict[str, int] = {"": 0}

    def add(self, text: str) -> int:
        """The string's offset."""
        known = self._offsets.get(text)
        if known is None:
            known = self._offsets[text] = len(self.data)
            self.data += text.encode("utf-8", "surrogateescape") + b"\0"
        return known
