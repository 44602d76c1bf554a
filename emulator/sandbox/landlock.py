"""Landlock: rules by which the kernel lets this process, and its children, open and change files.

Source: landlock(7), landlock_create_ruleset(2), landlock_add_rule(2), landlock_restrict_self(2).
"""

from __future__ import annotations

import ctypes
import os
import struct
from collections.abc import Callable
from functools import cache

_CREATE, _ADD, _RESTRICT = 444, 445, 446  # system calls, the same on all machines
_VERSION, _PATH_BENEATH = 1, 1


class Access:
    """LANDLOCK_ACCESS_FS_*."""

    EXECUTE = 1 << 0
    WRITE_FILE = 1 << 1
    READ_FILE = 1 << 2
    READ_DIR = 1 << 3
    REMOVE_DIR = 1 << 4
    REMOVE_FILE = 1 << 5
    MAKE_CHAR = 1 << 6
    MAKE_DIR = 1 << 7
    MAKE_REG = 1 << 8
    MAKE_SOCK = 1 << 9
    MAKE_FIFO = 1 << 10
    MAKE_BLOCK = 1 << 11
    MAKE_SYM = 1 << 12
    REFER = 1 << 13
    TRUNCATE = 1 << 14
    IOCTL_DEV = 1 << 15


READ = Access.READ_FILE | Access.READ_DIR
WRITE = 0x7FFE & ~(Access.MAKE_CHAR | Access.MAKE_BLOCK)  # no devices, and nothing is executed
TERMINAL = Access.READ_FILE | Access.WRITE_FILE | Access.TRUNCATE | Access.IOCTL_DEV
_OF_FILES = TERMINAL
_ADDED = {2: Access.REFER, 3: Access.TRUNCATE, 5: Access.IOCTL_DEV}  # by this version of the interface
_NETWORK, NETWORK_SINCE = 3, 4  # LANDLOCK_ACCESS_NET_BIND_TCP | CONNECT_TCP; the version that has them
_SCOPES, SCOPES_SINCE = 3, 6  # LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET | SIGNAL


@cache
def _function() -> Callable[..., int]:
    function = ctypes.CDLL(None, use_errno=True).syscall
    function.restype, function.argtypes = ctypes.c_long, [ctypes.c_long] * 5
    return function


def _call(*words: int) -> int:
    """A system call of up to four arguments. Raises OSError."""
    result = _function()(*words, *[0] * (5 - len(words)))
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


def version() -> int:
    """Of the kernel's interface; 0: it has none."""
    try:
        return _call(_CREATE, 0, 0, _VERSION)
    except OSError:
        return 0


class Ruleset:
    """Rules that are collected, then put in force. Raises OSError where the kernel refuses."""

    def __init__(self, handled: int) -> None:
        """handled: the version of the interface, at least 1."""
        known = 0x1FFF
        for since, access in _ADDED.items():
            known |= access if handled >= since else 0
        self._known = known
        words = [known] + [_NETWORK] * (handled >= NETWORK_SINCE) + [_SCOPES] * (handled >= SCOPES_SINCE)
        attributes = ctypes.create_string_buffer(struct.pack(f"={len(words)}Q", *words))
        self._fd = _call(_CREATE, ctypes.addressof(attributes), len(words) * 8)

    def allow(self, fd: int, access: int, *, directory: bool) -> None:
        """fd: an O_PATH descriptor of a directory, and all below it is meant, or of a file."""
        rights = access & self._known if directory else access & self._known & _OF_FILES
        rule = ctypes.create_string_buffer(struct.pack("=Qi", rights, fd))
        _call(_ADD, self._fd, _PATH_BENEATH, ctypes.addressof(rule))

    def enforce(self) -> None:
        """For this thread, and threads and processes that it makes. It must not be able to gain privileges (PR_SET_NO_NEW_PRIVS)."""
        try:
            _call(_RESTRICT, self._fd)
        finally:
            os.close(self._fd)
