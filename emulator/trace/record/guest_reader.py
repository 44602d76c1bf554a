"""GuestReader: copies of guest memory for the recorder in Python, through mappings that it remembers until they change."""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Callable

from uselib.emulator.trace.record.backend import NO_LIMIT, Mapping


class GuestReader:
    """resolve: see backend.Helpers."""

    def __init__(self, bits: int, resolve: Callable[[int], Mapping | None]) -> None:
        self._word = bits // 8
        self._resolve = resolve
        self._mappings: list[Mapping] = []

    def find(self, address: int) -> Mapping | None:
        """The mapping around an address."""
        for mapping in self._mappings:
            if mapping.start <= address < mapping.end:
                return mapping
        found = self._resolve(address)
        if found is not None:
            self._mappings.append(found)
        return found

    def copy(self, address: int, size: int) -> bytes:
        """Up to `size` bytes, as far as they can be read."""
        out = b""
        while len(out) < size:
            mapping = self.find(address + len(out) & NO_LIMIT)
            if mapping is None:
                break
            at = address + len(out) & NO_LIMIT
            out += ctypes.string_at(at + mapping.delta, min(mapping.end - at, size - len(out)))
        return out

    def words(self, address: int, count: int) -> list[int]:
        """Words of the machine; zero where nothing can be read."""
        size = self._word * count
        data = self.copy(address, size).ljust(size, b"\0")
        return list(struct.unpack(f"<{count}{'Q' if self._word == 8 else 'I'}", data))

    def forget(self) -> None:
        self._mappings.clear()
