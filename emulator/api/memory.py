"""Guest memory and registers as Python sees them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, MutableMapping
from typing import TYPE_CHECKING

from uselib.emulator.machine.registers import INDEX

if TYPE_CHECKING:
    from uselib.emulator.machine.machine import VirtualMachine

Where = int | str


class GuestMemory:
    """Reads and writes guest memory. A place is an address or a symbol's name. Raises MemoryFault, SymbolError.

    Writing changes code as well, and pages that the guest itself may only read; never a file of the host.
    """

    def __init__(self, machine: Callable[[], VirtualMachine], address: Callable[[Where], int]) -> None:
        self._machine = machine
        self._address = address

    def read(self, where: Where, size: int) -> bytes:
        return self._machine().space.read(self._address(where), size)

    def read_string(self, where: Where, limit: int = 1 << 20) -> bytes:
        """Bytes up to a NUL, without it."""
        return self._machine().space.read_string(self._address(where), limit)

    def read_int(self, where: Where, size: int = 0, signed: bool = True) -> int:
        """A little-endian integer of `size` bytes (0: a word of the machine)."""
        size = size or self._machine().bits // 8
        return int.from_bytes(self.read(where, size), "little", signed=signed)

    def write(self, where: Where, data: bytes) -> None:
        from uselib.loader.memory.access import MemoryFault

        space, address = self._machine().space, self._address(where)
        space.check(address, len(data), "read")
        for vma in space.vmas.overlapping(address, address + len(data)):
            if vma.shared and not vma.may_write:
                raise MemoryFault(max(address, vma.start), "write", mapped=True)
        position = 0
        while position < len(data):  # windows of host memory meet at page boundaries
            step = min(len(data) - position, 4096 - (address + position) % 4096)
            space.poke(address + position, data[position : position + step])
            position += step

    def write_int(self, where: Where, value: int, size: int = 0) -> None:
        size = size or self._machine().bits // 8
        self.write(where, (value & (1 << 8 * size) - 1).to_bytes(size, "little"))


class GuestRegisters(MutableMapping[str, int]):
    """The general registers by name (`rax` or `eax`, ..., `rflags` or `eflags`), and `pc` and `sp`. Unsigned."""

    def __init__(self, machine: Callable[[], VirtualMachine]) -> None:
        self._machine = machine

    def _index(self, name: str) -> int:
        machine = self._machine()
        names = INDEX[machine.bits]
        position = {"pc": len(names) - 2, "sp": 7, "flags": len(names) - 1}.get(name, names.get(name))
        if position is None:
            raise KeyError(name)
        return position

    def __getitem__(self, name: str) -> int:
        return self._machine().cpu.general()[self._index(name)]

    def __setitem__(self, name: str, value: int) -> None:
        machine = self._machine()
        values = machine.cpu.general()
        values[self._index(name)] = value & (1 << machine.bits) - 1
        machine.cpu.set_general(values)

    def __delitem__(self, name: str) -> None:
        raise TypeError("registers cannot be deleted")

    def __iter__(self) -> Iterator[str]:
        return iter(INDEX[self._machine().bits])

    def __len__(self) -> int:
        return len(INDEX[self._machine().bits])
