"""The static check: made-up facts for what two C files cannot show, a corpus of library pairs, and what findings mean for programs."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.abi_pairs import BREAKS, COMPATIBLE, Case, build
from support.tools import needs
from uselib.abi.static.comparison.check import check
from uselib.abi.static.comparison.check_program import check_program
from uselib.abi.static.model.facts import Constant, DataFact, Facts, FileKind, FunctionFact, ProgramFacts, Use
from uselib.abi.static.model.findings import Report, Severity, Verdict
from uselib.abi.static.readers.reading import read_program
from uselib.abi.static.rules import Example
from uselib.linker.c_types.types import (
    Array,
    Base,
    Enumeration,
    FunctionType,
    Parameter,
    Pointer,
    Qualified,
    Record,
    RecordMember,
    Type,
    Typedef,
    Types,
    Unknown,
    Void,
)
from uselib.linker.image import Identity, Machine, Version

needs_tools = needs("gcc")
BASE, TABLE = 0x61000000, 0x61000800
INT = Base("int", 4, "signed", True)


def identity(version: str = "1.0.0", *, name: str = "libx_s", base: int = BASE, slots: int = 8) -> Identity:
    return Identity(name, Version.parse(version), base, 0x4000, version.encode().ljust(32, b"."), slots)


def library(
    names: Iterable[str] = ("alpha", "beta"),
    rows: Iterable[Type] = (),
    types: dict[str, int] | None = None,
    **more: object,
) -> Facts:
    """A target library with functions in the slots 1, 2, ...; types: the functions' numbers in `rows` (from 1)."""
    functions = {
        name: FunctionFact(name, TABLE + 8 * index, index + 1, type=(types or {}).get(name))
        for index, name in enumerate(names)
    }
    table = Types((Void(), *rows))
    facts = Facts(
        "old", FileKind.TARGET, Machine.X86_64, identity(), functions=functions, types=table, typed=len(table.rows) > 1
    )
    return replace(facts, **more)  # type: ignore[arg-type]


def found(report: Report) -> set[tuple[str, str]]:
    return {(finding.rule.id, finding.subject) for finding in report.findings}


def severities(report: Report) -> dict[str, Severity]:
    return {finding.rule.id: finding.severity for finding in report.findings}


def test_nothing_changed() -> None:
    report = check(library(), library())
    assert (report.verdict, report.findings, report.needs_version) == (Verdict.COMPATIBLE, (), "")
    assert any("no debug information" in sentence for sentence in report.unchecked)
    assert any("behaviour" in sentence for sentence in report.unchecked)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"machine": Machine.I386}, "old is for x86_64, new for i386"),
        ({"identity": identity(name="liby_s")}, "not two versions of one library"),
        ({"kind": FileKind.PROGRAM}, "is a program, not a library"),
        ({"fixed": False, "kind": FileKind.SHARED_OBJECT}, "bind to them in different ways"),
    ],
)
def test_not_comparable(change: dict[str, object], words: str) -> None:
    report = check(library(), library(path="new", **change))
    assert report.verdict is Verdict.NOT_COMPARABLE and report.verdict.status == 16
    assert words in report.unchecked[0]


def test_debug_information_in_one_only() -> None:
    report = check(library(rows=[INT]), library(path="new"))
    assert "types: no debug information in new, and no headers" in report.unchecked


def test_jump_table_moved_is_one_finding() -> None:
    moved = {name: replace(fact, address=fact.address + 0x1000) for name, fact in library().functions.items()}
    report = check(library(), library(functions=moved))
    assert found(report) == {("jump-table-moved", "jump table"), ("version-too-small", "libx_s")}
    assert report.findings[0].through == ("alpha", "beta")


def test_library_moved_as_a_whole_is_one_finding() -> None:
    shifted = {name: replace(fact, address=fact.address + 0x1000000) for name, fact in library().functions.items()}
    report = check(library(), library(functions=shifted, identity=identity(base=BASE + 0x1000000)))
    assert found(report) == {("base-changed", "libx_s"), ("version-too-small", "libx_s")}
    assert report.verdict is Verdict.BREAKING


def test_retired_function_names_itself() -> None:
    functions = {name: replace(fact, retired=name == "beta") for name, fact in library().functions.items()}
    report = check(library(), library(functions=functions))
    assert ("function-retired", "beta") in found(report)
    assert "slot 2" in report.findings[0].message


def test_declared_rename_keeps_the_slot() -> None:
    new = {"alpha": library().functions["alpha"], "gamma": FunctionFact("gamma", TABLE + 8, 2, former_names=("beta",))}
    report = check(library(), library(functions=new))
    assert found(report) == {("function-renamed", "beta")}
    assert report.verdict is Verdict.COMPATIBLE


def test_function_with_two_slots_keeps_the_old_one() -> None:
    new = {**library().functions, "beta": FunctionFact("beta", TABLE + 16, 3)}
    report = check(library(), library(functions=new, slots={1: "alpha", 2: "beta", 3: "beta"}))
    assert report.findings == ()


@pytest.mark.parametrize(
    ("old", "new", "rule", "severity"),
    [
        ((), ("liby_s.1.0.0",), "dependency-added", Severity.RISK),
        (("liby_s.1.0.0",), (), "dependency-removed", Severity.COMPATIBLE),
        (("liby_s.1.2.0",), ("liby_s.2.0.0",), "dependency-major-changed", Severity.BREAKING),
        (("libc.so.6",), ("libc.so.7",), "dependency-major-changed", Severity.BREAKING),
    ],
)
def test_dependencies(old: tuple[str, ...], new: tuple[str, ...], rule: str, severity: Severity) -> None:
    report = check(library(dependencies=old), library(dependencies=new))
    assert severities(report)[rule] is severity
    assert check(library(dependencies=("liby_s.1.0.0",)), library(dependencies=("liby_s.1.3.2",))).findings == ()


def test_version_numbers() -> None:
    added = library(("alpha", "beta", "gamma"))
    assert "version-too-small" in severities(check(library(), replace(added, identity=identity("1.0.1"))))
    report = check(library(), replace(added, identity=identity("1.1.0")))
    assert "version-too-small" not in severities(report)
    assert (report.verdict, report.needs_version) == (Verdict.MINOR, "minor")
    report = check(library(), library(identity=identity("2.0.0")))
    assert severities(report) == {"major-changed": Severity.BREAKING}
    assert report.needs_version == "patch"  # but for the number itself


def test_names_outside_the_headers_are_at_the_users_risk() -> None:
    old = library(public=frozenset({"alpha"}))
    report = check(old, library(("alpha",), public=frozenset({"alpha"})))
    assert severities(report)["function-removed"] is Severity.RISK
    assert report.verdict is Verdict.COMPATIBLE
    assert check(old, library(("beta",))).verdict is Verdict.BREAKING


def _recursive(extra: tuple[RecordMember, ...] = (), size: int = 16) -> list[Type]:
    members = (RecordMember("value", 1, 0), RecordMember("next", 4, 64), *extra)
    return [INT, FunctionType(1, (Parameter("n", 4),)), Record("struct", "node", size, members), Pointer(3, 8)]


def test_cycles_end_and_a_type_is_told_once() -> None:
    types = {"alpha": 2, "beta": 2}
    assert check(library(rows=_recursive(), types=types), library(rows=_recursive(), types=types)).findings == ()
    grown = _recursive((RecordMember("more", 1, 128),), 24)
    report = check(library(rows=_recursive(), types=types), library(rows=grown, types=types))
    told = [finding for finding in report.findings if finding.subject == "struct node"]
    assert [finding.through for finding in told] == [("alpha", "beta")]


def test_a_type_that_cannot_be_followed_is_said() -> None:
    rows = [Unknown("a hole in .debug_info"), FunctionType(1, ())]
    report = check(library(rows=rows, types={"alpha": 2}), library(rows=rows, types={"alpha": 2}))
    assert "types: a hole in .debug_info" in report.unchecked


def test_endless_typedefs_and_pointers_of_damaged_files() -> None:
    rows: list[Type] = [Typedef("loop", 1), Pointer(2, 8), FunctionType(2, (Parameter("p", 2),)), Array(4, 3)]
    facts = library(rows=rows, types={"alpha": 3})
    facts = replace(facts, data={"d": DataFact("d", BASE + 0x3000, 8, type=4)})
    assert check(facts, facts).verdict is Verdict.COMPATIBLE


def test_constants() -> None:
    def facts(**values: int | float | str) -> Facts:
        return library(constants={name: Constant(name, value) for name, value in values.items()})

    report = check(facts(MODE=1, LIB_VERSION="1.0", DEFAULT_DEPTH=3), facts(MODE=2, LIB_VERSION="1.1", DEFAULT_DEPTH=4))
    by_name = {
        finding.subject: finding.severity for finding in report.findings if finding.rule.id == "constant-changed"
    }
    assert by_name == {"MODE": Severity.BREAKING, "LIB_VERSION": Severity.COMPATIBLE, "DEFAULT_DEPTH": Severity.RISK}


def test_ordinary_shared_object_data_may_not_grow() -> None:
    """The program holds a copy of the size it was linked with (copy relocation)."""

    def facts(size: int, *, fixed: bool) -> Facts:
        kind = FileKind.TARGET if fixed else FileKind.SHARED_OBJECT
        data = {"table": DataFact("table", BASE + 0x3000, size)}
        return library(data=data, fixed=fixed, kind=kind, identity=identity() if fixed else None)

    assert check(facts(16, fixed=True), facts(32, fixed=True)).verdict is Verdict.COMPATIBLE
    assert check(facts(16, fixed=False), facts(32, fixed=False)).verdict is Verdict.BREAKING


def program(*uses: str, needs: Identity | None = None, **more: object) -> ProgramFacts:
    functions = library().functions
    taken = tuple(Use(name, "function", "libx_s.1.0.0", functions[name].address) for name in uses)
    return replace(
        ProgramFacts("prog", Machine.X86_64, (needs or identity(),), uses=taken),
        **more,  # type: ignore[arg-type]
    )


def test_programs() -> None:
    new = library(("alpha", "inserted", "beta"), identity=identity("1.1.0"))
    user, bystander = program("beta"), program("alpha")
    report = check(library(), new, (user, bystander, program("beta", uses=None)))
    assert [entry.verdict for entry in report.programs] == ["affected", "unaffected", "maybe affected"]
    effect = report.programs[0].effects[0]
    assert (effect.finding.rule.id, effect.certain) == ("slot-moved", True)
    assert "calls beta (0x61000808)" in effect.why
    assert "slot 2 is now inserted" in effect.finding.message
    assert any("debug information" in sentence for sentence in report.programs[1].unchecked)


@pytest.mark.parametrize(
    ("new", "words"),
    [
        (identity("2.0.0"), "another major release"),
        (identity("0.9.0"), "another major release"),
        (identity("1.0.0", slots=3), "3 slots, and the program was linked with 8"),
        (identity(base=BASE + 0x400000), "the program was linked for 0x61000000"),
    ],
)
def test_programs_refused_at_start_up(new: Identity, words: str) -> None:
    report = check_program(program("alpha"), [library(identity=new)])
    assert report.verdict is Verdict.BREAKING
    assert report.programs[0].verdict == "refused at start-up"
    assert any(words in sentence for sentence in report.programs[0].unchecked)


def test_program_that_was_not_linked_with_it() -> None:
    stranger = program(needs=identity(name="libz_s"))
    report = check_program(stranger, [library()])
    assert (report.verdict, report.programs[0].verdict) == (Verdict.NOT_COMPARABLE, "not comparable")
    assert "was not linked with libx_s" in report.unchecked[0]
    other = check_program(replace(program("alpha"), machine=Machine.I386), [library()])
    assert other.verdict is Verdict.NOT_COMPARABLE


def test_program_alone_with_a_library() -> None:
    assert check_program(program("alpha"), [library(path="new")]).verdict is Verdict.COMPATIBLE
    report = check_program(program("alpha", "beta"), [library(("alpha",))])
    assert found(report) == {("function-removed", "beta")}
    both = check_program(program("alpha", needs=identity()), [])
    assert any("libx_s.1.0.0" in sentence for sentence in both.unchecked)


LAYOUTS = (
    "struct point { int x, y; };\nint norm(const struct point *p);\nint twice(int n);",
    "struct point { int x, z, y; };\nint norm(const struct point *p);\nint twice(int n);",
)
SOURCE = "int norm(const struct point *p) { return 100 * p->x + p->y; }\nint twice(int n) { return 2 * n; }"


@needs_tools
@pytest.mark.parametrize("debug", [True, False])
@pytest.mark.parametrize(
    ("body", "affected"),
    [("struct point p = {3, 4}; put_number(norm(&p));", True), ("put_number(twice(4));", False)],
    ids=["user", "bystander"],
)
def test_real_program(tmp_path: Path, debug: bool, body: str, affected: bool) -> None:
    example = Example(SOURCE, SOURCE, body, "", "breaking", header=LAYOUTS[0], new_header=LAYOUTS[1])
    pair = build(tmp_path, Machine.X86_64, example, debug_program=debug)
    old, new = pair.facts()
    known = read_program(pair.program)
    entry = check(old, new, (known,)).programs[0]
    assert pair.outcome() == ("differs" if affected else "same")
    assert entry.verdict == ("unaffected" if not affected else "affected" if debug else "maybe affected")
    assert entry.used == 1
    if debug:
        assert (check_program(known, [new]).verdict is Verdict.BREAKING) is affected
        assert check_program(known, [old]).verdict is Verdict.COMPATIBLE


@needs_tools
def test_program_that_only_has_pointers(tmp_path: Path) -> None:
    """Its debug information says that the structure is opaque to it."""
    body = "struct point *any(void); put_number(norm(0) + 1);"
    source = "int norm(const struct point *p) { return p ? p->x : 5; }\nint twice(int n) { return n; }"
    example = Example(source, source, body, "", "breaking", header=LAYOUTS[0], new_header=LAYOUTS[1])
    pair = build(tmp_path, Machine.X86_64, example)
    (tmp_path / "program.c").write_text(
        "struct point; int norm(const struct point *p); void put_number(long);"
        "int main_(void) { put_number(norm(0) + 1); return 0; }"
    )
    old, new = pair.facts()
    opaque = ProgramFacts(
        "prog",
        Machine.X86_64,
        (old.identity,),
        uses=(Use("norm", "function", "", old.functions["norm"].address),),
        types=Types((Void(), Record("struct", "point", None))),
        typed=True,
    )  # type: ignore[arg-type]
    report = check(old, new, (opaque,))
    assert report.programs[0].verdict == "unaffected"
    assert check(old, new).verdict is Verdict.BREAKING


CASES = BREAKS + COMPATIBLE


def _check_case(directory: Path, case: Case, machine: Machine) -> None:
    pair = build(directory, machine, case.example, debug_program=True)
    assert pair.outcome() == case.example.runs
    headers = case.example.needs == "headers"
    known = read_program(pair.program)
    old, new = pair.facts(headers)
    report = check(old, new, (known,))
    assert (report.verdict is Verdict.BREAKING) == case.breaks, [finding.message for finding in report.findings]
    word = "maybe affected" if case.maybe else "affected" if case.breaks else "unaffected"
    assert report.programs[0].verdict == word
    assert not case.breaks or (report.findings[0].severity, report.needs_version) == (Severity.BREAKING, "major")


@needs_tools
@pytest.mark.parametrize("case", CASES[::6], ids=lambda case: case.name)
def test_corpus(tmp_path: Path, case: Case) -> None:
    _check_case(tmp_path, case, Machine.X86_64)


@needs_tools
@pytest.mark.slow
@pytest.mark.parametrize("case", [case for case in CASES if case not in CASES[::6]], ids=lambda case: case.name)
def test_rest_of_the_corpus(tmp_path: Path, case: Case) -> None:
    _check_case(tmp_path, case, Machine.X86_64)


@needs_tools
@pytest.mark.slow
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_corpus_by_headers_and_by_names_alone(tmp_path: Path, case: Case) -> None:
    pair = build(tmp_path, Machine.X86_64, case.example, debug=False)
    assert (check(*pair.facts(headers=True)).verdict is Verdict.BREAKING) == case.breaks
    report = check(*pair.facts())
    assert (
        report.verdict is not Verdict.BREAKING
        if not case.breaks
        else report.verdict is Verdict.BREAKING or not case.bare
    )
    assert sum("no debug information" in sentence for sentence in report.unchecked) == 2


def _rows(count: int) -> st.SearchStrategy[Type]:
    number = st.integers(0, count - 1)
    members = st.lists(
        st.builds(RecordMember, st.sampled_from("abcd"), number, st.integers(0, 256), st.none() | st.integers(1, 32)),
        max_size=4,
    ).map(tuple)
    return st.one_of(
        st.builds(
            Base,
            st.sampled_from(["int", "long", "float"]),
            st.sampled_from([1, 4, 8]),
            st.sampled_from(["signed", "unsigned", "float", "bool"]),
            st.booleans(),
        ),
        st.builds(Pointer, number, st.just(8)),
        st.builds(Array, number, st.none() | st.integers(0, 9)),
        st.builds(
            Record,
            st.sampled_from(["struct", "union"]),
            st.sampled_from(["", "s", "t"]),
            st.none() | st.integers(0, 64),
            members,
        ),
        st.builds(
            Enumeration,
            st.sampled_from(["", "e"]),
            st.none() | st.just(4),
            st.booleans(),
            st.lists(st.tuples(st.sampled_from("ABC"), st.integers(0, 3)), max_size=3).map(tuple),
        ),
        st.builds(Typedef, st.sampled_from(["t", "u"]), number),
        st.builds(Qualified, st.sampled_from(["const", "volatile"]), number),
        st.builds(
            FunctionType,
            number,
            st.lists(st.builds(Parameter, st.sampled_from("xy"), number), max_size=3).map(tuple),
            st.booleans(),
        ),
        st.builds(Unknown, st.just("damaged")),
    )


GRAPHS = st.lists(_rows(9), min_size=8, max_size=8)


def _library_of(rows: list[Type]) -> Facts:
    types = {name: index + 1 for index, name in enumerate("abcdefgh")}
    facts = library(types, rows=rows, types=types)
    data = {f"d{n}": DataFact(f"d{n}", BASE + 0x3000 + 64 * n, 8, type=n) for n in range(1, 9)}
    return replace(facts, data=data)


@settings(max_examples=150, deadline=None)
@given(GRAPHS, GRAPHS)
def test_any_graph_of_types(first: list[Type], second: list[Type]) -> None:
    """Cycles of every kind, as damaged files may have: it ends, raises nothing, and a library is compatible with itself."""
    old, new = _library_of(first), _library_of(second)
    assert check(old, old).findings == ()
    check(old, new)


def test_ordinary_dynamic_program_records_no_library() -> None:
    """Undefined symbols of a dynamic program name no library: what is gone is the old library's, what is nowhere is said."""
    shared = {"fixed": False, "kind": FileKind.SHARED_OBJECT, "identity": None, "soname": "libx.so.1"}
    old, new = library(**shared), library(("alpha",), path="new", **shared)
    user = ProgramFacts("prog", Machine.X86_64, sonames=("libx.so.1",), uses=(Use("beta", ""), Use("printf", "")))
    report = check(old, new, (user,))
    assert report.programs[0].verdict == "affected"
    assert [effect.finding.rule.id for effect in report.programs[0].effects] == ["function-removed"]
    alone = check_program(user, [new])
    assert any(sentence.startswith("beta, printf: in none of the libraries") for sentence in alone.unchecked)
