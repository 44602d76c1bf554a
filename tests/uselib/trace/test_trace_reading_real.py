"""Recorder and readers together: the demonstration's program traced on the old and on the new library."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from support.command import uselib


@pytest.fixture(scope="module")
def traces(arch: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """old, again and new .trace in a directory with the program and its libraries."""
    folder = tmp_path_factory.mktemp("demo")
    ran = uselib("demo", "--arch", arch, "--keep", folder, timeout=120)
    if ran.returncode:
        pytest.skip(f"the demonstration cannot be built here: {ran.stderr[-200:]}")
    for name, library in (("old", "old"), ("again", "old"), ("new", "new")):
        words = ["--sysroot", "sysroot", "--library-path", f"{library}/shlib", "main"]
        ran = uselib("trace", "record", "--returns", "-o", folder / f"{name}.trace", *words, cwd=folder)
        assert ran.returncode == 0, ran.stderr
    return folder


def test_show_tells_the_calls_of_main(traces: Path) -> None:
    lines = uselib("trace", "show", "--caller", "main", traces / "old.trace").stdout.splitlines()
    calls = [re.sub(r"\(.*| <\d+>", "", line.strip()) for line in lines]
    assert calls == [
        "main -> libgreet_s!greeting[2]",
        "main -> libc_s!puts[111]",
        "main -> libgreet_s!add[1]",
        "main -> libc_s!printf[108]",
        "main -> libc_s!printf[108]",
    ]
    assert 'puts[111]("hello from 1.0.0")' in lines[1] and '("%d + %d = %d\\n"' not in lines[0]


def test_the_same_run_has_no_difference_and_a_new_library_has(traces: Path) -> None:
    assert (traces / "old.trace").read_bytes() == (traces / "again.trace").read_bytes()
    ran = uselib("trace", "diff", traces / "old.trace", traces / "again.trace")
    assert (ran.returncode, ran.stdout) == (0, "")
    ran = uselib("trace", "diff", traces / "old.trace", traces / "new.trace")
    assert ran.returncode == 1 and "0 differences of flow" in ran.stdout
    assert '-   main -> libc_s!puts[111]("hello from 1.0.0")' in ran.stdout
    assert '+   main -> libc_s!puts[111]("a warm hello from 1.1.0")' in ran.stdout


@pytest.mark.parametrize("form", ["jsonl", "csv", "perfetto", "chrome", "folded", "speedscope"])
def test_every_export(traces: Path, form: str) -> None:
    out = traces / f"out.{form}"
    ran = uselib("trace", "export", "--format", form, "-o", out, traces / "old.trace")
    assert (ran.returncode, ran.stderr) == (0, "") and b"printf" in out.read_bytes()


def test_report_has_disassembly(traces: Path) -> None:
    assert uselib("trace", "report", "-o", traces / "r.html", traces / "old.trace").returncode == 0
    found = re.search(r'id="data">(.*?)</script>', (traces / "r.html").read_text(), re.S)
    assert found is not None
    facts = json.loads(found[1])
    assert facts["notes"] == {}
    slot = next(s for s in facts["slots"] if s["name"] == "greeting")
    assert slot["code"][0][1].startswith("e9 ") and slot["code"][0][2].endswith("<greeting$impl>")
    assert slot["implementation"][-1][2] == "ret"
    (traces / "old" / "shlib" / "libgreet_s.1.0.0").write_bytes(b"another file")
    uselib("trace", "report", "-o", traces / "r.html", traces / "old.trace")
    assert "the file has changed since" in (traces / "r.html").read_text()
