"""The recorder in Python, for machines without a C compiler: the same bytes as native/recorder.c, which it follows function by
function, at some microseconds a call."""

from __future__ import annotations

import struct
from collections.abc import Sequence

from uselib.emulator.process.interfaces import WatchableMachine
from uselib.emulator.trace.record.backend import (
    BEFORE_FORK,
    EXTRA,
    FOREIGN,
    INNER,
    MAX_RESOLVERS,
    MAX_SITES,
    NO_LIMIT,
    RECORD_CALLS,
    RESOLVER,
    RETURN_REACH,
    THUNK,
    TRIGGER_OFF,
    TRIGGER_ON,
    UNPREPARED,
    WORDS,
    Copy,
    FunctionSpec,
    Helpers,
    Setup,
)
from uselib.emulator.trace.record.call_stacks import CallFrame, CallStack, CallStacks
from uselib.emulator.trace.record.guest_reader import GuestReader
from uselib.emulator.trace.record.x87_double import double_of_x87
from uselib.emulator.trace.store.format import HAS_PAYLOAD, LATE, PAYLOAD_ROW, RECORD, TAIL_CALL, Batch, EventKind
from uselib.linker.quick_dataclass import replace

_MORE = struct.Struct("<7QIHBB")
_ROOM = 16 * (12 + 65535)  # as recorder.c: payload that one call may need
_PAYLOAD = 4 << 20


class PythonBackend:
    """See backend.Backend."""

    def __init__(self, machine: WatchableMachine, setup: Setup, helpers: Helpers) -> None:
        self._machine, self._setup, self._helpers = machine, setup, helpers
        self._word = setup.bits // 8
        self._specs: list[FunctionSpec] = []
        self._entries: dict[int, int] = {}
        self._sites: set[int] = set()  # return addresses of calls
        self._callers = setup.callers
        self._records: list[bytes] = []
        self._payload = bytearray()
        self.sequence = 0
        self._first = 0
        self.calls = self.blocks = self.block = self.filtered = 0
        self.remaining, self.active = setup.first, setup.active
        self._sampled = 0
        self._disabled = False
        self._reader = GuestReader(setup.bits, helpers.resolve)
        self._watched = False
        self._resolvers: list[
            tuple[int, int, int]
        ] = []  # that have not returned: stack pointer, return address, function
        self._stacks = CallStacks(self._reader.find)
        self._via = self._via_function = 0
        if setup.everything:
            machine.watch_blocks(1, 1, self._on_block)

    @property
    def sequence_address(self) -> int:
        return 0

    @property
    def block_address(self) -> int:
        return 0

    # -- functions ------------------------------------------------------------------------------------------------------

    def add_functions(self, first: int, specs: Sequence[FunctionSpec]) -> None:
        assert first == len(self._specs)
        for number, spec in enumerate(specs, first):
            self._entries.setdefault(spec.address, number)
        self._specs.extend(specs)

    def watch_entries(self) -> None:
        if not self._setup.everything and not self._watched:
            self._watched = True
            self._machine.watch_blocks(1, 1, self._on_entry)

    def forget_functions(self, begin: int, end: int) -> None:
        self._entries = {at: number for at, number in self._entries.items() if not begin <= at < end}

    def _on_entry(self, address: int) -> None:
        """A block, where slots have hooks of their own."""
        if self._resolvers:
            self._maybe_resolved(address)
        function = self._entries.get(address)
        if function is not None and self._specs[function].flags & (FOREIGN | RESOLVER):
            self._enter(function, address)

    def _maybe_resolved(self, address: int) -> None:
        """A resolver may have returned: what it gives is another address of its function."""
        sp, caller, function = self._resolvers[-1]
        registers = self._machine.cpu.general()
        if caller == address and registers[7] == sp + self._word:
            self._resolvers.pop()
            self._entries.setdefault(registers[0], function)

    def set_callers(self, ranges: Sequence[tuple[int, int]]) -> None:
        self._callers = tuple(ranges)

    def watch(self, begin: int, size: int, count: int, first: int) -> list[int]:
        if self._setup.everything or not count:
            return []

        def on_slot(address: int) -> None:
            offset = address - begin
            if offset % size == 0:
                self._enter(first + offset // size)

        return [self._machine.watch_blocks(begin, begin + size * count, on_slot)]

    def other_thread(self) -> None:
        self._stacks.other_thread = True

    def forget(self) -> None:
        self._reader.forget()

    # -- records --------------------------------------------------------------------------------------------------------

    def _now(self) -> int:
        return self.blocks if self._setup.clock_blocks else self.calls

    def _reserve(self, count: int) -> None:
        if len(self._records) + count > self._setup.capacity:
            self.drain()
        self.sequence += 1
        if not self._records:
            self._first = self.sequence

    def _payload_room(self) -> None:
        if len(self._payload) + _ROOM > _PAYLOAD:
            self.drain()

    def _put(
        self,
        time: int,
        caller: int,
        sp: int,
        words: Sequence[int],
        function: int,
        depth: int,
        kind: EventKind,
        flags: int,
    ) -> None:
        self._records.append(RECORD.pack(time, caller, sp, *words, function, min(depth, 0xFFFF), kind, flags))

    def _put_more(self, words: Sequence[int]) -> None:
        if words:
            self._records.append(_MORE.pack(*words, *[0] * (EXTRA - len(words)), len(words), 0, EventKind.MORE, 0))

    def _copy_wanted(self, spec: FunctionSpec, sp: int, words: Sequence[int], at_return: bool) -> bool:
        before = len(self._payload)
        for want in spec.wants:
            if (want.kind >= Copy.RESULT_STRING) != at_return:
                continue
            cut = 0
            if want.kind is Copy.STACK:
                data = self._reader.copy(sp + self._word, want.size)
            elif want.kind is Copy.VECTOR:
                state = self._machine.cpu.float_state()
                data = b"".join(state[160 + 16 * n : 168 + 16 * n] for n in range(8))[: want.size]
            elif want.word >= len(words) or not words[want.word]:
                continue
            else:
                data = self._reader.copy(words[want.word], want.size)
                if want.kind in (Copy.STRING, Copy.RESULT_STRING):
                    end = data.find(b"\0")
                    if end == 0:
                        self._payload += PAYLOAD_ROW.pack(self.sequence, want.word, 0, 0)
                    data, cut = (data[:end], 0) if end >= 0 else (data, 1)
            if data:
                self._payload += PAYLOAD_ROW.pack(self.sequence, want.word, cut, len(data)) + data
        return len(self._payload) > before

    def _returned(self, frame: CallFrame, sp: int, late: bool) -> None:
        if not frame.sequence or self._disabled:
            return
        spec = self._specs[frame.function]
        if spec.wants:
            self._payload_room()
        self._reserve(1)
        values = [0, 0, 0] if late else self._result_values()
        time = self._now()
        flags = LATE if late else 0
        if spec.wants and not late and self._copy_wanted(spec, sp, values[:1], True):
            flags |= HAS_PAYLOAD
        kind = EventKind.INNER_RETURN if spec.flags & INNER else EventKind.RETURN
        call = 0 if frame.sequence == BEFORE_FORK else frame.sequence
        self._put(time, call, sp, [*values, time - frame.time], frame.function, frame.depth, kind, flags)

    def _result_values(self) -> list[int]:
        """What the registers for results hold: two of the general ones, and a double."""
        cpu = self._machine.cpu
        registers, state = cpu.general(), cpu.float_state()
        if self._word == 8:
            return [registers[0], registers[3], int.from_bytes(state[160:168], "little")]
        return [registers[0], registers[3], double_of_x87(state[32:42])]

    # -- calls ----------------------------------------------------------------------------------------------------------

    def _enter(self, function: int, address: int = 0) -> None:
        spec = self._specs[function]
        registers = self._machine.cpu.general()
        sp = registers[7]
        if spec.flags & (FOREIGN | RESOLVER):
            (back,) = self._reader.words(sp, 1)
            if spec.flags & RESOLVER and address == spec.address:
                while self._resolvers and self._resolvers[-1][0] <= sp:
                    self._resolvers.pop()
                if len(self._resolvers) < MAX_RESOLVERS:
                    self._resolvers.append((sp, back, function))
                return
            if spec.own[0] <= back < spec.own[1] or self._jumped_within(function, sp, back):
                return
        if self._entered_before(spec, sp):
            return
        self._via, self._via_function = 0 if spec.flags & INNER else sp, function
        caller, *words = self._reader.words(sp, 1 if self._word == 8 else 1 + WORDS)
        self.calls += 1
        stack = self._stacks.at(sp)
        tail = self._leave_frames(stack, sp, caller)
        if not stack.frames:
            stack.base = stack.outer
        frame = CallFrame(sp, caller, 0, self._now(), function, stack.depth)
        if self._passes(spec, caller, frame.depth):
            self._record_call(frame, registers, words, tail)
        else:
            self.filtered += 1
        stack.push(frame)
        if self._setup.returns and caller and len(self._sites) < MAX_SITES:
            self._sites.add(caller)

    def _jumped_within(self, function: int, sp: int, caller: int) -> bool:
        """A function of the same object that was called has jumped to it."""
        frames = self._stacks.at(sp).frames
        if not frames or (frames[-1].sp, frames[-1].caller) != (sp, caller) or frames[-1].function == function:
            return False
        if self._specs[frames[-1].function].own[0] != self._specs[function].own[0]:
            return False
        return self._setup.returns or self._fixed_call(caller)

    def _fixed_call(self, caller: int) -> bool:
        """The call before a return address always leads to the same function: call rel32, and call through the GOT."""
        code = self._reader.copy(caller - 6, 6)
        through_got = code[:2] == b"\xff\x15" or (self._word == 4 and code[:2] == b"\xff\x93")
        return len(code) == 6 and (code[1] == 0xE8 or through_got)

    def _entered_before(self, spec: FunctionSpec, sp: int) -> bool:
        """A slot has led to this inner function: the call is recorded already."""
        if not spec.flags & INNER or self._via != sp:
            return False
        if not spec.flags & THUNK:
            self._via = 0
            return True
        return spec.slot == self._via_function

    def _leave_frames(self, stack: CallStack, sp: int, caller: int) -> bool:
        """Takes off the calls that a new one at `sp` shows to be over; whether it is a tail call of the last one that is left."""
        returns = self._setup.returns
        while stack.frames:
            top = stack.frames[-1]
            if top.sp > sp:
                return False
            if returns and top.sp == sp and top.caller == caller:
                return True
            stack.frames.pop()
            if returns:
                self._returned(top, sp, True)
        return False

    def _record_call(self, frame: CallFrame, registers: list[int], words: list[int], tail: bool) -> None:
        """words: on the stack behind the return address, on i386."""
        spec, sp = self._prepared(frame.function), frame.sp
        if self.remaining != NO_LIMIT:
            self.remaining -= 1
        if spec.wants:
            self._payload_room()
        extra = max(spec.words - WORDS, 0)
        self._reserve(2 if extra else 1)
        if self._word == 8:
            words = [registers[5], registers[4], registers[3], registers[2]]  # rdi rsi rdx rcx
            more = registers[8 : 8 + min(extra, 2)]
            if extra > 2:
                more += self._reader.words(sp + 8, extra - 2)
        else:
            more = self._reader.words(sp + 4 + 4 * WORDS, extra) if extra else []
        flags = TAIL_CALL if tail else 0
        if spec.wants and self._copy_wanted(spec, sp, [*words, *more], False):
            flags |= HAS_PAYLOAD
        kind = EventKind.INNER_CALL if spec.flags & INNER else EventKind.CALL
        self._put(frame.time, frame.caller, sp, words, frame.function, frame.depth, kind, flags)
        self._put_more(more)
        frame.sequence = self.sequence

    def _prepared(self, function: int) -> FunctionSpec:
        """The function with its words and wants, which are asked for once."""
        spec = self._specs[function]
        if spec.flags & UNPREPARED:
            count, wants = self._helpers.prepare(function)
            spec = replace(spec, flags=spec.flags & ~UNPREPARED, words=count, wants=wants)
            self._specs[function] = spec
        return spec

    def _passes(self, spec: FunctionSpec, caller: int, depth: int) -> bool:
        if spec.flags & (TRIGGER_ON | TRIGGER_OFF):
            self.active = bool(spec.flags & TRIGGER_ON)
        setup = self._setup
        passes = spec.flags & RECORD_CALLS and self.active and depth < setup.max_depth and self.remaining
        if not passes or self._disabled:
            return False
        if self._callers is not None and not any(low <= caller < high for low, high in self._callers):
            return False
        if setup.sample > 1:
            self._sampled += 1
            return (self._sampled - 1) % setup.sample == 0
        return True

    def _on_block(self, address: int) -> None:
        self.blocks += 1
        self.block = address
        if self._resolvers:
            self._maybe_resolved(address)
        if self._setup.returns and address in self._sites:
            self._maybe_return(address)
        function = self._entries.get(address)
        if function is None:
            self._via = 0
        else:
            self._enter(function, address)

    def _maybe_return(self, address: int) -> None:
        sp = self._machine.cpu.general()[7]
        stack = self._stacks.at(sp)
        frames = stack.frames
        first = len(frames)
        while first and frames[first - 1].sp < sp:
            first -= 1
        if first == len(frames):
            return
        frame = frames[first].sp
        near = sp - frame <= RETURN_REACH
        while len(frames) > first:
            top = frames.pop()
            self._returned(top, sp, not near or top.sp != frame or top.caller != address)

    # -- what the recorder calls ------------------------------------------------------------------------------------------

    def event(self, kind: EventKind, function: int, pc: int, sp: int, words: Sequence[int]) -> None:
        stack = self._stacks.at(sp)
        for frame in stack.popped_below(sp):
            if self._setup.returns:
                self._returned(frame, sp, True)
        if self._disabled:
            return
        self._reserve(2 if len(words) > WORDS else 1)
        self._put(self._now(), pc, sp, [*words, 0, 0, 0, 0][:WORDS], function, stack.depth, kind, 0)
        self._put_more(words[WORDS:])

    def drain(self) -> None:
        if not self._records:
            return
        batch = Batch(self._first, b"".join(self._records), bytes(self._payload))
        self._records.clear()
        self._payload.clear()
        self._helpers.sink(batch)

    def forked(self) -> None:
        self.sequence = self.filtered = 0
        self._records.clear()
        self._payload.clear()
        self._stacks.forked()

    def stop(self) -> None:
        self._disabled = True

    def close(self) -> None:
        """Nothing to give back."""
