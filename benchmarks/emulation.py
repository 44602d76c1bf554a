"""CPU-heavy static programs against qemu-user and the processor itself; the same and the start of a trivial one against Qiling 1.4.6."""

from __future__ import annotations

import sys
from pathlib import Path

from benchmarks import workloads
from benchmarks.measure import USELIB, Row, interleaved, qiling_python, sysroot, table, tool, uselib, workspace

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

HELLO_C = '#include <stdio.h>\nint main(void) { puts("hello"); return 0; }\n'
QILING = """
import sys
from qiling import Qiling
from qiling.const import QL_VERBOSE
Qiling([sys.argv[1]], sys.argv[2], verbose=QL_VERBOSE.OFF).run()
"""
ARCHES = ("x86_64", "i386")


def run() -> None:
    with workspace() as name:
        directory = Path(name)
        for number, arch in enumerate(ARCHES):
            root = sysroot(directory, arch, "musl")
            _against_qemu(directory, arch, root, number)
        for arch in ARCHES:
            _against_qiling(directory, arch, sysroot(directory, arch, "musl"))


def _build(directory: Path, arch: str, root: Path, name: str, source: str) -> Path:
    program = directory / f"{name}-{arch}"
    if not program.exists():
        program.with_suffix(".c").write_text(source)
        uselib("cc", "--sysroot", root, "--scheme", "static", "-O2", program.with_suffix(".c"), "-o", program, "-lm")
    return program


def _against_qemu(directory: Path, arch: str, root: Path, number: int) -> None:
    qemu = tool(f"qemu-{arch}")
    print(f"\n### {arch}, CPU ms against qemu-user\n")
    print("| workload | uselib run | qemu-user | native | ours / qemu | goal |\n|---|---:|---:|---:|---:|---:|")
    for label, program, arguments, goals in workloads.ROWS:
        built = _build(directory, arch, root, program, workloads.SOURCES[program])
        _row(label, [built, *arguments], qemu, root, goals[number])
    lua = _lua(directory, arch, root)
    if lua is None:
        print("| Lua | its sources are not here | | | | |")
        return
    for name, script in workloads.LUA.items():
        path = directory / f"{name}.lua"
        path.write_text(script)
        _row(f"Lua, {name}", [lua, path], qemu, root, workloads.CHEAP[number])


def _row(label: str, command: list[str | Path], qemu: str | None, root: Path, goal: float) -> None:
    readable = [word for path in command[1:] if isinstance(path, Path) for word in ("--readable", path)]
    ours: list[str | Path] = [*USELIB, "run", "--sysroot", root, *readable, *command]
    labels = ("uselib run", "qemu-user", "native")
    rows = interleaved(labels, [ours, [qemu, *command] if qemu else None, command], 3)
    cells = [milliseconds(row) for row in rows]
    peer = rows[1].cpu
    ratio = f"{rows[0].cpu / peer:.2f}" if rows[0].cpu and peer else "-"
    print(f"| {label} | {cells[0]} | {cells[1]} | {cells[2]} | {ratio} | {goal:g} |", flush=True)


def milliseconds(row: Row) -> str:
    return "-" if row.cpu is None else f"{row.cpu * 1000:.0f}"


def _lua(directory: Path, arch: str, root: Path) -> Path | None:
    from support import real_programs

    try:
        return real_programs.build_lua(root, directory / f"lua-{arch}")
    except real_programs.Unavailable:
        return None


def _against_qiling(directory: Path, arch: str, root: Path) -> None:
    script = directory / "with_qiling.py"
    script.write_text(QILING)
    qiling = qiling_python()
    qemu = tool(f"qemu-{arch}")
    for label, name, source, runs in (
        ("qsort + snprintf of 200,000 ints", "sort", workloads.SOURCES["sort"], 3),
        ("hello, whole process", "hello", HELLO_C, 10),
    ):
        program = _build(directory, arch, root, name, source)
        commands: list[list[str | Path] | None] = [
            [*USELIB, "run", "--sysroot", root, program],
            [qiling, script, program, directory] if qiling else None,
            [qemu, program] if qemu else None,
            [program],
        ]
        labels = ("uselib run", "Qiling 1.4.6", "qemu-user", "native")
        table(f"{label}, {arch}", interleaved(labels, commands, runs), "uselib run")


if __name__ == "__main__":
    run()
