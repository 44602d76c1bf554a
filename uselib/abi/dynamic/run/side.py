"""One side of a comparison: the program run against one version of the library, in a process of its own, with everything that the
comparison needs written to one directory.

    lib/             the library under every file name that anything may ask for it: the guest's /.uselib-abi
    trace            calls made by anything but the library under test, and their returns (emulator/trace/store/format.py)
    stdout stderr    what the program wrote
    dir0, dir1, ...  copies of the writable directories: both sides begin with the same files, and neither sees the other's
    summary-N.json   digests of all events of process N (digest.py): the trace has only the first
    effects-N.json   what process N did to files and processes, data-N.json the exported data it used
    end.json         how it ended

The guest sees the library under the same path on both sides, so that the path causes no difference in strings or stack addresses.
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
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from uselib.abi.dynamic.run import data_watch as watch
from uselib.abi.dynamic.run.digest import DigestSink
from uselib.abi.dynamic.run.side_recording import side_recorder
from uselib.abi.dynamic.run.side_run import GUEST_DIRECTORY, SideEnd, SideJob, SideRun
from uselib.emulator.kernel import table
from uselib.emulator.kernel.process import Process
from uselib.emulator.kernel.vfs.filesystem import FileSystem
from uselib.emulator.kernel.vfs.places import Handle, Node
from uselib.emulator.machine import unicorn_library
from uselib.emulator.process.hooks import RunHooks
from uselib.emulator.process.host import Death, Host
from uselib.emulator.process.interfaces import ProcessEnded
from uselib.emulator.process.run import Runner
from uselib.emulator.process.run_options import RunOptions
from uselib.emulator.sandbox.sandbox import Sandbox
from uselib.emulator.trace.record.select_backend import native_available
from uselib.linker.errors import ToolError

_PR_SET_PDEATHSIG = 1
# -- putting the library in place ---------------------------------------------------------------------------------------


def place_library(directory: str, data: bytes, names: Sequence[str]) -> None:
    """The library under all its names in DIRECTORY/lib. This is the place to extend for other kinds of libraries."""
    folder = Path(directory, "lib")
    folder.mkdir()
    first = folder / names[0]
    first.write_bytes(data)
    first.chmod(0o755)
    for name in names[1:]:
        os.link(first, folder / name)


def mount(files: FileSystem, guest: str, host: str, writable: bool) -> None:
    """Mounts a host directory at a path of the guest, in place of the one there."""
    node = files.namespace.root
    for part in os.fsencode(guest).split(b"/"):
        if part:
            node = node.children.setdefault(part, Node())
    node.handle = Handle(os.open(host, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC))
    node.file, node.writable = b"", writable
    node.children = {name: child for name, child in node.children.items() if child.special is not None}


class SideHooks(RunHooks):
    """Has the guest find the library under test before any other, and copies of its writable directories. end: how its first process
    ended.
    """

    def __init__(self, job: SideJob, mounts: Sequence[tuple[str, str]]) -> None:
        self._job, self._mounts = job, mounts
        self.end = SideEnd()

    def before_run(self, process: Process, environment: dict[str, str]) -> None:
        mount(process.fs, GUEST_DIRECTORY, os.path.join(self._job.directory, "lib"), False)
        process.substitutes = GUEST_DIRECTORY  # for libraries that exec maps, whatever the environment says
        for guest, host in self._mounts:
            mount(process.fs, guest, host, True)
        if self._job.options.root is None:
            process.fs.chdir(None, os.fsencode(os.getcwd()))  # which may lie in a copy
        before = environment.pop("LD_LIBRARY_PATH", None)
        environment["LD_LIBRARY_PATH"] = GUEST_DIRECTORY if before is None else f"{GUEST_DIRECTORY}:{before}"
        self._process = process

    def finished(self, end: ProcessEnded) -> None:
        if not self._process.forked:
            self.end = SideEnd(0 if end.signal else end.code, end.signal, end.reason)


def _no_report(_death: Death, _options: RunOptions) -> None:
    """Prints no report on the program's stderr, since its addresses would differ between versions."""


# -- the process --------------------------------------------------------------------------------------------------------


def warm_up() -> None:
    """Imports the modules that both sides need before they are forked, so that they are imported once."""
    unicorn_library.library()
    native_available()
    watch.library()
    table.rows()


def start_side(job: SideJob, stdin: bytes) -> int:
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


def finish_side(job: SideJob, pid: int) -> SideRun:
    """Waits for a side that was started, and reads its results."""
    _, status = os.waitpid(pid, 0)
    folder = Path(job.directory)
    try:
        end = SideEnd(**json.loads((folder / "end.json").read_text()))
    except (OSError, ValueError):
        said = (folder / "stderr").read_text(errors="replace") if (folder / "stderr").exists() else ""
        end = SideEnd(error=f"the run ended without a result (status {status}) {said[-400:]}")
    read = [(folder / name).read_bytes() if (folder / name).exists() else b"" for name in ("stdout", "stderr")]
    try:
        files = json.loads((folder / "files.json").read_text())
    except (OSError, ValueError):
        files = {}
    return SideRun(job, end, read[0], read[1], files)


def _side(job: SideJob, stdin: bytes) -> None:
    folder = job.directory
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)  # prctl(2): ends with its parent
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)
    _standard_files(folder, stdin)
    options, mounts = _copies(job)
    before = {host: _states(host) for _, host in mounts}
    meta = {"clock": "calls", "command": [options.program, *options.arguments]}
    sink = DigestSink(os.path.join(folder, "trace"), meta, job.shape, job.kept)
    hooks = SideHooks(replace(job, options=options), mounts)
    end = SideEnd()
    try:
        parts = Host(report=_no_report, confine=Sandbox(outputs=(folder,)).confine)
        Runner(options, (hooks, side_recorder(sink, job)), parts).run()
        end = hooks.end
    except ToolError as failure:
        end = SideEnd(error=str(failure.diagnostics[0]))
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


def _copies(job: SideJob) -> tuple[RunOptions, list[tuple[str, str]]]:
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
    """Guest path -> SHA-256 of each file that is new or changed; `removed` for a deleted file."""
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
