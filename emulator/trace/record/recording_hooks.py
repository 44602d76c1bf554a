"""What takes part in a recording, besides the recorder: it is called for programs and mappings, and may set up the backend.

The order of the calls, for each program:

    program_started     the backend is made, and knows of no function yet
    mapped              for each mapping of a file that is there, and later for each new mapping
    wrap_kernel         before the program runs; see RunHooks
    forked              in a child
    program_ended       the backend is closed; also where an execve replaces the program
"""

from __future__ import annotations

from uselib.emulator.process.interfaces import Kernel, WatchableMachine
from uselib.emulator.trace.record.backend import Backend
from uselib.loader.memory.address_space import AddressSpace
from uselib.loader.memory.vma import Vma


class RecordingHooks:
    """Subclasses override what they need."""

    def program_started(self, machine: WatchableMachine, space: AddressSpace, backend: Backend) -> None:
        """The program has not run yet."""

    def wrap_kernel(self, kernel: Kernel) -> Kernel:
        """What the machine calls in place of `kernel`: to see system calls, a KernelTap."""
        return kernel

    def mapped(self, vma: Vma) -> None:
        """A mapping is there."""

    def forked(self) -> None:
        """This is the child: what has been recorded so far is the parent's."""

    def program_ended(self, process: int) -> None:
        """process: the number in the trace of the process that ran the program."""
