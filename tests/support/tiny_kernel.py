"""A kernel of a few lines, for tests of the machine alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from uselib.emulator.process.interfaces import AnswerTable, Fault, ProcessEnded


@dataclass
class TinyKernel:
    """Call 1 ends the run; every other call is recorded and gives its number plus 1000."""

    calls: list[tuple[int, list[int]]] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    on_call: Callable[[int], None] = lambda number: None
    on_fault: Callable[[Fault], None] | None = None
    signal_pending: bool = False

    def offer(self, calls: AnswerTable) -> None:
        calls.refuse()

    def system_call(self, number: int, arguments: list[int]) -> int:
        if number == 1:
            raise ProcessEnded(arguments[0] & 0xFF)
        self.calls.append((number, list(arguments)))
        self.on_call(number)
        return number + 1000

    def legacy_system_call(self, number: int, arguments: list[int]) -> int:
        self.calls.append((-number, arguments))
        return -38

    def exception(self, fault: Fault) -> None:
        self.faults.append(fault)
        if self.on_fault is None:
            raise ProcessEnded(signal=fault.signal, fault=fault)
        self.on_fault(fault)

    def deliver_pending(self) -> None:
        self.signal_pending = False
