"""What the static check and the matrix cost: `uselib chkshlib` of two SQLite libraries against abidiff and abicheck, and a matrix of 20 programs
and 5 versions that has not changed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
import venv
from pathlib import Path

from benchmarks.measure import CACHE, USELIB, interleaved, sysroot, table, tool, uselib, workspace

ROOT = Path(__file__).resolve().parent.parent
PROGRAMS, VERSIONS = 20, 5


def abicheck() -> str | None:
    """abicheck 0.7.0 in a virtual environment of its own (made on first use), or None where it cannot be installed."""
    directory = CACHE / "abicheck"
    command = directory / "bin" / "abicheck"
    if not command.exists():
        venv.create(directory, with_pip=True)
        install = [directory / "bin" / "python", "-m", "pip", "install", "-q", "abicheck==0.7.0"]
        if subprocess.run(install, capture_output=True).returncode:
            shutil.rmtree(directory)
            return None
    return str(command)


def sqlite(directory: Path) -> tuple[Path, Path]:
    """Two versions of SQLite as shared objects with debug information, one function with another parameter."""
    sys.path.insert(0, str(ROOT / "tests"))
    from support.real_programs import sources

    source = sources("sqlite", directory / "sources") / "deps" / "sqlite3" / "sqlite3.c"
    changed = directory / "changed.c"
    old = "SQLITE_API int sqlite3_limit(sqlite3 *db, int limitId, int newLimit){"
    text = source.read_text()
    assert old in text
    changed.write_text(
        text.replace(old, old.replace("int newLimit", "long newLimit")).replace(
            "SQLITE_API int sqlite3_limit(sqlite3*, int id, int newVal);",
            "SQLITE_API int sqlite3_limit(sqlite3*, int id, long newVal);",
        )
    )
    made = []
    for number, file in enumerate((source, changed)):
        output = directory / f"libsqlite3-{number}.so"
        made.append(output)
        subprocess.run(["gcc", "-g", "-O2", "-w", "-shared", "-fPIC", str(file), "-o", str(output)], check=True)
    return made[0], made[1]


def static(directory: Path) -> None:
    old, new = sqlite(directory)
    peers = {"abidiff": tool("abidiff"), "abicheck 0.7.0": abicheck()}
    commands: list[list[str | Path] | None] = [["sh", "-c", f"{' '.join(USELIB)} chkshlib {old} {new}; true"]]
    for name, path in peers.items():
        words = f"{path} compare {old} {new}" if name.startswith("abicheck") else f"{path} {old} {new}"
        commands.append(None if path is None else ["sh", "-c", f"{words}; true"])
    rows = interleaved(["uselib chkshlib", *peers], commands, 5)
    table(f"two SQLite libraries with DWARF ({old.stat().st_size / 1e6:.1f} MB each)", rows, "uselib chkshlib")


def matrix(directory: Path) -> None:
    """20 programs, 5 versions; each version changes one function that every fourth program calls."""
    root = sysroot(directory, "x86_64", "mini")
    libraries = []
    for version in range(VERSIONS):
        folder = directory / f"v{version}"
        folder.mkdir()
        functions = "".join(
            f"int f{n}(int x) {{ return x + {n}{f' + {version}' if n % 4 == 0 else ''}; }}\n" for n in range(PROGRAMS)
        )
        (folder / "m.c").write_text(functions)
        uselib("cc", "--sysroot", root, "-O1", "-g", "-c", folder / "m.c", "-o", folder / "m.o")
        words = ["--name", "m", "--version", f"1.0.{version}", "--text", "0x61000000", "-o", folder, folder / "m.o"]
        uselib("mkshlib", "-q", *words)
        libraries.append(folder / "shlib" / f"libm_s.1.0.{version}")
    programs = []
    for number in range(PROGRAMS):
        source, output = directory / f"p{number}.c", directory / f"p{number}"
        source.write_text(
            f'#include <stdio.h>\nint f{number}(int);\nint main(void) {{ printf("%d\\n", f{number}(1)); return 0; }}\n'
        )
        uselib("cc", "--sysroot", root, "-O1", source, directory / "v0" / "lib" / "libm_s.a", "-o", output)
        programs.append(output)
    words = [*USELIB, "abi", "matrix", "--cache", directory / "cache", "--sysroot", root, "--library", *libraries]
    for program in programs:
        words += ["--program", program]
    times = []
    for _ in range(4):
        begin = time.perf_counter()
        status = subprocess.run([str(word) for word in words], stdin=subprocess.DEVNULL, capture_output=True).returncode
        times.append(time.perf_counter() - begin)
        assert status == 4, status  # every fourth program sees another result
    print(f"\n### matrix of {PROGRAMS} programs x {VERSIONS} versions, {os.cpu_count()} processors\n")
    print(f"first run {times[0]:.1f} s; unchanged again {min(times[1:]):.2f} s", flush=True)


def run() -> None:
    with workspace() as name:
        static(Path(name))
        matrix(Path(name))
