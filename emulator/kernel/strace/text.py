"""C's notation of strings and numbers, as strace(1) writes them."""

from __future__ import annotations

_ESCAPES = {9: "\\t", 10: "\\n", 11: "\\v", 12: "\\f", 13: "\\r", 34: '\\"', 92: "\\\\"}


def quoted(data: bytes) -> str:
    """A C string literal, bytes outside ASCII in octal."""
    out = []
    for index, byte in enumerate(data):
        if byte in _ESCAPES:
            out.append(_ESCAPES[byte])
        elif 32 <= byte < 127:
            out.append(chr(byte))
        else:
            digit_follows = index + 1 < len(data) and 0x30 <= data[index + 1] <= 0x37
            out.append(f"\\{byte:03o}" if digit_follows else f"\\{byte:o}")
    return '"' + "".join(out) + '"'


def hexadecimal(value: int) -> str:
    return hex(value) if value else "0"
