"""linker/formats/ar.py against ar(1): reading, writing, thin archives, and damaged input."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.tools import needs
from uselib.linker.errors import ToolError
from uselib.linker.formats.ar import Archive, NewMember, write_archive

needs_ar = needs("ar", "gcc")
LONG = "a_member_with_a_very_long_name_indeed.o"


@pytest.fixture(scope="module")
def objects(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("ar")
    for name, source in (("one.o", "int one, two;"), (LONG, "int three(void) { return 3; }")):
        subprocess.run(["gcc", "-c", "-xc", "-", "-o", directory / name], input=source.encode(), check=True)
    return directory


@needs_ar
@pytest.mark.parametrize("flags", ["rcsD", "rcSD", "rcsTD"])
def test_reads_what_ar_writes(objects: Path, flags: str) -> None:
    path = objects / f"lib{flags}.a"
    subprocess.run(["ar", flags, path.name, "one.o", LONG], check=True, cwd=objects)
    archive = Archive(path.read_bytes(), str(path))
    assert [member.name for member in archive.members()] == ["one.o", LONG]
    assert archive.thin == ("T" in flags)
    for member in archive.members():
        content = (
            Path(member.path).read_bytes() if archive.thin else archive.data[member.start : member.start + member.size]
        )
        assert content == (objects / member.name).read_bytes()
    index = archive.index()
    if "S" in flags:
        assert index is None
    else:
        assert index is not None
        assert [(name, archive.member(at).name) for name, at in index] == [
            ("one", "one.o"),
            ("two", "one.o"),
            ("three", LONG),
        ]


@needs_ar
def test_ar_reads_what_we_write(objects: Path) -> None:
    contents = {name: (objects / name).read_bytes() for name in ("one.o", LONG)}
    data = write_archive(
        [
            NewMember("one.o", contents["one.o"], ("one", "two")),
            NewMember("LIBRARY NAME", b"odd"),
            NewMember(LONG, contents[LONG], ("three",)),
        ]
    )
    path = objects / "ours.a"
    path.write_bytes(data)
    assert subprocess.run(["ar", "t", path], capture_output=True, text=True).stdout.split("\n") == [
        "one.o",
        "LIBRARY NAME",
        LONG,
        "",
    ]
    index = subprocess.run(["nm", "-s", path], capture_output=True, text=True).stdout
    assert f"three in {LONG}" in index
    assert subprocess.run(["ar", "p", path, LONG], capture_output=True).stdout == contents[LONG]


@given(
    st.lists(
        st.tuples(
            st.text("abcdefghij._-", min_size=1, max_size=40).filter(lambda name: name.strip(". ")),
            st.binary(max_size=50),
            st.lists(st.text("abcxyz_$", min_size=1, max_size=12), max_size=4),
        ),
        max_size=6,
    )
)
def test_round_trip(members: list[tuple[str, bytes, list[str]]]) -> None:
    data = write_archive(NewMember(name, content, tuple(names)) for name, content, names in members)
    assert data == write_archive(NewMember(name, content, tuple(names)) for name, content, names in members)
    archive = Archive(data, "x.a")
    assert [(m.name, data[m.start : m.start + m.size]) for m in archive.members()] == [(n, c) for n, c, _ in members]
    expected = [(symbol, name) for name, _, symbols in members for symbol in symbols]
    assert [(symbol, archive.member(at).name) for symbol, at in archive.index() or ()] == expected


SAMPLE = write_archive([NewMember("one.o", b"1" * 33, ("one", "two")), NewMember(LONG, b"2" * 20, ("three",))])


@settings(max_examples=300)
@given(st.data())
def test_damaged_archives_give_tool_errors(data: st.DataObject) -> None:
    broken = bytearray(SAMPLE)
    for _ in range(data.draw(st.integers(0, 3))):
        broken[data.draw(st.integers(0, len(broken) - 1))] = data.draw(st.integers(0, 255))
    broken = broken[: data.draw(st.integers(0, len(broken)))]
    try:
        archive = Archive(bytes(broken), "x.a")
        archive.members()
        for _, at in archive.index() or ():
            archive.member(at)
    except ToolError as failure:
        assert "x.a" in str(failure)
