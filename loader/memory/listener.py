"""Listener: what an address space calls when it changes. The machine's page table is one."""

from __future__ import annotations

from uselib.linker.quick_typing import Protocol
from uselib.loader.memory.host_memory import Window
from uselib.loader.memory.vma import FileIdentity, Vma


class Listener(Protocol):
    """Its methods are called for each change. Ranges are page-aligned [start, end).

    catches_faults: an access of this process to a page that the file no longer has is noted (`lost_page`); without it
    such an access kills the process.
    """

    @property
    def catches_faults(self) -> bool: ...

    def window_added(self, window: Window) -> None:
        """From now on these guest addresses have host memory behind them."""

    def mapped(self, vma: Vma) -> None:
        """A new mapping, before it is joined with its neighbours. The range was unmapped."""

    def changed(self, start: int, end: int) -> None:
        """Mappings or permissions in the range are not what they were."""

    def code_written(self, start: int, end: int) -> None:
        """The kernel wrote into executable memory, or into memory that may be executable elsewhere (bytes, not pages)."""

    def file_changed(self, identity: FileIdentity) -> None:
        """The contents of a file that may be mapped are not what they were."""

    def lost_page(self) -> int:
        """Host address of a page that was not there when this process read or wrote it, because its file has become shorter, and which is
        an anonymous page now; 0: none. Each is told once."""

    def exchange_word(self, host: int, expected: int, value: int) -> int | None:
        """The word of 4 bytes at an address of the host becomes `value` if it is `expected`, atomically for all processes. What it was;
        None: the machine has no such instruction to offer."""


class NoListener:
    """Of an address space that no machine runs in."""

    catches_faults = False

    def window_added(self, window: Window) -> None: ...
    def mapped(self, vma: Vma) -> None: ...
    def changed(self, start: int, end: int) -> None: ...
    def code_written(self, start: int, end: int) -> None: ...
    def file_changed(self, identity: FileIdentity) -> None: ...

    def lost_page(self) -> int:
        return 0

    def exchange_word(self, host: int, expected: int, value: int) -> int | None:
        return None
