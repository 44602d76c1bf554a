"""The trace for programs: JSON Lines, one object per event, keys in a fixed order. Addresses and words are strings in
hexadecimal, since numbers over 2**53 do not survive every JSON reader.

    {"event": "trace", "version": 1, "process": 1000, "program": "/home/u/hello", "machine": "x86_64"}
    {"event": "library", "process": 1000, "library": "libc_s", "version": "1.2.3", "base": "0x60000000", ...}
    {"event": "call", "process": 1000, "sequence": 1, "library": "libc_s", "slot": 812, "symbol": "printf",
     "caller": "0x401142", "caller_symbol": "main+0x1c", "caller_file": "hello", "arguments": ["0x402010", ...]}
"""

from __future__ import annotations

import json

from uselib.emulator.trace.live.events import VERSION, Dispatch, Event, LibraryMapped, Returned, Signalled, SystemCall


def render(event: Event) -> str:
    """One line with its newline."""
    fields: dict[str, object]
    if isinstance(event, Dispatch):
        fields = {
            "event": "call", "process": event.process, "sequence": event.sequence, "library": event.library,
            "slot": event.slot, "symbol": event.symbol, "caller": hex(event.caller),
            "caller_symbol": event.caller_symbol, "caller_file": event.caller_file,
            "arguments": [hex(word) for word in event.arguments],
        }  # fmt: skip
    elif isinstance(event, LibraryMapped):
        fields = {
            "event": "library", "process": event.process, "library": event.library, "version": event.version,
            "base": hex(event.base), "size": hex(event.size), "slots": event.slots,
        }  # fmt: skip
    elif isinstance(event, Returned):
        fields = {
            "event": "return", "process": event.process, "sequence": event.sequence, "call": event.call,
            "library": event.library, "symbol": event.symbol, "value": hex(event.value), "duration": event.duration,
            "late": event.late,
        }  # fmt: skip
    elif isinstance(event, SystemCall):
        fields = {"event": "system call", "process": event.process, "sequence": event.sequence, "name": event.name}
        if event.result is None:
            fields["arguments"] = [hex(word) for word in event.arguments]
        else:
            fields["result"] = hex(event.result)
    elif isinstance(event, Signalled):
        fields = {
            "event": "signal", "process": event.process, "sequence": event.sequence, "signal": event.signal,
            "address": hex(event.address),
        }  # fmt: skip
    else:
        fields = {
            "event": "trace", "version": VERSION, "process": event.process, "program": event.program,
            "machine": event.machine,
        }  # fmt: skip
    return json.dumps(fields) + "\n"
