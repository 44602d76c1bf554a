"""The address registry and `uselib map`."""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from uselib.cli import main
from uselib.linker.errors import ToolError
from uselib.linker.library import registry

TEXT = """\
# our libraries
libc_s 4 0x60000000 0x00400000   # the C library
libm_s 1 0x60400000 0x00100000

libX11_s 6 0x60c00000 0x00400000
"""


def test_read_and_find() -> None:
    book = registry.parse(TEXT, "shlib.map")
    assert [(e.name, e.major, e.base, e.size, e.line) for e in book.entries] == [
        ("libc_s", 4, 0x60000000, 0x400000, 2),
        ("libm_s", 1, 0x60400000, 0x100000, 3),
        ("libX11_s", 6, 0x60C00000, 0x400000, 5),
    ]
    libc = book.find("libc_s", 4)
    assert libc is not None and libc.comment == "the C library" and book.room(libc) == 0
    libm = book.find("libm_s")
    assert libm is not None and book.room(libm) == 0x700000
    assert book.find("libc_s", 5) is None
    book.check()


def test_allocation_uses_4_mib_boundaries_first_fit() -> None:
    book = registry.parse(TEXT, "shlib.map")
    book, first = book.add("liba_s", 1, 100)
    assert (first.base, first.size) == (0x60800000, 0x1000)
    book, second = book.add("libb_s", 1, 0x400001)
    assert (second.base, second.size) == (0x61000000, 0x401000)
    book, third = book.add("libc_s", 5, 0x1000)
    assert third.base == 0x61800000
    assert book.lines[:5] == tuple(TEXT.splitlines())  # comments and order stay
    book.check()


def test_a_full_region_falls_back_to_smaller_boundaries() -> None:
    book = registry.parse("region 0x60000000 0x607fffff\na 1 0x60000000 0x1000\nb 1 0x60400000 0x1000\n", "m")
    book, entry = book.add("c", 1, 0x1000)
    assert entry.base == 0x60100000
    with pytest.raises(ToolError, match="no 0x400000 bytes in a row are free in 0x60000000-0x607fffff for d"):
        book.add("d", 1, 0x400000)


def test_refusals() -> None:
    book = registry.parse(TEXT, "m")
    with pytest.raises(ToolError, match=r"m:2: libc_s 4 has addresses 0x60000000-0x603fffff already"):
        book.add("libc_s", 4, 1)
    with pytest.raises(ToolError, match=r"m: z 1 at 0x60400000-0x60400fff overlaps libm_s 1 at .* \(line 3\)"):
        book.add("z", 1, 1, 0x60400000)
    with pytest.raises(ToolError, match="not on a page boundary"):
        book.add("z", 1, 1, 0x60400001)
    with pytest.raises(ToolError, match="m: nothing is not registered"):
        book.remove("nothing")
    with pytest.raises(ToolError, match="x has majors 1, 2; say which with --major"):
        registry.parse("x 1 0x1000 0x1000\nx 2 0x2000 0x1000", "m").remove("x")
    with pytest.raises(ToolError) as failure:
        registry.parse("a 1 0x1000 0x2000\nb 1 0x2000 0x1000\na 1 0x8000 0x1000", "m").check()
    assert [str(d).split(":")[1] for d in failure.value.diagnostics] == ["3", "2"]


BAD_LINES = [
    ("x 1 0x1000\n", "3 words; write NAME MAJOR BASE SIZE"),
    ("x one 0x1000 0x1000\n", "`one` is not a major version"),
    ("x 1 0x1001 0x1000\n", "BASE and SIZE are whole pages"),
    ("x 1 0x1000 0\n", "BASE and SIZE are whole pages"),
    ("x 1 where 0x1000\n", "`where` is not a number for BASE"),
    ("a/b 1 0x1000 0x1000\n", "`a/b` cannot be the name"),
    ("region 0x2000 0x1000\n", "the region is empty"),
]


@pytest.mark.parametrize(("text", "message"), BAD_LINES)
def test_bad_lines(text: str, message: str) -> None:
    with pytest.raises(ToolError) as failure:
        registry.parse("\n" + text, "m")
    assert str(failure.value).startswith("m:2: " + message)


@given(st.lists(st.integers(1, 40 << 20), max_size=30))
def test_allocations_never_overlap(sizes: list[int]) -> None:
    book = registry.Registry("m")
    for number, size in enumerate(sizes):
        try:
            book, entry = book.add(f"lib{number}", 1, size)
        except ToolError:
            continue
        assert entry.base >= registry.LOW and entry.end <= registry.HIGH
    book.check()
    again = registry.parse("\n".join(book.lines), "m")
    assert again.entries == book.entries
    for entry in again.entries:
        smaller, _ = again.remove(entry.name)
        assert registry.parse("\n".join(smaller.lines), "m").entries == smaller.entries


@given(st.text())
def test_only_tool_errors(text: str) -> None:
    with contextlib.suppress(ToolError):
        registry.parse(text, "m")


def _add(path: str, number: int) -> None:
    with registry.locked(path) as book:
        registry.write(book.add(f"lib{number}", 1, 0x1000)[0])


def test_writers_at_the_same_time(tmp_path: Path) -> None:
    path = str(tmp_path / "shlib.map")
    workers = [multiprocessing.get_context("fork").Process(target=_add, args=(path, n)) for n in range(8)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    book = registry.read(path)
    book.check()
    assert len(book.entries) == 8
    assert sorted(os.listdir(tmp_path)) == ["shlib.map", "shlib.map.lock"]


def test_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = str(tmp_path / "shlib.map")
    assert main(["map", "--file", file, "list"]) == 2
    assert "no such registry" in capsys.readouterr().err
    assert main(["map", "--file", file, "add", "libc_s", "4M", "--major", "4", "--comment", "C"]) == 0
    assert "0x60000000-0x603fffff" in capsys.readouterr().out
    assert main(["map", "--file", file, "add", "libm_s", "0x1000", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["libraries"][0]["base"] == 0x60400000
    assert main(["map", "--file", file, "list"]) == 0
    words = capsys.readouterr().out.splitlines()[0].split()
    assert words == "libc_s 4 0x60000000-0x603fffff 4 MiB room 0 KiB # C".split()
    assert main(["map", "--file", file, "check"]) == 0
    assert "2 libraries, no overlap" in capsys.readouterr().out
    assert main(["map", "--file", file, "add", "libz_s", "1M", "--base", "0x60400000"]) == 1
    assert "overlaps libm_s 1" in capsys.readouterr().err
    assert main(["map", "--file", file, "remove", "libc_s"]) == 0
    assert main(["map", "--file", file, "list", "--json"]) == 0
    assert [row["name"] for row in json.loads(capsys.readouterr().out)["libraries"]] == ["libm_s"]
