"""Chrome's trace event format (JSON, "Trace Event Format"): B and E events, the library as category. A process with one
thread has its number for it, else threads have those that the guest gave them.

The trace's clock is written as microseconds, the format's unit: one block is shown as 1 us."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from typing import BinaryIO

from uselib.emulator.trace.store.format import EventKind
from uselib.trace.reading.decoding import Decoder
from uselib.trace.reading.model import TracedProcess, TraceFile
from uselib.trace.reading.names import signal_name, syscall_name
from uselib.trace.reading.progress import Progress
from uselib.trace.reading.slices import slices


def chrome(trace: TraceFile, processes: list[TracedProcess], decoder: Decoder, weight: str, out: BinaryIO) -> None:
    encode = json.JSONEncoder(separators=(",", ":")).encode
    rows: list[str] = []

    def flush() -> None:
        out.write("".join(rows).encode())
        rows.clear()

    meta = {"clock": trace.clock, "complete": trace.complete}
    out.write(b'{"displayTimeUnit":"ms","otherData":' + encode(meta).encode() + b',"traceEvents":[\n')
    with Progress("writing", sum(p.record_count for p in processes)) as progress:
        comma = ""
        for process in processes:
            for row in _titles(process):
                rows.append(comma + encode(row))
                comma = ",\n"
            several = bool(process.thread_firsts)
            for piece in slices(trace, process):
                event = piece.event
                row = {
                    "ph": "B" if piece.begin else "E" if piece.end else "i",
                    "ts": piece.time,
                    "pid": process.index + 1,
                    "tid": piece.thread if several else process.index + 1,
                }
                if event is None:
                    pass
                elif piece.begin and event.function is not None:
                    place = process.places.caller(event.caller, event.sequence)
                    row |= {
                        "name": event.function.name,
                        "cat": event.function.library or "program",
                        "args": {
                            "arguments": ", ".join(decoder.arguments(event)),
                            "caller": str(place or hex(event.caller)),
                            "slot": event.function.slot,
                        },
                    }
                elif piece.end:
                    row["args"] = {"result": decoder.result(event.function, event)}
                else:
                    row |= {"s": "t", "name": other_name(event.kind, process, event.number, event.words[0])}
                rows.append(comma + encode(row))
                if len(rows) >= 4096:
                    progress.step(len(rows))
                    flush()
    flush()
    out.write(b"\n]}\n")


def _titles(process: TracedProcess) -> Iterator[dict[str, object]]:
    """What viewers call the process and its threads."""

    def row(kind: str, thread: int, name: str) -> dict[str, object]:
        who = {"pid": process.index + 1, "tid": thread}
        return {"ph": "M", "name": kind, "ts": 0, **who, "args": {"name": name}}

    threads = {number: f"thread {number}" for number in process.threads}
    if len(threads) < 2:
        threads = {process.index + 1: "calls"}
    yield row("process_name", next(iter(threads)), f"{os.path.basename(process.program)} {process.pid}")
    for number, name in threads.items():
        yield row("thread_name", number, name)


def other_name(kind: int, process: TracedProcess, number: int, word: int) -> str:
    """What an event that is not a call is called on a timeline."""
    if kind in (EventKind.SYSCALL, EventKind.SYSCALL_RESULT):
        return f"syscall {syscall_name(process.machine, number)}" + (
            " done" if kind == EventKind.SYSCALL_RESULT else ""
        )
    return f"signal {signal_name(word)}" if kind == EventKind.SIGNAL else f"event {kind}"
