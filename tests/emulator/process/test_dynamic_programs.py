"""Programs with the system's dynamic linkers, and position-independent ones: the same natively and under --root /."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from support.dynamic import KINDS, SOURCES, build, emulated, native
from support.tools import needs


@pytest.mark.parametrize("kind", KINDS)
def test_start(kind: str, tmp_path: Path) -> None:
    program = build(kind, SOURCES / "start.c", tmp_path / "start")
    expected = native(program, "x")
    found = emulated(program, "x")
    assert (found.stdout, found.returncode) == (expected.stdout, expected.returncode)
    assert found.stderr == b"" and expected.returncode == 3
    if not KINDS[kind][1]:  # needs no option, and no tree
        alone = emulated(program, "x", options=())
        assert (alone.stdout, alone.stderr, alone.returncode) == (found.stdout, b"", 3)


@needs("gcc")
def test_places_by_chance(tmp_path: Path) -> None:
    """--aslr: other places for another seed, the same for the same one."""
    (tmp_path / "p.c").write_text(
        "#include <stdio.h>\n#include <stdlib.h>\nint main(void) { int x; void *h = malloc(9);\n"
        'printf("%p %p %p %p\\n", (void *)main, (void *)&x, h, (void *)printf); return 0; }\n'
    )
    program = build("pie", tmp_path / "p.c", tmp_path / "p")
    fixed, one, again, two = (
        emulated(program, options=("--root", "/", *words)).stdout.split()
        for words in ((), ("--aslr", "1"), ("--aslr", "1"), ("--aslr", "2"))
    )
    assert len(fixed) == 4 and one == again
    for first, second in ((fixed, one), (one, two), (fixed, two)):
        assert all(a != b for a, b in zip(first, second, strict=True))


@needs("gcc")
def test_fault_report_names_shared_objects(tmp_path: Path) -> None:
    (tmp_path / "l.c").write_text("int boom(int *p) { return *p; }")
    (tmp_path / "p.c").write_text("int boom(int *); int main(int c, char **v) { return boom((int *)(long)(c * 8)); }")
    library = tmp_path / "libboom.so"
    build("pie", tmp_path / "l.c", library, "-shared", "-nostartfiles", "-fPIC")
    program = build("pie", tmp_path / "p.c", tmp_path / "p", str(library))
    done = emulated(program)
    assert done.returncode == 139
    text = done.stderr.decode()
    assert text.startswith(f"uselib: {program}: killed by SIGSEGV: read of unmapped address 0x8 at boom")
    assert "in libboom.so [0x7ff" in text


def test_working_directory(tmp_path: Path) -> None:
    """--root / keeps it, as any root does that contains it."""
    (tmp_path / "tree" / "inside").mkdir(parents=True)
    assert emulated("/bin/pwd", cwd=tmp_path).stdout.decode() == f"{tmp_path}\n"
    program = tmp_path / "tree" / "pwd"
    shutil.copy(build("static-pie", SOURCES / "cwd.c", tmp_path / "cwd"), program)
    for folder, expected in ((tmp_path / "tree" / "inside", "/inside"), (tmp_path / "tree", "/"), (tmp_path, "/")):
        done = emulated("/pwd", cwd=folder, options=("--root", str(tmp_path / "tree")))
        assert done.stdout.decode() == f"{expected}\n", done.stderr


def test_root_is_read_only(tmp_path: Path) -> None:
    script = f"echo no > {tmp_path}/a || echo yes > {tmp_path}/w/b; rm {tmp_path}/keep; cat {tmp_path}/w/b"
    (tmp_path / "w").mkdir()
    (tmp_path / "keep").write_text("")
    done = emulated("/bin/sh", "-c", script, options=("--root", "/", "--writable", str(tmp_path / "w")))
    assert done.stdout == b"yes\n" and b"Read-only file system" in done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["keep", "w"]


@needs("gcc")
def test_scripts(tmp_path: Path) -> None:
    """Interpreters that are dynamic, with an argument, and that are scripts themselves: up to five, then ELOOP."""

    def script(name: str, line: str) -> Path:
        path = tmp_path / name
        path.write_text(f"#!{line}\n")
        path.chmod(0o755)
        return path

    echo = script("echo", "/bin/echo  -n  two words ")
    chain = [echo]
    for number in range(5):
        chain.append(script(f"s{number}", str(chain[-1])))
    for path in chain[:5]:
        expected, found = native(path, "a", "b"), emulated(path, "a", "b")
        assert (found.stdout, found.returncode) == (expected.stdout, expected.returncode)
    expected, found = (run("/bin/sh", "-c", f"{chain[5]} x 2>&1 | sed 's/.*: //'") for run in (native, emulated))
    assert (found.stdout, found.returncode) == (expected.stdout, expected.returncode)
    done = emulated(chain[5])
    assert done.stderr == f"uselib: {chain[5]}: Too many levels of symbolic links\n".encode()


MISSING = "is not in the guest's tree; run it with --root /, or --root DIR of its tree"


def damaged(tmp_path: Path, how: str) -> tuple[Path, str]:
    """A program whose interpreter is bad in one way, and what is said of it."""
    loader = tmp_path / "ld.so"
    program = build("pie", SOURCES / "cwd.c", tmp_path / "p", f"-Wl,--dynamic-linker={loader}")
    content = bytearray(Path("/lib64/ld-linux-x86-64.so.2").read_bytes())
    said = f"its interpreter {loader} "
    if how == "missing":
        return program, said + MISSING
    if how == "itself":
        loader.symlink_to(program)
        return program, ""
    if how == "truncated":
        content = content[:40]
    if how == "short":
        content = content[:5000]
    if how == "text":
        content = bytearray(b"#!/bin/sh\n" * 20)
    if how == "i386":
        content[4], content[18:20] = 1, b"\x03\0"
        content[42:46] = b"\x20\0\x01\0"
    if how == "relocatable":
        content[16] = 1
    if how == "headers":
        content[54] = 1
    loader.write_bytes(content)
    loader.chmod(0o755 if how != "mode" else 0o644)
    return program, said + {
        "truncated": "is truncated",
        "short": "has segments that cannot be mapped",
        "text": "is not an ELF file for this kind of machine",
        "i386": "is for i386, and the program for x86_64",
        "relocatable": "is not an executable (ET_EXEC or ET_DYN) for i386 or x86-64",
        "headers": "has program headers of the wrong size",
        "mode": "is not an executable file",
    }.get(how, "")


@needs("gcc")
@pytest.mark.parametrize(
    "how", ["missing", "truncated", "short", "text", "i386", "relocatable", "headers", "mode", "itself"]
)
def test_bad_interpreters(how: str, tmp_path: Path) -> None:
    """One line, no traceback; where the kernel starts the program (a loop), it is a signal's."""
    program, said = damaged(tmp_path, how)
    done = emulated(program)
    text = done.stderr.decode()
    assert len(text.splitlines()) == 1 and "Traceback" not in text
    if how == "itself":
        assert done.returncode in (135, 139), text
    else:
        assert text == f"uselib: {program}: {said}\n" and done.returncode == 1


@needs("gcc")
@pytest.mark.parametrize("how", ["order", "overlap", "far", "bss"])
def test_segments(how: str, tmp_path: Path) -> None:
    """PT_LOADs out of order, over each other, out of the address space, without bytes in the file: as the kernel takes them."""
    program = build("static-pie", SOURCES / "cwd.c", tmp_path / "p")
    content = bytearray(program.read_bytes())
    table = int.from_bytes(content[32:40], "little")
    rows = [table + 56 * n for n in range(content[56])]
    loads = [at for at in rows if content[at : at + 4] == b"\1\0\0\0"]
    first, last = loads[0], loads[-1]
    if how == "order":
        content[first : first + 56], content[last : last + 56] = content[last : last + 56], content[first : first + 56]
    elif how == "overlap":
        content[last + 16 : last + 24] = content[first + 16 : first + 24]
    elif how == "far":
        content[last + 40 : last + 48] = (1 << 48).to_bytes(8, "little")
    else:
        content[first + 32 : first + 40] = bytes(8)
    program.write_bytes(content)
    expected, found = native(program, cwd=tmp_path), emulated(program, cwd=tmp_path)
    assert len(found.stderr.splitlines()) <= 1 and b"Traceback" not in found.stderr
    if expected.returncode == 0:
        assert (found.stdout, found.returncode) == (expected.stdout, 0)
    else:
        assert found.returncode not in (0, 70)


def test_vsyscall_page(tmp_path: Path) -> None:
    if "[vsyscall]" not in Path("/proc/self/maps").read_text():
        pytest.skip("needs a kernel with the vsyscall page")
    program = build("static-pie", SOURCES / "vsyscall.c", tmp_path / "p")
    expected, found = native(program), emulated(program, options=())
    assert found.stdout == expected.stdout and found.stdout.startswith(b"0 1 1 1 0 1 0")
    assert (found.returncode, expected.returncode) == (128 + 11, -11)


def test_a_pipe_that_nobody_reads() -> None:
    """SIGPIPE ends a child of the shell, and nothing is said, as a shell says nothing."""
    done = emulated("/bin/sh", "-c", "yes | head -n 1")
    assert (done.stdout, done.stderr, done.returncode) == (b"y\n", b"", 0)
