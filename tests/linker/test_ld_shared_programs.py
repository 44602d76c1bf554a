"""Our ld and stub libraries: `.lib`, the binding note, dependencies found by themselves, conflicts, overlaps."""

from __future__ import annotations

import re
import subprocess
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.snippets import compile_snippet
from support.tools import MACHINES, needs
from uselib.cli import main
from uselib.linker.errors import ToolError
from uselib.linker.formats.elf_image import read_image
from uselib.linker.image import Binding, Export, ExportKind, Identity, Image, Machine, Version
from uselib.linker.library import stub
from uselib.linker.library.interpose import Interposition
from uselib.linker.link import LinkJob, link
from uselib.linker.options import InputArgument, Options
from uselib.linker.outputs.program import ProgramOutput

pytestmark = needs("gcc")
FLAGS = {Machine.I386: "-m32", Machine.X86_64: "-m64"}


def library(
    machine: Machine,
    name: str = "liba_s",
    base: int = 0x60000000,
    dependencies: tuple[str, ...] = (),
    references: tuple[str, ...] = (),
    prefix: str = "a",
) -> stub.StubContents:
    def function(symbol: str, slot: int) -> Export:
        return Export(symbol, ExportKind.FUNCTION, base + 0x400 + 8 * slot, 16, slot, base + 0x1000 + slot)

    return stub.StubContents(
        machine,
        Identity(name, Version(1, 2, 3), base, 0x10000, bytes(range(32)), 3),
        dependencies,
        (
            stub.StubMember(
                "f.o", (function(f"{prefix}_f", 1),), references=tuple(stub.Reference(r) for r in references)
            ),
            stub.StubMember(
                "d.o", (Export(f"{prefix}_data", ExportKind.DATA, base + 0x8000, 40), function(f"{prefix}_g", 2))
            ),
            stub.StubMember("m.o", (function(f"{prefix}_malloc", 3),)),
        ),
        (Interposition(f"{prefix}_malloc", base + 0x9000, base + 0x418),),
    )


class Build:
    def __init__(self, directory: Path, machine: Machine, capsys: pytest.CaptureFixture[str]) -> None:
        self.directory, self.machine, self.capsys = directory, machine, capsys

    def object(self, source: str) -> str:
        path = self.directory / f"o{len(list(self.directory.iterdir()))}.o"
        return compile_snippet(path, source, FLAGS[self.machine])

    def stub(self, name: str, content: stub.StubContents) -> None:
        (self.directory / name).write_bytes(stub.archive(content))

    def ld(self, *words: str, status: int = 0) -> str:
        got = main(["ld", "-L", str(self.directory), "-o", str(self.directory / "out"), *words])
        said = self.capsys.readouterr().err
        assert got == status, said
        return said

    def image(self) -> Image:
        return read_image((self.directory / "out").read_bytes(), "out")


@pytest.fixture
def build(machine: Machine, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Build:
    return Build(tmp_path, machine, capsys)


USER = "int a_f(void); extern int a_data[10]; int _start(void) { a_data[1] = 2; return a_f(); }"


def test_list_bindings_and_path(build: Build) -> None:
    build.stub("liba_s.a", library(build.machine))
    said = build.ld(build.object(USER), "-la_s", "-rpath", "/first", "-rpath=/second:/third")
    assert not said
    image = build.image()
    assert image.library_names == ("liba_s.1.2.3",)
    assert image.library_path == "/first:/second:/third"
    assert [need.name for need in image.needs] == ["liba_s"]
    assert image.needs[0].digest == bytes(range(32))
    assert image.bindings == (
        Binding("liba_s", "a_f", 0x60000408, ExportKind.FUNCTION),
        Binding("liba_s", "a_data", 0x60008000, ExportKind.DATA),
    )
    found = {s.name: (s.address, s.absolute) for s in image.symbols}
    assert found["a_f"] == (0x60000408, True)
    assert not found["_SHARED_LIBRARIES"][1]
    assert not any(s.flags & 3 == 3 for s in image.segments)


def test_schemes_prefer_stubs(build: Build) -> None:
    build.stub("liba_s.a", library(build.machine))
    member = build.object("int a_f(void) { return 1; } int a_data[10];")
    subprocess.run(["ar", "rcs", str(build.directory / "liba.a"), member], check=True)
    user = build.object(USER)
    build.ld(user, "-la")
    assert build.image().library_names == ()
    for scheme in ("uselib", "mmap"):
        build.ld(user, "-la", "--scheme", scheme)
        assert build.image().library_names == ("liba_s.1.2.3",)


def test_directory_format(build: Build) -> None:
    directory = build.directory / "liba_s"
    directory.mkdir()
    for member in stub.members(library(build.machine)):
        (directory / member.name).write_bytes(member.content)
    build.ld(build.object(USER), "-la_s")
    assert build.image().library_names == ("liba_s.1.2.3",)
    assert len(build.image().bindings) == 2
    build.ld(build.object(USER), str(directory))
    assert build.image().library_names == ("liba_s.1.2.3",)
    (directory / "LIBRARY NAME").unlink()
    assert "the directory has no file `LIBRARY NAME`, so it is not a library" in build.ld(
        build.object(USER), str(directory), status=1
    )


def test_dependencies_are_found_by_themselves(build: Build) -> None:
    build.stub("liba_s.a", library(build.machine, dependencies=("libb_s.1.2.3",), references=("b_f",)))
    user = build.object(USER)
    said = build.ld(user, "-la_s")
    assert re.search(
        r"warning: \S*liba_s\.a: depends on libb_s\.1\.2\.3, whose stub library was not found; name libb_s\.a", said
    )
    build.stub("libb_s.a", library(build.machine, "libb_s", 0x60100000, prefix="b"))
    assert not build.ld(user, "-la_s")
    image = build.image()
    assert image.library_names == ("liba_s.1.2.3", "libb_s.1.2.3")
    assert {b.symbol for b in image.bindings} == {"a_f", "a_data"}  # b_f was not bound by the program
    # and a program with a malloc of its own gives it to that library, too
    build.ld(build.object(USER + " int b_malloc(void) { return 1; }"), "-la_s")
    assert {s.name: s.absolute for s in build.image().symbols}["b_malloc"] is False


def test_conflicts_are_warned_about(build: Build) -> None:
    build.stub("liba_s.a", library(build.machine))
    user = build.object("int a_g(void); int a_data[10]; int _start(void) { a_data[1] = 2; return a_g(); }")
    said = build.ld(user, "-la_s")
    assert re.search(
        r"uselib: warning: \S+\.o: a_data: also defined in the shared library liba_s\.1\.2\.3 \(\S*liba_s\.a\), which continues to "
        r"use its own copy; rename it or make it static, declare it `extern`",
        said,
    )
    assert [b.symbol for b in build.image().bindings] == ["a_g"]
    # a name of the library that the program also has, even if nothing would bind to it
    said = build.ld(
        build.object("int a_f(void) { return 1; } int a_g(void); int _start(void) { return a_g(); }"), "-la_s"
    )
    assert "a_f: also defined in the shared library" in said
    # an interposable function may be replaced
    user = build.object(
        "int a_malloc(void) { return 1; } int a_f(void); int _start(void) { return a_f() + a_malloc(); }"
    )
    assert not build.ld(user, "-la_s")


def test_overlaps_are_refused(build: Build) -> None:
    build.stub("liba_s.a", library(build.machine))
    build.stub("libb_s.a", library(build.machine, "libb_s", 0x60008000, prefix="b"))
    user = build.object("int a_f(void), b_f(void); int _start(void) { return a_f() + b_f(); }")
    said = build.ld(user, "-la_s", "-lb_s", status=1)
    assert re.search(
        r"libb_s\.a: libb_s\.1\.2\.3 at 0x60008000 overlaps liba_s\.1\.2\.3 at 0x60000000-0x60010000", said
    )
    said = build.ld(build.object(USER), "-la_s", "--image-base=0x60000000", status=1)
    assert "overlaps liba_s.1.2.3 at 0x60000000" in said and "--image-base" in said


def test_wrong_machine_and_empty_name(build: Build) -> None:
    other = Machine.I386 if build.machine is Machine.X86_64 else Machine.X86_64
    build.stub("liba_s.a", library(other))
    assert f"an object for {other.label} in a link for {build.machine.label}" in build.ld(
        build.object(USER), "-la_s", status=1
    )
    data = stub.archive(library(build.machine)).replace(b"liba_s.1.2.3\n", b"            \n", 1)
    (build.directory / "liba_s.a").write_bytes(data)
    assert "its `LIBRARY NAME` is empty" in build.ld(build.object(USER), "-la_s", status=1)


def test_start_up_files_bring_their_own_list(build: Build) -> None:
    build.stub("liba_s.a", library(build.machine))
    crt1 = build.object(
        '__attribute__((section(".lib"), used)) const char _SHARED_LIBRARIES[0]; int _start(void) { extern int test(void); return test(); }'
    )
    crtn = build.object('__attribute__((section(".lib"), used)) static const char end[1];')
    user = build.object("int a_f(void); int test(void) { return a_f(); }")
    build.ld(crt1, user, "-la_s", crtn)
    assert build.image().library_names == ("liba_s.1.2.3",)
    build.ld(crt1, user, "-la_s")  # without crtn.o ours ends the list
    assert build.image().library_names == ("liba_s.1.2.3",)


@cache
def sample(machine: Machine) -> tuple[bytes, bytes]:
    """A program's object and a stub library."""
    with TemporaryDirectory() as directory:
        path = Path(directory) / "x.o"
        compile_snippet(path, USER, FLAGS[machine])
        return path.read_bytes(), stub.archive(library(machine))


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(MACHINES), st.data())
def test_damaged_stub_libraries_give_tool_errors(machine: Machine, data: st.DataObject) -> None:
    item, archive = sample(machine)
    broken = bytearray(archive)
    for _ in range(data.draw(st.integers(1, 4))):
        broken[data.draw(st.integers(0, len(broken) - 1))] = data.draw(st.integers(0, 255))
    broken = broken[: data.draw(st.sampled_from([len(broken), len(broken), data.draw(st.integers(0, len(broken)))]))]
    with TemporaryDirectory() as directory:
        paths = [Path(directory) / name for name in ("x.o", "liba_s.a")]
        for path, content in zip(paths, (item, bytes(broken)), strict=True):
            path.write_bytes(content)
        options = Options(
            inputs=tuple(InputArgument(str(path)) for path in paths), gc_sections=data.draw(st.booleans())
        )
        try:
            link(LinkJob(options, ProgramOutput()))
        except ToolError as failure:
            assert str(failure)
