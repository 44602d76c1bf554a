"""Temporary: ELF header and program headers of an executable as an Image without symbols (until formats/elf_image.py)."""

from __future__ import annotations

import struct

from linker.errors import Diagnostic, FormatError
from linker.image import Image, Machine, Segment

_PT_LOAD, _PT_INTERP, _PT_TLS, _PT_GNU_STACK = 1, 3, 7, 0x6474E551


def read_headers(data: bytes, where: str) -> Image:
    def bad(message: str) -> FormatError:
        return FormatError(Diagnostic(where, message))

    try:
        if data[:4] != b"\x7fELF" or data[5] != 1 or data[4] not in (1, 2):
            raise bad("is not an ELF file for this kind of machine")
        wide = data[4] == 2
        kind, machine_number = struct.unpack_from("<HH", data, 16)
        machine = Machine(machine_number)
        if (machine is Machine.X86_64) != wide or kind != 2:
            raise bad("is not a static executable (ET_EXEC)")
        if wide:
            entry, table = struct.unpack_from("<QQ", data, 24)
            size, count = struct.unpack_from("<HH", data, 54)
        else:
            entry, table = struct.unpack_from("<II", data, 24)
            size, count = struct.unpack_from("<HH", data, 42)
        loads, tls, interpreter, executable_stack, phdr = [], None, "", True, 0
        for index in range(count):
            at = table + index * size
            if wide:
                t, flags, offset, address, _, file_size, memory_size, align = struct.unpack_from("<IIQQQQQQ", data, at)
            else:
                t, offset, address, _, file_size, memory_size, flags, align = struct.unpack_from("<IIIIIIII", data, at)
            segment = Segment(address, memory_size, offset, file_size, flags & 7, align)
            if t == _PT_LOAD:
                loads.append(segment)
                if offset <= table < offset + file_size:
                    phdr = address + table - offset
            elif t == _PT_TLS:
                tls = segment
            elif t == _PT_GNU_STACK:
                executable_stack = bool(flags & 1)
            elif t == _PT_INTERP:
                interpreter = data[offset : offset + file_size].rstrip(b"\0").decode("utf-8", "replace")
    except (struct.error, IndexError, ValueError):
        raise bad("is truncated or not an executable for i386 or x86-64") from None
    return Image(machine, entry, tuple(loads), tls, (phdr, size, count), executable_stack, interpreter, None, (), (), "", (), (), ())  # fmt: skip
