"""The calls of a guest that have not returned, for the recorder in Python: a list of frames for each of its stacks.

As native/recorder.c, function by function: threads, contexts and alternate signal stacks have stacks of their own, which are told apart by the
mapping that the stack pointer is in. A stack that is entered from another counts its depth on from there (`outer`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from uselib.emulator.trace.record.backend import BEFORE_FORK, MAX_FRAMES, STACKS, Mapping


@dataclass(slots=True)
class CallFrame:
    """One call. sp, caller: stack pointer and return address at the function's first instruction; sequence: of its event, 0 if it was
    not recorded."""

    sp: int
    caller: int
    sequence: int
    time: int
    function: int
    depth: int


@dataclass(slots=True)
class CallStack:
    """[low, high): its memory. base: depth of its first frame; outer: depth of the stack that it was entered from; used: when, in switches."""

    low: int = 0
    high: int = 0
    frames: list[CallFrame] = field(default_factory=list)
    base: int = 0
    outer: int = 0
    used: int = 0

    @property
    def depth(self) -> int:
        """Calls that have not returned."""
        return self.base + len(self.frames)

    def push(self, frame: CallFrame) -> None:
        if len(self.frames) < MAX_FRAMES:
            self.frames.append(frame)

    def popped_below(self, sp: int) -> Iterator[CallFrame]:
        """Takes off the frames that the stack pointer has left."""
        while self.frames and self.frames[-1].sp < sp:
            yield self.frames.pop()


class CallStacks:
    """STACKS of them; a new one takes the place of the one that was used longest ago. find: the mapping around an address."""

    def __init__(self, find: Callable[[int], Mapping | None]) -> None:
        self._find = find
        self._stacks = [CallStack() for _ in range(STACKS)]
        self._current = self._home = self._switches = 0
        self.other_thread = False  # since the last event: a stack without calls has depth 0

    def at(self, sp: int) -> CallStack:
        """The stack that `sp` is in, which is the current one from now on."""
        left = self._stacks[self._current]
        if left.low <= sp < left.high:
            return left
        depth = 0 if self.other_thread else left.depth
        self.other_thread = False
        stack = self._choose(sp)
        at = next(index for index, other in enumerate(self._stacks) if other is stack)
        if not self._switches:
            self._home = at
        self._switches += 1
        stack.used = self._switches
        if stack is not left or not left.frames:
            stack.outer = 0 if at == self._home else depth
        if not stack.frames:
            stack.base = stack.outer
        self._current = at
        return stack

    def _choose(self, sp: int) -> CallStack:
        for stack in self._stacks:
            if stack.low <= sp < stack.high:
                return stack
        mapping = self._find(sp)
        page = sp & ~4095
        low, high = (mapping.start, mapping.end) if mapping is not None else (page, page + 4096)
        for stack in self._stacks:
            if stack.low < stack.high and low < stack.high and stack.low < high:
                stack.low, stack.high = min(stack.low, low), max(stack.high, high)
                return stack
        oldest = min(self._stacks, key=lambda stack: stack.used)
        oldest.low, oldest.high = low, high
        oldest.frames.clear()
        return oldest

    def forked(self) -> None:
        """Recorded calls were the parent's."""
        for stack in self._stacks:
            for frame in stack.frames:
                if frame.sequence:
                    frame.sequence = BEFORE_FORK
