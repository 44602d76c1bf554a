"""The trace for programs: JSON Lines, one object per event, keys in a fixed order. Addresses and words are strings in
hexadecimal, since numbers over 2**53 do not survive every JSON reader.

    {"event": "trace", "version": 1, "process": 1000, "program": "/home/u/hello", "machine": "x86_64"}
    {"event": "library", "process": 1000, "library": "libc_s", "version": "1.2.3", "base": "0x60000000", ...}
    {"event": "call", "process": 1000, "sequence": 1, "library": "libc_s", "slot": 812, "symbol": "printf",
     "caller": "0x401142", "caller_symbol": "main+0x1c", "caller_file": "hello", "arguments": ["0x402010", ...]}
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from uselib.emulator.trace.live.events import (
    VERSION,
    Dispatch,
    Event,
    LibraryMapped,
    Returned,
    Signalled,
    SymbolBound,
    SystemCall,
    TraceStarted,
)


def _started(event: TraceStarted) -> dict[str, object]:
    return {
        "event": "trace",
        "version": VERSION,
        "process": event.process,
        "program": event.program,
        "machine": event.machine,
    }


def _library(event: LibraryMapped) -> dict[str, object]:
    return {
        "event": "library",
        "process": event.process,
        "library": event.library,
        "version": event.version,
        "base": hex(event.base),
        "size": hex(event.size),
        "exported" if event.exported else "slots": event.slots,
    }


def _call(event: Dispatch) -> dict[str, object]:
    return {
        "event": "call",
        "process": event.process,
        "sequence": event.sequence,
        "library": event.library,
        "slot": event.slot,
        "symbol": event.symbol,
        "caller": hex(event.caller),
        "caller_symbol": event.caller_symbol,
        "caller_file": event.caller_file,
        "arguments": [hex(word) for word in event.arguments],
    }


def _return(event: Returned) -> dict[str, object]:
    return {
        "event": "return",
        "process": event.process,
        "sequence": event.sequence,
        "call": event.call,
        "library": event.library,
        "symbol": event.symbol,
        "value": hex(event.value),
        "duration": event.duration,
        "late": event.late,
    }


def _system_call(event: SystemCall) -> dict[str, object]:
    fields: dict[str, object] = {
        "event": "system call",
        "process": event.process,
        "sequence": event.sequence,
        "name": event.name,
    }
    if event.result is None:
        return {**fields, "arguments": [hex(word) for word in event.arguments]}
    return {**fields, "result": hex(event.result)}


def _signal(event: Signalled) -> dict[str, object]:
    return {
        "event": "signal",
        "process": event.process,
        "sequence": event.sequence,
        "signal": event.signal,
        "address": hex(event.address),
    }


def _binding(event: SymbolBound) -> dict[str, object]:
    return {"event": "binding", "process": event.process, "after": event.binding.after, **event.binding.fields}


_FIELDS: dict[type[Event], Callable[[Any], dict[str, object]]] = {
    TraceStarted: _started,
    LibraryMapped: _library,
    Dispatch: _call,
    Returned: _return,
    SystemCall: _system_call,
    Signalled: _signal,
    SymbolBound: _binding,
}


def render(event: Event) -> str:
    """One line with its newline."""
    fields = _FIELDS[type(event)](event)
    if not isinstance(event, LibraryMapped | TraceStarted) and event.thread:
        fields["thread"] = event.thread
    return json.dumps(fields) + "\n"
