"""Start-up code of a.out programs and of the textbook's: each of its messages, hostile set vectors and fixup lists."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from support.aout import compile_c, library, link_counter, run_below_root
from support.command import uselib
from uselib.linker.historical.aout import format as aout

COUNT = "int main() { count(); return total(); }"


def refusal(path: str, reason: str) -> tuple[int, str]:
    return 128, f"/p: can't load library '{path}'\n\t{reason}\n"


def ended(program: Path) -> tuple[int, str]:
    result = run_below_root(program)
    assert result.stdout == ""
    return result.returncode, result.stderr


# -- where libraries are looked for, and the messages ---------------------------------------------------------------------------


def test_the_order_of_directories(aout_kit: Path, tmp_path: Path) -> None:
    """/usr/lib, /lib, then the name itself; the next only on ENOENT."""
    path = link_counter(aout_kit, tmp_path, "p", COUNT)
    good = (tmp_path / "lib" / "libcount.so.1").read_bytes()
    (tmp_path / "lib" / "libcount.so.1").unlink()
    assert ended(path) == refusal("/libcount.so.1", "No such library.")
    (tmp_path / "libcount.so.1").write_bytes(good)
    assert ended(path) == (202, "")
    (tmp_path / "lib" / "libcount.so.1").write_bytes(b"not a library".ljust(2000))
    assert ended(path) == refusal("/lib/libcount.so.1", "Exec format error.")
    (tmp_path / "usr" / "lib").mkdir(parents=True)
    (tmp_path / "usr" / "lib" / "libcount.so.1").write_bytes(good)
    assert ended(path) == (202, "")
    (tmp_path / "usr" / "lib" / "libcount.so.1").chmod(0)
    assert ended(path) == refusal("/usr/lib/libcount.so.1", "Permission denied.")


def with_libraries(aout_kit: Path, folder: Path, bases: list[int]) -> Path:
    """A program that needs further libraries, l0, l1, ... at `bases`, entered into the set vector by hand."""
    text = "struct libentry { const char *name, *text; unsigned address, version; };\n"
    for number, base in enumerate(bases):
        library(folder / f"l{number}", base, [b"\xc3"], version=1 << 16)
        text += f'static const struct libentry e{number} = {{"/l{number}", "Jump 1.0", {base:#x}, {1 << 16}}};\n'
    entries = ", ".join(f"&e{number}" for number in range(len(bases)))
    text += '__attribute__((section(".set_vector.___SHARED_LIBRARIES__"), used, aligned(4)))'
    text += f"static const struct libentry *const list[] = {{{entries}}};\n"
    return link_counter(aout_kit, folder, "p", text + "int main() { return 5; }")


def test_too_many_libraries(aout_kit: Path, tmp_path: Path) -> None:
    """The kernel's limit of 16 is EINVAL, which start-up explains so."""
    bases = [0x62000000 + 0x10000 * n for n in range(17)]
    program = with_libraries(aout_kit, tmp_path, bases[:16])
    assert ended(program) == (5, "")
    program = with_libraries(aout_kit, tmp_path, bases)
    assert ended(program) == refusal("/l16", "Too many libraries.")


def test_any_other_error(aout_kit: Path, tmp_path: Path) -> None:
    """Two libraries in one place: EEXIST here (the kernels mapped the second over the first)."""
    program = with_libraries(aout_kit, tmp_path, [0x62000000, 0x62000000])
    assert ended(program) == refusal("/l1", "Unspecified error.")


# -- set vectors and fixup lists -------------------------------------------------------------------------------------------------

TEXT, CELLS, DATA = 0x61000000, 0x61007000, 0x61008000
MAGIC = 0xFEEB1ED3


def word_of(raw: bytes | bytearray, address: int) -> int:
    return struct.unpack_from("<I", raw, 1024 + address - TEXT)[0]


def spoil(program: Path, change: Callable[[bytearray, int], tuple[int, int]]) -> None:
    """Sets a word of the library: change(file, address of its conflict list) -> (address, value)."""
    path = program.parent / "lib" / "libcount.so.1"
    raw = bytearray(path.read_bytes())
    address, value = change(raw, word_of(raw, CELLS))
    struct.pack_into("<I", raw, 1024 + address - TEXT, value & 0xFFFFFFFF)
    path.write_bytes(raw)


CORRUPT = (128, "Corrupt fixup table.\n")
TABLES: dict[str, tuple[Callable[[bytearray, int], tuple[int, int]], tuple[int, str] | str]] = {
    "magic 0": (lambda raw, at: (CELLS + 4, 0), CORRUPT),
    "the magic of a later step": (lambda raw, at: (CELLS + 4, MAGIC + 2), CORRUPT),
    "a magic that none has": (lambda raw, at: (CELLS + 4, MAGIC + 4), CORRUPT),
    # The first step takes it for an image that was visited already: addresses are added and were not taken off. No check can see that.
    "the magic of the second step": (lambda raw, at: (CELLS + 4, MAGIC + 1), "killed"),
    "a count of 0": (lambda raw, at: (at, 0), CORRUPT),
    "a count that is too low": (lambda raw, at: (at, 1), CORRUPT),
    "a count of four thousand million": (lambda raw, at: (at, 0xFFFFFFFF), CORRUPT),
    "a count with the sign bit": (lambda raw, at: (at, 0x80000002), CORRUPT),
    "a magic that is nowhere": (lambda raw, at: (at + 4, 0x50000000), "SIGSEGV"),
    "image fixups that are nowhere": (lambda raw, at: (at + 8, 0x50000000), "SIGSEGV"),
    "another library that is nowhere": (lambda raw, at: (at + 12, 0x50000000), CORRUPT),
}


@pytest.mark.parametrize("case", TABLES)
def test_tables_of_a_library(aout_kit: Path, tmp_path: Path, case: str) -> None:
    change, expected = TABLES[case]
    program = link_counter(aout_kit, tmp_path, "p", COUNT)
    spoil(program, change)
    status, said = ended(program)
    if expected == "SIGSEGV":
        assert status == 139 and "killed by SIGSEGV" in said and "0x50000000" in said
    elif expected == "killed":
        assert status == 139 and "killed by SIGSEGV" in said
    else:
        assert (status, said) == expected


def test_a_place_at_an_unmapped_address(aout_kit: Path, tmp_path: Path) -> None:
    """An entry of the list of places, with the address of no memory: the program is killed where start-up writes, and the report says so."""
    program = link_counter(aout_kit, tmp_path, "p", COUNT)

    def change(raw: bytearray, at: int) -> tuple[int, int]:
        builtin = word_of(raw, word_of(raw, at + 8) + 4)
        return word_of(raw, builtin + 4) + 4, 0x50000000

    spoil(program, change)
    status, said = ended(program)
    assert status == 139 and "0x50000000" in said and "places" in said


def word_in_program(program: Path, symbol: str) -> int:
    """File offset of the set vector of a program."""
    file = aout.decode(program.read_bytes(), "p")
    address = next(s.value for s in file.symbols if s.name == symbol)
    return file.header.data_offset + address - len(file.text)


@pytest.mark.parametrize("count", [0, 1, 0x7FFFFFFF, 0xFFFFFFFF])
def test_the_programs_list_of_libraries(aout_kit: Path, tmp_path: Path, count: int) -> None:
    """Start-up skips count and first element and goes on to the 0: the count does not matter."""
    program = link_counter(aout_kit, tmp_path, "p", COUNT)
    raw = bytearray(program.read_bytes())
    at = word_in_program(program, "___SHARED_LIBRARIES__")
    assert struct.unpack_from("<I", raw, at) == (2,)
    struct.pack_into("<I", raw, at, count)
    program.write_bytes(raw)
    assert ended(program) == (202, "")


@pytest.mark.parametrize("count", [0, 1, 2, 4, 0x7FFFFFFF, 0xFFFFFFFF])
def test_the_programs_list_of_conflicts(aout_kit: Path, tmp_path: Path, count: int) -> None:
    program = link_counter(aout_kit, tmp_path, "p", "int step = 10;" + COUNT)
    raw = bytearray(program.read_bytes())
    at = word_in_program(program, "__SHARABLE_CONFLICTS__")
    assert struct.unpack_from("<I", raw, at) == (3,)
    struct.pack_into("<I", raw, at, count)
    program.write_bytes(raw)
    assert ended(program) == CORRUPT


def test_a_library_at_an_unmapped_address(aout_kit: Path, tmp_path: Path) -> None:
    program = link_counter(aout_kit, tmp_path, "p", COUNT)
    raw = bytearray(program.read_bytes())
    struct.pack_into("<I", raw, word_in_program(program, "___SHARED_LIBRARIES__") + 8, 0x50000000)
    program.write_bytes(raw)
    status, said = ended(program)
    assert status == 139 and "0x50000000" in said


# -- objects with hostile set vectors, in our ld -----------------------------------------------------------------------------------


def element(tmp_path: Path, *symbols: aout.AoutSymbol) -> Path:
    file = aout.Aout(aout.ExecHeader(aout.Magic.OMAGIC, 0, 0), bytes(8), bytes(8), symbols=symbols)
    (tmp_path / "e.o").write_bytes(aout.encode(file))
    return tmp_path / "e.o"


def ld(aout_kit: Path, tmp_path: Path, *inputs: Path):
    main = compile_c(tmp_path, "main", "int main() { return 0; }")
    return uselib("ld", "-m", "i386linux", "-o", tmp_path / "p", aout_kit / "crt0.o", main, *inputs)


@pytest.mark.parametrize("value", [9, 0x10000, 0xFFFFFFF0])
def test_an_element_outside_its_section(aout_kit: Path, tmp_path: Path, value: int) -> None:
    """As any other symbol whose value is not in its section: its word is what the object says, and only a program that looks there fails."""
    vector = element(tmp_path, aout.AoutSymbol("___SHARED_LIBRARIES__", aout.N_SETT | aout.N_EXT, value))
    result = ld(aout_kit, tmp_path, vector)
    if result.returncode:
        assert result.stderr.startswith("ld: ") or str(vector) in result.stderr
        assert not (tmp_path / "p").exists()
    else:
        assert run_below_root(tmp_path / "p").returncode in (128, 139)


def test_a_symbol_with_the_name_of_a_set_vector(aout_kit: Path, tmp_path: Path) -> None:
    """An object defines the symbol itself and so takes the vector's place: refused, as any symbol with two definitions."""
    own = element(tmp_path, aout.AoutSymbol("___SHARED_LIBRARIES__", aout.N_DATA | aout.N_EXT, 8))
    result = ld(aout_kit, tmp_path, own)
    assert result.returncode == 1 and "___SHARED_LIBRARIES__" in result.stderr and not (tmp_path / "p").exists()


# -- the textbook's start-up -----------------------------------------------------------------------------------------------------


def book_run(book_kit: Path, shlib: Path):
    return uselib("run", "--library-path", shlib, "--readable", book_kit, book_kit / "p")


def private(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    path.chmod(0o644)


BOOK: dict[str, tuple[Callable[[Path, bytes], None], str]] = {
    "absent": (lambda path, good: None, "No such library."),
    "not executable": (lambda path, good: private(path, good), "Permission denied."),
    "another file": (lambda path, good: path.write_bytes(b"#!/bin/sh\n"), "Exec format error."),
    "relocations left": (
        lambda path, good: path.write_bytes(b"LINK\n1 0 1\n.text 60400000 4 RP\n60400000 1 1 A4\n90909090\n"),
        "Exec format error.",
    ),
    "undefined symbols": (
        lambda path, good: path.write_bytes(b"LINK\n1 1 0\n.text 60400000 4 RP\ng 0 0 U\n90909090\n"),
        "Exec format error.",
    ),
    "cut off": (lambda path, good: path.write_bytes(good[: len(good) // 2]), "Exec format error."),
    "a directory": (lambda path, good: path.mkdir(), "Unspecified error."),
    "the program's addresses": (
        lambda path, good: path.write_bytes(good.replace(b"60400000", b"10000", 1)),
        "Address range is occupied.",
    ),
}


@pytest.mark.parametrize("case", BOOK)
def test_messages_of_the_textbooks_start_up(book_kit: Path, tmp_path: Path, case: str) -> None:
    make, reason = BOOK[case]
    path = tmp_path / "libf_s.1.0.0"
    make(path, (book_kit / "shlib" / "libf_s.1.0.0").read_bytes())
    if path.is_file() and case != "not executable":
        path.chmod(0o755)
    result = book_run(book_kit, tmp_path)
    where = f"{'/shlib' if case == 'absent' else tmp_path}/libf_s.1.0.0"
    assert (result.returncode, result.stdout) == (128, "")
    assert result.stderr == f"{book_kit / 'p'}: can't load library '{where}'\n\t{reason}\n"


def test_the_textbooks_library_path(book_kit: Path, tmp_path: Path) -> None:
    """LD_LIBRARY_PATH comes first, directory by directory; a file there that is not a library is not passed over."""
    shlib = book_kit / "shlib"
    result = uselib("run", "--library-path", f"{tmp_path}:{shlib}", "--readable", book_kit, book_kit / "p")
    assert (result.returncode, result.stderr) == (7, "")
