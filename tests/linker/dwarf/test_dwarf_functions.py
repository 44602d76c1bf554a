"""Functions looked up one at a time: the entry of each, and its type."""

from __future__ import annotations

import subprocess
from functools import cache
from pathlib import Path

import pytest

from uselib.linker.c_types.types import FunctionType, Pointer, Record
from uselib.linker.dwarf import sections
from uselib.linker.dwarf.functions import FoundFunction, FunctionLookup
from uselib.linker.formats import elf

C = """
struct point { int x, y; struct point *next; };
_Noreturn void leave(void) { for (;;) ; }
__attribute__((noinline)) static int hidden(struct point *p) { return p->x; }
int old(a, b) int a; char *b; { return a; }
int unknown();
extern double known(const char *name, ...);
int main(int argc, char **argv) { struct point p = {argc}; return hidden(&p) + known("x") + old(1, "") + unknown(); }
"""
CXX = """
namespace shapes {
  struct square { int side; square(int); int area(int scale) const; static int count(); };
  square::square(int a) { side = a; }
}
int use(shapes::square &s) { return s.area(2) + shapes::square::count(); }
"""


@cache
def lookup(folder: Path, compiler: str, language: str, text: str, *options: str) -> FunctionLookup:
    path = folder / f"{compiler}{abs(hash((text, options)))}.o"
    command = [compiler, "-x", language, "-O1", "-g", "-w", *options, "-c", "-o", str(path), "-"]
    subprocess.run(command, input=text, text=True, check=True)
    file = elf.ElfFile(memoryview(path.read_bytes()), path.name)
    found = sections.own(file, path.name)
    assert found is not None and not found.problems
    return FunctionLookup(found, file.elf_class.word)


def names(found: FoundFunction | None) -> list[str]:
    assert found is not None
    return [parameter.name for parameter in found.type.parameters]


@pytest.mark.parametrize("bits", ["-m32", "-m64"])
@pytest.mark.parametrize("compiler", ["gcc", "clang"])
def test_functions_of_c(compiler: str, bits: str, tmp_path: Path) -> None:
    found = lookup(tmp_path, compiler, "c", C, bits)
    assert found.problems == ()
    leave, hidden, known = found.find("leave"), found.find("hidden"), found.find("known")
    assert leave is not None and leave.noreturn and leave.type.parameters == ()
    assert names(hidden) == ["p"]
    assert names(found.find("old")) == ["a", "b"]
    assert known is not None and known.type.variadic and not known.noreturn
    assert found.find("nothing") is None
    unknown = found.find("unknown")
    assert unknown is None or not unknown.type.prototyped


def test_members_are_read_when_they_are_asked_for(tmp_path: Path) -> None:
    found = lookup(tmp_path, "gcc", "c", C)
    hidden = found.find("hidden")
    assert hidden is not None
    rows = found.graph.rows
    pointer = rows[hidden.type.parameters[0].type]
    assert isinstance(pointer, Pointer)
    record = rows[pointer.target]
    assert isinstance(record, Record) and record.name == "point" and record.members == ()
    found.graph.complete(pointer.target)
    record = rows[pointer.target]
    assert isinstance(record, Record) and [member.name for member in record.members] == ["x", "y", "next"]


@pytest.mark.parametrize("compiler", ["g++", "clang++"])
def test_functions_of_cxx(compiler: str, tmp_path: Path) -> None:
    """A method takes the object, also where it is only declared, and there without the name `this`."""
    found = lookup(tmp_path, compiler, "c++", CXX)
    assert names(found.find("_Z3useRN6shapes6squareE")) == ["s"]
    assert names(found.find("use")) == ["s"]
    area, count = found.find("_ZNK6shapes6square4areaEi"), found.find("_ZN6shapes6square5countEv")
    assert len(names(area)) == 2 and names(count) == []
    rows = found.graph.rows
    assert area is not None and isinstance(rows[area.type.parameters[0].type], Pointer)
    constructor = found.find("_ZN6shapes6squareC2Ei")
    assert constructor is not None and isinstance(constructor.type, FunctionType)
    assert names(constructor) == ["this", "a"]


def test_object_files_of_x86_64_are_read_through_their_relocations(tmp_path: Path) -> None:
    """An object file has the offsets of its strings in relocations."""
    for version in ("-gdwarf-4", "-gdwarf-5"):
        assert names(lookup(tmp_path, "gcc", "c", C, version).find("main")) == ["argc", "argv"]
