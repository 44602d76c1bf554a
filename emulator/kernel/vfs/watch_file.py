"""The open file of an inotify instance, which is one of the host and watches the host files behind the guest's paths.

The host numbers pairs of renames across all of its processes; the guest sees its own numbers. Source: inotify(7).
"""

from __future__ import annotations

import errno
import os
import struct
from collections.abc import Sequence

from uselib.emulator.kernel import constants as C
from uselib.emulator.kernel.errors import GuestError
from uselib.emulator.kernel.host_calls import call
from uselib.emulator.kernel.vfs.descriptions import FileUser, scatter
from uselib.emulator.kernel.vfs.host_files import HostFile
from uselib.emulator.kernel.waiting import READ, wait_for

_EVENT = struct.Struct("<iIII")  # watch, mask, cookie, bytes of the name
_MOST = 1 << 16


class WatchFile(HostFile):
    """An inotify instance. known: the host's descriptor, of one that another process has made."""

    def __init__(self, flags: int, known: int = -1) -> None:
        host = os.O_CLOEXEC | (os.O_NONBLOCK if flags & C.O_NONBLOCK else 0)
        super().__init__(
            call("inotify_init1", host) if known < 0 else known, b"anon_inode:inotify", flags & C.O_NONBLOCK
        )
        self.waits = True
        self._cookies: dict[int, int] = {}

    def add(self, target: int, mask: int) -> int:
        """Adds a watch. target: an O_PATH descriptor. Returns the watch's number. Raises OSError."""
        return call("inotify_add_watch", self.fd, f"/proc/self/fd/{target}".encode(), mask)

    def remove(self, watch: int) -> None:
        """Raises OSError(EINVAL)."""
        call("inotify_rm_watch", self.fd, watch)

    def _renumbered(self, data: bytes) -> bytes:
        out, place = b"", 0
        while place < len(data):
            watch, mask, cookie, size = _EVENT.unpack_from(data, place)
            if cookie:
                cookie = self._cookies.setdefault(cookie, len(self._cookies) + 1)
            out += _EVENT.pack(watch, mask, cookie, size) + data[place + _EVENT.size : place + _EVENT.size + size]
            place += _EVENT.size + size
        return out

    def read(self, process: FileUser, address: int, count: int) -> int:
        return self.readv(process, [(address, count)], None)

    def readv(self, process: FileUser, parts: Sequence[tuple[int, int]], offset: int | None) -> int:
        if offset is not None:
            raise GuestError(errno.ESPIPE)
        wait_for(process, self.fd, READ)
        data = self._renumbered(os.read(self.fd, min(sum(size for _, size in parts), _MOST)))
        return scatter(process, parts, data)

    def write(self, process: FileUser, address: int, count: int) -> int:
        raise GuestError(errno.EBADF)
