"""One side of a comparison: the program run against one version of the library, in a process of its own, with everything that the
comparison needs written to one directory.

    lib/             the library under every file name that anything may ask for it: the guest's /.uselib-abi
    trace            calls made by anything but the library under test, and their returns (emulator/trace/store/format.py)
    stdout stderr    what the program wrote
    dir0, dir1, ...  copies of the writable directories: both sides begin with the same files, and neither sees the other's
    summary-N.json   digests of all events of process N (digest.py): the trace has only the first
    effects-N.json   what process N did to files and processes, data-N.json the exported data it used
    end.json         how it ended

The guest sees the library under one and the same path on both sides, so that no string and no stack address differs for that.
"""

from __future__ import annotations

import ctypes
import hashlib
import json
import os
import shutil
import signal
import sys
import traceback
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from uselib.abi.dynamic.run import data_watch as watch
from uselib.abi.dynamic.run.data_watch import DataWatch, Watched
from uselib.abi.dynamic.run.digest import KEPT, ComparedWordsAt, DigestSink
from uselib.emulator.kernel import table
from uselib.emulator.kernel.dispatch import BoundSyscall
from uselib.emulator.kernel.process import Process
from uselib.emulator.kernel.strace.effects import changes, effect_text, target
from uselib.emulator.kernel.structs import structs_of
from uselib.emulator.kernel.table import Effect, Syscall
from uselib.emulator.kernel.vfs.filesystem import FileSystem
from uselib.emulator.kernel.vfs.namespace import Handle, Node
from uselib.emulator.machine import engine
from uselib.emulator.process.hooks import RunHooks
from uselib.emulator.process.host import Death, Host
from uselib.emulator.process.interfaces import Kernel, ProcessEnded, WatchableMachine
from uselib.emulator.process.kernel_tap import KernelTap
from uselib.emulator.process.run import Runner
from uselib.emulator.process.run_options import RunOptions
from uselib.emulator.trace.record.backend import NO_LIMIT, Backend, Want
from uselib.emulator.trace.record.files import KnownFile
from uselib.emulator.trace.record.filters import Filters
from uselib.emulator.trace.record.program_recording import RecordedFunction, joined
from uselib.emulator.trace.record.record_options import RecordOptions
from uselib.emulator.trace.record.recorder import Recorder
from uselib.emulator.trace.record.recording_hooks import RecordingHooks
from uselib.emulator.trace.record.select_backend import native_available
from uselib.linker.errors import ToolError
from uselib.linker.image import Machine
from uselib.loader.memory.address_space import AddressSpace
from uselib.loader.memory.vma import Vma

_PR_SET_PDEATHSIG = 1
GUEST_DIRECTORY = "/.uselib-abi"
MOST_CALLS = 1 << 23  # recorded of one process; 64 bytes each, and as much for returns
MOST_EFFECTS = 1 << 20

_LIMITS = ("--max-instructions", "--max-seconds", "--max-memory")

NameWants = Callable[[str], tuple[int, tuple[Want, ...]]]


@dataclass(frozen=True)
class Job:
    """What one side runs. names: file names of the library, for its directory; bound: slot address -> the function that the
    program means; wants: function -> argument words and what to copy."""

    directory: str
    library: str
    names: tuple[str, ...]
    base: int
    end: int
    options: RunOptions
    bound: dict[int, str]
    wants: NameWants
    watched: Watched  # exported data
    shape: ComparedWordsAt
    kept: int = KEPT  # records of a process in the trace file
    calls: int = MOST_CALLS  # calls of a process that are seen at all


@dataclass(frozen=True)
class End:
    """How the main process ended. error: it could not be started. messages: what `uselib run` would say of its death."""

    status: int = 0
    signal: int = 0
    reason: str = ""
    error: str = ""


@dataclass
class SideRun:
    """A finished side, still on disk."""

    job: Job
    end: End
    stdout: bytes
    stderr: bytes
    files: dict[str, str]

    @property
    def trace(self) -> str:
        return os.path.join(self.job.directory, "trace")

    @property
    def limit(self) -> str:
        """The option whose limit ended it, or empty."""
        reason = self.end.reason
        return next((option for option in _LIMITS if reason and option in reason), "")

    def effects(self, process: int) -> tuple[dict[str, int], list[tuple[int, str]]]:
        """Of a process: its system calls by number, and those that change something: (latest event before it, text)."""
        found = self._load("effects", process)
        return (found["counts"], found["effects"]) if found else ({}, [])

    def data(self, process: int) -> dict[str, Any]:
        """Its uses of exported data: `rows` and `log` (watch.py)."""
        return self._load("data", process) or {"rows": [], "log": [], "lost": 0, "maps": []}

    def summary(self, process: int) -> dict[str, Any]:
        """Digests and counts of its events (digest.py)."""
        return self._load("summary", process) or {"digests": [], "counts": [], "events": 0, "whole": True}

    def _load(self, kind: str, process: int) -> dict[str, Any]:
        try:
            with open(os.path.join(self.job.directory, f"{kind}-{process}.json")) as file:
                found: dict[str, Any] = json.load(file)
                return found
        except (OSError, ValueError):
            return {}


# -- putting the library in place ---------------------------------------------------------------------------------------


def place_library(directory: str, data: bytes, names: Sequence[str]) -> None:
    """The library under all its names in DIRECTORY/lib. (What .so files will need goes here too.)"""
    folder = Path(directory, "lib")
    folder.mkdir()
    first = folder / names[0]
    first.write_bytes(data)
    first.chmod(0o755)
    for name in names[1:]:
        os.link(first, folder / name)


def mount(files: FileSystem, guest: str, host: str, writable: bool) -> None:
    """The guest finds the host's directory at a path of its own choice, instead of whatever is there."""
    node = files.namespace.root
    for part in os.fsencode(guest).split(b"/"):
        if part:
            node = node.children.setdefault(part, Node())
    node.handle = Handle(os.open(host, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC))
    node.file, node.writable = b"", writable
    node.children = {name: child for name, child in node.children.items() if child.special is not None}


class SideHooks(RunHooks):
    """The guest finds the library under test before any other, and copies of its writable directories. end: how its first process ended."""

    def __init__(self, job: Job, mounts: Sequence[tuple[str, str]]) -> None:
        self._job, self._mounts = job, mounts
        self.end = End()

    def before_run(self, process: Process, environment: dict[str, str]) -> None:
        mount(process.fs, GUEST_DIRECTORY, os.path.join(self._job.directory, "lib"), False)
        process.substitutes = GUEST_DIRECTORY  # for what exec maps, whatever the environment says
        for guest, host in self._mounts:
            mount(process.fs, guest, host, True)
        if self._job.options.root is None:
            process.fs.chdir(None, os.fsencode(os.getcwd()))  # which may lie in a copy
        before = environment.pop("LD_LIBRARY_PATH", None)
        environment["LD_LIBRARY_PATH"] = GUEST_DIRECTORY if before is None else f"{GUEST_DIRECTORY}:{before}"
        self._process = process

    def finished(self, end: ProcessEnded) -> None:
        if not self._process.forked:
            self.end = End(0 if end.signal else end.code, end.signal, end.reason)


def _no_report(_death: Death, _options: RunOptions) -> None:
    """Nothing on the program's stderr: addresses in it would differ between versions."""


# -- recording ----------------------------------------------------------------------------------------------------------


class SideRecording(RecordingHooks):
    """Records calls of everything but the library under test, and what a process does to the outside world."""

    def __init__(self, sink: DigestSink, job: Job) -> None:
        self._digests = sink
        self._job = job
        self._maps: list[tuple[int, int]] = []  # memory that was mapped at any time: what a pointer may lead to
        self._effects: list[tuple[int, str]] = []
        self._counts: Counter[str] = Counter()
        self._watch: DataWatch | None = None

    def program_started(self, machine: WatchableMachine, space: AddressSpace, backend: Backend) -> None:
        self._space, self._backend, self._maps = space, backend, []
        self._architecture = Machine.I386 if machine.bits == 32 else Machine.X86_64
        self._calls = {
            n: BoundSyscall(row, self._architecture) for n, row in table.for_machine(self._architecture).items()
        }
        backend.set_callers([(0, self._job.base + 1), (self._job.end + 1, NO_LIMIT)])
        if machine.kernel is not None:
            machine.kernel = KernelTap(machine.kernel, system_call=self._system_call)
        if self._job.watched.pages:
            self._watch = DataWatch(machine, space, self._job.watched, backend)

    def mapped(self, vma: Vma) -> None:
        if vma.file is None:
            self._maps.append((vma.start, vma.end))

    def forked(self) -> None:
        self._effects, self._counts = [], Counter()
        if self._watch is not None:
            self._watch.forget()

    def program_ended(self, process: int) -> None:
        found = self._watch.result() if self._watch is not None else {"rows": [], "log": [], "lost": 0}
        maps = joined([*self._maps, *((vma.start, vma.end) for vma in self._space)])
        texts = {
            "summary": self._digests.summary(process),
            "effects": {"counts": dict(self._counts), "effects": self._effects},
            "data": {**found, "maps": maps},
        }
        self._effects, self._counts = [], Counter()
        for kind, value in texts.items():
            with open(os.path.join(self._job.directory, f"{kind}-{process}.json"), "w") as file:
                json.dump(value, file)

    # -- system calls -----------------------------------------------------------------------------------------------------

    def _system_call(self, kernel: Kernel, number: int, arguments: list[int]) -> int:
        call = self._calls.get(number)
        self._counts[call.row.name if call is not None else table.name_of(number, self._architecture)] += 1
        if call is None or call.row.effect is Effect.NONE:
            return kernel.system_call(number, arguments)
        at = self._note(call.row, call.arguments(arguments))
        result = kernel.system_call(number, arguments)
        if at >= 0 and call.row.effect is Effect.OUTPUT and result > 0:
            sequence, text = self._effects[at]
            self._effects[at] = sequence, f"{text} {result}"
        return result

    def _note(self, row: Syscall, arguments: Sequence[int]) -> int:
        """Writes the call's effect down, before the call; returns its index in the list, -1 if there is none."""
        if len(self._effects) >= MOST_EFFECTS or not changes(row, arguments):
            return -1
        if row.effect is Effect.OUTPUT:
            text = f"> {target(row, arguments)}"
        else:
            text = effect_text(row, arguments, self._space, structs_of(self._architecture))
        self._effects.append((self._backend.sequence, text))
        return len(self._effects) - 1


def side_recorder(sink: DigestSink, job: Job) -> Recorder:
    """The recorder of one side."""

    def wants(
        function: RecordedFunction, _machine: Machine, _known: Sequence[KnownFile]
    ) -> tuple[int, tuple[Want, ...]]:
        return job.wants(job.bound.get(function.address, function.name))

    options = RecordOptions(returns=True, filters=Filters(first=job.calls))
    return Recorder(sink, options, wants, (SideRecording(sink, job),))


# -- the process --------------------------------------------------------------------------------------------------------


def warm_up(machine: Machine) -> None:
    """Loads what both sides need before they are forked, so that it is loaded once."""
    engine.library()
    native_available()
    watch.library()
    table.for_machine(machine)


def start_side(job: Job, stdin: bytes) -> int:
    """Starts a side; returns its process id. Its directory must exist and be empty."""
    pid = os.fork()
    if pid:
        return pid
    try:
        _side(job, stdin)
    except BaseException:
        traceback.print_exc()
        os._exit(70)
    os._exit(0)


def finish_side(job: Job, pid: int) -> SideRun:
    """Waits for it."""
    _, status = os.waitpid(pid, 0)
    folder = Path(job.directory)
    try:
        end = End(**json.loads((folder / "end.json").read_text()))
    except (OSError, ValueError):
        said = (folder / "stderr").read_text(errors="replace") if (folder / "stderr").exists() else ""
        end = End(error=f"the run ended without a result (status {status}) {said[-400:]}")
    read = [(folder / name).read_bytes() if (folder / name).exists() else b"" for name in ("stdout", "stderr")]
    try:
        files = json.loads((folder / "files.json").read_text())
    except (OSError, ValueError):
        files = {}
    return SideRun(job, end, read[0], read[1], files)


def _side(job: Job, stdin: bytes) -> None:
    folder = job.directory
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)  # prctl(2): ends with the process that compares
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)
    _standard_files(folder, stdin)
    options, mounts = _copies(job)
    before = {host: _states(host) for _, host in mounts}
    meta = {"clock": "calls", "command": [options.program, *options.arguments]}
    sink = DigestSink(os.path.join(folder, "trace"), meta, job.shape, job.kept)
    hooks = SideHooks(replace(job, options=options), mounts)
    end = End()
    try:
        Runner(options, (hooks, side_recorder(sink, job)), Host(report=_no_report)).run()
        end = hooks.end
    except ToolError as failure:
        end = End(error=str(failure.diagnostics[0]))
    sys.stdout.flush()
    written = {}
    for guest, host in mounts:
        written.update(_written(guest, host, before[host]))
    Path(folder, "files.json").write_text(json.dumps(written))
    Path(folder, "end.json").write_text(json.dumps(end.__dict__))


def _standard_files(folder: str, stdin: bytes) -> None:
    path = os.path.join(folder, "stdin")
    Path(path).write_bytes(stdin)
    for number, (name, flags) in enumerate(
        (("stdin", os.O_RDONLY), ("stdout", os.O_RDWR), ("stderr", os.O_RDWR)),
    ):
        fd = os.open(os.path.join(folder, name), flags | (os.O_CREAT | os.O_APPEND if number else 0), 0o600)
        os.dup2(fd, number)
        os.close(fd)


def _copies(job: Job) -> tuple[RunOptions, list[tuple[str, str]]]:
    """The options without writable directories, and (guest path, copy) of each, outer ones first. Raises OSError."""
    mounts: list[tuple[str, str]] = []
    for number, name in enumerate(sorted({os.path.realpath(name) for name in job.options.writable})):
        if any(name.startswith(outer.rstrip("/") + "/") for outer, _ in mounts):
            continue
        copy = os.path.join(job.directory, f"dir{number}")
        shutil.copytree(name, copy, symlinks=True)
        mounts.append((name, copy))
    return replace(job.options, writable=()), mounts


def _states(top: str) -> dict[str, tuple[int, int, int]]:
    found = {}
    for folder, _, files in os.walk(top):
        for name in files:
            path = os.path.join(folder, name)
            status = os.lstat(path)
            found[path] = status.st_ino, status.st_size, status.st_mtime_ns
    return found


def _written(guest: str, host: str, before: dict[str, tuple[int, int, int]]) -> dict[str, str]:
    """Guest path -> SHA-256 of each file that is new or changed; `removed` of each that has gone."""
    after = _states(host)
    found = {}
    for path, state in sorted(after.items()):
        if before.get(path) != state:
            found[guest + path[len(host) :]] = _digest(path)
    for path in sorted(before.keys() - after.keys()):
        found[guest + path[len(host) :]] = "removed"
    return found


def _digest(path: str) -> str:
    if os.path.islink(path):
        return "link to " + os.readlink(path)
    if not os.path.isfile(path):
        return "special file"
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
