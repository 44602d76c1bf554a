"""`uselib chkshlib`: suppressions, baselines, what counts as a failure."""

from __future__ import annotations

import datetime
import json
import re
from pathlib import Path

import pytest

from support.chkshlib import SampleFiles, first, headers
from support.tools import needs
from uselib.commands import chkshlib

pytestmark = needs("gcc")
TODAY = datetime.date(2026, 11, 22)


# -- suppressions ------------------------------------------------------------------------------------------------------

SUPPRESSIONS = """
[[suppress]]
rule = "slot-moved"
subject = "twice"
reason = "nobody calls it"
expires = 2027-01-01
[[suppress]]
rule = "function-removed"
reason = "was never documented"
expires = 2026-01-01
[[suppress]]
rule = "data-*"
subject = "none"
reason = "typing error"
expires = "never"
[[severity]]
rule = "member-appended"
subject = "point"
severity = "minor"
reason = "programs get it from the library only"
"""


def test_suppressions(sample: SampleFiles, ask, tmp_path: Path) -> None:
    path = tmp_path / "abi.toml"
    path.write_text(SUPPRESSIONS)
    chosen = [sample.old, sample.new, "--suppress", str(path)]
    assert chkshlib.run([*chosen, "-q"], TODAY) == 4
    answer = ask(*chosen, "--json")
    found = json.loads(answer.out)
    rows = {row["rule"]: row for row in found["findings"]}
    assert rows["slot-moved"][
        "suppressed"
    ] == "nobody calls it (until 2027-01-01)" or datetime.date.today() > datetime.date(2027, 1, 1)
    assert rows["function-removed"]["suppressed"] == ""
    assert rows["member-appended"]["severity"] == "minor"
    assert found["notices"] == [
        f"suppression expired on 2026-01-01: {path}: suppress 2 (rule function-removed, subject *)",
        f"suppression matches nothing: {path}: suppress 3 (rule data-*, subject none)",
    ] or datetime.date.today() > datetime.date(2027, 1, 1)


def test_when_all_that_breaks_is_suppressed(
    sample: SampleFiles, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    path = tmp_path / "abi.toml"
    rows = "".join(
        f'[[suppress]]\nrule = "{rule}"\nreason = "all programs are built again"\nexpires = 2026-11-22\n'
        for rule in ("slot-moved", "function-removed", "member-*")
    )
    path.write_text(rows)
    words = [sample.old, sample.new, "--suppress", str(path), "--program", sample.program]
    assert chkshlib.run(words, TODAY) == 0  # the last day counts
    text = capsys.readouterr().out
    assert text.startswith(
        "compatible with a minor release; needs a new minor version: 1.1.0 or later (NEW says 1.1.0)\n"
    )
    assert "3 suppressed" in text and "unaffected" in text and "because suppressed" in text
    assert "version-too-small" not in text
    assert chkshlib.run(words, TODAY + datetime.timedelta(days=1)) == 4
    assert capsys.readouterr().out.count("suppression expired on 2026-11-22") == 3


BAD_SUPPRESSIONS = [
    ("[[suppress]]\nrule =", "is not TOML"),
    ("[[suppress]]\nrule = 'slot-moved'\nreason = 'x'", "`expires` is missing; write expires = 2027-06-30"),
    ("[[suppress]]\nrule = 'slot-moved'\nexpires = 'never'", "`reason` is missing"),
    ("[[suppress]]\nrule = 'slot-moved'\nreason = ' '\nexpires = 'never'", "`reason` is not a text"),
    ("[[suppress]]\nrule = 'slot-removed'\nreason = 'x'\nexpires = 'never'", "no rule `slot-removed`"),
    ("[[suppress]]\nrule = 'slot-moved'\nreason = 'x'\nexpires = 'tomorrow'", "`expires` is not a date: tomorrow"),
    ("[[suppress]]\nrule = 'slot-moved'\nreason = 'x'\nexpires = 'never'\nname = 'x'", "`name` is not known here"),
    (
        "[[severity]]\nrule = 'slot-moved'\nreason = 'x'\nseverity = 'bad'",
        "`severity` is not one of compatible, minor, risk, breaking",
    ),
    ("[suppress]\nrule = 'slot-moved'", "`suppress` is not known here"),
    ("[[ignore]]\nrule = 'slot-moved'", "`ignore` is not known here"),
]


@pytest.mark.parametrize(("text", "said"), BAD_SUPPRESSIONS)
def test_suppression_files_that_are_wrong(sample: SampleFiles, ask, tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "abi.toml"
    path.write_text(text)
    answer = ask(sample.old, sample.new, "--suppress", str(path))
    assert answer.status == 1 and answer.out == "" and f"uselib: {path}" in answer.err and said in answer.err


def test_all_defects_of_a_suppression_file_are_told(sample: SampleFiles, ask, tmp_path: Path) -> None:
    path = tmp_path / "abi.toml"
    path.write_text("[[suppress]]\nrule = 'x-y'\n[[suppress]]\nreason = 'x'\nexpires = 4\n")
    answer = ask(sample.old, sample.new, "--suppress", str(path))
    assert answer.err.count("\n") == 5 and "suppress 2: `rule` is missing" in answer.err


# -- baseline ----------------------------------------------------------------------------------------------------------


def test_a_baseline_accepts_what_was_there(sample: SampleFiles, ask, tmp_path: Path) -> None:
    path = str(tmp_path / "abi.json")
    assert ask(sample.old, sample.new, "-q", "--write-baseline", path).status == 0
    document = json.loads(Path(path).read_text())
    assert (document["format"], document["version"], document["library"]) == ("uselib-abi-baseline", 1, "libsample_s")
    answer = ask(sample.old, sample.new, "--baseline", path)
    assert answer.status == 0 and first(answer).startswith("compatible; ")
    assert "no changes found; " in answer.out and "suppressed" in answer.out
    worse = ask(sample.old, sample.new, "--baseline", path, *headers(sample))  # one finding more
    assert worse.status == 4 and "LIMIT: 16 became 32" in worse.out and "twice moved" not in worse.out
    better = ask(sample.old, sample.patch, "--baseline", path)
    assert better.status == 0 and "in the baseline and no longer found: " in better.out


def test_baselines_that_do_not_fit(sample: SampleFiles, ask, tmp_path: Path) -> None:
    path = tmp_path / "abi.json"
    assert ask(sample.old, sample.new, "-q", "--write-baseline", str(path)).status == 0
    good = json.loads(path.read_text())
    for change, said in (
        ({"version": 2}, "is a baseline of format version 2; this is for 1; write it again"),
        ({"library": "libother_s"}, "is the baseline of libother_s; the libraries compared are libsample_s"),
        ({"format": "x"}, "is not a baseline; --write-baseline FILE makes one"),
        ({"findings": 3}, "is a damaged baseline"),
        ({"findings": [{"rule": 1}]}, "is a damaged baseline: finding 1"),
    ):
        path.write_text(json.dumps({**good, **change}))
        answer = ask(sample.old, sample.new, "--baseline", str(path))
        assert answer.status == 1 and said in answer.err, answer.err
    path.write_text("{")
    assert "is not a baseline" in ask(sample.old, sample.new, "--baseline", str(path)).err
    path.write_text(json.dumps({**good, "old": "0.9.0"}))
    assert "written against version 0.9.0, OLD is 1.0.0" in ask(sample.old, sample.new, "--baseline", str(path)).out


# -- what counts, rules ------------------------------------------------------------------------------------------------


def test_fail_on(sample: SampleFiles, ask) -> None:
    expected = {"breaking": 0, "risk": 0, "minor": 4, "none": 0}
    assert {word: ask(sample.old, sample.minor, "--fail-on", word).status for word in expected} == expected
    assert ask(sample.old, sample.new, "--fail-on", "none").status == 0
    assert ask(sample.old, sample.i386, "--fail-on", "none").status == 16


def test_rules_are_explained(ask) -> None:
    answer = ask("--list-rules")
    assert answer.status == 0 and re.search(r"^  slot-moved +A function is in another slot$", answer.out, re.MULTILINE)
    rows = json.loads(ask("--list-rules", "--json").out)
    assert all(
        row["id"] and row["severity"] in ("breaking", "risk", "minor", "compatible") and row["remedy"] for row in rows
    )
    for row in rows:
        answer = ask("--explain", row["id"])
        assert answer.status == 0 and answer.out.startswith(f"{row['id']}: ")
    assert "program linked with old:\n" in ask("--explain", "slots-swapped").out


def test_a_program_and_several_libraries(sample: SampleFiles, ask) -> None:
    answer = ask(sample.program, sample.new, sample.other, "--json")
    rows = json.loads(answer.out)["programs"]
    assert [(row["library"], row["verdict"]) for row in rows] == [
        (sample.new, "affected"),
        (sample.other, "not comparable"),
    ]
    text = ask(sample.program, sample.old, sample.other)
    assert f"program {sample.program} with {sample.other}: not comparable" in text.flat and text.status == 0
    for name in ("junit", "markdown", "sarif"):
        assert " with " in ask(sample.program, sample.new, sample.other, "--format", name).out


def test_suppressions_of_what_meets_a_program(sample: SampleFiles, ask, tmp_path: Path) -> None:
    path = tmp_path / "abi.toml"
    path.write_text('[[suppress]]\nrule = "member-appended"\nreason = "built again"\nexpires = "never"\n')
    answer = ask(sample.program, sample.new, "--suppress", str(path))
    assert answer.status == 0 and "unaffected" in answer.flat and "(suppressed: built again)" in answer.flat
    assert "1 change that it meets, because suppressed" in answer.flat
