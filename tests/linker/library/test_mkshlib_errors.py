"""mkshlib's refusals: one clear line, status 1 (2 for usage), nothing written; and damaged input of every kind."""

from __future__ import annotations

import random
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from support.mkshlib import compile_c, image, mkshlib, run_program
from support.tools import needs
from uselib.cli import main
from uselib.linker.formats.ar import Archive
from uselib.linker.image import ExportKind, Machine
from uselib.linker.library import registry

pytestmark = needs("gcc", "ar")

AT = ("--name", "t", "--version", "1.0.0", "--text", "0x61000000")
M = Machine.X86_64


def refused(capsys: pytest.CaptureFixture[str], out: Path, *arguments: object, status: int = 1) -> str:
    """The message of mkshlib, which must fail and leave no file."""
    capsys.readouterr()
    assert main(["mkshlib", "-o", str(out), *map(str, arguments)]) == status
    said = capsys.readouterr()
    assert not said.out
    assert "Traceback" not in said.err
    assert not [path for path in out.rglob("*") if path.is_file()] if out.exists() else True
    return said.err


def archive(path: Path, *objects: Path) -> Path:
    subprocess.run(["ar", "rcsD", str(path), *map(str, objects)], check=True)
    return path


CASES = [
    (
        "__thread int tls_here; int f(void) { return tls_here; }",
        (),
        "thread-local data cannot be in a fixed-address shared library yet",
    ),
    (
        'static int g(void) { return 1; } static void *r(void) { return g; } int f(void) __attribute__((ifunc("r")));',
        (),
        "an indirect function (IFUNC) is resolved at start-up",
    ),
    (
        'int f(void) { return 1; } __asm__(".section .init,\\"ax\\"\\n nop\\n.text");',
        (),
        "code in .init belongs to one program",
    ),
    ("int f(void) { return 1; }", ("--interposable", "absent"), "absent: is not a function that this library exports"),
    ("int f = 1;", ("--interposable", "f"), "f: is not a function that this library exports"),
    ("int f(void) { return 1; }", ("--export", "absent"), "absent: cannot be exported: no object defines it"),
    ("int f(void) { return 1; }", ("--data", "0x61000000"), "is not behind the text address"),
    ('int f(void) { __asm__(".skip 9000"); return 1; } int x = 1;', ("--data", "0x61001000"), "the text ends at"),
    ("int f(void) { return 1; }", ("/nowhere/x.o",), "/nowhere/x.o: cannot be read: No such file"),
    ("int f(void) { return 1; }", ("-l", "nothere"), "-lnothere: no libnothere_s.a or libnothere_s or libnothere.a"),
]


@pytest.mark.parametrize(("source", "options", "message"), CASES)
def test_refusals(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], source: str, options: tuple[str, ...], message: str
) -> None:
    library = archive(tmp_path / "lib.a", compile_c(tmp_path, M, "member", source))
    said = refused(capsys, tmp_path / "out", *AT, library, *options)
    assert message in said
    assert said.count("\n") == 1, said


def test_tls_names_file_member_and_symbol(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    library = archive(tmp_path / "lib.a", compile_c(tmp_path, M, "member", CASES[0][0]))
    said = refused(capsys, tmp_path / "out", *AT, library)
    assert f"uselib: {library}(member.o): tls_here: thread-local data" in said
    assert "; make it ordinary data" in said


def test_every_undefined_symbol_is_listed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = "int one(void), two(void); extern int three; int f(void) { return one() + two() + three; }"
    said = refused(capsys, tmp_path / "out", *AT, compile_c(tmp_path, M, "member", source))
    assert all(f"member.o: undefined symbol: {name}" in said for name in ("one", "two", "three"))
    assert "referenced by" in said and "in function f" in said


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--version", "1.0.0", "--text", "0x61000000"), "the library has no name"),
        (("--name", "t", "--text", "0x61000000"), "the library has no version"),
        (("--name", "t", "--version", "1.0.0"), "the library has no address"),
        (("--name", "a/b", "--version", "1.0.0", "--text", "0x61000000"), "`a/b` cannot be the name of a library"),
    ],
)
def test_missing_files(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], message: str
) -> None:
    source = compile_c(tmp_path, M, "member", "int f(void) { return 1; }")
    assert message in refused(capsys, tmp_path / "out", *arguments, source)


def test_usage(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "no objects to make a library of" in refused(capsys, tmp_path / "out", *AT, status=2)
    said = refused(capsys, tmp_path / "out", *AT, "--previous", "/nowhere/old", "x.o")
    assert "/nowhere/old: cannot be read: No such file or directory" in said
    for bad in (["--text", "0x61000001"], ["--version", "1"], ["--scheme", "other"]):
        with pytest.raises(SystemExit) as ended:
            main(["mkshlib", "-o", str(tmp_path / "out"), *AT, *bad, "x.o"])
        assert ended.value.code == 2
    assert "not on a page boundary" in capsys.readouterr().err


def test_nothing_to_export(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    subprocess.run(["ar", "rc", str(tmp_path / "empty.a")], check=True)
    assert "libt_s.1.0.0: no input files" in refused(capsys, tmp_path / "out", *AT, tmp_path / "empty.a")
    mkshlib(*AT, "-o", tmp_path, compile_c(tmp_path, M, "member", "static int f(void) { return 1; }"))
    assert "warning: libt_s.1.0.0: exports nothing" in capsys.readouterr().err


def test_help(capsys: pytest.CaptureFixture[str]) -> None:
    for option, text in (("--help", "--interposable LIST"), ("--explain-spec", "#address .text 0x60400000")):
        with pytest.raises(SystemExit) as ended:
            main(["mkshlib", option])
        assert not ended.value.code and text in capsys.readouterr().out


def test_wrong_machine(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one = compile_c(tmp_path, Machine.I386, "one", "int f(void) { return 1; }")
    two = compile_c(tmp_path, Machine.X86_64, "two", "int g(void) { return 1; }")
    said = refused(capsys, tmp_path / "out", *AT, one, two)
    assert "two.o: an object for x86_64 in a link for i386" in said


def test_overlap_with_a_library_it_refers_to(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    world = compile_c(tmp_path, M, "world", "int world(void) { return 1; }")
    hello = compile_c(tmp_path, M, "hello", "int world(void); int hello(void) { return world(); }")
    mkshlib("--name", "w", "--version", "1.0.0", "--text", "0x61000000", "-o", tmp_path / "w", world)
    said = refused(capsys, tmp_path / "out", *AT, hello, tmp_path / "w/lib/libw_s.a")
    assert "libt_s.1.0.0: at 0x61000000-0x61000fff overlaps libw_s.1.0.0 at 0x61000000" in said


def test_definition_that_a_dependency_has_too_is_a_warning(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Levine's figure 5, between libraries."""
    world = compile_c(tmp_path, M, "world", "int errno_; int world(void) { return errno_; }")
    hello = compile_c(tmp_path, M, "hello", "int errno_; int world(void); int hello(void) { return world(); }")
    mkshlib("--name", "w", "--version", "1.0.0", "--text", "0x62000000", "-o", tmp_path / "w", world)
    mkshlib(*AT, "-o", tmp_path / "out", hello, tmp_path / "w/lib/libw_s.a")
    said = capsys.readouterr().err
    assert "hello.o: errno_: libw_s.1.0.0 defines it too, and continues to use its own" in said


def test_specification_mistakes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = compile_c(tmp_path, M, "member", "int f(void) { return 1; } int datum = 2;")
    spec = tmp_path / "t.spec"
    spec.write_text("#name t\n#version 1.0.0\n#address .text 61000000\n#branch\nf 1\nabsent 2\ndatum 3\n")
    said = refused(capsys, tmp_path / "out", "-s", spec, source)
    assert f"{spec}:6: absent: no object defines a function of this name; reserve its slot with .empty_slot" in said
    assert f"{spec}:7: datum: is data, and data has no slot" in said
    spec.write_text(f"#name t\n#version 1.0.0\n#address .text 61000000\n#objects noload\n{source}\n")
    assert "is not a stub library" in refused(capsys, tmp_path / "out", "-s", spec, source)
    spec.write_text("#name t\n#version 1.0.0\n#address .text 61000000\n#init member.o\nf malloc\n")
    assert f"{spec}:5: f: is a function, not a pointer to one" in refused(capsys, tmp_path / "out", "-s", spec, source)


def test_hide_and_export(tmp_path: Path) -> None:
    source = compile_c(
        tmp_path, M, "member", "int open_(void) { return 1; } int _in(void) { return open_(); } int _out; int x;"
    )
    mkshlib(*AT, "-o", tmp_path / "one", "--hide", "_*", "--export", "_out", source)
    assert {e.name for e in image(tmp_path / "one/shlib/libt_s.1.0.0").exports} == {"open_", "_out", "x"}
    (tmp_path / "t.spec").write_text("#hide linker *\n#branch\nopen_ 1\n")  # what has a slot by hand is exported
    mkshlib(*AT, "-s", tmp_path / "t.spec", "-o", tmp_path / "two", source)
    assert {e.name for e in image(tmp_path / "two/shlib/libt_s.1.0.0").exports} == {"open_"}
    nm = subprocess.run(["nm", str(tmp_path / "one/lib/libt_s.a")], capture_output=True, text=True).stdout
    assert "_in" not in nm


def test_private_archive(tmp_path: Path, machine: Machine) -> None:
    """Helpers of the compiler: members as needed, and not exported."""
    helpers = archive(
        tmp_path / "helpers.a",
        compile_c(tmp_path, machine, "used", "int helper(int n) { return n * 3; }"),
        compile_c(tmp_path, machine, "unused", "int other(int n) { return n; }"),
    )
    source = compile_c(tmp_path, machine, "member", "int helper(int); int f(int n) { return helper(n); }")
    mkshlib(*AT, "-o", tmp_path, "--private-archive", helpers, source)
    path = tmp_path / "shlib/libt_s.1.0.0"
    read = image(path)
    assert [e.name for e in read.exports] == ["f"]
    assert "other" not in {s.name for s in read.symbols}
    program = "int f(int); int main_(void) { put_number(f(14)); return 0; }"
    assert run_program(tmp_path, machine, program, [path], [tmp_path / "lib/libt_s.a"]) == "42\n"


def test_names_with_parentheses(tmp_path: Path) -> None:
    (tmp_path / "a (1)").mkdir()
    member = compile_c(tmp_path, M, "member", "int f(void) { return 1; }").rename(tmp_path / "me(2).o")
    library = archive(tmp_path / "a (1)/lib.a", member)
    mkshlib(*AT, "-o", tmp_path / "out", library)
    assert [e.name for e in image(tmp_path / "out/shlib/libt_s.1.0.0").exports] == ["f"]
    members = [m.name for m in Archive((tmp_path / "out/lib/libt_s.a").read_bytes(), "stub").members()]
    assert members == ["LIBRARY NAME", "library.o", "me(2).o"]


def test_directory_of_objects_and_commons(tmp_path: Path) -> None:
    (tmp_path / "objects").mkdir()
    compile_c(
        tmp_path / "objects", M, "a", "int shared_common[10]; int f(void) { return shared_common[1]; }", "-fcommon"
    )
    compile_c(
        tmp_path / "objects", M, "b", "int shared_common[4]; int g(void) { return shared_common[1]; }", "-fcommon"
    )
    mkshlib(*AT, "-o", tmp_path / "out", tmp_path / "objects")
    exports = {e.name: e for e in image(tmp_path / "out/shlib/libt_s.1.0.0").exports}
    assert exports["shared_common"].kind is ExportKind.DATA and exports["shared_common"].size == 40


def test_outputs_all_or_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = compile_c(tmp_path, M, "member", "int f(void) { return 1; }")
    out = tmp_path / "out"
    out.mkdir()
    (out / "lib").write_text("in the way")
    assert main(["mkshlib", *AT, "-o", str(out), str(source)]) == 1
    assert "lib" in capsys.readouterr().err
    assert [p.name for p in out.rglob("*") if p.is_file()] == ["lib"]
    (out / "lib").unlink()
    (out / "lib/libt_s/precious").mkdir(parents=True)
    assert main(["mkshlib", *AT, "--format", "both", "-o", str(out), str(source)]) == 1
    assert "exists already and is not a stub library" in capsys.readouterr().err
    assert [p.name for p in out.rglob("*") if p.is_file() or p.name == "precious"] == ["precious"]
    (out / "lib/libt_s/precious").rmdir()
    (out / "lib/libt_s").rmdir()
    for _ in range(2):  # the second time over the first
        mkshlib(*AT, "--format", "both", "-o", out, source)
        files = sorted(p.name for p in out.rglob("*"))
        assert files == [
            "LIBRARY NAME",
            *"lib library.o libt_s libt_s.1.0.0 libt_s.1.0.0.a libt_s.a member.o shlib".split(),
        ]


def test_full_disk(tmp_path: Path) -> None:
    """A limit on the size of files stands for it."""
    source = compile_c(tmp_path, M, "member", "char big[] = {[300000] = 1};")

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100000, 100000))
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)

    ran = subprocess.run(
        [sys.executable, "-B", "-m", "uselib.cli", "mkshlib", *AT, "-o", str(tmp_path / "out"), str(source)],
        capture_output=True,
        text=True,
        preexec_fn=limit,
    )
    assert (ran.returncode, ran.stderr) == (1, f"uselib: {tmp_path}/out/shlib/libt_s.1.0.0: File too large\n")
    assert not [path for path in (tmp_path / "out").rglob("*") if path.is_file()]


def test_registry(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = compile_c(tmp_path, M, "member", "int f(void) { return 1; }")
    book, out = tmp_path / "shlib.map", tmp_path / "out"
    for name in ("a", "b"):
        mkshlib("--name", name, "--version", "1.0.0", "--map", book, "-o", out, source)
    mkshlib("--name", "a", "--version", "1.1.0", "--map", book, "-o", out, source)
    assert [(e.name, e.base, e.size) for e in registry.read(book).entries] == [
        ("liba_s", 0x60000000, 0x400000),
        ("libb_s", 0x60400000, 0x400000),
    ]
    for name, base in (("liba_s.1.0.0", 0x60000000), ("libb_s.1.0.0", 0x60400000), ("liba_s.1.1.0", 0x60000000)):
        header = image(out / "shlib" / name).library
        assert header is not None and header.identity.base == base
    capsys.readouterr()
    arguments = ["--name", "b", "--version", "1.2.0", "--map", str(book), "-o", str(out)]
    assert main(["mkshlib", *arguments, "--text", "0x70000000", str(source)]) == 1
    assert f"{book}:2: libb_s 1 is registered at 0x60400000, not at 0x70000000" in capsys.readouterr().err
    big = compile_c(tmp_path, M, "big", "char big[0x500000];")
    assert main(["mkshlib", *arguments, str(big)]) == 1
    assert f"{book}:2: libb_s 1 has 0x400000 bytes reserved and needs" in capsys.readouterr().err
    assert main(["map", "--file", str(book), "check", str(out / "shlib/liba_s.1.0.0")]) == 0
    assert "at 0x60000000" in capsys.readouterr().out
    assert main(["map", "--file", str(book), "check", str(source)]) == 1


SOURCE = """
int table[3] = {1, 2, 3}; const char *name = "name"; static int n; extern int world(int);
int f(int a) { return a + table[n]; } int (*pointer)(int) = f; int g(int a) { return pointer(f(world(a))); }
"""


def test_damaged_inputs(tmp_path: Path, machine: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    """Cut and changed objects, archives and stubs: a library or a message, and never a traceback."""
    world = compile_c(tmp_path, machine, "world", "int world(int a) { return a; }")
    mkshlib("--name", "w", "--version", "1.0.0", "--text", "0x62000000", "-o", tmp_path, world)
    stub = tmp_path / "lib/libw_s.a"
    member = compile_c(tmp_path, machine, "member", SOURCE)
    library = archive(tmp_path / "lib.a", member)
    random.seed(9)
    for path, others in ((member, [stub]), (library, [stub]), (stub, [member])):
        good = path.read_bytes()
        bad = tmp_path / ("bad" + path.suffix)
        for trial in range(60):
            data = bytearray(good)
            if trial % 3 == 0:
                data = data[: random.randrange(len(data))]
            else:
                for _ in range(random.randint(1, 3)):
                    data[random.randrange(len(data))] ^= 1 << random.randrange(8)
            bad.write_bytes(data)
            try:
                status = main(["mkshlib", "-q", *AT, "-o", str(tmp_path / "out"), str(bad), *map(str, others)])
            except Exception as failure:
                (tmp_path / "kept").write_bytes(data)
                raise AssertionError(f"trial {trial} of {path.name}") from failure
            assert status in (0, 1, 2)
            said = capsys.readouterr().err
            assert status == 0 or said.startswith("uselib: ")
