"""The trace for people: one line per event.

1  libc_s:printf #812 (0x402010, 0x1, 0x7ffffffde0f8, 0x0)  from main+0x1c in hello [0x401142]
"""

from __future__ import annotations

from uselib.emulator.trace.live.events import (
    Dispatch,
    Event,
    LibraryMapped,
    Returned,
    Signalled,
    SymbolBound,
    SystemCall,
    TraceStarted,
)

_NUMBER = 8  # columns of the sequence number and the space behind it


def render(event: Event) -> str:
    """One line with its newline."""
    text = _line(event)
    thread = 0 if isinstance(event, LibraryMapped | TraceStarted) else event.thread
    return f"{text[:_NUMBER]}[{thread}] {text[_NUMBER:]}" if thread else text


def _line(event: Event) -> str:
    if isinstance(event, Dispatch):
        arguments = ", ".join(f"{word:#x}" for word in event.arguments)
        where = " in ".join(part for part in (event.caller_symbol, event.caller_file) if part)
        name = f"{event.library}:{event.symbol}" if event.library else event.symbol
        slot = f" #{event.slot}" if event.slot else ""
        return f"{event.sequence:>6}  {name}{slot} ({arguments})  from {where or 'somewhere'} [{event.caller:#x}]\n"
    if isinstance(event, Returned):
        name = f"{event.library}:{event.symbol}" if event.library else event.symbol
        call = f"call {event.call}" if event.call else "a call before the fork"
        what = "left without returning" if event.late else f"= {event.value:#x}"
        return f"{event.sequence:>6}  {name} {what}  ({call}, {event.duration} later)\n"
    if isinstance(event, SystemCall):
        if event.result is not None:
            return f"{event.sequence:>6}  system call {event.name} = {event.result:#x}\n"
        arguments = ", ".join(f"{word:#x}" for word in event.arguments)
        return f"{event.sequence:>6}  system call {event.name} ({arguments})\n"
    if isinstance(event, Signalled):
        return f"{event.sequence:>6}  signal {event.signal}, address {event.address:#x}\n"
    if isinstance(event, SymbolBound):
        return f"     -  {event.binding.text}\n"
    if isinstance(event, LibraryMapped):
        end = event.base + event.size
        match event:
            case LibraryMapped(library=name, exported=True):  # a shared object, which has no version of its own
                return f"     -  library {name} at {event.base:#x}..{end:#x}, {event.slots} exported functions\n"
        return f"     -  library {event.library} {event.version} at {event.base:#x}..{end:#x}, {event.slots} slots\n"
    return f"     -  program {event.program} ({event.machine}), process {event.process}\n"
