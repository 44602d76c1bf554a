"""The requests and results of a matrix: data that plan, run, cache and renderers share. This module imports none of them."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

from uselib.abi.dynamic.run.result import AbiRequest, AbiResult

MATRIX_VERSION = 1  # of as_json


@dataclass(frozen=True)
class ProgramSpec:
    """A row: how one program is run. Paths are the host's; environment and options are words of `uselib run`.

    name: its label, by default the program's file name and its arguments. inputs: further files that the run depends on. baseline:
    the version it is compared with (a label or a path), by default the one that it was linked with.
    """

    program: str
    arguments: tuple[str, ...] = ()
    stdin: bytes = b""
    run_words: tuple[str, ...] = ()
    prototypes: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    max_instructions: int | None = None
    max_seconds: float | None = 60.0
    inputs: tuple[str, ...] = ()
    baseline: str = ""
    name: str = ""

    @property
    def label(self) -> str:
        return self.name or " ".join([os.path.basename(self.program), *self.arguments])

    def request(self, old: str, new: str) -> AbiRequest:
        """The comparison of two versions with this program, for a worker: one side after the other."""
        return AbiRequest(
            self.program,
            old,
            new,
            self.arguments,
            self.stdin,
            self.run_words,
            self.prototypes,
            self.ignore,
            self.max_instructions,
            self.max_seconds,
            parallel=False,
        )


@dataclass(frozen=True)
class MatrixSpec:
    """programs: rows; versions: files of target libraries, columns. baseline: for programs that name none."""

    programs: tuple[ProgramSpec, ...]
    versions: tuple[str, ...]
    baseline: str = ""


@dataclass(frozen=True)
class Cell:
    """result None: this version is the program's baseline, with which nothing is compared. cached: it was not run this time."""

    program: str
    version: str
    baseline: str
    result: AbiResult | None = None
    cached: bool = False

    @property
    def verdict(self) -> str:
        return "baseline" if self.result is None else self.result.verdict


@dataclass(frozen=True)
class MatrixResult:
    """cells: row by row, one for each program and version. notes: what the user should know besides."""

    programs: tuple[str, ...]
    versions: tuple[str, ...]
    libraries: tuple[str, ...]  # the files of the versions
    cells: tuple[Cell, ...]
    notes: tuple[str, ...] = ()

    @property
    def status(self) -> int:
        """The exit status: 4 something diverged, 16 nothing did but something is not comparable, 0 all identical."""
        verdicts = {cell.verdict for cell in self.cells}
        return 4 if "diverged" in verdicts else 16 if "not comparable" in verdicts else 0

    @property
    def counts(self) -> dict[str, int]:
        """Cells by verdict."""
        names = ("identical on this run", "diverged", "not comparable", "baseline")
        return {name: sum(cell.verdict == name for cell in self.cells) for name in names}

    def rows(self) -> list[tuple[str, tuple[Cell, ...]]]:
        """Each program with its cells."""
        width = len(self.versions)
        return [(name, self.cells[n * width : (n + 1) * width]) for n, name in enumerate(self.programs)]

    def as_json(self) -> dict[str, Any]:
        """Cells carry the result of `abi run --json`. Facts about the cache are left out, so that equal results give equal JSON."""
        return {
            "version": MATRIX_VERSION,
            "status": self.status,
            "programs": list(self.programs),
            "versions": [{"label": v, "library": f} for v, f in zip(self.versions, self.libraries, strict=True)],
            "cells": [
                {
                    "program": cell.program,
                    "version": cell.version,
                    "baseline": cell.baseline,
                    "verdict": cell.verdict,
                    "result": None if cell.result is None else cell.result.as_json(),
                }
                for cell in self.cells
            ],
            "notes": list(self.notes),
        }
