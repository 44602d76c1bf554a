"""Process: the object that system calls work on. It consists of small parts, each with its own module, and has no behaviour of its own.

A guest fork is a host fork, so the child inherits every part; descriptors are the host's, which the host's kernel shares between the two.
"""

from __future__ import annotations

import sys
from collections.abc import Callable

from uselib.emulator.kernel.clock import Clock, RandomBytes
from uselib.emulator.kernel.eras import MODERN, Era
from uselib.emulator.kernel.identity import ProcessIdentity
from uselib.emulator.kernel.limits import Limits
from uselib.emulator.kernel.pids import PidTable
from uselib.emulator.kernel.settings import ProcessSettings
from uselib.emulator.kernel.shared.run import RunShared
from uselib.emulator.kernel.signals.state import SignalState
from uselib.emulator.kernel.structs import KernelStructs
from uselib.emulator.kernel.terminals import Terminals
from uselib.emulator.kernel.threads.group import ThreadGroup
from uselib.emulator.kernel.threads.thread import Thread
from uselib.emulator.kernel.vfs.descriptors import FileTable
from uselib.emulator.kernel.vfs.filesystem import FileSystem
from uselib.emulator.process.interfaces import CpuState
from uselib.linker.image import Machine
from uselib.linker.quick_dataclass import dataclass, field
from uselib.loader.memory.address_space import AddressSpace


@dataclass
class Talk:
    """Messages to the user; each text is said once."""

    said: set[str] = field(default_factory=set)

    def once(self, message: str) -> None:
        if message not in self.said:
            self.said.add(message)
            print(f"uselib: {message}", file=sys.stderr, flush=True)


def _nothing() -> None:
    """The default of fork events: does nothing."""


@dataclass(frozen=True)
class ForkEvents:
    """What fork calls. before: in the parent; after: in the child."""

    before: Callable[[], None] = _nothing
    after: Callable[[], None] = _nothing


@dataclass(frozen=True)
class LoadedProgram:
    """A program that exec has loaded. machine: its architecture; structs: the layouts of its structures; space: its memory; cpu: its
    registers. within: of the view of a 64-bit program that its calls of i386 have, the program itself (legacy_calls.py).
    """

    machine: Machine
    structs: KernelStructs
    space: AddressSpace
    cpu: CpuState
    within: LoadedProgram | None = None


@dataclass
class Process:
    """One guest process. threads: all of its threads; thread: the one that runs. exec replaces `program`; `machine`, `memory`,
    `cpu` and `structs` are its parts."""

    program: LoadedProgram
    files: FileTable
    fs: FileSystem
    identity: ProcessIdentity
    thread: Thread
    signals: SignalState
    clock: Clock = field(default_factory=Clock)
    random: RandomBytes = field(default_factory=RandomBytes)
    limits: Limits = field(default_factory=Limits)
    talk: Talk = field(default_factory=Talk)
    threads: ThreadGroup = field(default_factory=ThreadGroup)
    pids: PidTable = field(default_factory=PidTable)
    settings: ProcessSettings = field(default_factory=ProcessSettings)
    terminals: Terminals = field(default_factory=Terminals)
    shared: RunShared = field(default_factory=RunShared)
    era: Era = MODERN  # which kernel's interface the program expects
    libraries: int = 0  # mapped by uselib(2)
    substitutes: str = ""  # a guest directory whose libraries exec maps in place of those of the same name
    aslr: int | None = None  # exec chooses places in memory by chance, from this number; None: they are fixed
    borrowed: int = -1  # a pipe that tells the process whose memory this one has (vfork, CLONE_VM) of its execve or end
    borrowers: list[int] = field(default_factory=list)  # likewise, of those that have this one's memory
    forked: bool = False  # this is a child: the host process ends as the guest does
    fork_events: ForkEvents = ForkEvents()

    @property
    def machine(self) -> Machine:
        return self.program.machine

    @property
    def memory(self) -> AddressSpace:
        return self.program.space

    @property
    def cpu(self) -> CpuState:
        return self.program.cpu

    @property
    def structs(self) -> KernelStructs:
        return self.program.structs
