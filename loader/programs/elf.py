"""ELF programs, as exec knows them: ET_EXEC and ET_DYN, with and without an interpreter."""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from functools import partial

from uselib.linker.image import PAGE, Image
from uselib.linker.quick_dataclass import replace
from uselib.linker.quick_typing import TYPE_CHECKING
from uselib.loader.programs.binfmt import Format
from uselib.loader.programs.exec import Started, StartInfo, build_stack
from uselib.loader.programs.headers import program_scheme, read_headers
from uselib.loader.programs.segments import load_segments

if TYPE_CHECKING:
    from uselib.loader.memory.address_space import AddressSpace
    from uselib.loader.programs.interpreter import Opener


def read_program(head: bytes, where: str, fd: int = -1) -> Image:
    """As Format.read. Raises FormatError, OSError."""
    return read_headers(head, where, partial(os.pread, fd) if fd >= 0 else None)


def start_program(
    space: AddressSpace,
    image: Image,
    fd: int,
    name: str,
    arguments: Sequence[bytes],
    environment: Sequence[bytes],
    info: StartInfo,
) -> Started:
    """Maps the program and its interpreter, starts its heap, and makes its stack. `name`: what mappings of the file are called.
    Raises OSError, InterpreterError."""
    bias, end = load_segments(space, image, fd, name)
    layout = space.layout
    # A heap behind a static PIE would have what mmap gives above it: it goes where another program would be.
    space.start_brk((layout.program_base if image.relative and not image.interpreter else end) + layout.heap_gap)
    if not image.interpreter:
        return build_stack(space, image, arguments, environment, info, bias)
    from uselib.loader.programs import interpreter

    if info.opener is None:
        raise OSError(errno.ENOENT, os.strerror(errno.ENOENT))
    found = interpreter.map_interpreter(space, image, info.opener)
    started = build_stack(space, image, arguments, environment, info, bias, found.base)
    return replace(started, entry=found.entry)


def map_libraries(space: AddressSpace, image: Image, fd: int, opener: Opener) -> None:
    """As Format.map_libraries; most programs have nothing for exec to map, and their run imports nothing for it."""
    if image.interpreter or program_scheme(os.pread(fd, PAGE, 0)) is None:
        return
    from uselib.loader.programs import kernel_libraries

    kernel_libraries.map_libraries(space, image, fd, opener)


FORMAT = Format("elf", read_program, start_program, map_libraries=map_libraries)
