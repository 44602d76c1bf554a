"""Does 1.1.0 go on serving programs that were linked with 1.0.0? And would the draft of 1.2.0?"""

from pathlib import Path

import pytest

from uselib.abi.pytest_checks import Abi


def test_the_candidate_breaks_nothing(abi: Abi, released: Path, candidate: Path) -> None:
    abi.assert_compatible(released, candidate)


@pytest.mark.parametrize("arguments", [(), ("250", "2", "100", "3"), ("-5", "1")])
def test_report_runs_as_before(
    abi: Abi, released: Path, candidate: Path, report: Path, arguments: tuple[str, ...]
) -> None:
    abi.assert_compatible(released, candidate, report, arguments)


@pytest.mark.abi(old="released", new="candidate", program="report", arguments=["250", "2"])
def test_the_same_with_a_marker(released: Path, candidate: Path, report: Path) -> None:
    pass


def test_functions_return_the_same(abi: Abi, released: Path, candidate: Path) -> None:
    abi.assert_same_function(released, candidate, "tally", "average", examples=100)


def test_what_is_new(abi: Abi, released: Path, candidate: Path) -> None:
    findings = abi.check(released, candidate).findings
    assert [f.subject for f in findings if f.rule.id == "function-added"] == ["largest"]


# -- the draft: each kind of check finds something else ----------------------------------------------------------------


def test_the_draft_breaks_report(abi: Abi, released: Path, draft: Path, report: Path) -> None:
    with pytest.raises(AssertionError, match="report is affected"):
        abi.assert_compatible(released, draft, report, ("250", "2"))


def test_the_draft_calls_the_wrong_function(abi: Abi, released: Path, draft: Path, report: Path) -> None:
    with pytest.raises(AssertionError, match="tally"):
        abi.assert_identical_run(released, draft, report, ("250", "2", "100", "3"))


def test_the_draft_leaves_others_alone(abi: Abi, released: Path, draft: Path, currency: Path) -> None:
    abi.assert_compatible(released, draft, currency)


def test_the_draft_rounds(abi: Abi, released: Path, draft: Path) -> None:
    with pytest.raises(AssertionError, match="average: difference"):
        abi.assert_same_function(released, draft, "average")
