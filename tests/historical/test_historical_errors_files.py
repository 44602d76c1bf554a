"""Damaged a.out, COFF and textbook files where a kernel meets them: exec and uselib(2) fail with an errno, and never otherwise."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable

from hypothesis import given, settings
from hypothesis import strategies as st

from uselib.linker.errors import FormatError
from uselib.linker.historical.aout import format as aout
from uselib.linker.historical.aout.format import Aout, ExecHeader, Magic
from uselib.linker.historical.coff import format as coff
from uselib.linker.historical.textbook import format as textbook
from uselib.loader.memory.address_space import AddressSpace
from uselib.loader.memory.layout import LAYOUT_1993
from uselib.loader.programs import aout as aout_loader
from uselib.loader.programs import binfmt
from uselib.loader.programs import coff as coff_loader
from uselib.loader.programs import textbook as textbook_loader
from uselib.loader.programs.exec import StartInfo

TEXT = b"\x90" * 4096
PLACE = coff.CoffSection(".text", 0xA4000000, 64, coff.STYP_TEXT, TEXT[:64])
DATA = coff.CoffSection(".data", 0xA4400000, 8, coff.STYP_DATA, bytes(8))


def coff_file(magic: int, *sections: coff.CoffSection) -> bytes:
    optional = coff.OptionalHeader(magic, 64, 8, 0, sections[0].address, sections[0].address, sections[1].address)
    return coff.encode(coff.Coff(sections, (), optional, coff.F_EXEC), 4096)


LIBRARIES: dict[str, tuple[bytes, Callable[[AddressSpace, int], None]]] = {
    "a.out of 1993": (
        aout.encode(Aout(ExecHeader(Magic.ZMAGIC, 0, 0, bss=100, entry=0x60000000), TEXT, TEXT)),
        lambda space, fd: aout_loader.load_library_099(space, fd, "lib", 0),
    ),
    "a.out of 2001": (
        aout.encode(Aout(ExecHeader(Magic.QMAGIC, 0, 0, bss=100, entry=0x60000020), TEXT, TEXT)),
        lambda space, fd: aout_loader.load_library_24(space, fd, "lib"),
    ),
    "COFF": (coff_file(coff.LIBMAGIC, PLACE, DATA), lambda space, fd: coff_loader.load_library(space, fd, "lib")),
    "textbook": (
        textbook.encode(
            textbook.TextbookObject((textbook.TextbookSegment(".text", 0x60400000, 8, "RP", TEXT[:8]),), ())
        ),
        lambda space, fd: textbook_loader.load_library(space, fd, "lib"),
    ),
}
RECORDS = coff.encode_library("/shlib/libc_s") + coff.encode_library("/shlib/libm_s")
LOW = (
    coff.CoffSection(".text", 0x1000, 64, coff.STYP_TEXT, TEXT[:64]),
    coff.CoffSection(".data", 0x400000, 8, coff.STYP_DATA, bytes(8)),
)
LIB = coff.CoffSection(".lib", 0, len(RECORDS), coff.STYP_LIB, RECORDS, paddr=2)
PROGRAMS = {
    "OMAGIC": aout.encode(Aout(ExecHeader(Magic.OMAGIC, 0, 0, bss=100), TEXT, TEXT)),
    "ZMAGIC": aout.encode(Aout(ExecHeader(Magic.ZMAGIC, 0, 0, bss=100), TEXT, TEXT)),
    "COFF": coff_file(coff.ZMAGIC, *LOW, LIB),
    "textbook": textbook.encode(
        textbook.TextbookObject(
            (textbook.TextbookSegment(".text", 0x10000, 8, "RP", TEXT[:8]),),
            (textbook.TextbookSymbol("_start", 0x10000, 1),),
        )
    ),
}
KNOWN = {errno.ENOEXEC, errno.EEXIST, errno.ENOMEM, errno.EACCES, errno.EINVAL, errno.EPERM, *range(79, 84)}


def damaged(raw: bytes, draw: st.DataObject) -> bytes:
    """Up to four changed bytes, most of them in headers; perhaps cut off."""
    found = bytearray(raw)
    for _ in range(draw.draw(st.integers(0, 4))):
        limit = draw.draw(st.sampled_from((32, 200, len(found))))
        found[draw.draw(st.integers(0, min(limit, len(found)) - 1))] = draw.draw(st.integers(0, 255))
    return bytes(found[: draw.draw(st.sampled_from((len(found), len(found) // 2, 20, 31, 1030)))])


def opened(content: bytes) -> int:
    fd = os.memfd_create("damaged")
    os.write(fd, content)
    return fd


@settings(deadline=None)
@given(st.sampled_from(sorted(LIBRARIES)), st.data())
def test_damaged_libraries_at_uselib(kind: str, draw: st.DataObject) -> None:
    """Refused with one of the errors that the checks know, and then nothing has been mapped."""
    content, load = LIBRARIES[kind]
    fd = opened(damaged(content, draw))
    space = AddressSpace(32, layout=LAYOUT_1993)
    try:
        load(space, fd)
    except OSError as failure:
        assert failure.errno in KNOWN
        assert list(space) == []
    finally:
        os.close(fd)
        space.release()


@settings(deadline=None)
@given(st.sampled_from(sorted(PROGRAMS)), st.data())
def test_damaged_programs_at_exec(kind: str, draw: st.DataObject) -> None:
    content = damaged(PROGRAMS[kind], draw)
    fd = opened(content)
    try:
        known = binfmt.recognise(content[:4096], "p")
    except (FormatError, OSError):
        os.close(fd)
        return
    space = known.space(AddressSpace(32))
    try:
        if kind == "COFF":
            assert all(isinstance(path, str) for path in coff_loader.library_paths(fd))
        known.format.start(space, known.image, fd, "p", [b"p"], [b"A=1"], StartInfo(b"p", bytes(16), 1, 1))
    except OSError as failure:
        assert failure.errno in KNOWN
    finally:
        os.close(fd)
        space.release()
