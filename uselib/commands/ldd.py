"""`uselib ldd`: which libraries a program would get if it were started now, and why other versions are not used.

The choice is loader/libraries/dependencies.py's, which follows start-up step for step; each file that was not taken gets its
reasons (loader/libraries/candidates.py).
"""

from __future__ import annotations

import argparse
import json
import os
import stat
from dataclasses import dataclass
from typing import Any

from uselib.linker.errors import Diagnostic, LinkError, UsageError, printable
from uselib.linker.formats.elf_image import read_image
from uselib.linker.image import PAGE, Image
from uselib.linker.reading import read_file
from uselib.linker.versions import RULES, VersionRule, rule_named
from uselib.loader.libraries.candidates import Candidate, Directory, Query, candidates
from uselib.loader.libraries.dependencies import Resolved, ResolvedDependencies, program_libraries, resolve
from uselib.loader.libraries.search import DEFAULT_PATH, Choice, HostFiles, SearchPath
from uselib.loader.programs.headers import program_scheme

Facts = dict[str, Any]
JSON_FORMAT = 1

SCHEME_SYMBOL = "_SHARED_LIBRARY_SCHEME"  # absolute, from crt1: the index in SCHEMES
SCHEMES = ("static", "uselib", "mmap", "kernel", "bsdos", "interp")


@dataclass(frozen=True)
class Security:
    """Whether the kernel would set AT_SECURE for the user who asks. mark: set-user-ID, ...; empty if there is none."""

    mark: str = ""
    secure: bool = False


def security(path: str) -> Security:
    """What execve(2) would do for this user (kernel: cap_bprm_creds_from_file, bprm_fill_uid). Raises OSError."""
    status = os.stat(path)
    user_changes = bool(status.st_mode & stat.S_ISUID)
    group_changes = bool(status.st_mode & stat.S_ISGID and status.st_mode & stat.S_IXGRP)
    try:
        capabilities = bool(os.getxattr(path, "security.capability"))
    except OSError:
        capabilities = False
    marks = {"set-user-ID": user_changes, "set-group-ID": group_changes, "file capabilities": capabilities}
    mark = " and ".join(name for name, has in marks.items() if has)
    if not mark or os.statvfs(path).f_flag & os.ST_NOSUID:
        return Security(mark)
    return Security(
        mark,
        (user_changes and status.st_uid != os.getuid())
        or (group_changes and status.st_gid != os.getgid())
        or (capabilities and os.getuid() != 0),
    )


def scheme_of(image: Image, page: bytes) -> str:
    """How a program gets its libraries, if its symbol table or a note on its first page says so; else empty."""
    number = next((symbol.address for symbol in image.symbols if symbol.name == SCHEME_SYMBOL), 0)
    if not number and (mark := program_scheme(page)) is not None:
        number = mark[0]
    return SCHEMES[number] if 0 < number < len(SCHEMES) else ""


@dataclass(frozen=True)
class LddReport:
    """The report on one program."""

    path: str
    image: Image
    scheme: str
    rule: VersionRule
    rule_from: str  # option, environment, program, or empty: the default
    security: Security
    search: SearchPath
    resolution: ResolvedDependencies
    details: tuple[tuple[tuple[Candidate, ...], tuple[Directory, ...]], ...]  # for each library of the resolution
    notes: tuple[str, ...]  # likewise: remarks


def _rule(options: argparse.Namespace, image: Image, secure: bool) -> tuple[VersionRule, str]:
    environment = "" if secure else os.environ.get("USELIB_VERSION_RULE", "")
    for name, source in ((options.rule, "option"), (environment, "environment"), (image.version_rule, "program")):
        if name and name not in RULES and source == "program":
            raise LinkError(
                Diagnostic(options.program, f"asks for version rule `{name}`, which start-up does not know")
            )
        if name:
            return rule_named(name, "--rule" if source == "option" else "USELIB_VERSION_RULE"), source
    return rule_named("", ""), ""


def report(options: argparse.Namespace) -> LddReport:
    """Reads the program and looks for its libraries. Raises ToolError, OSError."""
    path = options.program
    content = read_file(path)
    image = read_image(content, path)
    if options.sysroot and not os.path.isdir(options.sysroot):
        raise UsageError(Diagnostic(options.sysroot, "is not a directory", symbol="--sysroot"))
    trust = security(path)
    scheme = options.scheme or scheme_of(image, content[:PAGE])
    rule, source = _rule(options, image, trust.secure)
    environment = options.library_path if options.library_path is not None else os.environ.get("LD_LIBRARY_PATH", "")
    if scheme == "kernel":  # exec opens the recorded file name and nothing else, whatever the environment says
        environment, rule, source = "", rule_named("exact", ""), ""
    search = SearchPath("" if trust.secure else environment, image.library_path or DEFAULT_PATH)
    files = HostFiles(options.sysroot or "")
    resolution = resolve(image, search, rule, files, scheme)
    details: list[tuple[tuple[Candidate, ...], tuple[Directory, ...]]] = []
    for found in resolution.libraries:
        linked = found.wanted.linked
        if linked is None:
            details.append(((), ()))
            continue
        query = Query(found.wanted.file_name, linked, image.machine, rule, scheme)
        details.append(candidates(files, search, query, found.choice or Choice("", 0)))
    notes = tuple(_note(found, files, scheme) for found in resolution.libraries)
    return LddReport(path, image, scheme, rule, source, trust, search, resolution, tuple(details), notes)


def _note(found: Resolved, files: HostFiles, scheme: str) -> str:
    """uselib(2) asks for permission to execute as well; where it does not exist, start-up maps the file without."""
    if found.problem or scheme != "uselib":
        return ""
    try:
        fd = files.open(found.path)
    except OSError:
        return ""
    try:
        executable = os.fstat(fd).st_mode & 0o111
    finally:
        os.close(fd)
    return "" if executable else "not executable: uselib(2) refuses it, and so does `uselib run`"


# Facts, for --json


def _library_facts(found: Resolved, details: tuple[tuple[Candidate, ...], tuple[Directory, ...]], note: str) -> Facts:
    linked, who = found.wanted.linked, found.header.identity if found.header is not None else None
    return {
        "name": found.wanted.file_name,
        "wanted_by": found.wanted.by or None,
        "linked_with": str(linked.version) if linked is not None else None,
        "path": found.path if not found.problem else None,
        "refused": found.path if found.problem and found.choice is not None and not found.choice.error else None,
        "version": str(who.version) if who is not None else None,
        "base": who.base if who is not None else None,
        "same_build": who is not None and linked is not None and who.digest == linked.digest,
        "problem": found.problem or None,
        "note": note or None,
        "directories": [{"path": d.path, "problem": d.problem or None} for d in details[1]],
        "candidates": [
            {
                "path": candidate.path,
                "version": str(candidate.version) if candidate.version is not None else None,
                "used": candidate.chosen and not found.problem,
                "reasons": [{"code": reason.code, "text": reason.text} for reason in candidate.reasons],
            }
            for candidate in details[0]
        ],
    }


def facts_of(result: LddReport) -> Facts:
    """The report as what `--json` prints."""
    refusal = result.resolution.refusal
    return {
        "format": JSON_FORMAT,
        "program": result.path,
        "machine": result.image.machine.label,
        "scheme": result.scheme or None,
        "rule": result.rule.name,
        "rule_from": result.rule_from or None,
        "set_id": result.security.mark or None,
        "secure": result.security.secure,
        "list_from": "notes" if result.image.library is None and not result.image.library_names else ".lib",
        "library_path": result.search.environment,
        "recorded_path": result.search.recorded,
        "libraries": [
            _library_facts(*row) for row in zip(result.resolution.libraries, result.details, result.notes, strict=True)
        ],
        "starts": refusal is None,
        "message": f"can't load library '{refusal.path}'\n\t{refusal.reason}" if refusal is not None else None,
    }


# Text


def _library_lines(facts: Facts, verbose: bool) -> list[str]:
    by = f"  (for {facts['wanted_by']})" if facts["wanted_by"] else ""
    if facts["problem"]:
        lines = [f"  {facts['name']} => {facts['refused'] or 'not found'}: {facts['problem']}{by}"]
    else:
        lines = [f"  {facts['name']} => {facts['path']} ({facts['version']} at {facts['base']:#x}){by}"]
    if facts["note"]:
        lines.append(f"      {facts['note']}")
    if verbose:
        build = "this build" if facts["same_build"] else "another build"
        lines.append(f"      linked with {facts['linked_with']}" + (f"; {build}" if facts["version"] else ""))
    for candidate in facts["candidates"]:
        reasons = "; ".join(reason["text"] for reason in candidate["reasons"])
        if reasons:
            lines.append(f"      {candidate['path']}: {reasons}")
    if verbose or facts["problem"]:
        for directory in facts["directories"]:
            if directory["problem"]:
                lines.append(f"      {directory['path'] or '.'}: {directory['problem']}")
            elif verbose and not any(os.path.dirname(c["path"]) == directory["path"] for c in facts["candidates"]):
                lines.append(f"      {directory['path'] or '.'}: no version of it")
    return lines


def lines_of(facts: Facts, verbose: bool) -> list[str]:
    """The report as text."""
    name = facts["program"]
    if not facts["libraries"] and facts["starts"]:
        return [f"{name}: uses no shared libraries"]
    rule = f"rule {facts['rule']}" + (f" (from the {facts['rule_from']})" if facts["rule_from"] else "")
    scheme = f"scheme {facts['scheme']}, " if facts["scheme"] else ""
    lines = [f"{name}: {facts['machine']}, {scheme}{rule}"]
    if facts["list_from"] == "notes":
        lines.append(
            "  it has no section headers: recorded path and rule cannot be read; its notes name these libraries"
        )
    if facts["secure"]:
        lines.append(f"  {facts['set_id']}: LD_LIBRARY_PATH and USELIB_VERSION_RULE are ignored (secure execution)")
    elif facts["set_id"]:
        lines.append(f"  {facts['set_id']}, but that changes nothing for this user: LD_LIBRARY_PATH is honoured")
    if verbose:
        lines.append(f"  LD_LIBRARY_PATH: {facts['library_path'] or '(none)'}; recorded path: {facts['recorded_path']}")
    for library in facts["libraries"]:
        lines += _library_lines(library, verbose)
    if facts["message"]:
        lines.append(f"  will not start: {facts['message'].replace(chr(10) + chr(9), ': ')}")
    return lines


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="uselib ldd",
        description="Shows which shared libraries a program would get, and why each other version would not be used. "
        "Exit status 1 if it would not start.",
    )
    parser.add_argument("program", metavar="PROG", help="a program, or a target library: what it refers to")
    parser.add_argument("--library-path", metavar="DIRS", help="instead of the variable LD_LIBRARY_PATH")
    parser.add_argument(
        "--sysroot", metavar="DIR", help="look for absolute paths that do not exist under DIR, as `run` does"
    )
    parser.add_argument("--rule", metavar="RULE", help=f"instead of the program's: {', '.join(RULES)}")
    parser.add_argument("--scheme", choices=SCHEMES[1:], help="of a stripped program, which does not say it")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument(
        "-v", "--verbose", action="store_true", help="the search path, and directories without candidates"
    )
    return parser


def run(arguments: list[str]) -> int:
    """Returns 0 if every library is found and fits, else 1. Raises ToolError."""
    options = _parser().parse_args(arguments)
    result = report(options)
    if not program_libraries(result.image) and result.image.interpreter:
        raise LinkError(Diagnostic(result.path, "is linked dynamically", remedy="ask ldd(1)"))
    facts = facts_of(result)
    if options.json:
        print(json.dumps(facts, indent=2))
    else:
        for line in lines_of(facts, options.verbose):
            print(printable(line).encode("utf-8", "backslashreplace").decode())
    return 0 if facts["starts"] else 1
