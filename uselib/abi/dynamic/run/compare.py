"""Two runs, event by event: the first difference, wrong bindings, and remarks on the comparison.

This module and those that it imports use numpy.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable

from uselib.abi.dynamic.run.bindings import LibraryVersion
from uselib.abi.dynamic.run.compare_bindings import wrong_bindings
from uselib.abi.dynamic.run.compare_calls import compare_events
from uselib.abi.dynamic.run.compare_data import compare_data
from uselib.abi.dynamic.run.compare_effects import compare_effects, compare_files, compare_output, compare_status
from uselib.abi.dynamic.run.exit_text import signal_name
from uselib.abi.dynamic.run.inputs import RunInputs
from uselib.abi.dynamic.run.pointers import PointerTargets
from uselib.abi.dynamic.run.process_pair import DivergenceCandidate, ProcessPair, first
from uselib.abi.dynamic.run.result import Divergence, WrongBinding
from uselib.abi.dynamic.run.side_run import MOST_CALLS, SideRun
from uselib.abi.dynamic.run.streams import Stream, load
from uselib.trace.reading.model import TracedProcess, TraceFile


def compare(
    inputs: RunInputs, old: SideRun, new: SideRun, cut: bool
) -> tuple[Divergence | None, tuple[WrongBinding, ...], tuple[str, ...]]:
    """cut: the runs kept only their first events. Returns the first difference, wrong bindings, notes."""
    with TraceFile(old.trace) as old_trace, TraceFile(new.trace) as new_trace:
        processes = zip(old_trace.processes, new_trace.processes, strict=False)
        pairs = [_pair(inputs, (old, old_trace, a), (new, new_trace, b), cut, n) for n, (a, b) in enumerate(processes)]
        divergence = None
        for pair in pairs:
            candidates = [*compare_events(pair), *compare_data(pair), *compare_effects(pair)]
            if pair.main:
                candidates += _ends(pair)
            divergence = divergence or first(candidates)
        if divergence is None and len(old_trace.processes) != len(new_trace.processes):
            old_count, new_count = (f"{len(trace.processes)} processes" for trace in (old_trace, new_trace))
            divergence = Divergence("system call", "another number of processes", old_count, new_count)
        wrong = wrong_bindings(pairs)
        if divergence is None and wrong:
            divergence = _of_wrong_binding(wrong[0])
        return divergence, wrong, _notes(pairs, divergence is None)


def _of_wrong_binding(row: WrongBinding) -> Divergence:
    message = f"{row.bound} is not what the program reaches at {row.address:#x}"
    found, call = row.found or "nothing", row.first_call
    return Divergence("wrong binding", message, row.bound, found, call, call, row.caller, row.bound)


def _notes(pairs: list[ProcessPair], identical: bool) -> tuple[str, ...]:
    found: list[str] = []
    for pair in pairs:
        found += sorted(note for note in pair.notes if identical or not note.startswith("system calls"))
        if max(len(pair.old.call_rows), len(pair.new.call_rows)) >= MOST_CALLS:
            found.append(f"only the first {MOST_CALLS} calls of a process are compared")
    return tuple(found)


def _ends(pair: ProcessPair) -> list[DivergenceCandidate]:
    old, new = pair.old_run, pair.new_run
    return [
        *compare_output(pair, 1, old.stdout, new.stdout),
        *compare_output(pair, 2, old.stderr, new.stderr),
        *compare_files(pair),
        *compare_status(pair),
    ]


_RecordedProcess = tuple[SideRun, TraceFile, TracedProcess]


def _pair(inputs: RunInputs, old: _RecordedProcess, new: _RecordedProcess, cut: bool, index: int) -> ProcessPair:
    high = max(inputs.old.identity.end, inputs.new.identity.end)
    streams = [
        _load(library, high, trace, process) for library, (_, trace, process) in ((inputs.old, old), (inputs.new, new))
    ]
    pointers = [
        PointerTargets(library, [inputs.program], run.data(process.index)["maps"])
        for library, (run, _, process) in ((inputs.old, old), (inputs.new, new))
    ]
    return ProcessPair(
        inputs,
        streams[0],
        streams[1],
        old[0],
        new[0],
        (pointers[0], pointers[1]),
        _matcher(inputs.request.ignore),
        main=index == 0,
        limited=bool(old[0].limit and new[0].limit),
        cut=cut or any(len(stream.call_rows) >= MOST_CALLS for stream in streams),
        ended=(_death(old[0], old[2]), _death(new[0], new[2])),
    )


def _death(run: SideRun, process: TracedProcess) -> str:
    """`SIGSEGV`, or `the limit (--max-seconds)`; empty if the process was not killed."""
    if run.limit:
        return f"the limit ({run.limit})"
    number = int((process.end or {}).get("signal") or 0)
    return signal_name(number) if number else ""


def _matcher(globs: tuple[str, ...]) -> Callable[[str], bool]:
    expression = re.compile("|".join(map(fnmatch.translate, globs))) if globs else None
    return lambda name: expression is not None and expression.fullmatch(name) is not None


def _load(library: LibraryVersion, high: int, trace: TraceFile, process: TracedProcess) -> Stream:
    header = library.header
    return load(trace, process, header.identity.base, high, header.slot_address(header.identity.slot_count + 1))
