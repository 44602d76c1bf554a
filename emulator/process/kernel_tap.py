"""KernelTap: wraps a kernel, for participants of a run that get system calls or CPU exceptions before it."""

from __future__ import annotations

from collections.abc import Callable

from uselib.emulator.process.interfaces import AnswerTable, Fault, Kernel

SystemCall = Callable[[Kernel, int, list[int]], int]
"""Carries out a system call: kernel, number, six argument words -> result. Raises what Kernel.system_call raises."""


def _refuse(calls: AnswerTable) -> None:
    """Who gets system calls gets all of them."""
    calls.refuse()


class KernelTap:
    """A Kernel that passes everything on to `kernel`, except what it is given functions for. Functions of `kernel`
    are taken over as they are, so calls that nobody observes cost nothing. RunHooks.wrap_kernel returns one."""

    def __init__(
        self,
        kernel: Kernel,
        *,
        system_call: SystemCall | None = None,
        exception: Callable[[Fault], None] | None = None,
    ) -> None:
        self._kernel = kernel
        self._on_system_call = system_call
        self.exception = exception or kernel.exception
        self.system_call = kernel.system_call if system_call is None else self._system_call
        self.legacy_system_call = kernel.legacy_system_call
        self.deliver_pending = kernel.deliver_pending
        self.offer = kernel.offer if system_call is None else _refuse

    def _system_call(self, number: int, arguments: list[int]) -> int:
        assert self._on_system_call is not None
        return self._on_system_call(self._kernel, number, arguments)

    @property
    def signal_pending(self) -> bool:
        return self._kernel.signal_pending
