"""Programs that another file starts: PT_INTERP, a dynamic linker or a C library that is an executable.

The kernel maps the interpreter besides the program and enters it; the interpreter finds the program by the auxiliary vector
(AT_PHDR, AT_ENTRY) and itself by AT_BASE. Of the interpreter the kernel looks at its PT_LOADs only, so a PT_INTERP of its own
says nothing.

Errors are the kernel's: those of opening the file, EIO (shorter than an ELF header), ELIBBAD (not ELF, another machine, no
program headers), ENOEXEC (segments that cannot be mapped), with the sentence that the user gets.
Source: fs/binfmt_elf.c (load_elf_binary, load_elf_interp) of Linux.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from contextlib import closing
from functools import partial

from uselib.linker.errors import FormatError
from uselib.linker.image import Image
from uselib.linker.quick_dataclass import dataclass
from uselib.loader.memory.address_space import PAGE, AddressSpace
from uselib.loader.programs.headers import read_headers
from uselib.loader.programs.segments import load_segments

ELIBBAD = 80
_HEADER = 64  # bytes of an ELF header


@dataclass
class Opened:
    """An open file: descriptor and what its mappings are called."""

    fd: int
    label: str

    def close(self) -> None:
        os.close(self.fd)


Opener = Callable[[str], Opened]  # raises OSError


class InterpreterError(OSError):
    """A program's interpreter cannot be used. explanation: `its interpreter /lib/ld.so is for i386`; remedy: what to do, or empty."""

    def __init__(self, number: int, path: str, what: str, remedy: str = "") -> None:
        super().__init__(number, os.strerror(number))
        self.explanation = f"its interpreter {path} {what}"
        self.remedy = remedy


@dataclass(frozen=True)
class Interpreter:
    """A mapped interpreter: where the program starts, and AT_BASE."""

    entry: int
    base: int


def map_interpreter(space: AddressSpace, program: Image, opener: Opener) -> Interpreter:
    """Raises InterpreterError, MemoryCeiling."""
    path = program.interpreter
    try:
        opened = opener(path)
    except OSError as failure:
        raise _not_opened(failure, path) from None
    with closing(opened):
        status = os.fstat(opened.fd)
        if not stat.S_ISREG(status.st_mode) or not status.st_mode & 0o111:
            raise InterpreterError(errno.EACCES, path, "is not an executable file")
        page = os.pread(opened.fd, PAGE, 0)
        if len(page) < _HEADER:
            raise InterpreterError(errno.EIO, path, "is truncated")
        try:
            image = read_headers(page, opened.label, partial(os.pread, opened.fd))
        except FormatError as wrong:
            raise InterpreterError(ELIBBAD, path, wrong.diagnostics[0].message) from None
        if image.machine is not program.machine:
            what = f"is for {image.machine.label}, and the program for {program.machine.label}"
            raise InterpreterError(ELIBBAD, path, what)
        try:
            bias, _ = load_segments(space, image, opened.fd, opened.label, interpreter=True)
        except OSError as failure:
            number = failure.errno or errno.ENOEXEC
            what = "lies where something else is" if number == errno.EEXIST else "has segments that cannot be mapped"
            raise InterpreterError(number, path, what) from None
        return Interpreter(image.entry + bias, bias)


def _not_opened(failure: OSError, path: str) -> InterpreterError:
    number = failure.errno or errno.ENOENT
    if number in (errno.ENOENT, errno.ENOTDIR):
        return InterpreterError(
            number, path, "is not in the guest's tree", "run it with --root /, or --root DIR of its tree"
        )
    return InterpreterError(number, path, f"cannot be opened: {os.strerror(number)}")
