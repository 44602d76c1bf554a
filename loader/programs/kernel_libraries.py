"""What exec maps besides an ELF program of scheme `kernel`: its libraries.

Scheme `kernel` does for ELF what the kernel of System V Release 3 did for COFF (loader/programs/coff.py): before the program starts,
each library of its list is mapped where it was linked, from the directories recorded in the program (/shlib if none are), under
the file name recorded; then the libraries that those depend on. The kernel looks at no environment and at no versions: start-up
code in the program checks them, in memory. The program's mark is the note NT_SCHEME, on the first page of its file; it leads to
its struct uselib_program (runtime/include/uselib.h), whose first words are the recorded path and the list. Segments are those
of NT_LIBRARY: text R-X, data RW-.

Errors: ELIBACC a library is in none of the directories or may not be read and executed; ELIBBAD it is damaged, no library or for another
machine; ELIBSCN the program's list is damaged; ELIBMAX too many libraries. A library that overlaps another mapping is EEXIST,
where kernels mapped over what was there.
"""

from __future__ import annotations

import errno
import os
import stat
import struct
from contextlib import closing

from uselib.linker.image import PAGE, Image, LibraryHeader
from uselib.linker.versions import names_library
from uselib.loader.memory.address_space import AddressSpace, MemoryFault
from uselib.loader.programs.headers import library_header, program_scheme
from uselib.loader.programs.interpreter import Opened, Opener
from uselib.loader.programs.segments import map_segment, prot_of

ELIBACC, ELIBBAD, ELIBSCN, ELIBMAX = 79, 80, 81, 82
MAX_LIBRARIES = 64  # as many as start-up code has room for
KERNEL = 3  # USELIB_SCHEME_KERNEL
_PATH_MAX = 4096


def _fail(number: int, path: str = "") -> OSError:
    return OSError(number, os.strerror(number), path) if path else OSError(number, os.strerror(number))


def map_libraries(space: AddressSpace, program: Image, fd: int, opener: Opener) -> None:
    """Maps what belongs to the program in `fd`, which is mapped already. Raises OSError, with the library's path as its
    filename if it is about one."""
    mark = program_scheme(os.pread(fd, PAGE, 0))
    if mark is not None and mark[0] == KERNEL:
        names, directories = _needed(space, program.machine.word, mark[1])
        _map_all(space, program, names, directories, opener)


def _needed(space: AddressSpace, word: int, address: int) -> tuple[list[str], list[str]]:
    """The names of the program's list, and the directories to look in. Raises OSError: ELIBSCN, ELIBMAX."""
    try:
        path, _, start, end = struct.unpack("<4I" if word == 4 else "<4Q", space.read(address, 4 * word))
        directories = os.fsdecode(space.read_string(path, _PATH_MAX)) if path else "/shlib"
        names: list[str] = []
        while start < end:
            raw = space.read_string(start, _PATH_MAX)
            if not raw:
                return names, directories.split(":")
            names.append(os.fsdecode(raw))
            start += len(raw) + 1
            if len(names) > MAX_LIBRARIES:
                raise _fail(ELIBMAX)
    except MemoryFault:
        raise _fail(ELIBSCN) from None
    except OSError as failure:
        raise _fail(failure.errno if failure.errno == ELIBMAX else ELIBSCN) from None
    raise _fail(ELIBSCN)  # the list has no end


def _map_all(space: AddressSpace, program: Image, names: list[str], directories: list[str], opener: Opener) -> None:
    """The list grows by the libraries that mapped ones depend on. One is known by its name without version, as in start-up."""
    known: list[LibraryHeader] = []
    wanted = list(names)
    for name in wanted:
        if any(names_library(name, header.identity.name) for header in known):
            continue
        if len(known) == MAX_LIBRARIES:
            raise _fail(ELIBMAX, name)
        with closing(_open(name, directories, opener)) as opened:
            header = _map_library(space, program, opened)
        known.append(header)
        wanted += header.dependencies


def _open(name: str, directories: list[str], opener: Opener) -> Opened:
    """Raises OSError (ELIBACC)."""
    paths = [name] if "/" in name else [os.path.join(directory or ".", name) for directory in directories]
    for path in paths:
        try:
            opened = opener(path)
        except OSError:
            continue
        status = os.fstat(opened.fd)
        if stat.S_ISREG(status.st_mode) and status.st_mode & 0o111:
            return opened
        opened.close()
    raise _fail(ELIBACC, paths[0])


def _map_library(space: AddressSpace, program: Image, opened: Opened) -> LibraryHeader:
    """Raises OSError: ELIBBAD; EEXIST for an overlap."""
    header = library_header(os.pread(opened.fd, PAGE, 0), opened.label)
    size = os.fstat(opened.fd).st_size
    if header is None or header.machine is not program.machine or not header.segments:
        raise _fail(ELIBBAD, opened.label)
    who = header.identity
    for part in header.segments:
        inside = who.base <= part.address and part.end <= who.end
        if not inside or part.offset + part.file_size > size or who.end > space.layout.top:
            raise _fail(ELIBBAD, opened.label)
    for part in header.segments:
        try:
            map_segment(space, part, opened.fd, opened.label, prot_of(part.flags), "noreplace")
        except OSError as failure:
            raise _fail(ELIBBAD if failure.errno == errno.ENOEXEC else failure.errno or ELIBBAD, opened.label) from None
    return header
