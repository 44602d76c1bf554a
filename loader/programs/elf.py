"""ELF programs, as exec knows them."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from uselib.linker.image import PAGE, Image
from uselib.loader.programs.binfmt import Format
from uselib.loader.programs.exec import start_program
from uselib.loader.programs.headers import program_scheme, read_headers

if TYPE_CHECKING:
    from uselib.loader.memory.address_space import AddressSpace
    from uselib.loader.programs.kernel_libraries import Opener


def map_libraries(space: AddressSpace, image: Image, fd: int, opener: Opener) -> int | None:
    """As Format.map_libraries; most programs have nothing for exec to map, and their run imports nothing for it."""
    if not image.interpreter and program_scheme(os.pread(fd, PAGE, 0)) is None:
        return None
    from uselib.loader.programs import kernel_libraries

    return kernel_libraries.map_libraries(space, image, fd, opener)


FORMAT = Format("elf", read_headers, start_program, map_libraries=map_libraries)
