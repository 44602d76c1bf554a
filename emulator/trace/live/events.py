"""What a live trace consists of. Frozen; the renderers take these and nothing else. thread: number of the guest's thread, 0 as long as the
program has only one."""

from __future__ import annotations

from dataclasses import dataclass

from uselib.emulator.trace.store.bindings import TracedBinding

VERSION = 1  # of the text forms


@dataclass(frozen=True, slots=True)
class TraceStarted:
    """A program starts (also after an execve, and a child after a fork)."""

    process: int  # guest pid
    program: str
    machine: str  # i386, x86_64


@dataclass(frozen=True, slots=True)
class LibraryMapped:
    """A library has been mapped. slots: those of a target library; exported: of a shared object: `slots` counts its exported functions."""

    process: int
    library: str
    version: str
    base: int
    size: int
    slots: int
    exported: bool = False


@dataclass(frozen=True, slots=True)
class Dispatch:
    """A call through a slot, or with slot 0 of another function.

    sequence: from 1, per process. caller: the return address on the stack; caller_symbol: `main+0x1c`, empty if unknown;
    caller_file: base name of the file it is in. arguments: the first four argument words, whatever they mean.
    depth: calls that have not returned.
    """

    process: int
    sequence: int
    library: str
    slot: int
    symbol: str
    caller: int
    caller_symbol: str
    caller_file: str
    arguments: tuple[int, ...]
    depth: int = 0
    thread: int = 0


@dataclass(frozen=True, slots=True)
class Returned:
    """The call with number `call` (0: made before a fork) has returned `value`, after `duration` by the trace's clock. late:
    its frame was left by a longjmp, and there is no value."""

    process: int
    sequence: int
    call: int
    library: str
    symbol: str
    value: int
    duration: int
    late: bool
    thread: int = 0


@dataclass(frozen=True, slots=True)
class SystemCall:
    """A system call begins; with `result` it has ended (unsigned word)."""

    process: int
    sequence: int
    name: str
    arguments: tuple[int, ...]
    result: int | None = None
    thread: int = 0


@dataclass(frozen=True, slots=True)
class Signalled:
    """A signal has reached the process. address: si_addr of a fault."""

    process: int
    sequence: int
    signal: str
    address: int
    thread: int = 0


@dataclass(frozen=True, slots=True)
class SymbolBound:
    """A name has been bound (store/bindings.py)."""

    process: int
    binding: TracedBinding
    thread: int = 0


Event = SymbolBound | TraceStarted | LibraryMapped | Dispatch | Returned | SystemCall | Signalled
