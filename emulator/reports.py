"""What the user reads when a signal has killed the guest."""

from __future__ import annotations

from emulator.interfaces import Cpu, Fault, ProcessEnded
from emulator.kernel.signal_state import NAMES
from loader.address_space import AddressSpace


def death_report(program: str, end: ProcessEnded, space: AddressSpace, cpu: Cpu, *, long: bool) -> list[str]:
    name = NAMES.get(end.signal, f"signal {end.signal}")
    return [f"uselib: {program}: killed by {name}: {end.reason or end.fault} pc {cpu.general()[-2]:#x}"]


__all__ = ["Fault", "death_report"]
