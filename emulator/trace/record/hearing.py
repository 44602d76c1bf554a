"""How the recorder hears of mappings and system calls: it stands between address space and machine, and machine and kernel."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from uselib.emulator.process.interfaces import Cpu, Fault, Kernel
from uselib.loader.memory.address_space import Listener
from uselib.loader.memory.host_memory import Window
from uselib.loader.memory.vma import Vma


class MappingEar:
    """A Listener that passes everything on, and tells `changed` when mappings go or change."""

    def __init__(self, listener: Listener, changed: Callable[[], None]) -> None:
        self._listener, self._changed = listener, changed

    def window_added(self, window: Window) -> None:
        self._listener.window_added(window)

    def mapped(self, vma: Vma) -> None:
        self._listener.mapped(vma)

    def code_written(self, start: int, end: int) -> None:
        self._listener.code_written(start, end)

    def changed(self, start: int, end: int) -> None:
        self._changed()
        self._listener.changed(start, end)


class SystemCallTap:
    """A Kernel that passes everything on. call(kernel, number, arguments, pc, sp): carries out a system call."""

    def __init__(self, kernel: Kernel, cpu: Cpu, call: Callable[[Kernel, int, Sequence[int], int, int], int]) -> None:
        self._kernel, self._cpu, self._call = kernel, cpu, call

    def system_call(self, number: int, arguments: list[int]) -> int:
        return self._call(self._kernel, number, arguments, self._cpu.pc, self._cpu.sp)

    def exception(self, fault: Fault) -> None:
        self._kernel.exception(fault)

    def deliver_pending(self) -> None:
        self._kernel.deliver_pending()

    def legacy_system_call(self, number: int) -> int:
        return self._kernel.legacy_system_call(number)

    @property
    def signal_pending(self) -> bool:
        return self._kernel.signal_pending
