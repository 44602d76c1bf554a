"""What takes part in a run: the tracer, a debugger, a comparison. The runner calls them; they call no method of the runner.

A run calls every hook of every participant, in the order in which they were given. The order of the calls:

    before_run          the parts of the process are there, and no program is loaded
    on_exec             a program is loaded and has not run yet; again after each execve
    wrap_kernel         what answers the program's system calls and CPU exceptions is made; after each on_exec
    on_mapped           the program has a new mapping
    on_thread           another thread runs
    on_signal           a signal reaches the process
    before_fork         in the parent                    (os.fork of the host follows)
    on_fork             in the child, whose participants are copies of the parent's
    last_calls          the report of a fatal signal is written
    finished            the process is over; in a forked child too

A participant that must see each system call or CPU exception returns a KernelTap (kernel_tap.py) from `wrap_kernel`; a run without
such a participant pays nothing. A new event is one method here, with a default that does nothing, and one call in run.py.
"""

from __future__ import annotations

from uselib.linker.quick_typing import TYPE_CHECKING

if TYPE_CHECKING:
    from uselib.emulator.kernel.process import Process
    from uselib.emulator.process.interfaces import Kernel, ProcessEnded, WatchableMachine
    from uselib.loader.memory.address_space import AddressSpace
    from uselib.loader.memory.vma import Vma


class RunHooks:
    """Subclasses override what they need. must_finish: it has something to finish, so a Ctrl-C, hang-up or termination of the host's ends the
    guest, and not the host process at once."""

    must_finish = False

    def before_run(self, process: Process, environment: dict[str, str]) -> None:
        """The process may be changed, and the environment that its program will get. Raises ToolError, OSError."""

    def on_exec(self, machine: WatchableMachine, space: AddressSpace, process: int, program: str) -> None:
        """process: guest pid; program: guest path."""

    def wrap_kernel(self, kernel: Kernel) -> Kernel:
        """What the machine calls in place of `kernel`; the next participant is given this one."""
        return kernel

    def on_mapped(self, vma: Vma) -> None:
        """May be in the middle of a system call. Mappings that exec made are not told."""

    def on_signal(self, number: int, address: int) -> None:
        """The guest's handler is entered, or the signal ends the process. address: si_addr."""

    def on_thread(self, number: int) -> None:
        """Another thread of the program is on the CPU from now on."""

    def before_fork(self) -> None:
        """In the parent."""

    def on_fork(self, process: int) -> None:
        """This is now a child process with the guest pid `process`."""

    def last_calls(self) -> list[str]:
        """The latest events, a line each, for a fault report."""
        return []

    def finished(self, end: ProcessEnded) -> None:
        """The machine is still there."""
