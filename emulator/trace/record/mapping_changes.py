"""MappingChanges: tells the recorder when memory of the guest is mapped otherwise. It stands between address space and machine."""

from __future__ import annotations

from collections.abc import Callable

from uselib.loader.memory.host_memory import Window
from uselib.loader.memory.listener import Listener
from uselib.loader.memory.vma import FileIdentity, Vma


class MappingChanges:
    """A Listener that passes everything on, and tells `changed` when mappings go or change."""

    def __init__(self, listener: Listener, changed: Callable[[], None]) -> None:
        self._listener, self._changed = listener, changed

    @property
    def catches_faults(self) -> bool:
        return self._listener.catches_faults

    def window_added(self, window: Window) -> None:
        self._listener.window_added(window)

    def mapped(self, vma: Vma) -> None:
        self._listener.mapped(vma)

    def code_written(self, start: int, end: int) -> None:
        self._listener.code_written(start, end)

    def file_changed(self, identity: FileIdentity) -> None:
        self._listener.file_changed(identity)

    def lost_page(self) -> int:
        return self._listener.lost_page()

    def exchange_word(self, host: int, expected: int, value: int) -> int | None:
        return self._listener.exchange_word(host, expected, value)

    def changed(self, start: int, end: int) -> None:
        self._changed()
        self._listener.changed(start, end)
