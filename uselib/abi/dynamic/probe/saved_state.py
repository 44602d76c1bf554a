"""The state of a library's guest after its initialisers, saved, and put back before each call.

The state has all memory that the guest may write (some 200 KB: 20 us), registers, floating-point state, clock, random bytes and heap. Memory
that a call has mapped is unmapped again.
"""

from __future__ import annotations

from collections.abc import Sequence

from uselib.emulator.api.library import Library
from uselib.emulator.kernel.process import Process

_Mapping = tuple[int, int, int]  # start, end, protection


class SavedState:
    """registers, float_state: of the processor. data: exported variable -> its bytes."""

    def __init__(
        self, library: Library, process: Process, data: Sequence[tuple[str, int, int]], kept: tuple[int, int]
    ) -> None:
        """data: name, address and size of exported variables. kept: start and end of memory that is not saved: the arguments."""
        space = library.machine.space
        self._machine, self._space, self._arguments = library.machine, space, kept[0]
        self._clock, self._random = process.clock, process.random
        self.registers: tuple[int, ...] = tuple(library.machine.cpu.general())
        self.float_state: bytes = library.machine.cpu.float_state()
        self._brk = space.brk
        self._mappings = self._present()
        writable = [v for v in space if v.prot & 2 and not v.prot & 4 and not v.shared and v.start != kept[0]]
        self._pages = [(v.start, space.read(v.start, v.size)) for v in writable]
        self._static = [(v.start, page) for v, (_, page) in zip(writable, self._pages, strict=True) if not v.grows_down]
        self._time = self._clock.elapsed
        self._seed = (self._random.seed, self._random.state, self._random.rest)
        self.data = {name: space.read(address, size) for name, address, size in data}

    def _present(self) -> list[_Mapping]:
        return [(vma.start, vma.end, vma.prot) for vma in self._space]

    def restore(self, used: int) -> bool:
        """Restores everything and zeroes the first `used` bytes of the arguments. Returns False if a call has changed mappings that were
        there before.
        """
        if self._present() != self._mappings and not self._unmap_new():
            return False
        for start, page in self._pages:
            self._space.poke(start, page)
        if used:
            self._space.poke(self._arguments, bytes(used))
        self._clock.elapsed = self._time
        self._random.seed, self._random.state, self._random.rest = self._seed
        self._machine.cpu.set_float_state(self.float_state)
        return True

    def _unmap_new(self) -> bool:
        """Unmaps what a call has mapped. Returns False if it has also changed earlier mappings."""
        space = self._space
        space.set_brk(self._brk)
        for vma in list(space):
            at = vma.start
            for start, end, _ in [
                *(v for v in self._mappings if v[1] > vma.start and v[0] < vma.end),
                (vma.end, vma.end, 0),
            ]:
                if start > at:
                    space.unmap(at, start - at)
                at = max(at, end)
        return self._present() == self._mappings

    def memory_changed(self) -> bool:
        """Whether memory other than the stack and the arguments differs from what was saved."""
        return any(self._space.read(start, len(page)) != page for start, page in self._static)
