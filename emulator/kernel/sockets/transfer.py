"""What sendmsg and recvmsg transfer, and where it lies in the guest's memory."""

from __future__ import annotations

import _socket as host
import array
from collections.abc import Sequence

from uselib.emulator.kernel.sockets.addresses import Address
from uselib.emulator.kernel.sockets.table import Credentials
from uselib.emulator.kernel.vfs.descriptions import FileUser
from uselib.linker.quick_dataclass import dataclass
from uselib.loader.memory.address_space import MemoryFault

Ancillary = list[tuple[int, int, bytes]]
CONTROL_ROOM = host.CMSG_SPACE(4 * 254) + host.CMSG_SPACE(12)
_MOST = 1 << 22  # bytes of one message


@dataclass
class Sending:
    """One message. parts: (address, size) in the guest's memory. to: its destination, if the call gives one. node: the file of that name, as
    device and inode. descriptors: the host descriptors that go with it (passing.pack).
    """

    parts: Sequence[tuple[int, int]]
    flags: int = 0
    to: Address | None = None
    node: tuple[int, int] | None = None
    descriptors: Sequence[int] = ()

    def ancillary(self) -> list[tuple[int, int, array.array[int]]]:
        if not self.descriptors:
            return []
        return [(host.SOL_SOCKET, host.SCM_RIGHTS, array.array("i", self.descriptors))]


@dataclass
class Received:
    """size: the call's result. sender: the address of a datagram's sender or of a stream's peer. descriptors: host descriptors. owner: the
    sender's credentials. flags: MSG_TRUNC, MSG_CTRUNC, MSG_EOR.
    """

    size: int
    sender: Address | None = None
    descriptors: Sequence[int] = ()
    owner: Credentials | None = None
    flags: int = 0


class Buffers:
    """The guest's memory for a message. The host writes into it, or into a copy where that is not possible."""

    def __init__(self, process: FileUser, parts: Sequence[tuple[int, int]]) -> None:
        self._process, self._parts = process, parts
        self._copy: list[bytearray] | None = None
        self.views: list[memoryview | bytearray] = []
        try:
            self.views += [view for address, size in parts if size for view in process.memory.views(address, size)]
        except MemoryFault:  # the memory ends early: no error if the message ends before it
            self._copy = [bytearray(min(size, _MOST)) for _, size in parts]
            self.views = list(self._copy)

    def filled(self, size: int) -> None:
        """Says that `size` bytes have arrived. Raises MemoryFault."""
        if self._copy is None:
            return
        for (address, _), data in zip(self._parts, self._copy, strict=True):
            self._process.memory.write(address, bytes(data[:size]))
            size -= min(size, len(data))
