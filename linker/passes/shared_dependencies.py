"""What the shared objects of a link need themselves, and whether everything they refer to is defined.

A needed object is looked for as GNU ld does (manual, "-rpath-link"): -rpath-link, -rpath or LD_RUN_PATH, DT_RUNPATH of what needs it,
LD_LIBRARY_PATH, /etc/ld.so.conf, /lib and /usr/lib; besides, in the directories of -L.
"""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator

from uselib.linker.errors import Diagnostic, ToolError
from uselib.linker.formats import elf
from uselib.linker.formats.shared_object import SharedObject, is_shared, read_shared_object
from uselib.linker.image import Machine
from uselib.linker.options import Options
from uselib.linker.passes.libraries import read_file
from uselib.linker.passes.model import UNDEFINED, Symbol
from uselib.linker.passes.shared_inputs import SharedInputs

_DEFAULT = ("/lib", "/usr/lib")
_OF_MACHINE = {
    Machine.X86_64: ("/lib/x86_64-linux-gnu", "/usr/lib/x86_64-linux-gnu", "/lib64", "/usr/lib64"),
    Machine.I386: ("/lib/i386-linux-gnu", "/usr/lib/i386-linux-gnu", "/lib32", "/usr/lib32"),
}


class SharedDependencies:
    """The needed objects of a link's shared objects, each read when it is first asked for."""

    def __init__(self, options: Options, shared: SharedInputs, machine: Machine | None) -> None:
        self._options, self._shared, self._machine = options, shared, machine
        self._missing: list[tuple[str, SharedObject]] = []  # names that were not found, and who needs them

    def all(self) -> Iterator[SharedObject]:
        """The needed objects that are not inputs of the link, nearest first."""
        pending = [library.file for library in self._shared.libraries.values()]
        known = set(self._shared.libraries)
        for user in pending:
            for name in user.needed:
                if name in known:
                    continue
                known.add(name)
                if (found := self._read(name, user)) is None:
                    self._missing.append((name, user))
                else:
                    known.add(found.soname)
                    pending.append(found)
                    yield found

    def undefined(self, symbols: dict[str, Symbol]) -> list[Diagnostic]:
        """An error for each symbol that a shared object refers to strongly and nobody defines, with the objects that were not found."""
        offered = {d.name for library in self._shared.libraries.values() for d in library.file.defined}
        wanted = [
            (name, library.file)
            for library in self._shared.libraries.values()
            for name, weak in library.file.undefined
            if not weak and name not in offered and not _defines(symbols, name)
        ]
        if not wanted:
            return []
        defined = {definition.name for file in self.all() for definition in file.defined}
        return [self._problem(symbols, name, file) for name, file in wanted if name not in defined]

    def _problem(self, symbols: dict[str, Symbol], name: str, file: SharedObject) -> Diagnostic:
        symbol = symbols.get(name)
        if symbol is not None and symbol.rank != UNDEFINED:
            where = symbol.file.where if symbol.file is not None else "the command line"
            text = f"refers to a symbol that is hidden where it is defined, in {where}"
            return Diagnostic(file.where, text, name, "give it default visibility")
        remedy = "name the library that defines it, or link with --allow-shlib-undefined"
        places = [
            f"{name}, needed by {user.where}, was not found; -rpath-link says where it is"
            for name, user in self._missing
        ]
        return Diagnostic(file.where, f"undefined symbol: {name}", name, remedy, tuple(places))

    def _read(self, name: str, user: SharedObject) -> SharedObject | None:
        for directory in self._directories(user):
            path = os.path.join(directory, name)
            try:
                data = memoryview(read_file(path))
                if is_shared(data) and elf.identify(data, path)[0] is self._machine:
                    return read_shared_object(data, path, name)
            except ToolError:
                continue
        return None

    def _directories(self, user: SharedObject) -> Iterator[str]:
        options, root = self._options, self._options.sysroot
        variables = os.environ
        yield from options.rpath_link
        yield from options.rpath or filter(None, variables.get("LD_RUN_PATH", "").split(":"))
        origin = os.path.dirname(os.path.abspath(user.where))
        for path in user.runpath:
            yield path.replace("${ORIGIN}", origin).replace("$ORIGIN", origin)
        yield from filter(None, variables.get("LD_LIBRARY_PATH", "").split(":"))
        yield from options.library_paths
        machine = _OF_MACHINE[self._machine] if self._machine is not None else ()
        for path in (*_configured(f"{root}/etc/ld.so.conf"), *machine, *_DEFAULT):
            yield root + path


def _defines(symbols: dict[str, Symbol], name: str) -> bool:
    symbol = symbols.get(name)
    return symbol is not None and symbol.rank != UNDEFINED and not symbol.hidden


def _configured(path: str, depth: int = 0) -> Iterator[str]:
    """The directories of ld.so.conf and what it includes."""
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            lines = file.read().splitlines()
    except OSError:
        return
    for line in lines:
        word = line.partition("#")[0].strip()
        if word.startswith("include ") and depth < 10:
            pattern = os.path.join(os.path.dirname(path), word.removeprefix("include ").strip())
            for included in sorted(glob.glob(pattern)):
                yield from _configured(included, depth + 1)
        elif word:
            yield word
