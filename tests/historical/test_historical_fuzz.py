"""Hostile files of the historical formats, in process: exec, uselib(2), the linker and readers of archives give clear errors, take no memory
for sizes that a damaged header has, and a library that is refused leaves nothing mapped.
"""

from __future__ import annotations

import errno
import os
import struct
import tracemalloc
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from uselib.linker.errors import FormatError, ToolError
from uselib.linker.formats import ar
from uselib.linker.historical.aout import format as aout
from uselib.linker.historical.aout import stub as aout_stub
from uselib.linker.historical.aout import to_elf as aout_object
from uselib.linker.historical.aout.control import read_control
from uselib.linker.historical.aout.format import N_ABS, N_DATA, N_EXT, N_INDR, N_SETD, N_TEXT, Aout, ExecHeader, Magic
from uselib.linker.historical.aout.program import AoutProgram
from uselib.linker.historical.coff import check as coff_check
from uselib.linker.historical.coff import format as coff
from uselib.linker.historical.coff import to_elf as coff_object
from uselib.linker.historical.coff.program import CoffProgram
from uselib.linker.historical.textbook import to_elf as textbook_object
from uselib.linker.historical.textbook.link import TextbookProgram
from uselib.linker.link import LinkJob, link
from uselib.linker.options import InputArgument, Options
from uselib.linker.passes.object_formats import as_elf
from uselib.loader.memory.address_space import AddressSpace
from uselib.loader.memory.layout import LAYOUT_1993, LAYOUT_SVR3
from uselib.loader.programs import aout as exec_aout
from uselib.loader.programs import coff as exec_coff
from uselib.loader.programs import textbook as exec_textbook
from uselib.loader.programs.binfmt import recognise
from uselib.loader.programs.exec import Started, StartInfo
from uselib.loader.programs.interpreter import Opened

BASE = 0x60000000
PEAK = 8 << 20  # bytes: more than reading any of these small files takes, less than any claim
QUICK = settings(
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture], deadline=None, max_examples=60
)
START_ERRORS = {errno.ENOEXEC, errno.ENOMEM, errno.EPERM, errno.EEXIST, *range(79, 84)}  # ELIBACC ... ELIBEXEC

# -- small good files ------------------------------------------------------------------------------------------------------

PAGE_OF_CODE = b"\xc3".ljust(4096, b"\0")
A_PROGRAM = aout.encode(Aout(ExecHeader(Magic.ZMAGIC, 0, 0, bss=64), PAGE_OF_CODE, bytes(4096)))
A_LIBRARY = aout.encode(
    Aout(
        ExecHeader(Magic.ZMAGIC, 0, 0, bss=64, entry=BASE),
        b"\x01\0\1\0\0\0\0\0\xe9\3\0\0\0\0\0\0".ljust(4096, b"\xc3"),
        bytes(4096),
    )
)
A_OBJECT = aout.encode(
    Aout(
        ExecHeader(Magic.OMAGIC, 0, 0, bss=16),
        bytes(32),
        bytes(8),
        (
            aout.AoutRelocation(4, 0, True),
            aout.AoutRelocation(8, N_DATA, False),
            aout.AoutRelocation(12, 1, True, relative=True),
        ),
        (aout.AoutRelocation(0, N_TEXT, False),),
        (
            aout.AoutSymbol("_main", N_TEXT | N_EXT),
            aout.AoutSymbol("_common", N_EXT, 8),
            aout.AoutSymbol("___SET", N_SETD | N_EXT, 36),
            aout.AoutSymbol("_alias", N_INDR | N_EXT),
            aout.AoutSymbol("_main", N_EXT),
            aout.AoutSymbol("x.c", 0x64),
        ),
    )
)
F_PROGRAM = coff.F_EXEC | coff.F_RELFLG | coff.F_AR32WR


def coff_file(magic: int, *sections: coff.CoffSection, entry: int = 0xD0, flags: int = F_PROGRAM) -> bytes:
    return coff.encode(coff.Coff(sections, (), coff.OptionalHeader(magic, entry=entry), flags), 4096)


RECORD = coff.encode_library("/shlib/libx_s")
C_TEXT = coff.CoffSection(".text", 0xD0, 64, coff.STYP_TEXT, b"\xc3" * 64)
C_DATA = coff.CoffSection(".data", 0x400110, 16, coff.STYP_DATA, bytes(16))
C_BSS = coff.CoffSection(".bss", 0x400120, 64, coff.STYP_BSS)
C_LIB = coff.CoffSection(".lib", 0, len(RECORD), coff.STYP_LIB, RECORD, paddr=1)
C_PROGRAM = coff_file(coff.ZMAGIC, C_TEXT, C_DATA, C_BSS, C_LIB)
C_LIBRARY = coff_file(coff.LIBMAGIC, replace(C_TEXT, address=0xA4000000), replace(C_BSS, address=0xA4400000))
C_OBJECT = coff.encode(
    coff.Coff(
        (
            replace(
                C_TEXT,
                address=0,
                relocations=(coff.CoffRelocation(4, 0, coff.R_DIR32), coff.CoffRelocation(8, 1, coff.R_PCRLONG)),
            ),
            replace(C_BSS, address=64),
        ),
        (
            coff.CoffSymbol("main", 0, 1),
            coff.CoffSymbol("common", 8, 0),
            coff.CoffSymbol("abs", 0x1234, coff.N_ABS),
            coff.CoffSymbol("_a_long_name", 4, 1),
        ),
    )
)
T_PROGRAM = b"LINK\n2 1 0\n.text 10000 4 RP\n.bss 12000 10 RW\n_start 10000 1 D\nc3000000\n"
T_LIBRARY = b"LINK\n2 1 0\n.text 61000000 4 RP\n.data 61002000 4 RWP\nf 61000000 1 D\nc3000000\n01020304\n"
T_OBJECT = (
    b"LINK\n2 3 2\n.text 1000 8 RP\n"
    b".bss 2000 10 RW\nmain 1000 1 D\ng 20 0 U\n_start 1000 1 D\n1000 1 2 AS4\n1004 1 1 R4\n0000000000000000\n"
)
PROGRAMS = {"a.out": A_PROGRAM, "COFF": C_PROGRAM, "textbook": T_PROGRAM}
LIBRARIES = {"a.out": A_LIBRARY, "COFF": C_LIBRARY, "textbook": T_LIBRARY}
OBJECTS = {"a.out": A_OBJECT, "COFF": C_OBJECT, "textbook": T_OBJECT}
KINDS = {"a.out": AoutProgram, "COFF": CoffProgram, "textbook": TextbookProgram}


def mutated(draw: st.DataObject, good: bytes) -> bytes:
    """Changes of bytes and words, mostly at the front, where headers are; then perhaps a cut."""
    raw = bytearray(good)
    words = st.sampled_from((0, 1, 0xFFFFFFFF, 0x80000000, 0x7FFFFFFF, 0xFFFFF000, 0xBFFFF000, 0x10000000, len(good)))
    for _ in range(draw.draw(st.integers(1, 4))):
        at = draw.draw(st.integers(0, min(len(raw), 300) - 4))
        if draw.draw(st.booleans()):
            raw[at] = draw.draw(st.integers(0, 255))
        else:
            raw[at & -4 : (at & -4) + 4] = draw.draw(words).to_bytes(4, "little")
    return bytes(raw[: draw.draw(st.integers(0, len(raw)))]) if draw.draw(st.integers(0, 4)) == 0 else bytes(raw)


@contextmanager
def little_memory():
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < PEAK
    finally:
        tracemalloc.stop()


@contextmanager
def opened(folder: Path, data: bytes):
    path = folder / "file"
    path.write_bytes(data)
    fd = os.open(path, os.O_RDONLY)
    try:
        yield fd
    finally:
        os.close(fd)


# -- exec ------------------------------------------------------------------------------------------------------------------


def start(folder: Path, data: bytes, library: bytes = C_LIBRARY) -> Started:
    """What exec does with a file, up to the first instruction. Raises FormatError, OSError."""
    known = recognise(data[:4096], "file")
    (folder / "library").write_bytes(library)
    with opened(folder, data) as fd, closing_space(known.space(AddressSpace(32))) as space:
        started = known.format.start(
            space, known.image, fd, "file", [b"file"], [b"A=b"], StartInfo(b"/file", bytes(16))
        )
        if known.format.map_libraries is not None:
            known.format.map_libraries(
                space, known.image, fd, lambda path: Opened(os.open(folder / "library", os.O_RDONLY), path)
            )
        argc = space.read(started.stack_pointer, 4)
        assert argc == b"\1\0\0\0"  # nothing lies over the stack
        space.set_brk(space.brk_start + 4096)
        return started


@contextmanager
def closing_space(space: AddressSpace):
    try:
        yield space
    finally:
        space.release()


def test_the_good_files_are_good(tmp_path: Path) -> None:
    assert [start(tmp_path, data).entry for data in PROGRAMS.values()] == [0, 0xD0, 0x10000]


@QUICK
@given(st.sampled_from(sorted(PROGRAMS)), st.data())
def test_exec_of_damaged_programs(tmp_path: Path, name: str, draw: st.DataObject) -> None:
    with little_memory():
        try:
            start(tmp_path, mutated(draw, PROGRAMS[name]))
        except FormatError as failure:
            assert str(failure).startswith("file")
        except OSError as failure:
            assert failure.errno in START_ERRORS, failure


@QUICK
@given(st.data())
def test_exec_with_a_damaged_library(tmp_path: Path, draw: st.DataObject) -> None:
    with little_memory():
        try:
            start(tmp_path, C_PROGRAM, mutated(draw, C_LIBRARY))
        except OSError as failure:
            assert failure.errno in {80, errno.EEXIST}, failure  # ELIBBAD


def header(data: bytes, /, **fields: int) -> bytes:
    """An a.out file with other fields in its header."""
    return replace(aout.decode_header(data, "x"), **fields).encode() + data[32:]


def sections(*parts: coff.CoffSection, magic: int = coff.ZMAGIC) -> bytes:
    return coff_file(magic, *parts)


BAD_PROGRAMS: dict[str, tuple[bytes, int]] = {
    "text that the file has not": (header(A_PROGRAM, text=0xFFFFF000), errno.ENOEXEC),
    "data that the file has not": (header(A_PROGRAM, data=0xFFFFF000), errno.ENOEXEC),
    "sizes that wrap": (header(A_PROGRAM, text=0x80000000, data=0x80000000), errno.ENOEXEC),
    "bss up to 4 GiB": (header(A_PROGRAM, bss=0xFFFFFFFF), errno.ENOEXEC),
    "bss over the stack": (header(A_PROGRAM, bss=0xC0000000 - 0x3000), errno.ENOEXEC),
    "symbols that the file has not": (header(A_PROGRAM, symbols=12), errno.ENOEXEC),
    "relocations": (header(A_PROGRAM, text_relocations=8), errno.ENOEXEC),
    "nothing": (header(A_PROGRAM, text=0, data=0, bss=0), errno.ENOEXEC),
    "COFF text of 4 GiB": (sections(replace(C_TEXT, size=0xFFFFF000)), errno.ENOEXEC),
    "COFF bss of 4 GiB": (sections(C_TEXT, replace(C_BSS, size=0xFFFFF000)), errno.ENOEXEC),
    "COFF sections over each other": (sections(C_TEXT, replace(C_DATA, address=0xE0)), errno.ENOEXEC),
    "COFF bss over the stack": (sections(C_TEXT, replace(C_BSS, address=0x7FFFF000)), errno.ENOEXEC),
    "COFF text over the kernel": (sections(replace(C_TEXT, address=0xFFFFFFF0)), errno.ENOEXEC),
    "COFF without sections to load": (sections(replace(C_LIB, flags=coff.STYP_INFO)), errno.ENOEXEC),
    ".lib of 4 GiB": (sections(C_TEXT, replace(C_LIB, size=0xFFFFFFFC)), 81),  # ELIBSCN
    "textbook bss of 256 MiB, many times": (
        b"LINK\n17 0 0\n.text 10000 4 RP\n"
        + b"".join(b"b%d %x 10000000 RW\n" % (n, 0x10000000 * n) for n in range(16))
        + b"c3000000\n",
        errno.ENOEXEC,
    ),
    "textbook segments over each other": (b"LINK\n2 0 0\na 10000 4 RP\nb 10002 4 RW\nc3000000\n", errno.ENOEXEC),
    "textbook bss over the stack": (b"LINK\n2 0 0\na 10000 4 RP\nb ffffd000 1000 RW\nc3000000\n", errno.ENOEXEC),
    "textbook bss over the GDT": (b"LINK\n2 0 0\na 10000 4 RP\nb ffffe000 1000 RW\nc3000000\n", errno.ENOEXEC),
    "textbook text at 0": (b"LINK\n1 0 0\na 0 4 RP\nc3000000\n", errno.EPERM),
    "textbook object": (T_OBJECT, errno.ENOEXEC),
}


@pytest.mark.parametrize("case", BAD_PROGRAMS)
def test_exec_refuses(tmp_path: Path, case: str) -> None:
    data, number = BAD_PROGRAMS[case]
    with little_memory(), pytest.raises(OSError) as failure:
        start(tmp_path, data)
    assert failure.value.errno == number


def test_a_sparse_program_takes_no_memory(tmp_path: Path) -> None:
    """Its text is a gigabyte of hole."""
    path = tmp_path / "sparse"
    path.write_bytes(header(A_PROGRAM, text=1 << 30, data=0))
    os.truncate(path, (1 << 30) + 4096)
    fd = os.open(path, os.O_RDONLY)
    before = resident()
    try:
        known = recognise(os.pread(fd, 32, 0), "sparse")
        with closing_space(known.space(AddressSpace(32))) as space:
            known.format.start(space, known.image, fd, "sparse", [b"x"], [], StartInfo(b"/x", bytes(16)))
            assert space.total > 1 << 30
            assert resident() - before < 64 << 20
    finally:
        os.close(fd)


def resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


# -- uselib(2) and libraries that exec maps ----------------------------------------------------------------------------------

LOADERS: dict[str, tuple[Callable[[AddressSpace, int], None], str]] = {
    "0.99": (lambda space, fd: exec_aout.load_library_099(space, fd, "file", 0), "a.out"),
    "2.4": (lambda space, fd: exec_aout.load_library_24(space, fd, "file"), "a.out"),
    "textbook": (lambda space, fd: exec_textbook.load_library(space, fd, "file"), "textbook"),
    "COFF": (lambda space, fd: exec_coff.load_library(space, fd, "file"), "COFF"),
}


def load(folder: Path, kernel: str, data: bytes) -> int:
    """0 or errno. A refused library leaves memory as it was."""
    loader, _ = LOADERS[kernel]
    space = AddressSpace(32, layout=LAYOUT_SVR3 if kernel == "COFF" else LAYOUT_1993)
    with closing_space(space), opened(folder, data) as fd:
        space.map(0x1000, 0x1000, 7, placement="fixed")
        space.start_brk(0x2000)
        space.set_brk(0x3000)
        space.map(space.layout.stack_top - 0x8000, 0x8000, 7, placement="fixed", grows_down=True, name="[stack]")
        before = [(vma.start, vma.end, vma.prot) for vma in space]
        try:
            loader(space, fd)
        except OSError as failure:
            assert [(vma.start, vma.end, vma.prot) for vma in space] == before
            return failure.errno or -1
        assert all(any(v.start <= start and end <= v.end for v in space) for start, end, _ in before)
        return 0


@QUICK
@given(st.sampled_from(sorted(LOADERS)), st.data())
def test_damaged_libraries(tmp_path: Path, kernel: str, draw: st.DataObject) -> None:
    with little_memory():
        number = load(tmp_path, kernel, mutated(draw, LIBRARIES[LOADERS[kernel][1]]))
    assert number in {0, errno.ENOEXEC, errno.EEXIST, errno.EPERM, 80}


def moved(data: bytes, base: int) -> bytes:
    if aout.is_aout(data):
        return header(data, entry=base)
    if coff.is_coff(data):
        return coff_file(coff.LIBMAGIC, replace(C_TEXT, address=base))
    return data.replace(b"61000000", b"%x" % base).replace(b"61002000", b"%x" % (base + 0x2000))


@pytest.mark.parametrize("kernel", LOADERS)
@pytest.mark.parametrize(
    ("base", "refused"),
    [(BASE, False), (0x1000, True), (0x2000, True), (0xBFFFF000, True), (0xFFFFF000, True), (0xFFFFE000, True)],
)
def test_where_libraries_may_be(tmp_path: Path, kernel: str, base: int, refused: bool) -> None:
    """Not over the program, the heap, the stack, nor beyond user addresses, where the GDT lies."""
    data = LIBRARIES[LOADERS[kernel][1]]
    base = 0x7FFFF000 if kernel == "COFF" and base == 0xBFFFF000 else base
    number = load(tmp_path, kernel, moved(data, base))
    bad = 80 if kernel == "COFF" else errno.ENOEXEC
    inside = base < 0xBFFFF000 or (kernel == "COFF" and base < 0xC0000000)
    assert number == (0 if not refused else errno.EEXIST if inside else bad)


BAD_LIBRARIES: dict[str, tuple[str, bytes]] = {
    "text of 4 GiB": ("2.4", header(A_LIBRARY, text=0xFFFFF000)),
    "bss of 4 GiB": ("2.4", header(A_LIBRARY, bss=0xFFFFFFFF)),
    "bss of 4 GiB, 0.99": ("0.99", header(A_LIBRARY, bss=0xFFFFFFFF)),
    "bss that ends at 4 GiB": ("2.4", header(A_LIBRARY, bss=0xA0000000 - 0x2000)),
    "COFF bss of 4 GiB": ("COFF", sections(C_TEXT, replace(C_BSS, size=0xFFFFFFFF), magic=coff.LIBMAGIC)),
    "textbook end beyond 4 GiB": ("textbook", b"LINK\n1 0 0\nb fffff000 fffffff RW\n"),
}


@pytest.mark.parametrize("case", BAD_LIBRARIES)
def test_libraries_are_refused(tmp_path: Path, case: str) -> None:
    kernel, data = BAD_LIBRARIES[case]
    with little_memory():
        assert load(tmp_path, kernel, data) == (80 if kernel == "COFF" else errno.ENOEXEC)


# -- objects -------------------------------------------------------------------------------------------------------------------


@QUICK
@given(st.sampled_from(sorted(OBJECTS)), st.data())
@example("a.out", None)
@example("COFF", None)
@example("textbook", None)
def test_links_of_damaged_objects(tmp_path: Path, name: str, draw: st.DataObject | None) -> None:
    data = OBJECTS[name] if draw is None else mutated(draw, OBJECTS[name])
    path = tmp_path / "x.o"
    path.write_bytes(data)
    options = Options(inputs=(InputArgument(str(path)),), entry="main", output="x")
    try:
        image = as_elf(data, "x.o")
        if image is not None and len(image) < PEAK:
            link(LinkJob(options, KINDS[name]()))
    except ToolError as failure:
        assert "x" in str(failure) or "ld" in str(failure)


def rows(count: int, name: str = "_u") -> tuple[aout.AoutSymbol, ...]:
    return tuple(aout.AoutSymbol(f"{name}{n}", N_EXT) for n in range(count))


def test_sizes_in_damaged_objects_take_no_memory() -> None:
    with little_memory():
        aout_object.to_elf(header(A_OBJECT, bss=0xFFFFFFFF), "x.o")
        big = coff.Coff((replace(C_TEXT, address=0), replace(C_BSS, address=64, size=0xFFFFFF00)))
        coff_object.to_elf(coff.encode(big), "x.o")
        empty = coff.Coff((coff.CoffSection(".text", 0, 0xFFFFFF00, coff.STYP_TEXT),))
        coff_object.to_elf(coff.encode(empty), "x.o")
        textbook_object.to_elf(b"LINK\n1 0 0\n.bss 0 10000000 RW\n", "x.o")


def test_many_symbols_take_linear_time() -> None:
    """A quadratic look for names would take minutes."""
    symbols = rows(60_000)
    indirect = tuple(
        s for n in range(2000) for s in (aout.AoutSymbol(f"_i{n}", N_INDR | N_EXT), aout.AoutSymbol(f"_t{n}", N_EXT))
    )
    aout_object.to_elf(
        aout.encode(Aout(ExecHeader(Magic.OMAGIC, 0, 0), b"", b"", symbols=(*symbols, *indirect))), "x.o"
    )
    segments = b"".join(b"s%d %x 4 RP\n" % (n, n * 16) for n in range(5000))
    relocations = b"".join(b"%x %d 1 A4\n" % (n * 16, n + 1) for n in range(5000))
    textbook_object.to_elf(b"LINK\n5000 0 5000\n" + segments + relocations + b"00000000\n" * 5000, "x.o")


def test_more_vectors_than_elf_has_sections() -> None:
    symbols = tuple(aout.AoutSymbol(f"_v{n}", N_SETD | N_EXT) for n in range(40_000))
    with pytest.raises(FormatError, match=r"^x.o: has 40000 set vectors, .* too many"):
        aout_object.to_elf(aout.encode(Aout(ExecHeader(Magic.OMAGIC, 0, 0), b"", b"", symbols=symbols)), "x.o")


def test_sections_that_share_their_contents() -> None:
    """4000 sections, each with 65535 relocations, all of them the same bytes: 650 KB that would be 260 million relocations."""
    count, each = 4000, 65535
    table = coff._FILE.size + coff._SECTION.size * count
    head = coff._FILE.pack(coff.I386MAGIC, count, 0, table, 1, 0, coff.F_AR32WR)
    one = b"".join(
        coff._SECTION.pack(b"s%d" % n, 0, 0, 64, table, table, 0, each, 0, coff.STYP_TEXT) for n in range(count)
    )
    data = head + one + bytes(10 * each)
    with pytest.raises(FormatError, match=r"^x.o: is damaged: its sections have more bytes together than the file"):
        coff.decode(data, "x.o")


@pytest.mark.parametrize(
    ("symbol", "message"),
    [
        (aout.AoutSymbol("x.c", 0x64), r"relocation against symbol 0 of 1, which is missing or a debugging entry"),
        (aout.AoutSymbol("_f", N_TEXT | N_EXT, 0xFFFFFFFF), "ELF"),
        (aout.AoutSymbol("_d", N_DATA | N_EXT, 1), r"_d: lies before its section|lies before its section"),
    ],
)
def test_symbols_of_objects(symbol: aout.AoutSymbol, message: str) -> None:
    data = aout.encode(
        Aout(ExecHeader(Magic.OMAGIC, 0, 0), bytes(8), b"", (aout.AoutRelocation(0, 0, True),), symbols=(symbol,))
    )
    if message == "ELF":
        assert aout_object.to_elf(data, "x.o").startswith(b"\x7fELF")
        return
    with pytest.raises(FormatError, match=message):
        aout_object.to_elf(data, "x.o")


def test_relocations_against_symbols_that_are_left_out() -> None:
    file = coff.Coff(
        (coff.CoffSection(".text", 0, 8, coff.STYP_TEXT, bytes(8), (coff.CoffRelocation(0, 0, coff.R_DIR32),)),),
        (coff.CoffSymbol("x.c", 0, coff.N_DEBUG, coff.C_FILE),),
    )
    with pytest.raises(FormatError, match=r"^x.o: has a relocation against x.c, which is not loaded"):
        coff_object.to_elf(coff.encode(file), "x.o")


# -- archives ------------------------------------------------------------------------------------------------------------------


def stub_archive() -> bytes:
    text = b"/libx.so.1\0DLL Jump 1.0".ljust(28, b"\0")
    words = struct.pack("<4I", 0, 11, BASE, 0x10000)
    first = Aout(
        ExecHeader(Magic.OMAGIC, 0, 0),
        text,
        words,
        (),
        (aout.AoutRelocation(0, N_TEXT, False), aout.AoutRelocation(4, N_TEXT, False)),
        (
            aout.AoutSymbol("__NEEDS_SHRLIB_libx_1", N_DATA | N_EXT, 28),
            aout.AoutSymbol("__PLT__f", N_ABS | N_EXT, BASE + 8),
        ),
    )
    second = Aout(ExecHeader(Magic.OMAGIC, 0, 0), b"", b"", symbols=(aout.AoutSymbol("_f", N_ABS | N_EXT, BASE + 8),))
    names = ("__NEEDS_SHRLIB_libx_1", "__PLT__f")
    return ar.write_bsd_archive(
        [ar.NewMember("__x.o", aout.encode(first), names), ar.NewMember("_T1.o", aout.encode(second), ("_f",))]
    )


STUBS = stub_archive()
HOST = ar.write_archive(
    [
        ar.NewMember(
            "lib.o", coff.encode(coff.Coff((C_LIB,), (coff.CoffSymbol("_lib_x", 0, coff.N_ABS),))), ("_lib_x",)
        ),
        ar.NewMember("f.o", coff.encode(coff.Coff((), (coff.CoffSymbol("f", 0xA4000000, coff.N_ABS),))), ("f",)),
    ]
)


def test_the_good_archives_are_good() -> None:
    assert aout_stub.read_archive(STUBS, "x.sa").functions == {"f": BASE + 8}


@QUICK
@given(st.sampled_from(("a.out", "COFF")), st.data())
def test_damaged_archives(tmp_path: Path, name: str, draw: st.DataObject) -> None:
    """Index, headers of members and members, read by inspector, chkshlib and linker."""
    data = mutated(draw, STUBS if name == "a.out" else HOST)
    path = tmp_path / "x.a"
    path.write_bytes(data)
    (tmp_path / "x.o").write_bytes(OBJECTS[name])
    options = Options(inputs=(InputArgument(str(tmp_path / "x.o")), InputArgument(str(path))), entry="main", output="x")
    calls = (
        lambda: aout_stub.read_archive(data, "x.a"),
        lambda: coff_check.read(data, "x.a"),
        lambda: coff_check.is_checkable(data),
        lambda: link(LinkJob(options, KINDS[name]())),
    )
    for call in calls:
        try:
            call()
        except ToolError as failure:
            assert "Error" not in str(failure)


# -- control files --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Data", "0xb0000000"),
        ("Text", "0x1000000000"),
        ("Text", "-0x1000"),
        ("Jump", "-8"),
        ("Data", "0x5000_0000"),
        ("GOT", "0xfffffff0"),
    ],
)
def test_numbers_of_control_files(tmp_path: Path, name: str, value: str) -> None:
    """The file has all bytes from Text to the variables: none is made for numbers that no library can have."""
    numbers = {
        "Name": "/libx",
        "Text": "0x60000000",
        "Data": "0x60004000",
        "Jump": "0x1000",
        "GOT": "0x1000",
        "Version": "1.0.0",
        name: value,
    }
    (tmp_path / "jump.params").write_text("".join(f"{key}={number}\n" for key, number in numbers.items()))
    (tmp_path / "jump.funcs").write_text("0 T _f libx f\n")
    (tmp_path / "jump.vars").write_text("")
    with little_memory(), pytest.raises(ToolError, match=r"jump.params: "):
        read_control(tmp_path)


def test_a_variable_of_4_gigabytes(tmp_path: Path) -> None:
    (tmp_path / "jump.params").write_text(
        "Name=/libx\nText=0x60000000\nData=0x60004000\nJump=0x1000\nGOT=0x1000\nVersion=1.0.0\n"
    )
    (tmp_path / "jump.funcs").write_text("")
    (tmp_path / "jump.vars").write_text("ffffffff D __DUMMY__ libx x\n")
    with pytest.raises(ToolError, match=r"is not a range of user addresses"):
        read_control(tmp_path)
