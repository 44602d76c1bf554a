"""Two runs, event by event: the first difference, wrong bindings, and what is to be said of the comparison. (numpy from here on.)"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable
from typing import TYPE_CHECKING

from uselib.abi.dynamic.run.bindings import Library
from uselib.abi.dynamic.run.divergence import (
    Candidate,
    Sides,
    compare_effects,
    compare_events,
    compare_files,
    compare_output,
    compare_status,
    first,
)
from uselib.abi.dynamic.run.equivalence import Pointers
from uselib.abi.dynamic.run.exit_text import signal_name
from uselib.abi.dynamic.run.result import Divergence, WrongBinding
from uselib.abi.dynamic.run.side import MOST_CALLS, SideRun
from uselib.abi.dynamic.run.streams import Stream, load
from uselib.abi.dynamic.run.wrong_bindings import compare_data, wrong_bindings
from uselib.emulator.trace.reading.model import Process, TraceFile

if TYPE_CHECKING:
    from uselib.abi.dynamic.run.run import Subject


def compare(
    subject: Subject, old: SideRun, new: SideRun, cut: bool
) -> tuple[Divergence | None, tuple[WrongBinding, ...], tuple[str, ...]]:
    """cut: the runs kept only their first events. Returns the first difference, wrong bindings, notes."""
    with TraceFile(old.trace) as old_trace, TraceFile(new.trace) as new_trace:
        processes = zip(old_trace.processes, new_trace.processes, strict=False)
        sides = [_sides(subject, old, new, old_trace, new_trace, *pair, index=n) for n, pair in enumerate(processes)]
        divergence = None
        for one in sides:
            one.cut = cut or any(len(stream.call_rows) >= MOST_CALLS for stream in (one.old, one.new))
            candidates = [*compare_events(one), *compare_data(one), *compare_effects(one)]
            if one.main:
                candidates += _ends(one)
            divergence = divergence or first(candidates)
        if divergence is None and len(old_trace.processes) != len(new_trace.processes):
            old_count, new_count = (f"{len(trace.processes)} processes" for trace in (old_trace, new_trace))
            divergence = Divergence("system call", "another number of processes", old_count, new_count)
        wrong = wrong_bindings(sides)
        if divergence is None and wrong:
            row = wrong[0]
            divergence = Divergence(
                "wrong binding", f"{row.bound} is not what the program reaches at {row.address:#x}", row.bound,
                row.found or "nothing", row.first_call, row.first_call, row.caller, row.bound,
            )  # fmt: skip
        return divergence, wrong, _notes(sides, divergence is None)


def _notes(sides: list[Sides], identical: bool) -> tuple[str, ...]:
    found: list[str] = []
    for one in sides:
        found += sorted(note for note in one.notes if identical or not note.startswith("system calls"))
        if max(len(one.old.call_rows), len(one.new.call_rows)) >= MOST_CALLS:
            found.append(f"only the first {MOST_CALLS} calls of a process are compared")
    return tuple(found)


def _ends(sides: Sides) -> list[Candidate]:
    old, new = sides.old_run, sides.new_run
    return [
        *compare_output(sides, 1, old.stdout, new.stdout),
        *compare_output(sides, 2, old.stderr, new.stderr),
        *compare_files(sides),
        *compare_status(sides),
    ]


def _sides(
    subject: Subject, old: SideRun, new: SideRun, old_trace: TraceFile, new_trace: TraceFile, a: Process, b: Process, index: int
) -> Sides:  # fmt: skip
    high = max(subject.old.identity.end, subject.new.identity.end)
    old_stream, new_stream = _load(subject.old, high, old_trace, a), _load(subject.new, high, new_trace, b)
    ended = tuple(
        f"the limit ({limit})" if limit else signal_name(number) if number else ""
        for limit, number in zip((old.limit, new.limit), _signals(a, b), strict=True)
    )
    pointers = (
        Pointers(subject.old, [subject.program], old.data(a.index)["maps"]),
        Pointers(subject.new, [subject.program], new.data(b.index)["maps"]),
    )
    return Sides(
        old_stream, new_stream, old, new, subject.old, subject.new, subject.program, subject.bound, subject.program.machine,
        subject.find, pointers, _matcher(subject.request.ignore), main=index == 0, limited=bool(old.limit and new.limit),
        ended=(ended[0], ended[1]),
    )  # fmt: skip


def _signals(a: Process, b: Process) -> tuple[int, int]:
    found = [int((process.end or {}).get("signal") or 0) for process in (a, b)]
    return found[0], found[1]


def _matcher(globs: tuple[str, ...]) -> Callable[[str], bool]:
    expression = re.compile("|".join(map(fnmatch.translate, globs))) if globs else None
    return lambda name: expression is not None and expression.fullmatch(name) is not None


def _load(library: Library, high: int, trace: TraceFile, process: Process) -> Stream:
    header = library.header
    return load(trace, process, header.identity.base, high, header.slot_address(header.identity.slot_count + 1))
