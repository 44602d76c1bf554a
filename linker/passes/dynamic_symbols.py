"""Which global symbols a dynamic linker has to do with: exported, imported, preemptible.

    exported       the output defines it for other objects
    imported       undefined here; a shared object defines it, or nobody does and the reference is weak
    preemptible    what a reference is bound to is decided at start-up: imported, or exported by a shared object with default
                   visibility and without -Bsymbolic

After this pass these do not change; what the symbols need (GOT, PLT, copies) is found by the scan.
"""

from __future__ import annotations

import os

from uselib.linker.errors import Diagnostic, LinkError
from uselib.linker.formats.elf import (
    STB_LOCAL,
    STB_WEAK,
    STT_COMMON,
    STT_FUNC,
    STT_GNU_IFUNC,
    STT_OBJECT,
    STV_DEFAULT,
    STV_HIDDEN,
    STV_PROTECTED,
)
from uselib.linker.options import Options
from uselib.linker.passes import native
from uselib.linker.passes.libraries import read_file
from uselib.linker.passes.model import UNDEFINED, DynamicBinding, Symbol
from uselib.linker.passes.provided import EXECUTABLE, VISIBLE, is_bound
from uselib.linker.passes.resolution import Resolution
from uselib.linker.passes.version_script import VersionScript, combined
from uselib.linker.quick_dataclass import dataclass, field

FUNCTIONS = (STT_FUNC, STT_GNU_IFUNC)


@dataclass
class DynamicPlan:
    """A dynamic output. shared: a shared object; pic: it runs at any address (a shared object, PIE); interpreter: a dynamic linker
    starts it; script: what --version-script says."""

    shared: bool
    pic: bool
    interpreter: bool
    script: VersionScript | None
    exports: list[Symbol] = field(default_factory=list)


def dynamic_plan(resolution: Resolution, options: Options) -> DynamicPlan:
    """The plan; `decide` fills it in. Raises LinkError."""
    shared = options.shape == "shared"
    interpreter = not options.no_dynamic_linker and not shared
    texts = [_text(path, options) for path in options.version_scripts] + resolution.version_scripts
    return DynamicPlan(shared, bool(options.shape), interpreter, combined(texts))


def decide(plan: DynamicPlan, resolution: Resolution, options: Options) -> None:
    """Sets the attributes of all symbols, and the plan's exports. Every definition is known. Raises LinkError."""
    exports = _Exports(plan, resolution, options)
    if plan.script is not None:
        plan.script.expect(resolution.symbols)
        if options.no_undefined_version:
            _report_missing(plan.script, resolution)

    def one(symbol: Symbol) -> None:
        if symbol.visibility not in (STV_DEFAULT, STV_PROTECTED) or (symbol.binding == STB_LOCAL and symbol.rank):
            return
        if symbol.rank == UNDEFINED:
            _import(symbol, plan, options)
        elif plan.shared:
            exports.of_library(symbol)
        else:
            exports.of_program(symbol)

    if native.AVAILABLE and exports.takes_all:
        from uselib.linker import _native
        from uselib.linker.passes.native_take import LAYOUT

        _native.export(LAYOUT, list(resolution.symbols.values()), plan.exports, one)
    else:
        for symbol in resolution.symbols.values():
            one(symbol)
    if exports.problems:
        raise LinkError(*exports.problems)


def _report_missing(script: VersionScript, resolution: Resolution) -> None:
    """--no-undefined-version. Raises LinkError."""
    missing = script.missing(name for name, symbol in resolution.symbols.items() if symbol.rank != UNDEFINED)
    if missing:
        remedy = "take it out of the version script, or link with --undefined-version"
        texts = [(f"the version script gives it version {v}, and nothing defines it", name) for v, name in missing]
        raise LinkError(*(Diagnostic("ld", text, name, remedy) for text, name in texts))


def _text(path: str, options: Options) -> tuple[str, str]:
    """A version script, which is looked for under -L too, as in GNU ld: its text and its place."""
    if not os.path.exists(path) and not os.path.isabs(path):
        path = next((p for d in options.library_paths if os.path.exists(p := os.path.join(d, path))), path)
    return read_file(path).decode("utf-8", "replace"), path


def _import(symbol: Symbol, plan: DynamicPlan, options: Options) -> None:
    """A weak reference that nobody defines stays weak for the dynamic linker, if there is one."""
    dynamic = symbol.dynamic
    found = dynamic is not None and dynamic.definition is not None
    if not found and not symbol.strong_reference and "nodynamic-undefined-weak" in options.keywords:
        return
    if not symbol.referenced or not (found or plan.shared or (plan.interpreter and not symbol.strong_reference)):
        return
    dynamic = symbol.dynamic = dynamic or DynamicBinding()
    dynamic.preemptible = True
    if dynamic.definition is not None:
        symbol.type = dynamic.definition.type


# --dynamic-list-cpp-X: demangled names
_LISTS = {
    "new": '{ extern "C++" { operator new*; operator delete*; }; };',
    "typeinfo": '{ extern "C++" { typeinfo for*; typeinfo name for*; }; };',
}


class _Exports:
    """What is exported: by the options that name symbols."""

    def __init__(self, plan: DynamicPlan, resolution: Resolution, options: Options) -> None:
        self._plan, self._options = plan, options
        self.problems: list[Diagnostic] = []
        lists = [_text(path, options) for path in options.dynamic_lists]
        lists += [(_LISTS[kind], f"--dynamic-list-cpp-{kind}") for kind in options.list_kinds if kind in _LISTS]
        self._listed, self._data = combined(lists), "data" in options.list_kinds
        own = [_text(path, options) for path in options.export_lists]
        own += [(f"{{ {symbol}; }};", "--export-dynamic-symbol") for symbol in options.export_symbols]
        self._own = combined(own)
        self._names = resolution.symbols
        self._excluded = frozenset(options.exclude_libs)
        self._defined_by_options = {name for name, _ in resolution.defsym}
        self._default_version = options.default_version
        for script in (self._listed, self._own):
            if script is not None:
                script.expect(resolution.symbols)

    @property
    def takes_all(self) -> bool:
        """Whether the output is a shared object, and no option says which of its definitions are exported or preemptible."""
        options = self._options
        said = (
            self._plan.script,
            self._listed,
            self._own,
            self._data,
            self._excluded,
            options.symbolic,
            self._default_version,
        )
        return self._plan.shared and not any(said)

    def of_program(self, symbol: Symbol) -> None:
        known, options = symbol.dynamic, self._options
        wanted = known is not None and (known.referenced or known.definition is not None or bool(known.version))
        wanted |= options.export_dynamic and self._may_export(symbol) and not _excluded(symbol, self._excluded)
        if wanted or self._is_listed(symbol) or (self._own is not None and self._own.names(symbol.name)):
            _export(symbol, self._plan, "")

    def of_library(self, symbol: Symbol) -> None:
        plan, known = self._plan, symbol.dynamic
        exported, version = True, known.version if known is not None else ""
        explicit = known is not None and known.explicit
        if plan.script is not None and not explicit:
            exported, version = plan.script.of(symbol.name)
            if version and f"{symbol.name}@{version}" in self._names:  # .symver has made it that version's already
                exported = False
        elif version:
            exported = self._known_version(symbol, version)
        if not self._may_export(symbol) or (symbol.provided and symbol.name == EXECUTABLE):
            exported = False
        if not exported and not symbol.provided:
            symbol.visibility = STV_HIDDEN  # no other object sees it: a local symbol of the output
        if not exported or (not explicit and _excluded(symbol, self._excluded)):
            return
        dynamic = _export(symbol, plan, version or ("" if explicit else self._default_version))
        own = symbol.provided and is_bound(symbol.name)  # of its own section, whatever others define
        dynamic.preemptible = symbol.visibility == STV_DEFAULT and not own and not self._bound(symbol)

    def _may_export(self, symbol: Symbol) -> bool:
        """Whether what exports all symbols exports this one: of the linker's own those that GNU ld's script has, and --defsym's."""
        name = symbol.name
        return not symbol.provided or name in VISIBLE or is_bound(name) or name in self._defined_by_options

    def _known_version(self, symbol: Symbol, version: str) -> bool:
        """Whether a symbol with a version of its own (.symver) is exported: the version's node may hide it, and must be there."""
        script = self._plan.script
        known = {node.name for node in script.versions} if script is not None else set()
        if version not in known and version != self._default_version:
            text = f"version node not found: .symver gives it version {version}, which no version script defines"
            where = symbol.file.where if symbol.file is not None else "ld"
            remedy = f"add `{version} {{ }};` to the version script (--version-script)"
            self.problems.append(Diagnostic(where, text, symbol.name, remedy))
        return script is None or not script.hides(version, symbol.name.partition("@")[0])

    def _bound(self, symbol: Symbol) -> bool:
        """Whether a shared object's own references to what it exports are bound to it (-Bsymbolic, --dynamic-list)."""
        if self._own is not None and self._own.names(symbol.name):
            return False
        listing = self._listed is not None or self._data
        if listing and not self._is_listed(symbol):
            return True
        how = self._options.symbolic
        if not how or (listing and how != "all"):
            return False
        weak = symbol.binding == STB_WEAK
        return not (how.endswith("functions") and symbol.type not in FUNCTIONS) and not (
            how.startswith("non-weak") and weak
        )

    def _is_listed(self, symbol: Symbol) -> bool:
        if self._data and symbol.type in (STT_OBJECT, STT_COMMON):
            return True
        return self._listed is not None and self._listed.names(symbol.name)


def _export(symbol: Symbol, plan: DynamicPlan, version: str) -> DynamicBinding:
    dynamic = symbol.dynamic = symbol.dynamic or DynamicBinding()
    dynamic.exported = True
    dynamic.version = dynamic.version or version
    plan.exports.append(symbol)
    return dynamic


def _excluded(symbol: Symbol, excluded: frozenset[str]) -> bool:
    """--exclude-libs: ALL, or names of archives with or without directory."""
    if not excluded or symbol.file is None or not symbol.file.where.endswith(")"):
        return False
    archive = symbol.file.where.rpartition("(")[0]
    return "ALL" in excluded or archive in excluded or os.path.basename(archive) in excluded
