"""uselib(2): maps a fixed-address library, as load_elf_library of fs/binfmt_elf.c did until it was compiled out.

The library is ET_EXEC for this machine with at most two program headers, exactly one of them PT_LOAD; it is mapped
readable, writable and executable where it was linked, and its bss behind it. One difference from the kernel, which
mapped over whatever was there: a library that overlaps a mapping is refused with EEXIST.
"""

from __future__ import annotations

import errno
import os

from uselib.linker.image import Image
from uselib.loader.memory.address_space import PROT_EXEC, PROT_READ, PROT_WRITE, AddressSpace, page_up
from uselib.loader.programs.segments import map_segment

MAX_HEADERS = 2


def _fail(number: int) -> OSError:
    return OSError(number, os.strerror(number))


def load_library(space: AddressSpace, image: Image, fd: int, name: str, bits: int) -> None:
    """Maps the library. `image` may come from headers alone. Raises OSError: ENOEXEC, EEXIST, ENOMEM, EPERM."""
    if (
        image.relative
        or image.machine.word * 8 != bits
        or image.program_headers[2] > MAX_HEADERS
        or len(image.segments) != 1
    ):
        raise _fail(errno.ENOEXEC)
    (segment,) = image.segments
    if segment.offset + segment.file_size > page_up(os.fstat(fd).st_size):
        raise _fail(errno.ENOEXEC)
    map_segment(space, segment, fd, name, PROT_READ | PROT_WRITE | PROT_EXEC, placement="noreplace")
