"""Process: what system calls work on. A composition of small parts, each with its own module; no behaviour here.

A guest fork is a host fork, so every part is simply inherited; descriptors are host descriptors and are shared by the
host's kernel as they should be.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass, field

from uselib.emulator.kernel.clock import Clock, RandomBytes
from uselib.emulator.kernel.limits import Limits
from uselib.emulator.kernel.pids import PidTable
from uselib.emulator.kernel.structs import KernelStructs
from uselib.emulator.kernel.vfs.descriptors import FileTable
from uselib.emulator.kernel.vfs.filesystem import FileSystem
from uselib.emulator.kernel.waiting import Signals
from uselib.emulator.process.interfaces import CpuState
from uselib.linker.image import Machine
from uselib.loader.memory.address_space import AddressSpace


@dataclass
class ProcessIdentity:
    """Who the guest is. Fixed numbers, so that runs are the same for every user; files of the host's user appear as
    the guest's (see status.py)."""

    pid: int = 1000
    parent: int = 1
    group: int = 1000  # process group
    session: int = 1000
    uid: int = 1000
    gid: int = 1000
    nice: int = 0
    name: str = ""  # comm, at most 15 bytes
    executable: str = ""  # guest path of the program: /proc/self/exe
    command_line: tuple[bytes, ...] = ()


@dataclass
class Talk:
    """Messages to the user; each text is said once."""

    said: set[str] = field(default_factory=set)

    def once(self, message: str) -> None:
        if message not in self.said:
            self.said.add(message)
            print(f"uselib: {message}", file=sys.stderr, flush=True)


@dataclass
class Process:
    """One guest process with its one thread."""

    machine: Machine
    structs: KernelStructs
    memory: AddressSpace
    files: FileTable
    fs: FileSystem
    cpu: CpuState
    signals: Signals
    clock: Clock = field(default_factory=Clock)
    random: RandomBytes = field(default_factory=RandomBytes)
    identity: ProcessIdentity = field(default_factory=ProcessIdentity)
    limits: Limits = field(default_factory=Limits)
    talk: Talk = field(default_factory=Talk)
    pids: PidTable = field(default_factory=PidTable)
    era: str = "modern"  # which kernel's interface the program expects (loader/programs/binfmt.py)
    libraries: int = 0  # mapped by uselib(2)
    substitutes: str = ""  # a guest directory whose libraries exec maps in place of those of the same name
    borrowed: int = -1  # vfork: a pipe that the parent waits on, closed when this child execs or ends
    forked: bool = False  # this is a child: the host process ends as the guest does
    before_fork: list[Callable[[], None]] = field(default_factory=list)  # called in the parent
    on_fork: list[Callable[[], None]] = field(default_factory=list)  # called in the child
    descriptors: dict[int, tuple[int, int, int]] = field(default_factory=dict)  # i386: GDT entry -> base, limit, flags
