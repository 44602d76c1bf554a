"""The sandbox of a run: what the options grant, put in force by the host's kernel before the first guest instruction.

Each part that the kernel does not have is left out, and `Sandbox.lines` says so (`uselib run --explain-confinement`).
"""

from __future__ import annotations

import ctypes
import os
import resource
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from importlib.util import cache_from_source

from uselib.emulator.kernel import calls as calls_package
from uselib.emulator.kernel import table
from uselib.emulator.kernel.families import FAMILIES
from uselib.emulator.kernel.process import Process
from uselib.emulator.kernel.vfs.places import Node
from uselib.emulator.process.run_options import RunOptions
from uselib.emulator.sandbox import landlock, seccomp
from uselib.emulator.sandbox import system_calls as calls

_PR_SET_NO_NEW_PRIVS = 38
_PATH = os.O_PATH | os.O_CLOEXEC
_SHARED_OBJECTS = ("/lib", "/lib64", "/usr/lib", "/usr/lib64", "/etc/ld.so.cache")
_UNUSED = [getattr(resource, f"RLIMIT_{name}") for name in ("CORE", "MEMLOCK", "MSGQUEUE", "RTPRIO", "NICE")]
_DEVICES = ("/dev/null", "/dev/zero", "/dev/full")


def owns_process() -> bool:
    """Whether this process is `uselib run` or `uselib trace`, and not a program that calls their functions and goes on."""
    main = sys.modules.get("__main__")
    spec = getattr(main, "__spec__", None)
    name = spec.name if spec is not None else os.path.basename(getattr(main, "__file__", None) or "")
    return name in ("uselib", "uselib.cli", "uselib.__main__") and sys.argv[1:2] in (["run"], ["trace"])


class Sandbox:
    """Host.confine of a command that owns its process. outputs: directories in which the command itself writes while the program runs,
    and afterwards."""

    def __init__(self, outputs: Sequence[str] = ()) -> None:
        self._outputs = outputs
        self.lines: list[str] = []

    def confine(self, process: Process, options: RunOptions) -> None:
        """For good: this process, its threads from now on, its children."""
        if options.no_sandbox:
            self.lines = ["sandbox: off (--no-sandbox); the emulator alone confines the program"]
            return
        _keep_byte_code()
        _limit_resources()
        if ctypes.CDLL(None).prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0):
            self.lines = [
                "sandbox: off: the kernel does not know no_new_privs; the emulator alone confines the program"
            ]
            return
        self.lines = [
            "no_new_privs: on",
            "rlimits: no core dumps, locked memory, message queues or real-time priority; files as the options say",
        ]
        nodes = list(_nodes(process.fs.namespace.root))
        if process.fs.namespace.fallback is not None:
            nodes += _nodes(process.fs.namespace.fallback)
        process.terminals.reserve()
        writes = bool(self._outputs) or any(node.writable for node in nodes)
        self.lines += self._files(nodes, process.terminals.slaves)
        self.lines += _system_calls(writes)

    def _files(self, nodes: Sequence[Node], terminals: Sequence[int]) -> list[str]:
        version = landlock.version()
        if not version:
            return ["Landlock: not to be had from this kernel; files are confined by the emulator alone"]
        rules = landlock.Ruleset(version)
        try:
            for node in nodes:
                _allow_node(rules, node)
            for path in (*_python_paths(), *_SHARED_OBJECTS):
                _allow(rules, path, landlock.READ)
            for path in (*_DEVICES, *self._outputs):
                _allow(rules, path, landlock.WRITE)
            for fd in terminals:
                rules.allow(fd, landlock.TERMINAL, directory=False)
        finally:
            rules.enforce()
        signals = "signals and abstract sockets stay within the run" if version >= landlock.SCOPES_SINCE else (
            "signals to other processes of this user are held back by the emulator alone (Linux 6.12 can)"
        )  # fmt: skip
        return [
            f"Landlock {version}: files are opened only where the options grant it, for reading in Python's and the system's libraries"
            + (f", for writing in {', '.join(self._outputs)}" if self._outputs else ""),
            f"Landlock {version}: {'no TCP; ' if version >= landlock.NETWORK_SINCE else ''}{signals}",
        ]


def _keep_byte_code() -> None:
    """Families of system calls are imported when they are first needed, and then no byte code can be written any more. A checkout
    that has none yet imports them all now; an installation has it from the start."""
    families = os.path.dirname(calls_package.__file__)
    if sys.dont_write_bytecode or not os.access(sys.pycache_prefix or families, os.W_OK):
        return
    if not all(os.path.exists(cache_from_source(f"{families}/{name}.py")) for name in FAMILIES):
        table.rows()


def _limit_resources() -> None:
    """Lowers for good the limits of what a run does not use, and that of open files to what it has made room for
    (kernel/limits.py). The size of files and the number of processes are limited elsewhere: one is given back at the
    end, the other counts all processes of the user."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    for what, most in ((resource.RLIMIT_NOFILE, soft), *((kind, 0) for kind in _UNUSED)):
        with suppress(ValueError, OSError):
            resource.setrlimit(what, (most, most))


def _nodes(node: Node) -> Iterator[Node]:
    if node.handle is not None:
        yield node
    for child in node.children.values():
        yield from _nodes(child)


def _allow_node(rules: landlock.Ruleset, node: Node) -> None:
    access = landlock.WRITE if node.writable else landlock.READ
    assert node.handle is not None
    if not node.file:
        rules.allow(node.handle.fd, access, directory=True)
        return
    fd = os.open(node.file, _PATH | os.O_NOFOLLOW, dir_fd=node.handle.fd)
    try:
        rules.allow(fd, access, directory=False)
    finally:
        os.close(fd)


def _allow(rules: landlock.Ruleset, path: str, access: int) -> None:
    """A path that does not exist needs no rule."""
    try:
        fd = os.open(path, _PATH)
    except OSError:
        return
    try:
        rules.allow(fd, access, directory=os.path.isdir(path))
    finally:
        os.close(fd)


def _python_paths() -> set[str]:
    """Where modules and shared objects are loaded from, some of them late."""
    ours = os.path.dirname(
        os.path.dirname(os.path.dirname(os.path.realpath(__file__)))
    )  # with linker, loader and runtime beside the emulator
    found = {ours, os.path.dirname(os.__file__)}
    found |= {sys.prefix, sys.base_prefix, sys.exec_prefix, *(path for path in sys.path[1:] if path)}
    if sys.pycache_prefix is not None:
        found.add(sys.pycache_prefix)
    return found - {"/", "/usr"} | {f"{sys.base_prefix}/lib"}


def _system_calls(writes: bool) -> list[str]:
    if os.uname().machine != "x86_64":
        return ["seccomp: off; the filter is for x86-64 hosts"]
    groups = (calls.ALWAYS, calls.LOOKING, calls.SOCKETS, calls.SIGNALS, *((calls.CHANGING,) if writes else ()))
    try:
        seccomp.install(seccomp.program(calls.numbers(*groups), calls.CONDITIONAL, calls.ABSENT))
    except OSError as failure:
        return [f"seccomp: off: {failure.strerror}"]
    changes = "" if writes else ", no change of names and attributes of files"
    return [f"seccomp: on; no execve, no new sockets, no ptrace, no mounts, no namespaces{changes}"]
