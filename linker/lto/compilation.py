"""Files of link-time optimisation in a link: claimed by a plugin, resolved by placeholders, compiled when all files are read.

The plugin is told of each symbol of its files how it was resolved (ld_plugin_symbol_resolution), as GNU ld tells it:

    a reference     undefined, or defined by another of its files, by an object, by a shared object
    a definition    that counts: named by an object or an option as well; else seen by other objects of the program, or by nobody
                    that does not count: another of its files, or an object, has the one that does
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from uselib.linker.image import Machine
from uselib.linker.lto.placeholder import defines, placeholder
from uselib.linker.lto.plugin import Compiled, FilePart, Plugin, PluginSymbol
from uselib.linker.options import Options
from uselib.linker.passes.definitions import Definitions
from uselib.linker.passes.libraries import Finder
from uselib.linker.passes.model import UNDEFINED, ObjectFile, Symbol
from uselib.linker.passes.shared_inputs import SharedInputs
from uselib.linker.passes.version_script import VersionScript, combined
from uselib.linker.quick_dataclass import dataclass

# ld_plugin_symbol_resolution
_UNDEF, _PREVAILING_DEF, _PREVAILING_DEF_IRONLY, _PREEMPTED_REG, _PREEMPTED_IR = 1, 2, 3, 4, 5
_RESOLVED_IR, _RESOLVED_EXEC, _RESOLVED_DYN, _PREVAILING_DEF_IRONLY_EXP = 6, 7, 8, 9
_NAME = re.compile(r"[A-Za-z_.$][\w.$]*")


@dataclass(frozen=True)
class _Claimed:
    """A file of a plugin."""

    file: ObjectFile
    symbols: list[PluginSymbol]
    plugin: Plugin
    number: int


class LinkTimeFiles:
    """The plugins of the command line and their files. A plugin is started when the first file is offered to it."""

    def __init__(self, options: Options, table: Definitions, shared: SharedInputs, finder: Finder) -> None:
        self._options, self._table, self._shared, self._finder = options, table, shared, finder
        self._plugins: list[Plugin] = []
        self._claimed: list[_Claimed] = []
        self._offered = 0
        self.compiled = False  # what is read from now on is offered to no plugin

    @property
    def files(self) -> list[ObjectFile]:
        """The placeholders, in the order in which the files were read."""
        return [claimed.file for claimed in self._claimed]

    def claim(self, where: str, place: tuple[str, int, int], machine: Machine) -> ObjectFile | None:
        """Offers a file to the plugins: its placeholder, or None if it is none of theirs. Raises LinkError."""
        if not self._plugins:
            for given in self._options.plugins:
                self._plugins.append(Plugin(given, self._options))
        for plugin in self._plugins:
            number = self._offered
            self._offered += 1
            symbols = plugin.claim(FilePart(*place), number)
            if symbols is not None:
                file = placeholder(where, machine, symbols, self._table.groups)
                for symbol in symbols:
                    if symbol.comdat:
                        self._table.groups.setdefault(symbol.comdat, file)
                self._claimed.append(_Claimed(file, symbols, plugin, number))
                return file
        return None

    def compile(self, files: Iterable[ObjectFile]) -> Compiled:
        """All files are read: the plugins compile theirs, which leave the link. files: the others. Raises LinkError."""
        self.compiled = True
        others = list(files)
        resolver = _Resolutions(self._options, self._shared, self._finder, self.files, others)
        result = Compiled([], [], [])
        for plugin in self._plugins:
            rows = {c.number: resolver.of(c) for c in self._claimed if c.plugin is plugin}
            for known, more in zip(result, plugin.compile(rows, self._options.wrap), strict=True):
                known += more
        self._table.forget(self.files, others)
        return result

    def close(self) -> None:
        """The compiled objects have been read."""
        for plugin in self._plugins:
            plugin.close()


class _Resolutions:
    """What the plugins are told of their symbols."""

    def __init__(
        self,
        options: Options,
        shared: SharedInputs,
        finder: Finder,
        placeholders: list[ObjectFile],
        others: list[ObjectFile],
    ) -> None:
        self._shared, self._placeholders = shared, set(map(id, placeholders))
        self._named = {id(symbol) for file in others for symbol in file.globals}
        expressions = [text for row in (*options.defsym, *finder.assignments) for text in row]
        self._required = {name for text in expressions for name in _NAME.findall(text)}
        self._required |= {*options.undefined, *options.require_defined, options.entry, options.init, options.fini}
        self._required |= {f"{prefix}{name}" for name in options.wrap for prefix in ("", "__wrap_", "__real_")}
        self._all = options.shape == "relocatable"
        lists = (options.dynamic_lists, options.list_kinds, options.export_symbols, options.export_lists)
        self._exports = options.shape == "shared" or options.export_dynamic or any(lists)
        self._script = self._script_of(options, finder, placeholders)

    def _script_of(self, options: Options, finder: Finder, placeholders: list[ObjectFile]) -> VersionScript | None:
        script = combined([*map(finder.script_text, options.version_scripts), *finder.version_scripts])
        if script is None or options.shape != "shared":
            return None
        script.expect(symbol.name for file in placeholders for symbol in file.globals)
        return script

    def of(self, claimed: _Claimed) -> list[int]:
        pairs = zip(claimed.symbols, claimed.file.globals, strict=True)
        return [self._definition(symbol, claimed) if defines(row) else self._reference(symbol) for row, symbol in pairs]

    def _reference(self, symbol: Symbol) -> int:
        if symbol.rank == UNDEFINED:
            return _RESOLVED_DYN if symbol.name in self._shared.offered and not symbol.hidden else _UNDEF
        return _RESOLVED_IR if id(symbol.file) in self._placeholders else _RESOLVED_EXEC

    def _definition(self, symbol: Symbol, claimed: _Claimed) -> int:
        if symbol.file is not claimed.file:
            return _PREEMPTED_IR if id(symbol.file) in self._placeholders else _PREEMPTED_REG
        if self._all or id(symbol) in self._named or symbol.name in self._required:
            return _PREVAILING_DEF
        return _PREVAILING_DEF_IRONLY_EXP if self._seen(symbol) else _PREVAILING_DEF_IRONLY

    def _seen(self, symbol: Symbol) -> bool:
        """Whether other objects of a program may see the definition."""
        if symbol.hidden:
            return False
        if self._script is not None and not self._script.of(symbol.name)[0]:
            return False
        return self._exports or self._shared.knows(symbol.name)
