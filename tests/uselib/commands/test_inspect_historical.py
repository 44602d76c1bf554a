"""`uselib inspect` on a.out, COFF and the textbook's files."""

from __future__ import annotations

import json
from pathlib import Path

from support.aout import library, program, stub_archive
from support.command import uselib
from uselib.linker.historical.aout.format import Magic
from uselib.linker.historical.coff import format as coff
from uselib.linker.historical.textbook import format as textbook
from uselib.linker.historical.textbook.format import (
    LibraryModule,
    ModuleLibrary,
    TextbookObject,
    TextbookSegment,
    TextbookSymbol,
)


def lines(path: Path) -> list[str]:
    result = uselib("inspect", path)
    assert (result.returncode, result.stderr) == (0, "")
    return result.stdout.splitlines()


def test_aout_library_with_the_names_of_its_stub(tmp_path: Path) -> None:
    path = library(tmp_path / "libx.so.1.2.3", 0x60000000, [b"\xc3", b"\xc3"], version=1 << 16 | 203)
    assert lines(path)[2:] == [
        "  libx 1.2.3 at 0x60000000-0x60000fff, 2 slots",
        "      1 0x60000008 ?",
        "      2 0x60000010 ?",
    ]
    (tmp_path / "libx.sa").write_bytes(stub_archive({"puts": 0x60000008}))
    assert "      1 0x60000008 puts -> 0x60000018" in lines(path)
    stub = lines(tmp_path / "libx.sa")
    assert stub[0].endswith("stub archive of /libx.so.1 (DLL Jump 1.2), version 1.2.3, at 0x60000000")
    assert stub[1:3] == ["  1 functions:", "    0x60000008 puts"]


def test_aout_program(tmp_path: Path) -> None:
    path = program(tmp_path / "p", b"\xc3", magic=Magic.QMAGIC, entry=0x1020, bss=16)
    assert lines(path) == [f"{path}: a.out program (QMAGIC), entry 0x1020", "  text 0x1000, data 0x0, bss 0x10"]


def test_coff(tmp_path: Path) -> None:
    record = coff.encode_library("/shlib/libc_s")
    sections = (
        coff.CoffSection(".text", 0x1000, 4, coff.STYP_TEXT, b"\xc3\0\0\0"),
        coff.CoffSection(".lib", 0, len(record), coff.STYP_LIB, record, paddr=1),
    )
    file = coff.Coff(
        sections, (coff.CoffSymbol("main", 0x1000, 1),), coff.OptionalHeader(coff.ZMAGIC, entry=0x1000), coff.F_EXEC
    )
    path = tmp_path / "p"
    path.write_bytes(coff.encode(file))
    text = lines(path)
    assert text[0] == f"{path}: COFF program (System V Release 3, i386), entry 0x1000"
    assert text[3:] == ["  the kernel maps:", "    /shlib/libc_s", "  symbols:", "    00001000 ext main"]
    assert json.loads(uselib("inspect", "--json", path).stdout)["libraries"] == ["/shlib/libc_s"]


def test_textbook(tmp_path: Path) -> None:
    file = TextbookObject((TextbookSegment(".text", 0x1000, 1, "RP", b"\xc3"),), (TextbookSymbol("f", 0x1000, 1),))
    (tmp_path / "o").write_bytes(textbook.encode(file))
    assert lines(tmp_path / "o")[0].endswith("o: linked file in the textbook's format, 0 relocations")
    stub = ModuleLibrary((LibraryModule("m", textbook.encode(file), ("f",)),), "libq_s.1.0.0", ("libc_s.4.0.0",))
    (tmp_path / "l").write_bytes(textbook.encode_library(stub))
    assert lines(tmp_path / "l")[0].endswith("l: stub library of libq_s.1.0.0 in the textbook's file format, 1 modules")


def test_other_files(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("hello")
    result = uselib("inspect", tmp_path / "x")
    assert result.returncode == 1 and "is neither an archive nor a file of a format that is known here" in result.stderr
