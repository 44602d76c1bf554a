"""SocketFile: the open file of a socket."""

from __future__ import annotations

import errno
from collections.abc import Sequence

from uselib.emulator.kernel.errors import GuestError
from uselib.emulator.kernel.sockets import datagrams, streams
from uselib.emulator.kernel.sockets.constants import SOCK_DGRAM
from uselib.emulator.kernel.sockets.endpoint import Endpoint
from uselib.emulator.kernel.sockets.table import LISTENS
from uselib.emulator.kernel.sockets.transfer import Received, Sending
from uselib.emulator.kernel.vfs.descriptions import FileUser


class SocketFile(Endpoint):
    """An open socket of the guest."""

    def receive(self, process: FileUser, parts: Sequence[tuple[int, int]], flags: int, control: bool) -> Received:
        """recvmsg(2). control: whether control messages are wanted. Raises GuestError, OSError, MemoryFault."""
        how = datagrams.receive if self.record.type == SOCK_DGRAM else streams.receive
        return how(self, process, list(parts), flags, control)

    def send(self, process: FileUser, message: Sending) -> int:
        """sendmsg(2). Raises GuestError, OSError, MemoryFault."""
        how = datagrams.send if self.record.type == SOCK_DGRAM else streams.send
        return how(self, process, message)

    def read(self, process: FileUser, address: int, count: int) -> int:
        if not count and self.record.type != SOCK_DGRAM:
            return 0
        return self.receive(process, [(address, count)], 0, False).size

    def readv(self, process: FileUser, parts: Sequence[tuple[int, int]], offset: int | None) -> int:
        if offset is not None:
            raise GuestError(errno.ESPIPE)
        return self.receive(process, parts, 0, False).size

    def write(self, process: FileUser, address: int, count: int) -> int:
        return self.send(process, Sending([(address, count)]))

    def writev(self, process: FileUser, parts: Sequence[tuple[int, int]], offset: int | None) -> int:
        if offset is not None:
            raise GuestError(errno.ESPIPE)
        return self.send(process, Sending(list(parts)))

    def unread(self) -> int:
        if self.record.state == LISTENS:
            raise GuestError(errno.EINVAL)
        return datagrams.first_size(self) if self.record.type == SOCK_DGRAM else super().unread()

    def seek(self, process: FileUser, offset: int, whence: int) -> int:
        raise GuestError(errno.ESPIPE)
