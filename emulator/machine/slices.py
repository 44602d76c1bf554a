"""TimeSlices: a run of the CPU ends after so many blocks of translated code, so that another thread of the guest can run.

The blocks are counted by native code where there is a core (native/core/slices.c, about 2 ns a block), else by a hook in Python, which
is slow. Nothing is counted until the first slice begins: a program with one thread pays nothing.
"""

from __future__ import annotations

import ctypes

from uselib.emulator.machine.engine import BLOCK_CALLBACK, HOOK_BLOCK, Engine


class TimeSlices:
    """Of one engine. The count goes on over stops of other kinds; `over` is asked when the CPU is at rest."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        if engine.core is not None:
            address = engine.core.uselib_core_slices(engine.handle, engine.stop_function)
            if not address:
                raise MemoryError
            self._left = ctypes.c_int64.from_address(address)
        else:
            self._left = ctypes.c_int64()
            engine.hook(HOOK_BLOCK, BLOCK_CALLBACK(self._count))
        engine.flush_translations()

    def _count(self, _uc: int, _address: int, _size: int, _data: int) -> None:
        self._left.value -= 1
        if self._left.value <= 0:
            self._engine.stop()

    def begin(self, blocks: int) -> None:
        """A new slice."""
        self._left.value = blocks

    @property
    def over(self) -> bool:
        return self._left.value <= 0
