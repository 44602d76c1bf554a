"""String tables of ELF files, read and written."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import accumulate

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

    __slots__ = ("_many", "_offsets", "_searches", "data")

    def __init__(self) -> None:
        self.data = bytearray(b"\0")
        self._offsets: dict[str, int] = {"": 0}
        self._many: tuple[list[str], list[int]] | None = None  # of add_all, and not among _offsets
        self._searches = 0

    def add(self, text: str) -> int:
        """The string's offset."""
        known = self._offsets.get(text)
        if known is not None:
            return known
        encoded = text.encode("utf-8", "surrogateescape")
        if self._many is not None:
            found = self._found(text, encoded)
            if found is not None:
                return found
        known = self._offsets[text] = len(self.data)
        self.data += encoded + b"\0"
        return known

    def _found(self, text: str, encoded: bytes) -> int | None:
        """The offset of a string of add_all. A few are looked for in the data: a dictionary of all would be larger than the table."""
        assert self._many is not None
        self._searches += 1
        if self._searches > _MOST_SEARCHES:
            self._offsets.update(zip(*self._many, strict=True))
            self._many = None
            return self._offsets.get(text)
        at = self.data.find(b"\0" + encoded + b"\0")
        return at + 1 if at >= 0 else None

    def add_all(self, texts: list[str]) -> list[int]:
        """The offsets of many strings, which are added as `add` adds them one by one."""
        if self._many is not None or len(self._offsets) > 1 or "" in texts or len(set(texts)) < len(texts):
            return [self.add(text) for text in texts]
        data = "\0".join(texts).encode("utf-8", "surrogateescape")
        lengths = map(len, texts if data.isascii() else [text.encode("utf-8", "surrogateescape") for text in texts])
        places = list(accumulate((length + 1 for length in lengths), initial=len(self.data)))
        self.data += data + b"\0" * bool(texts)
        self._many = texts, places[: len(texts)]
        return self._many[1]


_MOST_SEARCHES = 32  # in the data of add_all
