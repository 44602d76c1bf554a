"""The first difference in the outside effects of two processes: system calls, output, files, the exit status."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np

from uselib.abi.dynamic.run.exit_text import end_text
from uselib.abi.dynamic.run.process_pair import AT_END, DivergenceCandidate, ProcessPair
from uselib.abi.dynamic.run.result import Divergence
from uselib.abi.dynamic.run.side_run import SideRun
from uselib.abi.dynamic.run.streams import Stream
from uselib.trace.reading.align import common_prefix


def during(pair: ProcessPair, side: int, sequence: int) -> tuple[int, str]:
    """(number, text) of the top-level call that is open after event `sequence`; (0, "") if there is none."""
    stream = pair.old if side == 0 else pair.new
    at = int(np.searchsorted(stream.top, stream.row_of(sequence), side="right")) - 1
    if at < 0:
        return 0, ""
    row = int(stream.top[at])
    if not stream.is_call(row):
        return stream.number(row), ""
    return stream.number(row), pair.call_text(side, row)


def compare_effects(pair: ProcessPair) -> list[DivergenceCandidate]:
    """System calls that change files or processes. Output is compared by its bytes, not by how many calls wrote it."""
    logs = [pair.old_run.effects(pair.old.process.index), pair.new_run.effects(pair.new.process.index)]
    _note_counts(pair, logs[0][0], logs[1][0])
    texts = [[row for row in log[1] if not row[1].startswith("> ")] for log in logs]
    length = min(len(texts[0]), len(texts[1]))
    at = next((n for n in range(length) if texts[0][n][1] != texts[1][n][1]), length)
    if at == len(texts[0]) == len(texts[1]) or (pair.limited and at == length):
        return []
    rows = [text[at] if at < len(text) else None for text in texts]

    def make() -> Divergence:
        calls = [during(pair, side, row[0]) if row is not None else (0, "") for side, row in enumerate(rows)]
        shown = [
            "no further such call" if row is None else row[1] + (f"  in {calls[side][1]}" if calls[side][1] else "")
            for side, row in enumerate(rows)
        ]
        message, function = "another change to files or processes", _function_of(calls[0][1] or calls[1][1])
        return Divergence("system call", message, shown[0], shown[1], calls[0][0], calls[1][0], function=function)

    place = rows[0][0] if rows[0] is not None else AT_END - 1
    return [DivergenceCandidate((place, 4), make)]


def _function_of(text: str) -> str:
    return text.partition("(")[0]


def _note_counts(pair: ProcessPair, old: dict[str, int], new: dict[str, int]) -> None:
    if pair.limited:
        return
    counts = ((name, old.get(name, 0), new.get(name, 0)) for name in sorted(old.keys() | new.keys()))
    rows = [f"{name} {a} / {b}" for name, a, b in counts if a != b]
    if rows:
        pair.notes.add(f"numbers of system calls that differ (old / new): {', '.join(rows)}")


def compare_output(pair: ProcessPair, number: int, old: bytes, new: bytes) -> list[DivergenceCandidate]:
    """number: 1 stdout, 2 stderr."""
    if old == new:
        return []
    at = common_prefix(np.frombuffer(old, np.uint8), np.frombuffer(new, np.uint8))
    if pair.limited and at == min(len(old), len(new)):
        return []
    places = [_writer(run, stream, number, at) for run, stream in ((pair.old_run, pair.old), (pair.new_run, pair.new))]

    def make() -> Divergence:
        calls = [during(pair, side, place) if place is not None else (0, "") for side, place in enumerate(places)]
        line = old.count(b"\n", 0, at) + 1
        name = "stdout" if number == 1 else "stderr"
        function = _function_of(calls[0][1] or calls[1][1])
        message = f"{name} differs at byte {at}, line {line}"
        lines = _line(old, at), _line(new, at)
        return Divergence("output", message, *lines, calls[0][0], calls[1][0], function=function)

    return [DivergenceCandidate((places[0] if places[0] is not None else AT_END, 5), make)]


def _writer(run: SideRun, stream: Stream, number: int, at: int) -> int | None:
    """Sequence number of the latest event before byte `at` was written."""
    done = 0
    for sequence, text in run.effects(stream.process.index)[1]:
        fields = text.split()
        if fields[0] != ">" or len(fields) < 3 or int(fields[1]) != number:
            continue
        done += int(fields[2])
        if done > at:
            return int(sequence)
    return None


def _line(data: bytes, at: int) -> str:
    """The line that byte `at` is in, as text."""
    start = data.rfind(b"\n", 0, at) + 1
    end = data.find(b"\n", at)
    text = data[start : end if end >= 0 else len(data)]
    if at >= len(data) and not text:
        return "(ends here)"
    return repr(text[:200].decode("utf-8", "backslashreplace"))


def compare_files(pair: ProcessPair) -> list[DivergenceCandidate]:
    """Files that only one side wrote, or whose contents differ at the end."""
    old, new = pair.old_run.files, pair.new_run.files
    if pair.limited:
        return []
    for path in sorted(old.keys() | new.keys()):
        a, b = old.get(path), new.get(path)
        if a != b:
            found = Divergence("file", f"{path} differs", _file_text(a), _file_text(b))
            return [DivergenceCandidate((AT_END, 6), partial(replace, found))]
    return []


def _file_text(value: str | None) -> str:
    if value is None:
        return "not written"
    return value if value.startswith(("removed", "link", "special")) else f"written, SHA-256 {value[:16]}..."


def compare_status(pair: ProcessPair) -> list[DivergenceCandidate]:
    """Exit status and signal of the process that was started."""
    a, b = pair.old_run.end, pair.new_run.end
    if (a.status, a.signal) == (b.status, b.signal) or pair.limited:
        return []
    ends = end_text(a.status, a.signal, a.reason), end_text(b.status, b.signal, b.reason)
    divergence = Divergence("status", "the program ends in another way", *ends)
    return [DivergenceCandidate((AT_END, 7), lambda: divergence)]
