"""FileSystem: the paths of a process on a Namespace: resolving them, and looking at files.

All files that the namespace shows can be read. Changes need a writable grant, else EROFS, as on a read-only mount. Setuid and setgid bits are
never set on the host. The operations on paths are in open_files.py, entries.py and inodes.py.
"""

from __future__ import annotations

import errno
import os
import stat

from uselib.emulator.kernel.errors import GuestError
from uselib.emulator.kernel.identity import ProcessIdentity
from uselib.emulator.kernel.vfs.namespace import Namespace
from uselib.emulator.kernel.vfs.places import Found, GuestDirectory
from uselib.emulator.kernel.vfs.rights import SEARCH, FileRights
from uselib.emulator.kernel.vfs.synthetic import special_mode, synthetic_inode, synthetic_status
from uselib.linker.quick_typing import TYPE_CHECKING

if TYPE_CHECKING:
    from uselib.emulator.kernel.shared.files import MemoryFiles

MODE = 0o1777  # permission bits that a guest may set on host files; set-id bits are kept apart (rights.py)


class FileSystem:
    """Namespace and current directory of a process, and the rights of its user: the namespace is built with their `search`. The umask is the
    host process's own."""

    def __init__(self, namespace: Namespace, cwd: bytes = b"/", rights: FileRights | None = None) -> None:
        self.namespace = namespace
        self.rights = rights or FileRights(ProcessIdentity())
        self.cwd = namespace.top()
        self.chdir(None, cwd)

    def resolve(self, at: GuestDirectory | None, path: bytes, follow: bool = True) -> Found:
        """Found, which need not exist. at: where relative paths start; None: the current directory."""
        return self.namespace.resolve(at or self.cwd, path, follow)

    def existing(self, at: GuestDirectory | None, path: bytes, follow: bool = True) -> Found:
        """Found; raises GuestError(ENOENT) if it does not exist."""
        found = self.resolve(at, path, follow)
        if not found.exists:
            raise GuestError(errno.ENOENT)
        return found

    @staticmethod
    def umask() -> int:
        mask = os.umask(0o77)
        os.umask(mask)
        return mask

    # Looking

    def status(self, found: Found) -> os.stat_result:
        if found.directory is not None:
            if found.directory.handle is not None:
                return os.fstat(found.directory.handle.fd)
            mode = found.directory.node.mode if found.directory.node is not None else 0o555
            return synthetic_status(stat.S_IFDIR | mode, synthetic_inode(found.directory.name))
        if found.special is not None:
            return synthetic_status(special_mode(found.special), synthetic_inode(found.full_name))
        assert found.handle is not None
        return os.fstat(found.handle.fd)

    def readlink(self, at: GuestDirectory | None, path: bytes) -> bytes:
        found = self.existing(at, path, follow=False)
        if found.special is not None and found.special.link:
            return self.namespace.view.link(found.special)
        if found.handle is None or found.status is None or not stat.S_ISLNK(found.status.st_mode):
            raise GuestError(errno.EINVAL)
        return os.readlink(b"", dir_fd=found.handle.fd)

    def access(self, found: Found, mode: int, *, real: bool = True) -> None:
        """access(2) with the rights of the host's user, or of the guest's with `--user`. Raises GuestError, OSError."""
        writable = found.directory.writable if found.directory is not None else found.parent.writable
        if found.special is not None:
            allowed = special_mode(found.special)
            if mode & os.X_OK or (mode & os.W_OK and not allowed & 0o222):
                raise GuestError(errno.EACCES)
            return
        if mode & os.W_OK and not writable:
            raise GuestError(errno.EROFS)
        handle = found.directory.handle if found.directory is not None else found.handle
        if handle is None or mode == 0:
            return
        if found.status is not None and stat.S_ISLNK(found.status.st_mode):
            return
        if self.rights.enforced:
            allowed = self.rights.allows(os.fstat(handle.fd), mode, real=real)
        else:  # of the inode itself, no second look-up
            allowed = os.access(f"/proc/self/fd/{handle.fd}", mode, effective_ids=True)
        if not allowed:
            raise GuestError(errno.EACCES)

    def chdir(self, at: GuestDirectory | None, path: bytes) -> None:
        found = self.existing(at, path)
        if found.directory is None:
            raise GuestError(errno.ENOTDIR)
        self.enter(found.directory)

    def enter(self, directory: GuestDirectory) -> None:
        """Makes it the current directory. Raises PermissionError if it may not be searched."""
        if directory.handle is not None:
            self.rights.check(os.stat(b".", dir_fd=directory.handle.fd), SEARCH)
        self.cwd = directory

    def check_outside(self, at: GuestDirectory | None, path: bytes) -> None:
        """For a path to be written that does not exist: raises EROFS if it is in the sysroot or in a directory without any grant."""
        parts = path.rstrip(b"/").split(b"/")
        start = at or self.cwd
        for length in range(len(parts) - 1, 0, -1):
            head = b"/".join(parts[:length]) or b"/"
            try:
                found = self.namespace.resolve(start, head)
            except (GuestError, OSError):
                continue
            if found.exists:
                directory = found.directory
                if directory is not None and (directory.handle is None or length == len(parts) - 1):
                    raise GuestError(errno.EROFS)
                return

    def memory_files(self, found: Found) -> MemoryFiles | None:
        """The files of /dev/shm, if the path leads there."""
        node = found.parent.node
        return self.namespace.view.memory_files() if node is not None and node.memory and found.name != b"." else None
