"""Numbers of the Linux interface on x86 (i386 and x86-64 agree in all of these), and the way to the host's numbers.

Sources: include/uapi/asm-generic/fcntl.h, include/uapi/linux/{fcntl,stat,fs}.h.
"""

from __future__ import annotations

import os

# open(2)
O_ACCMODE = 0o3
O_RDONLY, O_WRONLY, O_RDWR = 0, 1, 2
O_CREAT = 0o100
O_EXCL = 0o200
O_NOCTTY = 0o400
O_TRUNC = 0o1000
O_APPEND = 0o2000
O_NONBLOCK = 0o4000
O_DSYNC = 0o10000
O_ASYNC = 0o20000
O_DIRECT = 0o40000
O_LARGEFILE = 0o100000
O_DIRECTORY = 0o200000
O_NOFOLLOW = 0o400000
O_NOATIME = 0o1000000
O_CLOEXEC = 0o2000000
O_SYNC = 0o4010000
O_PATH = 0o10000000
O_TMPFILE = 0o20000000 | O_DIRECTORY

# *at calls
AT_FDCWD = -100
AT_SYMLINK_NOFOLLOW = 0x100
AT_REMOVEDIR = 0x200  # also AT_EACCESS
AT_EACCESS = 0x200
AT_SYMLINK_FOLLOW = 0x400
AT_NO_AUTOMOUNT = 0x800
AT_EMPTY_PATH = 0x1000

PATH_MAX = 4096  # bytes with the NUL
NAME_MAX = 255
LINKS_MAX = 40  # symbolic links in one resolution (fs/namei.c, MAXSYMLINKS)
IO_MAX = 0x7FFFF000  # bytes in one read or write (MAX_RW_COUNT)

# Guest's open flags that go to the host as they are meant: guest -> host
_OPEN_FLAGS = (
    (O_APPEND, os.O_APPEND),
    (O_NONBLOCK, os.O_NONBLOCK),
    (O_DSYNC, os.O_DSYNC),
    (O_SYNC, os.O_SYNC),
)


def host_open_flags(flags: int) -> int:
    """The host's open(2) flags for the access mode and status flags of a guest's."""
    host = (os.O_RDONLY, os.O_WRONLY, os.O_RDWR, os.O_RDWR)[flags & O_ACCMODE]
    for guest, meaning in _OPEN_FLAGS:
        if flags & guest == guest:
            host |= meaning
    return host | os.O_CLOEXEC | os.O_NOCTTY
