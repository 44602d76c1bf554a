"""`uselib chkshlib`: is NEW compatible with programs that were linked with OLD? Can PROG run with these libraries?

Exit status: 0 compatible, also with a minor release; 4 breaking; 16 not comparable; 2 bad usage; 1 any other error.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import shutil
import sys

from uselib.abi.static import rules as table
from uselib.abi.static.comparison.files import (
    FileComparison,
    HeaderOptions,
    compare_files,
    compare_program,
    is_program,
    renumbered,
)
from uselib.abi.static.model.findings import AbiRule, Report, Severity, Verdict
from uselib.abi.static.model.outcome import judged
from uselib.abi.static.policy import baseline as baselines
from uselib.abi.static.policy.suppressions import read_suppressions
from uselib.abi.static.report import FORMATS, Style, render
from uselib.abi.static.report.common import WORDS, active
from uselib.commands import chkshlib_coff
from uselib.commands.chkshlib_coff import is_coff_call
from uselib.linker.errors import Diagnostic, UsageError, printable
from uselib.linker.image import Machine
from uselib.linker.package_version import VERSION
from uselib.linker.quick_dataclass import replace

_PIPE_WIDTH = 100  # columns where there is no terminal
_FAIL_ON = ("breaking", "risk", "minor", "affected", "none")
_EPILOG = """\
The kind of the first file decides. `--fail-on affected`: only if a program given by --program is affected.
Exit status: 0 compatible (also with a minor release), 4 breaking (or what --fail-on says), 16 not comparable,
2 bad usage, 1 other errors. A suppression file and the formats are described in docs/chkshlib.md."""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="uselib chkshlib",
        usage="uselib chkshlib [OPTIONS] OLD NEW\n       uselib chkshlib [OPTIONS] PROG LIB...\n"
        "       uselib chkshlib --list-rules | --explain RULE",
        description="Compares two versions of a library, or a program with the libraries it is to run with.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("files", nargs="*", metavar="FILE", help="target libraries, stub libraries, shared objects (.so), programs")
    add(
        "-v",
        "--verbose",
        action="store_true",
        help="everything: changes no program notices, suppressed ones, long lists",
    )
    add("-q", "--quiet", action="store_true", help="nothing on stdout; the exit status and the files of -o")
    add(
        "--program",
        action="append",
        default=[],
        metavar="PROG",
        help="what the change means for this program (repeatable)",
    )
    headers = parser.add_argument_group("public interface")
    add = headers.add_argument
    add(
        "--headers",
        action="append",
        default=[],
        metavar="PATH",
        help="C header or directory, of both versions (repeatable)",
    )
    add("--old-headers", action="append", default=[], metavar="PATH", help="those of OLD")
    add("--new-headers", action="append", default=[], metavar="PATH", help="those of NEW")
    add("-I", action="append", default=[], metavar="DIR", dest="include", help="where the headers' #include looks")
    add("-D", action="append", default=[], metavar="NAME[=VALUE]", dest="define", help="a macro for the headers")
    output = parser.add_argument_group("output")
    add = output.add_argument
    add("--format", choices=FORMATS, help=f"on stdout: {', '.join(FORMATS)} (default text)")
    add("--json", action="store_true", help="the same as --format json")
    add(
        "-o",
        action="append",
        default=[],
        metavar="FORMAT=FILE",
        dest="output",
        help="write this format to a file (repeatable)",
    )
    accepted = parser.add_argument_group("what counts")
    add = accepted.add_argument
    add(
        "--suppress",
        action="append",
        default=[],
        metavar="FILE",
        help="suppressions with reason and expiry, own severities (TOML)",
    )
    add("--baseline", metavar="FILE", help="only what is not in this file counts")
    add("--write-baseline", metavar="FILE", help="accept all findings of this comparison")
    add(
        "--fail-on",
        choices=_FAIL_ON,
        default="breaking",
        help="from which severity on the exit status is 4 (default breaking)",
    )
    rules = parser.add_argument_group("rules")
    rules.add_argument("--list-rules", action="store_true", help="all rules with their severity")
    rules.add_argument("--explain", metavar="RULE", help="one rule, with its example")
    return parser


def run(arguments: list[str], today: datetime.date | None = None) -> int:
    """Returns the exit status. today: for suppressions that expire."""
    if is_coff_call(arguments):
        return chkshlib_coff.run(arguments)
    parser = _parser()
    try:
        options = parser.parse_intermixed_args(arguments)
    except SystemExit as stop:  # --help, or bad usage, which argparse has reported
        return int(stop.code or 0)
    if options.list_rules:
        return _list_rules(options.json or options.format == "json")
    if options.explain is not None:
        return _explain(options.explain)
    outputs = _outputs(options)
    compared, by_programs = _compare(options)
    report = _accepted(compared, options, by_programs, today or datetime.date.today())
    for name, path in outputs:
        _write(render(name, report, _style(options, name, terminal=False)), path)
    if not options.quiet:
        name = "json" if options.json else options.format or "text"
        sys.stdout.write(
            _printable_to(sys.stdout.encoding, render(name, report, _style(options, name, terminal=name == "text")))
        )
    if options.write_baseline and report.verdict is not Verdict.NOT_COMPARABLE:
        _write_file(options.write_baseline, baselines.encoded(report, compared.library))
        return 0
    return _status(report, options.fail_on, by_programs)


def _usage(message: str, remedy: str = "`uselib chkshlib --help` shows how") -> UsageError:
    return UsageError(Diagnostic("chkshlib", message, remedy=remedy))


# -- the comparison ----------------------------------------------------------------------------------------------------


def _compare(options: argparse.Namespace) -> tuple[FileComparison, bool]:
    files = options.files
    if len(files) < 2:
        raise _usage("two versions of a library are wanted, or a program and its libraries")
    if is_program(files[0]):
        for name in ("program", "old_headers", "baseline", "write_baseline"):
            if getattr(options, name):
                raise _usage(
                    f"--{name.replace('_', '-')} is for two versions of a library; {printable(files[0])} is a program"
                )
        return compare_program(files[0], files[1:], _headers(options)), True
    if len(files) > 2:
        raise _usage(f"{len(files)} files: two versions of a library are compared", "--program PROG names a program")
    if options.fail_on == "affected" and not options.program:
        raise _usage("--fail-on affected says something only with --program")
    return compare_files(files[0], files[1], options.program, _headers(options)), False


def _headers(options: argparse.Namespace) -> HeaderOptions:
    old = tuple(options.headers + options.old_headers)
    new = tuple(options.headers + options.new_headers)
    if not old and not new:
        if options.include or options.define:
            raise _usage("-I and -D are for headers, and there are none", "--headers PATH names them")
        return HeaderOptions()
    if (not old or not new) and not is_program(options.files[0]):
        given, other = ("--old-headers", "--new-headers") if old else ("--new-headers", "--old-headers")
        raise _usage(f"{given} needs {other}", "--headers PATH is for both versions")
    return HeaderOptions(old, new, tuple(options.include), tuple(options.define), _compilers())


def _compilers() -> tuple[tuple[Machine, tuple[str, ...]], ...]:
    """The C compiler for each machine; none if there is no compiler."""
    from uselib.runtime.compiler import preprocessors

    return preprocessors()


def _accepted(compared: FileComparison, options: argparse.Namespace, by_programs: bool, today: datetime.date) -> Report:
    """The report after suppressions and the baseline."""
    report = compared.report
    files = [read_suppressions(path) for path in options.suppress]
    baseline = baselines.read_baseline(options.baseline) if options.baseline else None
    if report.verdict is Verdict.NOT_COMPARABLE:
        return report
    notices = list(report.notices)
    for suppressions in files:
        judge, said = suppressions.apply(report.findings, today)
        report = judged(report, judge, by_programs=by_programs)
        notices += said
    if baseline is not None:
        judge, said = baselines.apply(baseline, report, compared.library)
        report = judged(report, judge, by_programs=by_programs)
        notices += said
    return renumbered(_with_notices(report, notices))


def _with_notices(report: Report, notices: list[str]) -> Report:
    return replace(report, notices=tuple(dict.fromkeys(notices)))


def _status(report: Report, fail_on: str, by_programs: bool) -> int:
    if report.verdict is Verdict.NOT_COMPARABLE:
        return report.verdict.status
    if fail_on == "none":
        return 0
    if fail_on == "affected":
        return 4 if any(program.verdict in ("affected", "refused at start-up") for program in report.programs) else 0
    if report.verdict is Verdict.BREAKING:
        return 4
    if by_programs and fail_on != "breaking":
        return 4 if any(program.verdict == "maybe affected" for program in report.programs) else 0
    threshold = Severity[fail_on.upper()]
    return 4 if any(finding.severity >= threshold for finding in active(report)) else 0


# -- output ------------------------------------------------------------------------------------------------------------


def _outputs(options: argparse.Namespace) -> list[tuple[str, str]]:
    if options.json and options.format not in (None, "json"):
        raise _usage(
            f"--json and --format {options.format} exclude each other",
            f"-o {options.format}=FILE writes a second format",
        )
    found = []
    for text in options.output:
        name, equals, path = text.partition("=")
        if name not in FORMATS or not equals or not path:
            raise _usage(f"-o {printable(text)}: not FORMAT=FILE", f"formats: {', '.join(FORMATS)}")
        found.append((name, path))
    return found


def _style(options: argparse.Namespace, name: str, terminal: bool) -> Style:
    on_terminal = terminal and sys.stdout.isatty()
    colour = on_terminal and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    columns = os.environ.get("COLUMNS", "")
    width = (
        shutil.get_terminal_size((_PIPE_WIDTH, 24)).columns
        if on_terminal or (terminal and columns.isdigit())
        else _PIPE_WIDTH
    )
    return Style(width, colour, options.verbose, "" if name == "text" else VERSION)


def _printable_to(encoding: str | None, text: str) -> str:
    """Names of damaged files may hold what the terminal cannot show."""
    return text.encode(encoding or "utf-8", "backslashreplace").decode(encoding or "utf-8")


def _write(text: str, path: str) -> None:
    data = text.encode("utf-8", "backslashreplace")
    if path == "-":
        sys.stdout.write(data.decode())
    else:
        _write_file(path, data)


def _write_file(path: str, data: bytes) -> None:
    from uselib.linker.writing import write_atomically  # imports half the linker

    write_atomically(path, data, 0o666)


# -- rules -------------------------------------------------------------------------------------------------------------


def _list_rules(as_json: bool) -> int:
    rules = [table.rule(identifier) for identifier in table.identifiers()]
    if as_json:
        print(json.dumps([_row(rule) for rule in rules], indent=2))
        return 0
    for severity in sorted(Severity, reverse=True):
        rows = [rule for rule in rules if rule.severity is severity]
        if rows:
            print(f"{WORDS[severity]} ({len(rows)})")
        for rule in rows:
            print(f"  {rule.id:<30} {rule.title}")
    return 0


def _row(rule: AbiRule) -> dict[str, object]:
    texts = {name: getattr(rule, name) for name in ("id", "title", "severity", "consequence", "remedy", "since")}
    return {**texts, "severity": WORDS[rule.severity]}


def _explain(identifier: str) -> int:
    from uselib.abi.static.report.text import rule_text

    if not identifier.replace("-", "").isalnum() or not table.is_known(identifier):
        near = [known for known in table.identifiers() if identifier and identifier in known]
        known = f"did you mean {' or '.join(near[:4])}?" if near else "--list-rules prints them"
        raise _usage(f"no rule `{printable(identifier)}`", known)
    parts = []
    examples = table.examples(identifier)
    for number, example in enumerate(examples, 1):
        which = f"example {number}, " if len(examples) > 1 else ""
        named = (
            ("header", example.header),
            ("new header", example.new_header),
            ("old", example.old),
            ("new", example.new),
            ("program linked with old", example.program),
        )
        parts += [(which + heading, text) for heading, text in named if text.strip()]
    width = shutil.get_terminal_size((_PIPE_WIDTH, 24)).columns if sys.stdout.isatty() else _PIPE_WIDTH
    for line in rule_text(table.rule(identifier), parts, width):
        print(line)
    return 0
