"""ThreadContexts: the registers of guest threads that do not run now, and their time slices, for the scheduler of the kernel.

All threads of a process run in one engine, one at a time. A switch is a copy of the CPU's state each way (0.2 us and the way through
ctypes); translations and page lookups stay, since the address space is the same. On i386 the GDT's entries for thread-local storage
are the thread's as well (arch/x86/kernel/process_32.c, load_TLS).
"""

from __future__ import annotations

from uselib.emulator.machine import registers as r
from uselib.emulator.machine.cpu import TLS_ENTRIES, Cpu
from uselib.emulator.machine.engine import Engine, RegisterSet
from uselib.emulator.machine.slices import TimeSlices
from uselib.emulator.machine.turns import Turns


class ThreadContexts:
    """Contexts are places in `turns`. The CPU must be at rest."""

    def __init__(self, engine: Engine, cpu: Cpu, descriptors: int) -> None:
        """descriptors: see Turns."""
        self._engine, self._cpu = engine, cpu
        self._bits = cpu.bits
        self.turns = Turns(descriptors)
        self._slices = TimeSlices(engine)
        self.begin_slice = self._slices.begin
        if self._bits == 64:
            self._result = (
                RegisterSet(self._engine, (r.RIP, r.EFLAGS)),
                RegisterSet(self._engine, (r.RAX, r.RCX, r.R11)),
            )

    @property
    def slice_over(self) -> bool:
        """Whether the present slice is used up."""
        return self._slices.over

    def new(self, tid: int) -> int:
        """Raises OSError(EAGAIN)."""
        room = self._engine.new_context()
        try:
            return self.turns.enter(room, tid)
        except OSError:
            self._engine.free_context(room)
            raise

    def save(self, context: int) -> None:
        """The thread that has run leaves the CPU."""
        self._engine.save_context(self.turns.context(context))
        if self._bits == 32:
            self.turns.set_descriptors(context, self._cpu.descriptors(TLS_ENTRIES))

    def load(self, context: int) -> None:
        """A thread goes on."""
        if self._bits == 32:
            self._cpu.put_descriptors(TLS_ENTRIES, self.turns.descriptors(context))
        self._engine.restore_context(self.turns.context(context))
        self.turns.current = context

    def drop(self, context: int) -> None:
        """Its thread has ended."""
        self._engine.free_context(self.turns.context(context))
        self.turns.leave(context)

    @property
    def current(self) -> int:
        """Whose registers are on the CPU: native code may have taken turns."""
        return self.turns.current

    def settle(self) -> None:
        """Native code has taken turns: what is known of the GDT is what is there now."""
        if self._bits == 32:
            self._cpu.note_descriptors(TLS_ENTRIES, self.turns.descriptors(self.turns.current))

    def finish_call(self, result: int) -> None:
        """The thread on the CPU stands behind a system-call instruction: it gets the call's result."""
        if self._bits == 32:
            self._engine.write(r.EAX, result & 0xFFFF_FFFF)
            return
        where, registers = self._result
        pc, flags = where.load()
        registers.store((result & 0xFFFF_FFFF_FFFF_FFFF, pc, flags))
