"""The history that a library carries: shown by `uselib inspect`, written as text, damaged, of another file."""

from __future__ import annotations

import contextlib
import random
import re
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.mkshlib import mkshlib
from support.releases import CHANGES, DATA, FIRST, SECOND, Shop, refused
from support.tools import MACHINES, needs
from uselib.cli import main
from uselib.linker.errors import FormatError, ToolError
from uselib.linker.image import Machine, Version
from uselib.linker.library.releases import history, previous
from uselib.linker.library.releases.history import PlaceState, SlotState

pytestmark = needs("gcc", "ld")
M = Machine.X86_64


# -- inspecting, and the recorded text ----------------------------------------------------------------------------------


def test_inspect_shows_what_is_gone(shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
    shop.release("1.0.0", FIRST)
    shop.release("1.1.0", SECOND, before="1.0.0", options=CHANGES)
    path = shop.library("1.1.0")
    address = shop.history("1.0.0").data_places()["verbosity"].address
    for _ in range(2):
        capsys.readouterr()
        assert main(["inspect", str(path)]) == 0
        shown = capsys.readouterr().out
        assert "(retired in 1.1.0: close_db)" in shown and "follows  1.0.0\n" in shown
        assert f"  {address:#010x}        4  (retired in 1.1.0: verbosity)\n" in shown
        assert "renamed: add -> sum in 1.1.0" in shown
        subprocess.run(["strip", "-s", path], check=True)  # and the same without symbols
    assert main(["inspect", str(shop.stub("1.1.0"))]) == 0
    assert "follows  1.0.0\n" in capsys.readouterr().out
    shop.release("1.1.0", SECOND, before="1.0.0", options=CHANGES)
    subprocess.run(["objcopy", "-R", history.SECTION, path], check=True)  # from its symbols alone
    assert main(["inspect", str(path)]) == 0
    assert "(retired: close_db)" in capsys.readouterr().out


NAMES = st.text(min_size=0, max_size=8) | st.sampled_from(
    ["%", "a b", "\x1b[1m", "\udcff", "_ZN3fooC1Ev", "f$pointer", "=", "#"]
)
VERSIONS = st.builds(Version, *[st.integers(0, 0xFFFF)] * 3)
ADDRESSES = st.integers(1, (1 << 32) - 1)


@st.composite
def histories(draw: st.DrawFn) -> history.History:
    slots = tuple(
        history.SlotRecord(n + 1, draw(st.sampled_from(SlotState)), draw(VERSIONS), draw(NAMES))
        for n in range(draw(st.integers(0, 5)))
    )
    places = []
    for _ in range(draw(st.integers(0, 5))):
        size = draw(st.integers(0, 1 << 20))
        places.append(
            history.PlaceRecord(
                draw(ADDRESSES),
                size,
                size + draw(st.integers(0, 99)),
                draw(st.sampled_from(PlaceState)),
                draw(VERSIONS),
                draw(NAMES),
            )
        )
    renaming = st.builds(history.Renaming, VERSIONS, NAMES, NAMES)
    some = st.lists(renaming, max_size=3).map(tuple)
    data_size = draw(st.integers(0, 100))
    return history.History(
        draw(NAMES),
        draw(st.sampled_from(MACHINES)),
        draw(st.sampled_from(["uselib", "mmap"])),
        tuple(draw(st.lists(VERSIONS, min_size=1, max_size=4))),
        draw(ADDRESSES),
        draw(ADDRESSES) if slots else 0,
        draw(ADDRESSES) if data_size else 0,
        data_size,
        slots,
        tuple(places),
        draw(some),
        draw(some),
    )


@given(histories())
def test_text_round_trip(given: history.History) -> None:
    text = history.encode(given)
    assert all(0x20 <= c < 0x7F or c == 10 for c in text)
    if history._contradiction(given):
        with pytest.raises(FormatError, match="contradicts itself"):
            history.decode(text, "t")
        return
    assert history.decode(text, "t") == given


CONTRADICTIONS = [
    ("slot 1 function 1.0.0 counter", "counter is a function and a datum"),
    ("slot 1 function 1.0.0 %", "a function or datum without a name"),
    ("place 0x0000000061003000 4 4 data 1.0.0 table", "table has two places"),
    ("place 0x0000000061003030 0 40 retired 1.0.0 gone", "the reserved place of gone is outside the exported data"),
]


@pytest.mark.parametrize(("line", "message"), CONTRADICTIONS)
def test_contradictory_histories(tmp_path: Path, line: str, message: str) -> None:
    shop = Shop(tmp_path, M)
    shop.release("1.0.0", FIRST)
    lines = history.encode(shop.history("1.0.0")).decode().splitlines()
    key = line.split()[:2] if line.startswith("slot") else ["-"]
    lines = [row for row in lines if row.split()[:2] != key]
    lines.insert(6, line)
    with pytest.raises(FormatError, match=re.escape(f"FILE: its history contradicts itself: {message}")):
        history.decode("\n".join(lines).encode(), "FILE")


@given(histories(), st.data())
def test_damaged_text(given: history.History, data: st.DataObject) -> None:
    text = bytearray(history.encode(given))
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(text) - 1))
        if data.draw(st.booleans()):
            text[at] ^= 1 << data.draw(st.integers(0, 7))
        else:
            del text[at : at + data.draw(st.integers(1, 40))]
        if not text:
            return
    try:
        history.decode(bytes(text), "FILE")
    except FormatError as problem:
        assert "FILE: its history " in str(problem)


def test_any_changed_file(tmp_path: Path) -> None:
    """Bits flipped anywhere in a target or a stub: a release, or a ToolError, and nothing else."""
    shop = Shop(tmp_path, M)
    shop.release("1.0.0", FIRST)
    shop.release("1.1.0", SECOND, before="1.0.0", options=CHANGES)
    chance = random.Random(1)
    for path in (shop.library("1.1.0"), shop.stub("1.1.0")):
        whole = path.read_bytes()
        at = whole.find(b"uselib-history")
        damaged = tmp_path / "damaged"
        for n in range(150):
            data = bytearray(whole)
            for _ in range(4):
                low, high = (0, len(data)) if n % 2 else (at, at + 700)
                data[chance.randrange(low, min(high, len(data)))] ^= 1 << chance.randrange(8)
            damaged.write_bytes(data if n % 5 else data[: chance.randrange(len(data))])
            with contextlib.suppress(ToolError):
                previous.read(damaged)


def test_a_history_of_another_file_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shop = Shop(tmp_path, M)
    path = shop.release("1.0.0", FIRST)
    text = history.encode(replace(shop.history("1.0.0"), releases=(Version(1, 0, 7),)))
    (tmp_path / "text").write_bytes(text)
    subprocess.run(["objcopy", "--update-section", f"{history.SECTION}={tmp_path}/text", path], check=True)
    said = refused(shop, capsys, "1.1.0", path, FIRST)
    assert "its history belongs to another file: version 1.0.7, and its note says 1.0.0" in said
    (tmp_path / "text").write_bytes(text.replace(b"uselib-history 1", b"uselib-history 9"))
    subprocess.run(["objcopy", "--update-section", f"{history.SECTION}={tmp_path}/text", path], check=True)
    assert "its history has format 9; this version reads format 1; use the uselib that made it" in refused(
        shop, capsys, "1.1.0", path, FIRST
    )


def test_the_next_version(shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
    shop.release("1.2.65535", DATA)

    def follow(before: str, text: str, *options: str) -> str:
        objects = shop.objects("next", text)
        path = shop.directory / f"{before}/shlib/libt_s.{before}"
        mkshlib(
            "--name", "t", "--version", "next", "--previous", path, *options, "-o", shop.directory / "next", *objects
        )
        (made,) = (shop.directory / "next/shlib").iterdir()
        made.unlink()
        return made.name.removeprefix("libt_s.")

    assert follow("1.2.65535", DATA) == "1.3.0"  # a full number carries over
    shop.release("1.2.3", DATA)
    assert follow("1.2.3", DATA.replace("last;", "last + 0;")) == "1.2.4"
    assert follow("1.2.3", DATA + "int more;") == "1.3.0"
    assert follow("1.2.3", DATA.replace("grow", "grown"), "--rename", "grow=grown") == "1.3.0"
    said = refused(shop, capsys, "next", None, DATA)
    assert "the library has no version" in said
