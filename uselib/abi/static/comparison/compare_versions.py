"""Identities, version numbers, dependencies and symbol versions: what start-up compares before an old program runs."""

from __future__ import annotations

import re

from uselib.abi.static.comparison.context import Comparison
from uselib.abi.static.model.findings import Severity
from uselib.linker.image import Identity

_DEPENDENCY = re.compile(r"^(?P<name>.+?)\.(?P<major>\d+)\.(?P<minor>\d+)\.(?P<patch>\d+)$")


def refusal(linked: Identity, library: Identity) -> str:
    """Why start-up refuses a program that was linked with `linked`, or empty (docs/formats.md, start-up contract)."""
    if library.name != linked.name:
        return f"it is {library.name}, not {linked.name}"
    if library.base != linked.base:
        return f"it is at {library.base:#x}, and the program was linked for {linked.base:#x}"
    if library.version.major != linked.version.major:
        return f"version {library.version} is another major release than {linked.version}"
    if library.version.minor < linked.version.minor:
        return f"version {library.version} is older than {linked.version}, which the program was linked with"
    if library.slot_count < linked.slot_count:
        return f"it has {library.slot_count} slots, and the program was linked with {linked.slot_count}"
    return ""


def compare_versions(check: Comparison) -> None:
    _identities(check)
    _dependencies(check)
    _symbol_versions(check)
    if check.old.soname and check.new.soname and check.old.soname != check.new.soname:
        words = f"{check.old.soname} became {check.new.soname}: old programs ask for the old name"
        check.tell("soname-changed", check.new.soname, words, old=check.old.soname, new=check.new.soname)


def _identities(check: Comparison) -> None:
    old, new = check.old.identity, check.new.identity
    if old is None or new is None:
        return
    if old.base != new.base:
        check.tell(
            "base-changed",
            new.name,
            f"the library moved from {old.base:#x} to {new.base:#x}",
            old=f"{old.base:#x}",
            new=f"{new.base:#x}",
        )
    if old.version.major != new.version.major:
        words = f"{old.version} became {new.version}: start-up refuses programs that were linked with {old.version}"
        check.tell("major-changed", new.name, words, old=str(old.version), new=str(new.version))
    elif new.version.minor < old.version.minor:
        words = (
            f"{new.version} is older than {old.version}: start-up refuses programs that were linked with {old.version}"
        )
        check.tell("minor-lowered", new.name, words, old=str(old.version), new=str(new.version))
    if new.slot_count < old.slot_count:
        words = f"{old.slot_count} slots became {new.slot_count}: start-up refuses old programs"
        check.tell("slots-fewer", new.name, words, old=str(old.slot_count), new=str(new.slot_count))
    if new.size > old.size and new.base == old.base:
        words = f"the library takes {new.size:#x} bytes of address space, {old.size:#x} before"
        check.tell("library-grown", new.name, words, old=f"{old.size:#x}", new=f"{new.size:#x}")


def _dependencies(check: Comparison) -> None:
    before = {_split(path)[0]: (path, _split(path)[1]) for path in check.old.dependencies}
    after = {_split(path)[0]: (path, _split(path)[1]) for path in check.new.dependencies}
    for name, (path, major) in after.items():
        if name not in before:
            check.tell("dependency-added", name, f"it now needs {path}")
        elif before[name][1] != major:
            words = f"it now needs {path}, before {before[name][0]}"
            check.tell("dependency-major-changed", name, words, old=before[name][0], new=path)
    for name, (path, _) in before.items():
        if name not in after:
            check.tell("dependency-removed", name, f"it no longer needs {path}")


def _split(path: str) -> tuple[str, str]:
    file_name = path.rsplit("/", 1)[-1]
    match = _DEPENDENCY.match(file_name)
    if match:
        return match["name"], match["major"]
    stem, _, version = file_name.partition(".so.")
    return (stem, version.split(".")[0]) if version else (file_name, "")


def _symbol_versions(check: Comparison) -> None:
    """Ordinary shared objects: an old program asks for `name@VERSION`."""
    new_names = {}
    for kind in (check.new.functions, check.new.data):
        for fact in kind.values():
            new_names[fact.name.split("@")[0], fact.symbol_version] = fact
    for version in check.old.symbol_versions:
        if version not in check.new.symbol_versions:
            check.tell("symbol-version-removed", version, f"version {version} is no longer defined")
    for kind in (check.old.functions, check.old.data):
        for fact in kind.values():
            name = fact.name.split("@")[0]
            if not fact.symbol_version or (name, fact.symbol_version) in new_names:
                continue
            if fact.symbol_version in check.new.symbol_versions and any(other == name for other, _ in new_names):
                versions = sorted(version for other, version in new_names if other == name)
                words = (
                    f"{name}@{fact.symbol_version} is gone; {name} is now of version {', '.join(versions) or 'none'}"
                )
                check.tell("symbol-version-changed", fact.name, words)


def tell_too_small(check: Comparison, worst: Severity) -> str:
    """The release that the changes need (patch, minor, major); a finding if the version numbers say less."""
    needs = {Severity.BREAKING: "major", Severity.MINOR: "minor"}.get(worst, "patch")
    old, new = check.old.identity, check.new.identity
    if old is None or new is None or old.name != new.name:
        return needs
    given = "patch"
    if new.version.major > old.version.major:
        given = "major"
    elif new.version.major == old.version.major and new.version.minor > old.version.minor:
        given = "minor"
    order = ("patch", "minor", "major")
    if order.index(given) < order.index(needs):
        step = f"from {old.version} to {new.version}" if old.version != new.version else f"{old.version} both times"
        check.tell(
            "version-too-small",
            new.name,
            f"the changes need a {needs} release; the version is {step}",
            old=str(old.version),
            new=str(new.version),
        )
    return needs
