"""`uselib ldconfig`: the symbolic links to the newest versions of the libraries in directories, and what is wrong there."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from uselib.linker.errors import Diagnostic, ToolError, printable
from uselib.linker.formats.elf_image import read_image
from uselib.linker.reading import read_file
from uselib.linker.versions import rule_named
from uselib.loader.libraries.dependencies import ResolvedDependencies, resolve
from uselib.loader.libraries.installed import Contents, Installed, Overlap, overlaps, read_directory
from uselib.loader.libraries.links import Action, Step, carry_out, plan, sweep
from uselib.loader.libraries.search import HostFiles, SearchPath

Facts = dict[str, Any]
JSON_FORMAT = 1


@dataclass
class _Work:
    """The result for a directory."""

    contents: Contents
    steps: list[Step] = field(default_factory=list)  # links that were made, or would be in a dry run
    failed: list[Diagnostic] = field(default_factory=list)


def _directory(path: str, dry: bool) -> _Work:
    """Mends the links of one directory. Raises ToolError if it cannot be read."""
    work = _Work(read_directory(path))
    if not dry:
        sweep(path)
    for step in plan(work.contents):
        where = os.path.join(path, step.name)
        if step.action is Action.REFUSE:
            work.failed.append(Diagnostic(where, step.problem, remedy="remove it"))
        elif not dry:
            try:
                carry_out(path, step)
            except OSError as failure:
                verb = "removed" if step.action is Action.REMOVE else "made"
                work.failed.append(Diagnostic(where, f"cannot be {verb}: {failure.strerror}"))
                continue
        work.steps.append(step)
    return work


def _mixed(libraries: tuple[Installed, ...]) -> list[Diagnostic]:
    """Warnings of versions of one library that are for different machines: the links can lead to one of them only."""
    machines: dict[str, Installed] = {}
    found = []
    for library in libraries:
        if library.header is None:
            continue
        other = machines.setdefault(f"{library.name}.{library.version.major}", library)
        if other.header is not None and other.header.machine is not library.header.machine:
            text = f"is for {library.header.machine.label}, {os.path.basename(other.path)} for {other.header.machine.label}"
            found.append(Diagnostic(library.path, text, remedy="keep a directory for each machine"))
    return found


def _program(path: str, directories: list[str]) -> tuple[str, ResolvedDependencies]:
    """What a program would get in these directories: the name of its rule, and its libraries. Raises ToolError, OSError."""
    image = read_image(read_file(path), path)
    rule = rule_named(image.version_rule, path)
    return rule.name, resolve(image, SearchPath("", ":".join(directories)), rule, HostFiles(), "")


# Output


def _say(line: str) -> None:
    print(printable(line.replace("\t", "    ")).encode("utf-8", "backslashreplace").decode())


def _complain(diagnostic: Diagnostic, kind: str = "") -> None:
    text = f"uselib: {kind}{diagnostic}"
    print(text.encode("utf-8", "backslashreplace").decode(), file=sys.stderr)


def _show_steps(work: _Work, dry: bool, verbose: bool) -> None:
    shown = [
        step for step in work.steps if step.action is not Action.REFUSE and (verbose or step.action is not Action.KEEP)
    ]
    if shown or verbose:
        _say(f"{work.contents.directory}:")
    for step in shown:
        said = f"to be {step.action.value}" if dry and step.action is not Action.KEEP else step.action.value
        _say(f"\t{step.name} -> {step.target} ({said})")


def _show_libraries(work: _Work) -> None:
    links: dict[str, list[str]] = {}
    for step in work.steps:
        if step.action in (Action.KEEP, Action.MAKE, Action.CHANGE):
            links.setdefault(step.target, []).append(step.name)
    whole = [library for library in work.contents.libraries if library.header is not None]
    _say(f"{work.contents.directory}: {len(whole)} {'library' if len(whole) == 1 else 'libraries'}")
    for library in whole:
        assert library.header is not None
        who, name = library.header.identity, os.path.basename(library.path)
        slots = f"{who.slot_count} slot{'' if who.slot_count == 1 else 's'}"
        line = f"\t{name} ({library.header.machine.label}, {who.base:#x}-{who.end - 1:#x}, {slots})"
        _say(line + (f" <= {', '.join(links[name])}" if name in links else ""))


def _facts(work: _Work) -> Facts:
    return {
        "directory": work.contents.directory,
        "links": [
            {"name": step.name, "target": step.target, "action": step.action.name.lower()} for step in work.steps
        ],
        "libraries": [
            {
                "file": os.path.basename(library.path),
                "name": library.name,
                "version": str(library.version),
                "machine": library.header.machine.label if library.header else None,
                "base": library.header.identity.base if library.header else None,
                "size": library.header.identity.size if library.header else None,
                "problem": library.problem or None,
            }
            for library in work.contents.libraries
        ],
    }


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="uselib ldconfig",
        description="Makes and mends, in each directory, the symbolic links libX_s.MAJOR and libX_s.MAJOR.MINOR to the "
        "newest version; removes those that dangle. Warns of damaged libraries and of libraries whose addresses overlap. "
        "Exit status 1 if something could not be done.",
    )
    parser.add_argument("directories", nargs="+", metavar="DIR")
    parser.add_argument(
        "-n", "-N", "--dry-run", action="store_true", dest="dry", help="say what would be done, change nothing"
    )
    parser.add_argument("-v", "--verbose", action="store_true", help="show every link, also those that are right")
    parser.add_argument("-p", "--print", action="store_true", help="show the libraries and the links that lead to them")
    parser.add_argument(
        "--program", action="append", default=[], metavar="PROG", help="say by which rule PROG takes what there"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    return parser


def _programs(options: argparse.Namespace) -> tuple[list[Facts], bool]:
    """What each --program would get, and whether all of them would start."""
    rows, good = [], True
    for path in options.program:
        rule, found = _program(path, options.directories)
        libraries = {item.wanted.file_name: None if item.problem else item.path for item in found.libraries}
        missing = found.refusal and f"can't load library '{found.refusal.path}': {found.refusal.reason}"
        rows.append({"program": path, "rule": rule, "libraries": libraries, "message": missing})
        good = good and not missing
    return rows, good


def _show(options: argparse.Namespace, done: list[_Work], programs: list[Facts], clashes: tuple[Overlap, ...]) -> None:
    """The results, on stdout."""
    if options.json:
        everything = {
            "format": JSON_FORMAT,
            "dry_run": options.dry,
            "directories": [_facts(work) for work in done],
            "overlaps": [[clash.first.path, clash.second.path] for clash in clashes],
            "programs": programs,
        }
        print(json.dumps(everything, indent=2))
        return
    for work in done:
        if options.print:
            _show_libraries(work)
        if options.verbose or options.dry:
            _show_steps(work, options.dry, options.verbose)
    for row in programs:
        _say(f"{row['program']}: rule {row['rule']}")
        for name, path in row["libraries"].items():
            _say(f"\t{name} => {path or 'not found'}")
        if row["message"]:
            _say(f"\twill not start: {row['message']}")


def _warnings(done: list[_Work], clashes: tuple[Overlap, ...]) -> Iterator[Diagnostic]:
    """Problems that do not keep links from being made."""
    for work in done:
        for library in work.contents.libraries:
            if library.problem:
                yield Diagnostic(library.path, f"{library.problem}; no link leads to it")
        yield from _mixed(work.contents.libraries)
    for clash in clashes:
        yield Diagnostic("ldconfig", f"{clash}: no program can use both", remedy="`uselib map` finds a free address")


def run(arguments: list[str]) -> int:
    """Returns 0, or 1 if something could not be done. Raises ToolError, OSError for a program that cannot be read."""
    options = _parser().parse_args(arguments)
    done: list[_Work] = []
    errors: list[Diagnostic] = []
    for path in dict.fromkeys(options.directories):
        try:
            done.append(_directory(path, options.dry))
        except ToolError as failure:
            errors += failure.diagnostics
    clashes = overlaps(library for work in done for library in work.contents.libraries)
    programs, start = _programs(options)
    _show(options, done, programs, clashes)
    for diagnostic in _warnings(done, clashes):
        _complain(diagnostic, "warning: ")
    errors += [diagnostic for work in done for diagnostic in work.failed]
    for diagnostic in errors:
        _complain(diagnostic)
    return 0 if start and not errors else 1
