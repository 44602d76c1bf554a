"""compare_runs: the unmodified program against two versions of a library, and what differed.

    read both versions and the program     inputs.py              bindings.py: what it is bound to
    run both sides, at the same time       side.py                two directories with everything that was recorded
    are they the same?                     digest_comparison.py   by digests of all events
    if not, compare                        compare.py             the first difference, and all wrong bindings
    why                                    explain.py             the change of the library behind it
    what the run exercised                 coverage.py

A version that start-up refuses is run once more from a private copy whose note has the identity that the program wants. That shows the first
wrong call as well.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace

from uselib.abi.dynamic.run.bindings import (
    LibraryVersion,
    RunsNotComparable,
)
from uselib.abi.dynamic.run.compared_words import ComparedWords, compared_words
from uselib.abi.dynamic.run.coverage import coverage_of
from uselib.abi.dynamic.run.data_watch import Watched
from uselib.abi.dynamic.run.digest_comparison import calls_needed, same_runs
from uselib.abi.dynamic.run.explain import explained, names_near
from uselib.abi.dynamic.run.identity_copy import with_identity
from uselib.abi.dynamic.run.inputs import RunFailed, RunInputs, read_inputs
from uselib.abi.dynamic.run.result import AbiRequest, AbiResult, Divergence, SideResult, WrongBinding, not_comparable
from uselib.abi.dynamic.run.side import finish_side, place_library, start_side, warm_up
from uselib.abi.dynamic.run.side_run import GUEST_DIRECTORY, MOST_CALLS, SideJob, SideRun
from uselib.abi.dynamic.run.static_findings import named
from uselib.emulator.trace.record.backend import Want
from uselib.emulator.trace.record.wants import wants_of
from uselib.linker.errors import Diagnostic, some
from uselib.trace.reading.model import TraceFile

TRIES = 3  # of programs with several processes, whose order is the host's
START_UP_REFUSED = 128  # exit status: docs/formats.md, start-up contract


def compare_runs(request: AbiRequest) -> AbiResult:
    """Runs both sides and compares them. Repeats this if several processes may have interacted in another order.

    Raises ToolError (a file that cannot be read, a program that cannot be started), OSError.
    """
    try:
        inputs = read_inputs(request)
    except RunsNotComparable as reason:
        return not_comparable(request.program, request.old, request.new, str(reason))
    result, processes = _once(inputs)
    tries = 1
    while result.verdict == "diverged" and processes > 1 and tries < TRIES:
        again, _ = _once(inputs)
        tries += 1
        if again.verdict == "identical on this run":
            note = f"several processes: run {tries} times, because they interacted in another order before (signals, pipes)"
            return replace(again, notes=(note, *again.notes))
    return result


def _once(inputs: RunInputs) -> tuple[AbiResult, int]:
    """One comparison, and how many processes the old run had."""
    with _workspace() as folder:
        old, new = _run_pair(inputs, folder)
        return _result(inputs, old, new, folder), len(_indexes(old))


@contextlib.contextmanager
def _workspace() -> Iterator[str]:
    folder = tempfile.mkdtemp(prefix="uselib-abi-")
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


# -- running ------------------------------------------------------------------------------------------------------------


def _run_pair(inputs: RunInputs, folder: str) -> tuple[SideRun, SideRun]:
    jobs = [_job(inputs, folder, "old", inputs.old), _job(inputs, folder, "new", inputs.new)]
    for job, library in zip(jobs, (inputs.old, inputs.new), strict=True):
        place_library(job.directory, library.data, inputs.names)
    return _run_both(inputs, jobs)


def _run_both(inputs: RunInputs, jobs: Sequence[SideJob]) -> tuple[SideRun, SideRun]:
    warm_up()
    if not inputs.request.parallel:
        old, new = (finish_side(job, start_side(job, inputs.request.stdin)) for job in jobs)
    else:
        pids = [start_side(job, inputs.request.stdin) for job in jobs]
        old, new = (finish_side(job, pid) for job, pid in zip(jobs, pids, strict=True))
    for run in (old, new):
        if run.end.error:
            raise RunFailed(Diagnostic(inputs.request.program, run.end.error))
    return old, new


def _job(inputs: RunInputs, folder: str, name: str, library: LibraryVersion) -> SideJob:
    directory = os.path.join(folder, name)
    os.mkdir(directory)
    low = min(inputs.old.identity.base, inputs.new.identity.base)
    high = max(inputs.old.identity.end, inputs.new.identity.end)
    ranges = tuple((place.address, place.address + max(place.size, 1)) for place in inputs.old.exported_data)

    def shape_at(address: int, name: str) -> ComparedWords:
        return compared_words(inputs.find(inputs.bound.functions.get(address, name)), inputs.machine)

    def wants(name: str) -> tuple[int, tuple[Want, ...]]:
        return wants_of(inputs.find(name), inputs.machine, results=True)

    pages = {page for library in (inputs.old, inputs.new) for place in library.exported_data for page in place.pages}
    return SideJob(
        directory,
        inputs.old.identity.name,
        inputs.names,
        low,
        high,
        inputs.options,
        inputs.bound.functions,
        wants,
        Watched(ranges, tuple(sorted(pages)), (low, high)),
        shape_at,
    )


# -- comparing ----------------------------------------------------------------------------------------------------------


def _refusal(run: SideRun) -> str:
    """Start-up's reason for refusing a library, or empty. Start-up writes it and exits with 128 before anything is called."""
    text = run.stderr.decode("utf-8", "replace")
    if run.end.signal or run.end.status != START_UP_REFUSED or "can't load library" not in text:
        return ""
    return " ".join(line.strip() for line in text.splitlines() if line.strip())


def _side(run: SideRun, path: str, calls: int, refusal: str = "") -> SideResult:
    end = run.end
    stdout, stderr = (hashlib.sha256(data).hexdigest() for data in (run.stdout, run.stderr))
    files, said = tuple(sorted(run.files.items())), refusal.replace(GUEST_DIRECTORY + "/", "")
    return SideResult(path, end.status, end.signal, calls, stdout, stderr, files, said, run.limit)


def _result(inputs: RunInputs, old: SideRun, new: SideRun, folder: str) -> AbiResult:
    request = inputs.request
    refusals = [_refusal(run).replace(f"{request.program}: ", "", 1) for run in (old, new)]
    sides = _side(old, request.old, 0, refusals[0]), _side(new, request.new, 0, refusals[1])
    if refusals[0]:
        reason = f"{request.program} does not start with the old version: {refusals[0]}"
        return AbiResult("not comparable", request.program, *sides, reason=reason)
    _check_used(inputs, old)
    if not refusals[1]:
        return _compared(inputs, old, new, folder)
    said = refusals[1].replace(GUEST_DIRECTORY + "/", "")
    divergence = Divergence("start-up", "start-up refuses the new version", "starts", said)
    divergence = explained(divergence, inputs.bound, inputs.old, inputs.new, linked=inputs.linked)
    divergence = named(divergence, (inputs.old.identity.name,), inputs.findings)
    refused = AbiResult("diverged", request.program, *sides, divergence)
    beyond = _beyond_start_up(inputs, old, folder)
    if beyond is None:
        return refused
    note = (
        "the new version was also run from a private copy whose note carries the identity that the program wants "
        f"({(inputs.linked or inputs.old.identity).version}): all that follows the refusal comes from that run"
    )
    return replace(
        beyond,
        verdict="diverged",
        divergence=divergence,
        beyond=beyond.divergence,
        new=replace(refused.new, calls=beyond.new.calls),
        notes=(note, *beyond.notes),
    )


def _beyond_start_up(inputs: RunInputs, old: SideRun, folder: str) -> AbiResult | None:
    """The old run compared with a run of a copy of the new version that start-up accepts; None if there is no such run."""
    data = with_identity(inputs.new, inputs.linked or inputs.old.identity)
    if data is None:
        return None
    job = _job(inputs, folder, "accepted", inputs.new)
    place_library(job.directory, data, inputs.names)
    new = finish_side(job, start_side(job, inputs.request.stdin))
    return None if new.end.error else _compared(inputs, old, new, folder)


def _compared(inputs: RunInputs, old: SideRun, new: SideRun, folder: str) -> AbiResult:
    """Compares two runs. Runs that were too long to be kept whole are repeated if their digests differ."""
    indexes = [_indexes(run) for run in (old, new)]
    pairs = list(zip(*indexes, strict=False))
    if len(indexes[0]) == len(indexes[1]) and same_runs(inputs.bound, inputs.old, inputs.new, old, new, pairs):
        return _verdict(inputs, (old, new), None)
    seen, cut = (old, new), False
    if not all(
        run.summary(index)["whole"] for run, column in zip((old, new), indexes, strict=True) for index in column
    ):
        calls = calls_needed(old, new, pairs)
        cut = calls < MOST_CALLS
        jobs = [
            replace(run.job, directory=run.job.directory + "-again", kept=1 << 40, calls=calls) for run in (old, new)
        ]
        for job in jobs:
            os.mkdir(job.directory)
            os.rename(os.path.join(job.directory.removesuffix("-again"), "lib"), os.path.join(job.directory, "lib"))
        old, new = _run_both(inputs, jobs)
    from uselib.abi.dynamic.run.compare import compare  # numpy is not needed before

    divergence, wrong, notes = compare(inputs, old, new, cut)
    if divergence is not None:
        divergence = explained(divergence, inputs.bound, inputs.old, inputs.new, wrong)
        divergence = named(divergence, names_near(divergence, wrong), inputs.findings)
    return _verdict(inputs, seen, divergence, wrong, notes)


def _indexes(run: SideRun) -> list[int]:
    with TraceFile(run.trace) as trace:
        return [process.index for process in trace.processes]


def _verdict(
    inputs: RunInputs,
    runs: tuple[SideRun, SideRun],
    divergence: Divergence | None,
    wrong: tuple[WrongBinding, ...] = (),
    notes: Sequence[str] = (),
) -> AbiResult:
    """runs: the first ones, which recorded everything."""
    request, (old, new) = inputs.request, runs
    calls = [sum(n for index in _indexes(run) for _, n, _ in run.summary(index)["counts"]) for run in runs]
    return AbiResult(
        "identical on this run" if divergence is None else "diverged",
        request.program,
        _side(old, request.old, calls[0]),
        _side(new, request.new, calls[1]),
        divergence,
        wrong,
        coverage_of(inputs.bound, inputs.old, inputs.new, runs, _indexes(old)),
        inputs.findings.ids if divergence is not None else (),
        notes=_notes(inputs, old, new, notes),
    )


def _check_used(inputs: RunInputs, run: SideRun) -> None:
    """Raises an error if the library was never mapped: then nothing was compared."""
    name = inputs.old.identity.name
    if inputs.linked is not None:
        return
    with TraceFile(run.trace) as trace:
        if not any(name in process.libraries.values() for process in trace.processes):
            words, remedy = (
                f"neither the program nor its libraries use {name}",
                "`uselib inspect PROG` lists what it was linked with",
            )
            raise RunFailed(Diagnostic(inputs.request.program, words, remedy=remedy))


def _notes(inputs: RunInputs, old: SideRun, new: SideRun, more: Sequence[str]) -> tuple[str, ...]:
    found = []
    linked = inputs.linked
    if linked is not None and linked.digest != inputs.old.identity.digest:
        found.append(
            f"{inputs.request.program} was linked with {linked.file_name} of other contents than {inputs.old.path}"
        )
    if inputs.bound.remark:
        found.append(inputs.bound.remark)
    if old.limit and new.limit:
        limits = ", ".join(sorted({old.limit, new.limit}))
        found.append(f"both sides were ended by a limit ({limits}): compared as far as both went")
    if inputs.options.realtime:
        found.append(
            "--realtime: clock and random bytes differ from run to run, so a difference need not be the library's"
        )
    unknown = sorted(name for name in _called(inputs, old) if inputs.find(name) is None)
    if unknown:
        found.append(f"arguments and results not compared, no prototype (DWARF or --prototypes): {some(unknown, 8)}")
    return tuple(dict.fromkeys((*found, *more)))


def _called(inputs: RunInputs, run: SideRun) -> set[str]:
    """Names of the functions that were called, by the program's bindings."""
    return {
        inputs.bound.functions.get(address, name)
        for index in _indexes(run)
        for address, _, name in run.summary(index)["counts"]
    }
