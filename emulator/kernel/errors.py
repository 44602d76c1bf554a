"""Errors of system calls. (Ends without a result are in uselib.emulator.process.interfaces: ProcessEnded, ContextReplaced.)

The guest sees the errno numbers of Linux on x86 (include/uapi/asm-generic/errno*.h). The host's numbers are the same on
a Linux host of most machines; `guest_errno` goes by name, so that it also holds where they are not.
"""

from __future__ import annotations

import errno

# Names whose numbers differ between kernels or between machines of Linux; all others (1..34) are the same everywhere.
_LINUX_X86 = {
    "EAGAIN": 11,
    "EDEADLK": 35,
    "ENAMETOOLONG": 36,
    "ENOLCK": 37,
    "ENOSYS": 38,
    "ENOTEMPTY": 39,
    "ELOOP": 40,
    "EOVERFLOW": 75,
    "ENOTSOCK": 88,
    "EOPNOTSUPP": 95,
    "EAFNOSUPPORT": 97,
    "ENODATA": 61,
    "ETIMEDOUT": 110,
    "ESTALE": 116,
    "EDQUOT": 122,
    "EPIPE": 32,
    "ESPIPE": 29,
    "EILSEQ": 84,
    "EPROTO": 71,
    "EUSERS": 87,
    "ECONNREFUSED": 111,
    "ECONNRESET": 104,
    "ENOTCONN": 107,
    "ECANCELED": 125,
}
_GUEST = {number: _LINUX_X86.get(name, number) for number, name in errno.errorcode.items()}


class GuestError(Exception):
    """A system call failed: the guest gets -errno. `errno` is the guest's number."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.errno = number


def guest_errno(failure: OSError) -> int:
    """The guest's number for a host's OSError; EIO where the host gave none."""
    return _GUEST.get(failure.errno or errno.EIO, errno.EIO)


def errno_name(number: int) -> str:
    """`ENOENT` for 2; `errno 999` for a number without a name."""
    return _NAMES.get(number) or f"errno {number}"


_NAMES = {guest: errno.errorcode[host] for host, guest in _GUEST.items()}
_NAMES.update({11: "EAGAIN", 35: "EDEADLK", 95: "EOPNOTSUPP", 512: "ERESTARTSYS", 516: "ERESTART_RESTARTBLOCK"})
