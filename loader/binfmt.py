"""The formats of programs, as the kernel's list of them: each recognises a file by its first bytes and knows how to start it.

Source: fs/exec.c (search_binary_handler), include/linux/binfmts.h of Linux.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from linker.errors import Diagnostic, FormatError
from linker.formats.aout import is_aout
from linker.formats.coff import is_coff
from linker.formats.textbook import is_object
from linker.image import Image
from loader import aout, coff, exec, textbook
from loader.address_space import AddressSpace
from loader.headers import read_headers
from loader.layout import LAYOUT_1993, LAYOUT_SVR3, LAYOUTS, Layout

Starter = Callable[..., exec.Started]


@dataclass(frozen=True)
class Format:
    """One format. read: first bytes and file name to an Image (raises FormatError); start: as exec.start_program.

    layout: where things go in memory, None for the machine's own. era: which kernel's interface its programs expect.
    libraries: paths of the libraries that the kernel maps with the program, from its open file; load_library: maps one. Both raise OSError.
    """

    name: str
    recognise: Callable[[bytes], bool]
    read: Callable[[bytes, str], Image]
    start: Starter
    layout: Layout | None = None
    era: str = "modern"
    libraries: Callable[[int], tuple[str, ...]] | None = None
    load_library: Callable[[AddressSpace, int, str], None] | None = None


def _start_coff(
    space: AddressSpace, image: Image, fd: int, name: str,
    arguments: Sequence[bytes], environment: Sequence[bytes], info: exec.StartInfo,
) -> exec.Started:  # fmt: skip
    started = exec.build_stack(space, image, arguments, environment, info)
    space.start_brk(coff.map_sections(space, image.segments, fd, name, "fixed"))
    return started


FORMATS = (
    Format("elf", lambda head: head.startswith(b"\x7fELF"), read_headers, exec.start_program),
    Format("aout", is_aout, aout.program_image, aout.start_program, LAYOUT_1993, "1993"),
    Format(
        "coff",
        is_coff,
        coff.program_image,
        _start_coff,
        LAYOUT_SVR3,
        libraries=coff.library_paths,
        load_library=coff.load_library,
    ),
    Format("textbook", is_object, textbook.program_image, textbook.start_program),
)


@dataclass(frozen=True)
class Program:
    """A recognised program."""

    format: Format
    image: Image

    def space(self, old: AddressSpace) -> AddressSpace:
        """An empty address space for it, under the limits of the one it replaces."""
        bits = 8 * self.image.machine.word
        return AddressSpace(
            bits, limit=old.limit, ceiling=old.ceiling, stack_limit=old.stack_limit,
            layout=self.format.layout or LAYOUTS[bits],
        )  # fmt: skip


def recognise(head: bytes, where: str) -> Program:
    """The program in a file, from its first page. Raises FormatError."""
    for known in FORMATS:
        if known.recognise(head):
            return Program(known, known.read(head, where))
    raise FormatError(Diagnostic(where, "is not a program: not ELF, a.out, COFF nor the textbook's format"))
