"""Which global symbols a dynamic linker has to do with: exported, imported, preemptible.

    exported       the output defines it for other objects
    imported       undefined here; a shared object defines it, or nobody does and the reference is weak
    preemptible    what a reference is bound to is decided at start-up: imported, or exported by a shared object with default
                   visibility and without -Bsymbolic

After this pass these do not change; what the symbols need (GOT, PLT, copies) is found by the scan.
"""

from __future__ import annotations

import os

from uselib.linker.formats.elf import STB_LOCAL, STT_FUNC, STT_GNU_IFUNC, STV_DEFAULT, STV_PROTECTED
from uselib.linker.options import Options
from uselib.linker.passes.libraries import read_file
from uselib.linker.passes.model import UNDEFINED, DynamicBinding, Symbol
from uselib.linker.passes.resolve import Resolution
from uselib.linker.passes.version_script import VersionScript, parse_version_script
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
    return DynamicPlan(shared, bool(options.shape), interpreter, _scripts(options.version_scripts))


def decide(plan: DynamicPlan, resolution: Resolution, options: Options) -> None:
    """Sets the attributes of all symbols, and the plan's exports. Every definition is known. Raises LinkError."""
    listed = _scripts(options.dynamic_lists)
    excluded = frozenset(options.exclude_libs)
    for symbol in resolution.symbols.values():
        if symbol.visibility not in (STV_DEFAULT, STV_PROTECTED) or (symbol.binding == STB_LOCAL and symbol.rank):
            continue
        if symbol.rank == UNDEFINED:
            _import(symbol, plan)
        elif plan.shared:
            _export_of_library(symbol, plan, options, listed, excluded)
        else:
            known = symbol.dynamic
            wanted = known is not None and (known.referenced or known.definition is not None or bool(known.version))
            wanted |= options.export_dynamic and not symbol.provided and not _excluded(symbol, excluded)
            if wanted or (listed is not None and listed.names(symbol.name)):
                _export(symbol, plan, "")


def _scripts(paths: tuple[str, ...]) -> VersionScript | None:
    if not paths:
        return None
    nodes = [
        node for path in paths for node in parse_version_script(read_file(path).decode("utf-8", "replace"), path).nodes
    ]
    return VersionScript(tuple(nodes))


def _import(symbol: Symbol, plan: DynamicPlan) -> None:
    """A weak reference that nobody defines stays weak for the dynamic linker, if there is one."""
    dynamic = symbol.dynamic
    found = dynamic is not None and dynamic.definition is not None
    if not symbol.referenced or not (found or plan.shared or (plan.interpreter and not symbol.strong_reference)):
        return
    dynamic = symbol.dynamic = dynamic or DynamicBinding()
    dynamic.preemptible = True
    if dynamic.definition is not None:
        symbol.type = dynamic.definition.type


def _export_of_library(
    symbol: Symbol, plan: DynamicPlan, options: Options, listed: VersionScript | None, excluded: frozenset[str]
) -> None:
    known = symbol.dynamic
    exported, version = True, known.version if known is not None else ""
    if plan.script is not None and not version:
        exported, version = plan.script.of(symbol.name)
    if symbol.provided and symbol.name not in dict(options.defsym):
        exported = False
    if not exported or _excluded(symbol, excluded):
        return
    dynamic = _export(symbol, plan, version)
    function = symbol.type in FUNCTIONS
    bound = options.symbolic == "all" or (options.symbolic == "functions" and function)
    bound |= listed is not None and not listed.names(symbol.name)
    dynamic.preemptible = symbol.visibility == STV_DEFAULT and not bound


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
