"""Digests of a function's code and a constant's bytes that do not depend on addresses, to find out whether code changed.

Without relocations (a fixed-address library has none) an address in code looks like any other four bytes, so these
are replaced where they would lead into the library: the rel32 of call, jmp and jcc that leaves the function, RIP-relative
displacements, and absolute addresses; by the name of the symbol that is there, or 0 if none is. A branch to a library that this
one was linked with is replaced by its target. Limits: of what has no symbol (strings, a procedure linkage table) only that
it is referred to is seen; a number that happens to be an address within the library is taken for one; offsets from the GOT in
position-independent i386 code are not recognised, so that code has no digest; a function is its own bytes, not what the
functions that it calls do; and another compiler makes other code of the same source.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256
from zlib import crc32

_WORD = struct.Struct("<i")
# Opcodes and ModRM bytes (mod 0, rm 5) that a rel32 or disp32 follows: call, jmp; the second byte of jcc; 05 0d 15 ... 3d.
_RELATIVE = re.compile(rb"[\xe8\xe9\x80-\x8f\x05\x0d\x15\x1d\x25\x2d\x35\x3d]")
_RELATIVE_I386 = re.compile(rb"[\xe8\xe9\x80-\x8f]")
_SIZE = 16  # bytes of a digest


class CodeDigest:
    """Digests of the functions of one library that occupies [low, high).

    names: symbols by address. rip: displacements may be RIP-relative (x86-64). fixed: absolute addresses may stand in the
    code. others: ranges of the libraries that it was linked with.
    """

    def __init__(
        self,
        low: int,
        high: int,
        names: Mapping[int, str],
        *,
        rip: bool,
        fixed: bool,
        others: Sequence[tuple[int, int]] = (),
    ) -> None:
        self._low, self._high, self._names, self._others = low, high, names, others
        self._pattern = _RELATIVE if rip else _RELATIVE_I386
        self._absolute = _absolute_pattern(low, high) if fixed and low else None

    def of(self, code: bytes, address: int) -> bytes:
        """The digest of a function's bytes, which lie at `address`; empty if there are none."""
        if not code:
            return b""
        masked = bytearray(code)
        last, low, high = len(code) - 5, self._low, self._high
        behind = 0  # of the field replaced last
        for match in self._pattern.finditer(code):
            at = match.start()
            if at > last:
                break
            if at < behind:
                continue
            byte = code[at]
            if 0x80 <= byte <= 0x8F and (not at or code[at - 1] != 0x0F):
                continue
            (relative,) = _WORD.unpack_from(code, at + 1)
            inside = at + 5 + relative
            if 0 <= inside < len(code):
                continue  # within the function
            target = address + inside
            if low <= target < high:
                masked[at + 1 : at + 5] = self._name(target)
                behind = at + 5
            elif any(start <= target < end for start, end in self._others):
                masked[at + 1 : at + 5] = (target & 0xFFFFFFFF).to_bytes(4, "little")
                behind = at + 5
        if self._absolute is not None:
            for match in self._absolute.finditer(code):
                at = match.start()
                target = int.from_bytes(code[at : at + 4], "little")
                if address <= target < address + len(code):
                    masked[at : at + 4] = (target - address).to_bytes(4, "little")
                elif low <= target < high:
                    masked[at : at + 4] = self._name(target)
        return sha256(masked).digest()[:_SIZE]

    def _name(self, target: int) -> bytes:
        name = self._names.get(target)
        return crc32(name.encode("utf-8", "surrogateescape")).to_bytes(4, "little") if name else bytes(4)


def _absolute_pattern(low: int, high: int) -> re.Pattern[bytes] | None:
    """Four bytes, the lowest first, that may be an address in [low, high): their highest two are compared."""
    if high > 1 << 32:
        return None
    first, last = low >> 16, (high - 1) >> 16
    if first >> 8 == last >> 8:
        third = f"[\\x{first & 255:02x}-\\x{last & 255:02x}]\\x{first >> 8:02x}"
    else:
        third = f".[\\x{first >> 8:02x}-\\x{last >> 8:02x}]"
    return re.compile(f"(?=..{third})".encode("ascii"), re.DOTALL)  # matches may overlap


def without_addresses(contents: bytes, address: int, word: int, low: int, high: int, relocated: Iterable[int]) -> bytes:
    """A datum's bytes with its pointers into the library set to 0: those at `relocated` addresses, and in a library with a
    fixed address (low > 0) every aligned word that is an address in [low, high)."""
    result = bytearray(contents)
    for at in relocated:
        offset = at - address
        if 0 <= offset < len(result):
            result[offset : offset + word] = bytes(min(word, len(result) - offset))
    if low:
        for offset in range(-address % word, len(result) - word + 1, word):
            if low <= int.from_bytes(result[offset : offset + word], "little") < high:
                result[offset : offset + word] = bytes(word)
    return bytes(result)
