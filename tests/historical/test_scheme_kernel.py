"""Scheme `kernel` for ELF: exec maps the libraries of a marked program; start-up code checks them in memory."""

import json
import shutil
import struct
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.programs import run, source, sysroot
from support.schemes import BASES, INNER, OUTER, OUTPUT, World, make_world
from uselib.cli import main
from uselib.linker.formats import notes
from uselib.linker.formats.elf_image import read_image
from uselib.loader.programs.headers import program_scheme

REFUSED = b"uselib: %s: %s\n"
WORDS = {
    "ELIBACC": b"Can not access a needed shared library",
    "ELIBBAD": b"Accessing a corrupted shared library",
    "ELIBSCN": b".lib section in a.out corrupted",
    "ELIBMAX": b"Attempting to link in too many shared libraries",
}


@pytest.fixture(scope="module")
def program(world: World) -> Path:
    path = world.root / "program-kernel"
    assert world.cc("kernel", path, world.root / "program.c", "-louter") == 0
    return path


def fresh(world: World, tmp_path: Path) -> tuple[World, Path]:
    """A world to damage, and a program that looks there."""
    copy = world.copy(tmp_path / "root")
    path = tmp_path / "program"
    assert copy.cc("kernel", path, copy.root / "program.c", "-louter") == 0
    return copy, path


def test_exec_maps_all_libraries(world: World, program: Path) -> None:
    done = world.run("emulated", program)
    assert (done.stdout, done.stderr, done.returncode) == (OUTPUT, b"", 7)


def test_no_system_call_maps_a_library(world: World, program: Path) -> None:
    done = world.run("emulated", program, options=("--strace",))
    calls = done.stderr.decode()
    assert "\nuselib(" not in calls and "mmap" not in calls and calls.count("\nopen") == 1 and "\nmsync(" in calls


def test_a_kernel_without_the_scheme_is_noticed(world: World, program: Path) -> None:
    done = world.run("native", program)
    message = f"{program}: can't load library '{world.shlib}/libouter_s.1.0.0'\n\tThe kernel did not map it.\n"
    assert (done.stdout, done.stderr.decode(), done.returncode) == (b"", message, 128)


def test_musl(arch: str, tmp_path: Path) -> None:
    world = make_world(tmp_path / "root", arch, "musl")
    assert world.cc("kernel", tmp_path / "p", world.root / "program.c", "-louter") == 0
    done = world.run("emulated", tmp_path / "p")
    assert (done.stdout, done.stderr, done.returncode) == (OUTPUT, b"", 7)


def test_the_mark_is_found_on_the_first_page(program: Path) -> None:
    scheme = program_scheme(program.read_bytes()[:4096])
    assert scheme is not None and scheme[0] == 3
    symbols = {symbol.name: symbol.address for symbol in read_image(program.read_bytes(), str(program)).symbols}
    assert scheme[1] == symbols["__uselib_program"] and symbols["_SHARED_LIBRARY_SCHEME"] == 3


@pytest.mark.parametrize("scheme", ["uselib", "mmap", "static"])
def test_other_programs_have_no_mark(world: World, scheme: str, tmp_path: Path) -> None:
    assert world.cc(scheme, tmp_path / "p", source(tmp_path / "p.c", "int main(void) { return 0; }")) == 0
    assert program_scheme((tmp_path / "p").read_bytes()[:4096]) is None


def test_trace_and_ldd(world: World, program: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["trace", "--readable", str(world.root), str(program)]) == 7
    traced = capfd.readouterr()
    assert "libouter_s:outer_value" in traced.out + traced.err
    assert "libinner_s:inner_value" in traced.out + traced.err
    assert main(["ldd", "--json", str(program)]) == 0
    facts = json.loads(capfd.readouterr().out)
    assert facts["scheme"] == "kernel"
    assert [row["name"] for row in facts["libraries"]] == ["libouter_s.1.0.0", "libc_s.1.0.0", "libinner_s.1.0.0"]


@pytest.mark.parametrize("scheme", ["kernel", "interp"])
def test_abi_run_replaces_what_exec_maps(
    world: World, scheme: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """exec looks at no environment, so the library under test must be put in its place in another way."""
    assert world.cc(scheme, tmp_path / "p", world.root / "program.c", "-louter") == 0
    copy = world.copy(tmp_path / "root")
    copy.library("outer", OUTER.replace("+ outer_count", "- outer_count"), version="1.0.1")
    old, new = world.shlib / "libouter_s.1.0.0", copy.shlib / "libouter_s.1.0.1"
    words = ["abi", "run", "--readable", str(world.root), str(tmp_path / "p"), "--old", str(old), "--new"]
    assert main([*words, str(new)]) == 4
    assert "main -95" in capfd.readouterr().out
    assert main([*words, str(old)]) == 0


def test_a_stripped_program(world: World, program: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    strip = shutil.which("strip")
    if strip is None:
        pytest.skip("needs strip")
    subprocess.run([strip, "-o", tmp_path / "p", program], check=True)
    assert world.run("emulated", tmp_path / "p").stdout == OUTPUT
    assert main(["ldd", str(tmp_path / "p")]) == 0
    assert "scheme kernel" in capfd.readouterr().out


def test_a_fault_report_names_the_library(world: World, tmp_path: Path) -> None:
    code = source(tmp_path / "crash.c", "#include <string.h>\nint main(void) { return (int)strlen((char *)16); }")
    assert world.cc("kernel", tmp_path / "crash", "-fno-builtin", code) == 0
    done = world.run("emulated", tmp_path / "crash")
    assert done.returncode == 128 + 11 and b"libc_s" in done.stderr and b"strlen" in done.stderr


def test_the_environment_does_not_matter(world: World, program: Path, tmp_path: Path) -> None:
    done = run(
        "emulated",
        program,
        "x",
        options=["--readable", world.root],
        environment={"WORD": "here", "LD_LIBRARY_PATH": str(tmp_path)},
    )
    assert (done.stdout, done.returncode) == (OUTPUT, 7)


def refused(world: World, program: Path, path: str, error: str) -> None:
    done = world.run("emulated", program)
    about = b"uselib: can't load library '%s': %s\n" % (path.encode(), WORDS[error]) if path else b""
    assert done.stderr == about + b"uselib: %s: %s\n" % (str(program).encode(), WORDS[error])
    assert (done.stdout, done.returncode) == (b"", 1)


@pytest.mark.parametrize("name", ["outer", "inner"])
def test_elibacc(world: World, tmp_path: Path, name: str) -> None:
    copy, program = fresh(world, tmp_path)
    (copy.shlib / f"lib{name}_s.1.0.0").unlink()
    refused(copy, program, f"{copy.shlib}/lib{name}_s.1.0.0", "ELIBACC")


def test_elibacc_for_what_may_not_be_executed(world: World, tmp_path: Path) -> None:
    copy, program = fresh(world, tmp_path)
    (copy.shlib / "libinner_s.1.0.0").chmod(0o644)
    refused(copy, program, f"{copy.shlib}/libinner_s.1.0.0", "ELIBACC")


@pytest.mark.parametrize("content", ["text", "short", "machine"])
def test_elibbad(world: World, tmp_path: Path, content: str) -> None:
    copy, program = fresh(world, tmp_path)
    library = copy.shlib / "libinner_s.1.0.0"
    data = library.read_bytes()
    if content == "machine":
        other = make_world(tmp_path / "other", "i386" if world.arch == "x86_64" else "x86_64")
        data = (other.shlib / library.name).read_bytes()
    library.write_bytes({"text": b"no library\n" * 500, "short": data[:4096], "machine": data}[content])
    refused(copy, program, str(library), "ELIBBAD")


def word_at(world: World) -> tuple[str, int]:
    return ("<I", 4) if world.arch == "i386" else ("<Q", 8)


def poke(program: Path, address: int, data: bytes) -> None:
    content = bytearray(program.read_bytes())
    segment = next(s for s in read_image(bytes(content), "").segments if s.address <= address < s.address + s.file_size)
    at = segment.offset + address - segment.address
    content[at : at + len(data)] = data
    program.write_bytes(content)


@pytest.mark.parametrize("damage", ["start", "end", "path", "mark"])
def test_elibscn(world: World, tmp_path: Path, damage: str) -> None:
    copy, program = fresh(world, tmp_path)
    mark = program_scheme(program.read_bytes()[:4096])
    assert mark is not None
    form, word = word_at(world)
    if damage == "mark":  # the structure is nowhere
        content = program.read_bytes()
        at = content.index(struct.pack("<III", 7, 16, notes.NT_SCHEME) + b"uselib\0\0") + 28
        program.write_bytes(content[:at] + struct.pack(form, 0x10) + content[at + word :])
    else:
        image = read_image(program.read_bytes(), "")
        start = next(s.address for s in image.symbols if s.name == "_SHARED_LIBRARIES")
        field = {"start": (2, 0x1234), "end": (3, start + 8), "path": (0, 0x77)}[damage]
        poke(program, mark[1] + field[0] * word, struct.pack(form, field[1]))
    refused(copy, program, "", "ELIBSCN")


def test_elibmax(world: World, tmp_path: Path) -> None:
    names = "".join(f'"lib{n}_s.1.0.0\\0"' for n in range(65))
    code = source(
        tmp_path / "many.c",
        f'__attribute__((section(".lib"), used)) static const char many[] = {names} "z";'
        "\nint main(void) { return 0; }",
    )
    assert world.cc("kernel", tmp_path / "many", code) == 0
    refused(world, tmp_path / "many", "", "ELIBMAX")


def test_elibexec(world: World) -> None:
    done = world.run("emulated", world.shlib / "libouter_s.1.0.0")
    assert done.returncode == 1 and b"is a library; run a program that was linked with it" in done.stderr


def test_an_overlap(world: World, tmp_path: Path) -> None:
    """A library that has moved onto another one since the program was linked."""
    copy, program = fresh(world, tmp_path)
    copy.library("inner", INNER, base=BASES["outer"])
    done = copy.run("emulated", program)
    about = f"uselib: can't load library '{copy.shlib}/libinner_s.1.0.0': Address range is occupied\n"
    assert done.stderr.decode().startswith(about) and (done.stdout, done.returncode) == (b"", 1)


def test_versions_are_checked_by_the_program(world: World, tmp_path: Path) -> None:
    copy, program = fresh(world, tmp_path)
    copy.library("outer", OUTER, version="2.0.0")
    (copy.shlib / "libouter_s.2.0.0").rename(copy.shlib / "libouter_s.1.0.0")
    done = copy.run("emulated", program)
    assert done.stderr.decode() == (
        f"{program}: can't load library '{copy.shlib}/libouter_s.1.0.0'\n\tIncompatible version. (is 2.0.0, needs 1.0.0)\n"
    )
    assert done.returncode == 128


def test_a_program_execs_another(world: World, program: Path, tmp_path: Path) -> None:
    code = source(
        tmp_path / "starter.c",
        "#include <unistd.h>\n#include <stdio.h>\nextern char **environ;\nint main(int c, char **v) {"
        " execve(v[1], v + 1, environ); perror(v[1]); return 9; }",
    )
    assert world.cc("kernel", tmp_path / "starter", code) == 0
    found = ["--readable", str(world.root)]
    done = run("emulated", tmp_path / "starter", program, "x", options=found, environment={"WORD": "here"})
    assert (done.stdout, done.returncode) == (OUTPUT, 7)
    copy, other = fresh(world, tmp_path)
    (copy.shlib / "libinner_s.1.0.0").unlink()
    done = run("emulated", tmp_path / "starter", other, "x", options=found, environment={"WORD": "here"})
    assert done.returncode == 9 and done.stderr.splitlines()[-1].startswith(str(other).encode())


def test_no_damage_raises(arch: str) -> None:
    root = sysroot(arch)
    page = (root / "shlib" / "libc_s.1.0.0").read_bytes()[:4096]

    @settings(max_examples=60, deadline=None)
    @given(st.integers(0, 4095), st.integers(0, 255), st.integers(64, 4096))
    def check(at: int, value: int, size: int) -> None:
        data = bytearray(page)
        data[600:640] = struct.pack("<III", 7, 16, 4) + b"uselib\0\0" + struct.pack("<IIQ", 1, 3, 0) + bytes(4)
        data[at] = value
        program_scheme(bytes(data[:size]))

    check()
