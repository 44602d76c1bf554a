"""Rows of measurements, as text and JSON."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from uselib.runtime.compiler import find_compiler
from uselib.scheme_comparison.measure import run
from uselib.scheme_comparison.schemes import SCHEMES, Built, Scheme, Workshop

CALLS = 200_000
VERSION = 1  # of the JSON


@dataclass(frozen=True)
class SchemeRow:
    """One scheme. Sizes in bytes; library and stub None where there is none. instructions: until main, and from it to the end; per_call:
    instructions that a call through the table takes beyond one to a function of the program; nanoseconds: of a call, loop included."""

    scheme: str
    title: str
    mapped_by: str
    native: bool
    program: int
    library: int | None
    stub: int | None
    system_calls: int
    instructions: int
    pages: int
    shared: int
    per_call: float
    nanoseconds: float


def _size(path: Path | None) -> int | None:
    return None if path is None else path.stat().st_size


def measure(
    schemes: Sequence[Scheme], folder: Path, progress: Callable[[str], None] = lambda _: None
) -> list[SchemeRow]:
    """Builds and runs each scheme in `folder`, the static one first for comparison. Raises ToolError."""
    compiler = find_compiler()
    rows: list[SchemeRow] = []
    base = 0.0
    wanted = [SCHEMES[0], *(s for s in schemes if s is not SCHEMES[0])]
    for scheme in wanted:
        progress(scheme.name)
        empty: Built = scheme.build(Workshop(folder / scheme.name, 0, compiler))
        full: Built = scheme.build(Workshop(folder / f"{scheme.name}-calls", CALLS, compiler))
        idle, busy = run(empty.root), run(full.root)
        timed = min(run(full.root, count=False).seconds for _ in range(3)) - min(
            run(empty.root, count=False).seconds for _ in range(3)
        )
        each = (busy.instructions - idle.instructions) / CALLS
        if scheme is SCHEMES[0]:
            base = each
        row = SchemeRow(
            scheme=scheme.name,
            title=scheme.title,
            mapped_by=scheme.mapped_by,
            native=scheme.native,
            program=empty.program.stat().st_size,
            library=_size(empty.library),
            stub=_size(empty.stub),
            system_calls=idle.system_calls - 1,
            instructions=idle.instructions,
            pages=idle.pages,
            shared=idle.shared,
            per_call=round(each - base, 2),
            nanoseconds=max(0.0, timed / CALLS * 1e9),
        )
        rows.append(row)
    return [row for row in rows if any(row.scheme == scheme.name for scheme in schemes)]


def compare(names: Sequence[str], progress: Callable[[str], None] = lambda _: None) -> list[SchemeRow]:
    """The rows of the schemes named (all, if none is), built in a temporary folder. Raises ToolError."""
    chosen = [scheme for scheme in SCHEMES if not names or scheme.name in names]
    folder = Path(tempfile.mkdtemp(prefix="uselib-compare-"))
    try:
        return measure(chosen, folder, progress)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


_COLUMNS: tuple[tuple[str, Callable[[SchemeRow], str]], ...] = (
    ("scheme", lambda r: r.scheme),
    ("library mapped by", lambda r: r.mapped_by if r.library is not None else "-"),
    ("program", lambda r: f"{r.program:,}"),
    ("library", lambda r: "-" if r.library is None else f"{r.library:,}"),
    ("stub", lambda r: "-" if r.stub is None else f"{r.stub:,}"),
    ("calls", lambda r: str(r.system_calls)),
    ("instructions", lambda r: f"{r.instructions:,}"),
    ("pages", lambda r: str(r.pages)),
    ("of files", lambda r: str(r.shared)),
    ("per call", lambda r: f"+{r.per_call:g}"),
    ("ns", lambda r: f"{r.nanoseconds:.1f}"),
)
LEGEND = """\
program, library, stub: bytes of the files. calls: system calls before main. instructions: from the entry to the end of an empty main.
pages: of memory that were touched, and those of them that are unchanged pages of files, which processes share (formats whose pages cannot be
mapped are copied here). per call: instructions that a call takes beyond one within the program. ns: a call in the emulator, loop included."""


def as_text(rows: Sequence[SchemeRow]) -> str:
    cells = [[title for title, _ in _COLUMNS], *([show(row) for _, show in _COLUMNS] for row in rows)]
    widths = [max(len(line[n]) for line in cells) for n in range(len(_COLUMNS))]
    lines = []
    for line in cells:
        parts = [
            text.ljust(width) if n < 2 else text.rjust(width)
            for n, (text, width) in enumerate(zip(line, widths, strict=True))
        ]
        lines.append("  ".join(parts).rstrip())
    titles = "\n".join(f"{row.scheme:<10}{row.title}{'' if row.native else ' (emulated only)'}" for row in rows)
    return "\n".join([*lines, "", titles, "", LEGEND])


def as_json(rows: Sequence[SchemeRow]) -> str:
    return json.dumps({"version": VERSION, "calls": CALLS, "schemes": [asdict(row) for row in rows]}, indent=1)
