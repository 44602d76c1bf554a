"""The work of the pytest plugin: the static and the dynamic check as assertions, with messages of a few lines."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from uselib.abi.dynamic.run.result import AbiRequest, AbiResult
from uselib.abi.static.model.findings import ProgramReport, Report, Severity, Verdict
from uselib.linker.errors import ToolError

PathLike = str | os.PathLike[str]
_SHOWN = 3  # findings in a message


@dataclass(frozen=True)
class Abi:
    """The fixture. run_options: words of `uselib run` for every program; static_only: no program is run.

    Methods that begin with `assert_` raise AssertionError; whatever could not be compared is a failure. Files that
    cannot be read fail the test as well.
    """

    run_options: tuple[str, ...] = ()
    max_seconds: float = 60.0
    static_only: bool = False

    @classmethod
    def of(cls, config: pytest.Config, run_options: Sequence[PathLike]) -> Abi:
        """As the command line and the ini file say. Raises pytest.UsageError."""
        text = str(config.getini("abi_max_seconds"))
        try:
            seconds = float(text)
            if not seconds > 0:
                raise ValueError
        except ValueError:
            raise pytest.UsageError(f"abi_max_seconds: `{text}` is not a positive number") from None
        return cls(_names(run_options), seconds, bool(config.getoption("abi_static_only")))

    # -- results ---------------------------------------------------------------------------------------------------

    def check(self, old: PathLike, new: PathLike, *programs: PathLike, headers: Sequence[PathLike] = ()) -> Report:
        """The static check, as `uselib chkshlib OLD NEW --program PROG`. headers: of both versions: limits it to what they declare."""
        from uselib.abi.static.comparison.files import HeaderOptions, compare_files

        names = _names(headers)
        return compare_files(os.fspath(old), os.fspath(new), _names(programs), HeaderOptions(names, names)).report

    def run(
        self,
        old: PathLike,
        new: PathLike,
        program: PathLike,
        arguments: Sequence[PathLike] = (),
        *,
        stdin: bytes | str = b"",
        run_options: Sequence[PathLike] = (),
        prototypes: Sequence[PathLike] = (),
        ignore: Sequence[str] = (),
        max_instructions: int | None = None,
    ) -> AbiResult:
        """The dynamic check, as `uselib abi run PROG --old OLD --new NEW`. run_options come behind those of the ini file."""
        from uselib.abi.dynamic.run.run import compare_runs

        request = AbiRequest(
            os.fspath(program),
            os.fspath(old),
            os.fspath(new),
            arguments=_names(arguments),
            stdin=stdin.encode() if isinstance(stdin, str) else stdin,
            run_words=(*self.run_options, *_names(run_options)),
            prototypes=_names(prototypes),
            ignore=tuple(ignore),
            max_instructions=max_instructions,
            max_seconds=self.max_seconds,
        )
        return compare_runs(request)

    # -- assertions ------------------------------------------------------------------------------------------------

    def assert_compatible(
        self,
        old: PathLike,
        new: PathLike,
        program: PathLike | None = None,
        arguments: Sequence[PathLike] = (),
        *,
        headers: Sequence[PathLike] = (),
        **run: Any,
    ) -> None:
        """Programs that were linked with `old` continue to work with `new`.

        Without a program: no change that breaks any of them. With one: nothing that it uses has changed in a way that breaks it, and
        it behaves the same when it is run (`maybe affected` is decided by the run). run: as for `run`. Raises AssertionError.
        """
        __tracebackhide__ = True
        try:
            report = self.check(old, new, *(() if program is None else (program,)), headers=headers)
        except (ToolError, OSError) as failure:
            raise AssertionError(f"the libraries cannot be compared: {failure}") from None
        problem = _static_problem(report, decided=program is None or self.static_only)
        if problem:
            result = None
            if report.verdict is not Verdict.NOT_COMPARABLE and program is not None and not self.static_only:
                result = self._quiet_run(old, new, program, arguments, run)
            raise AssertionError("\n".join([*problem, *(_dynamic_problem(result) if result else [])]))
        if program is not None and not self.static_only:
            self.assert_identical_run(old, new, program, arguments, **run)

    def _quiet_run(
        self, old: PathLike, new: PathLike, program: PathLike, arguments: Sequence[PathLike], run: Mapping[str, Any]
    ) -> AbiResult | None:
        """The run that shows a static finding at work, if there is one."""
        try:
            return self.run(old, new, program, arguments, **run)
        except (ToolError, OSError):
            return None

    def assert_identical_run(
        self, old: PathLike, new: PathLike, program: PathLike, arguments: Sequence[PathLike] = (), **run: Any
    ) -> None:
        """The program does the same with both versions, on this run. Raises AssertionError with the first divergence."""
        __tracebackhide__ = True
        try:
            result = self.run(old, new, program, arguments, **run)
        except (ToolError, OSError) as failure:
            raise AssertionError(f"{os.fspath(program)} cannot be run: {failure}") from None
        if result.verdict != "identical on this run" or result.wrong:
            raise AssertionError("\n".join(_dynamic_problem(result)))

    def assert_same_function(self, old: PathLike, new: PathLike, *functions: str, **options: Any) -> None:
        """`uselib abi probe`: generated calls find no difference between the functions of the two versions. options: of ProbeRequest
        (examples, seed, library_path, prototypes, ranges, ...). Raises AssertionError with the smallest call that differs."""
        __tracebackhide__ = True
        from uselib.abi.dynamic.probe.probe import probe
        from uselib.abi.dynamic.probe.spec import ProbeRequest
        from uselib.abi.dynamic.probe.text import render

        try:
            result = probe(ProbeRequest(os.fspath(old), os.fspath(new), functions or ("*",), **options))
        except (ToolError, OSError) as failure:
            raise AssertionError(f"the functions cannot be probed: {failure}") from None
        if result.status:
            raise AssertionError("\n".join(render(result)))


def _names(paths: Sequence[PathLike]) -> tuple[str, ...]:
    return tuple(os.fspath(path) for path in paths)


# -- messages ----------------------------------------------------------------------------------------------------------


def _static_problem(report: Report, decided: bool) -> list[str]:
    """Why a report is not `compatible`, in a few lines; empty: it is. decided: no run follows that could clear a doubt."""
    names = f"{os.path.basename(report.old)} -> {os.path.basename(report.new)}"
    if report.verdict is Verdict.NOT_COMPARABLE:
        return [f"{names}: not comparable", *(f"  {text}" for text in report.unchecked[:_SHOWN])]
    if report.programs:
        lines: list[str] = []
        for program in report.programs:
            if program.verdict not in ("unaffected", *(() if decided else ("maybe affected",))):
                lines += _program_problem(program, names)
        return lines
    if report.verdict is not Verdict.BREAKING:
        return []
    findings = [f for f in report.findings if f.severity is Severity.BREAKING and not f.suppressed]
    lines = [f"{names}: breaking for programs that use what changed"]
    lines += [f"  {finding.message} [{finding.rule.id}]" for finding in findings[:_SHOWN]]
    return [*lines, *_more(len(findings))]


def _program_problem(program: ProgramReport, names: str) -> list[str]:
    lines = [f"{names}: {os.path.basename(program.path)} is {program.verdict}"]
    for effect in program.effects[:_SHOWN]:
        lines.append(f"  {effect.finding.message} [{effect.finding.rule.id}]: it {effect.why}")
    if not program.effects:
        lines += [f"  {text}" for text in program.unchecked[:_SHOWN]]
    return [*lines, *_more(len(program.effects))]


def _more(count: int) -> list[str]:
    return [f"  and {count - _SHOWN} more; `uselib chkshlib` lists all"] if count > _SHOWN else []


def _dynamic_problem(result: AbiResult) -> list[str]:
    program = os.path.basename(result.program)
    if result.verdict == "not comparable":
        return [f"{program}: the runs are not comparable: {result.reason}"]
    lines: list[str] = []
    found = result.divergence
    if found is not None:
        at = f" (call {found.old_call or found.new_call})" if found.old_call or found.new_call else ""
        lines.append(f"{program}: diverged{at}: {found.message}")
        lines += [
            f"  {os.path.basename(result.old.library)}: {found.old}",
            f"  {os.path.basename(result.new.library)}: {found.new}",
        ]
        if found.explanation:
            lines.append(f"  because {found.explanation}" + (f" [{found.finding}]" if found.finding else ""))
    for wrong in result.wrong[:_SHOWN]:
        verb = "called" if wrong.kind == "function" else "accessed"
        lines.append(f"  {verb} {wrong.bound} at {wrong.address:#x}, found {wrong.found or 'nothing'} ({wrong.side})")
    return lines or [f"{program}: {result.verdict}"]


_MARKER_WORDS_TEXT = "old new program arguments headers stdin run_options prototypes ignore max_instructions"
_MARKER_WORDS = frozenset(_MARKER_WORDS_TEXT.split())


# -- the marker --------------------------------------------------------------------------------------------------------


def check_marker(item: pytest.Function, marker: pytest.Mark) -> None:
    """What a marker says, as assert_compatible. Raises AssertionError, pytest.UsageError."""
    __tracebackhide__ = True
    given: dict[str, Any] = dict(zip(("old", "new", "program", "arguments"), marker.args, strict=False))
    given.update(marker.kwargs)
    if len(marker.args) > 4 or "old" not in given or "new" not in given:
        raise pytest.UsageError(
            f"{item.nodeid}: the marker `abi` needs old=, new= and at most program=, arguments= and options"
        )
    for name in ("old", "new", "program"):
        if given.get(name) is not None:
            given[name] = _path(item, given[name])
    if "arguments" in given:
        given["arguments"] = [_path(item, word, only_fixtures=True) for word in given["arguments"]]
    unknown = given.keys() - _MARKER_WORDS
    if unknown:
        raise pytest.UsageError(f"{item.nodeid}: the marker `abi` has no option {', '.join(sorted(unknown))}")
    checks: Any = item.funcargs["abi"]
    checks.assert_compatible(**given)


def _path(item: pytest.Function, value: Any, only_fixtures: bool = False) -> Any:
    """The value of a fixture that the test asks for by this name, or a path below pytest's root directory."""
    if isinstance(value, str) and value in item.funcargs:
        return item.funcargs[value]
    if only_fixtures or os.path.isabs(value):
        return value
    return os.path.join(item.config.rootpath, value)
