"""Owners of the files that the guest sees, and its permissions.

The host's user is the guest's first user. The host cannot store files of other users and groups of the guest, nor their set-id bits. These
are kept by inode, in memory that all processes of the guest share, and end with the run. With `--user` the rights of the guest's users are
checked here, in addition to those of the host. Source: fs/namei.c (generic_permission), fs/attr.c of Linux.
"""

from __future__ import annotations

import errno
import mmap
import os
import stat
import struct
from collections.abc import Callable
from functools import partial

from uselib.emulator.kernel.errors import GuestError
from uselib.emulator.kernel.identity import ProcessIdentity

CAP_CHOWN, CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH, CAP_FOWNER, CAP_FSETID = range(5)
READ, WRITE, SEARCH = 4, 2, 1
_TYPE = 0o170000
SET_IDS = stat.S_ISUID | stat.S_ISGID
_ENTRY = struct.Struct("<QQIIIIQ")  # device, inode (0: free), uid, gid, set-id bits and type, 1 if it holds, st_rdev
_ROOM = 1 << 15  # entries
_SHARED = mmap.MAP_SHARED | mmap.MAP_ANONYMOUS | 0x4000  # MAP_NORESERVE


class FileOwners:
    """Inode -> owner, group, set-id bits, where they differ from the host's; and the files that stand for devices."""

    def __init__(self) -> None:
        self._table: mmap.mmap | None = None

    def share(self) -> None:
        """Moves the table to shared memory, before the first fork."""
        if self._table is None:
            self._table = mmap.mmap(-1, _ENTRY.size * _ROOM, _SHARED)

    def _place(self, device: int, inode: int) -> int:
        """The place of the inode's entry, or of a free one. Raises GuestError(ENOSPC)."""
        assert self._table is not None
        start = (inode * 0x9E3779B1 ^ device) % _ROOM
        for step in range(_ROOM):
            place = (start + step) % _ROOM * _ENTRY.size
            found = _ENTRY.unpack_from(self._table, place)
            if not found[1] or found[:2] == (device, inode):
                return place
        raise GuestError(errno.ENOSPC)

    def get(self, status: os.stat_result) -> tuple[int, int, int] | None:
        if self._table is None or not status.st_ino:
            return None
        found = _ENTRY.unpack_from(self._table, self._place(status.st_dev, status.st_ino))
        return (found[2], found[3], found[4]) if found[5] else None

    def put(self, status: os.stat_result, uid: int, gid: int, bits: int, node: int | None = None) -> None:
        """Stores an entry. node: st_rdev of a new device; None leaves it unchanged."""
        self.share()
        assert self._table is not None
        place = self._place(status.st_dev, status.st_ino)
        if node is None:
            _, _, _, _, old, holds, node = _ENTRY.unpack_from(self._table, place)
            bits |= old & _TYPE if holds else 0
        _ENTRY.pack_into(self._table, place, status.st_dev, status.st_ino, uid, gid, bits, 1, node)

    def device(self, status: os.stat_result) -> tuple[int, int] | None:
        """Type and st_rdev of a file that stands for a device; None for another file."""
        if self._table is None or status.st_size or not stat.S_ISREG(status.st_mode):
            return None
        found = _ENTRY.unpack_from(self._table, self._place(status.st_dev, status.st_ino))
        return (found[4] & _TYPE, found[6]) if found[5] and found[4] & _TYPE else None

    def forget(self, status: os.stat_result) -> None:
        """Removes the entry of a deleted file, since another may get its inode number."""
        if self.get(status) is not None:
            assert self._table is not None
            place = self._place(status.st_dev, status.st_ino)
            _ENTRY.pack_into(self._table, place, status.st_dev, status.st_ino, 0, 0, 0, 0, 0)


Search = Callable[[os.stat_result], None]  # raises GuestError if the directory may not be searched


class FileRights:
    """enforced: rights are checked here, as with `--user`; else only the host checks them."""

    def __init__(self, identity: ProcessIdentity, enforced: bool = False) -> None:
        self._who = identity
        self._first = identity.uid, identity.gid
        self._host = os.geteuid(), os.getegid()
        self.owners = FileOwners()
        self.enforced = enforced

    def owner(self, status: os.stat_result) -> tuple[int, int, int]:
        """uid, gid and mode of a host file, as the guest sees them."""
        found = self.owners.get(status)
        if found is not None:
            mode = found[2] & _TYPE | status.st_mode & 0o7777 if found[2] & _TYPE else status.st_mode
            return found[0], found[1], mode | found[2] & SET_IDS
        (uid, gid), (host_uid, host_gid) = self._first, self._host
        return (
            uid if status.st_uid == host_uid else status.st_uid,
            gid if status.st_gid == host_gid else status.st_gid,
            status.st_mode,
        )

    @property
    def search(self) -> Search | None:
        """What a namespace checks each directory of a path with; None if only the host checks."""
        return partial(self.check, wanted=SEARCH) if self.enforced else None

    def can(self, capability: int) -> bool:
        return self.enforced and self._who.can(capability)

    # -- looking ------------------------------------------------------------------------------------------------------

    def in_group(self, gid: int) -> bool:
        return gid == self._who.file_gid or gid in self._who.groups

    def allows(self, status: os.stat_result, wanted: int, *, real: bool = False) -> bool:
        """Whether an access is allowed. wanted: READ | WRITE | SEARCH. real: check the real user and group (access(2))."""
        who = self._who
        uid, gid, mode = self.owner(status)
        own, group = (who.uid, who.gid) if real else (who.file_uid, who.file_gid)
        if uid == own:
            granted = mode >> 6 & 7
        elif gid == group or gid in who.groups:
            granted = mode >> 3 & 7
        else:
            granted = mode & 7
        if not wanted & ~granted:
            return True
        privileged = own == 0 if real else who.can(CAP_DAC_OVERRIDE)
        if privileged:
            return not wanted & SEARCH or stat.S_ISDIR(mode) or bool(mode & 0o111)
        reads = wanted == READ or (stat.S_ISDIR(mode) and not wanted & WRITE)
        return reads and not real and who.can(CAP_DAC_READ_SEARCH)

    def check(self, status: os.stat_result, wanted: int) -> None:
        """Raises GuestError(EACCES)."""
        if self.enforced and not self.allows(status, wanted):
            raise GuestError(errno.EACCES)

    def check_removal(self, directory: os.stat_result, status: os.stat_result) -> None:
        """Checks the removal of an entry: the directory must be writable; with the sticky bit the user must own the file or the directory."""
        if not self.enforced:
            return
        self.check(directory, WRITE | SEARCH)
        if directory.st_mode & stat.S_ISVTX and not self._who.can(CAP_FOWNER):
            own = self._who.file_uid
            if own not in (self.owner(status)[0], self.owner(directory)[0]):
                raise GuestError(errno.EPERM)

    def check_owner(self, status: os.stat_result) -> None:
        """Checks the owner for chmod, utimes and similar calls. Raises GuestError(EPERM)."""
        if self.enforced and self.owner(status)[0] != self._who.file_uid and not self._who.can(CAP_FOWNER):
            raise GuestError(errno.EPERM)

    # -- changing -----------------------------------------------------------------------------------------------------

    def created(self, directory: os.stat_result, status: os.stat_result, mode: int = 0) -> None:
        """Gives a new file to the user that made it. Its group is the directory's if that has the set-group-id bit. mode: the requested
        mode.
        """
        who = self._who
        _, group, above = self.owner(directory)
        inherits = bool(above & stat.S_ISGID)
        wanted = who.file_uid, group if inherits else who.file_gid
        bits = mode & SET_IDS
        if stat.S_ISDIR(status.st_mode):
            bits = stat.S_ISGID if inherits else 0
        elif bits & stat.S_ISGID and not (self.in_group(wanted[1]) or who.can(CAP_FSETID)):
            bits &= ~stat.S_ISGID
        if self.owners.get(status) is not None or bits or self.owner(status)[:2] != wanted:
            self.owners.put(status, *wanted, bits)

    def change_owner(self, status: os.stat_result, uid: int, gid: int) -> None:
        """chown(2). -1 leaves an id unchanged. Raises GuestError(EPERM)."""
        who, (old_uid, old_gid, mode) = self._who, self.owner(status)
        new_uid = old_uid if uid == 0xFFFFFFFF else uid
        new_gid = old_gid if gid == 0xFFFFFFFF else gid
        if not who.can(CAP_CHOWN):
            own = old_uid == who.file_uid
            if new_uid != old_uid or (uid != 0xFFFFFFFF and not own):
                raise GuestError(errno.EPERM)
            if gid != 0xFFFFFFFF and not (own and (self.in_group(new_gid) or new_gid == old_gid)):
                raise GuestError(errno.EPERM)
        bits = mode & SET_IDS
        if not stat.S_ISDIR(mode):
            bits &= ~(stat.S_ISUID | (stat.S_ISGID if mode & 0o010 else 0))
        if (new_uid, new_gid) != (old_uid, old_gid) or bits != mode & SET_IDS:
            self.owners.put(status, new_uid, new_gid, bits)

    def change_mode(self, status: os.stat_result, mode: int) -> None:
        """Keeps the set-id bits of chmod(2), which the host file does not get."""
        uid, gid, old = self.owner(status)
        bits = mode & SET_IDS
        if bits & stat.S_ISGID and not self.in_group(gid) and not self._who.can(CAP_FSETID):
            bits &= ~stat.S_ISGID
        if bits != old & SET_IDS:
            self.owners.put(status, uid, gid, bits)
