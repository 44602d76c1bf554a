"""A release after another one: programs linked by GNU ld with the old stub run natively on the new library."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from support.releases import BASE, CHANGES, EXPECTED, FIRST, SECOND, TWO, USER, Shop, refused, slots_of
from support.tools import needs, require
from uselib.linker.image import Machine, Version
from uselib.linker.library import retired_trap as retired
from uselib.linker.library.releases import previous
from uselib.linker.library.releases.history import SlotState

pytestmark = needs("gcc", "ld")
M = Machine.X86_64


# -- keeping ------------------------------------------------------------------------------------------------------------


def test_old_program_on_new_library(shop: Shop) -> None:
    shop.release("1.0.0", FIRST)
    program = shop.program("user", USER, "1.0.0")
    assert shop.run(program, "1.0.0") == (EXPECTED, "", 0)
    shop.release("1.1.0", SECOND, before="1.0.0", options=CHANGES)
    assert shop.run(program, "1.1.0") == (EXPECTED, "", 0)
    old, new = shop.history("1.0.0"), shop.history("1.1.0")
    assert [s.name for s in new.slots] == ["sum", "close_db", "hook", "open_db", "run_hook", "before_all"]
    assert [s.state.value for s in new.slots] == ["function", "retired", *["function"] * 4]
    where = {p.name: p.address for p in old.places}
    assert {p.name: p.address for p in new.places if p.name in where} == where
    assert [p.name for p in new.places] == ["counter", "limit", "table", "verbosity", "aaa"]
    assert (new.releases, new.base, new.table) == ((Version(1, 0, 0), Version(1, 1, 0)), BASE, old.table)
    assert [(r.old, r.new) for r in new.renamed] == [("add", "sum")]
    # the stub says the same as the target, and offers only what is there
    assert previous.read(shop.stub("1.1.0")).history == new
    names = subprocess.run(["nm", shop.stub("1.1.0")], capture_output=True, text=True).stdout
    assert "sum" in names and "close_db" not in names and "verbosity" not in names and " add" not in names


@pytest.mark.parametrize("emulated", [False, True], ids=["native", "emulated"])
def test_a_retired_function_names_itself(shop: Shop, emulated: bool) -> None:
    shop.release("1.0.0", FIRST)
    text = 'int close_db(void); int main_(void) { put("begun\\n"); put_number(close_db()); put("on\\n"); return 0; }'
    program = shop.program("keeper", text, "1.0.0")
    assert shop.run(program, "1.0.0", emulated) == ("begun\n7\non\n", "", 0)
    shop.release("1.1.0", SECOND, before="1.0.0", options=CHANGES)
    shop.release("1.2.0", SECOND + "int later(void) { return 1; }", before="1.1.0")
    out, err, status = shop.run(program, "1.2.0", emulated)
    assert (out, status) == ("begun\n", retired.STATUS)
    found = re.fullmatch(
        r"libt_s\.1\.2\.0: close_db was retired in 1\.1\.0; keeper, linked with 1\.0\.0, called it from 0x([0-9a-f]+)\n",
        err,
    )
    assert found, err
    listing = subprocess.run(["objdump", "-d", program], capture_output=True, text=True).stdout
    body = listing.partition("<main_>:")[2]
    calls = [int(m[1], 16) for m in re.finditer(r"^ *([0-9a-f]+):.*\tcall.*61000808", body, re.M)]
    assert calls and calls[0] < int(found[1], 16) < calls[0] + 5  # within the call instruction


@pytest.mark.parametrize(
    ("linker", "flags", "known"),
    [
        ("ld", (), True),
        ("ld.lld", (), True),
        ("mold", (), True),
        ("ld", ("-z", "separate-code", "-z", "max-page-size=0x200000"), False),
    ],
)
def test_the_release_that_a_program_was_linked_with(
    shop: Shop, linker: str, flags: tuple[str, ...], known: bool
) -> None:
    """It is in the program's note. If the ELF header cannot be found from the caller's address, only the version is missing."""
    require(linker)
    shop.release("1.10.65535", TWO)
    program = shop.program("p", "int b(void); int main_(void) { return b(); }", "1.10.65535", linker, *flags)
    shop.release("1.11.0", "int d(void) { return 4; }", before="1.10.65535", options=("--retire", "b"))
    version = "1.10.65535" if known else "an earlier release"
    for emulated in (False, True):
        out, err, status = shop.run(program, "1.11.0", emulated)
        assert (out, status) == ("", 127)
        assert re.fullmatch(
            rf"libt_s\.1\.11\.0: b was retired in 1\.11\.0; p, linked with {version}, called it from 0x[0-9a-f]+\n", err
        )


def test_every_retired_slot_has_its_own_message(shop: Shop) -> None:
    names = [f"f{n}" for n in range(40)]
    shop.release("1.0.0", "".join(f"int {n}(void) {{ return 1; }}" for n in names))
    shop.release(
        "1.1.0", "int f20(void) { return 1; }", before="1.0.0", options=("--retire", ",".join(names[:20] + names[21:]))
    )
    for name in ("f0", "f5", "f39"):
        program = shop.program(name, f"int {name}(void); int main_(void) {{ {name}(); return 0; }}", "1.0.0")
        _, err, status = shop.run(program, "1.1.0")
        assert status == 127 and f": {name} was retired in 1.1.0; {name}, linked" in err
    program = shop.program("fine", "int f20(void); int main_(void) { return f20(); }", "1.0.0")
    assert shop.run(program, "1.1.0") == ("", "", 1)


@needs("as", "objcopy")
def test_the_traps_bytes_are_what_the_assembler_makes(machine: Machine, tmp_path: Path) -> None:
    source = tmp_path / "trap.s"
    source.write_text(".intel_syntax noprefix\n" + retired.source(machine))
    flag = "--32" if machine is Machine.I386 else "--64"
    subprocess.run(["as", flag, source, "-o", tmp_path / "trap.o"], check=True)
    subprocess.run(["objcopy", "-O", "binary", "-j", ".text", tmp_path / "trap.o", tmp_path / "trap"], check=True)
    assert (tmp_path / "trap").read_bytes() + retired.PHRASE == retired.code(machine)


def test_history_of_many_releases(shop: Shop) -> None:
    """1.0 -> 1.8, each made from the one before, alternately from its target and its stub in both forms."""
    text = "int base(void) { return 1; } int level = 1;"
    shop.release("1.0.0", text, options=("--format", "both"))
    program = shop.program(
        "p", "int base(void); extern int level; int main_(void) { put_number(base() + level); return 0; }", "1.0.0"
    )
    programs = [(program, "2\n")]
    for n in range(1, 9):
        text = f"int a{n}(void) {{ return {n}; }} int z{n} = {n};" + text
        before = [shop.library(f"1.{n - 1}.0"), shop.stub(f"1.{n - 1}.0"), shop.directory / f"1.{n - 1}.0/lib/libt_s"][
            n % 3
        ]
        shop.release(f"1.{n}.0", text, before=before, options=("--format", "both"))
        body = f"int a{n}(void), base(void); extern int z{n}; int main_(void) {{ put_number(base() + a{n}() + z{n}); return 0; }}"
        programs.append((shop.program(f"p{n}", body, f"1.{n}.0"), f"{1 + 2 * n}\n"))
        for old, expected in programs:
            assert shop.run(old, f"1.{n}.0") == (expected, "", 0)
    last = shop.history("1.8.0")
    assert [str(v) for v in last.releases] == [f"1.{n}.0" for n in range(9)]
    assert [s.name for s in last.slots] == ["base", *(f"a{n}" for n in range(1, 9))]
    assert [p.name for p in last.places] == ["level", *(f"z{n}" for n in range(1, 9))]
    assert [str(s.since) for s in last.slots] == [f"1.{n}.0" for n in range(9)]


# -- slots --------------------------------------------------------------------------------------------------------------


def with_branch(shop: Shop, *lines: str) -> Path:
    path = shop.directory / "branch.spec"
    path.write_text("#branch\n" + "".join(line + "\n" for line in lines))
    return path


def test_branch_must_agree(shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
    shop.release("1.0.0", TWO)
    cases = {
        ("b 2", "d 1"): [
            "branch.spec:2: b: #branch gives it slot 2, and libt_s.1.0.0 has it in slot 1; write slot 1",
            "branch.spec:3: d: #branch gives it slot 1, and libt_s.1.0.0 has it in slot 2",
        ],
        ("c 1", "b 2", "d 3"): [
            "branch.spec:2: c: #branch gives it slot 1, which is b's in libt_s.1.0.0; number new functions"
        ],
        ("b 1", ".empty_slot 2"): ["branch.spec: #branch leaves slot 2 empty, which is d's in libt_s.1.0.0"],
        ("b 1", "d 2-3"): ["branch.spec:3: d: #branch gives it slots 2, 3, and libt_s.1.0.0 has it in slot 2"],
    }
    for lines, messages in cases.items():
        said = refused(
            shop, capsys, "1.1.0", "1.0.0", TWO + "int c(void) { return 3; }", "-s", with_branch(shop, *lines)
        )
        for message in messages:
            assert message in said
    shop.release(
        "1.1.0",
        TWO + "int c(void) { return 3; } int a(void) { return 1; }",
        before="1.0.0",
        options=("-s", with_branch(shop, "b 1", "d 2", ".empty_slot 3 later", "c 4")),
    )
    assert [(s.name, s.state.value) for s in shop.history("1.1.0").slots] == [
        ("b", "function"),
        ("d", "function"),
        ("later", "empty"),
        ("c", "function"),
        ("a", "function"),
    ]
    # a function that an empty slot was reserved for comes into it, without any specification file
    more = "int c(void) { return 3; } int a(void) { return 1; } int later(void) { return 9; } int e(void) { return 5; }"
    shop.release("1.2.0", TWO + more, before="1.1.0")
    assert [s.name for s in shop.history("1.2.0").slots] == ["b", "d", "later", "c", "a", "e"]
    shop.release("1.3.0", "int b(void) { return 2; }" + more, before="1.2.0", options=("--retire", "d"))
    said = refused(
        shop,
        capsys,
        "1.4.0",
        "1.3.0",
        "int b(void) { return 2; } int f(void) { return 6; }" + more,
        "-s",
        with_branch(shop, "b 1", "f 2", *(f"{n} {k}" for k, n in enumerate(("later", "c", "a", "e"), 3))),
    )
    assert "f: #branch gives it slot 2, which was d's until 1.3.0 and is never used again" in said
    shop.release("1.4.0", TWO + more, before="1.3.0")  # d is back, in its slot
    assert [s.state for s in shop.history("1.4.0").slots] == [SlotState.FUNCTION] * 6
    assert shop.history("1.4.0").functions()["d"] == 2


def test_functions_with_several_slots(shop: Shop) -> None:
    shop.release("1.0.0", TWO, options=("-s", with_branch(shop, "b 1", "d 2-3")))
    program = shop.program(
        "p", "int b(void), d(void); int main_(void) { put_number(b() * 10 + d()); return 0; }", "1.0.0"
    )
    shop.release("1.1.0", "int a(void) { return 1; }" + TWO, before="1.0.0")
    assert [s.name for s in shop.history("1.1.0").slots] == ["b", "d", "d", "a"]
    assert shop.run(program, "1.1.0") == ("24\n", "", 0)
    shop.release(
        "1.2.0", "int a(void) { return 1; } int b(void) { return 2; }", before="1.1.0", options=("--retire", "d")
    )
    raw = [slot.retired for slot in slots_of(shop.library("1.2.0"))]
    assert raw == [False, True, True, False]
