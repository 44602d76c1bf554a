"""The open file of pidfd_open(2), which is the host's: poll and epoll tell of the end of the process."""

from __future__ import annotations

import errno

from uselib.emulator.kernel import constants as C
from uselib.emulator.kernel.errors import GuestError
from uselib.emulator.kernel.vfs.descriptions import FileUser
from uselib.emulator.kernel.vfs.host_files import HostFile


class PidFile(HostFile):
    """pid: the number of the guest's process."""

    def __init__(self, pid: int, fd: int, flags: int) -> None:
        super().__init__(fd, b"anon_inode:[pidfd]", C.O_RDWR | flags & C.O_NONBLOCK)
        self.pid = pid

    def read(self, process: FileUser, address: int, count: int) -> int:
        raise GuestError(errno.EINVAL)

    def write(self, process: FileUser, address: int, count: int) -> int:
        raise GuestError(errno.EINVAL)
