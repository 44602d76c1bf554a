"""Rules of GNU ld that programs rely on, compared with GNU ld: duplicates, page sizes, warnings, lone archives, --unique."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from elftools.elf.elffile import ELFFile

from support.tools import needs
from uselib.cli import main

pytestmark = needs("as", "ld", "ar")


def assembled(path: Path, text: str, option: str = "--64") -> str:
    subprocess.run(["as", option, "-o", path], input=text.encode(), check=True)
    return str(path)


def archive(path: Path, *members: str) -> str:
    subprocess.run(["ar", "rcsD", path, *members], check=True)
    return str(path)


def both(words: list[str], directory: Path) -> tuple[tuple[int, Path], tuple[int, Path]]:
    """Exit status and output of our ld and of GNU ld."""
    ours, theirs = directory / "ours", directory / "theirs"
    for path in (ours, theirs):
        path.unlink(missing_ok=True)
    status = main(["ld", *words, "-o", str(ours)])
    return (status, ours), (subprocess.run(["ld", *words, "-o", theirs], capture_output=True).returncode, theirs)


def section_names(path: Path) -> list[str]:
    with path.open("rb") as stream:
        return [s.name for s in ELFFile(stream).iter_sections() if s.header.sh_flags & 2]


def loads(path: Path) -> list[tuple[int, int, int]]:
    """Address, offset and alignment of each PT_LOAD."""
    with path.open("rb") as stream:
        rows = [s.header for s in ELFFile(stream).iter_segments() if s.header.p_type == "PT_LOAD"]
    return [(row.p_vaddr, row.p_offset, row.p_align) for row in rows]


START = ".globl _start\n_start: ret\n"
FUNCTION = ".globl f\nf: ret\n"


@pytest.mark.parametrize(
    ("words", "status"),
    [
        ("--whole-archive {a} {a}", 1),
        ("{a} --whole-archive {a}", 1),
        ("--whole-archive {a} --no-whole-archive {a}", 0),
        ("{a} {a}", 0),
        ("--whole-archive {a} --no-whole-archive {a} --whole-archive {a} -z muldefs", 0),
    ],
)
def test_whole_archives_named_twice(words: str, status: int, tmp_path: Path) -> None:
    path = archive(tmp_path / "b.a", assembled(tmp_path / "f.o", FUNCTION))
    start = assembled(tmp_path / "start.o", START + " call f\n")
    ours, theirs = both([start, *words.format(a=path).split()], tmp_path)
    assert (ours[0], theirs[0]) == (status, status)


@pytest.mark.parametrize("size", ["0x1000", "0x10000", "0x200000", "0x1000000"])
@pytest.mark.parametrize(("emulation", "option"), [("elf_i386", "--32"), ("elf_x86_64", "--64")])
def test_the_base_follows_the_page_size(emulation: str, option: str, size: str, tmp_path: Path) -> None:
    path = assembled(tmp_path / "start.o", START + ".section .rodata\n.long 1\n", option)
    words = ["-m", emulation, "-z", f"max-page-size={size}", "-z", "separate-code", path]
    ours, theirs = both(words, tmp_path)
    assert ours[0] == theirs[0] == 0
    assert loads(ours[1]) == loads(theirs[1])


def test_a_lone_archive_is_an_input(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Members are taken for the entry point; without it the output has no contents."""
    started = archive(tmp_path / "s.a", assembled(tmp_path / "s.o", START))
    other = archive(tmp_path / "f.a", assembled(tmp_path / "f.o", FUNCTION))
    for path, named in ((started, True), (other, False)):
        ours, theirs = both([path], tmp_path)
        assert ours[0] == theirs[0] == 0
        assert section_names(ours[1]) == ([".text"] if named else [])
    assert "no entry point _start" in capsys.readouterr().err
    assert main(["ld", "-o", str(tmp_path / "out")]) == 1
    assert "no input files" in capsys.readouterr().err


@pytest.mark.parametrize("option", ["-unique", "--unique=mine", "--unique=o*", "--uniq", ""])
def test_unique(option: str, tmp_path: Path) -> None:
    text = '.section {0},"aw"\n.long {1}\n.section other,"aw"\n.long {1}\n.data\n.long 5\n'
    files = [
        assembled(tmp_path / f"{i}.o", text.format("mine", i) + (".text\n" + START if not i else "")) for i in (0, 1)
    ]
    ours, theirs = both([*option.split(), *files], tmp_path)
    assert ours[0] == theirs[0] == 0
    assert sorted(section_names(ours[1])) == sorted(section_names(theirs[1]))


def test_warning_sections(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A text where the symbol is used, once; nothing where it is not used; and the text of a file."""
    text = 'old: ret\n.globl old\n.section .gnu.warning.old,"a"\n.string "old is dangerous"\n'
    warned = archive(tmp_path / "w.a", assembled(tmp_path / "w.o", text))
    user = assembled(tmp_path / "user.o", START + " call old\n call old\n")
    assert main(["ld", user, warned, "-o", str(tmp_path / "out")]) == 0
    said = capsys.readouterr().err
    assert said.count("old is dangerous") == 1 and f"uselib: warning: {user}:(.text+0x2)" in said
    assert ".gnu.warning.old" not in section_names(tmp_path / "out")
    assert main(["ld", "--fatal-warnings", user, warned, "-o", str(tmp_path / "out")]) == 1
    capsys.readouterr()
    unused = assembled(tmp_path / "unused.o", START)
    assert main(["ld", unused, "--whole-archive", warned, "-o", str(tmp_path / "out")]) == 0
    assert capsys.readouterr().err == ""
    whole = assembled(tmp_path / "whole.o", START + '.section .gnu.warning,"a"\n.string "do not link this"\n')
    assert main(["ld", whole, "-o", str(tmp_path / "out")]) == 0
    assert f"warning: {whole}: do not link this" in capsys.readouterr().err


def test_commons_are_warned_of(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = {
        "small": START + ".comm a, 4\n",
        "same": ".comm a, 4\n",
        "large": ".comm a, 32\n",
        "definition": ".data\n.globl a\na: .long 1\n",
    }
    paths = {name: assembled(tmp_path / f"{name}.o", text) for name, text in files.items()}
    wanted = {
        "same": "multiple common symbols; the other is in",
        "large": "common symbol of 32 bytes is larger than that of 4 bytes in",
        "definition": "common symbol is overridden by the definition in",
    }
    for name, text in wanted.items():
        words = ["--warn-common", paths["small"], paths[name]]
        assert main(["ld", *words, "-o", str(tmp_path / "out")]) == 0
        assert text in capsys.readouterr().err
        theirs = subprocess.run(["ld", *words, "-o", tmp_path / "theirs"], capture_output=True, text=True).stderr
        assert "common" in theirs


def test_start_up_code_that_maps_no_libraries_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    library = assembled(tmp_path / "l.o", ".globl two\n.type two, @function\ntwo: ret\n")
    words = ["--name", "l", "--version", "1.0.0", "--text", "0x68000000", "-q", "-o", str(tmp_path / "out"), library]
    assert main(["mkshlib", *words]) == 0
    libc = ".globl __libc_start_main\n__libc_start_main: ret\n"
    start = ".globl _start\n_start: call __libc_start_main\n call two\n"
    crt, stub = assembled(tmp_path / "crt1.o", start), str(tmp_path / "out" / "lib" / "libl_s.a")
    libc_object = assembled(tmp_path / "libc.o", libc)
    assert main(["ld", crt, libc_object, stub, "-o", str(tmp_path / "p")]) == 1
    said = capsys.readouterr().err
    assert (
        "this start-up code maps no shared libraries, and the program uses libl_s.1.0.0; link with `uselib cc`" in said
    )
    ours = assembled(tmp_path / "ours.o", start + ".globl _SHARED_LIBRARIES\n_SHARED_LIBRARIES: .byte 0\n")
    assert main(["ld", ours, libc_object, stub, "-o", str(tmp_path / "p")]) == 0
    own = assembled(tmp_path / "own.o", ".globl _start\n_start: call two\n")
    assert main(["ld", own, stub, "-o", str(tmp_path / "p")]) == 0


@pytest.mark.parametrize(
    ("user", "definition", "text"),
    [
        (
            "mov tv, %eax",
            '.section .tbss,"awT",@nobits\ntv: .long 0',
            "is used as an ordinary variable and defined as a thread-local",
        ),
        (
            "mov %fs:tv@tpoff, %eax",
            ".data\ntv: .long 0",
            "is used as a thread-local variable and defined as an ordinary one",
        ),
        ("mov %fs:tv@tpoff, %eax", '.section .tbss,"awT",@nobits\ntv: .long 0', ""),
        ("mov tv, %eax\n.weak tv", ".data", ""),
    ],
)
def test_thread_local_in_one_file_only(
    user: str, definition: str, text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    use = assembled(tmp_path / "use.o", f".globl _start\n_start: {user}\n")
    made = assembled(
        tmp_path / "def.o", (".globl tv\n.type tv, @object\n" if "tv" in definition else "") + definition + "\n"
    )
    for files in ([use, made], [made, use]):
        ours, theirs = both(files, tmp_path)
        assert (ours[0], theirs[0]) == ((1, 1) if text else (0, 0))
        said = capsys.readouterr().err
        assert text in said and ("tv: " in said) == bool(text)


@pytest.mark.parametrize("name", ["f", "nosuch"])
def test_required_symbols(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    library = archive(tmp_path / "f.a", assembled(tmp_path / "f.o", FUNCTION))
    start = assembled(tmp_path / "start.o", START)
    ours, theirs = both([start, library, f"--require-defined={name}"], tmp_path)
    assert (ours[0], theirs[0]) == ((0, 0) if name == "f" else (1, 1))
    assert ("--require-defined: undefined symbol: nosuch" in capsys.readouterr().err) == (name == "nosuch")


@pytest.mark.parametrize(
    ("script", "status"),
    [
        ('INPUT("m.o")', 0),
        ('INPUT(AS_NEEDED("m.o"))', 0),
        ("/* text */ OUTPUT_FORMAT(elf64-x86-64)\nGROUP ( m.o , AS_NEEDED ( b.a ) a.a )", 0),
        ("SEARCH_DIR(libraries) INPUT(m.o) GROUP(-lf)", 0),
        ("SEARCH_DIR(=/libraries); INPUT(m.o -lf);", 0),
        ("INPUT(=/libraries/g.o m.o)", 0),
        ("INPUT($SYSROOT/libraries/g.o m.o)", 0),
        ("INPUT(=/nowhere/g.o)", 1),
        ("INPUT(m.o", 1),
        ("SECTIONS { }", 1),
        ("hello", 1),
    ],
)
def test_scripts_that_name_inputs(
    script: str, status: int, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """GROUP is searched again and again: a.a needs b.a, which stands in front of it."""
    monkeypatch.chdir(tmp_path)
    Path("libraries").mkdir()
    assembled(Path("m.o"), START + (" call a\n" if "a.a" in script else ""))
    archive(Path("a.a"), assembled(Path("a.o"), ".globl a\na: call b\n"))
    archive(Path("b.a"), assembled(Path("b.o"), ".globl b\nb: ret\n"))
    archive(Path("libraries/libf.a"), assembled(Path("f.o"), FUNCTION))
    assembled(Path("libraries/g.o"), ".globl g\ng: ret\n")
    Path("script").write_text(script)
    ours, theirs = both(["--sysroot", str(tmp_path), "script"], tmp_path)
    assert ours[0] == status
    root = "=" in script or "SYSROOT" in script  # GNU ld may have been built without
    assert theirs[0] == status or root or "SECTIONS" in script
    assert capsys.readouterr().err.startswith("uselib: ") == bool(status)
    if status or root:
        return
    assert section_names(ours[1]) == section_names(theirs[1])
