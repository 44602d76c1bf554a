"""Programs x versions: every cell is one dynamic comparison of a program's baseline with another version of its library.

    MatrixSpec -> plan.py: cells with their requests -> cache.py, by key.py -> an executor runs the rest (worker.py) -> MatrixResult

The executor is any `concurrent.futures.Executor`: a worker gets an AbiRequest and returns an AbiResult, and both can be pickled. A failure in
one cell does not concern the others: it becomes the cell's verdict `not comparable`, with the reason.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from uselib.abi.dynamic.matrix.plan import MatrixColumn, MatrixRow, plan
from uselib.abi.dynamic.matrix.spec import Cell, MatrixResult, MatrixSpec
from uselib.abi.dynamic.run.result import AbiRequest, AbiResult, not_comparable
from uselib.linker.errors import Diagnostic, UsageError

if TYPE_CHECKING:
    from concurrent.futures import Executor, Future

    from uselib.abi.dynamic.matrix.cache import Cache

Progress = Callable[[int, int], None]  # how many cells are done, of how many; the same number may come twice


@dataclass(frozen=True)
class _Task:
    """A comparison that has to be run. cell: its number in the matrix, row by row. key: of the cache; empty: it depends on what no key
    covers, so it is run each time."""

    cell: int
    request: AbiRequest
    key: str = ""


class _Results:
    """The results of the cells as they arrive. Reports the progress, and stores new results in the cache."""

    def __init__(self, total: int, progress: Progress | None, cache: Cache | None) -> None:
        """total: cells that are compared."""
        self._total, self._progress, self._cache = total, progress or (lambda _done, _total: None), cache
        self.by_cell: dict[int, AbiResult] = {}
        self.cached: set[int] = set()

    def tell(self) -> None:
        """Calls the progress function."""
        self._progress(len(self.by_cell), self._total)

    def known(self, cell: int, result: AbiResult, cached: bool = False) -> None:
        """A result that did not have to be run."""
        self.by_cell[cell] = result
        if cached:
            self.cached.add(cell)
        self.tell()

    def ran(self, task: _Task, result: AbiResult) -> None:
        """The result of a run."""
        if self._cache is not None and task.key and _repeatable(result):
            self._cache.store(task.key, result)
        self.known(task.cell, result)

    def failed(self, task: _Task, reason: str) -> None:
        """A cell that could not be run."""
        request = task.request
        self.ran(task, not_comparable(request.program, request.old, request.new, reason))


def _repeatable(result: AbiResult) -> bool:
    """Whether another run would give the same result. It would not if a clock ended it, or if its worker ended without an answer."""
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
    pairs = [(row, column) for row in planned.rows for column in planned.columns]
    results = _Results(sum(row.baseline is not column for row, column in pairs), progress, cache)
    waiting = _tasks(pairs, results, cache)
    if waiting:
        results.tell()
        _execute(results, waiting, executor, jobs)
    cells = tuple(
        Cell(
            row.label,
            column.label,
            row.baseline.label if row.baseline else "",
            results.by_cell.get(number),
            number in results.cached,
        )
        for number, (row, column) in enumerate(pairs)
    )
    return MatrixResult(
        tuple(row.label for row in planned.rows),
        tuple(column.label for column in planned.columns),
        tuple(column.path for column in planned.columns),
        cells,
        (*planned.notes, *(cache.remarks() if cache is not None else ())),
    )


def _tasks(pairs: Sequence[tuple[MatrixRow, MatrixColumn]], results: _Results, cache: Cache | None) -> list[_Task]:
    """The comparisons that have to be run. Cells whose result is known already get it."""
    from uselib.abi.dynamic.matrix.key import Keys

    keys = Keys()
    tasks = []
    for cell, (row, column) in enumerate(pairs):
        if row.baseline is column:
            continue
        old = row.baseline.path if row.baseline else ""
        reason = row.problem or column.problem_for(row)
        if reason:
            results.known(cell, not_comparable(row.spec.program, old, column.path, reason))
            continue
        request = row.spec.request(old, column.path)
        key = keys.key(request, row.spec.inputs) if cache is not None else ""
        known = cache.load(key) if cache is not None and key else None
        if known is None:
            tasks.append(_Task(cell, request, key))
            continue
        # the key depends on contents only: the paths may have changed since it was stored
        old_side, new_side = replace(known.old, library=old), replace(known.new, library=column.path)
        results.known(cell, replace(known, program=request.program, old=old_side, new=new_side), cached=True)
    return tasks


# -- running -----------------------------------------------------------------------------------------------------------


def _execute(results: _Results, tasks: Sequence[_Task], executor: Executor | None, jobs: int | None) -> None:
    if executor is not None:
        _submit(results, tasks, executor)
        return
    with _pool(min(jobs or len(os.sched_getaffinity(0)), len(tasks))) as pool:
        broken = _submit(results, tasks, pool, again=True)
    # A worker that crashes ends the whole pool, and the cause cannot be told: so each cell gets a pool of its own.
    for task in broken:
        with _pool(1) as pool:
            _submit(results, [task], pool)


@contextmanager
def _held_interrupts() -> Iterator[None]:
    """Delays Ctrl-C to the end of the block. In the middle of fork(2) it would be lost, or leave a pool that cannot be shut down."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def _pool(count: int) -> Iterator[Executor]:
    """Worker processes. After Ctrl-C they end at once, with the programs that they run."""
    import multiprocessing
    from concurrent.futures import ProcessPoolExecutor

    from uselib.abi.dynamic.matrix.worker import begin

    pool = ProcessPoolExecutor(count, mp_context=multiprocessing.get_context("fork"), initializer=begin)
    try:
        with _held_interrupts():
            pool.submit(int)  # starts the workers
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


def _submit(results: _Results, tasks: Sequence[_Task], executor: Executor, again: bool = False) -> list[_Task]:
    """Runs cells. Returns those whose worker ended without an answer, if they are to be tried `again`."""
    from concurrent.futures import BrokenExecutor, as_completed

    from uselib.abi.dynamic.matrix.worker import run_cell

    futures: dict[Future[AbiResult], _Task] = {}
    lost: list[_Task] = []
    try:
        for task in tasks:
            try:
                futures[executor.submit(run_cell, task.request)] = task
            except (BrokenExecutor, RuntimeError) as failure:  # it broke, or was shut down, before all were handed over
                _lost(results, task, failure, lost if again else None)
        for future in as_completed(futures):
            task = futures[future]
            try:
                result = future.result()
                if not isinstance(result, AbiResult):
                    raise TypeError(f"the worker answered with a {type(result).__name__}")
            except Exception as failure:  # raised by the executor: run_cell itself raises nothing
                _lost(results, task, failure, lost if again and isinstance(failure, BrokenExecutor) else None)
            else:
                results.ran(task, result)
    except BaseException:
        for future in futures:
            future.cancel()
        raise
    return sorted(lost, key=tasks.index)


def _lost(results: _Results, task: _Task, failure: BaseException, lost: list[_Task] | None) -> None:
    if lost is not None:
        lost.append(task)
        return
    from concurrent.futures import BrokenExecutor

    if isinstance(failure, BrokenExecutor):
        reason = "the worker process that ran this cell ended without an answer (it crashed, or was killed for lack of memory)"
    else:
        reason = f"the executor failed: {type(failure).__name__}: {' '.join(str(failure).split())[:300]}"
    results.failed(task, reason)
