"""The textbook's formats: objects, libraries in both formats, projects 9-1 and 9-2 end to end."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.command import uselib
from support.textbook import compile_c, compile_startup
from uselib.linker.errors import FormatError, ToolError
from uselib.linker.historical.textbook import format as textbook
from uselib.linker.historical.textbook import to_elf as textbook_object
from uselib.linker.historical.textbook.format import (
    LibraryModule,
    ModuleLibrary,
    TextbookSymbol,
)

# Written by hand, as the book has it: f calls g and adds [value]; 1000 in the book's own data is .text's start.
HAND = """LINK
3 4 4
.text 1000 10 RP
.data 2000 8 RWP
.bss 3000 10 RW
f 1000 1 D
value 2000 2 D
g 0 0 U
common 20 0 U
1001 1 3 RS4
1007 1 2 A4
100c 1 1 R4
2004 2 4 AS4
e80000000003050020000090f0ffffff
05000000 04000000
"""


def test_round_trip() -> None:
    file = textbook.decode(HAND.encode(), "hand.o")
    assert [(s.name, s.start, s.length, s.flags) for s in file.segments] == [
        (".text", 0x1000, 0x10, "RP"),
        (".data", 0x2000, 8, "RWP"),
        (".bss", 0x3000, 0x10, "RW"),
    ]
    assert file.segments[1].contents == b"\x05\0\0\0\x04\0\0\0"
    assert textbook.decode(textbook.encode(file), "again") == file
    assert [symbol.name for symbol in file.symbols if symbol.type == "D"] == ["f", "value"]


def test_relocations_mean_what_the_book_says(tmp_path: Path) -> None:
    """The object becomes ELF; GNU ld links it at known addresses."""
    (tmp_path / "hand.o").write_bytes(textbook_object.to_elf(HAND.encode(), "hand.o"))
    where = ["--defsym=g=0x1234", "-Ttext=0x10000", "-Tdata=0x20000", "-Tbss=0x30000"]
    subprocess.run(["ld", "-m", "elf_i386", "-d", "-e", "f", *where, "-o", "x", "hand.o"], cwd=tmp_path, check=True)
    parts = []
    for section in (".text", ".data"):
        subprocess.run(["objcopy", "-O", "binary", "-j", section, "x", "part"], cwd=tmp_path, check=True)
        parts.append((tmp_path / "part").read_bytes())
    text, data = parts
    word = lambda at: int.from_bytes(text[at : at + 4], "little", signed=True)  # noqa: E731
    assert word(1) == 0x1234 - 0x10005  # RS4
    assert word(7) == 0x20000  # A4: the start of .data
    assert word(12) == -16  # R4 within the segment, which has moved as a whole
    table = subprocess.run(["nm", "x"], cwd=tmp_path, check=True, capture_output=True, text=True).stdout
    common = int(next(line for line in table.splitlines() if line.endswith(" common")).split()[0], 16)
    assert int.from_bytes(data[4:8], "little") == common + 4  # AS4, with the addend that was there


LIBRARY = ModuleLibrary(
    (
        LibraryModule("a.o", b"LINK\n0 1 0\nx 60000000 0 D\n", ("x",)),
        LibraryModule("b.o", b"LINK\n0 1 0\ny 60000008 0 D\n", ("y",)),
    ),
    "libq_s.1.0.0",
    ("libc_s.4.0.0", "libm_s.4.0.0"),
)


def test_library_in_file_format() -> None:
    data = textbook.encode_library(LIBRARY)
    assert data.startswith(b"LIBRARY 0002 ") and data.split(b"\n")[0].endswith(
        b" libq_s.1.0.0 libc_s.4.0.0 libm_s.4.0.0"
    )
    read = textbook.decode_library(data, "q.lib")
    assert (read.shared, read.dependencies) == (LIBRARY.shared, LIBRARY.dependencies)
    assert [(m.content, m.defines) for m in read.modules] == [(m.content, m.defines) for m in LIBRARY.modules]


def test_library_in_directory_format() -> None:
    files = textbook.directory_files(LIBRARY)
    assert files["LIBRARY NAME"] == b"libq_s.1.0.0\nlibc_s.4.0.0\nlibm_s.4.0.0\n" and files["MAP"] == b"a.o x\nb.o y\n"
    assert textbook.parse_map("a.o x z\n\nb.o\n", "MAP") == [("a.o", ("x", "z")), ("b.o", ())]
    with pytest.raises(FormatError, match=r"MAP:1: `../x` cannot be a module's file"):
        textbook.parse_map("../x y", "MAP")


# -- the projects ----------------------------------------------------------------------------------------------------------------

ONE = "int hidden, shared = 7; int two(int); int one(int x) { return two(x) + shared; } int (*pick(void))(int) { return two; }"
TWO = "int counter; int __attribute__((noipa)) two(int x) { counter++; return 2 * x; }"
BASE = "extern int offset_; int base(int x) { return x + offset_; } int offset_ = 100;"
PROGRAM = """
extern int shared, counter; int one(int), two(int); int (*pick(void))(int);
int main(int argc, char **argv) { shared = 10; return one(5) + counter + (pick() == two) + argc; }
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("book")
    for name, text in (("one", ONE), ("two", TWO), ("base", BASE), ("prog", PROGRAM)):
        compile_c(folder, name, text)
    compile_startup(folder)
    words = ["--name", "x", "--version", "1.0.0", "--text", "0x60400000", "-o", ".", "one.o", "two.o"]
    result = uselib("mkshlib", "--format", "textbook", *words, cwd=folder)
    assert (result.returncode, result.stdout, result.stderr) == (
        0,
        "libx_s.1.0.0: 0x60400000, 3 slots, 3 data, 2 modules\n",
        "",
    )
    return folder


def link(folder: Path, output: str, *inputs: str) -> Path:
    result = uselib("ld", "-m", "textbook", "-o", output, "crt.o", *inputs, cwd=folder)
    assert (result.returncode, result.stderr) == (0, "")
    return folder / output


@pytest.mark.parametrize("stub", ["lib/libx_s", "lib/libx_s.lib", "-lx"], ids=["directory", "file", "-l"])
def test_a_program_runs(made: Path, stub: str) -> None:
    """10 + 10 from the library with the program's data, one call counted, equal pointers."""
    link(made, "prog", "prog.o", "-Llib", stub)
    result = uselib("run", "--sysroot", made, "--readable", made, made / "prog", "a")
    assert (result.returncode, result.stderr) == (20 + 1 + 1 + 2, "")
    first, counts, *_ = (made / "prog").read_text().splitlines()
    assert first == "LINK" and counts.split()[2] == "0"  # no relocations


def test_the_shared_library(made: Path) -> None:
    file = textbook.decode((made / "shlib/libx_s.1.0.0").read_bytes(), "libx_s")
    by_name = {s.name: s for s in file.segments}
    assert file.relocations == () and by_name[".text"].start == 0x60400000 and by_name[".data"].start == 0x60402000
    table = by_name[".text"].contents
    assert [table[8 * n] for n in range(3)] == [0xE9] * 3 and table[5:8] == b"\xcc" * 3
    values = {s.name: s.value for s in file.symbols}
    assert [values[name] for name in ("one", "pick", "two")] == [0x60400000, 0x60400008, 0x60400010]  # byte order
    assert [values[name] for name in ("counter", "hidden", "shared")] == [0x60402000, 0x60402004, 0x60402008]


def test_the_stub_library(made: Path) -> None:
    """A module for each, absolute symbols, undefined ones mirrored."""
    folder = made / "lib" / "libx_s"
    assert (folder / "LIBRARY NAME").read_text() == "libx_s.1.0.0\n"
    one = textbook.decode((folder / "one.o").read_bytes(), "one.o")
    assert (
        one.segments == ()
        and TextbookSymbol("one", 0x60400000, 0) in one.symbols
        and TextbookSymbol("two", 0, 0, "U") in one.symbols
    )
    assert textbook.decode_library((made / "lib/libx_s.lib").read_bytes(), "x").shared == "libx_s.1.0.0"


def test_a_library_that_depends_on_another(made: Path, tmp_path: Path) -> None:
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    words = ["--name", "y", "--version", "2.0.0", "--text", "0x60800000", "-o", ".", "base.o"]
    compile_c(tmp_path, "base", BASE.replace("x +", "one(x) +").replace("int base", "int one(int); int base"))
    assert uselib("mkshlib", "--format", "textbook", *words, "-Llib", "-l", "x", cwd=tmp_path).returncode == 0
    assert (tmp_path / "lib/liby_s/LIBRARY NAME").read_text() == "liby_s.2.0.0\nlibx_s.1.0.0\n"
    compile_c(tmp_path, "p", "int base(int); int main() { return base(3); }")
    program = link(tmp_path, "p", "p.o", "-Llib", "-ly")
    assert b"liby_s.2.0.0".hex() + "00" + b"libx_s.1.0.0".hex() + "0000" in program.read_text()
    result = uselib("run", "--sysroot", tmp_path, "--readable", tmp_path, program)
    assert (result.returncode, result.stderr) == (6 + 7 + 100, "")


def test_library_path_and_messages(made: Path, tmp_path: Path) -> None:
    program = link(made, "prog", "prog.o", "-Llib", "-lx")
    found = uselib("run", "--library-path", made / "shlib", "--readable", made, program)
    assert found.returncode == 23
    missing = uselib("run", "--readable", made, program)
    assert (missing.returncode, missing.stderr) == (
        128,
        f"{program}: can't load library '/shlib/libx_s.1.0.0'\n\tNo such library.\n",
    )
    (tmp_path / "libx_s.1.0.0").write_text("LINK\n1 0 0\n.text 60400000 4 RP\nzz\n")
    (tmp_path / "libx_s.1.0.0").chmod(0o755)
    damaged = uselib("run", "--library-path", tmp_path, "--readable", made, program)
    assert damaged.returncode == 128 and damaged.stderr.endswith("Exec format error.\n")


def test_trace_and_report_know_the_symbols(made: Path, tmp_path: Path) -> None:
    compile_c(made, "crash", "int main() { return *(volatile int *)0x123; }")
    program = link(made, "crash", "crash.o")
    result = uselib("run", "--readable", made, program)
    assert result.returncode == 139 and "in crash" in result.stderr and "main" in result.stderr


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("LINK\n", "x.o: is truncated: line 2 should hold three counts"),
        ("LINK\n1 0\n", "x.o:2: should hold three counts"),
        ("LINK\n1 0 0\n.text 0 4 RX\n", "x.o:3: should be `name start length flags`"),
        ("LINK\n1 0 0\n.text 0 4 RP\n", "x.o: is truncated: line 4 should hold the contents of .text"),
        ("LINK\n1 0 0\n.text 0 4 RP\n909090\n", "x.o:4: .text has 3 bytes here and a length of 4"),
        ("LINK\n1 0 0\n.text 0 4 RP\nhello\n", "x.o:4: contents of .text that are not hexadecimal digits"),
        ("LINK\n0 1 0\nx 0 1 D\n", "x.o:3: `1` is not a number up to 0x0"),
        ("LINK\n1 0 1\n.text 0 4 RP\n1 1 1 A4\n90909090\n", "x.o:4: relocates 0x1, not a field of .text"),
        ("LINK\n1 0 1\n.text 0 4 RP\n0 1 1 U2\n90909090\n", "x.o:4: should be `location segment reference type`"),
        ("LINK\n1 0 0\n.text -1 4 RP\n", "x.o:3: `-1` is not a number"),
    ],
)
def test_damaged_objects(text: str, message: str) -> None:
    with pytest.raises(ToolError) as caught:
        textbook.decode(text.encode(), "x.o")
    assert str(caught.value).startswith(message)


@given(st.binary(max_size=400), st.sampled_from(("object", "library", "elf")), st.data())
def test_any_bytes_give_one_kind_of_error(noise: bytes, what: str, draw: st.DataObject) -> None:
    good = bytearray(HAND.encode() if what != "library" else textbook.encode_library(LIBRARY))
    at = draw.draw(st.integers(0, len(good)))
    good[at : at + len(noise) // 8] = noise
    read = {"object": textbook.decode, "library": textbook.decode_library, "elf": textbook_object.to_elf}[what]
    try:
        read(bytes(good), "f")
    except ToolError as failure:
        assert str(failure).startswith("f")
