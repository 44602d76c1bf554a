"""linker/historical/aout/format.py and stub.py: round trips, an independent reader (binutils for DJGPP), damaged files."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from support.aout import library, program, stub_archive
from uselib.linker.errors import FormatError, ToolError
from uselib.linker.historical.aout import format as aout
from uselib.linker.historical.aout import image as aout_image
from uselib.linker.historical.aout import stub as aout_stub
from uselib.linker.historical.aout.format import (
    N_ABS,
    N_DATA,
    N_EXT,
    N_SETT,
    N_TEXT,
    Aout,
    AoutRelocation,
    AoutSymbol,
    ExecHeader,
    Magic,
)

OBJDUMP = "i386-pc-msdosdjgpp-objdump"

OBJECT = Aout(
    ExecHeader(Magic.OMAGIC, 0, 0, bss=16),
    bytes(range(40)),
    b"abcdefgh",
    (
        AoutRelocation(4, 2, True),
        AoutRelocation(9, N_DATA, False),
        AoutRelocation(13, 3, True, relative=True),
        AoutRelocation(20, 0, True, size=2),
    ),
    (AoutRelocation(0, 0, True),),
    (
        AoutSymbol("_main", N_TEXT | N_EXT),
        AoutSymbol("_local", N_DATA, 44),
        AoutSymbol("_printf", N_EXT),
        AoutSymbol("_common", N_EXT, 64),
        AoutSymbol("_abs", N_ABS | N_EXT, 0x60000008),
        AoutSymbol("hello.c", 0x64, desc=3),
        AoutSymbol("___SET", N_SETT | N_EXT, 4),
    ),
)


def dump(path: Path, *options: str) -> str:
    if shutil.which(OBJDUMP) is None:
        pytest.skip("needs binutils-djgpp")
    command = [OBJDUMP, "-b", "a.out-i386", *options, str(path)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def test_round_trip() -> None:
    read = aout.decode(aout.encode(OBJECT), "x.o")
    assert (read.text, read.data, read.symbols) == (OBJECT.text, OBJECT.data, OBJECT.symbols)
    assert (read.text_relocations, read.data_relocations) == (OBJECT.text_relocations, OBJECT.data_relocations)


def test_objects_against_binutils(tmp_path: Path) -> None:
    path = tmp_path / "x.o"
    path.write_bytes(aout.encode(OBJECT))
    sections = re.findall(r"\d \.(\w+) +([0-9a-f]{8})  ([0-9a-f]{8})", dump(path, "-h"))
    assert sections == [
        ("text", "00000028", "00000000"),
        ("data", "00000008", "00000028"),
        ("bss", "00000010", "00000030"),
    ]
    rows = re.findall(r"^([0-9a-f]{8}) .{7} *\S+ \w{4} \w\w (\w\w) (\S+)$", dump(path, "-t"), re.MULTILINE)
    expected = [(f"{s.value:08x}", f"{s.type:02x}", s.name) for s in OBJECT.symbols]
    assert rows == expected
    relocations = re.findall(r"^([0-9a-f]{8}) (\w+) +(\S+)$", dump(path, "-r"), re.MULTILINE)
    assert relocations == [
        ("00000004", "32", "_printf"),
        ("00000009", "32", ".data-0x00000028"),
        ("0000000d", "DISP32", "_common"),
        ("00000014", "16", "_main"),
        ("00000000", "32", "_main"),
    ]


@pytest.mark.parametrize(("magic", "flags"), [(Magic.ZMAGIC, "D_PAGED"), (Magic.NMAGIC, "WP_TEXT")])
def test_headers_against_binutils(tmp_path: Path, magic: Magic, flags: str) -> None:
    path = program(tmp_path / "p", b"\xc3", b"data", magic, entry=0x1020 if magic is Magic.ZMAGIC else 0x20)
    text = dump(path, "-f", "-h")
    header = aout.decode_header(path.read_bytes(), "p")
    assert flags in text and f"start address 0x{header.entry:08x}" in text
    assert re.findall(r"\.(text|data) +([0-9a-f]{8})", text) == [
        ("text", f"{header.text:08x}"),
        ("data", f"{header.data:08x}"),
    ]


def test_stub_archive() -> None:
    stub = aout_stub.read_archive(
        stub_archive({"puts": 0x60000008, "_IO_puts": 0x60000008, "exit": 0x60000010}), "x.sa"
    )
    assert (stub.name, stub.version_text, stub.base) == ("/libx.so.1", "DLL Jump 1.2", 0x60000000)
    assert str(aout_stub.version_of(stub.version)) == "1.2.3"
    assert stub.names() == {0x60000008: "puts", 0x60000010: "exit"}
    assert stub.data == {"errno": 0x60002000} and stub.cells == {"errno": 0x60001000}


def test_control_file() -> None:
    text = "00000000 T _puts libc puts\n00000000 U __DUMMY__ libc x\n00000000 t _gone libc y\n"
    assert aout_stub.from_control(text, "jump.funcs", 0x1000).names() == {0x1008: "puts", 0x1018: "gone"}
    with pytest.raises(FormatError, match=r"jump.funcs:1: is not `SIZE TYPE SYMBOL LIBRARY OBJECT`"):
        aout_stub.from_control("x T _puts libc puts\n", "jump.funcs", 0)


def test_library_image(tmp_path: Path) -> None:
    path = library(tmp_path / "libx.so.1.2.3", 0x60000000, [b"\xc3", b"\x90\xc3"], version=1 << 16 | 203)
    image = aout_image.read_image(path.read_bytes(), str(path), {0x60000010: "second"})
    assert image.library is not None
    assert (image.library.identity.file_name, image.library.identity.slot_count) == ("libx.1.2.3", 2)
    assert [(e.name, e.slot, e.implementation) for e in image.exports] == [("second", 2, 0x60000019)]


GOOD = {"object": aout.encode(OBJECT), "stubs": stub_archive({"puts": 0x60000008})}


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(st.sampled_from(sorted(GOOD)), st.data())
def test_damaged_files_give_one_kind_of_error(name: str, draw: st.DataObject) -> None:
    raw = bytearray(GOOD[name])
    for _ in range(draw.draw(st.integers(1, 4))):
        raw[draw.draw(st.integers(0, len(raw) - 1))] = draw.draw(st.integers(0, 255))
    raw = raw[: draw.draw(st.integers(0, len(raw)))]
    for read in (aout.decode, aout_image.read_image, aout_stub.read_archive):
        try:
            read(bytes(raw), "f")
        except ToolError as failure:
            assert str(failure).startswith("f")
