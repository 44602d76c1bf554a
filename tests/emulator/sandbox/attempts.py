"""Run by test_sandbox.py: a guest program whose first block calls back into this process, which then makes the host's system calls itself,
as a subverted emulator would. Arguments: program, a secret file, a directory that is not granted, a process's number, run options.
Prints a line for each call: name, errno (0: it was carried out)."""

from __future__ import annotations

import ctypes
import os
import sys

from uselib.emulator.process.hooks import RunHooks
from uselib.emulator.process.host import Host
from uselib.emulator.process.interfaces import WatchableMachine
from uselib.emulator.process.run import Runner
from uselib.emulator.process.run_options import parse
from uselib.emulator.sandbox.sandbox import Sandbox
from uselib.loader.memory.address_space import AddressSpace

program, secret, outside, pid, *words = sys.argv[1:]
bystander = int(pid)
AT_FDCWD = -100
buffer = ctypes.create_string_buffer(256)
libc = ctypes.CDLL(None, use_errno=True)


def call(number: int, *arguments: int | str) -> int:
    """errno of a system call; 0 if it was carried out."""
    values = [ctypes.c_char_p(os.fsencode(a)) if isinstance(a, str) else ctypes.c_long(a) for a in arguments]
    return 0 if libc.syscall(ctypes.c_long(number), *values) >= 0 else ctypes.get_errno()


def signal_by_pidfd() -> int:
    fd = libc.syscall(434, bystander, 0)
    return call(424, fd, 15, 0, 0) if fd >= 0 else ctypes.get_errno()


def attempts() -> dict[str, int]:
    there = f"{outside}/there"
    room = ctypes.addressof(buffer)
    return {
        "read": call(257, AT_FDCWD, secret, os.O_RDONLY, 0),
        "write": call(257, AT_FDCWD, there, os.O_WRONLY, 0),
        "create": call(257, AT_FDCWD, f"{outside}/new", os.O_CREAT | os.O_WRONLY, 0o600),
        "list": call(257, AT_FDCWD, outside, os.O_RDONLY | os.O_DIRECTORY, 0),
        "truncate": call(76, there, 0),
        "unlink": call(87, there),
        "rename": call(82, there, f"{outside}/renamed"),
        "mkdir": call(83, f"{outside}/folder", 0o700),
        "symlink": call(88, "/", f"{outside}/link"),
        "link": call(86, there, f"{outside}/second"),
        "inet": call(41, 2, 1, 0),
        "unix": call(41, 1, 1, 0),
        "kill": call(62, bystander, 15),
        "tgkill": call(234, bystander, bystander, 15),
        "sigqueue": call(129, bystander, 15, room),
        "pidfd": signal_by_pidfd(),
        "parent": call(62, os.getppid(), 15),
        "memory": call(257, AT_FDCWD, f"/proc/{bystander}/mem", os.O_RDWR, 0),
        "vm_readv": call(310, bystander, room, 1, room, 1, 0),
        "ptrace": call(101, 16, bystander, 0, 0),
        "limit": call(302, bystander, 7, 0, room),
        "execve": call(59, "/bin/true", 0, 0),
        "execveat": call(322, AT_FDCWD, "/bin/true", 0, 0, 0),
        "mount": call(165, "none", outside, "tmpfs", 0, 0),
        "chroot": call(161, outside),
        "unshare": call(272, 0x10000000),
        "namespace": call(56, 0x10000000 | 17, 0, 0, 0, 0),
        "io_uring": call(425, 1, room),
        "bpf": call(321, 0, room, 64),
        "perf": call(298, room, 0, -1, -1, 0),
        "keys": call(248, "user", "x", "y", 1, -3),
        "terminal": call(16, 0, 0x5412, room),
        "owner": call(72, 0, 8, bystander),
    }


class Subverted(RunHooks):
    def __init__(self) -> None:
        self.done = False

    def on_exec(self, machine: WatchableMachine, space: AddressSpace, process: int, program: str) -> None:
        machine.watch_blocks(1, 0, self.block)

    def block(self, address: int) -> None:
        if not self.done:
            self.done = True
            for name, error in attempts().items():
                print(name, error)
            sys.stdout.flush()


parsed = parse("attempts", [*words, program])
assert not isinstance(parsed, int)
raise SystemExit(Runner(parsed[0], (Subverted(),), Host(confine=Sandbox().confine)).run())
