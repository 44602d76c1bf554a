"""Two library files, or a program and libraries -> a report: reading, headers, the comparison, what is odd about the question.

This is the whole static check without its command line; tools and tests call it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from uselib.abi.static.comparison.check import check
from uselib.abi.static.comparison.check_program import check_program
from uselib.abi.static.headers.public_interface import HeaderFacts, header_files, read_headers, with_headers
from uselib.abi.static.model.facts import Facts, FileKind
from uselib.abi.static.model.findings import Report, Verdict
from uselib.abi.static.readers.reading import kind_of, read_facts, read_program
from uselib.linker.errors import ToolError
from uselib.linker.image import Machine, Version

_ORDER = ("patch", "minor", "major")
_SO_VERSION = re.compile(r"\.so\.(\d+(?:\.\d+)*)$")


@dataclass(frozen=True, slots=True)
class HeaderOptions:
    """old, new: header files and directories of each side. compilers: for each machine the command whose preprocessor is used."""

    old: tuple[str, ...] = ()
    new: tuple[str, ...] = ()
    include_dirs: tuple[str, ...] = ()
    defines: tuple[str, ...] = ()
    compilers: tuple[tuple[Machine, tuple[str, ...]], ...] = ()


@dataclass(frozen=True, slots=True)
class FileComparison:
    """A report, with the library's name without version (baselines are for it)."""

    report: Report
    library: str


class _Unreadable(Exception):
    """Headers were asked for, and nothing of them could be read."""


def compare_files(
    old: str, new: str, programs: Sequence[str] = (), headers: HeaderOptions = HeaderOptions()
) -> FileComparison:
    """Compares two versions of a library. Raises ToolError for files that are no libraries or cannot be read; what cannot be
    compared is a report with the verdict NOT_COMPARABLE."""
    before, after = read_facts(old), read_facts(new)
    users = [read_program(path) for path in programs]
    library = _library_name(before)
    obstacle = _nothing_to_compare(before, after)
    if obstacle:
        return FileComparison(Report(old, new, Verdict.NOT_COMPARABLE, unchecked=(obstacle,)), library)
    try:
        before, after = _with_headers(before, after, headers)
    except _Unreadable as failure:
        words = f"nothing could be read of the headers: {failure}"
        return FileComparison(Report(old, new, Verdict.NOT_COMPARABLE, unchecked=(words,)), library)
    report = _numbered(check(before, after, users), before, after)
    if report.verdict is not Verdict.NOT_COMPARABLE:
        report = replace(report, notices=tuple(_oddities(before, after)))
    return FileComparison(report, library)


def compare_program(program: str, libraries: Sequence[str], headers: HeaderOptions = HeaderOptions()) -> FileComparison:
    """Whether a program can run with these libraries. Raises ToolError as `compare_files`."""
    user = read_program(program)
    facts = [read_facts(path) for path in libraries]
    if headers.new:
        try:
            facts = [with_headers(one, _headers(headers.new, one.machine, headers)) for one in facts]
        except _Unreadable as failure:
            words = f"nothing could be read of the headers: {failure}"
            return FileComparison(Report(program, ", ".join(libraries), Verdict.NOT_COMPARABLE, unchecked=(words,)), "")
    report = check_program(user, facts)
    if len(libraries) > 1 and len(report.programs) == len(libraries):
        named = zip(report.programs, libraries, strict=True)
        report = replace(report, programs=tuple(replace(row, library=path) for row, path in named))
    return FileComparison(report, os.path.basename(program))


def is_program(path: str) -> bool:
    """Whether the file is a program, so that the arguments are PROG LIB... Raises ToolError if it is neither program nor library."""
    return kind_of(path) is FileKind.PROGRAM


# -- headers -----------------------------------------------------------------------------------------------------------


def _with_headers(old: Facts, new: Facts, options: HeaderOptions) -> tuple[Facts, Facts]:
    if not options.old and not options.new:
        return old, new
    read: dict[tuple[tuple[str, ...], Machine], HeaderFacts] = {}
    sides = []
    for facts, paths in ((old, options.old), (new, options.new)):
        key = paths, facts.machine
        if key not in read:
            read[key] = _headers(paths, facts.machine, options)
        sides.append(read[key])
    # Both sides from one kind of source: DWARF and headers spell some types in different ways.
    types = not (old.typed and new.typed)
    return with_headers(old, sides[0], types), with_headers(new, sides[1], types)


def _headers(paths: tuple[str, ...], machine: Machine, options: HeaderOptions) -> HeaderFacts:
    header_files(paths)  # a path that is not there is an error of the command line
    compiler = dict(options.compilers).get(machine, ())
    try:
        return read_headers(paths, machine, options.include_dirs, options.defines, compiler)
    except ToolError as failure:
        raise _Unreadable(str(failure)) from None


# -- what is odd -------------------------------------------------------------------------------------------------------


def _nothing_to_compare(old: Facts, new: Facts) -> str:
    """Why there is nothing to compare (libraries without names), or empty: an empty report would look like agreement."""
    for facts, side in ((old, "OLD"), (new, "NEW")):
        if facts.functions or facts.data:
            continue
        slots = facts.identity.slot_count if facts.identity is not None else 0
        if slots and facts.kind is FileKind.TARGET:
            return f"{facts.path} has {slots} slots and no symbols: it was stripped; compare its stub library instead"
        if side == "OLD":
            return f"{facts.path} exports no names: there is nothing to compare"
    return ""


def _oddities(old: Facts, new: Facts) -> list[str]:
    said = []
    if _same_file(old.path, new.path):
        said.append("OLD and NEW are the same file")
    elif old.identity and new.identity and any(old.identity.digest) and old.identity.digest == new.identity.digest:
        said.append("OLD and NEW have the same contents")
    before, after = _version(old), _version(new)
    if before and after and after < before:
        said.append(
            f"NEW is of version {'.'.join(map(str, after))}, OLD of {'.'.join(map(str, before))}: are they the wrong way round?"
        )
    return said


def _same_file(a: str, b: str) -> bool:
    try:
        return os.path.samefile(a, b)
    except OSError:
        return False


def _version(facts: Facts) -> tuple[int, ...]:
    """Of a fixed-address library its own; of a .so that in its file name or soname; () if it has none."""
    if facts.identity is not None:
        version = facts.identity.version
        return version.major, version.minor, version.patch
    for name in (os.path.realpath(facts.path), facts.soname):
        if match := _SO_VERSION.search(name):
            return tuple(int(part[:9]) for part in match[1].split("."))
    return ()


def _numbered(report: Report, old: Facts, new: Facts) -> Report:
    """The report with version numbers; the lowest one the change may have follows from the old one."""
    if old.identity is None or new.identity is None:
        versions = (".".join(map(str, _version(facts))) for facts in (old, new))
        return replace(report, old_version=next(versions), new_version=next(versions))
    before = old.identity.version
    return replace(
        report,
        old_version=str(before),
        new_version=str(new.identity.version),
        required_version=required(before, report.needs_version),
    )


def required(old: Version, needs: str) -> str:
    """The lowest version after `old` that a change of this kind may have."""
    rows = {
        "patch": Version(old.major, old.minor, old.patch + 1),
        "minor": Version(old.major, old.minor + 1, 0),
        "major": Version(old.major + 1, 0, 0),
    }
    return str(rows[needs]) if needs in rows else ""


def renumbered(report: Report) -> Report:
    """After findings were judged again, the number that is needed may be another, and NEW's may be enough."""
    if not report.required_version:
        return report
    old, new = Version.parse(report.old_version), Version.parse(report.new_version)
    report = replace(report, required_version=required(old, report.needs_version))
    given = (
        "major" if new.major > old.major else "minor" if (new.major, new.minor) > (old.major, old.minor) else "patch"
    )
    if _ORDER.index(given) < _ORDER.index(report.needs_version or "patch"):
        return report
    kept = tuple(finding for finding in report.findings if finding.rule.id != "version-too-small")
    return replace(report, findings=kept)


def _library_name(facts: Facts) -> str:
    from uselib.abi.static.policy.baseline import library_without_version

    return library_without_version(facts)
