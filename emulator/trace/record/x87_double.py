"""An 80-bit number of the x87 unit as a double: the arithmetic of native/records.h."""

from __future__ import annotations

import struct

from uselib.emulator.trace.record.backend import NO_LIMIT


def double_of_x87(raw: bytes) -> int:
    """The bits of the double that an 80-bit number rounds to; less than a normal double becomes 0."""
    mantissa, top = struct.unpack("<QH", raw[:10])
    sign, exponent = (top >> 15) << 63, top & 0x7FFF
    if exponent == 0x7FFF:
        return int(sign | (0x7FF8_0000_0000_0000 if mantissa << 1 & NO_LIMIT else 0x7FF0_0000_0000_0000))
    if not mantissa:
        return int(sign)
    (bits,) = struct.unpack("<Q", struct.pack("<d", float(mantissa)))
    scaled = (bits >> 52) + exponent - 16383 - 63
    if scaled >= 0x7FF:
        return int(sign | 0x7FF0_0000_0000_0000)
    if scaled <= 0:
        return int(sign)
    return int(sign | scaled << 52 | bits & 0xF_FFFF_FFFF_FFFF)
