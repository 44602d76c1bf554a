"""seccomp: a filter of system calls for this process, all its threads and all its children.

The filter is a program of classic BPF over struct seccomp_data (number, architecture, instruction pointer, six arguments), which ends with
what is done: the call is carried out, or fails with an error. It is for x86-64 hosts.
Source: seccomp(2), linux/seccomp.h, linux/filter.h, linux/bpf_common.h.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
from collections.abc import Iterable, Mapping

from uselib.emulator.sandbox.system_calls import Condition, Flags

_SECCOMP, _SET_FILTER, _ALL_THREADS = 317, 1, 1
_LOAD, _EQUAL, _ANY_BIT, _RETURN = 0x20, 0x15, 0x45, 0x06  # LD|W|ABS, JMP|JEQ|K, JMP|JSET|K, RET|K
_NUMBER, _MACHINE, _ARGUMENTS = 0, 4, 16  # offsets in struct seccomp_data
_X86_64 = 0xC000003E  # AUDIT_ARCH_X86_64
_ALLOW, _ERROR, _KILL = 0x7FFF0000, 0x00050000, 0x80000000


def _step(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    """struct sock_filter; the jumps count instructions that are passed over."""
    return struct.pack("=HBBI", code, if_true, if_false, value)


def _decide(what: Condition | Flags) -> list[bytes]:
    """From a call that has a condition to the end."""
    steps = [_step(_LOAD, _ARGUMENTS + 8 * what.argument)]
    good, bad = _step(_RETURN, _ALLOW), _step(_RETURN, _ERROR | errno.EPERM)
    if isinstance(what, Flags):
        return [*steps, _step(_ANY_BIT, what.mask, 1), good, bad]
    count = len(what.values)
    steps += [_step(_EQUAL, value, count - 1 - n + 1) for n, value in enumerate(what.values)]
    return [*steps, *((bad, good) if what.equal else (good, bad))]


def program(allowed: Iterable[int], conditional: Mapping[int, Condition | Flags], absent: Iterable[int]) -> bytes:
    """The filter. allowed: numbers of calls that are carried out; conditional: those that are if the condition holds, and else give EPERM;
    absent: those that give ENOSYS. All others give EPERM; a call by another machine's interface (int 0x80) ends the process."""
    steps = [_step(_LOAD, _MACHINE), _step(_EQUAL, _X86_64, 1), _step(_RETURN, _KILL), _step(_LOAD, _NUMBER)]
    for number in allowed:
        steps += [_step(_EQUAL, number, 0, 1), _step(_RETURN, _ALLOW)]
    for number in absent:
        steps += [_step(_EQUAL, number, 0, 1), _step(_RETURN, _ERROR | errno.ENOSYS)]
    for number, what in conditional.items():
        decision = _decide(what)
        steps += [_step(_EQUAL, number, 0, len(decision)), *decision]
    return b"".join([*steps, _step(_RETURN, _ERROR | errno.EPERM)])


def install(filter_: bytes) -> None:
    """Puts the filter in force, for good. The process must not be able to gain privileges. Raises OSError."""
    code = ctypes.create_string_buffer(filter_)
    header = ctypes.create_string_buffer(struct.pack("=H6xQ", len(filter_) // 8, ctypes.addressof(code)))
    function = ctypes.CDLL(None, use_errno=True).syscall
    function.restype, function.argtypes = ctypes.c_long, [ctypes.c_long] * 4
    result = function(_SECCOMP, _SET_FILTER, _ALL_THREADS, ctypes.addressof(header))
    if result:
        number = ctypes.get_errno() if result < 0 else errno.ESRCH  # a thread that has a filter of its own
        raise OSError(number, os.strerror(number))
