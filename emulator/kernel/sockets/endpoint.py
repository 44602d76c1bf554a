"""Endpoint: a socket's host descriptor and its record, and how a call waits for it."""

from __future__ import annotations

import _socket as host
import errno
import os
import select

from uselib.emulator.kernel import constants as C
from uselib.emulator.kernel import waiting
from uselib.emulator.kernel.errors import GuestError
from uselib.emulator.kernel.sockets.addresses import Address
from uselib.emulator.kernel.sockets.constants import AF_UNIX, INET, MSG_DONTWAIT, SHUT_WRITE, SOCK_STREAM
from uselib.emulator.kernel.sockets.table import CONNECTED, LISTENS, NEW, REFUSED, SocketRecord, Sockets
from uselib.emulator.kernel.vfs.descriptions import FileUser
from uselib.emulator.kernel.vfs.host_files import HostFile

_POLLRDHUP = 0x2000
_OUT = select.POLLOUT | 0x100 | 0x200  # with POLLWRNORM and POLLWRBAND


def host_type(type_: int) -> int:
    """The type of the host's pair behind a socket. A pair of SOCK_SEQPACKET keeps the bounds of datagrams, loses none, and reports when no
    process holds the other end.
    """
    return host.SOCK_STREAM if type_ == SOCK_STREAM else host.SOCK_SEQPACKET


class Endpoint(HostFile):
    """fd: one end of a host pair. serial: that of the record when this file was made. target: the receiver of the last datagram, as its
    serial and the end to write to.
    """

    inside = True

    def __init__(self, sockets: Sockets, index: int, fd: int, flags: int = 0) -> None:
        self.sockets, self.index = sockets, index
        self.record: SocketRecord = sockets.record(index)
        self.serial = self.record.serial
        self.target: tuple[int, host.socket] | None = None
        super().__init__(fd, b"socket:[%d]" % (10_000 + self.serial), C.O_RDWR | flags & C.O_NONBLOCK)
        self.host_socket = host.socket(host.AF_UNIX, host_type(self.record.type), 0, fd)

    def blocks(self, flags: int) -> bool:
        """Whether a call with these MSG_ flags waits."""
        return not flags & MSG_DONTWAIT and os.get_blocking(self.fd)

    def wait(self, process: FileUser, events: int, timeout: int) -> None:
        """Waits until the host's descriptor is ready. timeout: ns; 0: no limit. Raises GuestError: EINTR, EAGAIN when the time is over."""
        self.wait_on(process, self.fd, events, timeout)

    @staticmethod
    def wait_on(process: FileUser, fd: int, events: int, timeout: int) -> None:
        if not waiting.poll(process, [(fd, events)], timeout or None):
            raise GuestError(errno.EAGAIN)

    def raise_error(self) -> None:
        """Raises GuestError for an error since the last call. It is reported once."""
        if self.record.error:
            raise GuestError(self.record.take_error())

    def forget_target(self) -> None:
        if self.target is not None:
            self.target[1].close()
            self.target = None

    def replace_host(self, fd: int) -> None:
        """Replaces this end of a pair by another one, in all descriptors of this process."""
        os.dup2(fd, self.fd, inheritable=False)
        os.close(fd)

    def peer_name(self) -> Address:
        """The peer's address. A socket of AF_UNIX may have got its name after the connection."""
        record = self.record
        other = self.sockets.record(record.peer_index)
        if record.family == AF_UNIX and record.peer_serial and other.serial == record.peer_serial and other.bound:
            return other.local
        return record.peer

    def asked(self, events: int) -> int:
        return events & ~_OUT if self.record.state == LISTENS else events

    def seen(self, events: int) -> int:
        """poll(2)'s events of the guest's socket, from those of the pair (tcp_poll, unix_poll)."""
        record = self.record
        if record.state == LISTENS:
            return events & ~_OUT
        if record.family in INET and record.type == SOCK_STREAM:
            if record.state == NEW:
                return events | select.POLLOUT | select.POLLHUP
            if record.state == REFUSED:
                return events | select.POLLERR | select.POLLHUP if record.error else events
            if events & select.POLLHUP and not record.shut & SHUT_WRITE:
                return events & ~select.POLLHUP
        elif record.family == AF_UNIX and record.state == NEW and record.type != host.SOCK_DGRAM:
            return events | select.POLLOUT | select.POLLHUP
        return events

    @property
    def connected(self) -> bool:
        return self.record.state == CONNECTED

    def close(self) -> None:
        self.forget_target()
        self.host_socket.detach()
        super().close()
        with self.sockets.lock:
            self.sockets.drop(self.index, self.serial)
