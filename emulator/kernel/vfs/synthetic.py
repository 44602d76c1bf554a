"""Status of the synthesised files: the devices and links of /dev and /proc/self."""

from __future__ import annotations

import os
import stat

from uselib.emulator.kernel.vfs.places import SyntheticFile


def synthetic_status(mode: int, inode: int) -> os.stat_result:
    """The status of something that exists in the namespace only."""
    return os.stat_result((mode, inode, 0, 1, 0, 0, 0, 0, 0, 0))


DEVICE_NUMBERS = {"null": (1, 3), "zero": (1, 5), "full": (1, 7), "random": (1, 9), "tty": (5, 0)}


def special_mode(special: SyntheticFile) -> int:
    if special.link:
        return stat.S_IFLNK | 0o777
    return stat.S_IFCHR | 0o666 if special.name in DEVICE_NUMBERS else stat.S_IFREG | 0o444
