"""Prototypes from headers and from DWARF: against each other, on what gcc and clang really emit, and on damaged input."""

from __future__ import annotations

import random
import subprocess
from functools import cache
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from uselib.emulator.trace.prototypes.declarations import from_file, standard
from uselib.emulator.trace.prototypes.decode import CallDecoder
from uselib.emulator.trace.prototypes.dwarf import DwarfPrototypes, read_dwarf
from uselib.emulator.trace.prototypes.sources import Prototypes, open_prototypes, read_prototype_file
from uselib.emulator.trace.prototypes.type_views import PointerView, StructureView, spelled
from uselib.linker.errors import FormatError, ToolError
from uselib.linker.image import Machine

HEADER = """
#ifndef X_H
#define X_H
#include <stdio.h>
#ifdef __cplusplus
extern "C" {
#endif
#define API __attribute__((visibility("default")))
#define N 4
/* a comment; with ( brackets
 */
typedef struct node node_t;
struct node { int value; node_t *next; char name[N * 2]; };
enum color { RED, GREEN = 1 << 3, BLUE };
struct __attribute__((aligned(8))) odd { char c; } __attribute__((packed));
typedef enum { F_A = 1, F_B = 2, F_C = 4 } opts_t;
flags my_flags : unsigned { M_A = 1, M_B = 2, M_TYPE = 4/12, M_OTHER = 8/12 };
API extern int node_add(node_t *restrict list, const struct node *n, enum color c, opts_t o,
                        my_flags m) __attribute__((nonnull(1)));
static inline int twice(int x) { return 2 * x; }
API void log_it(FILE *f, const char *msg, ...) __attribute__((format(printf, 2, 3)));
void say(const char *fmt, ...);
API ssize_t put(const void *data, size_t n) __attribute__((access(read_only, 1, 2)));
int fill(out char *buf, size_t n);
unknown_t *make(other_t, struct hidden *h, void (*cb)(int, void *), int argc, char *argv[]);
int (*pick(int which))(const char *);
alias node_add2 node_add;
[[nodiscard]] double mean(const double *values, unsigned long n);
#ifdef _WIN32
int windows(syntax error here);
#endif
#ifdef __cplusplus
}
#endif
#endif
"""
SPELLED = {
    "node_add": "int (node_t *list, const struct node *n, enum color c, opts_t o, my_flags m)",
    "node_add2": "int (node_t *list, const struct node *n, enum color c, opts_t o, my_flags m)",
    "log_it": "void (FILE *f, const char *msg, ...)",
    "say": "void (const char *fmt, ...)",
    "put": "ssize_t (const void *data, size_t n)",
    "fill": "int (char *buf, size_t n)",
    "make": "unknown_t * (other_t , struct hidden *h, function *cb, int argc, char **argv)",
    "pick": "function * (int which)",
    "mean": "double (const double *values, unsigned long n)",
}


def test_headers_as_people_write_them() -> None:
    declared = from_file(HEADER, "x.h", Machine.X86_64)
    found = {}
    for name in declared.names():
        prototype = declared.find(name)
        assert prototype is not None and prototype.source == "x.h"
        shown = [
            f"{spelled(p.type)}{'' if spelled(p.type).endswith('*') else ' '}{p.name}" for p in prototype.parameters
        ]
        found[name] = f"{spelled(prototype.result)} ({', '.join([*shown, '...'] if prototype.variadic else shown)})"
    assert found == SPELLED
    formats = {name: declared.find(name).format_index for name in ("log_it", "say", "put")}  # type: ignore[union-attr]
    assert formats == {"log_it": 1, "say": 0, "put": -1}
    assert declared.find("put").parameters[0].length == (1,)  # type: ignore[union-attr]
    assert [p.out for p in declared.find("fill").parameters] == [True, False]  # type: ignore[union-attr]


def test_annotated_values_are_shown() -> None:
    declared = from_file(HEADER, "x.h", Machine.X86_64)
    node = (b"\x07\0\0\0\0\0\0\0\x10\0\0\0\0\0\0\0abc\0\0\0\0\0", False)
    shown = CallDecoder(Machine.X86_64).arguments(declared.find("node_add"), [0, 1, 9, 5, 9], {1: node})
    assert shown == ["NULL", '{value=7, next=0x10, name="abc"}', "BLUE", "F_A|F_C", "M_OTHER|M_A"]


BAD = [
    ("int f(int x;\n", "b.h:1: `(` is never closed"),
    ("int a;\nint f(int x));\n", "b.h:2: `)` has no matching bracket"),
    ("int f(int x)", "b.h:1: `int f(int x)` is not ended by `;`"),
    ("/*\n*/\nint f(int int x y z);\n", "b.h:3: not a C declaration, at y: `int f(int int x y z);`"),
    ("flags x : float { A };", "b.h:1: x: `float` is not an integer type"),
    ("\nflags x : int { A = };", "b.h:2: x: `A =` is not NAME = VALUE"),
    ("enum e { A = foo() };", "b.h:1: A: not a constant value"),
    ("int f(bytes(m) void *p, int n);", "b.h:1: f: bytes(...) names no parameter"),
    ("}", "b.h:1: `}` has no matching bracket"),
]


@pytest.mark.parametrize(("text", "message"), BAD, ids=range(len(BAD)))
def test_errors_name_file_and_line(text: str, message: str) -> None:
    with pytest.raises(FormatError) as caught:
        from_file(text, "b.h", Machine.I386)
    assert str(caught.value) == message


def test_a_declaration_nested_too_deeply() -> None:
    with pytest.raises(FormatError, match=r"^b\.h:1: "):  # what is said of it differs between versions of pycparser
        from_file("int " + "(" * 3000 + "f" + ")" * 3000 + "(void);", "b.h", Machine.I386)


def test_files_that_are_no_text(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="No such file"):
        read_prototype_file(str(tmp_path / "none.h"), Machine.I386)
    (tmp_path / "binary").write_bytes(b"\x7fELF\0\0")
    with pytest.raises(FormatError, match="not text"):
        open_prototypes(Machine.I386, files=[str(tmp_path / "binary")])
    with pytest.raises(FormatError, match="directory"):
        read_prototype_file(str(tmp_path), Machine.I386)


@settings(max_examples=150, deadline=None)
@given(
    st.integers(0, len(HEADER)),
    st.integers(0, 40),
    st.text(st.sampled_from("(){}[];,*=\"'#\\@:/ ab1\n")),
    st.sampled_from(list(Machine)),
)
def test_damaged_headers_raise_tool_errors_only(at: int, drop: int, insert: str, machine: Machine) -> None:
    try:
        declared = from_file(HEADER[:at] + insert + HEADER[at + drop :], "x.h", machine)
        assert all(declared.find(name) for name in declared.names() if name not in declared.aliases)
    except ToolError as problem:
        assert str(problem).startswith("x.h:")


# -- DWARF ---------------------------------------------------------------------------------------------------------------

PROGRAM = """
struct point { int x, y; double w; struct point *next; unsigned a : 3, b : 7; char name[8]; };
enum color { RED, GREEN = 5, BLUE };
enum opts { O_A = 1, O_B = 2, O_C = 4 };
typedef unsigned int tint;
int open(const char *path, int flags, ...);
unsigned long strlen(const char *s);
int take(const struct point *p, enum color c, tint t, enum opts o, const char *s, float f, long long q)
{ return p->x + c + t + o + f + q + *s; }
struct point make(int x) { struct point p = {x}; return p; }
void log_it(const char *fmt, ...) { }
static __attribute__((noinline)) int hidden(int a, char *const *v, int m[3][4], void (*f)(void)) { f(); return a + m[1][2]; }
int table[3][4]; void other(void);
int main(int argc, char **argv) { log_it("x"); make(1);
  return open("x", argc) + strlen(argv[0]) + hidden(argc, argv, table, other) + take(0, 1, 2, 3, 0, 0, 0); }
"""
COMPILERS = [(c, m, v) for c in ("gcc", "clang") for m in Machine for v in (4, 5)]


@cache
def built(folder: Path, text: str, compiler: str, machine: Machine, version: int, *more: str) -> str:
    path = folder / f"{compiler}-{machine.label}-{version}-{abs(hash((text, more)))}.o"
    bits = "-m32" if machine is Machine.I386 else "-m64"
    command = [
        compiler,
        bits,
        "-x",
        "c",
        "-O1",
        f"-gdwarf-{version}",
        "-w",
        "-ffreestanding",
        "-fno-pic",
        "-c",
        "-o",
        str(path),
        *more,
        "-",
    ]
    done = subprocess.run(command, input=text, capture_output=True, text=True)
    if done.returncode:
        pytest.fail(done.stderr)
    return str(path)


def dwarf(path: str, machine: Machine) -> DwarfPrototypes:
    found = read_dwarf(path, machine)
    assert found is not None
    return found


@pytest.mark.parametrize(("compiler", "machine", "version"), COMPILERS)
def test_dwarf_says_what_the_source_says(compiler: str, machine: Machine, version: int, folder: Path) -> None:
    """The same functions through both readers: types, names, offsets, bit-fields."""
    found = dwarf(built(folder, PROGRAM, compiler, machine, version), machine)
    declared = from_file(PROGRAM.replace("static ", ""), "p.c", machine)
    for name in ("take", "make", "log_it", "hidden", "main"):
        one, other = found.find(name), declared.find(name)
        assert one is not None and other is not None
        assert found.damage == ""
        assert (one.variadic, one.format_index) == (other.variadic, other.format_index)
        assert [p.name for p in one.parameters] == [p.name for p in other.parameters]
        mine = [one.result, *(p.type for p in one.parameters)]
        theirs = [other.result, *(p.type for p in other.parameters)]
        assert [spelled(t) for t in mine] == [spelled(t) for t in theirs]
        assert [t.size for t in mine] == [t.size for t in theirs]
    assert found.find("take").parameters[0].type == declared.find("take").parameters[0].type  # type: ignore[union-attr]
    assert found.find("strlen") is not None  # an external declaration
    assert found.find("nothing") is None


@pytest.mark.parametrize("machine", list(Machine))
def test_sources_complete_each_other(machine: Machine, folder: Path) -> None:
    """DWARF says that open takes an int; the C library's file which flags it holds."""
    found = Prototypes([dwarf(built(folder, PROGRAM, "gcc", machine, 5), machine), standard(machine)])
    shown = CallDecoder(machine).arguments(found.find("open"), [1, 0o101, 0o644], {0: (b"x", False)})
    assert shown == ['"x"', "O_WRONLY|O_CREAT", "0644"]
    assert found.find("take").source.endswith(".o")  # type: ignore[union-attr]
    assert found.find("strcpy").source == "libc"  # type: ignore[union-attr]
    assert found.find("no_such_function") is None


def test_a_program_may_use_a_librarys_name_for_something_else() -> None:
    """Nothing is taken from the C library's file unless the shapes agree."""
    own = from_file("int open(int depth, int key);", "x.h", Machine.X86_64)
    found = Prototypes([own, standard(Machine.X86_64)]).find("open")
    assert found == own.find("open")


def test_files_without_dwarf(tmp_path: Path, folder: Path) -> None:
    path = built(folder, PROGRAM, "gcc", Machine.I386, 4)
    assert read_dwarf(path, Machine.X86_64) is None
    assert read_dwarf(str(tmp_path / "none"), Machine.I386) is None
    (tmp_path / "text").write_text("hello")
    assert read_dwarf(str(tmp_path / "text"), Machine.I386) is None
    assert open_prototypes(Machine.I386, [str(tmp_path / "text")]).find("strlen") is not None


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damaged_dwarf_never_raises(data: st.DataObject, folder: Path) -> None:
    original = Path(built(folder, PROGRAM, "gcc", Machine.X86_64, 5)).read_bytes()
    damaged = bytearray(original)
    for _ in range(data.draw(st.integers(1, 12))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    path = folder / "damaged.o"
    path.write_bytes(damaged[: data.draw(st.integers(0, len(damaged)))] if data.draw(st.booleans()) else damaged)
    found = read_dwarf(str(path), Machine.X86_64)
    for name in ("take", "make", "hidden", "open") if found else ():
        assert found is not None
        found.find(name)


# -- layout --------------------------------------------------------------------------------------------------------------

SCALARS = [
    "char",
    "short",
    "int",
    "long",
    "long long",
    "unsigned char",
    "float",
    "double",
    "long double",
    "_Bool",
    "void *",
    "enum color",
]


def random_structure(dice: random.Random, name: str, earlier: list[str]) -> str:
    members = []
    for n in range(dice.randint(1, 8)):
        kind = dice.random()
        if kind < 0.35:
            type_ = dice.choice(["int", "unsigned", "short", "unsigned char", "long long", "_Bool"])
            most = {"int": 32, "unsigned": 32, "short": 16, "unsigned char": 8, "long long": 64, "_Bool": 1}[type_]
            members.append(f"{type_} m{n} : {dice.randint(1, most)};")
        elif kind < 0.45 and earlier:
            members.append(f"struct {dice.choice(earlier)} m{n};")
        else:
            members.append(
                f"{dice.choice(SCALARS)} {'' if kind < 0.9 else '*'}m{n}{f'[{dice.randint(1, 3)}]' * (kind > 0.8)};"
            )
    return f"struct {name} {{ {' '.join(members)} }};"


def placed(structure: StructureView) -> list[tuple[str, int, tuple[int, int] | None]]:
    """Where the fields are. clang does not say that a bit-field as wide as its type is one."""
    return [(f.name, f.offset, None if f.bits == (0, 8 * f.type.size) else f.bits) for f in structure.fields]


def check_layouts(seed: int, count: int, folder: Path, compiler: str, machine: Machine, version: int) -> None:
    dice = random.Random(seed)
    names: list[str] = []
    text = "enum color { RED, GREEN, BLUE };\n"
    for n in range(count):
        text += random_structure(dice, f"s{n}", names) + "\n"
        names.append(f"s{n}")
    text += "".join(f"void f{n}(struct {name} *p) {{ }}\n" for n, name in enumerate(names))
    found, declared = dwarf(built(folder, text, compiler, machine, version), machine), from_file(text, "x.c", machine)
    for n in range(count):
        one, other = found.find(f"f{n}"), declared.find(f"f{n}")
        assert one is not None and other is not None, found.damage
        mine, theirs = one.parameters[0].type, other.parameters[0].type
        assert isinstance(mine, PointerView) and isinstance(theirs, PointerView)
        assert isinstance(mine.target, StructureView) and isinstance(theirs.target, StructureView)
        assert mine.target.size == theirs.target.size, text.splitlines()[n + 1]
        assert placed(mine.target) == placed(theirs.target), text.splitlines()[n + 1]


@pytest.mark.parametrize("machine", list(Machine))
def test_layouts_are_the_compilers(machine: Machine, folder: Path) -> None:
    check_layouts(1, 80, folder, "gcc", machine, 5)


@pytest.mark.slow
@pytest.mark.parametrize(("compiler", "machine", "version"), COMPILERS)
@pytest.mark.parametrize("seed", range(2, 4))
def test_more_layouts(seed: int, compiler: str, machine: Machine, version: int, folder: Path) -> None:
    check_layouts(seed, 300, folder, compiler, machine, version)
