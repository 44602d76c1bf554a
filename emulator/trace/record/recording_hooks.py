"""What takes part in a recording, besides the recorder: it is called for programs and mappings, and may set up the backend.

The order of the calls, for each program:

    program_started     the backend is made, and knows of no function yet
    object_mapped       for each shared object or dynamic program, when its code is mapped
    mapped              for each mapping of a file that is there, and later for each new mapping
    wrap_kernel         before the program runs; see RunHooks
    thread              another thread runs
    before_written      events are about to be handed to the sink
    forked              in a child
    before_end          the program is over, and the last events are written
    program_ended       the backend is closed; also where an execve replaces the program
"""

from __future__ import annotations

from uselib.emulator.process.interfaces import Kernel, WatchableMachine
from uselib.emulator.trace.record.backend import Backend
from uselib.emulator.trace.record.known_files import KnownFile
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

    def object_mapped(self, known: KnownFile) -> None:
        """A file whose code is mapped, with its place."""

    def thread(self, number: int) -> None:
        """See RunHooks.on_thread."""

    def before_written(self) -> None:
        """What has been recorded goes to the sink after this."""

    def forked(self) -> None:
        """This is the child: what has been recorded so far is the parent's."""

    def before_end(self) -> None:
        """Likewise, for the last time. The memory is still there."""

    def program_ended(self, process: int) -> None:
        """process: the number in the trace of the process that ran the program."""
