"""Which program is compared with which version: columns with their identities, rows with their baselines.

The baseline is the version that a program was linked with (note NT_NEEDS): the one with that digest, else the one with that version
number. Nothing is guessed: a row or cell that cannot be decided has a problem in words.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from uselib.abi.dynamic.matrix.spec import MatrixSpec, ProgramSpec
from uselib.linker.errors import Diagnostics, ToolError, UsageError, error
from uselib.linker.image import Identity, Machine

_HEAD = 4096  # bytes: headers and notes of a target library


@dataclass(frozen=True)
class MatrixColumn:
    """A version. identity None: no fixed-address library (an ordinary shared object)."""

    label: str
    path: str
    machine: int  # e_machine
    identity: Identity | None

    def problem_for(self, row: MatrixRow) -> str:
        """Why the row's program cannot be compared with this version; empty if it can."""
        base = row.baseline
        if base is None:
            return ""
        if self.machine != base.machine:
            return f"{self.path} is for {_machine(self.machine)}, the program for {_machine(base.machine)}"
        ours, theirs = self.identity, base.identity
        if (ours is None) != (theirs is None):
            return f"{self.path} and {base.path} are libraries of different kinds"
        if ours is not None and theirs is not None and ours.name != theirs.name:
            return f"{self.path} is {ours.name}, the program was linked with {theirs.name}"
        return ""


@dataclass(frozen=True)
class MatrixRow:
    """A program. problem: why it cannot be compared at all."""

    label: str
    spec: ProgramSpec
    baseline: MatrixColumn | None
    problem: str = ""


@dataclass(frozen=True)
class MatrixPlan:
    """notes: what the user should know besides."""

    rows: tuple[MatrixRow, ...]
    columns: tuple[MatrixColumn, ...]
    notes: tuple[str, ...] = ()


def _machine(number: int) -> str:
    try:
        return Machine(number).label
    except ValueError:
        return f"machine {number}"


def elf_machine(head: bytes) -> int | None:
    """e_machine from the first bytes of an ELF file, or None for another file."""
    return struct.unpack_from("<H", head, 18)[0] if head[:4] == b"\x7fELF" and len(head) >= 20 else None


def _head(path: str) -> bytes:
    """Raises OSError."""
    if not os.path.isfile(path):
        os.stat(path)
        raise OSError(22, "is not a regular file", path)
    with open(path, "rb") as file:
        return file.read(_HEAD)


def _column(path: str) -> MatrixColumn:
    """Raises ToolError, OSError."""
    from uselib.loader.programs.headers import library_header

    head = _head(path)
    machine = elf_machine(head)
    if machine is None:
        raise error(path, "is not an ELF library", remedy="give files such as DIR/shlib/libc_s.1.2.3")
    try:
        header = library_header(head, path)
    except ToolError:
        if struct.unpack_from("<H", head, 16)[0] != 3:  # ET_DYN: an ordinary shared object
            raise
        header = None
    name = os.path.basename(path)
    identity = header.identity if header else None
    return MatrixColumn(str(identity.version) if identity else name, path, machine, identity)


def _columns(paths: Sequence[str]) -> tuple[MatrixColumn, ...]:
    """Raises LinkError naming every file that is not a library."""
    problems, found = Diagnostics(), []
    for path in dict.fromkeys(paths):
        try:
            found.append(_column(path))
        except ToolError as failure:
            problems.items.extend(failure.diagnostics)
        except OSError as failure:
            problems.add(path, failure.strerror or str(failure))
    problems.raise_if_any()
    labels = [_distinct(column, found) for column in found]
    return tuple(MatrixColumn(label, c.path, c.machine, c.identity) for label, c in zip(labels, found, strict=True))


def _distinct(column: MatrixColumn, all_of_them: Sequence[MatrixColumn]) -> str:
    """The label of a column: its version, or its file name or path where others have the same version."""
    if sum(other.label == column.label for other in all_of_them) == 1:
        return column.label
    name = os.path.basename(column.path)
    return name if sum(os.path.basename(other.path) == name for other in all_of_them) == 1 else column.path


def _named(text: str, columns: Sequence[MatrixColumn]) -> MatrixColumn | None:
    """The column that a user means: by path, label, version or file name."""
    tests: tuple[Callable[[MatrixColumn], bool], ...] = (
        lambda c: os.path.realpath(c.path) == os.path.realpath(text),
        lambda c: c.label == text,
        lambda c: c.identity is not None and str(c.identity.version) == text,
        lambda c: os.path.basename(c.path) == text,
    )
    for means in tests:
        found = [column for column in columns if means(column)]
        if len(found) == 1:
            return found[0]
    return None


def _linked_with(path: str, columns: Sequence[MatrixColumn]) -> tuple[MatrixColumn | None, str]:
    """The version that a program was linked with, or why there is none."""
    from uselib.linker.formats.elf_image import read_image
    from uselib.linker.reading import read_file

    names = {column.identity.name for column in columns if column.identity is not None}
    try:
        needs = [need for need in read_image(read_file(path), path).needs if need.name in names]
    except ToolError as failure:
        return None, f"{failure}; name the version it was linked with (--baseline)"
    if not needs:
        wanted = " or ".join(sorted(names)) or "any of these libraries"
        return None, f"does not say that it was linked with {wanted}; name the version with --baseline"
    need = needs[0]
    known = [(c, c.identity) for c in columns if c.identity is not None and c.identity.name == need.name]
    found = [c for c, who in known if who.digest == need.digest] or [
        c for c, who in known if who.version == need.version
    ]
    if found:
        return found[0], ""
    return None, (
        f"was linked with {need.name} {need.version}, which is none of the versions; add it with --library, or name another "
        "with --baseline"
    )


def _row(label: str, spec: ProgramSpec, baseline: str, columns: Sequence[MatrixColumn]) -> MatrixRow:
    try:
        machine = elf_machine(_head(spec.program))
    except OSError as failure:
        return MatrixRow(label, spec, None, f"{spec.program}: {failure.strerror or failure}")
    if machine is None:
        return MatrixRow(label, spec, None, f"{spec.program}: is not an ELF program")
    named = spec.baseline or baseline
    if named:
        column = _named(named, columns)
        if column is None:
            versions = ", ".join(column.label for column in columns)
            raise UsageError(
                *error(spec.program, f"baseline `{named}` is none of the versions ({versions})").diagnostics
            )
    else:
        of_machine = [column for column in columns if column.machine == machine]
        if not of_machine:
            wrong = ", ".join(sorted({_machine(column.machine) for column in columns}))
            return MatrixRow(label, spec, None, f"{spec.program} is for {_machine(machine)}, the libraries for {wrong}")
        column, problem = _linked_with(spec.program, of_machine)
        if column is None:
            return MatrixRow(
                label, spec, None, problem if problem.startswith(spec.program) else f"{spec.program} {problem}"
            )
    if column.machine != machine:
        return MatrixRow(
            label,
            spec,
            column,
            f"{spec.program} is for {_machine(machine)}, {column.path} for {_machine(column.machine)}",
        )
    return MatrixRow(label, spec, column)


def plan(spec: MatrixSpec) -> MatrixPlan:
    """Rows and columns. Raises LinkError for files that are no libraries, UsageError for a baseline that is none of the versions."""
    columns = _columns(spec.versions)
    rows, seen, notes = [], dict[str, int](), []
    for program in spec.programs:
        label = program.label
        seen[label] = seen.get(label, 0) + 1
        rows.append(_row(label if seen[label] == 1 else f"{label} #{seen[label]}", program, spec.baseline, columns))
    if len(columns) < len(spec.versions):
        notes.append("a library that was given twice is compared once")
    return MatrixPlan(tuple(rows), columns, tuple(notes))
