"""Specification files: their contents, and every mistake with FILE:LINE."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from uselib.linker.errors import ToolError
from uselib.linker.image import Version
from uselib.linker.library import specification as spec

WHOLE = """\
## the standard input and output library
#target /shlib/libfoo_s.1.2.3
#address .text 0x60400000   ## base
#address .data 60500000
#branch
    open    1
    read    2-3
    .empty_slot 4 close
    write   5
#objects
    open.o read.o
    "with space.o"
#objects noload
    -lc_s
#init alloc.o
    _foo_malloc malloc
    _foo_free   free
#interposable qsort
    bsearch
#hide linker *
#export linker
    open
    read*
#ident "foo 1.2.3"
"""


def test_everything() -> None:
    read = spec.parse(WHOLE, "foo.spec")
    assert (read.name, read.version) == ("libfoo_s", Version(1, 2, 3))
    assert (read.text_address, read.data_address) == (0x60400000, 0x60500000)
    assert read.branch == {"open": (1,), "read": (2, 3), "write": (5,)}
    assert read.branch_where["read"] == "foo.spec:7"
    assert read.slot_count == 5 and read.empty == {4: "close"}
    assert read.objects == ("open.o", "read.o", "with space.o")
    assert read.noload == ("-lc_s",)
    assert [(i.member, i.pointer, i.symbol, i.where) for i in read.init] == [
        ("alloc.o", "_foo_malloc", "malloc", "foo.spec:16"),
        ("alloc.o", "_foo_free", "free", "foo.spec:17"),
    ]
    assert read.interposable == ("qsort", "bsearch")
    assert read.ident == ("foo 1.2.3",)
    assert not spec.hidden("open", read.hide, read.export)
    assert not spec.hidden("readv", read.hide, read.export)
    assert spec.hidden("write", read.hide, read.export)


def test_name_and_version_stand_before_the_targets() -> None:
    read = spec.parse("#target /shlib/libx_s\n#name y\n#version 4.0.0\n", "s")
    assert (read.name, read.version) == ("y", Version(4, 0, 0))
    assert spec.parse("", "s") == spec.Specification("s")


MISTAKES = [
    ("#branch\nf 1\ng 1\n", "s:3: g: slot 1 belongs to f already (line 2)"),
    ("#branch\nf 1-4\ng 3\n", "s:3: g: slot 3 belongs to f already (line 2)"),
    ("#branch\nf 1\ng 4\n", "s: #branch leaves out slots 2, 3; give them to a function or write `.empty_slot NUMBER`"),
    ("#branch\nf 2\n", "s: #branch leaves out slot 1; "),
    ("#branch\nf 0\n", "s:2: f: slots 0 are not within 1 to 65535"),
    ("#branch\nf 5-2\n", "s:2: f: slots 5-2 are not within"),
    ("#branch\nf one\n", "s:2: write `function slot` or `function first-last`"),
    ("#branch\nf 1 2\n", "s:2: write `function slot`"),
    ("#branch f\n", "s:1: #branch takes no words"),
    ("#address .bss 0x1000\n", "s:1: write `#address .text ADDRESS`"),
    ("#address .text 0x1001\n", "s:1: address 0x1001 is not on a page boundary"),
    ("#address .text zero\n", "s:1: `zero` is not an address"),
    ("#address .text 0\n", "s:1: address 0 cannot be mapped"),
    ("#address .text 1000\n#address .text 2000\n", "s:2: #address .text was given on line 1 already"),
    ("#version 1.2\n", "s:1: `1.2` is not a version"),
    ("#version 1.2.70000\n", "s:1: `1.2.70000` is not a version"),
    ("#name a/b\n", "s:1: `a/b` cannot be the name of a library"),
    ("#name a b\n", "s:1: #name takes one word, 2 are given"),
    ("#library x\n", "s:1: `#library` is not a directive; there are #name"),
    ("\nhello\n", "s:2: `hello` is under no directive that takes lines"),
    ("#init a.o\nalone\n", "s:2: write `pointer function`"),
    ("#hide everything\n", "s:1: write `#hide linker`"),
    ('#ident "half\n', "s:1: a quotation without an end"),
]


@pytest.mark.parametrize(("text", "message"), MISTAKES)
def test_mistakes(text: str, message: str) -> None:
    with pytest.raises(ToolError) as failure:
        spec.parse(text, "s")
    assert str(failure.value).startswith(message)


def test_all_mistakes_are_reported() -> None:
    with pytest.raises(ToolError) as failure:
        spec.parse("#nope\n#version x\n#branch\nf 9\n", "s")
    assert [d.where for d in failure.value.diagnostics] == ["s:1", "s:2", "s"]


def test_not_text(tmp_path: Path) -> None:
    (tmp_path / "s").write_bytes(b"\x7fELF\xff\xfe")
    with pytest.raises(ToolError, match="it is not text"):
        spec.read(tmp_path / "s")


LINES = st.sampled_from([*WHOLE.splitlines(), "#branch x", "f 1-", "#address", "#init", "# x", "#objects noload x"])


@given(st.lists(st.one_of(LINES, st.text(max_size=20))))
def test_only_tool_errors(lines: list[str]) -> None:
    try:
        spec.parse("\n".join(lines), "s")
    except ToolError as failure:
        assert all(d.where.startswith("s") for d in failure.diagnostics)
