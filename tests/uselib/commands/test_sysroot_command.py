"""`uselib sysroot`: what it makes, that it makes it whole or not at all, and the same each time."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from support.paths import GUEST, ROOT
from support.programs import build, run, sysroot
from uselib.cli import main
from uselib.linker.errors import ToolError
from uselib.linker.image import Machine
from uselib.runtime import compiler, musl
from uselib.runtime.build import write_syscall_header
from uselib.runtime.sysroot import make_sysroot, read_sysroot


def files(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


@pytest.mark.parametrize("libc", ["mini", "musl"])
def test_contents(arch: str, libc: str) -> None:
    root = sysroot(arch, libc)
    found = read_sysroot(root)
    assert (found.machine.label, found.libc) == (arch, libc)
    assert (root / "shlib" / f"libc_s.{found.version}").is_file()
    names = set(os.listdir(root / "lib"))
    assert {"libc.a", "libc_s.a", f"libc_s.{found.version}.a", "libbuiltins.a", "libm.a", "crti.o", "crtn.o"} <= names
    assert {f"crt1-{scheme}.o" for scheme in ("uselib", "mmap", "static")} <= names
    assert (root / "include" / "stdio.h").is_file()
    assert not any(path.is_symlink() for path in root.rglob("*"))


def test_made_twice_is_the_same(tmp_path: Path) -> None:
    make_sysroot(tmp_path / "again", Machine.I386, "mini")
    assert files(tmp_path / "again") == files(sysroot("i386"))
    assert os.listdir(tmp_path) == ["again"]


def test_replaces_a_sysroot_only(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "file").write_text("keep")
    assert main(["sysroot", str(precious), "--arch", "i386"]) == 1
    assert capsys.readouterr().err == f"uselib: {precious}: exists and is not a sysroot; name a new directory\n"
    assert (precious / "file").read_text() == "keep"
    old = tmp_path / "old"
    old.mkdir()
    (old / "uselib.sysroot").write_text("arch: i386\n")
    (old / "stale").write_text("")
    assert main(["sysroot", str(old), "--arch", "x86_64"]) == 0
    assert read_sysroot(old).machine is Machine.X86_64 and not (old / "stale").exists()
    assert sorted(os.listdir(tmp_path)) == ["old", "precious"]


def test_failure_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    failing = tmp_path / "failing"
    failing.write_text(
        '#!/bin/sh\ncase "$*" in *--version*|*-print*) echo "gcc 1";; *printf*) exit 1;; *) exec cc "$@";; esac\n'
    )
    failing.chmod(0o755)
    monkeypatch.setenv("USELIB_CC", str(failing))
    with pytest.raises(ToolError, match=r"printf\.c: compilation failed \(status 1\)"):
        make_sysroot(tmp_path / "made", Machine.I386, "mini")
    assert os.listdir(tmp_path) == ["failing"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "the following arguments are required: DIR"),
        (["x", "--arch", "arm"], "argument --arch: invalid choice: 'arm'"),
        (["x", "--libc", "glibc"], "argument --libc: invalid choice: 'glibc'"),
    ],
)
def test_bad_usage(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sysroot", *arguments]) == 2
    assert message in capsys.readouterr().err


def test_no_compiler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(compiler.importlib.util, "find_spec", lambda name: None)
    compiler._find.cache_clear()
    assert main(["sysroot", str(tmp_path / "s")]) == 1
    shown = capsys.readouterr().err
    compiler._find.cache_clear()
    assert shown.startswith("uselib: cc: no C compiler found; install gcc or clang, or the extra `cc`")
    monkeypatch.setenv("USELIB_CC", "nonsense --with options")
    assert main(["sysroot", str(tmp_path / "s")]) == 1
    assert "USELIB_CC: `nonsense --with options` is not a C compiler" in capsys.readouterr().err


def test_no_musl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(musl, "_debian", lambda machine: None)
    monkeypatch.setattr(musl, "_zig", lambda machine: None)
    assert main(["sysroot", str(tmp_path / "s"), "--arch", "i386", "--libc", "musl"]) == 1
    assert "musl: no musl for i386 found; install the Debian package musl-dev:i386" in capsys.readouterr().err
    assert not (tmp_path / "s").exists()


def test_system_call_header(tmp_path: Path) -> None:
    write_syscall_header(Machine.I386, tmp_path / "sys" / "syscall.h")
    text = (tmp_path / "sys" / "syscall.h").read_text()
    assert "#define SYS_mmap2 192\n" in text and "#define SYS_uselib 86\n" in text
    write_syscall_header(Machine.X86_64, tmp_path / "sys" / "syscall.h")
    text = (tmp_path / "sys" / "syscall.h").read_text()
    assert "#define SYS_uselib 134\n" in text and "SYS_mmap2" not in text


@pytest.mark.slow
@pytest.mark.parametrize("name", ["clang", "zig"])
def test_other_compilers(name: str, arch: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A sysroot made by another compiler runs the same programs."""
    command = f"{sys.executable} -m ziglang cc" if name == "zig" else name
    if subprocess.run([*command.split(), "--version"], capture_output=True).returncode:
        pytest.skip(f"no {name}")
    monkeypatch.setenv("USELIB_CC", command)
    made = tmp_path / "root"
    make_sysroot(made, read_sysroot(sysroot(arch)).machine, "mini")
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    for scheme in ("uselib", "mmap", "static"):
        words = ["cc", "--sysroot", made, "--scheme", scheme, "-w", "-O2", GUEST / "library.c", "-o", tmp_path / scheme]
        subprocess.run([sys.executable, "-m", "uselib.cli", *words], check=True, env=environment)
        ours = run("native", tmp_path / scheme, "scratch")
        monkeypatch.delenv("USELIB_CC", raising=False)
        theirs = run("native", build(tmp_path / "reference", arch, "static", "-w", GUEST / "library.c"), "scratch")
        assert (ours.stdout, ours.returncode) == (theirs.stdout, 3)
