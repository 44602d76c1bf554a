"""The trace for people: one line per event.

1  libc_s:printf #812 (0x402010, 0x1, 0x7ffffffde0f8, 0x0)  from main+0x1c in hello [0x401142]
"""

from __future__ import annotations

from emulator.trace.events import Dispatch, Event, LibraryMapped


def render(event: Event) -> str:
    """One line with its newline."""
    if isinstance(event, Dispatch):
        arguments = ", ".join(f"{word:#x}" for word in event.arguments)
        where = " in ".join(part for part in (event.caller_symbol, event.caller_file) if part)
        return (
            f"{event.sequence:>6}  {event.library}:{event.symbol} #{event.slot} ({arguments})"
            f"  from {where or 'somewhere'} [{event.caller:#x}]\n"
        )
    if isinstance(event, LibraryMapped):
        end = event.base + event.size
        return f"     -  library {event.library} {event.version} at {event.base:#x}..{end:#x}, {event.slots} slots\n"
    return f"     -  program {event.program} ({event.machine}), process {event.process}\n"
