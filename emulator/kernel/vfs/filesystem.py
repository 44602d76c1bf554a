"""The file operations that take a path, on a Namespace: what may be read, what may be written.

Reading is open to everything the namespace shows. Changing anything needs a writable grant, else EROFS, as on a
read-only mount. Of files that are neither regular nor directories the guest opens only FIFOs, and only where it may
write: a device, or a FIFO of the host, would lead out of the namespace. setuid and setgid bits are never set.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable

from uselib.emulator.kernel import constants as C
from uselib.emulator.kernel.errors import GuestError
from uselib.emulator.kernel.identity import ProcessIdentity
from uselib.emulator.kernel.vfs.namespace import Namespace
from uselib.emulator.kernel.vfs.openat2 import exchange
from uselib.emulator.kernel.vfs.places import Found, GuestDirectory, Handle, SyntheticFile
from uselib.emulator.kernel.vfs.rights import READ, SEARCH, SET_IDS, WRITE, FileRights
from uselib.emulator.kernel.vfs.synthetic import DEVICE_NUMBERS, special_mode, synthetic_inode, synthetic_status
from uselib.linker.quick_dataclass import dataclass
from uselib.linker.quick_typing import TYPE_CHECKING

if TYPE_CHECKING:
    from uselib.emulator.kernel.shared.files import MemoryFiles

_MODE = 0o1777  # permission bits of the host's files that a guest may set; set-id bits are kept beside them (rights.py)
_NOREPLACE, _EXCHANGE = 1, 2
_DEVICES = (stat.S_IFCHR, stat.S_IFBLK)
CAP_MKNOD = 27
_WANTED = (READ, WRITE, READ | WRITE, READ | WRITE)  # by access mode


@dataclass
class OpenedFile:
    """What open(2) made: a host descriptor, or -1 for synthesised things.

    mutable: the inode lies under a writable grant, so fchmod and the like are allowed.
    """

    fd: int
    path: bytes
    flags: int
    mutable: bool
    directory: GuestDirectory | None = None
    special: SyntheticFile | None = None


class FileSystem:
    """Namespace and current directory of a process, and the rights of its user. The umask is the host process's own."""

    def __init__(self, namespace: Namespace, cwd: bytes = b"/", rights: FileRights | None = None) -> None:
        self.namespace = namespace
        self.rights = rights or FileRights(ProcessIdentity())
        if self.rights.enforced:
            namespace.search = lambda status: self.rights.check(status, SEARCH)
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
            return synthetic_status(special_mode(found.special), synthetic_inode(_name(found)))
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
        """access(2) with the rights of the host's user, or of the guest's where they are looked at. Raises GuestError, OSError."""
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

    # Opening

    def open(self, at: GuestDirectory | None, path: bytes, flags: int, mode: int) -> OpenedFile:
        """open(2). Raises GuestError, OSError."""
        follow = not flags & C.O_NOFOLLOW and flags & (C.O_CREAT | C.O_EXCL) != C.O_CREAT | C.O_EXCL
        for _ in range(16):  # a name that comes and goes under our hands: look again
            found = self._found_to_open(at, path, flags, follow)
            if not found.exists:
                try:
                    return self._create(found, flags, mode)
                except FileExistsError:
                    continue
            if flags & C.O_CREAT and flags & C.O_EXCL:
                raise GuestError(errno.EEXIST)
            if flags & C.O_PATH:
                return self._open_path(found, flags)
            if found.special is not None:
                return self._open_special(found, found.special, flags)
            if found.directory is not None:
                return self._open_directory(found.directory, flags, mode)
            opened = self._open_file(found, flags)
            if opened is not None:
                return opened
        raise GuestError(errno.EAGAIN)

    def _found_to_open(self, at: GuestDirectory | None, path: bytes, flags: int, follow: bool) -> Found:
        if flags & C.O_CREAT and path.endswith(b"/"):
            raise GuestError(errno.EISDIR)
        changes = flags & (C.O_CREAT | C.O_TRUNC) or flags & C.O_ACCMODE
        try:
            found = self.resolve(at, path, follow)
        except GuestError as failure:
            if failure.errno == errno.ENOENT and changes and not flags & C.O_PATH:
                self._outside(at, path)
            raise
        if not found.exists and (not flags & C.O_CREAT or flags & C.O_PATH):
            made = found.parent.node is not None and found.parent.node.lister is not None
            plain = found.parent.handle is None and self._memory(found) is None
            if changes and plain and not (made and not flags & C.O_CREAT):
                raise GuestError(errno.EROFS)
            raise GuestError(errno.ENOENT)
        return found

    def _outside(self, at: GuestDirectory | None, path: bytes) -> None:
        """A path to be written does not exist: EROFS if that is where nothing was granted at all, or in the sysroot."""
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

    def _create(self, found: Found, flags: int, mode: int) -> OpenedFile:
        if (files := self._memory(found)) is not None:
            fd = files.create(found.name, mode & 0o777 & ~self.umask())
            try:
                return OpenedFile(_again(fd, flags), _name(found), flags, True)
            finally:
                os.close(fd)
        if not found.parent.writable or found.parent.handle is None:
            raise GuestError(errno.EROFS)
        above = os.fstat(found.parent.handle.fd)
        self.rights.check(above, WRITE | SEARCH)
        host = C.host_open_flags(flags) | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
        fd = os.open(found.name, host, mode & _MODE, dir_fd=found.parent.handle.fd)
        self.rights.created(above, os.fstat(fd), mode)
        return OpenedFile(fd, _name(found), flags, True)

    def _memory(self, found: Found) -> MemoryFiles | None:
        """The files of /dev/shm, if that is where a path leads to."""
        node = found.parent.node
        return self.namespace.view.memory_files() if node is not None and node.memory and found.name != b"." else None

    def _open_path(self, found: Found, flags: int) -> OpenedFile:
        if flags & C.O_DIRECTORY and found.directory is None:
            raise GuestError(errno.ENOTDIR)
        handle = found.directory.handle if found.directory is not None else found.handle
        fd = os.dup(handle.fd) if handle is not None else -1
        mutable = found.directory is None and found.handle is not None and found.parent.writable
        return OpenedFile(fd, _name(found), flags, mutable, found.directory, found.special)

    def _open_special(self, found: Found, special: SyntheticFile, flags: int) -> OpenedFile:
        if flags & C.O_DIRECTORY:
            raise GuestError(errno.ENOTDIR)
        if special.link and special.name != "descriptor":
            raise GuestError(errno.ELOOP)
        mode = special_mode(special)
        if flags & (C.O_ACCMODE | C.O_TRUNC) and stat.S_ISREG(mode) and not mode & 0o222:
            raise GuestError(errno.EACCES)
        return OpenedFile(-1, _name(found), flags, False, None, special)

    def _open_nameless(self, directory: GuestDirectory, flags: int, mode: int) -> OpenedFile:
        """O_TMPFILE"""
        if not flags & C.O_ACCMODE:
            raise GuestError(errno.EINVAL)
        if directory.handle is None or not directory.writable:
            raise GuestError(errno.EROFS)
        above = os.fstat(directory.handle.fd)
        self.rights.check(above, WRITE | SEARCH)
        kept = os.O_EXCL if flags & C.O_EXCL else 0
        fd = os.open(b".", C.host_open_flags(flags) | os.O_TMPFILE | kept, mode & _MODE, dir_fd=directory.handle.fd)
        self.rights.created(above, os.fstat(fd), mode)
        name = b"/".join((directory.name.rstrip(b"/"), b"#%d" % os.fstat(fd).st_ino))
        return OpenedFile(fd, name, flags, True)

    def _open_directory(self, directory: GuestDirectory, flags: int, mode: int) -> OpenedFile:
        if flags & C.O_TMPFILE == C.O_TMPFILE:
            return self._open_nameless(directory, flags, mode)
        if flags & (C.O_ACCMODE | C.O_CREAT | C.O_TRUNC):
            raise GuestError(errno.EISDIR)
        fd = -1
        if directory.handle is not None:
            self.rights.check(os.fstat(directory.handle.fd), READ)
            fd = os.open(b".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=directory.handle.fd)
        return OpenedFile(fd, directory.name, flags, directory.writable, directory)

    def _open_file(self, found: Found, flags: int) -> OpenedFile | None:
        """A file that exists. None: another one has taken its name meanwhile."""
        assert found.handle is not None and found.status is not None
        status = found.status
        if found.at is None:  # in memory
            if flags & C.O_DIRECTORY:
                raise GuestError(errno.ENOTDIR)
            return OpenedFile(_again(found.handle.fd, flags), _name(found), flags, True)
        if stat.S_ISLNK(status.st_mode):
            raise GuestError(errno.ELOOP)
        if flags & C.O_DIRECTORY:
            raise GuestError(errno.ENOTDIR)
        writable = found.parent.writable
        if (flags & C.O_ACCMODE or flags & C.O_TRUNC) and not writable and not stat.S_ISSOCK(status.st_mode):
            raise GuestError(errno.EROFS)
        if flags & C.O_NOATIME:
            self.rights.check_owner(status)
        self.rights.check(status, _WANTED[flags & C.O_ACCMODE] | (WRITE if flags & C.O_TRUNC else 0))
        if (device := self.rights.owners.device(status)) is not None:
            return self._open_device(found, device, flags)
        host = C.host_open_flags(flags) | os.O_NOFOLLOW | (os.O_TRUNC if flags & C.O_TRUNC else 0)
        if stat.S_ISREG(status.st_mode):
            host |= os.O_NONBLOCK  # should a FIFO have taken the name, do not wait for its other end
        elif stat.S_ISFIFO(status.st_mode) and writable:
            pass
        else:
            raise GuestError(errno.ENXIO if stat.S_ISSOCK(status.st_mode) else errno.EACCES)
        directory, name = found.at
        fd = os.open(name, host, dir_fd=directory.fd)
        opened = os.fstat(fd)
        if (opened.st_dev, opened.st_ino) != (status.st_dev, status.st_ino):
            os.close(fd)
            return None
        if stat.S_ISREG(status.st_mode) and not flags & C.O_NONBLOCK:
            os.set_blocking(fd, True)
        return OpenedFile(fd, _name(found), flags, writable)

    def _open_device(self, found: Found, device: tuple[int, int], flags: int) -> OpenedFile:
        """What mknod(2) has made: the devices of memory are there, others are not. Raises GuestError(ENXIO)."""
        kind, number = device
        for name, numbers in DEVICE_NUMBERS.items():
            if kind == stat.S_IFCHR and number == os.makedev(*numbers):
                return self._open_special(found, SyntheticFile(name), flags)
        raise GuestError(errno.ENXIO)

    # Changing

    def _new(self, at: GuestDirectory | None, path: bytes) -> tuple[bytes, Handle]:
        """For calls that make an entry: its name, and its directory to be held while it is used. Raises GuestError(EEXIST, EROFS, ...)."""
        try:
            found = self.resolve(at, path.rstrip(b"/") or path, follow=False)
        except GuestError as failure:
            if failure.errno == errno.ENOENT:
                self._outside(at, path)
            raise
        if found.exists:
            raise GuestError(errno.EEXIST)
        if found.parent.handle is None or not found.parent.writable:
            raise GuestError(errno.EROFS)
        self.rights.check(os.fstat(found.parent.handle.fd), WRITE | SEARCH)
        return found.name, found.parent.handle

    def _made(self, name: bytes, parent: Handle, mode: int = 0) -> None:
        """An entry was made: it belongs to the guest's user."""
        status = os.stat(name, dir_fd=parent.fd, follow_symlinks=False)
        self.rights.created(os.fstat(parent.fd), status, mode)

    def _old(self, at: GuestDirectory | None, path: bytes) -> tuple[Found, Handle]:
        """For calls that remove or move an entry: the entry, which exists, and its directory."""
        found = self.existing(at, path.rstrip(b"/") or path, follow=False)
        found.slash = path.endswith(b"/")
        if found.granted or found.name == b".":
            raise GuestError(errno.EBUSY)
        if found.parent.handle is None or not found.parent.writable or found.special is not None:
            raise GuestError(errno.EROFS)
        status = os.stat(found.name, dir_fd=found.parent.handle.fd, follow_symlinks=False)
        self.rights.check_removal(os.fstat(found.parent.handle.fd), status)
        return found, found.parent.handle

    def _removed(self, status: os.stat_result) -> None:
        """A name of the file is gone."""
        if status.st_nlink <= 1 or stat.S_ISDIR(status.st_mode):
            self.rights.owners.forget(status)

    def mkdir(self, at: GuestDirectory | None, path: bytes, mode: int) -> None:
        name, parent = self._new(at, path)
        os.mkdir(name, mode & _MODE, dir_fd=parent.fd)
        self._made(name, parent, mode)

    def make_socket(self, at: GuestDirectory | None, path: bytes, mode: int) -> tuple[int, int]:
        """The file of a socket's name: its device and inode. It leads to nothing of the host's. Raises GuestError(EEXIST, EROFS, ...)."""
        name, parent = self._new(at, path)
        os.mknod(name, stat.S_IFSOCK | mode, dir_fd=parent.fd)
        self._made(name, parent, mode)
        status = os.stat(name, dir_fd=parent.fd, follow_symlinks=False)
        return status.st_dev, status.st_ino

    def mknod(self, at: GuestDirectory | None, path: bytes, mode: int, device: int = 0) -> None:
        """Regular files, FIFOs, sockets that nobody listens at; for root also empty files that stand for devices. Raises GuestError."""
        name, parent = self._new(at, path)
        kind = stat.S_IFMT(mode)
        if kind not in (0, stat.S_IFREG, stat.S_IFIFO, stat.S_IFSOCK, *_DEVICES):
            raise GuestError(errno.EPERM if kind == stat.S_IFDIR else errno.EINVAL)
        if kind in _DEVICES and not self.rights.can(CAP_MKNOD):
            raise GuestError(errno.EPERM)
        if kind == stat.S_IFSOCK:
            os.mknod(name, mode & (_MODE | kind), dir_fd=parent.fd)
        elif kind == stat.S_IFIFO:
            os.mkfifo(name, mode & _MODE, dir_fd=parent.fd)
        else:
            flags = os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_WRONLY | os.O_CLOEXEC
            os.close(os.open(name, flags, mode & _MODE, dir_fd=parent.fd))
        self._made(name, parent, mode)
        if kind in _DEVICES:
            status = os.stat(name, dir_fd=parent.fd)
            uid, gid, _ = self.rights.owner(status)
            self.rights.owners.put(status, uid, gid, kind | mode & SET_IDS, device)

    def symlink(self, target: bytes, at: GuestDirectory | None, path: bytes) -> None:
        if not target:
            raise GuestError(errno.ENOENT)
        name, parent = self._new(at, path)
        os.symlink(target, name, dir_fd=parent.fd)
        self._made(name, parent)

    def unlink(self, at: GuestDirectory | None, path: bytes) -> None:
        found = self.existing(at, path.rstrip(b"/") or path, follow=False)
        if found.directory is not None and found.name in (b".", b""):
            raise GuestError(errno.EISDIR)
        if (files := self._memory(found)) is not None:
            files.remove(found.name)
            return
        found, parent = self._old(at, path)
        if found.slash and found.directory is None:
            raise GuestError(errno.ENOTDIR)
        if found.directory is not None:
            raise GuestError(errno.EISDIR)
        status = os.stat(found.name, dir_fd=parent.fd, follow_symlinks=False)
        os.unlink(found.name, dir_fd=parent.fd)
        self._removed(status)

    def rmdir(self, at: GuestDirectory | None, path: bytes) -> None:
        last = path.rstrip(b"/").rpartition(b"/")[2]
        if last == b".":
            raise GuestError(errno.EINVAL)
        if last == b"..":
            raise GuestError(errno.ENOTEMPTY)
        found, parent = self._old(at, path)
        if found.directory is None:
            raise GuestError(errno.ENOTDIR)
        status = os.stat(found.name, dir_fd=parent.fd, follow_symlinks=False)
        os.rmdir(found.name, dir_fd=parent.fd)
        self._removed(status)

    def rename(
        self,
        old_at: GuestDirectory | None,
        old: bytes,
        new_at: GuestDirectory | None,
        new: bytes,
        *,
        flags: int = 0,
    ) -> None:
        """rename(2). flags: RENAME_NOREPLACE or RENAME_EXCHANGE."""
        found = self.resolve(old_at, old, follow=False)
        if (files := self._memory(found)) is not None:
            into = self.resolve(new_at, new, follow=False)
            if self._memory(into) is None:
                raise GuestError(errno.EXDEV)
            files.rename(found.name, into.name, not flags & _NOREPLACE)
            return
        source, old_parent = self._old(old_at, old)
        if source.slash and source.directory is None:
            raise GuestError(errno.ENOTDIR)
        try:
            target = self.resolve(new_at, new.rstrip(b"/") or new, follow=False)
        except GuestError as failure:
            if failure.errno == errno.ENOENT:
                self._outside(new_at, new)
            raise
        if target.granted or target.name == b".":
            raise GuestError(errno.EBUSY)
        if target.parent.handle is None or not target.parent.writable or target.special is not None:
            raise GuestError(errno.EROFS)
        if new.endswith(b"/") and source.directory is None:
            raise GuestError(errno.ENOTDIR)
        if target.exists and flags & _NOREPLACE:
            raise GuestError(errno.EEXIST)
        above = os.fstat(target.parent.handle.fd)
        self.rights.check(above, WRITE | SEARCH)
        if flags & _EXCHANGE:
            if not target.exists:
                raise GuestError(errno.ENOENT)
            exchange(old_parent.fd, source.name, target.parent.handle.fd, target.name)
            return
        lost = os.stat(target.name, dir_fd=target.parent.handle.fd, follow_symlinks=False) if target.exists else None
        if lost is not None:
            self.rights.check_removal(above, lost)
        os.rename(source.name, target.name, src_dir_fd=old_parent.fd, dst_dir_fd=target.parent.handle.fd)
        if lost is not None:
            self._removed(lost)

    def link(
        self, old_at: GuestDirectory | None, old: bytes, new_at: GuestDirectory | None, new: bytes, follow: bool
    ) -> None:
        """link(2). Both names must be writable: a second name under a writable grant for a file outside one would make
        that file writable."""
        source = self.existing(old_at, old, follow)
        if (files := self._memory(source)) is not None:
            into = self.resolve(new_at, new, follow=False)
            if self._memory(into) is None:
                raise GuestError(errno.EXDEV)
            files.link(source.name, into.name)
            return
        name, parent = self._new(new_at, new)
        if source.directory is not None:
            raise GuestError(errno.EPERM)
        if source.special is not None and source.special.name == "descriptor" and not source.special.link:
            fd, mutable = self.namespace.view.opened(source.special.number)
            if not mutable or os.fstat(fd).st_dev != os.fstat(parent.fd).st_dev:
                raise GuestError(errno.EXDEV)
            os.link(f"/proc/self/fd/{fd}", name, dst_dir_fd=parent.fd)
            return
        if source.special is not None or source.granted or not source.parent.writable or source.at is None:
            raise GuestError(errno.EXDEV)
        directory, old_name = source.at
        os.link(old_name, name, src_dir_fd=directory.fd, dst_dir_fd=parent.fd, follow_symlinks=False)

    def change(self, found: Found, action: Callable[[bytes | str, int | None], None]) -> None:
        """Changes an inode: calls `action(name, dir_fd)`. Raises GuestError(EROFS) outside writable grants."""
        if found.directory is not None:
            if not found.directory.writable or found.directory.handle is None:
                raise GuestError(errno.EROFS)
            action(b".", found.directory.handle.fd)
            return
        if found.special is not None:
            raise GuestError(errno.EPERM)
        if not found.parent.writable or found.at is None:
            raise GuestError(errno.EROFS)
        directory, name = found.at
        action(name, directory.fd)

    def chmod(self, at: GuestDirectory | None, path: bytes, mode: int, follow: bool = True) -> None:
        found = self.existing(at, path, follow)
        if (opened := self._opened(found)) is not None:
            self.rights.check_owner(os.fstat(opened))
            os.chmod(f"/proc/self/fd/{opened}", mode & _MODE)
            self.rights.change_mode(os.fstat(opened), mode)
            return
        self.change(found, lambda name, parent: self._chmod(found, mode))

    def _opened(self, found: Found) -> int | None:
        """The host's descriptor of the open file that /proc/self/fd/N has led to, or of a file of /dev/shm; None: another path. Raises
        GuestError(EROFS, EPERM)."""
        if found.handle is not None and self._memory(found) is not None:
            return found.handle.fd
        if found.special is None or found.special.name != "descriptor" or found.special.link:
            return None
        fd, mutable = self.namespace.view.opened(found.special.number)
        if fd < 0:
            raise GuestError(errno.EPERM)
        if not mutable:
            raise GuestError(errno.EROFS)
        return fd

    def _chmod(self, found: Found, mode: int) -> None:
        status = self.status(found)
        self.rights.check_owner(status)
        _chmod(found, mode & _MODE)
        self.rights.change_mode(status, mode)

    def utime(self, at: GuestDirectory | None, path: bytes, times: tuple[int, int], follow: bool = True) -> None:
        """Sets access and modification time, ns since 1970."""
        found = self.existing(at, path, follow)
        self.change(found, lambda name, parent: os.utime(name, ns=times, dir_fd=parent, follow_symlinks=False))

    def truncate(self, at: GuestDirectory | None, path: bytes, size: int) -> None:
        found = self.existing(at, path)
        if found.directory is not None:
            raise GuestError(errno.EISDIR)
        if found.special is not None or not stat.S_ISREG(self.status(found).st_mode):
            raise GuestError(errno.EINVAL)
        opened = self.open(at, path, C.O_WRONLY, 0)
        try:
            os.ftruncate(opened.fd, size)
        finally:
            os.close(opened.fd)


def _chmod(found: Found, mode: int) -> None:
    """chmod of exactly the inode that was found: through /proc, which takes an O_PATH descriptor and follows no name."""
    if found.status is not None and stat.S_ISLNK(found.status.st_mode):
        raise GuestError(errno.EOPNOTSUPP)
    handle = found.directory.handle if found.directory is not None else found.handle
    assert handle is not None
    os.chmod(f"/proc/self/fd/{handle.fd}", mode)


def _again(fd: int, flags: int) -> int:
    """Another open file of a memory file."""
    return os.open(f"/proc/self/fd/{fd}", C.host_open_flags(flags) | (os.O_TRUNC if flags & C.O_TRUNC else 0))


def _name(found: Found) -> bytes:
    return b"/" + b"/".join(found.path)
