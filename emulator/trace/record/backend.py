"""What records events: the interface that the native recorder and the one in Python share (select_backend.py chooses one).

A backend turns calls into records (format.RECORD) and the bytes that pointers led to into payload rows, keeps the stacks of
calls that have not returned, and hands both over in bulk. Both backends make the same bytes.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Sequence
from typing import Protocol

from uselib.emulator.trace.store.format import Batch, EventKind
from uselib.linker.quick_dataclass import dataclass

WORDS = 4  # argument words in a record
EXTRA = 7  # words that a MORE record adds
RETURN_REACH = 1024  # a return leaves the stack pointer at most this far above the call's (`ret n` pops arguments)
STACKS = 16  # stacks of the guest that are told apart
MAX_FRAMES = 1 << 20  # calls of one stack that have not returned; deeper ones are not noted
MAX_SITES = 1 << 16  # places in the program that calls return to
NO_LIMIT = (1 << 64) - 1
BEFORE_FORK = NO_LIMIT  # a frame's sequence number: the call was the parent's

RECORD_CALLS, TRIGGER_ON, TRIGGER_OFF, INNER, THUNK, UNPREPARED = 1, 2, 4, 8, 16, 32  # FunctionSpec.flags
FOREIGN, RESOLVER = 64, 128  # called from another object; the address is that of an IFUNC's resolver
MAX_RESOLVED = 4096  # functions that resolvers have chosen
MAX_RESOLVERS = 16  # that have not returned


class Copy(enum.IntEnum):
    """What a Want copies; the numbers of prototypes.capture.CaptureKind."""

    STRING = 1  # up to the NUL, which is left out
    BYTES = 2
    STACK = 3  # the arguments on the stack, from the first on
    VECTOR = 4  # the low 8 bytes of xmm0 to xmm7
    RESULT_STRING = 5  # at return: what the result points to
    RESULT_BYTES = 6


@dataclass(frozen=True, slots=True)
class Want:
    """Copy what argument word `word` (from 0) points to, or with STACK and VECTOR what no word holds: then `word` is only the
    number of the payload row. size: bytes at most."""

    word: int
    size: int
    kind: Copy = Copy.STRING


@dataclass(frozen=True, slots=True)
class FunctionSpec:
    """How calls of one function are recorded. words: argument words, 4 to 11; slot: THUNK: the function at whose slot the
    call begins, or -1. UNPREPARED: words and wants are asked for at the first call that is recorded. own: FOREIGN: where its object lies."""

    address: int
    flags: int = RECORD_CALLS
    words: int = WORDS
    wants: tuple[Want, ...] = ()
    slot: int = -1
    own: tuple[int, int] = (0, 0)


@dataclass(frozen=True, slots=True)
class Mapping:
    """Guest addresses [start, end) can be read at host address + delta."""

    start: int
    end: int
    delta: int


@dataclass(frozen=True)
class Setup:
    """everything: look at every basic block, not only at the watched ranges: for returns, inner functions, the clock
    `blocks`. callers: ascending disjoint ranges of return addresses, None for all. capacity: records held before `drain`."""

    bits: int
    everything: bool = False
    clock_blocks: bool = False
    returns: bool = False
    callers: tuple[tuple[int, int], ...] | None = None
    max_depth: int = (1 << 32) - 1
    first: int = NO_LIMIT
    sample: int = 1
    active: bool = True
    capacity: int = 1 << 14


@dataclass(frozen=True, slots=True)
class Helpers:
    """What a backend asks for, seldom. resolve: the mapping around an address, None if the guest cannot read there; prepare: the
    argument words and wants of a function; sink: takes what was recorded."""

    resolve: Callable[[int], Mapping | None]
    prepare: Callable[[int], tuple[int, tuple[Want, ...]]]
    sink: Callable[[Batch], None]


class Backend(Protocol):
    """One per program and process. sequence: of the latest event; remaining: calls that may still be recorded (--first);
    active: between triggers; filtered: calls that no record was made of."""

    @property
    def sequence(self) -> int: ...
    @property
    def sequence_address(self) -> int:
        """Where a native callback finds `sequence`, 64 bits; 0: nowhere."""

    @property
    def block(self) -> int:
        """With Setup.everything: where the latest basic block begins."""

    @property
    def block_address(self) -> int:
        """Likewise."""

    @property
    def remaining(self) -> int: ...
    @property
    def active(self) -> bool: ...
    @property
    def filtered(self) -> int: ...

    def add_functions(self, first: int, specs: Sequence[FunctionSpec]) -> None:
        """Functions `first`, `first` + 1, ... `first` is the number of functions added before."""

    def set_callers(self, ranges: Sequence[tuple[int, int]]) -> None:
        """See Setup.callers."""

    def watch(self, begin: int, size: int, count: int, first: int) -> list[int]:
        """Without `everything`: watches `count` functions of `size` bytes from address `begin`. Returns hooks."""

    def watch_entries(self) -> None:
        """Without `everything`: watches functions with FOREIGN or RESOLVER, those that are added later too."""

    def forget_functions(self, begin: int, end: int) -> None:
        """The object that was there is gone: functions at these addresses are entered no more."""

    def event(self, kind: EventKind, function: int, pc: int, sp: int, words: Sequence[int]) -> None:
        """An event that is not a call. words: up to 11."""

    def other_thread(self) -> None:
        """Another thread of the program runs: the depth of its calls has nothing to do with that of the calls so far."""

    def forget(self) -> None:
        """Mappings of guest memory have changed."""

    def forked(self) -> None:
        """This is a child now: its events count from 1."""

    def drain(self) -> None:
        """Hands over what has been recorded. Also done whenever the buffers are full."""

    def stop(self) -> None:
        """Records nothing more (the file cannot be written)."""

    def close(self) -> None:
        """The machine is gone."""
