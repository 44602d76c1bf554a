"""execve(2): a new program in place of the old one.

The file is opened in the guest's tree. A script names its interpreter, which may be a script itself. The format's loader makes a new address
space. The old program is replaced only after that, so a failure leaves it as it was. (Linux has replaced it before it maps segments, and
kills the process if that fails.) Source: fs/exec.c, fs/binfmt_script.c of Linux.
"""

from __future__ import annotations

import errno
import os
import signal
import stat
from contextlib import suppress
from functools import partial

from uselib.emulator.kernel import arguments as a
from uselib.emulator.kernel import constants as C
from uselib.emulator.kernel.calls.processes import give_back
from uselib.emulator.kernel.eras import ERAS
from uselib.emulator.kernel.errors import GuestError
from uselib.emulator.kernel.pids import NOTIFY
from uselib.emulator.kernel.proc.facts import publish
from uselib.emulator.kernel.settings import PR_SET_KEEPCAPS
from uselib.emulator.kernel.table import Effect, Syscall, Undo
from uselib.emulator.kernel.threads import robust
from uselib.emulator.kernel.vfs.open_files import OpenedFile, open_file
from uselib.emulator.kernel.vfs.rights import SEARCH
from uselib.emulator.process.host_signals import change_mask
from uselib.emulator.process.interfaces import ProgramReplaced
from uselib.linker.errors import FormatError, file_of
from uselib.linker.quick_typing import TYPE_CHECKING
from uselib.loader.memory.address_space import MemoryFault
from uselib.loader.programs.binfmt import RecognisedProgram, recognise
from uselib.loader.programs.exec import StartInfo, script_interpreter
from uselib.loader.programs.headers import library_header

if TYPE_CHECKING:
    from collections.abc import Callable

    from uselib.emulator.kernel.process import Process
    from uselib.loader.programs.interpreter import Opened

ELIBEXEC = 83  # "Cannot exec a shared library directly"
_OPENED = 6  # files of one execve: five scripts and a program (exec_binprm)
_HEAD = 4096
_STRING = 32 * 4096  # bytes of one string with its NUL (MAX_ARG_STRLEN)
_STRINGS_MOST, _STRINGS_LEAST = 6 << 20, _STRING  # bytes of all strings and pointers: 3/4 of _STK_LIM, ARG_MAX
_POINTER = 8  # bytes that a pointer counts, whatever the program's word is
_REMEDY = "run it with --root /, or --root DIR of its tree"


class ExecError(GuestError):
    """execve fails for a reason that errno does not tell. program: the file concerned. explanation, remedy: as in Diagnostic."""

    def __init__(self, number: int, program: str, explanation: str, remedy: str = "") -> None:
        super().__init__(number)
        self.program, self.explanation, self.remedy = program, explanation, remedy

    def line(self) -> str:
        return f"{self.program}: {self.explanation}" + (f"; {self.remedy}" if self.remedy else "")


def _pointers(process: Process, address: int) -> list[int]:
    """A NULL-terminated array of addresses; address 0 is an empty one. Raises MemoryFault, GuestError(E2BIG)."""
    word, found = process.machine.word, list[int]()
    while address:
        pointer = int.from_bytes(process.memory.read(address, word), "little")
        if not pointer:
            break
        found.append(pointer)
        if len(found) * _POINTER > _most(process):
            raise GuestError(errno.E2BIG)
        address += word
    return found


def _most(process: Process) -> int:
    """Bytes that argv and envp may take (bprm_stack_limits)."""
    return max(min(process.memory.stack_limit // 4, _STRINGS_MOST), _STRINGS_LEAST)


def read_vectors(process: Process, opened: OpenedFile, argv: int, envp: int) -> tuple[list[bytes], list[bytes]]:
    """argv and envp. Both arrays are read before the strings, the strings from the last to the first. Closes the file if they cannot be read.
    Raises MemoryFault, GuestError(E2BIG).
    """
    try:
        arguments, environment = _pointers(process, argv), _pointers(process, envp)
        left = _most(process) - (max(len(arguments), 1) + len(environment)) * _POINTER
        found = []
        for pointer in [*reversed(environment), *reversed(arguments)]:
            text = process.memory.read_string(pointer, _STRING)
            left -= len(text) + 1
            if left < 0:
                raise GuestError(errno.E2BIG)
            found.append(text)
    except (MemoryFault, GuestError, OSError) as failure:
        os.close(opened.fd)
        if isinstance(failure, OSError) and failure.errno == errno.ENAMETOOLONG:
            raise GuestError(errno.E2BIG) from None
        raise
    found.reverse()
    return found[: len(arguments)], found[len(arguments) :]


def sys_execve(process: Process, path: int, argv: int, envp: int) -> int:
    """The file is opened before argv and envp are read, as in do_execveat_common: a file that is not there is ENOENT, whatever argv is."""
    name = process.memory.read_string(path, C.PATH_MAX)
    try:
        opened = open_program(process, name, b"")
        return execute(process, name, *read_vectors(process, opened, argv, envp), opened)
    except ExecError as failure:
        process.talk.once(failure.line())
        raise


def open_flags(follow: bool) -> int:
    return C.O_RDONLY | C.O_CLOEXEC | (0 if follow else C.O_NOFOLLOW)


def execute(
    process: Process,
    name: bytes,
    arguments: list[bytes],
    environment: list[bytes],
    first: OpenedFile | None = None,
    *,
    follow: bool = True,
) -> int:
    """Loads a program into a new address space. It does not return if that succeeds. first: the file, if it is open already; it is closed.
    Raises GuestError, OSError."""
    shown, script = name, b""
    for _ in range(_OPENED):
        opened = first or open_program(process, name, script, follow=follow)
        first, follow = None, True
        try:
            head = os.pread(opened.fd, _HEAD, 0)
            interpreter = script_interpreter(head)
            if interpreter is None:
                _replace(process, opened, head, shown, arguments, environment)
            assert interpreter is not None
            word, option = interpreter
            arguments = [word, *([option] if option else []), name, *arguments[1:]]
            name, script = word, name
        finally:
            os.close(opened.fd)
    raise GuestError(errno.ELOOP)


def open_program(process: Process, name: bytes, script: bytes, *, follow: bool = True) -> OpenedFile:
    """Opens a file that may be executed. script: the script whose interpreter it is, or empty. Raises GuestError, OSError."""
    try:
        found = process.fs.existing(None, name, follow)
    except GuestError as failure:
        if not script or failure.errno not in (errno.ENOENT, errno.ENOTDIR):
            raise
        what = f"its interpreter {os.fsdecode(name)} is not in the guest's tree"
        raise ExecError(failure.errno, os.fsdecode(script), what, _REMEDY) from None
    if found.directory is not None:
        raise GuestError(errno.EACCES)
    return check_program(process, open_file(process.fs, None, name, open_flags(follow), 0))


def check_program(process: Process, opened: OpenedFile) -> OpenedFile:
    """Closes the file if it may not be executed, and raises GuestError(EACCES)."""
    status = os.fstat(opened.fd) if opened.fd >= 0 else None
    rights = process.fs.rights
    allowed = status is not None and stat.S_ISREG(status.st_mode) and bool(status.st_mode & 0o111)
    if status is None or not allowed or (rights.enforced and not rights.allows(status, SEARCH)):
        if status is not None:
            os.close(opened.fd)
        raise GuestError(errno.EACCES)
    return opened


def _recognise(opened: OpenedFile, head: bytes) -> RecognisedProgram:
    """Raises GuestError: ENOEXEC, ELIBEXEC."""
    try:
        program = recognise(head, opened.path.decode("utf-8", "replace"), opened.fd)
    except FormatError:
        raise GuestError(errno.ENOEXEC) from None
    except OSError as failure:  # ELIBEXEC
        raise GuestError(failure.errno or errno.ENOEXEC) from None
    if library_header(head, "") is not None:
        raise GuestError(ELIBEXEC)
    return program


def _replace(
    process: Process,
    opened: OpenedFile,
    head: bytes,
    shown: bytes,
    arguments: list[bytes],
    environment: list[bytes],
) -> None:
    """Puts the program in an open file in place of the one that runs. shown: the path that execve was given. Raises ProgramReplaced;
    GuestError.
    """
    program = _recognise(opened, head)
    era = ERAS[program.format.era]
    if not arguments and era.fills_argv:
        arguments = [b""]
    label = opened.path.decode("utf-8", "surrogateescape")
    who = process.identity
    opener = partial(_open_library, process)
    info = StartInfo(shown, process.random.take(16), who.uid, who.gid, opener=opener)
    space = program.space(process.memory, _chance(process))
    try:
        started = program.format.start(space, program.image, opened.fd, label, arguments, environment, info)
        if program.format.map_libraries is not None:
            program.format.map_libraries(space, program.image, opened.fd, opener)
    except (OSError, MemoryFault) as failure:
        space.release()
        raise _failed(process, failure, os.fsdecode(shown)) from None
    ids = _set_ids(process, os.fstat(opened.fd))
    if not process.pids.alone:  # no questions of others until the new program is in place (ProgramReplaced)
        change_mask(signal.SIG_BLOCK, (NOTIFY,))
    who.after_exec(*ids)
    process.settings.controls.pop(PR_SET_KEEPCAPS, None)
    who.name = os.path.basename(shown)[:15].decode("utf-8", "replace")
    who.executable = label
    who.command_line = tuple(arguments)
    who.place(started.arguments, started.vectors, environment, program.image.machine.word, era.fills_argv)
    process.era = era
    process.libraries = 0
    give_back(process)
    process.files.close_on_exec()
    robust.after_exec(process)
    process.signals.after_exec()
    for action in process.shared.after_exec.values():
        action()
    process.pids.note_execve()
    publish(process)
    raise ProgramReplaced(space, program.image, started)


def _set_ids(process: Process, status: os.stat_result) -> tuple[int, int]:
    """Sets the effective user and group, which the file's set-id bits may change."""
    who = process.identity
    uid, gid, mode = process.fs.rights.owner(status)
    if process.settings.no_new_privileges or not process.fs.rights.enforced:
        return who.effective_uid, who.effective_gid
    group = bool(mode & stat.S_ISGID and mode & stat.S_IXGRP)
    return uid if mode & stat.S_ISUID else who.effective_uid, gid if group else who.effective_gid


def _chance(process: Process) -> Callable[[int], int] | None:
    """The random placement of `--aslr`: another one for each exec, the same in each run."""
    if process.aslr is None:
        return None
    from random import Random  # 1 ms to load

    return Random(b"%d" % process.aslr + process.random.take(8)).getrandbits


def _failed(process: Process, failure: OSError | MemoryFault, program: str) -> GuestError:
    """The error of execve if a loader fails. A library is named to the user."""
    from uselib.loader.programs.interpreter import InterpreterError

    if isinstance(failure, MemoryFault):
        return GuestError(errno.ENOEXEC)
    number = failure.errno or errno.ENOEXEC
    if isinstance(failure, InterpreterError):
        return ExecError(number, program, failure.explanation, failure.remedy)
    if failure.filename:
        what = "Address range is occupied" if number == errno.EEXIST else os.strerror(number)
        process.talk.once(f"can't load library '{file_of(failure)}': {what}")
    return GuestError(number)


def _open_library(process: Process, path: str) -> Opened:
    """Opens a file of the guest for mapping. Raises OSError."""
    from uselib.loader.programs.interpreter import Opened

    if process.substitutes and not path.startswith(process.substitutes):
        with suppress(OSError):
            return _open_library(process, os.path.join(process.substitutes, os.path.basename(path)))
    try:
        opened = open_file(process.fs, None, os.fsencode(path), C.O_RDONLY | C.O_CLOEXEC, 0)
    except GuestError as failure:
        raise OSError(failure.errno, os.strerror(failure.errno)) from None
    if opened.fd < 0:
        raise OSError(errno.EACCES, os.strerror(errno.EACCES))
    return Opened(opened.fd, opened.path.decode("utf-8", "surrogateescape"))


ROWS = (Syscall("execve", sys_execve, (a.PATH, a.STRINGS, a.ENVIRONMENT), effect=Effect.PROCESSES, undo=Undo.NEVER),)
