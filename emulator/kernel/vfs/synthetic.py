"""Status of the synthesised files: the devices and links of /dev, and the files of /proc."""

from __future__ import annotations

import os
import stat

from uselib.emulator.kernel.vfs.places import SyntheticFile


def synthetic_status(mode: int, inode: int) -> os.stat_result:
    """The status of a file that exists only in the namespace."""
    return os.stat_result((mode, inode, 0, 1, 0, 0, 0, 0, 0, 0))


def synthetic_inode(name: bytes) -> int:
    """A fixed inode number for the synthesised file at that path."""
    number = 0
    for byte in name:
        number = (number * 31 + byte) & 0x7FFFFF
    return number + 2


DEVICE_NUMBERS = {
    "null": (1, 3),
    "zero": (1, 5),
    "full": (1, 7),
    "random": (1, 8),
    "urandom": (1, 9),
    "tty": (5, 0),
    "ptmx": (5, 2),
}
TERMINAL_MAJOR = 136


def device_number(special: SyntheticFile) -> int:
    """st_rdev; 0 for a file that is no device."""
    if special.name == "pts":
        return os.makedev(TERMINAL_MAJOR, special.number)
    return os.makedev(*DEVICE_NUMBERS[special.name]) if special.name in DEVICE_NUMBERS else 0


def special_mode(special: SyntheticFile) -> int:
    if special.link:
        return stat.S_IFLNK | (0o500 if special.name == "descriptor" else 0o777)
    if special.name == "pts":
        return stat.S_IFCHR | 0o620
    return stat.S_IFCHR | 0o666 if special.name in DEVICE_NUMBERS else stat.S_IFREG | special.mode
