"""linker/dwarf: types of C as gcc and clang describe them in each version of DWARF, against pyelftools and against each other."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from support.c_types import Oracle, compile_shared, written
from support.paths import PROGRAMS
from uselib.abi.static.model.facts import Facts
from uselib.abi.static.readers.reading import read_facts
from uselib.linker.c_types.types import Record, Unknown

RICH = (PROGRAMS / "abi_types" / "rich.c").read_text()
COMPILERS = [name for name in ("gcc", "clang") if shutil.which(name)]
pytestmark = pytest.mark.skipif(not COMPILERS, reason="no gcc and no clang")


def types_of(facts: Facts) -> dict[str, str]:
    """Every export with its type in full; `-` without one."""
    rows = (*facts.functions.values(), *facts.data.values())
    return {row.name: written(facts.types, row.type) if row.type is not None else "-" for row in rows}


FORMS = [
    "-gdwarf-2",
    "-gdwarf-3",
    "-gdwarf-4",
    "-gdwarf-5",
    "-gdwarf-4 -gstrict-dwarf",
    "-gdwarf-5 -gz",
    "-gdwarf-5 -O2",
    "-gdwarf-4 -m32",
    "-gdwarf-2 -m32 -O2",
]


@pytest.mark.parametrize("compiler", COMPILERS)
@pytest.mark.parametrize("options", FORMS)
def test_same_as_pyelftools(tmp_path: Path, compiler: str, options: str) -> None:
    path = compile_shared(tmp_path, "rich", RICH, *options.split(), compiler=compiler)
    facts, oracle = read_facts(path), Oracle(path)
    assert facts.typed
    assert all("the calling convention is not recorded" in said and "-m32" in options for said in facts.unknown)
    types = types_of(facts)
    assert len(types) == 24
    assert types.pop("aliased") == types["inlined"]  # no entry of its own: found by its address
    vector = types.pop("vectors")  # written as an array of float by the oracle, which does not know DW_AT_GNU_vector
    assert vector == "(v: typedef vec(vector of float:16:other:0)) -> typedef vec(vector of float:16:other:0)"
    for name, found in types.items():
        assert found == (oracle.function(name) if name in facts.functions else oracle.variable(name)), name


# What only some forms can say: DW_AT_alignment is new in version 5, DW_TAG_restrict_type in 3.
def _common(text: str) -> str:
    return (
        text.replace(" aligned 32", "")
        .replace("restrict(", "(")
        .replace("pointer8(pointer8(struct node", "pointer8((pointer8(struct node")
    )


DWARF_FORMS = """
-gdwarf-2
-gdwarf-4
-gdwarf-4 -fdebug-types-section
-gdwarf-5 -fdebug-types-section
-gdwarf-5 -gz=zlib-gnu
-gdwarf-5 -gdwarf64
-gdwarf-5 -flto
-gdwarf-5 -O2
-gdwarf-4 -femit-class-debug-always
""".strip().splitlines()


@pytest.mark.parametrize("options", DWARF_FORMS)
def test_every_form_gives_the_same_types(tmp_path: Path, options: str) -> None:
    if "gcc" not in COMPILERS:
        pytest.skip("no gcc")
    plain = types_of(read_facts(compile_shared(tmp_path, "plain", RICH, "-gdwarf-5")))
    facts = read_facts(compile_shared(tmp_path, "other", RICH, *options.split()))
    assert not facts.unknown
    for name, text in types_of(facts).items():
        if "-gdwarf-2" in options and name == "operations":
            continue  # restrict is missing in the middle of it
        assert _common(text) == _common(plain[name]), name


def test_in_full(tmp_path: Path) -> None:
    types = types_of(read_facts(compile_shared(tmp_path, "rich", RICH, "-gdwarf-5", compiler=COMPILERS[0])))
    node = "struct node:24{next@0 pointer8(struct node); up@64 pointer8(struct tree:24{first@0 pointer8(struct node); "
    inner = "@64 union :4{i@0 int:4:signed:1; f@0 float:4:float:1; pair@0 struct :2{a@0 char:1:char:1; b@8 char:1:char:1}}; "
    level = "level@96 enum :4:1{LOW=-3, HIGH=200}"
    # struct tree has 16 bytes: next to the union lies the enumeration
    expected = f"(n: pointer8({node}{inner}{level}}}); value@128 int:4:signed:1}}), t: pointer8(const(struct tree))) -> int:4:signed:1"
    assert types["walk"] == expected.replace("tree:24", "tree:16")
    assert types["set_bits"].startswith(
        "(b: struct bits:16{a@0:3 unsigned int:4:unsigned:0; b@3:7 int:4:signed:1; c@10:40 long long:8:signed:1; "
        "d@50:5 unsigned short:2:unsigned:0; e@64:9 unsigned short:2:unsigned:0; flag@73:1 _Bool:1:bool:0; tail@80 char:1:char:1}"
    )
    assert "items@64 array[](struct both2:4{q@0 int:4:signed:1})" in types["set_bits"]
    assert "none@32 array[0](int:4:signed:1)" in types["set_bits"]
    assert types["opaque"] == "(h: pointer8(struct hidden)) -> pointer8(struct hidden:None{})"
    assert types["old"].startswith("?(a: int:4:signed:1, b: pointer8(")
    assert types["none"] == "?() -> int:4:signed:1"
    assert types["variadic"].endswith(", ...) -> int:4:signed:1")
    assert types["matrix"] == "array[2](array[3](const(int:4:signed:1)))"
    assert types["later"] == "array[5](int:4:signed:1)"  # the definition completes the declaration
    assert "w: enum wide:8:1{SMALL=0, HUGE_ONE=9223372036854775807, MINUS=-5}" in types["shapes"]
    assert "a: pointer8(struct aligned:32 aligned 32{c@0 char:1:char:1})" in types["shapes"]
    assert "n: int:4:signed:1, vla: pointer8(array[](int:4:signed:1))" in types["mixed"]


def test_places(tmp_path: Path) -> None:
    facts = read_facts(compile_shared(tmp_path, "lines", "int one(void)\n{ return 1; }\n\nint datum = 4;\n", "-g"))
    assert facts.functions["one"].place == "lines.c:1" or facts.functions["one"].place.endswith("/lines.c:1")
    assert facts.data["datum"].place.endswith("lines.c:4")


OPAQUE_USER = "struct secret; struct secret *make(void) { return 0; }\n"
OPAQUE_OWNER = "struct secret { int a; struct secret *next; };\nint look(struct secret *s) { return s->a; }\n"


def _two(directory: Path, first: str, second: str, *options: str) -> Facts:
    for name, text in (("first", first), ("second", second)):
        (directory / f"{name}.c").write_text(text)
    command = [
        "gcc",
        "-g",
        "-O1",
        "-w",
        "-shared",
        "-fPIC",
        "-nostdlib",
        *options,
        "first.c",
        "second.c",
        "-o",
        "two.so",
    ]
    subprocess.run(command, cwd=directory, check=True)
    return read_facts(directory / "two.so")


def test_declared_in_one_unit_defined_in_another(tmp_path: Path) -> None:
    facts = _two(tmp_path, OPAQUE_USER, OPAQUE_OWNER)
    full = "pointer8(struct secret:16{a@0 int:4:signed:1; next@64 pointer8(struct secret)})"
    assert types_of(facts) == {"make": f"() -> {full}", "look": f"(s: {full}) -> int:4:signed:1"}
    assert sum(isinstance(row, Record) for row in facts.types.rows) == 1  # one row, not one a unit
    assert not facts.unknown


def test_same_header_in_two_units_is_one_row(tmp_path: Path) -> None:
    (tmp_path / "both.h").write_text("typedef struct shape { struct { int x; } in; struct shape *next; } shape_t;\n")
    source = '#include "both.h"\nint NAME(shape_t *s) { return s->in.x; }\n'
    facts = _two(tmp_path, source.replace("NAME", "one"), source.replace("NAME", "two"))
    assert facts.functions["one"].type == facts.functions["two"].type
    assert facts.functions["one"].place == "first.c:2"


def test_one_tag_with_two_meanings(tmp_path: Path) -> None:
    first = "struct state { int a; };\nint one(struct state *s) { return s->a; }\n"
    second = "struct state { long b; };\nint two(struct state *s) { return s->b; }\n"
    types = types_of(_two(tmp_path, first, second))
    assert "a@0 int:4" in types["one"] and "b@0 long:8" in types["two"]


def test_the_choice_between_two_definitions_is_reported(tmp_path: Path) -> None:
    second = OPAQUE_OWNER + "\n"
    third = "struct secret { char other[40]; };\nint third(struct secret *s) { return s->other[0]; }\n"
    (tmp_path / "third.c").write_text(third)
    facts = _two(tmp_path, OPAQUE_USER, second, "third.c")
    assert any(
        "struct secret is defined in 2 ways" in sentence and "third.c:1" in sentence for sentence in facts.unknown
    )


def test_separate_debug_file(tmp_path: Path) -> None:
    path = compile_shared(tmp_path, "whole", RICH, "-g", compiler=COMPILERS[0])
    plain = types_of(read_facts(path))
    subprocess.run(["objcopy", "--only-keep-debug", "whole.so", "whole.debug"], cwd=tmp_path, check=True)
    subprocess.run(
        ["objcopy", "--strip-debug", "--add-gnu-debuglink=whole.debug", "whole.so", "lean.so"], cwd=tmp_path, check=True
    )
    facts = read_facts(tmp_path / "lean.so")
    assert types_of(facts) == plain and not facts.unknown
    (tmp_path / ".debug").mkdir()
    moved = tmp_path / ".debug" / "whole.debug"
    (tmp_path / "whole.debug").rename(moved)
    assert types_of(read_facts(tmp_path / "lean.so")) == plain
    moved.write_bytes(moved.read_bytes()[:-1] + b"!")
    (said,) = read_facts(tmp_path / "lean.so").unknown
    assert "is not the debug file of" in said and "checksum" in said
    moved.unlink()
    (said,) = read_facts(tmp_path / "lean.so").unknown
    assert "its debug information is in `whole.debug`, which is neither beside it nor in .debug/" in said


@pytest.mark.parametrize("compiler", COMPILERS)
@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("-g0", "no debug information"),
        ("-g1", "no types"),
        ("-g -gsplit-dwarf", "compiled with -gsplit-dwarf"),
    ],
)
def test_missing_types_are_reported(tmp_path: Path, compiler: str, options: str, words: str) -> None:
    facts = read_facts(compile_shared(tmp_path, "poor", RICH, *options.split(), compiler=compiler))
    assert not facts.typed
    assert any(words in sentence for sentence in facts.unknown), facts.unknown
    assert all(row.type is None for row in (*facts.functions.values(), *facts.data.values()))


def test_assembler_source_has_no_types(tmp_path: Path) -> None:
    (tmp_path / "asm.s").write_text(
        ".text\n.globl raw\n.type raw,@function\nraw: ret\n.size raw, .-raw\n"
        ".globl known\n.type known,@function\nknown: ret\n.size known, .-known\n"
    )
    source = "int known(int, char *);\nint user(void) { return known(1, 0); }\n"
    (tmp_path / "user.c").write_text(source)
    command = ["gcc", "-g", "-shared", "-fPIC", "-nostdlib", "-Wa,-g", "asm.s", "user.c", "-o", "asm.so"]
    subprocess.run(command, cwd=tmp_path, check=True)
    facts = read_facts(tmp_path / "asm.so")
    assert types_of(facts) == {
        "raw": "-",
        "user": "() -> int:4:signed:1",
        "known": "(: int:4:signed:1, : pointer8(char:1:char:1)) -> int:4:signed:1",
    }
    assert facts.unknown == (f"{tmp_path / 'asm.so'}: no type information for 1 of 3 functions: raw",)


def test_conventions(tmp_path: Path) -> None:
    if "clang" in COMPILERS:
        text = """
            __attribute__((stdcall)) int s(int a) { return a; }
            __attribute__((fastcall)) int f(int a) { return a; }
            int n(int a) { return a; }
        """
        types = types_of(read_facts(compile_shared(tmp_path, "cc", text, "-g", "-m32", compiler="clang")))
        assert {name: text.partition("(")[0] for name, text in types.items()} == {
            "s": "stdcall",
            "f": "fastcall",
            "n": "",
        }
    if "gcc" in COMPILERS:
        text = "int n(int a) { return a; } int v(const char *f, ...) { return *f; }"
        types = types_of(read_facts(compile_shared(tmp_path, "gc", text, "-g", "-m32", "-mregparm=2")))
        assert types["n"].startswith("regparm(1)(") and types["v"].startswith("(")


CPLUSPLUS = """
namespace shapes {
struct Base { virtual ~Base(); virtual int area() const; int id; static int count; };
class Circle : public Base {
  double r; public: enum Kind { A, B }; struct Inner { int q; }; Circle(int); Inner inner; Kind kind; int f(Inner &&i);
};
int Base::area() const { return 0; } Base::~Base() {} int Base::count = 3;
Circle::Circle(int i) { id = i; } int Circle::f(Inner &&i) { return 0; }
template <class T> struct Box { T t; }; int use(Box<int> *b) { return b->t; }
}
extern "C" int c_name(const char *s) { return *s; }
"""


@pytest.mark.parametrize("compiler", [name for name in ("g++", "clang++") if shutil.which(name)])
def test_cplusplus(tmp_path: Path, compiler: str) -> None:
    (tmp_path / "shapes.cc").write_text(CPLUSPLUS)
    command = [compiler, "-O1", "-g", "-w", "-fPIC", "-shared", "-nostdlib", "shapes.cc", "-o", "shapes.so"]
    subprocess.run(command, cwd=tmp_path, check=True)
    facts = read_facts(tmp_path / "shapes.so")
    types = types_of(facts)
    assert not facts.unknown
    assert types["c_name"] == "(s: pointer8(const(char:1:char:1))) -> int:4:signed:1"
    assert types["_ZN6shapes4Base5countE"] == "int:4:signed:1"
    assert (
        types["_ZN6shapes3useEPNS_3BoxIiEE"]
        == "(b: pointer8(struct shapes::Box<int>:4{t@0 int:4:signed:1})) -> int:4:signed:1"
    )
    circle = types["_ZN6shapes6CircleC1Ei"]
    assert "class shapes::Circle:32{<base shapes::Base>@0 struct shapes::Base:16{_vptr" in circle
    assert (
        "inner@192 struct shapes::Circle::Inner:4{q@0 int:4:signed:1}; kind@224 enum shapes::Circle::Kind:4:0{A=0, B=1}"
        in circle
    )
    assert circle.endswith(", i: int:4:signed:1) -> void")
    assert "i: rvalue_reference8(struct shapes::Circle::Inner)" in types["_ZN6shapes6Circle1fEONS0_5InnerE"]


def test_no_unknown_rows_in_good_files(tmp_path: Path) -> None:
    for compiler in COMPILERS:
        facts = read_facts(compile_shared(tmp_path, "rich", RICH, "-g", "-O2", compiler=compiler))
        assert not any(isinstance(row, Unknown) for row in facts.types.rows)
