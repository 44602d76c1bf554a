"""Events one a line: JSON Lines, the stable text form, and CSV.

JSON Lines: the first object describes the trace, then each process before its first event, then its events:

    {"event": "trace", "version": 1, "clock": "blocks", "complete": true}
    {"event": "process", "process": 0, "pid": 1000, "parent": null, "program": "/home/u/hello", "machine": "x86_64"}
    {"event": "call", "process": 0, "sequence": 1, "time": 17, "depth": 0, "library": "libc_s", "slot": 812, "symbol": "printf",
     "caller": "0x401142", "caller_symbol": "main+0x1c", "caller_file": "hello", "words": ["0x402010", ...], "arguments": ["\\"hello\\""]}
    {"event": "return", ..., "call": 1, "result": "6", "value": "0x6", "duration": 40}
    {"event": "syscall" | "syscall_result" | "signal", ...}
    {"event": "binding", "process": 0, "after": 12, "referrer": "hello", "symbol": "puts@GLIBC_2.2.5", "definer": "libc.so.6",
     "address": "0x7ffff7a5b3a0", "when": "first call", "kind": "R_X86_64_JUMP_SLOT", "result": "", "place": "0x555555557018", "asked": 2}
    {"event": "end", "process": 0, "status": 0, "signal": 0}

Addresses and words are strings in hexadecimal, since numbers over 2**53 do not survive every JSON reader. New keys may be added;
none changes its meaning within a version.
"""

from __future__ import annotations

import csv
import io
import json
from typing import BinaryIO

from uselib.emulator.trace.store.format import EventKind
from uselib.trace.reading.bindings import BindingEvent, events_and_bindings
from uselib.trace.reading.decoding import Decoder
from uselib.trace.reading.events import Event
from uselib.trace.reading.model import TracedProcess, TraceFile
from uselib.trace.reading.names import signal_name, signed, syscall_name
from uselib.trace.reading.progress import Progress

_NAMES = {
    EventKind.CALL: "call",
    EventKind.RETURN: "return",
    EventKind.SYSCALL: "syscall",
    EventKind.SYSCALL_RESULT: "syscall_result",
    EventKind.SIGNAL: "signal",
    EventKind.INNER_CALL: "call",
    EventKind.INNER_RETURN: "return",
}


def fields(event: Event, decoder: Decoder) -> dict[str, object]:
    """An event as JSON Lines has it."""
    row: dict[str, object] = {
        "event": _NAMES.get(EventKind(event.kind), "?") if event.kind in _NAMES else "?",
        "process": event.process.index,
        "sequence": event.sequence,
        "time": event.time,
        "depth": event.depth,
    }
    if event.thread:
        row["thread"] = event.thread
    if event.function is not None:
        row |= {"library": event.function.library, "slot": event.function.slot or None, "symbol": event.function.name}
    if event.is_call:
        place = event.process.places.caller(event.caller, event.sequence)
        row |= {
            "caller": hex(event.caller),
            "caller_symbol": str(place) if place is not None else "",
            "caller_file": place.file.name if place is not None else "",
            "words": [hex(word) for word in event.words],
            "arguments": decoder.arguments(event),
        }
        if event.tail:
            row["tail"] = True
    elif event.is_return:
        row |= {
            "call": event.caller,
            "result": decoder.result(event.function, event),
            "value": hex(event.words[0]),
            "duration": event.duration,
        }
        if event.late:
            row["late"] = True
    elif event.kind in (EventKind.SYSCALL, EventKind.SYSCALL_RESULT):
        row |= {"number": event.number, "name": syscall_name(event.process.machine, event.number)}
        if event.kind == EventKind.SYSCALL:
            row["words"] = [hex(word) for word in event.words]
        else:
            row["value"] = signed(event.words[0], event.process.word)
    elif event.kind == EventKind.SIGNAL:
        row |= {"signal": signal_name(event.words[0]), "address": hex(event.words[1]), "at": hex(event.caller)}
    return row


def _binding_fields(event: BindingEvent) -> dict[str, object]:
    row: dict[str, object] = {"event": "binding", "process": event.process.index, "after": event.binding.after}
    if event.thread:
        row["thread"] = event.thread
    return row | event.binding.fields


def _binding_cells(event: BindingEvent) -> dict[str, object]:
    """Under the columns that calls have: the object found is the library, the one that refers the caller's file."""
    row = event.binding.fields
    cells = {"library": row["definer"], "caller_file": row["referrer"], "value": row["address"], "caller": row["place"]}
    return _binding_fields(event) | cells


def jsonl(trace: TraceFile, processes: list[TracedProcess], decoder: Decoder, weight: str, out: BinaryIO) -> None:
    lines: list[str] = []
    encode = json.JSONEncoder().encode

    def write(row: dict[str, object]) -> None:
        lines.append(encode(row) + "\n")

    def flush() -> None:
        out.write("".join(lines).encode())
        lines.clear()

    write({"event": "trace", "version": 1, "clock": trace.clock, "complete": trace.complete})
    with Progress("writing", sum(p.record_count for p in processes)) as progress:
        for process in processes:
            write(
                {
                    "event": "process",
                    "process": process.index,
                    "pid": process.pid,
                    "parent": process.parent,
                    "program": process.program,
                    "machine": process.machine,
                }
            )
            for event in events_and_bindings(trace, [process]):
                write(_binding_fields(event) if isinstance(event, BindingEvent) else fields(event, decoder))
                if len(lines) >= 4096:
                    progress.step(len(lines))
                    flush()
            if process.end is not None:
                end: dict[str, object] = {
                    key: process.end.get(key) for key in ("status", "signal", "filtered") if key in process.end
                }
                write({"event": "end", "process": process.index, **end})
    flush()


_COLUMNS = (
    "event process sequence time depth library slot symbol caller caller_symbol caller_file arguments result value call duration "
    "name number after when kind asked thread"
).split()


def csv_(trace: TraceFile, processes: list[TracedProcess], decoder: Decoder, weight: str, out: BinaryIO) -> None:
    """RFC 4180, with a header row; columns that an event does not have are empty."""
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\r\n")
    rows.writerow(_COLUMNS)
    with Progress("writing", sum(p.record_count for p in processes)) as progress:
        for process in processes:
            for number, event in enumerate(events_and_bindings(trace, [process])):
                if isinstance(event, BindingEvent):
                    row = _binding_cells(event)
                else:
                    row = fields(event, decoder)
                    if "arguments" in row:
                        row["arguments"] = ", ".join(decoder.arguments(event))
                    if event.kind == EventKind.SIGNAL:
                        row["name"] = row["signal"]
                rows.writerow([row.get(column, "") for column in _COLUMNS])
                if number % 4096 == 4095:
                    progress.step(4096)
                    out.write(text.getvalue().encode())
                    text.seek(0)
                    text.truncate()
    out.write(text.getvalue().encode())
