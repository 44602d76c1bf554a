"""`int 0x80` in a 64-bit program: a system call of i386, whose arguments are the lower halves of registers.

Linux answers it with i386's table, structures and sizes, in the process as it is (arch/x86/entry/syscall_32.c, do_int80_emulation; the
functions with compat_ in their names). Here the handlers ask the process for its architecture and structures; so they see those of i386 while
such a call is being carried out. Memory is the program's own: what is given as a pointer must lie below 4 GiB, and mmap finds a place there.

Not as natively: handlers that are set by such a call are entered with the frame of x86-64.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from uselib.emulator.kernel import table
from uselib.emulator.kernel.dispatch import Dispatcher, Observer
from uselib.emulator.kernel.process import LoadedProgram, Process
from uselib.emulator.kernel.structs import structs_of
from uselib.linker.image import Machine

_I386 = Machine.I386


class LegacyCalls:
    """The calls of one process. failed(number, result, rows): called for each call that has failed."""

    def __init__(
        self, process: Process, observer: Observer | None, failed: Callable[[int, int, table.CallTable], None]
    ) -> None:
        self._process = process
        self._failed = failed
        self._rows = table.for_machine(_I386)
        with self._as_i386():
            self._dispatcher = Dispatcher(process, observer)

    @contextmanager
    def _as_i386(self) -> Iterator[None]:
        process, before = self._process, self._process.program
        process.program = during = LoadedProgram(_I386, structs_of(_I386), before.space, before.cpu, within=before)
        try:
            yield
        finally:
            if process.program is during:  # not after an execve
                process.program = before

    def call(self, number: int, arguments: Sequence[int]) -> int:
        """As GuestKernel.system_call."""
        with self._as_i386():
            if self._process.settings.seccomp is not None:
                from uselib.emulator.kernel.calls.seccomp import refused as refuse

                refused = refuse(self._process, number, arguments)
                if refused is not None:
                    return refused
            result = self._dispatcher.call(number, arguments)
        if result < 0:
            self._failed(number, result, self._rows)
        return result
