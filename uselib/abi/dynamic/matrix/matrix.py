"""Programs x versions: every cell is one dynamic comparison of a program's baseline with another version of its library.

    MatrixSpec -> plan: cells with their requests -> cache (cache.py) -> an executor runs the rest -> MatrixResult -> matrix_text, _html, ...

The executor is any `concurrent.futures.Executor`: what goes to a worker is an AbiRequest, what comes back an AbiResult, and both
pickle. A cell never makes the others fail: whatever goes wrong with it becomes its verdict `not comparable`, with the reason.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from uselib.abi.dynamic.matrix.plan import Column, Row, plan
from uselib.abi.dynamic.run.result import AbiRequest, AbiResult, Side
from uselib.linker.errors import Diagnostic, UsageError

if TYPE_CHECKING:
    from concurrent.futures import Executor, Future

    from uselib.abi.dynamic.matrix.cache import Cache

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
        """Cells carry the result of `abi run --json`; what depends on the cache alone is left out, so that equal results are equal."""
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


def not_comparable(program: str, old: str, new: str, reason: str) -> AbiResult:
    """The result of a comparison that could not be made."""
    return AbiResult("not comparable", program, Side(old, 0), Side(new, 0), reason=reason)


@dataclass
class _Task:
    """A cell on its way. key: of the cache; empty: it depends on what no key covers, so it is run each time."""

    row: Row
    column: Column
    request: AbiRequest | None = None
    key: str = ""
    result: AbiResult | None = None
    cached: bool = False


Progress = Callable[[int, int], None]  # how many cells are done, of how many; the same number may come twice


@dataclass
class _Run:
    tasks: list[_Task]
    progress: Progress
    cache: Cache | None
    total: int = 0
    done: int = 0
    notes: list[str] = field(default_factory=list)

    def finish(self, task: _Task, result: AbiResult) -> None:
        task.result = result
        self.done += 1
        if self.cache is not None and task.key and not task.cached and _repeatable(result):
            self.cache.store(task.key, result)
        self.progress(self.done, self.total)


def _repeatable(result: AbiResult) -> bool:
    """Whether another run would say the same: not if a clock ended it, or a worker went away."""
    sides = (result.old, result.new)
    return result.verdict != "not comparable" and not any("second" in side.limit for side in sides)


def run_matrix(
    spec: MatrixSpec,
    executor: Executor | None = None,
    progress: Progress | None = None,
    *,
    jobs: int | None = None,
    cache: Cache | None = None,
) -> MatrixResult:
    """Compares every program with every version.

    executor: where cells are run; by default processes of this machine, `jobs` of them (None: as many as there are processors). It is
    not shut down. progress is called after each cell that was not the baseline. Raises UsageError for an empty matrix, ToolError for
    versions that are no libraries.
    """
    if not spec.programs or not spec.versions:
        missing = "program" if not spec.programs else "library"
        raise UsageError(
            Diagnostic("abi matrix", f"no {missing} given", remedy=f"name one with --{missing} or --config")
        )
    planned = plan(spec)
    tasks = [_Task(row, column) for row in planned.rows for column in planned.columns]
    run = _Run(tasks, progress or (lambda _done, _total: None), cache)
    waiting = _prepare(run)
    if waiting:
        run.progress(run.done, run.total)
        _execute(run, waiting, executor, jobs)
    if cache is not None:
        run.notes += cache.remarks()
    cells = tuple(
        Cell(t.row.label, t.column.label, t.row.baseline.label if t.row.baseline else "", t.result, t.cached)
        for t in tasks
    )
    return MatrixResult(
        tuple(row.label for row in planned.rows),
        tuple(column.label for column in planned.columns),
        tuple(column.path for column in planned.columns),
        cells,
        (*planned.notes, *run.notes),
    )


def _prepare(run: _Run) -> list[_Task]:
    """Requests for all cells; those known already are done. Returns what has to be run."""
    from uselib.abi.dynamic.matrix.key import Keys

    keys = Keys()
    waiting = []
    run.total = sum(task.row.baseline is not task.column for task in run.tasks)
    for task in run.tasks:
        row, column = task.row, task.column
        if row.baseline is column:
            continue
        old = row.baseline.path if row.baseline else ""
        reason = row.problem or column.problem_for(row)
        if reason:
            run.finish(task, not_comparable(row.spec.program, old, column.path, reason))
            continue
        program = row.spec
        task.request = AbiRequest(
            program.program, old, column.path, program.arguments, program.stdin, program.run_words, program.prototypes,
            program.ignore, program.max_instructions, program.max_seconds, parallel=False,
        )  # fmt: skip
        if run.cache is not None:
            task.key = keys.key(task.request, program.inputs)
            known = run.cache.load(task.key) if task.key else None
            if known is not None:
                task.cached = True
                # the key is of contents: the paths may be others than when it was stored
                old_side, new_side = replace(known.old, library=old), replace(known.new, library=column.path)
                run.finish(task, replace(known, program=program.program, old=old_side, new=new_side))
                continue
        waiting.append(task)
    return waiting


# -- running -----------------------------------------------------------------------------------------------------------


def _execute(run: _Run, tasks: Sequence[_Task], executor: Executor | None, jobs: int | None) -> None:
    if executor is not None:
        _submit(run, tasks, executor)
        return
    with _pool(min(jobs or len(os.sched_getaffinity(0)), len(tasks))) as pool:
        broken = _submit(run, tasks, pool, again=True)
    # A worker that crashes takes the whole pool with it, and nobody knows whose fault it was: each of these gets a pool of its own.
    for task in broken:
        with _pool(1) as pool:
            _submit(run, [task], pool)


@contextmanager
def _pool(count: int) -> Iterator[Executor]:
    """Worker processes. If the work is broken off (Ctrl-C), they end at once, with the programs that they are running."""
    import multiprocessing
    from concurrent.futures import ProcessPoolExecutor

    from uselib.abi.dynamic.matrix.worker import begin

    pool = ProcessPoolExecutor(count, mp_context=multiprocessing.get_context("fork"), initializer=begin)
    try:
        yield pool
    except BaseException:
        for process in list((pool._processes or {}).values()):
            with suppress(ProcessLookupError, PermissionError):
                if process.pid is not None:
                    os.killpg(process.pid, signal.SIGKILL)
            process.kill()
        raise
    finally:
        pool.shutdown(cancel_futures=True)


def _submit(run: _Run, tasks: Sequence[_Task], executor: Executor, again: bool = False) -> list[_Task]:
    """Runs cells. Returns those whose worker went away, if they are to be tried `again`."""
    from concurrent.futures import BrokenExecutor, as_completed

    from uselib.abi.dynamic.matrix.worker import run_cell

    futures: dict[Future[AbiResult], _Task] = {}
    lost: list[_Task] = []
    try:
        for task in tasks:
            assert task.request is not None
            try:
                futures[executor.submit(run_cell, task.request)] = task
            except (BrokenExecutor, RuntimeError) as failure:  # it broke, or was shut down, before all were handed over
                _lost(run, task, failure, lost if again else None)
        for future in as_completed(futures):
            task = futures[future]
            try:
                result = future.result()
                if not isinstance(result, AbiResult):
                    raise TypeError(f"the worker answered with a {type(result).__name__}")
            except Exception as failure:  # of the executor: run_cell itself raises nothing
                _lost(run, task, failure, lost if again and isinstance(failure, BrokenExecutor) else None)
            else:
                run.finish(task, result)
    except BaseException:
        for future in futures:
            future.cancel()
        raise
    return sorted(lost, key=tasks.index)


def _lost(run: _Run, task: _Task, failure: BaseException, lost: list[_Task] | None) -> None:
    if lost is not None:
        lost.append(task)
        return
    from concurrent.futures import BrokenExecutor

    assert task.request is not None
    if isinstance(failure, BrokenExecutor):
        reason = "the worker process that ran this cell ended without an answer (crashed, or killed for want of memory)"
    else:
        reason = f"the executor failed: {type(failure).__name__}: {' '.join(str(failure).split())[:300]}"
    run.finish(task, not_comparable(task.request.program, task.request.old, task.request.new, reason))
