"""Stub libraries under other linkers: GNU ld, lld and mold take the archive as it is."""

from __future__ import annotations

import struct
import subprocess
from pathlib import Path

import pytest
from elftools.elf.elffile import ELFFile
from elftools.elf.sections import SymbolTableSection

from support.tools import require
from uselib.linker.errors import ToolError
from uselib.linker.formats import notes
from uselib.linker.formats.ar import Archive
from uselib.linker.image import Export, ExportKind, Identity, Machine, Version
from uselib.linker.library import stub
from uselib.linker.library.interpose import Interposition

EMULATION = {Machine.I386: "elf_i386", Machine.X86_64: "elf_x86_64"}
LINKERS = ["ld", "ld.lld", "mold"]
IDENTITY = Identity("libt_s", Version(1, 2, 3), 0x60000000, 0x10000, bytes(range(32)), 4)

PROGRAM = """
.section .lib, "aR"
.globl _SHARED_LIBRARIES
_SHARED_LIBRARIES:
.section .text
.globl _start
_start: call add
 mov $table, %eax
 call malloc
 jmp maybe
.weak maybe
"""
END = '.section .lib, "aR"\n.byte 0\n'


def library(machine: Machine) -> stub.StubContents:
    def function(name: str, slot: int) -> Export:
        return Export(name, ExportKind.FUNCTION, 0x60000400 + 8 * slot, 10 * slot, slot, 0x60001000 + slot)

    return stub.StubContents(
        machine,
        IDENTITY,
        ("libc_s.1.0.0",),
        (
            stub.StubMember(
                "add.o", (function("add", 1),), references=(stub.Reference("helper"), stub.Reference("strlen"))
            ),
            stub.StubMember("helper.o", (function("helper", 2), Export("table", ExportKind.DATA, 0x60008000, 40))),
            stub.StubMember("malloc.o", (function("malloc", 3),)),
            stub.StubMember("maybe.o", (function("maybe", 4),), weak=frozenset({"maybe"})),
            stub.StubMember("maybe.o", ()),
        ),
        (Interposition("malloc", 0x60009000, 0x60000418),),
    )


def link(tmp_path: Path, machine: Machine, linker: str, program: str = PROGRAM, *options: str) -> ELFFile:
    require(linker)
    flag = "--32" if machine is Machine.I386 else "--64"
    for name, text in (("main", program), ("end", END)):
        (tmp_path / f"{name}.s").write_text(text + '\n.section .note.GNU-stack,"",@progbits\n')
        subprocess.run(["as", flag, f"{name}.s", "-o", f"{name}.o"], cwd=tmp_path, check=True)
    (tmp_path / "libt_s.a").write_bytes(stub.archive(library(machine)))
    ran = subprocess.run(
        [linker, "-m", EMULATION[machine], "-static", *options, "-o", "main", "main.o", "-L.", "-lt_s", "end.o"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 0, ran.stderr
    assert not ran.stderr, ran.stderr
    return ELFFile(open(tmp_path / "main", "rb"))


def symbols(elf: ELFFile) -> dict[str, tuple[int, int, object]]:
    table = elf.get_section_by_name(".symtab")
    assert isinstance(table, SymbolTableSection)
    return {s.name: (s["st_value"], s["st_size"], s["st_shndx"]) for s in table.iter_symbols() if s.name}


@pytest.mark.parametrize("linker", LINKERS)
@pytest.mark.parametrize("options", [(), ("--gc-sections",)], ids=["plain", "gc"])
def test_program_links(tmp_path: Path, machine: Machine, linker: str, options: tuple[str, ...]) -> None:
    elf = link(tmp_path, machine, linker, PROGRAM, *options)
    lib = elf.get_section_by_name(".lib")
    assert lib.data() == b"libt_s.1.2.3\0\0"
    bound = symbols(elf)
    assert bound["_SHARED_LIBRARIES"][0] == lib["sh_addr"]
    assert bound["add"] == (0x60000408, 10, "SHN_ABS")
    assert bound["helper"][0] == 0x60000410  # pulled in by add.o's reference
    assert bound["table"] == (0x60008000, 40, "SHN_ABS")
    note = next(n for n in elf.iter_sections() if n.name == notes.SECTION)
    found = [notes.decode_needs(n.descriptor, "test") for n in notes.notes(note.data(), "test")]
    assert found == [IDENTITY]
    word = "<3I" if machine is Machine.I386 else "<3Q"
    triple = elf.get_section_by_name("uselib_interpose").data()
    assert struct.unpack(word, triple) == (0x60009000, 0x60000418, 0x60000418)
    # the call in the text really goes to the slot
    text = elf.get_section_by_name(".text")
    assert text["sh_addr"] + 5 + struct.unpack_from("<i", text.data(), 1)[0] == 0x60000408
    assert not any(s["p_flags"] == 7 for s in elf.iter_segments() if s["p_type"] == "PT_GNU_STACK")


@pytest.mark.parametrize("linker", LINKERS)
def test_programs_own_malloc_wins(tmp_path: Path, machine: Machine, linker: str) -> None:
    """Even when malloc's stub member is linked for another reason: its definition there is weak."""
    elf = link(tmp_path, machine, linker, PROGRAM + ".section .text\n.globl malloc\nmalloc: ret\n")
    bound = symbols(elf)
    word = "<3I" if machine is Machine.I386 else "<3Q"
    triple = struct.unpack(word, elf.get_section_by_name("uselib_interpose").data())
    assert triple == (0x60009000, bound["malloc"][0], 0x60000418)
    assert bound["malloc"][2] != "SHN_ABS"


def test_members_as_readelf_sees_them(tmp_path: Path, machine: Machine) -> None:
    (tmp_path / "libt_s.a").write_bytes(stub.archive(library(machine)))
    listed = subprocess.run(["ar", "t", "libt_s.a"], cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    assert listed.splitlines() == ["LIBRARY NAME", "library.o", "add.o", "helper.o", "malloc.o", "maybe.o", "maybe~2.o"]
    name = subprocess.run(["ar", "p", "libt_s.a", "LIBRARY NAME"], cwd=tmp_path, capture_output=True, check=True).stdout
    assert name == b"libt_s.1.2.3\nlibc_s.1.0.0\n"
    shown = subprocess.run(["readelf", "-Wa", "libt_s.a"], cwd=tmp_path, capture_output=True, text=True)
    assert "Warning" not in shown.stderr, shown.stderr
    assert shown.stderr.count("Error") == 1  # `LIBRARY NAME` is text
    nm = subprocess.run(["nm", "libt_s.a"], cwd=tmp_path, capture_output=True, text=True).stdout
    assert "w strlen" in nm  # of another library: weak
    assert "U helper" in nm
    assert "A add" in nm and "W malloc" in nm


def test_identity_of_archive_and_directory(tmp_path: Path, machine: Machine) -> None:
    made = library(machine)
    (tmp_path / "libt_s.a").write_bytes(stub.archive(made))
    directory = tmp_path / "libt_s"
    directory.mkdir()
    for member in stub.members(made):
        (directory / member.name).write_bytes(member.content)
    for path in (tmp_path / "libt_s.a", directory):
        assert stub.is_stub(path)
        read = stub.read_identity(path)
        assert (read.machine, read.identity, read.file_name) == (machine, IDENTITY, "libt_s.1.2.3")
        assert read.dependencies == ("libc_s.1.0.0",)
    assert stub.archive(made) == stub.archive(library(machine))


def test_bad_stubs(tmp_path: Path) -> None:
    bad = tmp_path / "bad.a"
    bad.write_bytes(b"hello")
    with pytest.raises(ToolError, match="not a stub library"):
        stub.read_identity(bad)
    good = stub.archive(library(Machine.I386))
    for cut in range(0, len(good), 37):
        bad.write_bytes(good[:cut])
        stub.is_stub(bad)
        try:
            stub.read_identity(bad)
        except ToolError as failure:
            assert str(bad) in str(failure)
    plain = tmp_path / "plain.a"
    plain.write_bytes(b"!<arch>\n")
    assert not stub.is_stub(plain)
    assert Archive(good, "x").members()[0].name == "LIBRARY NAME"
