"""ELF programs, as exec knows them."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from linker.image import PAGE, Image
from loader.binfmt import Format
from loader.exec import start_program
from loader.headers import program_scheme, read_headers

if TYPE_CHECKING:
    from loader.address_space import AddressSpace
    from loader.kernel_libraries import Opener


def map_libraries(space: AddressSpace, image: Image, fd: int, opener: Opener) -> int | None:
    """As Format.map_libraries; most programs have nothing for exec to map, and their run imports nothing for it."""
    if not image.interpreter and program_scheme(os.pread(fd, PAGE, 0)) is None:
        return None
    from loader import kernel_libraries

    return kernel_libraries.map_libraries(space, image, fd, opener)


FORMAT = Format("elf", read_headers, start_program, map_libraries=map_libraries)
