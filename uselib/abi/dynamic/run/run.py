"""compare_runs: the unmodified program against two versions of a library, and what differed.

    read both versions and the program     bindings.py      what it is bound to
    run both sides, at the same time       recording.py     two directories with everything that was seen
    are they the same?                     same.py          by digests of all events
    if not, compare                        compare.py       the first difference, and everything that was not what it was bound to
    why                                    explain.py       the change of the library behind it
    what the run exercised                 coverage.py

A version that start-up refuses is run once more from a private copy whose note carries the identity that the program wants, to show
the first wrong call as well.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from uselib.abi.dynamic.run.bindings import (
    Bound,
    Library,
    NotComparable,
    bound_names,
    check_pair,
    read_library,
    recorded_names,
)
from uselib.abi.dynamic.run.coverage import coverage_of
from uselib.abi.dynamic.run.data_watch import Watched
from uselib.abi.dynamic.run.equivalence import Find, Shape, shape_of
from uselib.abi.dynamic.run.explain import explained, names_near
from uselib.abi.dynamic.run.identity_patch import satisfied
from uselib.abi.dynamic.run.result import AbiRequest, AbiResult, Divergence, Side, WrongBinding
from uselib.abi.dynamic.run.same import calls_needed, same_runs
from uselib.abi.dynamic.run.side import (
    GUEST_DIRECTORY,
    MOST_CALLS,
    Job,
    SideRun,
    finish_side,
    place_library,
    start_side,
    wants_of,
    warm_up,
)
from uselib.abi.dynamic.run.static_findings import Findings, named
from uselib.abi.dynamic.run.static_findings import check_pair as check_pair_statically
from uselib.emulator.process.run_options import RunOptions, parse
from uselib.emulator.trace.reading.model import TraceFile
from uselib.linker.errors import Diagnostic, ToolError, UsageError, some
from uselib.linker.formats.elf_image import read_image
from uselib.linker.image import Identity, Image
from uselib.linker.reading import read_file

TRIES = 3  # of programs with several processes, whose order is the host's
START_UP_REFUSED = 128  # exit status: ARCHITECTURE.md, start-up contract
_USAGE = "uselib abi run [OPTIONS] PROG [ARGUMENTS] --old LIB --new LIB"


class RunFailed(ToolError):
    """A side could not be run at all."""


@dataclass(frozen=True)
class Subject:
    """What is compared. linked: the identity that the program was linked with, None if only its libraries need it."""

    request: AbiRequest
    options: RunOptions
    program: Image
    old: Library
    new: Library
    linked: Identity | None
    bound: Bound
    find: Find
    names: tuple[str, ...]

    @cached_property
    def findings(self) -> Findings:
        """Of the static check; asked for only if the runs differ."""
        return check_pair_statically(_program_path(self.options), self.old.path, self.new.path)


def compare_runs(request: AbiRequest) -> AbiResult:
    """Runs both sides and compares them; again if several processes may have met in another order.

    Raises ToolError (a file that cannot be read, a program that cannot be started), OSError.
    """
    try:
        subject = _subject(request)
    except NotComparable as reason:
        return AbiResult(
            "not comparable", request.program, Side(request.old, 0), Side(request.new, 0), reason=str(reason)
        )
    result, processes = _once(subject)
    tries = 1
    while result.verdict == "diverged" and processes > 1 and tries < TRIES:
        again, _ = _once(subject)
        tries += 1
        if again.verdict == "identical on this run":
            note = f"several processes: run {tries} times, because they met in another order before (signals, pipes)"
            return replace(again, notes=(note, *again.notes))
    return result


def _once(subject: Subject) -> tuple[AbiResult, int]:
    """One comparison, and how many processes the old run had."""
    with _workspace() as folder:
        old, new = _run_pair(subject, folder)
        return _result(subject, old, new, folder), len(_indexes(old))


@contextlib.contextmanager
def _workspace() -> Iterator[str]:
    folder = tempfile.mkdtemp(prefix="uselib-abi-")
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _subject(request: AbiRequest) -> Subject:
    options = _options(request)
    program = _program_path(options)
    image = read_image(bytes(_read(program)), program)
    old, new = read_library(request.old), read_library(request.new)
    linked = check_pair(image, request.program, old, new)
    find = _prototypes(image, program, request, old)
    names = _names(image, old, linked, options)
    return Subject(request, options, image, old, new, linked, bound_names(image, old), find, names)


def _read(path: str) -> bytes | memoryview:
    try:
        return read_file(path)
    except OSError as failure:
        raise RunFailed(Diagnostic(path, failure.strerror or str(failure))) from None


def _options(request: AbiRequest) -> RunOptions:
    """Raises UsageError for a word that is no option of `uselib run`."""
    parsed = parse(_USAGE, [*request.run_words, "--", request.program, *request.arguments])
    if isinstance(parsed, int):
        raise UsageError(Diagnostic("abi run", "--help is no option of a run"))
    options, _ = parsed
    if options.strace:
        raise UsageError(
            Diagnostic("--strace", "not with `abi run`", remedy="use `uselib run --strace` on one version")
        )
    if request.max_instructions is not None:
        options = replace(options, max_instructions=request.max_instructions)
    if options.max_seconds is None and request.max_seconds is not None:
        options = replace(options, max_seconds=request.max_seconds)
    return replace(options, argv0=options.argv0 if options.argv0 is not None else request.program)


def _program_path(options: RunOptions) -> str:
    """Where the program is on the host."""
    if options.root is not None and os.path.isabs(options.program):
        return os.path.join(options.root, options.program.lstrip("/"))
    return options.program


def _prototypes(image: Image, program: str, request: AbiRequest, old: Library) -> Find:
    """The program's view of functions, for both sides: prototype files, its own DWARF, that of the old version, the C library's."""
    from uselib.emulator.trace.prototypes.sources import open_prototypes

    library = "mini" if any(identity.name.startswith("libmini") for identity in image.needs) else "musl"
    return open_prototypes(image.machine, [program, old.path], request.prototypes, library).find


def _names(image: Image, old: Library, linked: Identity | None, options: RunOptions) -> tuple[str, ...]:
    """Every file name by which start-up may look for the library: the recorded ones, and those that lie where it looks."""
    name = old.identity.name
    seen = []
    folders = [*options.library_path, *(part for part in os.environ.get("LD_LIBRARY_PATH", "").split(":") if part)]
    folders += [os.path.join(options.sysroot, "shlib")] if options.sysroot else []
    for folder in folders:
        with contextlib.suppress(OSError):
            seen += sorted(os.listdir(folder))
    identity = linked or old.identity
    version = identity.version
    own = (identity.file_name, f"{name}.{version.major}.{version.minor}", f"{name}.{version.major}")
    return recorded_names(image, name, [*own, *seen])


# -- running ------------------------------------------------------------------------------------------------------------


def _run_pair(subject: Subject, folder: str) -> tuple[SideRun, SideRun]:
    jobs = [_job(subject, folder, "old", subject.old), _job(subject, folder, "new", subject.new)]
    for job, library in zip(jobs, (subject.old, subject.new), strict=True):
        place_library(job.directory, library.data, subject.names)
    return _run_both(subject, jobs)


def _run_both(subject: Subject, jobs: Sequence[Job]) -> tuple[SideRun, SideRun]:
    warm_up(subject.program.machine)
    if not subject.request.parallel:
        old, new = (finish_side(job, start_side(job, subject.request.stdin)) for job in jobs)
    else:
        pids = [start_side(job, subject.request.stdin) for job in jobs]
        old, new = (finish_side(job, pid) for job, pid in zip(jobs, pids, strict=True))
    for run in (old, new):
        if run.end.error:
            raise RunFailed(Diagnostic(subject.request.program, run.end.error))
    return old, new


def _job(subject: Subject, folder: str, name: str, library: Library) -> Job:
    directory = os.path.join(folder, name)
    os.mkdir(directory)
    low = min(subject.old.identity.base, subject.new.identity.base)
    high = max(subject.old.identity.end, subject.new.identity.end)
    ranges = tuple((place.address, place.address + max(place.size, 1)) for place in subject.old.exported_data)

    def shape_at(address: int, name: str) -> Shape:
        return shape_of(subject.find(subject.bound.functions.get(address, name)), subject.program.machine)

    pages = {page for library in (subject.old, subject.new) for place in library.exported_data for page in place.pages}
    return Job(
        directory, subject.old.identity.name, subject.names, low, high, subject.options, subject.bound.functions,
        wants_of(subject.find, subject.program.machine), Watched(ranges, tuple(sorted(pages)), (low, high)), shape_at,
    )  # fmt: skip


# -- comparing ----------------------------------------------------------------------------------------------------------


def _refusal(run: SideRun) -> str:
    """Start-up's reason for refusing a library, if it did: it says so and exits with 128 before anything is called."""
    text = run.stderr.decode("utf-8", "replace")
    if run.end.signal or run.end.status != START_UP_REFUSED or "can't load library" not in text:
        return ""
    return " ".join(line.strip() for line in text.splitlines() if line.strip())


def _side(run: SideRun, path: str, calls: int, refusal: str = "") -> Side:
    end = run.end
    return Side(
        path, end.status, end.signal, calls, hashlib.sha256(run.stdout).hexdigest(), hashlib.sha256(run.stderr).hexdigest(),
        tuple(sorted(run.files.items())), refusal.replace(GUEST_DIRECTORY + "/", ""), run.limit,
    )  # fmt: skip


def _result(subject: Subject, old: SideRun, new: SideRun, folder: str) -> AbiResult:
    request = subject.request
    refusals = [_refusal(run).replace(f"{request.program}: ", "", 1) for run in (old, new)]
    if refusals[0]:
        return AbiResult(
            "not comparable", request.program, _side(old, request.old, 0, refusals[0]), _side(new, request.new, 0, refusals[1]),
            reason=f"{request.program} does not start with the old version: {refusals[0]}",
        )  # fmt: skip
    _check_used(subject, old)
    if not refusals[1]:
        return _compared(subject, old, new, folder)
    refused = _side(new, request.new, 0, refusals[1])
    divergence = Divergence(
        "start-up", "start-up refuses the new version", "starts", refusals[1].replace(GUEST_DIRECTORY + "/", "")
    )
    divergence = explained(divergence, subject.bound, subject.old, subject.new, linked=subject.linked)
    divergence = named(divergence, (subject.old.identity.name,), subject.findings)
    data = satisfied(subject.new, subject.linked or subject.old.identity)
    if data is None:
        return AbiResult("diverged", request.program, _side(old, request.old, 0), refused, divergence)
    job = _job(subject, folder, "satisfied", subject.new)
    place_library(job.directory, data, subject.names)
    again = finish_side(job, start_side(job, request.stdin))
    if again.end.error:
        return AbiResult("diverged", request.program, _side(old, request.old, 0), refused, divergence)
    beyond = _compared(subject, old, again, folder)
    note = (
        "the new version was also run from a private copy whose note carries the identity that the program wants "
        f"({(subject.linked or subject.old.identity).version}): what follows the refusal is from that run"
    )
    return replace(
        beyond, verdict="diverged", divergence=divergence, beyond=beyond.divergence, new=replace(refused, calls=beyond.new.calls),
        notes=(note, *beyond.notes),
    )  # fmt: skip


def _compared(subject: Subject, old: SideRun, new: SideRun, folder: str) -> AbiResult:
    """Compares two runs; those too long to have been kept whole are done again if their digests differ."""
    indexes = [_indexes(run) for run in (old, new)]
    pairs = list(zip(*indexes, strict=False))
    if len(indexes[0]) == len(indexes[1]) and same_runs(subject.bound, subject.old, subject.new, old, new, pairs):
        return _verdict(subject, (old, new), None)
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
        old, new = _run_both(subject, jobs)
    from uselib.abi.dynamic.run.compare import compare  # numpy is not needed before

    divergence, wrong, notes = compare(subject, old, new, cut)
    if divergence is not None:
        divergence = explained(divergence, subject.bound, subject.old, subject.new, wrong)
        divergence = named(divergence, names_near(divergence, wrong), subject.findings)
    return _verdict(subject, seen, divergence, wrong, notes)


def _indexes(run: SideRun) -> list[int]:
    with TraceFile(run.trace) as trace:
        return [process.index for process in trace.processes]


def _verdict(
    subject: Subject, runs: tuple[SideRun, SideRun], divergence: Divergence | None, wrong: tuple[WrongBinding, ...] = (),
    notes: Sequence[str] = (),
) -> AbiResult:  # fmt: skip
    """runs: the first ones, which saw everything."""
    request, (old, new) = subject.request, runs
    calls = [sum(n for index in _indexes(run) for _, n, _ in run.summary(index)["counts"]) for run in runs]
    return AbiResult(
        "identical on this run" if divergence is None else "diverged", request.program, _side(old, request.old, calls[0]),
        _side(new, request.new, calls[1]), divergence, wrong,
        coverage_of(subject.bound, subject.old, subject.new, runs, _indexes(old)),
        subject.findings.ids if divergence is not None else (),
        notes=_notes(subject, old, new, notes),
    )  # fmt: skip


def _check_used(subject: Subject, run: SideRun) -> None:
    """Nothing was compared if the library was never mapped."""
    name = subject.old.identity.name
    if subject.linked is not None:
        return
    with TraceFile(run.trace) as trace:
        if not any(name in process.libraries.values() for process in trace.processes):
            raise RunFailed(
                Diagnostic(
                    subject.request.program, f"neither the program nor its libraries use {name}",
                    remedy="`uselib inspect PROG` lists what it was linked with",
                )
            )  # fmt: skip


def _notes(subject: Subject, old: SideRun, new: SideRun, more: Sequence[str]) -> tuple[str, ...]:
    found = []
    linked = subject.linked
    if linked is not None and linked.digest != subject.old.identity.digest:
        found.append(
            f"{subject.request.program} was linked with {linked.file_name} of other contents than {subject.old.path}"
        )
    if subject.bound.remark:
        found.append(subject.bound.remark)
    if old.limit and new.limit:
        limits = ", ".join(sorted({old.limit, new.limit}))
        found.append(f"both sides were ended by a limit ({limits}): compared as far as both went")
    if subject.options.realtime:
        found.append(
            "--realtime: clock and random bytes differ from run to run, so a difference need not be the library's"
        )
    unknown = sorted(name for name in _called(subject, old) if subject.find(name) is None)
    if unknown:
        found.append(f"arguments and results not compared, no prototype (DWARF or --prototypes): {some(unknown, 8)}")
    return tuple(dict.fromkeys((*found, *more)))


def _called(subject: Subject, run: SideRun) -> set[str]:
    """Names of the functions that were called, as the program means them."""
    return {
        subject.bound.functions.get(address, name)
        for index in _indexes(run)
        for address, _, name in run.summary(index)["counts"]
    }
