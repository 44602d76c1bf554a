"""The formats of programs, as the kernel's list of them: each recognises a file by its first bytes and knows how to start it.

Source: fs/exec.c (search_binary_handler), include/linux/binfmts.h of Linux.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module

from uselib.linker.errors import Diagnostic, FormatError
from uselib.linker.formats.magic import format_of
from uselib.linker.image import Image
from uselib.linker.quick_dataclass import dataclass
from uselib.linker.quick_typing import TYPE_CHECKING
from uselib.loader.memory.address_space import AddressSpace
from uselib.loader.memory.layout import LAYOUTS, MemoryLayout, randomised
from uselib.loader.programs import exec

if TYPE_CHECKING:
    from uselib.loader.programs.interpreter import Opener

Starter = Callable[..., exec.Started]


@dataclass(frozen=True)
class Format:
    """One format. read: first bytes, file name and open file (-1: there are only these bytes) to an Image (raises FormatError, OSError);
    start: as elf.start_program.

    layout: where things go in memory, None for the machine's own. era: whose interface its programs expect, by the emulator's name of it.
    map_libraries: maps the libraries that the kernel brings with a program, which is mapped already and whose file is open; raises
    OSError, whose filename is the library it is about.
    """

    name: str
    read: Callable[[bytes, str, int], Image]
    start: Starter
    layout: MemoryLayout | None = None
    era: str = "modern"
    map_libraries: Callable[[AddressSpace, Image, int, Opener], None] | None = None


@dataclass(frozen=True)
class RecognisedProgram:
    """A recognised program."""

    format: Format
    image: Image

    def space(self, old: AddressSpace, random: Callable[[int], int] | None = None) -> AddressSpace:
        """An empty address space for it, under the limits of the one it replaces. random: as layout.randomised; None: places are fixed."""
        bits = 8 * self.image.machine.word
        layout = self.format.layout or LAYOUTS[bits]
        space = AddressSpace(
            bits,
            limit=old.limit,
            ceiling=old.ceiling,
            stack_limit=old.stack_limit,
            layout=layout if random is None or self.format.layout else randomised(layout, random),
        )
        space.data_limit, space.lock_limit = old.data_limit, old.lock_limit
        return space


def recognise(head: bytes, where: str, fd: int = -1) -> RecognisedProgram:
    """The program in a file, from its first page. fd: the file, for what lies elsewhere in it. Raises FormatError, OSError."""
    name = format_of(head)
    if name:  # a format's code is imported when a file of it is met
        known: Format = import_module(f"uselib.loader.programs.{name}").FORMAT
        return RecognisedProgram(known, known.read(head, where, fd))
    raise FormatError(Diagnostic(where, "is not a program: not ELF, a.out, COFF nor the textbook's format"))
