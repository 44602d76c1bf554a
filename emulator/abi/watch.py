"""Watching the library's exported data: which instruction of the program read or wrote what."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from emulator.interfaces import WatchableMachine
from loader.address_space import AddressSpace


class DataWatch:
    """Stand-in."""

    def __init__(
        self, machine: WatchableMachine, space: AddressSpace, data: Sequence[tuple[int, int]], library: tuple[int, int]
    ) -> None:
        self._rows: list[Any] = []

    def forget(self) -> None:
        """A child begins with none of its parent's accesses."""

    def rows(self) -> list[Any]:
        return self._rows
