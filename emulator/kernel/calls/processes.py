"""Processes: fork, exec, exit (wait is in waits.py, what concerns a thread in threads.py).

A guest fork is a fork of the host process: memory, descriptors and the CPU's state are inherited by the host's own
copy-on-write. vfork is fork. Threads (clone with a shared address space) are refused.
Source: kernel/fork.c, kernel/exit.c, fs/exec.c, kernel/futex, arch/x86/kernel/tls.c of Linux.
"""

from __future__ import annotations

import errno
import os
import stat
import sys
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from uselib.emulator.kernel import arguments as a
from uselib.emulator.kernel import constants as C
from uselib.emulator.kernel.eras import ERAS
from uselib.emulator.kernel.errors import GuestError
from uselib.emulator.kernel.table import Effect, Syscall, Undo
from uselib.emulator.process.interfaces import ProcessEnded, ProgramReplaced
from uselib.linker.errors import file_of
from uselib.linker.image import Machine
from uselib.loader.memory.address_space import MemoryFault
from uselib.loader.programs.exec import StartInfo, script_interpreter

if TYPE_CHECKING:
    from uselib.emulator.kernel.process import Process
    from uselib.loader.memory.address_space import AddressSpace
    from uselib.loader.programs.binfmt import RecognisedProgram
    from uselib.loader.programs.exec import Started
    from uselib.loader.programs.kernel_libraries import Opened

CLONE_VM, CLONE_VFORK, CLONE_THREAD = 0x100, 0x4000, 0x10000
CLONE_PARENT_SETTID, CLONE_CHILD_CLEARTID, CLONE_CHILD_SETTID, CLONE_SETTLS = 0x100000, 0x200000, 0x1000000, 0x80000
ELIBEXEC = 83  # "Cannot exec a shared library directly"
_SCRIPT_DEPTH = 5
_HEAD = 4096


# -- exit -----------------------------------------------------------------------------------------------------------------


def sys_exit(process: Process, status: int) -> int:
    raise ProcessEnded(status & 0xFF)


# -- fork and clone -------------------------------------------------------------------------------------------------------


def sys_fork(process: Process) -> int:
    return _fork(process)


def sys_vfork(process: Process) -> int:
    return _fork(process, borrow=True)


def give_back(process: Process) -> None:
    """A vfork child has called execve or is about to end: its parent goes on."""
    if process.borrowed >= 0:
        os.close(process.borrowed)
        process.borrowed = -1


def _fork(process: Process, *, borrow: bool = False) -> int:
    """borrow: vfork's order of events, the parent waiting for the child's execve or end. Memory is not shared."""
    most = process.limits.processes
    if not process.pids.has_room(most):
        process.talk.once(f"it has {most} processes, as many as it may (--max-processes): fork gets EAGAIN")
        raise GuestError(errno.EAGAIN)
    child = process.pids.reserve()
    for action in process.before_fork:
        action()
    sys.stdout.flush()
    sys.stderr.flush()
    process.clock.shared = True
    known, register = os.pipe2(os.O_CLOEXEC)  # the parent goes on once the child is in the table
    wait, done = os.pipe2(os.O_CLOEXEC) if borrow else (-1, -1)
    host = os.fork()
    if host:
        os.close(register)
        os.read(known, 1)
        os.close(known)
        if borrow:
            os.close(done)
            os.read(wait, 1)
            os.close(wait)
        return child
    who = process.identity
    process.pids.register(child, who.pid)
    os.close(known)
    os.close(register)
    give_back(process)  # our parent's, if that is a vfork child itself
    if borrow:
        os.close(wait)
        process.borrowed = done
    who.parent, who.pid = who.pid, child
    process.thread.tid = child
    process.random.reseed(child)
    process.forked = True
    process.signals.after_fork()
    for action in process.on_fork:
        action()
    return 0


def sys_clone_64(process: Process, flags: int, stack: int, parent: int, child: int, tls: int) -> int:
    return _clone(process, flags, stack, parent, child, tls)


def sys_clone_32(process: Process, flags: int, stack: int, parent: int, tls: int, child: int) -> int:
    return _clone(process, flags, stack, parent, child, tls)


def _clone(process: Process, flags: int, stack: int, parent: int, child: int, tls: int) -> int:
    if flags & CLONE_THREAD or (flags & CLONE_VM and not flags & CLONE_VFORK):
        process.talk.once("the program wants to start a thread, which is not supported: it gets ENOSYS")
        raise GuestError(errno.ENOSYS)
    pid = _fork(process, borrow=bool(flags & CLONE_VFORK))
    if pid:
        if flags & CLONE_PARENT_SETTID:
            process.memory.write(parent, pid.to_bytes(4, "little"))
        return pid
    if flags & CLONE_CHILD_SETTID:
        process.memory.write(child, process.identity.pid.to_bytes(4, "little"))
    if flags & CLONE_SETTLS and process.machine is Machine.X86_64:
        process.cpu.set_fs_base(tls)
    if stack:
        registers = process.cpu.general()
        registers[7] = stack
        process.cpu.set_general(registers)
    return 0


# -- exec -----------------------------------------------------------------------------------------------------------------


def read_strings(process: Process, address: int) -> list[bytes]:
    """A NULL-terminated array of strings. Raises MemoryFault, GuestError(E2BIG)."""
    word, found, total = process.machine.word, [], 0
    while address:
        pointer = int.from_bytes(process.memory.read(address, word), "little")
        if not pointer:
            break
        text = process.memory.read_string(pointer, 32 * 4096)
        total += len(text) + 1 + word
        if total > process.memory.stack_limit // 4:
            raise GuestError(errno.E2BIG)
        found.append(text)
        address += word
    return found


def sys_execve(process: Process, path: int, argv: int, envp: int) -> int:
    name = process.memory.read_string(path, C.PATH_MAX)
    return execute(process, name, read_strings(process, argv), read_strings(process, envp))


def execute(process: Process, name: bytes, arguments: list[bytes], environment: list[bytes]) -> int:
    """Loads a program into a new address space; does not return if that succeeds. Raises GuestError, OSError."""
    from uselib.linker.errors import FormatError
    from uselib.loader.programs.binfmt import recognise
    from uselib.loader.programs.headers import library_header

    shown = name
    for _ in range(_SCRIPT_DEPTH):
        found = process.fs.existing(None, name)
        if found.directory is not None:
            raise GuestError(errno.EACCES)
        opened = process.fs.open(None, name, C.O_RDONLY | C.O_CLOEXEC, 0)
        try:
            status = os.fstat(opened.fd) if opened.fd >= 0 else None
            if status is None or not stat.S_ISREG(status.st_mode) or not status.st_mode & 0o111:
                raise GuestError(errno.EACCES)
            head = os.pread(opened.fd, _HEAD, 0)
            script = script_interpreter(head)
            if script is None:
                try:
                    program = recognise(head, name.decode("utf-8", "replace"))
                except FormatError:
                    raise GuestError(errno.ENOEXEC) from None
                except OSError as failure:  # ELIBEXEC
                    raise GuestError(failure.errno or errno.ENOEXEC) from None
                if library_header(head, "") is not None:
                    raise GuestError(ELIBEXEC)
                image = program.image
                era = ERAS[program.format.era]
                if not arguments and era.fills_argv:
                    arguments = [b""]
                space = program.space(process.memory)
                try:
                    who = process.identity
                    info = StartInfo(shown, process.random.take(16), who.uid, who.gid)
                    label = opened.path.decode("utf-8", "surrogateescape")
                    started = program.format.start(space, image, opened.fd, label, arguments, environment, info)
                    started = _kernel_libraries(process, program, space, opened.fd, started)
                except GuestError:
                    space.release()
                    raise
                except (OSError, MemoryFault) as failure:
                    space.release()
                    raise GuestError(
                        failure.errno or errno.ENOEXEC if isinstance(failure, OSError) else errno.ENOEXEC
                    ) from None
                who.name = os.path.basename(shown)[:15].decode("utf-8", "replace")
                who.executable = label
                who.command_line = tuple(arguments)
                process.era = era
                process.libraries = 0
                give_back(process)
                process.files.close_on_exec()
                process.thread.after_exec(who.pid)
                process.signals.after_exec()
                raise ProgramReplaced(space, image, started)
            interpreter, option = script
            arguments = [interpreter, *([option] if option else []), name, *arguments[1:]]
            name = interpreter
        finally:
            if opened.fd >= 0:
                os.close(opened.fd)
    raise GuestError(errno.ELOOP)


def _kernel_libraries(
    process: Process, program: RecognisedProgram, space: AddressSpace, fd: int, started: Started
) -> Started:
    """What exec maps besides the program: libraries (scheme `kernel`), an interpreter. Raises GuestError, with a message to the user."""
    known = program.format
    if known.map_libraries is None:
        return started
    try:
        entry = known.map_libraries(space, program.image, fd, partial(_open_library, process))
    except OSError as failure:
        number = failure.errno or errno.ENOEXEC
        if failure.filename:
            what = "Address range is occupied" if number == errno.EEXIST else os.strerror(number)
            process.talk.once(f"can't load library '{file_of(failure)}': {what}")
        elif number == errno.ENOENT:
            process.talk.once("the program is linked dynamically; only static programs run here")
        raise GuestError(number) from None
    return started if entry is None else replace(started, entry=entry)


def _open_library(process: Process, path: str) -> Opened:
    """A file of the guest's, for mapping. Raises OSError."""
    from uselib.loader.programs.kernel_libraries import Opened

    if process.substitutes and not path.startswith(process.substitutes):
        with suppress(OSError):
            return _open_library(process, os.path.join(process.substitutes, os.path.basename(path)))
    try:
        opened = process.fs.open(None, os.fsencode(path), C.O_RDONLY | C.O_CLOEXEC, 0)
    except GuestError as failure:
        raise OSError(failure.errno, os.strerror(failure.errno)) from None
    if opened.fd < 0:
        raise OSError(errno.EACCES, os.strerror(errno.EACCES))
    return Opened(opened.fd, opened.path.decode("utf-8", "surrogateescape"))


_CLONE_FLAGS = a.flags("clone", a.Width.WORD)

PROCESSES = (
    Syscall("exit", sys_exit, (a.INT,), undo=Undo.MEMORY),
    Syscall("exit_group", sys_exit, (a.INT,), undo=Undo.MEMORY),
    Syscall("fork", sys_fork, effect=Effect.PROCESSES, undo=Undo.NEVER),
    Syscall("vfork", sys_vfork, effect=Effect.PROCESSES, undo=Undo.NEVER),
    Syscall(
        "clone",
        sys_clone_64,
        (_CLONE_FLAGS, a.PTR, a.PTR_OUT, a.PTR_OUT, a.PTR),
        Machine.X86_64,
        effect=Effect.PROCESSES,
        undo=Undo.NEVER,
    ),
    Syscall(
        "clone",
        sys_clone_32,
        (_CLONE_FLAGS, a.PTR, a.PTR_OUT, a.PTR, a.PTR_OUT),
        Machine.I386,
        effect=Effect.PROCESSES,
        undo=Undo.NEVER,
    ),
    Syscall("execve", sys_execve, (a.PATH, a.STRINGS, a.ENVIRONMENT), effect=Effect.PROCESSES, undo=Undo.NEVER),
)
