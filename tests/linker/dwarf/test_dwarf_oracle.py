"""Types of real libraries, as our reader and as pyelftools see them: libmini, zlib; Lua and SQLite are slow."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from support.c_types import Oracle, written
from support.paths import ROOT
from support.real_programs import Unavailable, sources
from support.tools import needs, require
from uselib.abi.static.readers.reading import read_facts
from uselib.linker.image import Machine
from uselib.runtime.build import write_syscall_header

RUNTIME = ROOT / "runtime"
LIBMINI = RUNTIME / "libmini"
FLAGS = ("-shared", "-fPIC", "-nostdlib", "-w", "-O1")
pytestmark = needs("gcc")


def _same(path: Path, least: int) -> None:
    facts, oracle = read_facts(path), Oracle(path)
    compared = 0
    for rows, known, get in (
        (facts.functions.values(), oracle.functions, oracle.function),
        (facts.data.values(), oracle.variables, oracle.variable),
    ):
        for row in rows:
            if row.type is not None and row.name in known:
                assert written(facts.types, row.type) == get(row.name), row.name
                compared += 1
            elif row.type is None:
                assert any(row.name in sentence or "more" in sentence for sentence in facts.unknown), row.name
    assert compared >= least


def _source(name: str, into: Path) -> Path:
    try:
        return sources(name, into)
    except Unavailable as reason:
        pytest.skip(str(reason))


@pytest.mark.parametrize("machine", Machine)
def test_libmini(tmp_path: Path, machine: Machine) -> None:
    write_syscall_header(machine, tmp_path / "include" / "sys" / "syscall.h")
    files = sorted(path for path in (LIBMINI / "src").iterdir() if path.suffix in (".c", ".S"))
    flag = "-m32" if machine is Machine.I386 else "-m64"
    include = [f"-isystem{path}" for path in (tmp_path / "include", LIBMINI / "include", RUNTIME / "include")]
    command = ["gcc", flag, *FLAGS, "-g", "-std=gnu11", "-nostdinc", "-ffreestanding", *include, *map(str, files)]
    done = subprocess.run([*command, "-o", str(tmp_path / "libmini.so")], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    _same(tmp_path / "libmini.so", 100)


@pytest.mark.slow
@pytest.mark.parametrize(("compiler", "version"), [("gcc", "-gdwarf-5"), ("clang", "-gdwarf-4")])
def test_zlib(tmp_path: Path, compiler: str, version: str) -> None:
    require(compiler)
    source = _source("zlib", tmp_path)
    files = [str(path) for path in sorted(source.glob("*.c"))]
    command = [compiler, *FLAGS, "-g", version, "-DHAVE_UNISTD_H", *files, "-o", str(tmp_path / "libz.so")]
    subprocess.run(command, check=True, capture_output=True)
    _same(tmp_path / "libz.so", 80)


@pytest.mark.slow
def test_lua(tmp_path: Path) -> None:
    source = _source("lua", tmp_path) / "src"
    files = [str(path) for path in sorted(source.glob("*.c")) if path.name not in ("lua.c", "luac.c")]
    subprocess.run(["gcc", *FLAGS, "-g", *files, "-o", str(tmp_path / "liblua.so")], check=True, capture_output=True)
    _same(tmp_path / "liblua.so", 150)


@pytest.mark.slow
def test_sqlite(tmp_path: Path) -> None:
    source = _source("sqlite", tmp_path) / "deps" / "sqlite3" / "sqlite3.c"
    subprocess.run(
        ["gcc", *FLAGS, "-O2", "-g", str(source), "-o", str(tmp_path / "libsqlite3.so")],
        check=True,
        capture_output=True,
    )
    _same(tmp_path / "libsqlite3.so", 270)
