"""`uselib compare`: the same program in every scheme."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from support.command import uselib
from uselib.scheme_comparison.measure import run
from uselib.scheme_comparison.schemes import SCHEMES, Workshop
from uselib.scheme_comparison.table import SchemeRow, as_text


@pytest.mark.parametrize("scheme", SCHEMES, ids=lambda scheme: scheme.name)
def test_every_scheme_runs_and_counts_the_same_twice(tmp_path: Path, scheme) -> None:
    built = scheme.build(Workshop(tmp_path, 100))
    first, second = run(built.root), run(built.root)
    assert (first.instructions, first.system_calls) == (second.instructions, second.system_calls)
    assert first.status == 0 and first.pages >= 3 and first.shared <= first.pages
    empty = run(scheme.build(Workshop(tmp_path / "empty", 0)).root)
    assert 400 < first.instructions - empty.instructions < 1400  # a hundred calls
    if built.library is not None:
        assert built.library.exists() and built.stub is not None and built.stub.exists()


def test_json() -> None:
    result = uselib("compare", "--json", "static", "svr3")
    report = json.loads(result.stdout)
    static, svr3 = report["schemes"]
    assert (report["version"], result.stderr, result.returncode) == (1, "", 0)
    assert (static["scheme"], static["library"], static["system_calls"], static["per_call"]) == ("static", None, 0, 0)
    # the kernel maps the library, so start-up makes no call; the slot is one instruction more than a direct call
    assert (svr3["scheme"], svr3["mapped_by"], svr3["system_calls"], svr3["per_call"]) == ("svr3", "exec", 0, 1)


def test_text() -> None:
    row = SchemeRow("x", "title", "exec", False, 1000, 2000, None, 3, 4000, 5, 2, 1.0, 9.87)
    lines = as_text([row]).splitlines()
    assert lines[1].split() == ["x", "exec", "1,000", "2,000", "-", "3", "4,000", "5", "2", "+1", "9.9"]
    assert "x         title (emulated only)" in lines


def test_an_unknown_scheme() -> None:
    result = uselib("compare", "nextstep")
    assert result.returncode == 2 and "nextstep: is not a scheme; there are static, uselib, mmap" in result.stderr
