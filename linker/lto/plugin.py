"""A compiler's linker plugin, in a process of its own (plugin_host.py): which files are its own, their symbols, what it makes of them."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys

from uselib.linker.errors import Diagnostic, LinkError
from uselib.linker.lto import plugin_host
from uselib.linker.options import Options, PluginOptions
from uselib.linker.quick_dataclass import NamedTuple
from uselib.linker.quick_typing import Any

_LEVELS = ("", "warning: ", "", "")  # ld_plugin_level: info, warning, error, fatal
_ERROR = 2
_OUTPUTS = {"relocatable": 0, "": 1, "shared": 2, "pie": 3}  # ld_plugin_output_file_type
# gcc would make an object that is to be optimised again; what -r makes here is machine code
_RELOCATABLE = ("-linker-output-known", "-flinker-output=nolto-rel")


class PluginSymbol(NamedTuple):
    """A symbol of a file that a plugin has claimed (ld_plugin_symbol)."""

    name: str
    version: str | None
    definition: int  # DEFINED, WEAK, UNDEFINED, WEAK_UNDEFINED, COMMON
    type: int  # 0 unknown, 1 function, 2 variable
    section: int
    visibility: int  # 0 default, 1 protected, 2 internal, 3 hidden
    size: int
    comdat: str | None


class Compiled(NamedTuple):
    """What the plugin wants to be linked: objects, -l libraries, directories for these."""

    files: list[str]
    libraries: list[str]
    directories: list[str]


class FilePart(NamedTuple):
    """Where an object lies: a file, or a part of an archive."""

    path: str
    offset: int
    size: int


class Plugin:
    """A plugin that runs. Every method raises LinkError, with what the plugin says or how it ended."""

    def __init__(self, given: PluginOptions, options: Options) -> None:
        self._path, self._warnings = given.path, list[Diagnostic]()
        ours, theirs = socket.socketpair()
        with theirs:
            command = [sys.executable, "-I", "-S", plugin_host.__file__, str(theirs.fileno())]
            self._process = subprocess.Popen(command, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL)
        self._connection = ours
        self._stream = ours.makefile("rw", encoding="ascii")
        words = [*given.options, *(_RELOCATABLE if options.shape == "relocatable" else ())]
        path = given.path if "/" in given.path else os.path.join(os.curdir, given.path)
        self._ask({"load": path, "options": words, "output": _OUTPUTS[options.shape], "name": options.output})

    def claim(self, place: FilePart, number: int) -> list[PluginSymbol] | None:
        """The symbols of an object if it is the plugin's own. number: by which `compile` names it."""
        rows = self._ask({"claim": [*place, number]})["symbols"]
        return None if rows is None else [PluginSymbol(*row) for row in rows]

    def compile(self, resolutions: dict[int, list[int]], wrapped: tuple[str, ...]) -> Compiled:
        """Compiles what was claimed. resolutions: for the symbols of each file (ld_plugin_symbol_resolution)."""
        answer = self._ask({"compile": resolutions, "wrapped": wrapped})
        return Compiled(answer["files"], answer["libraries"], answer["directories"])

    def close(self) -> None:
        """The plugin removes its files, and the process ends."""
        if self._process.poll() is None:
            with contextlib.suppress(LinkError):  # the link is done, or has failed for another reason
                self._ask({"cleanup": True})
        with contextlib.suppress(OSError):  # a request that the process did not read before it ended
            self._stream.close()
        self._connection.close()
        self._process.wait()

    def _ask(self, request: dict[str, Any]) -> dict[str, Any]:
        try:
            self._stream.write(json.dumps(request) + "\n")
            self._stream.flush()
            line = self._stream.readline()
        except OSError:
            line = ""
        if not line:
            status = self._process.wait()
            raise LinkError(Diagnostic(self._path, f"the compiler's plugin ended unexpectedly (status {status})"))
        answer: dict[str, Any] = json.loads(line)
        failures = []
        for level, text in answer["messages"]:
            if level >= _ERROR:
                failures.append(Diagnostic(self._path, text or "the compiler's plugin failed"))
            else:
                print(f"uselib: {_LEVELS[level]}{self._path}: {text}", file=sys.stderr)
        if failures:
            raise LinkError(*failures)
        return answer
