"""Addresses -> lines, as our reader and as pyelftools see them; and damaged tables, which never raise."""

from __future__ import annotations

import functools
import os
import subprocess
import tempfile
from pathlib import Path

import pytest
from elftools.elf.elffile import ELFFile
from hypothesis import given, settings
from hypothesis import strategies as st

from support.tools import needs, require
from uselib.linker.dwarf import sections
from uselib.linker.dwarf.line_programs import LineTables, SourceLine
from uselib.linker.formats import elf

HEADER = "static inline int twice(int x)\n{\n  int y = x;\n  return y + x;\n}\n"
ONE = """#include "part/twice.h"
int other(int);
__attribute__((cold)) int rare(int a) { return other(a) * 3; }
int one(int a)
{
  int sum = 0;
  for (int i = 0; i < a; i++)
    sum += twice(i) + other(i);
  return a > 5 ? rare(sum) : sum;
}
"""
TWO = """int other(int a) { return a + 1; }
#line 100000 "made.y"
int generated(int a) { return other(a) * 2; }
#line 3 "two.c"
int last(int a) { return generated(a); }
"""
FORMS = (
    "gcc -gdwarf-5 -O2",
    "gcc -gdwarf-4 -O0",
    "gcc -gdwarf-3 -O1 -ffunction-sections",
    "gcc -gdwarf-2 -gstrict-dwarf -O2 -m32",
    "gcc -gdwarf-5 -m32 -O1",
    "gcc -g -gz -O1",
    "gcc -gdwarf-5 -gno-as-loc-support -O1",
    "clang -gdwarf-5 -O2",
    "clang -gdwarf-4 -O1 -ffunction-sections",
)
pytestmark = needs("gcc")


def _build(folder: Path, form: str) -> Path:
    compiler, *options = form.split()
    (folder / "part").mkdir()
    (folder / "part" / "twice.h").write_text(HEADER)
    for name, text in (("one.c", ONE), ("two.c", TWO)):
        (folder / name).write_text(text)
    command = [compiler, "-shared", "-fPIC", "-nostdlib", *options, "-o", "lib.so", "one.c", "two.c"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    if done.returncode and "-m32" not in options:
        pytest.skip(f"{compiler} does not take {form}")
    assert not done.returncode, done.stderr
    return folder / "lib.so"


def _oracle(path: Path) -> dict[int, tuple[str, int]]:
    """Each address of code -> (file's name, line), from pyelftools' rows."""
    found: dict[int, tuple[str, int]] = {}
    with path.open("rb") as file:
        dwarf = ELFFile(file).get_dwarf_info()
        for unit in dwarf.iter_CUs():
            program = dwarf.line_program_for_CU(unit)
            names = [entry.name.decode() for entry in program["file_entry"]]
            first = 0 if program["version"] >= 5 else 1
            before = None
            for state in (entry.state for entry in program.get_entries() if entry.state is not None):
                if before is not None:
                    for address in range(before.address, state.address):
                        found[address] = os.path.basename(names[before.file - first]), before.line
                before = None if state.end_sequence else state
    return found


def _tables(data: bytes, name: str) -> LineTables | None:
    found = sections.find(elf.ElfFile(memoryview(data), name), name)
    return LineTables(found) if found is not None else None


def _plain(line: SourceLine | None) -> tuple[str, int] | None:
    return None if line is None else (os.path.basename(line.file), line.line)


@pytest.mark.parametrize("form", FORMS)
def test_every_address_as_pyelftools(tmp_path: Path, form: str) -> None:
    require(form.split()[0])
    path = _build(tmp_path, form)
    expected = _oracle(path)
    assert len(expected) > 60 and {name for name, _ in expected.values()} >= {"one.c", "two.c", "made.y"}
    for order in (sorted(expected), sorted(expected, reverse=True)):
        tables = _tables(path.read_bytes(), str(path))
        assert tables is not None
        assert {address: _plain(tables.find(address)) for address in order} == expected
    assert tables.find(min(expected) - 1) is None and tables.find(max(expected) + 1 << 20) is None


@pytest.mark.parametrize("form", ["gcc -gdwarf-5 -O1", "clang -gdwarf-4 -O1"])
def test_offsets_of_eight_bytes(tmp_path: Path, form: str) -> None:
    """The 64-bit format tells the same lines of the same code. (pyelftools does not read what gcc and gas make of it.)"""
    require(form.split()[0])
    (tmp_path / "plain").mkdir()
    expected = _oracle(_build(tmp_path / "plain", form))
    path = _build(tmp_path, f"{form} -gdwarf64")
    tables = _tables(path.read_bytes(), str(path))
    assert tables is not None and {address: _plain(tables.find(address)) for address in expected} == expected


def test_names_are_as_the_compiler_saw_them(tmp_path: Path) -> None:
    path = _build(tmp_path, "gcc -g -O0")
    tables = _tables(path.read_bytes(), str(path))
    assert tables is not None
    files = {line.file for line in map(tables.find, _oracle(path)) if line is not None}
    assert files == {"one.c", "part/twice.h", "two.c", "made.y"}


def test_a_program_is_run_when_its_unit_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from uselib.linker.dwarf import line_programs

    read: list[int] = []
    header = line_programs.read_header
    monkeypatch.setattr(line_programs, "read_header", lambda data, at: (read.append(at), header(data, at))[1])
    path = _build(tmp_path, "gcc -g -O0")
    tables = _tables(path.read_bytes(), str(path))
    assert tables is not None and read == []
    two = next(address for address, (name, _) in _oracle(path).items() if name == "two.c")
    assert _plain(tables.find(two)) == ("two.c", 1) and len(read) == 1
    tables.find(two + 1)
    assert len(read) == 1


def test_lines_of_a_separate_debug_file(tmp_path: Path) -> None:
    path = _build(tmp_path, "gcc -g -O1")
    expected = _oracle(path)
    subprocess.run(["objcopy", "--only-keep-debug", "lib.so", "lib.debug"], cwd=tmp_path, check=True)
    subprocess.run(["objcopy", "-g", "--add-gnu-debuglink=lib.debug", "lib.so"], cwd=tmp_path, check=True)
    tables = _tables(path.read_bytes(), str(path))
    assert tables is not None and {address: _plain(tables.find(address)) for address in expected} == expected


@functools.cache
def _good(form: str) -> tuple[bytes, tuple[tuple[int, int], ...], tuple[int, ...]]:
    with tempfile.TemporaryDirectory() as folder:
        path = _build(Path(folder), form)
        data = path.read_bytes()
        addresses = tuple(_oracle(path))
    file = elf.ElfFile(memoryview(data), "good")
    parts = tuple(
        (s.offset, s.size)
        for s in file.sections
        if file.names[s.name] in (".debug_line", ".debug_info", ".debug_line_str")
    )
    return data, parts, addresses


@settings(max_examples=150, deadline=None)
@given(form=st.sampled_from(("gcc -gdwarf-5 -O2", "gcc -gdwarf-2 -m32 -O1")), data=st.data())
def test_damage_never_raises(form: str, data: st.DataObject) -> None:
    content, parts, addresses = _good(form)
    damaged = bytearray(content)
    for _ in range(data.draw(st.integers(1, 8))):
        offset, size = data.draw(st.sampled_from(parts))
        damaged[offset + data.draw(st.integers(0, size - 1))] = data.draw(st.integers(0, 255))
    tables = _tables(bytes(damaged), "damaged")
    for address in addresses if tables is not None else ():
        found = tables.find(address)
        assert found is None or (isinstance(found.file, str) and found.line >= 0)


@pytest.mark.parametrize("form", ("gcc -gdwarf-5 -O2", "gcc -gdwarf-2 -m32 -O1"))
def test_each_byte_of_the_line_table_damaged(form: str) -> None:
    content, parts, addresses = _good(form)
    middle = addresses[len(addresses) // 2]
    for offset, size in parts:
        for at in range(offset, offset + size):
            for value in (0, 1, 0x7F, 0x80, 0xFF):
                tables = _tables(content[:at] + bytes((value,)) + content[at + 1 :], "damaged")
                if tables is not None:
                    tables.find(middle)
