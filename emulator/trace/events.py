"""What a trace consists of. Frozen; the renderers take these and nothing else."""

from __future__ import annotations

from dataclasses import dataclass

VERSION = 1  # of the text forms


@dataclass(frozen=True, slots=True)
class TraceStarted:
    """A program starts (also after an execve)."""

    process: int  # guest pid
    program: str
    machine: str  # i386, x86_64


@dataclass(frozen=True, slots=True)
class LibraryMapped:
    """A target library has been mapped."""

    process: int
    library: str
    version: str
    base: int
    size: int
    slots: int


@dataclass(frozen=True, slots=True)
class Dispatch:
    """A call through a slot.

    sequence: from 1, per process. caller: the return address on the stack; caller_symbol: `main+0x1c`, empty if unknown;
    caller_file: base name of the file it is in. arguments: the first four argument words, whatever they mean.
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


Event = TraceStarted | LibraryMapped | Dispatch
