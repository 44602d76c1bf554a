"""exec and uselib(2) for Linux a.out, as the kernels of 1993 (0.99pl9) and 2001 (2.4) did it.

Pages of the file are copied, not mapped: text begins at offset 1024 (ZMAGIC) or 32, which no mapping can bring to a page's start. All of a
program may be read, written and executed, page 0 included; null pointers can be read in these programs.

The stack, from high addresses to low (create_tables of fs/exec.c):

    0xc0000000  environment strings; argument strings; envp pointers, NULL; argv pointers, NULL; envp; argv; argc  <- stack pointer

Sources: fs/exec.c of Linux 0.99, fs/binfmt_aout.c of Linux 2.4 (load_aout_binary, load_aout_library).
"""

from __future__ import annotations

import errno
import os
import stat
import struct
from collections.abc import Sequence

from uselib.linker.errors import FormatError
from uselib.linker.historical.aout.format import HEADER_SIZE, ExecHeader, Magic, decode_header
from uselib.linker.image import Image, Machine
from uselib.loader.memory.address_space import PAGE, PROT_EXEC, PROT_READ, PROT_WRITE, AddressSpace, page_up
from uselib.loader.memory.layout import LAYOUT_1993
from uselib.loader.programs.binfmt import Format
from uselib.loader.programs.copied import fail, map_parts
from uselib.loader.programs.exec import MAX_ARGUMENT, Started, StartInfo

ALL = PROT_READ | PROT_WRITE | PROT_EXEC
MAX_ARGUMENTPAGES = 32
MAX_LIBRARIES = 16  # MAX_SHARED_LIBS of 0.99


def program_image(head: bytes, where: str, fd: int = -1) -> Image:
    """A program from its first bytes. Raises FormatError."""
    header = decode_header(head, where)
    return Image(Machine.I386, header.entry, header.segments(), None, (0, 0, 0), True)


def start_program(
    space: AddressSpace,
    image: Image,
    fd: int,
    name: str,
    arguments: Sequence[bytes],
    environment: Sequence[bytes],
    info: StartInfo,
) -> Started:
    """Maps a program and makes its stack. Raises OSError: ENOEXEC (shorter than its header says, with relocations, or over the
    stack), E2BIG, ENOMEM."""
    header = _header(fd)
    if header.text_relocations or header.data_relocations or os.fstat(fd).st_size < header.string_offset:
        raise fail(errno.ENOEXEC)
    started = _build_stack(space, image.entry, arguments, environment)
    space.start_brk(map_parts(space, image.segments, fd, name, occupied=errno.ENOEXEC))
    return started


def _build_stack(space: AddressSpace, entry: int, arguments: Sequence[bytes], environment: Sequence[bytes]) -> Started:
    top = space.layout.stack_top - 4  # copy_strings left the last word empty
    texts = [*arguments, *environment]
    total = sum(len(text) + 1 for text in texts)
    if total > MAX_ARGUMENTPAGES * PAGE - 4 or any(len(text) >= MAX_ARGUMENT for text in texts):
        raise fail(errno.E2BIG)
    position = bottom = top - total
    pointers = []
    for text in texts:
        pointers.append(position)
        position += len(text) + 1
    count = len(arguments)
    envp = (bottom & -4) - 4 * (len(environment) + 1)
    argv = envp - 4 * (count + 1)
    stack_pointer = argv - 12
    words = [count, argv, envp, *pointers[:count], 0, *pointers[count:], 0]
    size = page_up(top + 4 - stack_pointer) + 32 * PAGE
    space.map(top + 4 - size, size, ALL, placement="fixed", name="[stack]", grows_down=True)
    space.write(bottom, b"".join(text + b"\0" for text in texts))
    space.write(stack_pointer, struct.pack(f"<{len(words)}I", *words))
    return Started(entry, stack_pointer, (bottom, bottom + sum(len(text) + 1 for text in arguments)), (argv, envp))


def _header(fd: int) -> ExecHeader:
    """Raises OSError (ENOEXEC)."""
    try:
        return decode_header(os.pread(fd, HEADER_SIZE, 0), "")
    except FormatError:
        raise fail(errno.ENOEXEC) from None


def _load(space: AddressSpace, header: ExecHeader, fd: int, name: str) -> None:
    """Maps a library at its entry's page. One difference from the kernels, which mapped over whatever was there: an overlap is
    refused with EEXIST."""
    segments = header.segments(header.library_base())
    if (
        not segments or os.fstat(fd).st_size < header.string_offset
    ):  # text, data and symbols, though the kernel needs no symbols
        raise fail(errno.ENOEXEC)
    map_parts(space, segments, fd, name)


def load_library_099(space: AddressSpace, fd: int, name: str, loaded: int) -> None:
    """uselib(2) of Linux 0.99pl9, for a file that could be opened for reading. loaded: libraries the program has already.

    Raises OSError: EINVAL: 16 libraries already; EACCES: not a regular file; ENOEXEC: not ZMAGIC, relocations, entry not on a page boundary,
    shorter than its header says.
    """
    if loaded >= MAX_LIBRARIES:
        raise fail(errno.EINVAL)
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        raise fail(errno.EACCES)
    header = _header(fd)
    if header.magic is not Magic.ZMAGIC or header.text_relocations or header.data_relocations or header.entry & 0xFFF:
        raise fail(errno.ENOEXEC)
    _load(space, header, fd, name)


def load_library_24(space: AddressSpace, fd: int, name: str) -> None:
    """uselib(2) of Linux 2.4 for an a.out file, which may be read and executed (fs/binfmt_aout.c load_aout_library).

    Raises OSError: ENOEXEC: neither ZMAGIC nor QMAGIC, relocations, flags, a ZMAGIC entry not on a page boundary, shorter than its header says.
    """
    header = _header(fd)
    if not header.mapped or header.text_relocations or header.data_relocations or header.flags:
        raise fail(errno.ENOEXEC)
    if header.magic is Magic.ZMAGIC and header.entry & 0xFFF:
        raise fail(errno.ENOEXEC)
    _load(space, header, fd, name)


FORMAT = Format("aout", program_image, start_program, LAYOUT_1993, "1993")
