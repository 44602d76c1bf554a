"""Packets of GDB's remote serial protocol over a socket: `$data#checksum`, acknowledgements, escapes, the break byte.

Source: GDB manual, appendix E, "Overview".
"""

from __future__ import annotations

import select
import socket
from contextlib import suppress

BREAK = b"\x03"
_ESCAPED = frozenset(b"$#}*")
LONGEST = 1 << 20  # bytes of the largest packet that is read; GDB is told a lower limit


class Closed(Exception):
    """The connection is closed."""


def escape(data: bytes) -> bytes:
    """Binary data as it may stand in a packet."""
    out = bytearray()
    for byte in data:
        if byte in _ESCAPED:
            out += bytes((0x7D, byte ^ 0x20))
        else:
            out.append(byte)
    return bytes(out)


def unescape(data: bytes) -> bytes:
    out = bytearray()
    escaped = False
    for byte in data:
        if escaped:
            out.append(byte ^ 0x20)
            escaped = False
        elif byte == 0x7D:
            escaped = True
        else:
            out.append(byte)
    return bytes(out)


class Wire:
    """One connection."""

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        with suppress(OSError):
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._buffer = bytearray()
        self.acknowledge = True

    def close(self) -> None:
        self._socket.close()

    def fileno(self) -> int:
        return self._socket.fileno()

    def _fill(self) -> None:
        try:
            data = self._socket.recv(65536)
        except OSError:
            raise Closed from None
        if not data:
            raise Closed
        self._buffer += data

    def _take(self, count: int) -> bytes:
        while len(self._buffer) < count:
            self._fill()
        data = bytes(self._buffer[:count])
        del self._buffer[:count]
        return data

    def read(self) -> bytes:
        """The next packet's data, still escaped; the break byte by itself. Raises Closed."""
        while True:
            first = self._take(1)
            if first == BREAK:
                return BREAK
            if first != b"$":
                continue  # acknowledgements, and noise
            while (end := self._buffer.find(b"#")) < 0:
                if len(self._buffer) > LONGEST:
                    raise Closed
                self._fill()
            data = self._take(end + 1)[:-1]
            checksum = self._take(2)
            with suppress(ValueError):
                if int(checksum, 16) == sum(data) & 0xFF:
                    if self.acknowledge:
                        self._send(b"+")
                    return data
            self._send(b"-")

    def write(self, data: bytes) -> None:
        """Sends a packet; `data` is escaped where it has to be. Raises Closed."""
        self._send(b"$%b#%02x" % (data, sum(data) & 0xFF))

    def _send(self, data: bytes) -> None:
        try:
            self._socket.sendall(data)
        except OSError:
            raise Closed from None

    def break_requested(self, timeout: float) -> bool:
        """Waits for something to arrive while the program runs: True for a break byte, which is taken, or the end of the
        connection. For another thread than the one that reads packets, which does not read meanwhile."""
        if self._buffer[:1] == BREAK:
            del self._buffer[:1]
            return True
        try:
            if not select.select([self._socket], [], [], timeout)[0]:
                return False
            data = self._socket.recv(1, socket.MSG_PEEK)
            if data == BREAK:
                self._socket.recv(1)
        except (OSError, ValueError):
            return True
        return data in (b"", BREAK)
