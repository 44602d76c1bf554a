"""The parts of a guest process, made from the options of a run: its files, its view of the file system, its environment, its limits."""

from __future__ import annotations

import os
from collections.abc import Callable

from uselib.emulator.kernel.clock import Clock, RandomBytes
from uselib.emulator.kernel.identity import ProcessIdentity
from uselib.emulator.kernel.limits import NOFILE, Limits, raise_host_limit
from uselib.emulator.kernel.pids import PidTable
from uselib.emulator.kernel.process import ForkEvents, Process
from uselib.emulator.kernel.signals.host_side import HostSignals, SignalEvents
from uselib.emulator.kernel.signals.state import SignalState
from uselib.emulator.kernel.threads.group import ThreadGroup
from uselib.emulator.kernel.threads.order import Seeded
from uselib.emulator.kernel.threads.thread import Thread
from uselib.emulator.kernel.vfs.descriptors import FileTable
from uselib.emulator.kernel.vfs.filesystem import FileSystem
from uselib.emulator.kernel.vfs.namespace import Namespace
from uselib.emulator.kernel.vfs.opening import ProcessView
from uselib.emulator.kernel.vfs.rights import FileRights
from uselib.emulator.process.no_program import no_program
from uselib.emulator.process.run_options import RunOptions
from uselib.linker.errors import Diagnostic, UsageError, file_of

PATH = "/usr/local/bin:/usr/bin:/bin"
_FILES = 1024  # open files at a time, without --max-files


def library_path(options: RunOptions) -> tuple[str, ...]:
    """The program's LD_LIBRARY_PATH: what the options say, or else the host's."""
    return options.library_path or tuple(part for part in os.environ.get("LD_LIBRARY_PATH", "").split(":") if part)


def program_path(options: RunOptions) -> str:
    """Where the program is on the host."""
    if options.root is not None and os.path.isabs(options.program):
        return os.path.join(options.root, options.program.lstrip("/"))
    return options.program


def environment(options: RunOptions) -> dict[str, str]:
    """Of the program, in its order. Raises UsageError."""
    values = {"PATH": PATH, "HOME": "/", "LANG": "C"}
    if libraries := library_path(options):
        values["LD_LIBRARY_PATH"] = ":".join(os.path.abspath(name) for name in libraries)
    if rule := os.environ.get("USELIB_VERSION_RULE"):  # so that `uselib ldd` says what happens here
        values["USELIB_VERSION_RULE"] = rule
    for item in options.environment:
        name, equals, value = item.partition("=")
        if not equals or not name:
            raise UsageError(Diagnostic("--env", f"`{item}` is not NAME=VALUE"))
        values[name] = value
    return values


def _inside(root: str, path: str) -> str | None:
    """The guest's name of a host's file or directory below its root; None if it lies elsewhere."""
    top, place = os.path.realpath(root), os.path.realpath(path)
    return place[len(top.rstrip("/")) :] or "/" if (place + "/").startswith(top.rstrip("/") + "/") else None


def _current_directory(options: RunOptions) -> str:
    """The host's, where the guest sees it, else the root."""
    if options.root is None:
        return os.getcwd()
    return _inside(options.root, os.getcwd()) or "/"


def _namespace(options: RunOptions, rights: FileRights) -> Namespace:
    """Raises UsageError."""
    program = program_path(options)
    readable = [*options.readable, *(name for name in library_path(options) if os.path.isdir(name))]
    if options.root is not None:  # what lies in the tree is there
        readable = [name for name in readable if _inside(options.root, name) is None]
    if os.path.exists(program) and (options.root is None or _inside(options.root, program) is None):
        readable.append(program)
    try:
        return Namespace.build(
            cwd=os.getcwd(),
            readable=readable,
            writable=options.writable,
            root=options.root,
            sysroot=options.sysroot,
            search=rights.search,
        )
    except OSError as failure:
        raise UsageError(Diagnostic(file_of(failure), failure.strerror or str(failure))) from None


def _limits(options: RunOptions) -> Limits:
    limits = Limits(processes=options.max_processes)
    if options.max_files is not None:
        limits.values[NOFILE] = (options.max_files, options.max_files)
    raise_host_limit(2 * limits.values[NOFILE][1])  # a guest's file takes up to two of the host's descriptors
    return limits


def make_process(
    options: RunOptions,
    files: Callable[[int], FileTable],
    host_signals: Callable[[Callable[[int, object], None], SignalEvents], HostSignals],
    signal_events: SignalEvents,
    fork_events: ForkEvents,
) -> Process:
    """A process without a program: its loader calls execve. files, host_signals: see Host. Raises UsageError."""
    clock = Clock(realtime=options.realtime)
    identity = ProcessIdentity() if options.user is None else ProcessIdentity.of(*options.user)
    identity.nice = os.getpriority(os.PRIO_PROCESS, 0)  # inherited, as the umask is
    thread, pids = Thread(identity.pid), PidTable()
    rights = FileRights(identity, enforced=options.user is not None)
    namespace = _namespace(options, rights)
    process = Process(
        no_program(options.max_memory),
        files(options.max_files or _FILES),
        FileSystem(namespace, os.fsencode(_current_directory(options)), rights),
        identity,
        thread,
        SignalState(identity, thread, clock, pids, signal_events, host_signals),
        clock,
        RandomBytes(None if options.realtime else options.seed),
        limits=_limits(options),
        threads=ThreadGroup(None if options.schedule is None else Seeded(options.schedule)),
        pids=pids,
        aslr=options.aslr,
        fork_events=fork_events,
    )
    namespace.attach(ProcessView(process))
    return process
