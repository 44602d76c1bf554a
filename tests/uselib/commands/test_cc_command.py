"""`uselib cc`: cc's options, taken apart; what it refuses; that its programs are what they should be."""

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from support.paths import ROOT
from support.programs import build, run, source, sysroot
from support.tools import SCHEMES
from uselib.cli import main
from uselib.commands.cc import LinkWord, parse
from uselib.linker.errors import ToolError

HELLO = '#include <stdio.h>\nint main(void) { puts("hello" TAIL); return 0; }\n'


def test_parse() -> None:
    line = (
        "--sysroot=/s --scheme mmap -O2 -Iinc -I other -DX=1 -D Y a.c -Llib -L more b.o -lm -l z -Wl,-Map,map,-u,sym "
        "-Xlinker --gc-sections -o out -x assembler c.txt -x none d.S -include e.h -pthread -s -no-pie"
    )
    command = parse(shlex.split(line))
    assert (command.sysroot, command.scheme, command.output) == ("/s", "mmap", "out")
    assert command.compiler == ["-O2", "-Iinc", "-I", "other", "-DX=1", "-D", "Y", "-include", "e.h", "-D_REENTRANT"]
    assert command.items == [
        LinkWord("a.c", True),
        *map(LinkWord, "-Llib -Lmore b.o -lm -lz -Map map -u sym --gc-sections".split()),
        *(LinkWord("c.txt", True, "assembler"), LinkWord("d.S", True), LinkWord("-s")),
    ]


def test_response_file(tmp_path: Path) -> None:
    (tmp_path / "r").write_text("-DA='x y' one.c -static")
    command = parse([f"@{tmp_path}/r"])
    assert (command.compiler, command.items, command.scheme) == (["-DA=x y"], [LinkWord("one.c", True)], "static")


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["a.c"], 2, "cc: --sysroot: is missing; make one with `uselib sysroot DIR` and name it"),
        (["--sysroot", "/nowhere", "a.c"], 1, "/nowhere: is not a sysroot (it has no readable uselib.sysroot)"),
        (
            ["--scheme", "elf", "a.c"],
            2,
            "cc: --scheme: `elf` is not a scheme; use uselib, mmap, kernel, interp or static",
        ),
        (["-shared", "a.c"], 2, "cc: -shared: is not possible here; use `uselib mkshlib`"),
        (["a.c", "libx.so.6"], 2, "cc: libx.so.6: is a dynamically linked library; link with a stub library"),
        (["-o"], 2, "cc: -o: needs a value"),
        (["--sysroot", "{i386}", "-O2"], 2, "cc: cc: no input files"),
        (["--sysroot", "{i386}", "-m64", "a.c"], 2, "cc: -m64: the sysroot"),
        (
            ["--sysroot", "{i386}", "-c", "a.c", "b.c", "-o", "x.o"],
            2,
            "cc: -o: cannot name one output for 2 files with -c",
        ),
        (
            ["--sysroot", "{i386}", "/nowhere/a.c", "/nowhere/b.c"],
            1,
            "/nowhere/a.c: compilation failed (status 1)\nuselib: cc: /nowhere/b.c",
        ),
        (["--sysroot", "{i386}", "/nowhere/a.o"], 1, "/nowhere/a.o"),
    ],
)
def test_refusals(arguments: list[str], status: int, message: str, capfd: pytest.CaptureFixture[str]) -> None:
    words = [word.replace("{i386}", str(sysroot("i386"))) for word in arguments]
    assert main(["cc", *words]) == status
    assert message in capfd.readouterr().err


@pytest.mark.parametrize("scheme", SCHEMES)
def test_compile_and_link(arch: str, scheme: str, tmp_path: Path) -> None:
    code = source(tmp_path / "h.c", '#define TAIL " " WHO\n' + HELLO)
    program = build(tmp_path / "h", arch, scheme, '-DWHO="you"', "-g", "-Wall", code)
    assert run("native", program).stdout == b"hello you\n"
    build(tmp_path / "h.o", arch, scheme, '-DWHO="me"', "-c", code)
    build(tmp_path / "o", arch, scheme, tmp_path / "h.o", "-lm")
    assert run("native", tmp_path / "o").stdout == b"hello me\n"
    assert os.access(program, os.X_OK)


def test_stopping_early(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    source(tmp_path / "a.c", "#include <stddef.h>\nint a(void) { return sizeof(size_t); }\n")
    source(tmp_path / "b.c", "int b;\n")
    base = ["cc", "--sysroot", str(sysroot("i386"))]
    assert main([*base, "-c", "a.c", "b.c"]) == 0
    assert main([*base, "-S", "-O1", "a.c"]) == 0
    assert sorted(os.listdir()) == ["a.c", "a.o", "a.s", "b.c", "b.o"]
    assert "$4" in Path("a.s").read_text()
    capfd.readouterr()
    assert main([*base, "-E", "a.c"]) == 0
    assert "typedef unsigned int size_t;" in capfd.readouterr().out
    assert main([*base, "-MM", "a.c"]) == 0
    assert capfd.readouterr().out == "a.o: a.c\n"
    assert main([*base, "-dumpmachine"]) == 0
    assert "linux" in capfd.readouterr().out


def test_failed_link_leaves_nothing(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    code = source(tmp_path / "a.c", "int missing(void); int main(void) { return missing(); }\n")
    with pytest.raises(ToolError, match="undefined symbol: missing"):
        build(tmp_path / "a", "x86_64", "mmap", code)
    assert sorted(os.listdir(tmp_path)) == ["a.c"]


def test_same_program_twice(tmp_path: Path) -> None:
    code = source(tmp_path / "h.c", HELLO.replace("TAIL", ""))
    one, two = (build(tmp_path / name, "i386", "uselib", code).read_bytes() for name in ("one", "two"))
    assert one == two


def test_old_style_init_sections(arch: str, tmp_path: Path) -> None:
    """.init and .fini sections between crti.o and crtn.o still run, once."""
    call = "call say"
    code = source(
        tmp_path / "i.S", f'.section .init, "ax", @progbits\n{call}\n.section .fini, "ax", @progbits\n{call}\n'
    )
    body = source(
        tmp_path / "m.c", '#include <unistd.h>\nvoid say(void) { write(1, "!", 1); }\nint main(void) { return 0; }\n'
    )
    for libc in ("mini", "musl"):
        for scheme in SCHEMES:
            program = build(tmp_path / scheme, arch, scheme, code, body, libc=libc)
            assert run("native", program).stdout == b"!!", (libc, scheme)


def test_command_line(tmp_path: Path) -> None:
    """The whole command, as a user starts it."""
    code = source(tmp_path / "h.c", HELLO.replace("TAIL", ""))
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "USELIB_SYSROOT": str(sysroot("x86_64"))}
    words = [sys.executable, "-m", "uselib.cli", "cc", code, "-o", tmp_path / "h"]
    done = subprocess.run(words, env=environment, capture_output=True)
    assert (done.stdout, done.stderr, done.returncode) == (b"", b"", 0)
    assert run("native", tmp_path / "h").stdout == b"hello\n"
    done = subprocess.run([*words[:4], "--help"], env=environment, capture_output=True, text=True)
    assert done.stdout.startswith("usage: uselib cc --sysroot DIR") and done.returncode == 0
