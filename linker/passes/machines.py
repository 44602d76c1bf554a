"""The relocations of each machine."""

from __future__ import annotations

from uselib.linker.image import Machine
from uselib.linker.passes import i386, x86_64
from uselib.linker.passes.relocations import MachineRelocations

RELOCATIONS: dict[Machine, MachineRelocations] = {
    Machine.I386: i386.RELOCATIONS,
    Machine.X86_64: x86_64.RELOCATIONS,
}
