"""Every rule's example pair: made, compared, and run with a program that was linked with the old version."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from support.abi_pairs import build, build_shared
from support.paths import ROOT
from support.tools import needs
from uselib.abi.static import rules
from uselib.abi.static.comparison import difference_rules
from uselib.abi.static.comparison.check import check
from uselib.abi.static.model.findings import Severity, Verdict
from uselib.abi.static.readers.reading import read_facts
from uselib.abi.static.rules import Example, page
from uselib.linker.image import Machine

needs_tools = needs("gcc", "ld")
SOURCES = Path(rules.__file__).parent.parent / "comparison"
EXAMPLES = [(name, number) for name in rules.identifiers() for number in range(len(rules.examples(name)))]
VERDICTS = {"breaking": Verdict.BREAKING, "minor": Verdict.MINOR, "compatible": Verdict.COMPATIBLE}
# Both machines differ here, so these run on i386 in the fast suite as well.
ON_I386 = """
parameter-added parameter-retyped member-inserted same-representation calling-convention-changed slot-moved data-moved
enum-size-changed alignment-changed interposition-pointer-moved
""".split()
# Not from two C files: test_abi_check.py has them.
BY_HAND = {"dependency-added", "dependency-major-changed", "dependency-removed", "function-retired", "jump-table-moved"}


def _example(name: str, number: int, machine: Machine) -> Example:
    example = rules.examples(name)[number]
    if example.machine and example.machine != machine.label:
        pytest.skip(f"an example for {example.machine}")
    return example


def _compare(directory: Path, name: str, number: int, machine: Machine) -> None:
    example = _example(name, number, machine)
    if example.form == "so":
        if machine is Machine.I386:
            pytest.skip("shared objects are made for x86-64 only")
        old, new, outcome = build_shared(directory, example)
        facts = read_facts(old), read_facts(new)
    else:
        pair = build(directory, machine, example)
        facts = pair.facts(example.needs in ("headers", "declarations"), example.needs == "declarations")
        outcome = pair.outcome()
    report = check(*facts)
    found = [finding for finding in report.findings if (finding.rule.id, finding.subject) == (name, example.subject)]
    assert found, [(finding.rule.id, finding.subject, finding.message) for finding in report.findings]
    assert report.verdict is VERDICTS[example.verdict]
    assert outcome == example.runs


@needs_tools
@pytest.mark.parametrize(("name", "number"), EXAMPLES)
def test_example(tmp_path: Path, name: str, number: int) -> None:
    _compare(tmp_path, name, number, Machine.X86_64)


@needs_tools
@pytest.mark.parametrize(("name", "number"), [row for row in EXAMPLES if row[0] in ON_I386])
def test_example_on_i386(tmp_path: Path, name: str, number: int) -> None:
    _compare(tmp_path, name, number, Machine.I386)


@needs_tools
@pytest.mark.slow
@pytest.mark.parametrize(("name", "number"), [row for row in EXAMPLES if row[0] not in ON_I386])
def test_other_examples_on_i386(tmp_path: Path, name: str, number: int) -> None:
    _compare(tmp_path, name, number, Machine.I386)


def test_every_rule_is_complete() -> None:
    for name in rules.identifiers():
        row = rules.rule(name)
        assert re.fullmatch(r"[a-z]+(-[a-z]+)+", name)
        assert row.title and row.consequence.endswith(".") and row.remedy.endswith("."), name
        assert rules.examples(name) or name in BY_HAND, f"{name} has no example"


def test_the_code_names_no_rule_that_is_not_there() -> None:
    texts = [p.read_text() for p in SOURCES.glob("*.py") if p.stem.startswith(("compare_", "check", "affected"))]
    words = {word for text in texts for word in re.findall(r'"([a-z]+(?:-[a-z]+)+)"', text)}
    for text in texts:
        for table in re.findall(r'_TEXT = """(.*?)"""|_TEXT = "(.*?)"', text, re.DOTALL):
            words |= {word for word in " ".join(table).split() if "-" in word}
    for where in (difference_rules.PARAMETER, difference_rules.RESULT, difference_rules.MEMBER, difference_rules.DATA):
        words |= set(where.values())
    kinds = {"const-added", "const-removed"}  # of differences, not rules
    assert {word for word in words if not rules.is_known(word)} == kinds
    unused = {name for name in rules.identifiers() if name not in words}
    assert not unused


@needs_tools
def test_examples_agree_with_their_severity() -> None:
    """A breaking rule has an example that differs or is refused; a compatible or minor one, one that runs the same."""
    for name in rules.identifiers():
        shown = {example.runs for example in rules.examples(name)}
        if not shown:
            continue
        if rules.rule(name).severity is Severity.BREAKING and name != "data-grown":
            assert shown & {"differs", "refused"}, name
        elif rules.rule(name).severity in (Severity.COMPATIBLE, Severity.MINOR):
            assert shown == {"same"}, name


def test_the_page_of_rules_is_up_to_date() -> None:
    path = ROOT / "docs" / "abi-rules.md"
    assert path.read_text() == page.render(), "run: python -m uselib.abi.static.rules.page > docs/abi-rules.md"
